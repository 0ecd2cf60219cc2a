"""The nest for few rows: B is read once, where it lies, at the speed of memory.

The same chains in the same order as the blocked nest, so a row's bits do not depend on how many
rows came with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from argand.kernels.contraction_pack import transpose
from argand.kernels.contraction_plan import Geometry, Plan
from argand.kernels.contraction_spec import Axis, Contraction
from argand.kernels.contraction_tile import Address, Panel, Tile, multiply_add, panels, regions
from argand.kernels.contraction_walk import (
    KBlock,
    KWalk,
    dot,
    extent_of,
    size,
    spread,
    unflatten,
)
from argand.loops.nest import Builder, Reg, Ty

__all__ = ["few_rows"]

PIECE_BYTES = 1 << 17
"""About as much of B as a chunk should read."""


def few_rows(b: Builder, spec: Contraction, geo: Geometry, plan: Plan) -> None:
    """Emit the nest for one matrix row or a few."""
    _FewRows(b, spec, geo, plan).run()


class _FewRows:
    def __init__(self, b: Builder, spec: Contraction, geo: Geometry, plan: Plan) -> None:
        self.b, self.spec, self.geo, self.plan = b, spec, geo, plan
        self.acc = Ty(spec.acc)
        self.walk = KWalk(b, geo)
        self.m, self.n = extent_of(b, geo.rows), size(b, geo.col.extent)

    def run(self) -> None:
        b, plan = self.b, self.plan
        batch = extent_of(b, self.geo.batch)
        per_panel = b.mul(self.walk.inner, plan.width * self.acc.bytes)
        panel_count = b.ceildiv(self.n, plan.width)
        share = b.max(b.div(b.i64(PIECE_BYTES), b.max(per_panel, 1)), 1)
        groups = b.ceildiv(panel_count, share)
        columns = b.mul(share, plan.width)
        work = b.mul(batch, panel_count, per_panel)
        small = b.max(b.div(share, b.max(panel_count, 1)), 1)
        with spread(b, b.mul(batch, groups), small, b.div(work, 15)) as (low, high):
            with b.loop(low, high) as loop:
                self.fixed = unflatten(b, self.geo.batch, b.div(loop.index, groups))
                n_lo = b.mul(b.rem(loop.index, groups), columns)
                self._columns(n_lo, b.min(b.add(n_lo, columns), self.n), columns)

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
        panels(b, self.plan, self.acc, n_lo, n_hi, count, self._panel)

    def _panel(self, panel: Panel) -> None:
        b = self.b
        for low, high, height in regions(b, self.m, self.plan.rows):
            with b.loop(low, high, height) as loop:
                self._rows(panel, loop.index, height)

    def _rows(self, panel: Panel, row: Reg, height: int) -> None:
        b, plan = self.b, self.plan
        zero = b.const(self.acc.with_lanes(plan.lanes), 0)
        with b.loop(0, self.walk.blocks, 1, [zero] * (height * panel.vectors)) as loop:
            block = self.walk.at(loop.index)
            if plan.b == "turn":
                sums: Sequence[Reg] = self._turned(panel, row, height, block)
            else:
                sums = self._in_place(panel, row, height, block)
            first = b.eq(loop.index, 0)
            b.yield_(
                *(
                    b.where(first, s, b.apply("add", total, s))
                    for total, s in zip(loop.carry, sums, strict=True)
                )
            )
        self._emit(loop.results, panel, row, height)

    def _in_place(self, panel: Panel, row: Reg, height: int, block: KBlock) -> Sequence[Reg]:
        b, geo, plan = self.b, self.geo, self.plan
        along_k = size(b, geo.b.stride(geo.inner))
        base = b.offset(self.b_base, b.affine(panel.n0, (block.i0, along_k)), geo.b.elem)

        def b_at(k: Reg, v: int) -> tuple[Reg, Reg]:
            return b.offset(base, b.mul(k, along_k), geo.b.elem), b.i64(v * plan.lanes)

        a_at = self._a_at(row, height, block)
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

    def _a_at(self, row: Reg, height: int, block: KBlock) -> Address:
        b, geo = self.b, self.geo
        along_m, along_k = geo.a.stride(geo.rows[0]), size(b, geo.a.stride(geo.inner))
        starts = [b.affine(0, (b.add(row, r), along_m), (block.i0, along_k)) for r in range(height)]
        rows = [b.offset(self.a_base, start, geo.a.elem) for start in starts]
        return lambda k, r: (rows[r], b.mul(k, along_k))

    def _turned(self, panel: Panel, row: Reg, height: int, block: KBlock) -> Sequence[Reg]:
        """B is contiguous along k: squares of it are transposed in registers."""
        b, geo, lanes = self.b, self.geo, self.plan.lanes
        vector = self.acc.with_lanes(lanes)
        apart = size(b, geo.b.stride(geo.col))
        a_at = self._a_at(row, height, block)
        last = b.sub(self.n, 1)
        columns = [b.add(panel.n0, j) for j in range(lanes)]
        if panel.masks[0] is not None:
            columns = [b.min(column, last) for column in columns]
        starts = [b.affine(block.i0, (column, apart)) for column in columns]
        pointers = [b.offset(self.b_base, start, geo.b.elem) for start in starts]

        def add(k: Reg, column: Reg, sums: Sequence[Reg]) -> list[Reg]:
            out = []
            for r, total in enumerate(sums):
                element = b.splat(b.load(*a_at(k, r), Ty(geo.a.elem)), lanes)
                out.append(multiply_add(b, element, column, total))
            return out

        sums: Sequence[Reg] = [b.const(vector, 0)] * height
        whole = b.mul(b.div(block.count, lanes), lanes)
        with b.loop(0, whole, lanes, sums) as loop:
            inside: Sequence[Reg] = loop.carry
            square = [b.load(pointer, loop.index, vector) for pointer in pointers]
            for j, column in enumerate(transpose(b, square)):
                inside = add(b.add(loop.index, j), column, inside)
            b.yield_(*inside)
        with b.loop(whole, block.count, 1, loop.results) as loop:
            column = b.const(vector, 0)
            for j, pointer in enumerate(pointers):
                column = b.insert(column, b.load(pointer, loop.index, self.acc), j)
            b.yield_(*add(loop.index, column, loop.carry))
        return loop.results

    def _emit(self, values: Sequence[Reg], panel: Panel, row: Reg, height: int) -> None:
        b, spec, geo = self.b, self.spec, self.geo
        zero = b.i64(0)
        for r in range(height):
            for v in range(panel.vectors):
                index: Mapping[Axis, Reg] = {
                    **self.fixed,
                    geo.rows[0]: b.add(row, r),
                    geo.col: b.add(panel.n0, v * self.plan.lanes),
                }
                full = {x: index.get(x, zero) for x in (*spec.batch, *spec.m, *spec.n)}
                spec.epilogue(b, full, values[r * panel.vectors + v], panel.masks[v])
