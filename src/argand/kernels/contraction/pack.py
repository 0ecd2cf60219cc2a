"""Packing: an operand's part of a block, laid out as the tile reads it, in the type it is summed
in.

B becomes panels [k][width]; A becomes rows [k] (k-contiguous operands, no transposition needed
since its elements are broadcast one at a time) or columns [k][rows of the tile] (m-contiguous
ones).
"""

from __future__ import annotations

from collections.abc import Sequence

from argand.kernels.contraction.addressing import KBlock, RowTable, StepTable
from argand.kernels.contraction.geometry import Geometry
from argand.kernels.contraction.microkernel import Panel, panels, regions
from argand.kernels.contraction.plan import K_BLOCK, ContractionPlan
from argand.nest.builder import NestBuilder, Reg, Ty
from argand.nest.transpose import columns_at_once, load_columns, transpose

__all__ = [
    "Packer",
    "a_row_bytes",
    "a_row_stride",
    "b_bytes",
    "b_pitch",
]


def a_row_stride(plan: ContractionPlan) -> int:
    """Elements from one packed row of A to the next: a block of k, off the powers of two; for
    columns, room for what a store writes too much."""
    return K_BLOCK + max(16, plan.lanes) if plan.a == "rows" else K_BLOCK + plan.lanes


def a_row_bytes(plan: ContractionPlan, acc: Ty) -> int:
    """Bytes of scratch a packed row of A takes."""
    return a_row_stride(plan) * acc.bytes


def b_pitch(plan: ContractionPlan) -> int:
    """Elements from one packed panel of B to the next: a block of k, room for what a transposed
    square writes too much, and off the powers of two."""
    return (K_BLOCK + plan.lanes) * plan.width


def b_bytes(b: NestBuilder, plan: ContractionPlan, acc: Ty, columns: Reg) -> Reg:
    """Bytes of scratch for the packed panels of so many columns."""
    return b.mul(b.ceildiv(columns, plan.width), b_pitch(plan) * acc.bytes)


