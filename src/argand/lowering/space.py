"""Iteration spaces: the loops of a kernel, their order, and the index of each value in them.

A space starts with an axis for each dimension of one value, its anchor. Where a reshape asks for a
quotient of an axis, the axis is split, so that reshapes cost nothing; where two
neighbouring axes step through all memory as one would, they are folded into one, so that a loop is
as long as it can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from argand.base.dim import Extent, same
from argand.base.shape import numel
from argand.ir.elementwise import Elementwise
from argand.ir.families import Move, Pool, Reduce
from argand.ir.program import Node, Value
from argand.lowering.affine import (
    AFFINE,
    ZERO,
    Affine,
    Axis,
    Condition,
    IndexVar,
    QuotientVar,
    RemainderVar,
    add,
    affine_of,
    exact_quotient,
    surely_positive,
)
from argand.lowering.context import StridedBuffer
from argand.lowering.emitter import Emitter
from argand.lowering.points import Point
from argand.nest.builder import IntOrReg, Reg, folded

ElementIndex = tuple[Affine, ...]
MAX_SPLITS = 12


class Space:
    """The axes of an anchor's shape: `digits[d]` are the axes of dimension d, outermost first."""

    def __init__(self, shape: Sequence[Extent], prefix: str = "i") -> None:
        self.shape = tuple(shape)
        self.digits: list[list[Axis]] = [[Axis(f"{prefix}{d}", s)] for d, s in enumerate(shape)]

    def __str__(self) -> str:
        return " x ".join(str(axis.extent) for axis in self.axes) or "one element"

    @property
    def axes(self) -> list[Axis]:
        """All axes, in the order of the dimensions; those of extent 1 are not loops."""
        return [a for digits in self.digits for a in digits if not _is_one(a.extent)]

    @property
    def index(self) -> ElementIndex:
        """The anchor's index."""
        found = []
        for digits in self.digits:
            affine = ZERO
            for axis in digits:
                own = ZERO if _is_one(axis.extent) else affine_of(axis)
                affine = add(own, affine, axis.extent)
            found.append(affine)
        return tuple(found)

    def split(self, axis: Axis, divisor: Extent) -> bool:
        """Make two axes of one, the inner of extent `divisor`; False when it isn't a multiple."""
        outer = exact_quotient(axis.extent, divisor)
        if outer is None or _is_one(outer) or _is_one(divisor):
            return False
        for digits in self.digits:
            if axis in digits:
                at = digits.index(axis)
                halves = [Axis(f"{axis.key}a", outer), Axis(f"{axis.key}b", divisor)]
                digits[at : at + 1] = halves
                return True
        return False

    def refine(self, points: Iterable[Point]) -> bool:
        """Split one axis that is asked for in parts; False when there is none."""
        for var in variables(points):
            if not isinstance(var, QuotientVar | RemainderVar):
                continue
            terms = var.dividend.terms
            for axis, c in terms:
                share = exact_quotient(var.divisor, c)
                if share is None or not surely_positive(share):
                    continue  # an axis of negative stride is not split
                if isinstance(axis, Axis) and self.split(axis, share):
                    return True
        return False


def _is_one(size: Extent) -> bool:
    return isinstance(size, int) and size == 1


def variables(points: Iterable[Point]) -> list[IndexVar]:
    """The variables in the points' indices and conditions, inner ones included."""
    found: dict[IndexVar, None] = {}
    stack: list[Affine] = []
    for point in points:
        stack += affines_of(point)
    while stack:
        for var, _ in stack.pop().terms:
            if var not in found:
                found[var] = None
                if isinstance(var, QuotientVar | RemainderVar):
                    stack.append(var.dividend)
    return list(found)


def affines_of(point: Point) -> list[Affine]:
    """The affine expressions that a point itself computes with."""
    found = list(point.index) if point.kind in ("load", "known") else []
    if point.kind == "affine":
        found.append(point.payload[0])
    conditions = [c for c in (point.guard, point.payload) if isinstance(c, Condition)]
    for condition in conditions:
        found += _condition_affines(condition)
    return found


