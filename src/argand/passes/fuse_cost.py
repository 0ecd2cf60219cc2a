"""What it costs to compute an element again, against storing it: the one rule of inlining."""

from __future__ import annotations

from collections.abc import Sequence

from argand.base.shape import numel
from argand.ir.families import Move, Window
from argand.ir.program import Node, Value
from argand.kernels.cost import BYTES_PER_NS, SMALL, VECTOR_FLOPS_PER_NS, flops_of

__all__ = ["cheap_again", "small_alone"]


def cheap_again(node: Node, readers: int) -> bool:
    """Whether `readers` kernels had better compute a node's elements than load them.

    Storing costs one write and a read for each reader; computing costs its flops, and reading the
    operands that are as large as the result. An element of a pooling reads a whole window.
    """
    if isinstance(node.op, Window):
        return False
    out = node.outputs[0]
    large = [v for v in node.values if _full_size(v, out)]
    again = readers * (
        flops_of(node) / VECTOR_FLOPS_PER_NS + sum(v.dtype.itemsize for v in large) / BYTES_PER_NS
    )
    stored = (1 + readers) * out.dtype.itemsize / BYTES_PER_NS
    return bool(again <= stored)


def _full_size(v: Value, out: Value) -> bool:
    """Whether an operand takes a load for each element: not one that is repeated."""
    maker = v.node
    if maker is not None and (
        maker.op.constant(maker.params) is not None
        or (isinstance(maker.op, Move) and maker.op.repeats)
    ):
        return False
    return len(v.shape) == len(out.shape)


def small_alone(nodes: Sequence[Node], outputs: Sequence[Value]) -> bool:
    """Whether a loop is so small that it is worth no kernel of its own."""
    sizes = [numel(o.shape) for o in outputs]
    return all(isinstance(s, int) and s <= SMALL for s in sizes) and bool(nodes)
