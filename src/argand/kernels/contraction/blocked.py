"""The contraction skeleton: one blocked nest for matrix products, einsum pairs and convolutions.

    with Builder ... :
        contraction(b, Contraction(a, b, batch, m, n, k, epilogue), target)

emits the whole nest. C is cut into blocks, which run on any thread; inside a block k is cut into
blocks of `K_BLOCK`; B's part is packed once for all rows, A is read in place when its rows are
contiguous along k; tiles of C stay in registers for a block of k, partial sums wait in scratch, and
the epilogue sees each finished element once, in registers.

**The order of a sum is a contract**: k ascending, one fused chain per block of k, blocks added in
order. Every path keeps it, so an element's bits do not depend on M, on N or on threads. Only
`Contraction.long_k` gives that up, and then for an order that its shape fixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from argand.kernels.contraction.addressing import (
    KBlock,
    KBlocks,
    RowTable,
    StepTable,
    column_offset,
    dot,
    extent_of,
    rest,
    result_index,
    spread,
    unflatten,
)
from argand.kernels.contraction.few_rows import few_rows
from argand.kernels.contraction.geometry import Geometry, geometry
from argand.kernels.contraction.group_rows import group_rows
from argand.kernels.contraction.grouped_image import grouped_images
from argand.kernels.contraction.grouped_weight import grouped_weight
from argand.kernels.contraction.matrix_unit import matrix_unit
from argand.kernels.contraction.microkernel import Address, Panel, Tile, panels, regions
from argand.kernels.contraction.pack import Packer, a_row_bytes, a_row_stride, b_bytes, b_pitch
from argand.kernels.contraction.plan import K_BLOCK, LONG_K, SERIAL_FLOPS, ContractionPlan, plan
from argand.kernels.contraction.spec import Contraction, ContractionAxis
from argand.kernels.contraction.tiles import LINE_BYTES
from argand.nest.builder import NestBuilder, Reg, Ty
from argand.nest.target import Target

__all__ = ["contraction", "contractions"]

PACK_PIECE = 1 << 15
"""Elements of B that a chunk packs, when it is packed for all."""


def contraction(b: NestBuilder, spec: Contraction, target: Target) -> None:
    """Emit the nest of a contraction into the function being built."""
    contractions(b, [spec], target)


def contractions(b: NestBuilder, specs: Sequence[Contraction], target: Target) -> None:
    """Emit the nests of contractions of the same operands, whose results are parts of one."""
    found = [plan(spec, target) for spec in specs]
    firsts = [plans[0] for plans in found]
    if all(first.groups == "across" for first in firsts) and not specs[0].long_k:
        grouped_images(b, specs, firsts)
        return
    for spec, plans in zip(specs, found, strict=True):
        _choose(b, spec, geometry(spec, target), plans)


def _choose(
    b: NestBuilder, spec: Contraction, geo: Geometry, plans: Sequence[ContractionPlan]
) -> None:
    chosen, *rest = plans
    if not rest:
        _run(b, spec, geo, chosen)
        return
    with b.if_(_condition(b, geo, chosen)) as branch:
        _run(b, spec, geo, chosen)
    with branch.else_():
        _choose(b, spec, geo, rest)


def _condition(b: NestBuilder, geo: Geometry, chosen: ContractionPlan) -> Reg:
    if chosen.few:
        return b.le(extent_of(b, geo.rows), chosen.few)
    return b.le(LONG_K, b.mul(extent_of(b, geo.outer), geo.inner.extent))


def _run(b: NestBuilder, spec: Contraction, geo: Geometry, chosen: ContractionPlan) -> None:
    if chosen.groups == "across" and spec.long_k:
        grouped_weight(b, spec, chosen)
    elif chosen.groups == "across":
        grouped_images(b, [spec], [chosen])
    elif chosen.groups == "inside":
        group_rows(b, spec, chosen)
    elif chosen.groups == "unit":
        matrix_unit(b, spec)
    elif chosen.few:
        few_rows(b, spec, geo, chosen)
    else:
        _Blocked(b, spec, geo, chosen).run()


class _Blocked:
    """Emits the blocked nest. Registers of the whole nest here, those of one block in `_Block`."""

    def __init__(
        self, b: NestBuilder, spec: Contraction, geo: Geometry, chosen: ContractionPlan
    ) -> None:
        self.b, self.spec, self.geo, self.plan = b, spec, geo, chosen
        self.acc = Ty(spec.acc)
        self.k_blocks = KBlocks(b, geo)
        self.m, self.n = extent_of(b, geo.rows), b.index(geo.col.extent)
        self.batch, self.taps = extent_of(b, geo.batch), extent_of(b, geo.taps)
        known = isinstance(self.m.const, int)
        self.mc = b.i64(chosen.mc) if known else self._even(self.m, chosen.mc, chosen.rows)
        self.nc = self._even(self.n, chosen.nc, chosen.width)
        self.m_blocks = b.ceildiv(self.m, self.mc)
        self.n_blocks = b.ceildiv(self.n, self.nc)
        self.n_padded = b.mul(b.ceildiv(self.n, chosen.width), chosen.width)
        self.partials: Reg | None = None
        self.shared: Reg | None = None

    def _even(self, total: Reg, most: int, unit: int) -> Reg:
        """The extent of a block: even shares of at most `most`, a multiple of `unit`."""
        b = self.b
        parts = b.max(b.ceildiv(total, most), 1)
        return b.mul(b.ceildiv(b.max(b.ceildiv(total, parts), 1), unit), unit)

    def run(self) -> None:
        b, splits = self.b, self.plan.splits
        cells = b.mul(self.batch, self.m_blocks, self.n_blocks)
        total = b.mul(cells, splits)
        if splits > 1:
            rows = b.mul(self.batch, self.taps, self.m)
            self.partials = b.scratch(b.mul(rows, self.n_padded, splits * self.acc.bytes))
        if self.plan.shared:
            self._pack_all()
        flops = b.mul(
            2, self.m, self.n, self.batch, self.taps, self.k_blocks.outer, self.k_blocks.inner
        )
        each = b.max(b.div(flops, b.max(total, 1)), 1)
        share = b.max(b.div(b.i64(SERIAL_FLOPS // 2), each), 1)
        with spread(b, total, share, b.div(flops, 100)) as (low, high):
            block = _Block(self)
            with b.loop(low, high) as loop:
                self._cell(block, loop.index, cells)
        if splits > 1:
            self._finish_splits()

    def _pack_all(self) -> None:
        """Pack the whole of B, a block of k of some panels at a time; column by column, as the
        blocks of C are computed, so that a thread mostly reads what it has packed itself."""
        b, geo, plan = self.b, self.geo, self.plan
        panel_count = b.ceildiv(self.n, plan.width)
        self.shared = b.scratch(b.mul(self.k_blocks.count, b_bytes(b, plan, self.acc, self.n)))
        total = b.mul(self.k_blocks.count, panel_count)
        share = b.i64(max(1, PACK_PIECE // (plan.width * K_BLOCK)))
        cost = b.mul(self.k_blocks.outer, self.k_blocks.inner, self.n)
        base = b.offset(geo.b.ptr, geo.b.offset, geo.b.elem)
        none = dict.fromkeys((*geo.batch, *geo.taps), b.i64(0))
        with spread(b, total, share, cost) as (low, high):
            steps = StepTable(b, geo)
            packer = Packer(b, geo, plan, self.acc, steps, None)
            with b.loop(low, high) as loop:
                panel, kb = (
                    b.div(loop.index, self.k_blocks.count),
                    b.rem(loop.index, self.k_blocks.count),
                )
                block = self.k_blocks.at(kb)
                steps.fill(block, none)
                n_lo = b.mul(panel, plan.width)
                n_hi = b.min(b.add(n_lo, plan.width), self.n)
                number = b.affine(panel, (kb, panel_count))
                to = b.offset(self.shared, b.mul(number, b_pitch(plan)), self.acc.elem)
                whole = isinstance(self.n.const, int) and self.n.const % plan.width == 0
                columns = (n_lo, n_hi, plan.width if whole else None)
                packer.b_panels(to, base, block, columns)

    def _cell(self, block: _Block, number: Reg, cells: Reg) -> None:
        b = self.b
        splits = self.plan.splits
        split = b.div(number, cells) if splits > 1 else b.i64(0)
        cell = b.rem(number, cells) if splits > 1 else number
        per = b.mul(self.m_blocks, self.n_blocks)
        place = b.rem(cell, per)
        m_lo = b.mul(b.rem(place, self.m_blocks), self.mc)
        n_lo = b.mul(b.div(place, self.m_blocks), self.nc)
        k_lo = b.div(b.mul(split, self.k_blocks.count), splits)
        k_hi = b.div(b.mul(b.add(split, 1), self.k_blocks.count), splits)
        block.run(b.div(cell, per), split, m_lo, n_lo, k_lo, k_hi)

    def _finish_splits(self) -> None:
        """Add the partial sums of the pieces of K as a fixed tree, and pass them on."""
        b, plan = self.b, self.plan
        assert self.partials is not None
        rows = b.mul(self.batch, self.taps, self.m)
        each = b.mul(self.n_padded, plan.splits)
        share = b.max(b.div(b.i64(1 << 17), b.max(each, 1)), 1)
        axes = (*self.geo.batch, *self.geo.taps, *self.geo.rows)
        jump = b.mul(rows, self.n_padded)
        vector = self.acc.with_lanes(plan.lanes)
        with (
            spread(b, rows, share, b.div(b.mul(rows, each), 8)) as (low, high),
            b.loop(low, high) as loop,
        ):
            index = unflatten(b, axes, loop.index)
            start = b.mul(loop.index, self.n_padded)

            def part(n0: Reg, mask: Reg | None) -> None:
                at = b.add(start, n0)
                pieces = [
                    b.load(self.partials_reg, b.affine(at, (s, jump)), vector)
                    for s in range(plan.splits)
                ]
                self.emit({**index, self.geo.col: n0}, _tree(b, pieces), mask)

            b.vector_loop(0, self.n, plan.lanes, self.acc.elem, part)

    @property
    def partials_reg(self) -> Reg:
        assert self.partials is not None
        return self.partials

    def emit(self, index: Mapping[ContractionAxis, Reg], value: Reg, mask: Reg | None) -> None:
        """Hand a finished vector to the epilogue."""
        self.spec.epilogue(self.b, result_index(self.b, self.spec, self.geo, index), value, mask)


class _Block:
    """One block of C on one thread: its scratch, and the registers of the block being run."""

    def __init__(self, nest: _Blocked) -> None:
        self.nest = nest
        b, geo, plan, acc = nest.b, nest.geo, nest.plan, nest.acc
        self.b, self.geo, self.plan, self.acc = b, geo, plan, acc
        self.steps = StepTable(b, geo)
        self.rows = RowTable(b, geo, nest.mc) if geo.tabled else None
        if self.rows is not None:
            self.rows.reserve(nest.k_blocks.group)
        self.packer = Packer(b, geo, plan, acc, self.steps, self.rows)
        self.one_block = nest.k_blocks.count.const == 1 and plan.splits == 1
        self.b_pack = self.a_pack = self.sums = None
        if plan.b != "place" and not plan.shared:
            self.b_pack = b.scratch(b_bytes(b, plan, acc, nest.nc))
        if plan.a in ("rows", "cols"):
            room = b.add(b.mul(nest.mc, a_row_bytes(plan, acc)), plan.lanes * acc.bytes)
            self.a_pack = b.scratch(room)
        if not self.one_block and plan.splits == 1:
            self.sums = b.scratch(b.mul(nest.taps, nest.mc, nest.nc, acc.bytes))

    def run(self, batch: Reg, split: Reg, m_lo: Reg, n_lo: Reg, k_lo: Reg, k_hi: Reg) -> None:
        b, nest, geo = self.b, self.nest, self.geo
        self.m_lo, self.n_lo = m_lo, n_lo
        self.m_count = rest(self.b, nest.m, m_lo, nest.mc)
        self.n_count = rest(self.b, nest.n, n_lo, nest.nc)
        self.n_hi = b.add(n_lo, self.n_count)
        self.fixed = unflatten(b, geo.batch, batch)
        self.batch, self.split = batch, split
        if self.rows is not None:
            self.rows.fill(m_lo, self.m_count, self.fixed)
        with b.loop(k_lo, k_hi) as loop:
            self.first = b.eq(loop.index, k_lo)
            self.last = b.eq(b.add(loop.index, 1), k_hi)
            self._find_shared(loop.index)
            self._k_block(nest.k_blocks.at(loop.index))

    def _find_shared(self, kb: Reg) -> None:
        """Where this block's part of the shared panels begins."""
        b, nest, plan = self.b, self.nest, self.plan
        if nest.shared is not None:
            panel_count = b.ceildiv(nest.n, plan.width)
            number = b.affine(b.div(self.n_lo, plan.width), (kb, panel_count))
            self.b_pack = b.offset(nest.shared, b.mul(number, b_pitch(plan)), self.acc.elem)

    def _k_block(self, block: KBlock) -> None:
        b, geo = self.b, self.geo
        zero = b.i64(0)
        self.block = block
        self.b_base = b.offset(
            geo.b.ptr, b.add(geo.b.offset, dot(b, self.fixed, geo.b.strides)), geo.b.elem
        )
        taps: dict[ContractionAxis, Reg] = dict.fromkeys(geo.taps, zero)
        self.steps.fill(block, {**self.fixed, **taps})
        count = self.n_count.const if isinstance(self.n_count.const, int) else None
        columns = (self.n_lo, self.n_hi, count)
        if self.b_pack is not None and not self.plan.shared:
            self.packer.b_panels(self.b_pack, self.b_base, block, columns)
        with b.loop(0, self.nest.taps) as loop:
            self.tap = loop.index
            self.here = {**self.fixed, **unflatten(b, geo.taps, loop.index)}
            if geo.taps:
                self.steps.fill(block, self.here)
            self._prepare_a()
            panels(b, self.plan, self.acc, *columns, self._panel, self.b_pack is not None)

    def _prepare_a(self) -> None:
        b, geo, plan = self.b, self.geo, self.plan
        start = b.add(geo.a.offset, dot(b, self.here, geo.a.strides))
        self.a_base = b.offset(geo.a.ptr, start, geo.a.elem)
        if self.rows is not None:
            self.rows.point(self.a_base, self.block, self.m_count)
        if self.a_pack is None:
            return
        if plan.a == "rows":
            self.packer.a_rows(self.a_pack, self.a_base, self.block, self.m_lo, self.m_count)
        else:
            self.packer.a_columns(self.a_pack, self.a_base, self.block, self.m_lo, self.m_count)

    def _panel(self, panel: Panel) -> None:
        b = self.b
        for low, high, height in regions(b, self.m_count, self.plan.rows):
            with b.loop(low, high, height) as loop:
                self._tile(panel, loop.index, height)

    def _tile(self, panel: Panel, row: Reg, height: int) -> None:
        """Rows `row` … of the block (counted from its first) in one panel."""
        b, plan = self.b, self.plan

        def at(step: Reg) -> tuple[Address, Address, Reg, Reg]:
            low, high = self.steps.range(step)
            return self._a_at(step, row, height), self._b_at(step, panel, row), low, high

        packed_a, packed_b = self.a_pack is not None, self.b_pack is not None
        tile = Tile(
            rows=height,
            panel=panel,
            steps=self.block.steps,
            at=at,
            a_elem=self.acc if packed_a else Ty(self.geo.a.elem),
            b_elem=self.acc if packed_b else Ty(self.geo.b.elem),
            masked=not packed_b,
        )
        places = [] if self.one_block else self._places(panel, row, height)
        self._finish(tile.chain(b, self.acc, plan.lanes), places, panel, row, height)

    # where the tile reads -------------------------------------------------------------------------

    def _a_at(self, step: Reg, row: Reg, height: int) -> Address:
        b, geo, plan, acc = self.b, self.geo, self.plan, self.acc
        if plan.a == "table":
            assert self.rows is not None
            return _scattered(b, [self.rows.pointer(step, b.add(row, r)) for r in range(height)])
        if self.a_pack is not None:
            stride = a_row_stride(plan)
            start = b.affine(0, (row, stride), (step, self.block.count))
            base = b.offset(self.a_pack, start, acc.elem)
            if plan.a == "rows":
                return _strided(b, base, acc.elem, b.i64(1), stride)
            return _strided(b, base, acc.elem, b.i64(height), 1)
        along_m = b.index(geo.a.stride(geo.rows[0]))
        along_k = b.index(geo.a.stride(geo.inner))
        start = b.affine(
            self.steps.a(step), (b.add(self.m_lo, row), along_m), (self.block.i0, along_k)
        )
        base = b.offset(self.a_base, start, geo.a.elem)
        if isinstance(along_m.const, int):
            return _strided(b, base, geo.a.elem, along_k, along_m.const)
        rows = [b.offset(base, b.mul(r, along_m), geo.a.elem) for r in range(height)]
        return _scattered(b, rows, along_k)

    def _b_at(self, step: Reg, panel: Panel, row: Reg) -> Address:
        b, geo, plan = self.b, self.geo, self.plan
        if self.b_pack is not None:
            start = b.affine(
                b.mul(step, self.block.count, plan.width),
                (b.sub(panel.n0, self.n_lo), K_BLOCK + plan.lanes),
            )
            base = b.offset(self.b_pack, start, self.acc.elem)
            return _strided(b, base, self.acc.elem, b.i64(plan.width), plan.lanes)
        along_k = b.index(geo.b.stride(geo.inner))
        start = b.affine(self.steps.b(step), (self.block.i0, along_k))
        base = b.offset(self.b_base, b.add(start, column_offset(b, geo, panel.n0)), geo.b.elem)
        found = _strided(b, base, geo.b.elem, along_k, plan.lanes)
        if geo.panels is None:
            return found
        return self._asking(found, panel, step, row)

    def _asking(self, found: Address, panel: Panel, step: Reg, row: Reg) -> Address:
        """The address in a panel, with requests to the second-level cache for the part of B that is
        read next: over all tiles of a panel and all of their k evenly, so that memory is busy all
        the time."""
        b, geo, plan = self.b, self.geo, self.plan
        line = LINE_BYTES // self.acc.bytes
        lines = max(1, plan.width // line)
        tiles, tile = b.max(b.ceildiv(self.m_count, plan.rows), 1), b.div(row, plan.rows)
        known = tiles.const
        before = b.mul(b.affine(step, (tile, self.block.steps)), self.block.count)
        start = b.affine(self.steps.b(b.i64(0)), (self.block.i0, geo.b.stride(geo.inner)))
        start = b.add(start, column_offset(b, geo, panel.n0), self._next_panel(panel))
        base = b.offset(self.b_base, start, geo.b.elem)
        first = b.div(b.mul(before, lines), tiles)
        shift = b.i64(0)
        for power in range(1, 8):
            shift = b.add(shift, b.where(b.le(1 << power, tiles), b.i64(1), b.i64(0)))

        def at(k: Reg, vector: int) -> tuple[Reg, Reg]:
            if vector == 0 and isinstance(known, int):
                here = b.div(b.mul(b.add(before, k), lines), known)
                for i in range(-(-lines // known)):
                    b.prefetch(base, b.mul(b.add(here, i), line), geo.b.elem, far=True)
            elif vector == 0:
                # neighbours come in pairs, so one is asked for where a step of k would take two
                here = b.add(first, b.apply("shr", b.mul(k, lines), shift))
                b.prefetch(base, b.mul(here, line), geo.b.elem, far=True)
            return found(k, vector)

        return at

    def _next_panel(self, panel: Panel) -> Reg:
        """Elements from here in B to the part that is read next: the panel beside, or the first one
        of the next block of k."""
        b, geo = self.b, self.geo
        behind = b.add(panel.n0, self.plan.width)
        here = column_offset(b, geo, panel.n0)
        beside = b.sub(column_offset(b, geo, behind), here)
        length = b.mul(self.block.steps, self.block.count, geo.b.stride(geo.inner))
        below = b.add(b.sub(column_offset(b, geo, self.n_lo), here), length)
        return b.where(b.lt(behind, self.n_hi), beside, below)

    # where the sums go ----------------------------------------------------------------------------

    @property
    def _partials(self) -> Reg:
        where = self.nest.partials if self.sums is None else self.sums
        assert where is not None
        return where

    def _finish(
        self, sums: list[Reg], places: list[Reg], panel: Panel, row: Reg, height: int
    ) -> None:
        if self.one_block:
            self._emit(sums, panel, row, height)
            return
        b, where = self.b, self._partials
        vector = self.acc.with_lanes(self.plan.lanes)
        with b.if_(self.first) as branch:
            b.yield_(*sums)
        with branch.else_():
            held = [b.load(where, place, vector) for place in places]
            b.yield_(*(b.apply("add", h, s) for h, s in zip(held, sums, strict=True)))
        totals = branch.results
        if self.plan.splits > 1:
            self._keep(where, places, totals)
            return
        with b.if_(self.last) as branch:
            self._emit(totals, panel, row, height)
        with branch.else_():
            self._keep(where, places, totals)

    def _keep(self, where: Reg, places: Sequence[Reg], totals: Sequence[Reg]) -> None:
        for place, total in zip(places, totals, strict=True):
            self.b.store(where, place, total)

    def _places(self, panel: Panel, row: Reg, height: int) -> list[Reg]:
        """Where the partial sums of a tile wait: in the block's scratch, or in its piece of K."""
        b, nest, lanes = self.b, self.nest, self.plan.lanes
        if self.sums is not None:
            first, pitch = b.affine(row, (self.tap, nest.mc)), nest.nc
            column = b.sub(panel.n0, self.n_lo)
        else:
            cell = b.affine(self.tap, (b.affine(self.batch, (self.split, nest.batch)), nest.taps))
            first, pitch = b.affine(b.add(self.m_lo, row), (cell, nest.m)), nest.n_padded
            column = panel.n0
        return [
            b.affine(b.add(column, v * lanes), (b.add(first, r), pitch))
            for r in range(height)
            for v in range(panel.vectors)
        ]

    def _emit(self, values: Sequence[Reg], panel: Panel, row: Reg, height: int) -> None:
        panel.emit(self.b, lambda masks: self._emit_lanes(values, panel, masks, row, height))

    def _emit_lanes(
        self,
        values: Sequence[Reg],
        panel: Panel,
        masks: Sequence[Reg | None],
        row: Reg,
        height: int,
    ) -> None:
        b, lanes = self.b, self.plan.lanes
        several = self.rows is not None and len(self.geo.rows) > 1
        for r in range(height):
            at = b.add(row, r)
            index = dict(self.here)
            if several and self.rows is not None:
                index |= self.rows.index(at)
            else:
                index[self.geo.rows[0]] = b.add(self.m_lo, at)
            for v in range(panel.vectors):
                index[self.geo.col] = b.add(panel.n0, v * lanes)
                value = values[r * panel.vectors + v]
                self.nest.emit(index, value, masks[v])


def _strided(b: NestBuilder, base: Reg, elem: str, along_k: Reg, apart: int) -> Address:
    """Elements `along_k` apart along k, rows or vectors a known number apart."""

    def at(k: Reg, number: int) -> tuple[Reg, Reg]:
        return b.offset(base, b.mul(k, along_k), elem), b.i64(number * apart)

    return at


def _scattered(b: NestBuilder, rows: Sequence[Reg], along_k: Reg | None = None) -> Address:
    """A pointer for each row."""

    def at(k: Reg, number: int) -> tuple[Reg, Reg]:
        return rows[number], k if along_k is None else b.mul(k, along_k)

    return at


def _tree(b: NestBuilder, values: list[Reg]) -> Reg:
    while len(values) > 1:
        values = [b.apply("add", x, y) for x, y in zip(values[::2], values[1::2], strict=True)]
    return values[0]
