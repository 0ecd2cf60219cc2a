"""Elements on demand: what an element of a value needs, and how it is computed.

A `Point` is one element of one value (or one vector of them): the value, a symbolic index, and the
condition under which it is asked for. `Demand` expands points by one rule a family of ops - the
same index for elementwise ops, a transformed one for moves, a loaded one for gathers - down to
loads from buffers and to results that the kernel has already (`known`). Equal points are one point,
so nothing is computed twice. `Emitter` emits points at its place in a nest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from argand.base.dim import Dim, same
from argand.base.dtype import DType, int64
from argand.base.errors import CompileError
from argand.ir import scalar
from argand.ir.op import Literal
from argand.ir.program import Node, Operand, Value
from argand.lowering.affine import (
    FORMS,
    ZERO,
    Affine,
    Axis,
    Condition,
    LoadedIndex,
    affine_of,
    both,
    linearised,
)

Rule = Callable[["Demand", Node, "Point"], None]

MAX_POINTS = 4000


class Point:
    """An element of a value. `kind` says how it comes: load, known, const, expr, select, call."""

    __slots__ = ("args", "axes", "guard", "index", "key", "kind", "payload", "value")

    kind: str
    args: tuple[Point, ...]
    axes: frozenset[Axis]
    payload: Any

    def __init__(
        self, value: Value | Literal, index: tuple[Affine, ...], guard: Condition | None, key: str
    ) -> None:
        self.value, self.index, self.guard, self.key = value, index, guard, key
        self.kind, self.args, self.payload = "", (), None
        self.axes = frozenset()

    def __repr__(self) -> str:
        return f"<{self.kind} {self.key}>"

    @property
    def elem(self) -> str:
        """The element type."""
        return self.value.dtype.name

    def settle(self, kind: str, args: Sequence[Point] = (), payload: Any = None) -> None:
        """Say how the point comes; its axes are those of its operands and of its own index."""
        self.kind, self.args, self.payload = kind, tuple(args), payload
        found: set[Axis] = set()
        for arg in self.args:
            found |= arg.axes
        if kind in ("load", "known"):
            for form in self.index:
                found |= form.axes
        if kind in ("load", "select") and self.guard is not None:
            found |= self.guard.axes
        for part in _forms_in(payload):
            found |= part.axes
        self.axes = frozenset(found)


def _forms_in(payload: Any) -> Iterator[Affine | Condition]:
    if isinstance(payload, Affine | Condition):
        yield payload
    elif isinstance(payload, tuple):
        for part in payload:
            yield from _forms_in(part)


class Demand:
    """The points of one kernel, over a region of nodes.

    `leaves` are values that are not looked into: buffers. `known` are results of reductions, which
    the schedule puts in place before they are asked for.
    """

    def __init__(self, leaves: Sequence[Value], known: Sequence[Value] = ()) -> None:
        self.leaves = frozenset(leaves)
        self.known = frozenset(known)
        self.points: dict[tuple[Any, str], Point] = {}
        self._numbers: dict[Any, int] = {}

    def point(
        self, value: Operand, index: Sequence[Affine], guard: Condition | None = None
    ) -> Point:
        """The element of `value` at `index`, expanded down to what the kernel has."""
        index = tuple(index)
        if isinstance(value, Literal):
            index, guard = (), None
        elif value in self.known:  # nothing is read, so nothing is to be kept from being read
            guard = None
        number = self._numbers.setdefault(
            (value.dtype, repr(value.value)) if isinstance(value, Literal) else value,
            len(self._numbers),
        )
        text = ",".join(form.key for form in index)
        key = f"{number}({text})" + ("" if guard is None else f"?{guard.key}")
        found = self.points.get((number, key))
        if found is not None:
            return found
        if len(self.points) > MAX_POINTS:
            raise CompileError("a fused kernel asks for too many elements")
        point = Point(value, index, guard, key)
        self.points[number, key] = point
        self._expand(point)
        return point

    def position(self, form: Affine, dtype: DType) -> Point:
        """A form as a value."""
        key = f"<{form.key}:{dtype.short}>"
        found = self.points.get((-2, key))
        if found is None:
            found = self.points[-2, key] = Point(Literal(dtype, 0), (), None, key)
            found.settle("affine", (), (form, 0, 1))
        return found

    def _expand(self, point: Point) -> None:
        value = point.value
        if isinstance(value, Literal):
            point.settle("const")
        elif value in self.known:
            point.settle("known")
        elif value in self.leaves:
            point.settle("load")
        elif value.node is None:
            raise CompileError(f"{value!r} is not in reach of the kernel")
        else:
            rule = rule_for(value.node)
            if rule is None:
                raise CompileError(f"{value.node.op.name} has no elements on demand")
            rule(self, value.node, point)


def rule_for(node: Node) -> Rule | None:
    """The rule of the op, or of its family; None when it has no elements on demand."""
    named = RULES.get(node.op.name)
    if named is not None:
        return named
    for cls in type(node.op).__mro__:
        if cls.__name__ == "Reduce" and not _is_trivial(node):
            return None
        if cls.__name__ in FAMILY_RULES:
            return FAMILY_RULES[cls.__name__]
    return None


def _is_trivial(node: Node) -> bool:
    """Whether a reduction is over dimensions of size 1 only, and so gives its operand."""
    shape = node.values[0].shape
    return not node.op.name.startswith("arg") and all(same(shape[d], 1) for d in node.params["dim"])


# rules --------------------------------------------------------------------------------------------


def _elementwise(demand: Demand, node: Node, point: Point) -> None:
    types = [o.type if isinstance(o, Value) else o for o in node.inputs]
    op: Any = node.op
    expression = op.node_expression(types, node.params)
    args = [demand.point(o, point.index, point.guard) for o in node.inputs]
    point.settle("expr", args, expression)


def _move(demand: Demand, node: Node, point: Point) -> None:
    op: Any = node.op
    shapes = [v.shape for v in node.values]
    source = type(op).source
    if getattr(op, "several", False):
        found = source(FORMS, point.index, shapes, node.params)
    else:
        found = [source(FORMS, point.index, shapes[0], node.params)]
    chosen: Point | None = None
    for value, (index, valid) in zip(node.inputs, found, strict=True):
        forms = tuple(affine_of(i) for i in index)
        if valid is None:
            chosen = demand.point(value, forms, point.guard)
            continue
        inside = demand.point(value, forms, both(point.guard, valid))
        other = chosen if chosen is not None else _filler(demand, node, inside)
        chosen = _select(demand, node, valid, inside, other)
    assert chosen is not None
    point.settle("same", (chosen,))


def _filler(demand: Demand, node: Node, inside: Point) -> Point:
    """What stands where no operand reaches: the padding's value, or anything."""
    dtype = node.outputs[0].dtype
    return demand.point(Literal(dtype, node.params.get("value", _ZEROS[dtype.kind])), ())


