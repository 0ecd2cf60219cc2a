"""Decorators of functions that would be called by an export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def parse_args(*arg_descriptors: str) -> Callable[[Any], Any]:
    """A decorator that gives the function itself.

    >>> from argand.onnx.symbolic_helper import parse_args
    >>> parse_args("v", "i")(len) is len
    True
    """
    return lambda function: function


def quantized_args(*arg_q_descriptors: bool, **options: Any) -> Callable[[Any], Any]:
    """A decorator that gives the function itself.

    >>> from argand.onnx.symbolic_helper import quantized_args
    >>> quantized_args(True)(len) is len
    True
    """
    return lambda function: function


__all__ = ["parse_args", "quantized_args"]
