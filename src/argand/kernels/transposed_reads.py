"""Kernels that read an operand across its lines, a transposition above all.

They run in blocks whose lines stay in cache on both sides. In a block, squares of such operands are
read along their lines and transposed in registers; what a square doesn't fill is gathered.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from argand.lowering.affine import Axis
from argand.lowering.emitter import Emitter
from argand.lowering.parallel import cells, product, unflatten, vectors
from argand.lowering.points import Point
from argand.lowering.space import extent, load_stride
from argand.nest.builder import Reg, Ty, static
from argand.nest.transpose import columns_at_once, load_columns

__all__ = ["TransposedReads", "transposed_reads"]

BLOCK = 64
"""Elements along each side of a block: lines enough for the translation of addresses to pay."""

SHORT = 16
"""Below so many elements along an operand's lines there is nothing to gain."""


@dataclasses.dataclass(frozen=True, slots=True)
class TransposedReads:
    """Results are contiguous along the last of the `loops`, the `points` along `axis`."""

    emitter: Emitter
    loops: Sequence[Axis]
    axis: Axis
    points: Sequence[Point]

    def sweep(
        self, lanes: int, ns: float, roots: Sequence[Point], body: Callable[[], None]
    ) -> None:
        """Run `body` over the space in blocks, shared out to threads."""
        emitter, b = self.emitter, self.emitter.b
        pair = (self.loops[-1], self.axis)
        sides = [Axis(f"{a.key}b", -(-self._size(a) // BLOCK)) for a in pair]
        blocks = [a for a in self.loops if a not in pair] + sides
        count = product(b, [emitter.size(extent(emitter, a)) for a in blocks])
        area = math.prod(min(self._size(a), BLOCK) for a in pair)
        with cells(emitter, count, ns * area) as cell:
            unflatten(emitter, blocks, cell)
            emitter.hoist(roots, frozenset(pair))
            across, along = map(self._bounds, pair, sides)
            self._block(lanes, across, along, body)

    def _size(self, axis: Axis) -> int:
        size = static(self.emitter.size(extent(self.emitter, axis)))
        assert size is not None
        return size

    def _bounds(self, axis: Axis, side: Axis) -> tuple[Reg, Reg]:
        b = self.emitter.b
        start = b.mul(self.emitter.at[side], BLOCK)
        return start, b.min(b.add(start, BLOCK), self._size(axis))

    def _block(
        self,
        lanes: int,
        across: tuple[Reg, Reg],
        along: tuple[Reg, Reg],
        body: Callable[[], None],
    ) -> None:
        """`lanes` steps along the axis at once, then the rest one by one."""
        b = self.emitter.b
        low, high = along
        whole = b.add(low, b.mul(b.div(b.sub(high, low), lanes), lanes))
        with b.loop(low, whole, lanes) as loop:
            self._vectors(lanes, across, lambda: self._square(loop.index, lanes, body))
        with b.loop(whole, high) as loop:
            self._vectors(lanes, across, lambda: self._step(loop.index, body))

    def _vectors(self, lanes: int, across: tuple[Reg, Reg], body: Callable[[], None]) -> None:
        vectors(self.emitter, self.loops[-1], lanes, *across, body)

    def _square(self, start: Reg, lanes: int, body: Callable[[], None]) -> None:
        """So many steps of the axis for one vector."""
        emitter, b = self.emitter, self.emitter.b
        if emitter.mask is not None:
            with b.loop(start, b.add(start, lanes)) as loop:
                self._step(loop.index, body)
            return
        transposed = {p: self._columns(p, start, lanes) for p in self.points}
        for step in range(lanes):
            with emitter.scope():
                for point, columns in transposed.items():
                    emitter.remember(point, columns[step])
                self._step(b.add(start, step), body)

    def _step(self, at: Reg, body: Callable[[], None]) -> None:
        with self.emitter.scope():
            self.emitter.at[self.axis] = at
            body()

    def _columns(self, point: Point, start: Reg, lanes: int) -> list[Reg]:
        """The vectors of a square, one for each step along the axis."""
        emitter, b = self.emitter, self.emitter.b
        inner = self.loops[-1]
        buffer = emitter.buffer(point)
        ty = Ty(point.elem, lanes)

        def near(row: int, column: int) -> tuple[Reg, Reg]:
            with emitter.scope():
                emitter.at[inner] = b.add(emitter.at[inner], row)
                emitter.at[self.axis] = b.add(start, column)
                return buffer.pointer, emitter.offset(buffer, point.index)

        parts = range(0, lanes, columns_at_once(ty))
        return [column for part in parts for column in load_columns(b, near, part, ty)]


def transposed_reads(
    emitter: Emitter, loops: Sequence[Axis], points: Sequence[Point]
) -> TransposedReads | None:
    """How operands are transposed that are contiguous along another axis than the last; None where
    there are none."""
    *outer, inner = loops
    if any(static(emitter.size(extent(emitter, a))) is None for a in loops):
        return None
    lines = {p: _line(emitter, outer, inner, p) for p in points}
    axis = next((a for a in lines.values() if a is not None), None)
    if axis is None:
        return None
    transposed = [p for p, a in lines.items() if a is axis and p.guard is None and p.elem != "bool"]
    return TransposedReads(emitter, loops, axis, transposed)


def _line(emitter: Emitter, outer: Sequence[Axis], inner: Axis, point: Point) -> Axis | None:
    """The axis along which an operand is contiguous that is read across its lines."""
    if point.kind != "load" or inner not in point.axes:
        return None
    if load_stride(emitter, inner, point) in (0, 1, None):
        return None
    for axis in outer:
        size = static(emitter.size(extent(emitter, axis)))
        if load_stride(emitter, axis, point) == 1 and size and size >= SHORT:
            return axis
    return None
