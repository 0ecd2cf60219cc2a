"""The nest for few rows: B is read once, in place, at the speed of memory.

The same chains in the same order as the blocked nest, so a row's bits do not depend on how many
rows came with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from argand.kernels.contraction.addressing import (
    KBlock,
    KBlocks,
    column_offset,
    dot,
    extent_of,
    result_index,
    spread,
    unflatten,
)
from argand.kernels.contraction.geometry import Geometry
from argand.kernels.contraction.microkernel import (
    Address,
    Panel,
    Tile,
    added_in_order,
    multiply_add,
    panels,
    regions,
)
from argand.kernels.contraction.plan import K_BLOCK, ContractionPlan
from argand.kernels.contraction.spec import Contraction, ContractionAxis
from argand.kernels.contraction.tiles import LINE_BYTES
from argand.nest.builder import I64, NestBuilder, Reg, Ty, static
from argand.nest.transpose import Near, columns_at_once, load_columns

__all__ = ["few_rows"]

AHEAD = 4
"""Rows of B that are asked for before they are needed: their strides hide them from the hardware.
More would push each other out of the first-level cache when they are a power of two apart."""

PIECE_BYTES = 1 << 17
"""About as much of B as a chunk should read."""


def few_rows(b: NestBuilder, spec: Contraction, geo: Geometry, plan: ContractionPlan) -> None:
    """Emit the nest for one matrix row or a few."""
    _FewRows(b, spec, geo, plan).run()


class _FewRows:
    def __init__(
        self, b: NestBuilder, spec: Contraction, geo: Geometry, plan: ContractionPlan
    ) -> None:
        self.b, self.spec, self.geo, self.plan = b, spec, geo, plan
        self.acc = Ty(spec.acc)
        self.k_blocks = KBlocks(b, geo)
        self.m, self.n = extent_of(b, geo.rows), b.index(geo.col.extent)

    def run(self) -> None:
        b, plan = self.b, self.plan
        batch = extent_of(b, self.geo.batch)
        per_panel = b.mul(self.k_blocks.inner, plan.width * self.acc.bytes)
        panel_count = b.ceildiv(self.n, plan.width)
        share = b.max(b.div(b.i64(PIECE_BYTES), b.max(per_panel, 1)), 1)
        share = self._even(panel_count, share)
        groups = b.ceildiv(panel_count, share)
        columns = b.mul(share, plan.width)
        work = b.mul(batch, panel_count, per_panel)
        small = b.max(b.div(share, b.max(panel_count, 1)), 1)
        with (
            spread(b, b.mul(batch, groups), small, b.div(work, 15)) as (low, high),
            b.loop(low, high) as loop,
        ):
            self.fixed = unflatten(b, self.geo.batch, b.div(loop.index, groups))
            n_lo = b.mul(b.rem(loop.index, groups), columns)
            self._columns(n_lo, b.min(b.add(n_lo, columns), self.n), columns)

    def _even(self, panel_count: Reg, share: Reg) -> Reg:
        """A share that leaves no smaller last one, when there is one about as large: less code."""
        count, most = panel_count.const, share.const
        if isinstance(count, int) and isinstance(most, int):
            for candidate in range(min(most, count), most // 2, -1):
                if count % candidate == 0:
                    return self.b.i64(candidate)
        return share

    def _columns(self, n_lo: Reg, n_hi: Reg, columns: Reg) -> None:
        b, geo = self.b, self.geo
        bases = []
        for operand in (geo.a, geo.b):
            start = b.add(operand.offset, dot(b, self.fixed, operand.strides))
            bases.append(b.offset(operand.ptr, start, operand.elem))
        self.a_base, self.b_base = bases
        count: int | None = None
        n, step = self.n.const, columns.const
        if isinstance(n, int) and isinstance(step, int):
            count = n if n <= step else step if n % step == 0 else None
        loadable = self.plan.b == "transpose" and static(geo.b.stride(geo.col)) is None
        panels(b, self.plan, self.acc, n_lo, n_hi, count, self._panel, loadable)

    def _panel(self, panel: Panel) -> None:
        b = self.b
        for low, high, height in regions(b, self.m, self.plan.rows):
            with b.loop(low, high, height) as loop:
                self._rows(panel, loop.index, height)

    def _rows(self, panel: Panel, row: Reg, height: int) -> None:
        b, plan = self.b, self.plan
        totals: Sequence[Reg] = [b.const(self.acc.with_lanes(plan.lanes), 0)]
        totals = list(totals) * (height * panel.vectors)
        if plan.b == "transpose":
            totals = self._transposed(panel, row, height, totals)
        else:
            with b.loop(0, self.k_blocks.count, 1, totals) as loop:
                block = self.k_blocks.at(loop.index)
                sums = self._in_place(panel, row, height, block)
                b.yield_(*added_in_order(b, b.eq(loop.index, 0), loop.carry, [sums]))
            totals = loop.results
        self._emit(totals, panel, row, height)

    def _in_place(self, panel: Panel, row: Reg, height: int, block: KBlock) -> Sequence[Reg]:
        b, geo, plan = self.b, self.geo, self.plan
        along_k = b.index(geo.b.stride(geo.inner))
        start = b.affine(column_offset(b, geo, panel.n0), (block.i0, along_k))
        base = b.offset(self.b_base, start, geo.b.elem)
        line = LINE_BYTES // self.acc.bytes

        def b_at(k: Reg, v: int) -> tuple[Reg, Reg]:
            if AHEAD and v * plan.lanes % line == 0:
                ahead = b.affine(v * plan.lanes, (b.add(k, AHEAD), along_k))
                b.prefetch(base, ahead, geo.b.elem)
            return b.offset(base, b.mul(k, along_k), geo.b.elem), b.i64(v * plan.lanes)

        a_at = self._a_at(row, height, block.i0)
        tile = Tile(
            rows=height,
            panel=panel,
            steps=b.i64(1),
            at=lambda step: (a_at, b_at, b.i64(0), block.count),
            a_elem=Ty(geo.a.elem),
            b_elem=Ty(geo.b.elem),
            masked=True,
        )
        return tile.chain(b, self.acc, plan.lanes)

    def _a_at(self, row: Reg, height: int, k0: Reg) -> Address:
        b, geo = self.b, self.geo
        along_m, along_k = geo.a.stride(geo.rows[0]), b.index(geo.a.stride(geo.inner))
        starts = [b.affine(0, (b.add(row, r), along_m), (k0, along_k)) for r in range(height)]
        rows = [b.offset(self.a_base, start, geo.a.elem) for start in starts]
        return lambda k, r: (rows[r], b.mul(k, along_k))

    def _transposed(
        self, panel: Panel, row: Reg, height: int, totals: Sequence[Reg]
    ) -> Sequence[Reg]:
        """B is contiguous along k: squares of it are transposed in registers. Several blocks of k
        run at once, so that one chain does not wait for itself."""
        b, inner = self.b, self.k_blocks.inner
        full = b.div(inner, K_BLOCK)
        known = full.const is not None
        done = b.i64(0)
        every = b.ceildiv(inner, K_BLOCK)
        for beside, upto in self._groups(full, every, height * panel.vectors):
            end = upto
            if end is None:
                end = b.mul(b.div(full, beside), beside)
            with b.loop(done, end, beside, totals) as loop:
                first = b.mul(loop.index, K_BLOCK)
                whole = known or beside > 1
                count = b.i64(K_BLOCK) if whole else b.min(b.sub(inner, first), K_BLOCK)
                sums = self._squares(panel, row, height, first, beside, count)
                b.yield_(*added_in_order(b, b.eq(loop.index, 0), loop.carry, sums))
            totals = loop.results
            done = end
        rest = b.rem(inner, K_BLOCK)
        if rest.const == 0 or not known:
            return totals
        with b.if_(b.lt(0, rest)) as branch:
            sums = self._squares(panel, row, height, b.mul(full, K_BLOCK), 1, rest)
            b.yield_(*added_in_order(b, b.eq(full, 0), totals, sums))
        with branch.else_():
            b.yield_(*totals)
        return branch.results

    @staticmethod
    def _groups(full: Reg, every: Reg, chains: int) -> tuple[tuple[int, Reg | None], ...]:
        """(how many blocks run at once, up to which block): pairs, and three for an odd end;
        single ones when a tile has several chains of its own. Of an unknown number of blocks, a
        short last one is among the single ones."""
        blocks = full.const
        if not isinstance(blocks, int):
            return ((1, every),) if chains > 1 else ((2, None), (1, every))
        if chains > 1:
            return ((1, full),) if blocks != 0 else ()
        pairs = blocks if blocks % 2 == 0 else max(0, blocks - 3)
        return tuple(
            (beside, Reg(I64, upto))
            for beside, upto in ((2, pairs), (blocks - pairs, blocks))
            if beside and (beside != 2 or pairs)
        )

    def _squares(
        self, panel: Panel, row: Reg, height: int, first: Reg, beside: int, count: Reg
    ) -> list[list[Reg]]:
        """The sums of `beside` blocks of k from `first` on, each of `count`."""
        b, geo, lanes = self.b, self.geo, self.plan.lanes
        vector = self.acc.with_lanes(lanes)
        rows, columns = self._rows_near(row, height, first), self._columns_near(panel, first)
        tile = height * panel.vectors

        def add(near: Near, k: int, across: Sequence[Reg], sums: Sequence[Reg]) -> Sequence[Reg]:
            out = []
            for r in range(height):
                element = b.splat(b.load(*near(r, k), Ty(geo.a.elem)), lanes)
                for v, column in enumerate(across):
                    out.append(multiply_add(b, element, column, sums[r * len(across) + v]))
            return out

        def cut(flat: Sequence[Reg]) -> list[Sequence[Reg]]:
            return [flat[i : i + tile] for i in range(0, len(flat), tile)]

        zeros = [b.const(vector, 0)] * (tile * beside)
        whole = b.mul(b.div(count, lanes), lanes)
        with b.loop(0, whole, lanes, zeros) as loop:
            near_a, near_b = rows(loop.index), columns(loop.index)
            inside = cut(loop.carry)
            for part in range(0, lanes, columns_at_once(vector)):
                for number, sums in enumerate(inside):
                    k = number * K_BLOCK + part
                    squares = [load_columns(b, near, k, vector) for near in near_b]
                    for j, across in enumerate(zip(*squares, strict=True)):
                        sums = add(near_a, k + j, across, sums)
                    inside[number] = sums
            b.yield_(*(total for sums in inside for total in sums))
        flat: Sequence[Reg] = loop.results
        if whole.const is None or whole.const != count.const:
            with b.loop(whole, count, 1, flat) as loop:
                near_a, near_b = rows(loop.index), columns(loop.index)
                out: list[Reg] = []
                for number, sums in enumerate(cut(loop.carry)):
                    across = tuple(self._one_by_one(near, number * K_BLOCK) for near in near_b)
                    out += add(near_a, number * K_BLOCK, across, sums)
                b.yield_(*out)
            flat = loop.results
        return [list(sums) for sums in cut(flat)]

    def _rows_near(self, row: Reg, height: int, k0: Reg) -> Callable[[Reg], Near]:
        """Addresses in A around a k counted from k0."""
        b, geo = self.b, self.geo
        along_m, along_k = geo.a.stride(geo.rows[0]), geo.a.stride(geo.inner)
        starts = [b.affine(0, (b.add(row, r), along_m), (k0, along_k)) for r in range(height)]
        rows = [b.offset(self.a_base, start, geo.a.elem) for start in starts]

        def around(k: Reg) -> Near:
            here = [b.offset(start, b.mul(k, along_k), geo.a.elem) for start in rows]
            return lambda r, away: (here[r], b.mul(away, along_k))

        return around

    def _columns_near(self, panel: Panel, k0: Reg) -> Callable[[Reg], list[Near]]:
        """Addresses in B, for each vector, around a k counted from k0; missing columns repeat the
        last one."""
        b, geo, lanes = self.b, self.geo, self.plan.lanes
        stride, elem = geo.b.stride(geo.col), geo.b.elem
        known = static(stride)
        if known is not None and not any(mask is not None for mask in panel.masks):
            base = b.offset(self.b_base, b.affine(k0, (panel.n0, known)), elem)

            def near(here: Reg, v: int, apart: int) -> Near:
                return lambda j, away: (here, b.i64((v * lanes + j) * apart + away))

            def around(k: Reg) -> list[Near]:
                here = b.offset(base, k, elem)
                return [near(here, v, known) for v in range(panel.vectors)]

            return around
        last = b.sub(self.n, 1)
        columns = [b.min(b.add(panel.n0, j), last) for j in range(panel.vectors * lanes)]
        starts = [b.affine(k0, (column, stride)) for column in columns]
        pointers = [b.offset(self.b_base, start, elem) for start in starts]

        def near_each(here: Sequence[Reg], v: int) -> Near:
            return lambda j, away: (here[v * lanes + j], b.i64(away))

        def around_each(k: Reg) -> list[Near]:
            here = [b.offset(pointer, k, elem) for pointer in pointers]
            return [near_each(here, v) for v in range(panel.vectors)]

        return around_each

    def _one_by_one(self, near: Near, k: int) -> Reg:
        b = self.b
        column = b.const(self.acc.with_lanes(self.plan.lanes), 0)
        for j in range(self.plan.lanes):
            column = b.insert(column, b.load(*near(j, k), self.acc), j)
        return column

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
        b, spec, geo = self.b, self.spec, self.geo
        for r in range(height):
            for v in range(panel.vectors):
                index: Mapping[ContractionAxis, Reg] = {
                    **self.fixed,
                    geo.rows[0]: b.add(row, r),
                    geo.col: b.add(panel.n0, v * self.plan.lanes),
                }
                full = result_index(b, spec, geo, index)
                spec.epilogue(b, full, values[r * panel.vectors + v], masks[v])
