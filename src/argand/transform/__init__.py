"""Transforms of computations: the tape, graph derivatives, custom functions."""
