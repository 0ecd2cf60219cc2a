"""Points to instructions of a nest, inside the loops that are open.

The emitter has the register of each open loop's axis, the axis that runs along the lanes of
vectors, and the mask of the lanes that exist. What does not change along the lanes is computed as a
scalar. A result is used again for as long as the loop that it was computed in is open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from argand.base.dim import Dim, Extent
from argand.base.errors import CompileError
from argand.ir import scalar
from argand.ir.op import Literal
from argand.ir.program import Value
from argand.ir.scalar import Expr
from argand.lowering.affine import (
    Affine,
    Axis,
    Condition,
    IndexVar,
    LoadedIndex,
    QuotientVar,
    RemainderVar,
)
from argand.lowering.context import LoweringContext, StridedBuffer
from argand.lowering.points import Point, reachable
from argand.nest.builder import IntOrReg, NestBuilder, Reg, Ty, folded

__all__ = ["Emitter", "emit_expression", "lanes_for"]


class Emitter:
    """Emits points. `places` gives the buffer of each value that is loaded."""

    def __init__(
        self, b: NestBuilder, context: LoweringContext, places: dict[Value, StridedBuffer]
    ) -> None:
        self.b, self.context, self.places = b, context, places
        self.at: dict[Axis, Reg] = {}
        self.extents: dict[Axis, Extent] = {}  # of loops that others were folded into
        self.vector: Axis | None = None
        self.lanes = 1
        self.mask: Reg | None = None
        self._memo: list[dict[Any, Reg]] = [{}]

    # scopes ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """What is emitted inside is not used after it; axes and lanes are restored at its end."""
        at, vector, lanes, mask = dict(self.at), self.vector, self.lanes, self.mask
        self._memo.append({})
        yield
        self._memo.pop()
        self.at, self.vector, self.lanes, self.mask = at, vector, lanes, mask

    def along(self, axis: Axis, lanes: int, mask: Reg | None) -> None:
        """Vectors run along the axis from here on."""
        self.vector, self.lanes, self.mask = axis, lanes, mask

    def remember(self, key: Any, reg: Reg) -> None:
        """Use the register wherever the point is asked for, up to the end of the scope."""
        self._memo[-1][key] = reg

    def _found(self, key: Any) -> Reg | None:
        return next((memo[key] for memo in reversed(self._memo) if key in memo), None)

    # sizes and indices ----------------------------------------------------------------------------

    def size(self, size: Extent) -> IntOrReg:
        """A size as a number or a register."""
        return self.context.size(self.b, size)

    def varies(self, axes: frozenset[Axis]) -> bool:
        """Whether something that depends on these axes differs from lane to lane."""
        return self.vector is not None and self.vector in axes

    def step(self, affine: Affine) -> Extent | None:
        """How much the expression grows from lane to lane; None when that differs."""
        return 0 if self.vector is None else affine.coefficient(self.vector)

    def base(self, affine: Affine) -> Reg:
        """The expression in lane 0; only where `step` is a number."""
        b = self.b
        total = b.i64(0)
        for var, c in affine.terms:
            total = b.add(total, b.mul(self._scalar(var), self.size(c)))
        return b.add(total, self.size(affine.const))

    def _scalar(self, var: IndexVar) -> Reg:
        b = self.b
        if isinstance(var, Axis):
            found = self.at.get(var)
            if found is None:
                raise CompileError(f"the loop of {var} is not open here")
            return found
        if isinstance(var, QuotientVar):
            return b.div(self.base(var.dividend), self.size(var.divisor))
        if isinstance(var, RemainderVar):
            return b.rem(self.base(var.dividend), self.size(var.divisor))
        assert isinstance(var, LoadedIndex)
        return self._wrapped(var, b.cast(self.emit(var.point), "int64"))

    def lane_values(self, affine: Affine) -> Reg:
        """The expression in every lane, as an i64 vector."""
        b = self.b
        step = self.step(affine)
        if step is not None:
            start = b.splat(self.base(affine), self.lanes)
            if isinstance(step, int) and step == 0:
                return start
            return b.apply("add", start, b.ramp(self.size(step), self.lanes))
        total = b.const(Ty("int64", self.lanes), 0)
        for var, c in affine.terms:
            part = self._vector(var)
            total = b.apply("add", total, b.apply("mul", part, self.b.index(self.size(c))))
        return b.apply("add", total, self.b.index(self.size(affine.const)))

    def _vector(self, var: IndexVar) -> Reg:
        b = self.b
        if not self.varies(var.axes):
            return b.splat(self._scalar(var), self.lanes)
        if isinstance(var, Axis):
            return b.apply("add", b.splat(self.at[var], self.lanes), b.ramp(1, self.lanes))
        if isinstance(var, QuotientVar | RemainderVar):
            inner = self.lane_values(var.dividend)
            divisor = b.splat(self._divisor(var.divisor), self.lanes)
            quotient = b.quotient(inner, divisor)
            if isinstance(var, QuotientVar):
                return quotient
            return b.apply("sub", inner, b.apply("mul", quotient, divisor))
        assert isinstance(var, LoadedIndex)
        return self._wrapped(var, b.splat(b.cast(self.emit(var.point), "int64"), self.lanes))

    def _divisor(self, size: Extent) -> Reg:
        """A size to divide lanes by. One that is 0 at run time, where there is no element, must not
        end the process."""
        found = self.b.index(self.size(size))
        return found if found.const is not None else self.b.apply("max", found, self.b.i64(1))

    def _wrapped(self, var: LoadedIndex, index: Reg) -> Reg:
        if not var.wraps:
            return index
        b = self.b
        size = self.b.index(self.size(var.size))
        return b.where(b.apply("lt", index, 0), b.apply("add", index, size), index)

    def condition(self, condition: Condition) -> Reg:
        """A bool, one a lane where it differs from lane to lane."""
        b = self.b
        if condition.parts:
            parts = [self.condition(p) for p in condition.parts]
            return b.apply("and", *parts)
        left, right = condition.left, condition.right
        if self.varies(condition.axes):
            x, y = self.lane_values(left), self.lane_values(right)
        else:
            x, y = self.base(left), self.base(right)
        return b.apply(condition.prim, x, y)

    # memory ---------------------------------------------------------------------------------------

    def buffer(self, point: Point) -> StridedBuffer:
        """The buffer that a load reads."""
        assert isinstance(point.value, Value)
        return self.places[point.value]

    def _steps(self, buffer: StridedBuffer, index: Sequence[Affine]) -> tuple[Reg, IntOrReg] | None:
        """(offset in lane 0, elements from lane to lane), when the index is linear in the lane."""
        b = self.b
        steps = [self.step(affine) for affine in index]
        if any(s is None for s in steps):
            return None
        start = self.offset(buffer, index)
        pairs = zip(steps, buffer.strides, strict=True)
        parts = [b.mul(self.size(step), stride) for step, stride in pairs if step is not None]
        return start, folded(b.add(0, *parts))

    def offset(self, buffer: StridedBuffer, index: Sequence[Affine]) -> Reg:
        """The offset of lane 0's element; only where the index is linear in the lane."""
        b = self.b
        total: Reg = b.i64(0)
        for affine, stride in zip(index, buffer.strides, strict=True):
            total = b.add(total, b.mul(self.base(affine), stride))
        return total

    def _offsets(self, buffer: StridedBuffer, index: Sequence[Affine]) -> Reg:
        """The offset of every lane."""
        b = self.b
        total = b.const(Ty("int64", self.lanes), 0)
        for affine, stride in zip(index, buffer.strides, strict=True):
            if isinstance(stride, int) and stride == 0:
                continue
            part = b.apply("mul", self.lane_values(affine), self.b.index(stride))
            total = b.apply("add", total, part)
        return total

    def _masked(self, guard: Reg | None, vector: bool) -> Reg | None:
        if not vector:
            return guard
        if guard is None:
            return self.mask
        guard = self.b.splat(guard, self.lanes)
        return guard if self.mask is None else self.b.apply("and", guard, self.mask)

    def load(
        self, buffer: StridedBuffer, index: Sequence[Affine], guard: Condition | None = None
    ) -> Reg:
        """The element, or the vector of elements, at an index."""
        b = self.b
        elem = Ty(buffer.dtype.name)
        allowed = None if guard is None else self.condition(guard)
        linear = self._steps(buffer, index)
        uniform_guard = allowed is None or allowed.ty.lanes == 1
        if linear is not None:
            start, apart = linear
            if isinstance(apart, int) and apart == 0 and uniform_guard:
                if allowed is not None:  # the first element is there whenever there is any
                    start = b.where(allowed, start, 0)
                return b.load(buffer.pointer, start, elem)
            ty = elem.with_lanes(self.lanes)
            if isinstance(apart, int) and apart == 1:
                return b.load(buffer.pointer, start, ty, self._masked(allowed, True))
            offsets = b.apply("add", b.splat(start, self.lanes), b.ramp(apart, self.lanes))
        else:
            offsets = self._offsets(buffer, index)
        ty = elem.with_lanes(self.lanes)
        return b.gather(buffer.pointer, offsets, ty, self._masked(allowed, True))

    def store(self, buffer: StridedBuffer, index: Sequence[Affine], value: Reg) -> None:
        """Store a value at an index, in the lanes that exist."""
        b = self.b
        value = b.cast(value, buffer.dtype.name)
        linear = self._steps(buffer, index)
        if linear is not None:
            start, apart = linear
            if self.vector is None or (isinstance(apart, int) and apart == 0):
                b.store(buffer.pointer, start, value)
                return
            value = b.splat(value, self.lanes)
            if isinstance(apart, int) and apart == 1:
                b.store(buffer.pointer, start, value, self.mask)
                return
            offsets = b.apply("add", b.splat(start, self.lanes), b.ramp(apart, self.lanes))
        else:
            offsets, value = self._offsets(buffer, index), b.splat(value, self.lanes)
        b.scatter(buffer.pointer, offsets, value, self.mask)

    # points ---------------------------------------------------------------------------------------

    def emit(self, point: Point) -> Reg:
        """The point here: a scalar, or a vector where it differs from lane to lane."""
        found = self._found(point)
        if found is not None:
            return found
        for p in reachable([point], self._found):
            self.remember(p, self._emit_one(p))
        found = self._found(point)
        assert found is not None
        return found

    def hoist(self, roots: Sequence[Point], inner: frozenset[Axis]) -> None:
        """Emit what the roots need and loops over `inner` don't change."""
        pending = {p for p in reachable(roots) if p.kind == "known" and self._found(p) is None}
        for p in reachable(roots):
            if p.axes & inner or p.kind == "const" or self._found(p) is not None:
                continue
            if pending and any(q in pending for q in reachable([p])):
                continue
            if all(axis in self.at for axis in p.axes):
                self.remember(p, self._emit_one(p))

    def _emit_one(self, point: Point) -> Reg:
        b = self.b
        if point.kind == "const":
            assert isinstance(point.value, Literal)
            return b.const(Ty(point.elem), point.value.value)
        if point.kind == "load":
            if _is_empty(point):
                return b.const(Ty(point.elem), 0)
            return self.load(self.buffer(point), point.index, point.guard)
        if point.kind == "same":
            return self.emit(point.args[0])
        if point.kind == "expr":
            return emit_expression(b, point.payload, [self.emit(a) for a in point.args])
        if point.kind == "select":
            chosen = self.condition(point.payload)
            yes, no = (self.emit(a) for a in point.args)
            return b.where(chosen, yes, no)
        if point.kind == "affine":
            return self._affine(point)
        raise CompileError(f"{point} is not computed yet where it is read")

    def _affine(self, point: Point) -> Reg:
        """start + index * step, computed as NumPy does: in int64 or float64."""
        b = self.b
        affine, start, step = point.payload
        index = self.lane_values(affine) if self.varies(affine.axes) else self.base(affine)
        kind = "float64" if isinstance(start, float) or isinstance(step, float) else "int64"
        wide = b.cast(index, kind)
        start, step = (
            b.cast(b.add(self.size(x), 0), kind) if isinstance(x, Dim) else x for x in (start, step)
        )
        value = b.apply("add", b.apply("mul", wide, step), start)
        return b.cast(value, point.elem)


