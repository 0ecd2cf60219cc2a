"""What reductions start from."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import DType, compute_dtype
from argand.ir.program import Node

__all__ = ["extreme_value", "identity_value"]


def identity_value(node: Node) -> Any:
    """What changes nothing: the operation's identity, or the extreme of the dtype."""
    dtype = compute_dtype(node.values[0].dtype)
    op: Any = node.op
    found = op.identity(dtype)
    if found is not None:
        return float(found) if dtype.kind == "f" else found
    return extreme_value(dtype, lowest=op.primitive == "max")


def extreme_value(dtype: DType, *, lowest: bool) -> Any:
    """The lowest or the highest value of a dtype."""
    if dtype.kind == "f":
        return -math.inf if lowest else math.inf
    if dtype.kind == "b":
        return not lowest
    bits = 8 * dtype.itemsize
    if dtype.kind == "u":
        return 0 if lowest else (1 << bits) - 1
    return -(1 << (bits - 1)) if lowest else (1 << (bits - 1)) - 1