_ZEROS: dict[str, Any] = {"b": False, "i": 0, "u": 0, "f": 0.0, "c": 0.0}


def _select(demand: Demand, node: Node, valid: Condition, yes: Point, no: Point) -> Point:
    key = f"({valid.key}?{yes.key}:{no.key})"
    found = demand.points.get((-1, key))
    if found is None:
        found = demand.points[-1, key] = Point(node.outputs[0], (), None, key)
        found.settle("select", (yes, no), valid)
    return found


def _full(demand: Demand, node: Node, point: Point) -> None:
    value = node.params["value"]
    if isinstance(value, Dim):
        point.settle("affine", (), (affine_of(value), 0, 1))
        return
    literal = demand.point(Literal(node.params["dtype"], value), ())
    point.settle("same", (literal,))


def _arange(demand: Demand, node: Node, point: Point) -> None:
    point.settle("affine", (), (point.index[0], node.params["start"], node.params["step"]))


def _gather(demand: Demand, node: Node, point: Point) -> None:
    """y[.., i, ..] = x[.., index[.., i, ..], ..]."""
    x, index = node.values
    place = demand.point(index, point.index, point.guard)
    dim = node.params["dim"]
    source = list(point.index)
    source[dim] = affine_of(LoadedIndex(place, x.shape[dim]))
    point.settle("same", (demand.point(x, source, point.guard),))


