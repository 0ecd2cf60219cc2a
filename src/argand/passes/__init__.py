"""Passes: Program to Program, each a named step of `pipeline.py`."""