class Packer:
    """Packs the operands of one block; the registers of the block are set by its owner."""

    def __init__(
        self,
        b: NestBuilder,
        geo: Geometry,
        plan: ContractionPlan,
        acc: Ty,
        steps: StepTable,
        rows: RowTable | None,
    ) -> None:
        self._b, self._geo, self._plan, self._acc = b, geo, plan, acc
        self._steps, self._rows = steps, rows
        self._vector = acc.with_lanes(plan.lanes)

    # B ------------------------------------------------------------------------------------------

    def b_panels(
        self,
        to: Reg,
        base: Reg,
        block: KBlock,
        columns: tuple[Reg, Reg, int | None],
    ) -> None:
        """The columns (first, end, how many if known now) of B for a block of k; `base` is where
        the batch starts in B."""
        b, geo = self._b, self._geo
        with b.loop(0, block.steps) as outer:
            start = b.affine(self._steps.b(outer.index), (block.i0, geo.b.stride(geo.inner)))
            place = b.offset(base, start, geo.b.elem)
            shift = b.mul(outer.index, block.count, self._plan.width)
            out = b.offset(to, shift, self._acc.elem)
            if self._plan.b == "transpose":
                self._transpose(out, place, block, columns)
            else:
                self._copy(out, place, block, columns)

    def _copy(
        self, to: Reg, place: Reg, block: KBlock, columns: tuple[Reg, Reg, int | None]
    ) -> None:
        """Row by row of k, which reads memory in its order; vectors along n, gathered where they
        are not neighbours."""
        b, plan, geo = self._b, self._plan, self._geo
        with b.loop(0, block.count) as loop:
            row = b.mul(loop.index, geo.b.stride(geo.inner))

            def piece(panel: Panel) -> None:
                shift = b.affine(
                    b.mul(loop.index, plan.width),
                    (b.sub(panel.n0, columns[0]), K_BLOCK + plan.lanes),
                )
                out = b.offset(to, shift, self._acc.elem)
                for v, mask in enumerate(panel.masks):
                    start = b.add(panel.n0, v * plan.lanes)
                    b.store(out, v * plan.lanes, self._b_vector(place, row, start, mask))

            panels(b, plan, self._acc, *columns, piece)

    def _b_vector(self, place: Reg, row: Reg, start: Reg, mask: Reg | None) -> Reg:
        b, operand = self._b, self._geo.b
        ty = Ty(operand.elem, self._plan.lanes)
        if self._plan.b == "copy":
            value = b.load(place, b.add(row, start), ty, mask)
        else:
            stride = b.index(operand.stride(self._geo.col))
            lanes = b.ramp(stride, ty.lanes)
            value = b.gather(place, b.apply("add", lanes, b.affine(row, (start, stride))), ty, mask)
        return b.cast(value, self._vector)

    def _transpose(
        self, to: Reg, place: Reg, block: KBlock, columns: tuple[Reg, Reg, int | None]
    ) -> None:
        """Squares of lanes x lanes, read along k and transposed in registers. The last square of a
        short k is written whole: what comes after it is written later, or is room to spare.

        Of an unknown number of columns whole panels are computed, so they are filled with the last
        column: what scratch held before may be denormal numbers, which are slow.
        """
        b, plan = self._b, self._plan
        n_lo, n_hi, known = columns
        end = n_hi
        if known is None:
            end = b.affine(n_lo, (b.ceildiv(b.sub(n_hi, n_lo), plan.width), plan.width))
        with b.loop(n_lo, end, plan.lanes) as loop:
            along = b.sub(loop.index, n_lo)
            within = b.rem(along, plan.width)
            shift = b.affine(within, (b.sub(along, within), K_BLOCK + plan.lanes))
            out = b.offset(to, shift, self._acc.elem)
            last = b.sub(n_hi, 1)
            places = [b.min(b.add(loop.index, j), last) for j in range(plan.lanes)]

            def square(k: Reg, mask: Reg | None) -> None:
                self._square(out, place, k, mask, places)

            b.vector_loop(0, block.count, plan.lanes, self._acc.elem, square)

    def _square(
        self, to: Reg, place: Reg, k: Reg, mask: Reg | None, columns: Sequence[Reg]
    ) -> None:
        b, plan, geo = self._b, self._plan, self._geo
        ty = Ty(geo.b.elem, plan.lanes)
        stride = geo.b.stride(geo.col)
        if mask is None and ty.elem == self._acc.elem:
            pointers = [b.offset(place, b.mul(column, stride), ty.elem) for column in columns]
            part = columns_at_once(ty)
            parts = [
                load_columns(b, lambda j, at: (pointers[j], b.add(k, at)), start, ty)
                for start in range(0, ty.lanes, part)
            ]
            self._put_square(to, k, [column for columns in parts for column in columns])
            return
        vectors = []
        for column in columns:
            value = b.load(place, b.affine(k, (column, stride)), ty, mask)
            vectors.append(b.cast(value, self._vector))
        self._put_square(to, k, transpose(b, vectors))

    def _put_square(self, to: Reg, k: Reg, columns: Sequence[Reg]) -> None:
        b, width = self._b, self._plan.width
        for j, column in enumerate(columns):
            b.store(to, b.affine(j * width, (k, width)), column)

    # A ------------------------------------------------------------------------------------------

    def a_rows(self, to: Reg, base: Reg, block: KBlock, m_lo: Reg, count: Reg) -> None:
        """Rows m_lo … m_lo + count of A for a block of k, each along k; zeros where it is out of
        bounds. In a ranged contraction only the range is read and written."""
        b, plan, geo = self._b, self._plan, self._geo
        ty = Ty(geo.a.elem, plan.lanes)
        with b.loop(0, count) as rows, b.loop(0, block.steps) as outer:
            row, step = rows.index, outer.index
            shift = b.affine(b.mul(step, block.count), (row, a_row_stride(plan)))
            out = b.offset(to, shift, self._acc.elem)
            place, stride = self._a_row(base, block, b.add(m_lo, row), row, step)

            def piece(k: Reg, mask: Reg | None) -> None:
                value = self._a_vector(place, stride, k, ty, mask)
                b.store(out, k, b.cast(value, self._vector), mask)

            low, high = self._steps.range(step)
            b.vector_loop(low, b.max(low, high), plan.lanes, self._acc.elem, piece)

    def _a_row(self, base: Reg, block: KBlock, m: Reg, row: Reg, step: Reg) -> tuple[Reg, Reg]:
        b, geo = self._b, self._geo
        if self._rows is not None:
            pointer = self._rows.pointer(step, row)
            return pointer, self._rows.stride(pointer)
        stride = b.index(geo.a.stride(geo.inner))
        at = b.affine(self._steps.a(step), (m, geo.a.stride(geo.rows[0])), (block.i0, stride))
        return b.offset(base, at, geo.a.elem), stride

    def _a_vector(self, place: Reg, stride: Reg, k: Reg, ty: Ty, mask: Reg | None) -> Reg:
        b = self._b
        if stride.const == 1:
            return b.load(place, k, ty, mask)
        lanes = b.ramp(stride, ty.lanes)
        return b.gather(place, b.apply("add", lanes, b.mul(k, stride)), ty, mask)

    def a_columns(self, to: Reg, base: Reg, block: KBlock, m_lo: Reg, count: Reg) -> None:
        """Rows m_lo … m_lo + count of an m-contiguous A as [k][rows of a tile]: each store writes
        whole vectors, and the next one overwrites what was too much."""
        b, plan, geo = self._b, self._plan, self._geo
        parts = list(regions(b, count, plan.rows))
        with b.loop(0, block.count) as loop:
            start = b.affine(m_lo, (b.add(block.i0, loop.index), geo.a.stride(geo.inner)))
            for low, high, height in parts:
                with b.loop(low, high, height) as tiles:
                    shift = b.affine(b.mul(loop.index, height), (tiles.index, a_row_stride(plan)))
                    out = b.offset(to, shift, self._acc.elem)
                    for part in range(0, height, plan.lanes):
                        mask = self._first_lanes(height - part)
                        at = b.add(start, tiles.index, part)
                        b.store(out, part, b.load(base, at, self._vector, mask))

    def _first_lanes(self, count: int) -> Reg | None:
        lanes = self._plan.lanes
        if count >= lanes:
            return None
        return self._b.const(Ty("bool", lanes), [j < count for j in range(lanes)])
