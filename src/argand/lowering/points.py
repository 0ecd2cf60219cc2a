"""Points: single elements of values, and what each of them is computed from.

A `Point` is one element of one value (or one vector of them): the value, a symbolic index, and the
condition under which it is asked for. `Points` holds those of one kernel, each once, however often
it is asked for; `lowering/element.py` says what the point of each op's result is computed from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from argand.base.dim import Extent, same
from argand.base.dtype import DType, bool_
from argand.base.errors import CompileError
from argand.ir.op import Literal
from argand.ir.program import Node, Operand, Value
from argand.ir.scalar import Expr
from argand.lowering.affine import ZERO, Affine, Axis, Condition, LoadedIndex, affine_of

Look = Callable[..., Affine]

MAX_POINTS = 4000
LONGEST_KEY = 400


class Point:
    """An element of a value. `kind` says how it comes: load, known, const, expr, select,
    affine, or the same as another."""

    __slots__ = (
        "args",
        "axes",
        "guard",
        "index",
        "key",
        "kind",
        "looked",
        "payload",
        "refused",
        "value",
    )

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
        # What a kernel looks at before any result is written: indices, which must be in range, and
        # a boolean that says whether it must fail.
        self.looked: tuple[LoadedIndex, ...] = ()
        self.refused: Point | None = None

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
            for affine in self.index:
                found |= affine.axes
        if kind in ("load", "select") and self.guard is not None:
            found |= self.guard.axes
        for part in _affines_in(payload):
            found |= part.axes
        self.axes = frozenset(found)


def _affines_in(payload: Any) -> Iterator[Affine | Condition]:
    if isinstance(payload, Affine | Condition):
        yield payload
    elif isinstance(payload, tuple):
        for part in payload:
            yield from _affines_in(part)


class Points:
    """The points of one kernel, over a region of nodes.

    `leaves` are values that are not looked into: buffers. `known` are results of reductions, which
    the schedule puts in place before they are asked for. A subclass states `expand_node`.
    """

    def __init__(self, leaves: Sequence[Value], known: Sequence[Value] = ()) -> None:
        self.leaves = frozenset(leaves)
        self.known = frozenset(known)
        self.points: dict[tuple[Any, str], Point] = {}
        self._numbers: dict[Any, int] = {}

    def expand_node(self, node: Node, point: Point) -> None:
        """Settle the point of a node's result, by points of its operands."""
        raise CompileError(f"{node.op.name} has no elements on demand")

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
        text = ",".join(affine.key for affine in index)
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
            self.expand_node(value.node, point)

    def look(self, node: Node, point: Point) -> Look:
        """The `look` of a gather or scatter (`ir/families.py`): places are loaded indices, of which
        the point is told."""

        def look(number: int, index: Sequence[Affine], size: Extent, wraps: bool = False) -> Affine:
            operand = node.inputs[number]
            if any(same(extent, 0) for extent in operand.shape):
                return ZERO  # nothing is ever read there, and so nothing is checked
            place = self.point(operand, index, point.guard)
            loaded = LoadedIndex(place, size, wraps)
            point.looked += (loaded,)
            return affine_of(loaded)

        return look

    # points that are no elements of the program's values ------------------------------------------

    def const(self, value: Any, dtype: DType) -> Point:
        """A number."""
        return self.point(Literal(dtype, value), ())

    def position(self, affine: Affine, dtype: DType) -> Point:
        """An affine expression as a value."""
        return self._made(-2, f"<{affine.key}:{dtype.short}>", dtype, "affine", (), (affine, 0, 1))

    def computed(self, expression: Expr, *args: Point) -> Point:
        """A scalar expression of points."""
        key = f"{{{expression} of {','.join(a.key for a in args)}}}"
        return self._made(-3, key, expression.dtype, "expr", args, expression)

    def select(self, valid: Condition | None, yes: Point, no: Point) -> Point:
        """`yes` where the condition holds, `no` elsewhere."""
        if valid is None:
            return yes
        key = f"({valid.key}?{yes.key}:{no.key})"
        return self._made(-1, key, yes.value.dtype, "select", (yes, no), valid)

    def truth(self, valid: Condition | None) -> Point:
        """A condition as a value."""
        yes = self.const(True, bool_)
        return yes if valid is None else self.select(valid, yes, self.const(False, bool_))

    def _made(
        self, group: int, key: str, dtype: DType, kind: str, args: Sequence[Point], payload: Any
    ) -> Point:
        key = _short(key)
        found = self.points.get((group, key))
        if found is None:
            found = self.points[group, key] = Point(Literal(dtype, 0), (), None, key)
            found.settle(kind, args, payload)
        return found


def _short(key: str) -> str:
    """The key itself, or its digest where it is long: keys hold those of the operands, often twice,
    and would double with each tap of a window."""
    if len(key) <= LONGEST_KEY:
        return key
    return f"#{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}"


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
        for affine in point.index:
            found += [v.point for v, _ in affine.terms if isinstance(v, LoadedIndex)]
    return found
