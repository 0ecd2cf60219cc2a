"""The nest for a matrix unit (x86's AMX): products of float32 as products of bfloat16 parts.

A float32 is the sum of three bfloat16, x = x1 + x2 + x3: what rounding leaves is exact both times.
So

    x * y = x1 y1 + (x1 y2 + x2 y1) + (x1 y3 + x2 y2 + x3 y1) + an error below 2^-23 |x y|

and these six products, which the unit sums in float32, take two fifths of the time of the one that
they stand for. A sum of them is nearer to the exact one than a chain of fused products: the unit
adds 16 products at a time.

B is stored as float32, in panels of as many columns as are computed together, and parted a block at
a time while all rows are multiplied by the block before: weights are read from memory once, and
take no more of it. The order of a sum depends on K alone here too, so an element's bits don't
depend on M, on N or on threads.

The unit takes denormal numbers for zeros, and infinities have no parts. Rows of A that have
elements outside `SMALLEST` ... `LARGEST`, zeros apart, and panels of B that do, are computed by
fused chains as elsewhere.
"""

from __future__ import annotations

import functools
import itertools
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from argand.kernels.contraction.addressing import (
    KBlocks,
    dot,
    extent_of,
    rest,
    result_index,
    spread,
    unflatten,
)
from argand.kernels.contraction.geometry import Geometry
from argand.kernels.contraction.microkernel import Panel, Tile, added_in_order
from argand.kernels.contraction.spec import Contraction, ContractionAxis
from argand.kernels.contraction.tiles import UNIT_COLUMNS
from argand.nest.builder import F32, NestBuilder, Reg, Ty, static
from argand.nest.types import MATRIX_BYTES

__all__ = ["LARGEST", "SMALLEST", "matrix_unit"]

SMALLEST: Final = 2.0**-50
LARGEST: Final = 2.0**50
"""The range of elements that can be parted, beside 0: no product of parts is denormal or
overflows."""

ROWS: Final = 16
DEPTH: Final = 32
"""Rows of a register, and the products that one instruction sums for an element."""

STEPS: Final = 2
"""Times `DEPTH` of B that are parted together: they stay in the first-level cache."""

A_BYTES: Final = 1 << 20
"""The parts of a block of rows stay in the second-level cache."""

GROUP: Final = UNIT_COLUMNS
COLUMNS: Final = GROUP // ROWS
"""Tiles of columns that are computed together."""

HALVES: Final = 2
PARTING: Final = 2
"""A step of B is parted in halves, each beside a step of products: a block beside so many pairs of
tiles of rows."""

AHEAD: Final = 512
"""Rows of a panel of B that memory is asked for before they are parted."""

CHAINS: Final = 6
"""Rows whose chains run side by side."""

CHUNKS: Final = 8
"""The panels are computed by so many chunks at least, if there are as many."""

PARTS: Final = 3
PRODUCTS: Final = ((2, 0), (1, 0), (1, 1), (0, 1), (0, 2), (0, 0))
"""The parts of A and of B that are multiplied, in this order: each step takes a part over."""

_REGISTER: Final = MATRIX_BYTES // F32.bytes  # elements
_WORD: Final = Ty("uint32", ROWS)
_ONE: Final = Ty("uint32")
_ONE_ROW: Final = (ContractionAxis("one", 1),)

B_STEP: Final = COLUMNS * PARTS * _REGISTER  # elements of the parts of a step
PIECES: Final = ROWS * COLUMNS // HALVES  # of half a step


def matrix_unit(b: NestBuilder, spec: Contraction) -> None:
    """Emit the nest for a B that is `stored_for_unit`."""
    _MatrixUnit(b, spec).run()


class _Block(NamedTuple):
    """A block of B and of columns: where it begins, where its parts go, the largest distance from
    the range so far, and how much of K is left from here on."""

    base: Reg
    to: Reg
    range: Reg
    depth: Reg


class _Now(NamedTuple):
    """A block that is multiplied: its first step, how many it has, and where its parts are."""

    first: Reg
    steps: Reg
    parts: Reg


