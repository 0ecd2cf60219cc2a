"""Elements on demand: what an element of an op's result is computed from.

`Demand` expands points by one rule a family of ops - the same index for elementwise ops, a
transformed one for moves, a loaded one for gathers - down to loads from buffers and to results that
the kernel has already (`known`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

from argand.base.dim import Dim, same
from argand.base.dtype import bool_, int64
from argand.base.errors import CompileError
from argand.ir import scalar
from argand.ir.elementwise import Elementwise
from argand.ir.families import Checked, Create, Gather, Move, Random, Reduce
from argand.ir.op import Op
from argand.ir.program import Node, Value
from argand.lowering.affine import (
    AFFINE,
    ZERO,
    affine_of,
    both,
    linearised,
)
from argand.lowering.points import Point, Points
from argand.lowering.pooling import POOLING_RULES

__all__ = ["Demand", "rule_for"]

Rule = Callable[[Points, Node, Point], None]


class Demand(Points):
    """The points of one kernel, expanded by the rules of the ops."""

    def expand_node(self, node: Node, point: Point) -> None:
        rule = rule_for(node)
        if rule is None:
            raise CompileError(f"{node.op.name} has no elements on demand")
        rule(self, node, point)


def rule_for(node: Node) -> Rule | None:
    """The rule of the op's family; None when it has no elements on demand."""
    if isinstance(node.op, Reduce) and not _is_trivial(node.op, node):
        return None
    return _rule_of(node.op)


@cache
def _rule_of(op: Op) -> Rule | None:
    return next((rule for family, rule in RULES if isinstance(op, family)), None)


def _is_trivial(op: Reduce, node: Node) -> bool:
    """Whether a reduction is over dimensions of size 1 only, and so gives its operand."""
    shape = node.values[0].shape
    return not op.finds_position and all(same(shape[d], 1) for d in node.params["dim"])


# rules --------------------------------------------------------------------------------------------


def _elementwise(demand: Points, node: Node, point: Point) -> None:
    types = [o.type if isinstance(o, Value) else o for o in node.inputs]
    op: Any = node.op
    expression = op.node_expression(types, node.params)
    args = [demand.point(o, point.index, point.guard) for o in node.inputs]
    point.settle("expr", args, expression)


def _checked(demand: Points, node: Node, point: Point) -> None:
    (x,), op = node.inputs, cast(Checked, node.op)
    refused = type(op).refused
    assert refused is not None
    expression = scalar.trace_body(refused, [x.dtype], bool_)
    element = demand.point(x, point.index, point.guard)
    point.refused = demand.computed(expression, element)
    point.settle("same", (element,))


def _move(demand: Points, node: Node, point: Point) -> None:
    op: Any = node.op
    shapes = [v.shape for v in node.values]
    source = type(op).source
    if op.several:
        found = source(AFFINE, point.index, shapes, node.params)
    else:
        found = [source(AFFINE, point.index, shapes[0], node.params)]
    chosen: Point | None = None
    for value, (index, valid) in zip(node.inputs, found, strict=True):
        affines = tuple(affine_of(i) for i in index)
        if valid is None:
            chosen = demand.point(value, affines, point.guard)
            continue
        inside = demand.point(value, affines, both(point.guard, valid))
        other = chosen if chosen is not None else _filler(demand, node)
        chosen = demand.select(valid, inside, other)
    assert chosen is not None
    point.settle("same", (chosen,))


def _filler(demand: Points, node: Node) -> Point:
    """What is given where no operand reaches: the padding's value, or anything."""
    dtype = node.outputs[0].dtype
    return demand.const(node.params.get("value", _ZEROS[dtype.kind]), dtype)


_ZEROS: dict[str, Any] = {"b": False, "i": 0, "u": 0, "f": 0.0, "s": 0.0, "c": 0.0}


def _create(demand: Points, node: Node, point: Point) -> None:
    op: Any = node.op
    value = op.constant(node.params)
    if value is None:
        point.settle("affine", (), type(op).progression(point.index, node.params))
    elif isinstance(value, Dim):
        point.settle("affine", (), (affine_of(value), 0, 1))
    else:
        point.settle("same", (demand.const(value, node.outputs[0].dtype),))


def _gather(demand: Points, node: Node, point: Point) -> None:
    """y[i] = x[index[i]]."""
    op: Any = node.op
    shapes = [v.shape for v in node.values]
    look = demand.look(node, point)
    source = tuple(map(affine_of, type(op).source(point.index, look, shapes, node.params)))
    point.settle("same", (demand.point(node.inputs[0], source, point.guard),))


def _random(demand: Points, node: Node, point: Point) -> None:
    """A draw: a function of the generator's key and ticket and of the element's position."""
    (state,) = node.values
    key, ticket = (demand.point(state, (affine_of(i),)) for i in (0, 1))
    place = linearised(point.index, node.outputs[0].shape)
    args = [key, ticket, demand.position(place, int64)]
    op: Any = node.op
    inputs = [scalar.scalar_input(i, int64) for i in range(3)]
    point.settle("expr", args, op.element(scalar.BUILDER, *inputs, node.params))


def _trivial_reduction(demand: Points, node: Node, point: Point) -> None:
    """A reduction over dimensions of size 1 is its operand."""
    (x,) = node.values
    dims = node.params["dim"]
    given = iter(point.index)
    keepdim = node.params["keepdim"]
    index = []
    for d in range(len(x.shape)):
        affine = next(given) if keepdim or d not in dims else ZERO
        index.append(ZERO if d in dims else affine)
    point.settle("same", (demand.point(x, index, point.guard),))


RULES: tuple[tuple[type[Op], Rule], ...] = (
    (Elementwise, _elementwise),
    (Checked, _checked),
    (Move, _move),
    (Create, _create),
    (Random, _random),
    (Gather, _gather),
    (Reduce, _trivial_reduction),
    *POOLING_RULES,
)
