"""Argand: deep learning, define-by-run and compiled to native code, in pure Python."""

__version__ = "0.1.0"