class _MatrixUnit:
    """Emits the nest. A's parts are registers' contents, [tile of rows][step][part]; those of a
    block of B are [step][tile of columns][part], and sums [tile of rows][tile of columns]."""

    def __init__(self, b: NestBuilder, spec: Contraction) -> None:
        self.b, self.spec = b, spec
        self.geo = geo = _flat(spec)
        self.depth = static(geo.inner.extent) or 0
        several = [axis for axis in spec.k if static(axis.extent) != 1]
        self.is_run = list(spec.a.contiguous(several)) == several
        self.steps = -(-self.depth // DEPTH)
        self.m, self.n = extent_of(b, geo.rows), static(geo.col.extent) or 0
        most = max(2 * ROWS, A_BYTES // (self.steps * DEPTH * 2 * PARTS) // (2 * ROWS) * 2 * ROWS)
        known = static(self.m)
        self.most = most if known is None else min(most, known)
        self.room = b.i64(-(-self.most // (2 * ROWS)) * 2 * ROWS)
        if known is None:  # no more than there are
            self.room = b.min(self.room, b.mul(b.ceildiv(self.m, 2 * ROWS), 2 * ROWS))

    def run(self) -> None:
        b, geo = self.b, self.geo
        self.a_base, self.b_base = (b.offset(o.ptr, o.offset, o.elem) for o in (geo.a, geo.b))
        self.a_parts = b.scratch(b.mul(self.room, self.steps * DEPTH * 2 * PARTS))
        self.ranges = b.scratch(b.mul(self.room, F32.bytes))
        if not self.is_run:
            self.copies = b.scratch(b.mul(self.room, self.depth * F32.bytes))
        with b.loop(0, self.m, self.most) as blocks:
            self.m_lo = blocks.index
            self.count = rest(b, self.m, self.m_lo, b.i64(self.most))
            self._part_rows()
            self._multiply()

    # A --------------------------------------------------------------------------------------------

    def _part_rows(self) -> None:
        """Part a block's rows, and note how far outside the range their elements are."""
        b = self.b
        with (
            spread(b, self.count, b.i64(ROWS), b.mul(self.count, self.depth // 4)) as (low, high),
            b.loop(low, high) as loop,
        ):
            row = loop.index
            if not self.is_run:
                self._copy(row)
            tile = b.mul(b.div(row, ROWS), self.steps * PARTS * _REGISTER)
            to = b.offset(self.a_parts, b.affine(tile, (b.rem(row, ROWS), ROWS)), "uint32")
            base = self._row(row)
            worst = b.const(_WORD, 0)
            with b.loop(0, self.depth // DEPTH, 1, [worst]) as steps:
                worst = self._part_step(base, to, steps.index, steps.carry[0])
                b.yield_(worst)
            worst = steps.results[0]
            if self.depth % DEPTH:
                worst = self._part_step(base, to, b.i64(self.steps - 1), worst, whole=False)
            b.store(self.ranges, row, b.reduce("max", worst))

    def _row(self, row: Reg) -> Reg:
        """Where a row of the block begins: its elements are neighbours."""
        b = self.b
        if self.is_run:
            return self._given(row)
        return b.offset(self.copies, b.mul(row, self.depth), F32.elem)

    def _given(self, row: Reg) -> Reg:
        """Where a row of the block begins in A."""
        b, geo = self.b, self.geo
        index = unflatten(b, geo.rows, b.add(self.m_lo, row))
        return b.offset(self.a_base, dot(b, index, geo.a.strides), geo.a.elem)

    def _copy(self, row: Reg) -> None:
        """Copy a row of A whose elements are apart."""
        b, spec = self.b, self.spec
        given, copy = self._given(row), self._row(row)
        with b.loop(0, self.depth) as loop:
            index = unflatten(b, spec.k, loop.index)
            b.store(copy, loop.index, b.load(given, dot(b, index, spec.a.strides), F32))

    def _part_step(self, base: Reg, to: Reg, step: Reg, worst: Reg, whole: bool = True) -> Reg:
        b = self.b
        halves = []
        for half in range(2):
            at = b.affine(half * ROWS, (step, DEPTH))
            mask = None if whole else b.tail_mask(at, self.depth, ROWS)
            halves.append(b.load(base, at, _WORD, mask))
            worst = _worst(b, worst, halves[-1])
        for part, pair in enumerate(_parts(b, *halves)):
            b.store(to, b.affine(part * _REGISTER, (step, PARTS * _REGISTER)), pair)
        return worst

    # B and C --------------------------------------------------------------------------------------

    def _multiply(self) -> None:
        """All columns, in parallel; for `COLUMNS` tiles of them the blocks of B one after the
        other. While one is multiplied, the next one is parted."""
        b = self.b
        groups, blocks = self.n // GROUP, -(-self.steps // STEPS)
        cost = b.mul(b.add(self.count, ROWS), self.depth * self.n // 200 + 1)
        share = max(1, groups // CHUNKS)
        with b.parallel(-(-groups // share), cost) as chunk:
            low = b.mul(chunk, share)
            high = b.min(b.add(low, share), groups)
            self.b_parts = b.scratch(2 * STEPS * B_STEP * _WORD.bytes)
            self.b_ranges = b.scratch(2 * MATRIX_BYTES)
            self.sums = b.scratch(b.mul(self.room, GROUP * F32.bytes))
            b.matrix("begin")
            self._part_rest(self._block(low, b.i64(0), b.i64(0)), b.i64(0))
            with b.if_(b.le(self.count, ROWS)) as branch:
                self._one_tile(low, high)
            with branch.else_():
                self._all_tiles(low, high, blocks)
            b.matrix("end")

    def _one_tile(self, low: Reg, high: Reg) -> None:
        """The sums of one tile of rows stay in registers; a step is parted beside the one before,
        a whole one, as there are few products."""
        b = self.b
        with b.loop(low, high) as groups:
            self.group = groups.index
            for register in range(COLUMNS):
                b.matrix("zero", register)
            before = b.mul(b.sub(self.group, low), self.steps)
            with b.loop(0, self.steps) as loop:
                number = b.add(before, loop.index)
                ahead = self._following(number, low, high, self.steps, 1)
                a_step = b.offset(self.a_parts, b.mul(loop.index, PARTS * _REGISTER), "uint32")
                b_step = b.offset(self.b_parts, self._buffer(number), "uint32")
                halves = [self._pieces(ahead, b.i64(half)) for half in range(HALVES)]
                self._step(a_step, b_step, 1, itertools.chain(*halves), HALVES * PIECES)
            for register in range(COLUMNS):
                b.matrix("store", register, ptr=self.sums, offset=register * _REGISTER)
            self._finish()

    def _all_tiles(self, low: Reg, high: Reg, blocks: int) -> None:
        """The sums of several tiles of rows wait in scratch between the blocks of B."""
        b = self.b
        with b.loop(0, b.mul(b.sub(high, low), blocks)) as loop:
            number = loop.index
            self.group, block = b.add(low, b.div(number, blocks)), b.rem(number, blocks)
            self._tiles(number, block, self._following(number, low, high, blocks, STEPS))
            with b.if_(b.eq(block, blocks - 1)):
                self._finish()

    def _following(self, number: Reg, low: Reg, high: Reg, each: int, steps: int) -> _Block:
        """What is parted beside block `number` of the groups `low` ... `high`, which have so many
        blocks each: the next one. The last is parted again, which costs less than to ask."""
        b = self.b
        last = b.sub(b.mul(b.sub(high, low), each), 1)
        following = b.min(b.add(number, 1), last)
        group, block = b.add(low, b.div(following, each)), b.rem(following, each)
        return self._block(group, block, b.add(number, 1), steps)

    def _finish(self) -> None:
        """What follows the sums of a group of columns."""
        b = self.b
        ranges = b.load(self.b_ranges, self._range_at(self.group), _WORD)
        self._chains(self._is_outside(b.reduce("max", ranges)))
        self._emit()

    def _tiles(self, number: Reg, block: Reg, ahead: _Block) -> None:
        """Add the products of a block to all sums, of two tiles of rows at a time, and part the
        next block beside the first of them."""
        b = self.b
        first = b.mul(block, STEPS)
        count = rest(b, b.i64(self.steps), first, b.i64(STEPS))
        now = _Now(first, count, b.offset(self.b_parts, self._buffer(number), "uint32"))
        tiles = b.ceildiv(self.count, ROWS)
        pairs, odd = b.div(tiles, 2), b.eq(b.rem(tiles, 2), 1)
        parting = b.min(pairs, PARTING)
        with b.loop(0, parting) as loop:
            self._tile(b.mul(loop.index, 2), 2, now, ahead, b.mul(loop.index, count))
        with b.loop(parting, pairs) as loop:
            self._tile(b.mul(loop.index, 2), 2, now)
        with b.if_(odd):
            with b.if_(b.lt(pairs, PARTING)) as branch:
                self._tile(b.mul(pairs, 2), 1, now, ahead, b.mul(pairs, count))
            with branch.else_():
                self._tile(b.mul(pairs, 2), 1, now)
        done = b.where(odd, b.min(b.add(pairs, 1), PARTING), parting)
        self._part_rest(ahead, b.mul(done, count))

    def _tile(
        self, row: Reg, rows: int, now: _Now, ahead: _Block | None = None, done: Reg | None = None
    ) -> None:
        """Add a block's products to `rows` by `COLUMNS` registers of sums; in each step part some
        of the block `ahead`, of which `done` steps have parted some before."""
        b = self.b
        places = [
            b.affine(r * _REGISTER, (row, COLUMNS * _REGISTER)) for r in range(rows * COLUMNS)
        ]
        with b.if_(b.eq(now.first, 0)) as branch:
            for register in range(len(places)):
                b.matrix("zero", register)
        with branch.else_():
            for register, place in enumerate(places):
                b.matrix("load", register, ptr=self.sums, offset=place)
        a_start = b.mul(b.affine(now.first, (row, self.steps)), PARTS * _REGISTER)
        a_base = b.offset(self.a_parts, a_start, "uint32")
        with b.loop(0, now.steps) as loop:
            a_step = b.offset(a_base, b.mul(loop.index, PARTS * _REGISTER), "uint32")
            b_step = b.offset(now.parts, b.mul(loop.index, B_STEP), "uint32")
            beside: Iterator[None] = iter(())
            if ahead is not None and done is not None:
                beside = self._pieces(ahead, b.add(done, loop.index))
            self._step(a_step, b_step, rows, beside, PIECES)
        for register, place in enumerate(places):
            b.matrix("store", register, ptr=self.sums, offset=place)

    def _step(self, a: Reg, b_parts: Reg, rows: int, beside: Iterator[None], pieces: int) -> None:
        """The six products of one step, between which the pieces `beside` are parted. A register
        is loaded where it holds another part."""
        b = self.b
        held: dict[int, tuple[int, int]] = {}

        def load(register: int, ptr: Reg, tile: int, part: int, apart: int) -> None:
            if held.get(register) != (tile, part):
                b.matrix("load", register, ptr=ptr, offset=tile * apart + part * _REGISTER)
                held[register] = (tile, part)

        multiplies = len(PRODUCTS) * rows * COLUMNS
        sums, number = rows * COLUMNS, 0
        for left, right in PRODUCTS:
            for column in range(COLUMNS):
                for row in range(rows):
                    x, y = sums + row, sums + rows + column
                    load(x, a, row, left, self.steps * PARTS * _REGISTER)
                    load(y, b_parts, column, right, PARTS * _REGISTER)
                    b.matrix("multiply", row * COLUMNS + column, x, y)
                    due = (number + 1) * pieces // multiplies - number * pieces // multiplies
                    for _ in itertools.islice(beside, due):
                        pass
                    number += 1

    def _block(self, group: Reg, block: Reg, number: Reg, steps: int = STEPS) -> _Block:
        """A block of so many steps that is to be parted, before its first piece."""
        b = self.b
        at = self._range_at(group)
        with b.if_(b.eq(block, 0)):
            b.store(self.b_ranges, at, b.const(_WORD, 0))
        k = b.mul(block, steps * DEPTH)
        base = b.offset(self._group_base(group), b.mul(k, GROUP), "float32")
        to = b.offset(self.b_parts, self._buffer(number), "uint32")
        return _Block(base, to, b.offset(self.b_ranges, at, "uint32"), b.sub(self.depth, k))

    def _part_rest(self, block: _Block, done: Reg) -> None:
        """Part what is left of a block."""
        b = self.b
        with b.loop(b.min(done, STEPS * HALVES), STEPS * HALVES) as loop:
            for _ in self._pieces(block, loop.index):
                pass

    def _pieces(self, block: _Block, number: Reg) -> Iterator[None]:
        """Part the `PIECES` pieces of half a step of a block, one after the other: a vector of a
        row k of B with that of row k + `ROWS`, which are pairs in a row of a register."""
        b = self.b
        step, row = b.div(number, HALVES), b.mul(b.rem(number, HALVES), ROWS // HALVES)
        k = b.affine(row, (step, DEPTH))
        base = b.offset(block.base, b.mul(k, GROUP), "float32")
        to = b.offset(block.to, b.affine(b.mul(row, ROWS), (step, B_STEP)), "uint32")
        left = b.sub(block.depth, k)
        whole = self.depth % (DEPTH * STEPS) == 0
        worst = b.load(block.range, 0, _WORD)
        for piece in range(PIECES):
            pair, tile = divmod(piece, COLUMNS)
            halves = []
            for half in range(2):
                at = pair + half * ROWS
                mask = None if whole else b.splat(b.lt(at, left), ROWS)
                place = at * GROUP + tile * ROWS
                halves.append(b.load(base, place, _WORD, mask))
                b.prefetch(base, place + AHEAD * GROUP, "float32", far=True)
                worst = _worst(b, worst, halves[-1])
            if piece == PIECES - 1:
                b.store(block.range, 0, worst)
            for part, words in enumerate(_parts(b, *halves)):
                b.store(to, pair * ROWS + (tile * PARTS + part) * _REGISTER, words)
            yield

    def _group_base(self, group: Reg) -> Reg:
        """Where a group of columns begins in B."""
        b = self.b
        start = b.mul(group, self.depth * GROUP)
        return b.offset(self.b_base, start, "float32")

    def _buffer(self, number: Reg) -> Reg:
        return self.b.mul(self.b.rem(number, 2), STEPS * B_STEP)

    def _range_at(self, group: Reg) -> Reg:
        return self.b.mul(self.b.rem(group, 2), _REGISTER)

    # what the unit can't, and the result ----------------------------------------------------------

    def _is_outside(self, worst: Reg) -> Reg:
        return self.b.apply("gt", worst, _RANGE)

    def _chains(self, all_rows: Reg) -> None:
        """Compute the rows again that can't be parted, some side by side."""
        b = self.b
        together = b.mul(b.div(self.count, CHAINS), CHAINS)
        for low, high, height in ((b.i64(0), together, CHAINS), (together, self.count, 1)):
            with b.loop(low, high, height) as loop:
                rows = [b.add(loop.index, r) for r in range(height)]
                outside = [
                    b.apply("or", all_rows, self._is_outside(b.load(self.ranges, row, _ONE)))
                    for row in rows
                ]
                with b.if_(functools.reduce(lambda x, y: b.apply("or", x, y), outside)):
                    self._chains_of(rows, outside)

    def _chains_of(self, rows: Sequence[Reg], wanted: Sequence[Reg]) -> None:
        """Compute rows together, and keep those that are `wanted`."""
        b = self.b
        bases, blocks = [self._row(row) for row in rows], KBlocks(b, self.geo)
        zeros = [b.const(F32.with_lanes(ROWS), 0)] * (len(rows) * COLUMNS)
        with b.loop(0, blocks.count, 1, zeros) as ks:
            block = blocks.at(ks.index)
            sums = self._chain(bases, block.i0, block.count)
            b.yield_(*added_in_order(b, b.eq(ks.index, 0), ks.carry, [sums]))
        for number, (row, is_wanted) in enumerate(zip(rows, wanted, strict=True)):
            with b.if_(is_wanted):
                for tile in range(COLUMNS):
                    total = ks.results[number * COLUMNS + tile]
                    b.store(self.sums, self._sum_at(row, tile), total)

    def _chain(self, rows: Sequence[Reg], k0: Reg, count: Reg) -> Sequence[Reg]:
        """The sums over a block of k."""
        b = self.b
        group = self._group_base(self.group)

        def a_at(k: Reg, number: int) -> tuple[Reg, Reg]:
            return rows[number], b.add(k0, k)

        def b_at(k: Reg, number: int) -> tuple[Reg, Reg]:
            return group, b.affine(number * ROWS, (b.add(k0, k), GROUP))

        tile = Tile(
            rows=len(rows),
            panel=Panel(b.i64(0), COLUMNS, (None,) * COLUMNS),
            steps=b.i64(1),
            at=lambda step: (a_at, b_at, b.i64(0), count),
            a_elem=F32,
            b_elem=F32,
            masked=False,
        )
        return tile.chain(b, F32, ROWS)

    def _sum_at(self, row: Reg, tile: int) -> Reg:
        b = self.b
        start = b.affine(b.mul(b.rem(row, ROWS), ROWS), (b.div(row, ROWS), COLUMNS * _REGISTER))
        return b.add(start, tile * _REGISTER)

    def _emit(self) -> None:
        """Hand the finished vectors to the epilogue."""
        b, spec, geo = self.b, self.spec, self.geo
        with b.loop(0, self.count) as loop:
            rows = unflatten(b, geo.rows, b.add(self.m_lo, loop.index))
            for tile in range(COLUMNS):
                value = b.load(self.sums, self._sum_at(loop.index, tile), F32.with_lanes(ROWS))
                column = b.affine(tile * ROWS, (self.group, GROUP))
                index = {**rows, **unflatten(b, spec.n, column)}
                spec.epilogue(b, result_index(b, spec, geo, index), value, None)


def _flat(spec: Contraction) -> Geometry:
    """All axes of k as one, and those of the columns; rows are all of m."""
    columns, depth = (
        math.prod(static(axis.extent) or 0 for axis in axes) for axes in (spec.n, spec.k)
    )
    return Geometry(
        a=spec.a,
        b=spec.b,
        batch=(),
        taps=(),
        rows=tuple(axis for axis in spec.m if static(axis.extent) != 1) or _ONE_ROW,
        col=ContractionAxis("columns", columns),
        outer=(),
        inner=ContractionAxis("k", depth),
    )


def _bits(x: float) -> int:
    return int(struct.unpack("<I", struct.pack("<f", x))[0])


_RANGE: Final = _bits(LARGEST) - _bits(SMALLEST)


def _worst(b: NestBuilder, worst: Reg, x: Reg) -> Reg:
    """The larger of `worst` and how far the magnitude of x is above the smallest: more than
    `_RANGE` is outside, as it is below the smallest, where the difference wraps. 0 is inside."""
    size = b.apply("and", x, 0x7FFFFFFF)
    over = b.apply("sub", size, _bits(SMALLEST))
    return b.apply("max", worst, b.where(b.apply("eq", size, 0), b.const(_WORD, 0), over))


def _parts(b: NestBuilder, low: Reg, high: Reg) -> list[Reg]:
    """The three parts of float32 vectors, as pairs of a bfloat16 of `low` and one of `high`."""
    floats = F32.with_lanes(ROWS)
    pairs = []
    left = [b.bitcast(x, floats) for x in (low, high)]
    for part in range(PARTS):
        words = [b.bitcast(x, _WORD) for x in left]
        if part < PARTS - 1:
            words = [b.apply("add", w, 0x8000) for w in words]  # to the nearest
        tops = [b.apply("and", w, 0xFFFF0000) for w in words]
        pairs.append(b.apply("or", b.apply("shr", words[0], 16), tops[1]))
        if part < PARTS - 1:
            rounded = [b.bitcast(w, floats) for w in tops]
            left = [b.apply("sub", x, r) for x, r in zip(left, rounded, strict=True)]
    return pairs
