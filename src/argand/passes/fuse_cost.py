"""What it costs to compute an element again, against storing it: the one rule of inlining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.base.shape import numel
from argand.ir import scalar
from argand.ir.elementwise import Elementwise
from argand.ir.families import Random
from argand.ir.program import Node, Value

__all__ = ["cheap_again", "flops_of", "small_alone", "worth_a_loop"]

DRAW_FLOPS = 150.0
VECTOR_FLOPS_PER_NS = 30.0
BYTES_PER_NS = 12.0
SMALL = 1 << 15


def flops_of(node: Node) -> float:
    """Multiply-adds for one element of a node's result."""
    if isinstance(node.op, Random):
        return DRAW_FLOPS
    if not isinstance(node.op, Elementwise):
        return 0.0
    op: Any = node.op
    types = [o.type if isinstance(o, Value) else o for o in node.inputs]
    return scalar.flops(op.node_expression(types, node.params))


def cheap_again(node: Node, readers: int) -> bool:
    """Whether `readers` kernels had better compute a node's elements than load them.

    Storing costs one write and a read for each reader; computing costs its flops, and reading the
    operands that are as large as the result.
    """
    out = node.outputs[0]
    large = [v for v in node.values if _full_size(v, out)]
    again = readers * (
        flops_of(node) / VECTOR_FLOPS_PER_NS + sum(v.dtype.itemsize for v in large) / BYTES_PER_NS
    )
    stored = (1 + readers) * out.dtype.itemsize / BYTES_PER_NS
    return bool(again <= stored)


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


def _full_size(v: Value, out: Value) -> bool:
    """Whether an operand takes a load for each element: not one that is repeated."""
    if v.node is not None and v.node.op.name in ("expand", "full"):
        return False
    return len(v.shape) == len(out.shape)


def small_alone(nodes: Sequence[Node], outputs: Sequence[Value]) -> bool:
    """Whether a loop is so small that it is worth no kernel of its own."""
    sizes = [numel(o.shape) for o in outputs]
    return all(isinstance(s, int) and s <= SMALL for s in sizes) and bool(nodes)
