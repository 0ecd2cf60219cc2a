"""The blocks of k and the tables of addresses that one block of a contraction needs.

K is cut into blocks: at most `K_BLOCK` neighbours of the innermost axis, or several whole runs of
it when it is shorter. Where an operand is not a plain matrix, small tables hold, for each outer
step of the block, offsets and the range of the innermost axis, and for each row the pointer to
start from.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from argand.kernels.contraction.geometry import Geometry
from argand.kernels.contraction.plan import K_BLOCK
from argand.kernels.contraction.spec import Bound, Contraction, ContractionAxis
from argand.lowering.parallel import SERIAL_NS
from argand.nest.builder import I64, PTR, IntOrReg, NestBuilder, Reg, Ty, static

__all__ = [
    "KBlock",
    "KBlocks",
    "RowTable",
    "StepTable",
    "column_offset",
    "dot",
    "extent_of",
    "result_index",
    "spread",
    "unflatten",
]


def extent_of(b: NestBuilder, axes: Iterable[ContractionAxis]) -> Reg:
    """The number of elements that axes span together."""
    return b.mul(1, *(axis.extent for axis in axes))


def rest(b: NestBuilder, total: Reg, start: Reg, most: Reg) -> Reg:
    """How many of a block of `most` there are from `start` on."""
    whole, block = static(total), static(most)
    if whole and block:
        if whole % block == 0:
            return most
        if whole < block:
            return total
    return b.max(b.min(b.sub(total, start), most), 0)


def unflatten(
    b: NestBuilder, axes: tuple[ContractionAxis, ...], flat: Reg
) -> dict[ContractionAxis, Reg]:
    """The index of each axis from their flattened, row-major index."""
    index: dict[ContractionAxis, Reg] = {}
    for axis in reversed(axes[1:]):
        index[axis] = b.rem(flat, axis.extent)
        flat = b.div(flat, axis.extent)
    if axes:
        index[axes[0]] = flat
    return index


def dot(
    b: NestBuilder,
    index: Mapping[ContractionAxis, Reg],
    strides: Mapping[ContractionAxis, IntOrReg],
) -> Reg:
    """The sum of index * stride over the axes that have both."""
    return b.affine(0, *((index[axis], strides[axis]) for axis in index if axis in strides))


def column_offset(b: NestBuilder, geo: Geometry, column: Reg) -> Reg:
    """Where a column of B begins that is contiguous along the columns, or in panels of them."""
    if geo.panels is None:
        return column
    width = geo.panels.width
    return b.affine(b.rem(column, width), (b.div(column, width), geo.panels.apart))


def result_index(
    b: NestBuilder, spec: Contraction, geo: Geometry, index: Mapping[ContractionAxis, Reg]
) -> dict[ContractionAxis, Reg]:
    """The index of every axis of the result; 0 where it is not in `index`."""
    zero = b.i64(0)
    if geo.panels is not None:
        index = {**index, **unflatten(b, geo.panels.axes, index[geo.col])}
    return {axis: index.get(axis, zero) for axis in (*spec.batch, *spec.m, *spec.n)}


@contextlib.contextmanager
def spread(b: NestBuilder, total: Reg, share: Reg, cost: Reg) -> Iterator[tuple[Reg, Reg]]:
    """The numbers 0 … total - 1 in chunks of `share`, on all threads when the whole costs enough
    nanoseconds: gives the first and the end of a chunk."""
    if isinstance(cost.const, int) and cost.const < SERIAL_NS:
        yield b.i64(0), total
        return
    with b.parallel(b.ceildiv(total, share), cost) as chunk:
        low = b.mul(chunk, share)
        yield low, b.min(b.add(low, share), total)


@dataclasses.dataclass(frozen=True)
class KBlock:
    """One block of k: `steps` outer steps from `o0`, of each `count` inner ones from `i0`."""

    o0: Reg
    steps: Reg
    i0: Reg
    count: Reg


class KBlocks:
    """The blocks of k, which fix the order of every sum."""

    def __init__(self, b: NestBuilder, geo: Geometry) -> None:
        self._b = b
        self._grouped = bool(geo.outer)
        self.inner = b.index(geo.inner.extent)
        self.outer = extent_of(b, geo.outer)
        self.width = b.max(b.min(self.inner, K_BLOCK), 1)
        self.group = b.max(b.div(K_BLOCK, b.max(self.inner, 1)), 1) if geo.outer else b.i64(1)
        self.pieces = b.max(b.ceildiv(self.inner, self.width), 1)
        self.count = b.max(b.mul(b.ceildiv(self.outer, self.group), self.pieces), 1)

    def at(self, kb: Reg) -> KBlock:
        """The block number `kb`."""
        b = self._b
        i0 = b.mul(b.rem(kb, self.pieces), self.width)
        count = rest(b, self.inner, i0, self.width)
        if not self._grouped:
            return KBlock(b.i64(0), b.i64(1), i0, count)
        o0 = b.mul(b.div(kb, self.pieces), self.group)
        return KBlock(o0, rest(b, self.outer, o0, self.group), i0, count)


class StepTable:
    """For each outer step of a block: where A and B start, and the range of the inner axis."""

    _FIELDS = 4

    def __init__(self, b: NestBuilder, geo: Geometry) -> None:
        self._b, self._geo = b, geo
        self._needed = bool(geo.outer) or geo.ranged
        if self._needed:
            self._at = b.scratch(8 * self._FIELDS * K_BLOCK)

    def fill(self, block: KBlock, fixed: Mapping[ContractionAxis, Reg]) -> None:
        """Compute the entries of a block; `fixed` holds the batch and tap indices."""
        self._block = block
        if not self._needed:
            return
        b, geo = self._b, self._geo
        with b.loop(0, block.steps) as loop:
            index = unflatten(b, geo.outer, b.add(block.o0, loop.index))
            low, high = b.i64(0), block.count
            for bound in geo.a.bounds if geo.ranged else ():
                low, high = self._clip(bound, {**fixed, **index}, low, high)
            entries = dot(b, index, geo.a.strides), dot(b, index, geo.b.strides), low, high
            for field, entry in enumerate(entries):
                b.store(self._at, b.affine(field, (loop.index, self._FIELDS)), entry)

    def _clip(
        self, bound: Bound, index: Mapping[ContractionAxis, Reg], low: Reg, high: Reg
    ) -> tuple[Reg, Reg]:
        """[low, high) of the inner axis within the bound; empty when it is missed altogether."""
        b, inner = self._b, self._geo.inner
        start = b.add(bound.offset, dot(b, index, bound.terms))
        room = b.sub(bound.extent, start)
        if inner not in bound.terms:
            inside = b.apply("and", b.le(0, start), b.lt(0, room))
            return low, b.where(inside, high, 0)
        step = bound.terms[inner]
        first = b.ceildiv(b.max(b.sub(0, start), 0), step)
        last = b.ceildiv(b.max(room, 0), step)
        i0 = self._block.i0
        return b.max(low, b.sub(first, i0)), b.min(high, b.sub(last, i0))

    def a(self, step: Reg) -> Reg:
        return self._entry(step, 0, 0)

    def b(self, step: Reg) -> Reg:
        return self._entry(step, 1, 0)

    def range(self, step: Reg) -> tuple[Reg, Reg]:
        """The inner indices of this step, local to the block."""
        if not self._geo.ranged:
            return self._b.i64(0), self._block.count
        return self._entry(step, 2, 0), self._entry(step, 3, 0)

    def _entry(self, step: Reg, field: int, default: int) -> Reg:
        b = self._b
        if not self._needed:
            return b.i64(default)
        return b.load(self._at, b.affine(field, (step, self._FIELDS)), I64)


class RowTable:
    """For each row of a block its indices, its offset and its place within the bounds; and, once
    filled for a block of k, a pointer for each (outer step, row): to the row, or to zeros."""

    def __init__(self, b: NestBuilder, geo: Geometry, rows: IntOrReg) -> None:
        self._b, self._geo = b, geo
        self._rows = b.index(rows)
        self._several = len(geo.rows) > 1
        self._axes = geo.rows if self._several else ()
        self._bounds = () if geo.ranged else geo.a.bounds
        fields = 1 + len(self._axes) + len(self._bounds)
        self._table = b.scratch(b.mul(self._rows, 8 * fields))
        self._pointers: Reg | None = None
        self._zeros: Reg | None = None

    def reserve(self, group: Reg) -> None:
        """Room for the pointers of `group` outer steps, and zeros to point at."""
        b = self._b
        elem = self._geo.a.elem
        self._pointers = b.scratch(b.mul(self._rows, group, 8))
        zero = b.const(Ty(elem), 0)
        self._zeros = b.scratch(K_BLOCK * zero.ty.bytes)
        with b.loop(0, K_BLOCK) as loop:
            b.store(self._zeros, loop.index, zero)

    def fill(self, m_lo: Reg, count: Reg, fixed: Mapping[ContractionAxis, Reg]) -> None:
        """The rows m_lo … of a block; `fixed` holds the batch indices."""
        b, geo = self._b, self._geo
        start = unflatten(b, geo.rows, m_lo)
        places = [b.add(bound.offset, dot(b, fixed, bound.terms)) for bound in self._bounds]
        with b.loop(0, count, 1, [start[axis] for axis in geo.rows]) as loop:
            index = dict(zip(geo.rows, loop.carry, strict=True))
            entries = [dot(b, index, geo.a.strides)]
            entries += [index[axis] for axis in self._axes]
            entries += [
                b.add(place, dot(b, index, bound.terms))
                for place, bound in zip(places, self._bounds, strict=True)
            ]
            for field, entry in enumerate(entries):
                b.store(self._table, self._slot(field, loop.index), entry)
            b.yield_(*self._next(index))

    def _next(self, index: Mapping[ContractionAxis, Reg]) -> list[Reg]:
        """The indices of the following row: count up, carry over."""
        b = self._b
        carried: list[Reg] = []
        step = b.i64(1)
        for number, axis in enumerate(reversed(self._geo.rows)):
            up = b.add(index[axis], step)
            if number == len(self._geo.rows) - 1:
                carried.append(up)
                break
            full = b.eq(up, axis.extent)
            carried.append(b.where(full, b.i64(0), up))
            step = b.where(full, b.i64(1), b.i64(0))
        return carried[::-1]

    def point(self, base: Reg, block: KBlock, count: Reg) -> None:
        """The pointers of a block of k, `base` being where the batch starts in A."""
        b, geo = self._b, self._geo
        assert self._pointers is not None and self._zeros is not None
        zeros, pointers = self._zeros, self._pointers
        with b.loop(0, block.steps) as outer:
            index = unflatten(b, geo.outer, b.add(block.o0, outer.index))
            shift = b.add(dot(b, index, geo.a.strides), b.mul(block.i0, geo.a.stride(geo.inner)))
            start = b.offset(base, shift, geo.a.elem)
            deltas = [dot(b, index, bound.terms) for bound in self._bounds]
            with b.loop(0, count) as inner:
                row = inner.index
                pointer = b.offset(start, self._load(0, row), geo.a.elem)
                for number, (bound, delta) in enumerate(zip(self._bounds, deltas, strict=True)):
                    place = b.add(self._load(1 + len(self._axes) + number, row), delta)
                    inside = b.apply(
                        "lt", b.cast(place, "uint64"), b.cast(b.index(bound.extent), "uint64")
                    )
                    pointer = b.where(inside, pointer, zeros)
                b.store(pointers, b.affine(row, (outer.index, self._rows)), pointer)

    def pointer(self, step: Reg, row: Reg) -> Reg:
        """Where the row's inner elements of an outer step are."""
        assert self._pointers is not None
        return self._b.load(self._pointers, self._b.affine(row, (step, self._rows)), PTR)

    def stride(self, pointer: Reg) -> Reg:
        """The stride from a pointer on: none among the zeros."""
        b = self._b
        step = b.index(self._geo.a.stride(self._geo.inner))
        if step.const == 1 or not self._bounds:
            return step
        assert self._zeros is not None
        return b.where(b.apply("eq", pointer, self._zeros), 0, step)

    def index(self, row: Reg) -> dict[ContractionAxis, Reg]:
        """The index of each row axis, for a row counted from the block's first."""
        return {axis: self._load(1 + number, row) for number, axis in enumerate(self._axes)}

    def _slot(self, field: int, row: Reg) -> Reg:
        return self._b.affine(row, (self._rows, field))

    def _load(self, field: int, row: Reg) -> Reg:
        return self._b.load(self._table, self._slot(field, row), I64)