def _condition_affines(condition: Condition) -> list[Affine]:
    if condition.parts:
        return [f for p in condition.parts for f in _condition_affines(p)]
    return [condition.left, condition.right]


# the index of each value -------------------------------------------------------------------------


def locate(nodes: Sequence[Node], anchor: Value, index: ElementIndex) -> dict[Value, ElementIndex]:
    """The index of each value that elementwise ops, permutes, reshapes and casts connect to the
    anchor, as affine expressions of the anchor's axes."""
    found: dict[Value, ElementIndex] = {anchor: index}
    before = 0
    while len(found) > before:  # there and back: from results to operands, then the other way
        before = len(found)
        for node in (*reversed(nodes), *nodes):
            _locate_node(node, found)
    return found


def connected(nodes: Sequence[Node]) -> dict[Value, list[Node]]:
    """For each value of some nodes those that it is connected with, through whatever they read and
    compute, in order: `locate` finds nothing beyond them."""
    parts: dict[Value, list[tuple[int, Node]]] = {}
    for number, node in enumerate(nodes):
        touched = [*node.values, *node.outputs]
        joined = {id(part): part for v in touched if (part := parts.get(v)) is not None}
        largest: list[tuple[int, Node]] = max(joined.values(), key=len, default=[])
        largest.append((number, node))
        for part in joined.values():
            if part is not largest:
                largest += part
                parts.update((v, largest) for _, n in part for v in (*n.values, *n.outputs))
        parts.update(dict.fromkeys(touched, largest))
    ordered = {id(part): [n for _, n in sorted(part, key=itemgetter(0))] for part in parts.values()}
    return {v: ordered[id(part)] for v, part in parts.items()}


def _locate_node(node: Node, found: dict[Value, ElementIndex]) -> None:
    if isinstance(node.op, Elementwise):
        values = [*node.values, *node.outputs]
        known = next((found[v] for v in values if v in found), None)
        if known is not None:
            for v in values:
                found.setdefault(v, known)
    elif isinstance(node.op, Pool):
        known = next((found[o] for o in node.outputs if o in found), None)
        if known is not None:
            found.update(dict.fromkeys(node.outputs, known))
    elif isinstance(node.op, Reduce):
        (x,), (y,) = node.values, node.outputs
        if x in found and y not in found:
            found[y] = _kept(node, found[x])
    elif isinstance(node.op, Move) and (node.op.repeats or node.op.target is not None):
        (x,), (y,) = node.values, node.outputs
        if y in found and x not in found:
            found[x] = _source(node, found[y])
        elif x in found and y not in found and node.op.target is not None:
            found[y] = _target(node, found[x])


def _source(node: Node, index: ElementIndex) -> ElementIndex:
    """The input's index of the output's element at `index`."""
    op: Any = node.op
    found, _ = type(op).source(AFFINE, index, node.values[0].shape, node.params)
    return tuple(affine_of(i) for i in found)


def _kept(node: Node, index: ElementIndex) -> ElementIndex:
    """The index of a reduction's result."""
    dims = node.params["dim"]
    if node.params["keepdim"]:
        return tuple(ZERO if d in dims else f for d, f in enumerate(index))
    return tuple(f for d, f in enumerate(index) if d not in dims)


def _target(node: Node, index: ElementIndex) -> ElementIndex:
    """The output's index of the element at `index` of the input."""
    op: Any = node.op
    found = type(op).target(AFFINE, index, node.values[0].shape, node.params)
    return tuple(affine_of(i) for i in found)


def covers(index: ElementIndex, value: Value, space: Space) -> bool:
    """Whether a value has exactly one element for each point of the space."""
    axes: frozenset[Axis] = frozenset().union(*(f.axes for f in index))
    if not all(f.linear() for f in index) or not same(numel(value.shape), numel(space.shape)):
        return False
    return axes == frozenset(space.axes)


