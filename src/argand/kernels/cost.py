"""What the elements of a node cost: the numbers that plans and fusion compare."""

from __future__ import annotations

from typing import Any

from argand.base.shape import numel
from argand.ir import scalar
from argand.ir.elementwise import Elementwise
from argand.ir.families import Random
from argand.ir.program import Node, Value

__all__ = [
    "BYTES_PER_NS",
    "CHEAP_FLOPS",
    "SMALL",
    "VECTOR_FLOPS_PER_NS",
    "flops_of",
    "worth_a_loop",
]

DRAW_FLOPS = 150.0
VECTOR_FLOPS_PER_NS = 30.0
BYTES_PER_NS = 12.0
SMALL = 1 << 15
"""Elements of a result that is worth no kernel of its own."""

CHEAP_FLOPS = 2.0
"""Multiply-adds that may be computed again for each element."""


def flops_of(node: Node) -> float:
    """Multiply-adds for one element of a node's result."""
    if isinstance(node.op, Random):
        return DRAW_FLOPS
    if not isinstance(node.op, Elementwise):
        return 0.0
    op: Any = node.op
    types = [o.type if isinstance(o, Value) else o for o in node.inputs]
    return scalar.flops(op.node_expression(types, node.params))


def worth_a_loop(node: Node) -> bool:
    """Whether a node takes longer than storing and loading its operand.

    In a loop of its own the chains of many elements overlap; where a contraction ends, they hardly
    do, so that joining it saves the memory but costs more time.
    """
    out = node.outputs[0]
    size = numel(out.shape)
    if isinstance(size, int) and size <= SMALL:
        return False
    return bool(flops_of(node) / VECTOR_FLOPS_PER_NS > 2 * out.dtype.itemsize / BYTES_PER_NS)
