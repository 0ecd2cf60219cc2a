"""Transforms of computations: the autograd tape, graph derivatives, checkpointing, custom functions."""