def same_index(a: ElementIndex, b: ElementIndex) -> bool:
    """Whether two indices are the same expressions."""
    return [f.key for f in a] == [f.key for f in b]


# order --------------------------------------------------------------------------------------------


def by_strides(
    emitter: Emitter, axes: Sequence[Axis], buffer: StridedBuffer, index: ElementIndex
) -> list[Axis]:
    """The axes in the order in which a buffer holds them, outermost first."""

    def weight(axis: Axis) -> float:
        stride = stride_along(emitter, axis, buffer, index)
        return float(stride) if isinstance(stride, int) else float("inf")

    order = sorted(range(len(axes)), key=lambda i: (-weight(axes[i]), i))
    return [axes[i] for i in order]


def stride_along(
    emitter: Emitter, axis: Axis, buffer: StridedBuffer, index: ElementIndex
) -> IntOrReg | None:
    """Elements that a step along the axis moves in memory; None when that is no fixed number."""
    b = emitter.b
    total: IntOrReg = 0
    for affine, stride in zip(index, buffer.strides, strict=True):
        c = affine.coefficient(axis)
        if c is None:
            return None
        total = folded(b.add(total, b.mul(emitter.size(c), stride)))
    return total


def load_stride(emitter: Emitter, axis: Axis, point: Point) -> IntOrReg | None:
    """The same of the elements that a load reads."""
    return stride_along(emitter, axis, emitter.buffer(point), point.index)


def fold(
    emitter: Emitter,
    axes: list[Axis],
    points: Sequence[Point],
    stores: Sequence[tuple[StridedBuffer, ElementIndex]],
) -> list[Axis]:
    """The axes with neighbours folded where every access steps through them as through one.

    A folded axis stays at 0 and the one inside it grows; `emitter` is told. Returns the loops left;
    their extents are in `extents`.
    """
    rest = list(axes)
    at = len(rest) - 2
    while at >= 0:
        outer, inner = rest[at], rest[at + 1]
        if _foldable(emitter, outer, inner, points, stores):
            emitter.at[outer] = emitter.b.i64(0)
            emitter.extents[inner] = extent(emitter, outer) * extent(emitter, inner)
            del rest[at]
        at -= 1
    return rest


def extent(emitter: Emitter, axis: Axis) -> Extent:
    """The extent of a loop after folding."""
    return emitter.extents.get(axis, axis.extent)


def _foldable(
    emitter: Emitter,
    outer: Axis,
    inner: Axis,
    points: Sequence[Point],
    stores: Sequence[tuple[StridedBuffer, ElementIndex]],
) -> bool:
    accesses = list(stores)
    for point in points:
        if point.kind == "load" and point.guard is None:
            accesses.append((emitter.buffer(point), point.index))
        elif point.kind == "affine" and point.guard is None:
            affine = point.payload[0]
            if not _even(emitter, affine.coefficient(outer), affine.coefficient(inner), inner):
                return False
        elif any(affine.axes & {outer, inner} for affine in affines_of(point)):
            return False
    for buffer, index in accesses:
        apart = [stride_along(emitter, a, buffer, index) for a in (outer, inner)]
        if not _even(emitter, apart[0], apart[1], inner):
            return False
    return True


def _even(
    emitter: Emitter, outer: Extent | Reg | None, inner: Extent | Reg | None, axis: Axis
) -> bool:
    """outer == inner * extent of the inner axis, for sure."""
    if outer is None or inner is None:
        return False
    b = emitter.b
    values = [v if isinstance(v, int | Reg) else emitter.size(v) for v in (outer, inner)]
    want = folded(b.mul(values[1], emitter.size(extent(emitter, axis))))
    have = folded(values[0])
    if isinstance(want, int) or isinstance(have, int):
        return want == have
    return want is have