def _embedding(demand: Demand, node: Node, point: Point) -> None:
    """y[.., j] = weight[index[..], j]."""
    weight, index = node.values
    row = demand.point(index, point.index[:-1], point.guard)
    source = (affine_of(LoadedIndex(row, weight.shape[0])), point.index[-1])
    point.settle("same", (demand.point(weight, source, point.guard),))


def _index(demand: Demand, node: Node, point: Point) -> None:
    """Integer-array indexing: the looked-up dimensions come first, or where they stand together."""
    x, *indices = node.values
    dims = node.params["dims"]
    rank = len(indices[0].shape)
    first = dims[0] if tuple(dims) == tuple(range(dims[0], dims[0] + len(dims))) else 0
    looked = point.index[first : first + rank]
    others = iter((*point.index[:first], *point.index[first + rank :]))
    at = {
        d: affine_of(LoadedIndex(demand.point(i, looked, point.guard), x.shape[d], wraps=True))
        for d, i in zip(dims, indices, strict=True)
    }
    source = [at[d] if d in at else next(others) for d in range(len(x.shape))]
    point.settle("same", (demand.point(x, source, point.guard),))


def _random(demand: Demand, node: Node, point: Point) -> None:
    """A draw: a function of the generator's key and ticket and of the element's position."""
    (state,) = node.values
    key, ticket = (demand.point(state, (affine_of(i),)) for i in (0, 1))
    place = linearised(point.index, node.outputs[0].shape)
    args = [key, ticket, demand.position(place, int64)]
    op: Any = node.op
    inputs = [scalar.scalar_input(i, int64) for i in range(3)]
    point.settle("expr", args, op.element(scalar.BUILDER, *inputs, node.params))


def _trivial_reduction(demand: Demand, node: Node, point: Point) -> None:
    """A reduction over dimensions of size 1 is its operand."""
    (x,) = node.values
    dims = node.params["dim"]
    given = iter(point.index)
    keepdim = node.params["keepdim"]
    index = []
    for d in range(len(x.shape)):
        form = next(given) if keepdim or d not in dims else ZERO
        index.append(ZERO if d in dims else form)
    point.settle("same", (demand.point(x, index, point.guard),))


FAMILY_RULES: dict[str, Rule] = {
    "Elementwise": _elementwise,
    "Move": _move,
    "Random": _random,
    "Reduce": _trivial_reduction,
}
RULES: dict[str, Rule] = {
    "full": _full,
    "arange": _arange,
    "gather": _gather,
    "embedding": _embedding,
    "index": _index,
}

GATHERS = frozenset(("gather", "embedding", "index"))


# looking at what is demanded ----------------------------------------------------------------------


def reachable(
    roots: Sequence[Point], known: Callable[[Point], object] = lambda point: None
) -> list[Point]:
    """The points below the roots, operands first; the points of loaded indices included, those that
    are `known` and what only they need left out."""
    order: dict[Point, None] = {}
    stack: list[tuple[Point, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        point, ready = stack.pop()
        if ready:
            order[point] = None
        elif point not in order and not known(point):
            stack.append((point, True))
            stack.extend((p, False) for p in operands(point) if p not in order)
    return list(order)


def operands(point: Point) -> list[Point]:
    """The points that a point needs first."""
    found = list(point.args)
    if point.kind == "load":
        for form in point.index:
            found += [v.point for v, _ in form.terms if isinstance(v, LoadedIndex)]
    return found