def _is_empty(point: Point) -> bool:
    """Whether a load is from a value that surely has no elements, so that it never runs."""
    return point.kind == "load" and any(isinstance(s, int) and s == 0 for s in point.value.shape)


def emit_expression(b: NestBuilder, expression: Expr, inputs: Sequence[Reg]) -> Reg:
    """A scalar expression on registers."""
    values: dict[Expr, Reg] = {}
    for e in scalar.topological(expression):
        if e.op == "input":
            values[e] = inputs[e.value]
        elif e.op == "const":
            values[e] = b.const(Ty(e.dtype.name), e.value)
        elif e.op == "cast":
            values[e] = b.cast(values[e.args[0]], e.dtype.name)
        else:
            values[e] = b.apply(e.op, *(values[a] for a in e.args))
    return values[expression]


def lanes_for(points: Sequence[Point], vector_bytes: int, axis: Axis | None) -> int:
    """Lanes of a kernel's vectors: a register full of the widest type that is computed with along
    the axis, but no fewer than for 4-byte elements where those are used."""
    sizes = {
        Ty(p.elem).bytes
        for p in points
        if p.kind != "const" and (axis is None or axis in p.axes) and p.elem != "bool"
    }
    widest = max(sizes, default=1)
    if 4 in sizes:
        widest = 4
    return max(1, vector_bytes // widest)
