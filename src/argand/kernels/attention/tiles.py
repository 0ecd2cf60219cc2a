"""Products of blocks by the micro-kernel: A and B where they are, or packed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from argand.kernels.attention.operands import known_extent
from argand.kernels.contraction.addressing import KBlock, StepTable, dot
from argand.kernels.contraction.geometry import Geometry
from argand.kernels.contraction.microkernel import Address, Panel, Tile, panels, regions
from argand.kernels.contraction.pack import Packer, b_pitch
from argand.kernels.contraction.plan import K_BLOCK, ContractionPlan
from argand.kernels.contraction.spec import ContractionAxis, Operand
from argand.nest.builder import IntOrReg, NestBuilder, Reg, Ty

__all__ = [
    "Columns",
    "Packed",
    "Rows",
    "Streamed",
    "Term",
    "base_of",
    "chains",
    "multiply",
    "store_tile",
]

Finish = Callable[[Reg, int, Panel, Sequence[Reg]], None]
"""finish(row, height, panel, sums): what becomes of a tile, row-major."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of A: a stride apart, `along` from one k to the next."""

    pointer: Reg
    elem: str
    apart: IntOrReg
    along: IntOrReg

    def at(self, b: NestBuilder, row: Reg, height: int, first: IntOrReg) -> Address:
        """Addresses in the rows `row` … from the k `first` on."""
        starts = [
            b.affine(0, (b.add(row, r), self.apart), (b.index(first), self.along))
            for r in range(height)
        ]
        pointers = [b.offset(self.pointer, start, self.elem) for start in starts]
        return lambda k, r: (pointers[r], b.mul(k, self.along))


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns of B, contiguous: `along` elements from one k to the next, and `apart` from one
    panel to the next where they were packed (None: contiguous)."""

    pointer: Reg
    elem: str
    along: IntOrReg
    apart: IntOrReg | None = None

    def at(self, b: NestBuilder, plan: ContractionPlan, panel: Panel, first: IntOrReg) -> Address:
        """Addresses in a panel from the k `first` on."""
        start = panel.n0
        if self.apart is not None:
            start = b.mul(b.div(panel.n0, plan.width), self.apart)
        base = b.offset(self.pointer, b.affine(start, (b.index(first), self.along)), self.elem)

        def address(k: Reg, v: int) -> tuple[Reg, Reg]:
            return b.offset(base, b.mul(k, self.along), self.elem), b.i64(v * plan.lanes)

        return address


@dataclasses.dataclass(frozen=True)
class Term:
    """A chain of products: `count(row, height)` of them (or as many for all rows), from the k
    `a_first` of A and `b_first` of B on."""

    a: Rows
    b: Columns
    count: IntOrReg | Callable[[Reg, int], Reg]
    a_first: IntOrReg = 0

    def chain(
        self,
        b: NestBuilder,
        plan: ContractionPlan,
        acc: Ty,
        panel: Panel,
        row: Reg,
        height: int,
    ) -> list[Reg]:
        """The sums of a tile."""
        count = self.count(row, height) if callable(self.count) else b.index(self.count)

        def at(step: Reg) -> tuple[Address, Address, Reg, Reg]:
            rows = self.a.at(b, row, height, self.a_first)
            return rows, self.b.at(b, plan, panel, 0), b.i64(0), count

        packed = self.b.apart is not None
        tile = Tile(height, panel, b.i64(1), at, Ty(self.a.elem), Ty(self.b.elem), not packed)
        return tile.chain(b, acc, plan.lanes)


def chains(depth: int) -> list[tuple[int, int]]:
    """(first, count) of the chains that a sum of so many products is made of."""
    return [(first, min(K_BLOCK, depth - first)) for first in range(0, depth, K_BLOCK)]


def multiply(
    b: NestBuilder,
    plan: ContractionPlan,
    acc: Ty,
    rows: Reg,
    columns: Reg,
    terms: Sequence[Term],
    finish: Finish,
) -> None:
    """The product of `rows` rows and `columns` columns, the chains of its terms added in order.

    Where the number of columns is not known now, B is packed and whole panels are computed.
    """

    def each(panel: Panel) -> None:
        for low, high, height in regions(b, rows, plan.rows):
            with b.loop(low, high, height) as loop:
                sums: list[Reg] = []
                for term in terms:
                    found = term.chain(b, plan, acc, panel, loop.index, height)
                    pairs = zip(sums, found, strict=True)
                    sums = [b.apply("add", x, y) for x, y in pairs] if sums else found
                finish(loop.index, height, panel, sums)

    if isinstance(columns.const, int):
        panels(b, plan, acc, b.i64(0), columns, columns.const, each)
        return
    with b.loop(0, columns, plan.width) as loop:
        each(Panel(loop.index, plan.vectors, (None,) * plan.vectors))


def base_of(b: NestBuilder, operand: Operand, index: Mapping[ContractionAxis, Reg]) -> Reg:
    """Where an operand begins at an index of some axes."""
    return b.offset(
        operand.ptr, b.add(operand.offset, dot(b, index, operand.strides)), operand.elem
    )


class Packed:
    """Columns of an operand packed in panels, for chains of `inner`: those of `depth` products one
    after the other, or one of a block."""

    def __init__(
        self,
        b: NestBuilder,
        plan: ContractionPlan,
        operand: Operand,
        column: ContractionAxis,
        inner: ContractionAxis,
        acc: Ty,
        most: int,
        depth: int = 0,
    ) -> None:
        self._b, self._plan, self._acc = b, plan, acc
        self._parts = chains(depth)
        geo = Geometry(operand, operand, (), (), (column,), column, (), inner)
        self._packer = Packer(b, geo, plan, acc, StepTable(b, geo), None)
        self._pitch = b_pitch(plan)
        self._block = -(-most // plan.width) * self._pitch
        # a transposed square may write past the last column
        room = max(1, len(self._parts)) * self._block + plan.lanes * plan.width
        self._at = b.scratch(room * acc.bytes)

    def fill(
        self,
        base: Reg,
        columns: tuple[Reg, Reg, int | None],
        first: IntOrReg,
        count: Reg,
        number: int = 0,
    ) -> None:
        """Pack `count` k from `first` on of the columns (first, end, how many if known)."""
        block = KBlock(self._b.i64(0), self._b.i64(1), self._b.index(first), count)
        to = self._b.offset(self._at, number * self._block, self._acc.elem)
        self._packer.b_panels(to, base, block, columns)

    def fill_chains(self, base: Reg, columns: tuple[Reg, Reg, int | None]) -> None:
        """Pack all chains of the columns."""
        for number, (first, count) in enumerate(self._parts):
            self.fill(base, columns, first, self._b.i64(count), number)

    def terms(self, rows: Rows) -> list[Term]:
        """The products of rows with what was packed, chain by chain."""
        return [
            Term(rows, self.columns(number), count, first)
            for number, (first, count) in enumerate(self._parts)
        ]

    def columns(self, number: int = 0) -> Columns:
        """What was packed as block `number`."""
        at = self._b.offset(self._at, number * self._block, self._acc.elem)
        return Columns(at, self._acc.elem, self._plan.width, self._pitch)


class Streamed:
    """Rows of an operand as B: in place where their elements are contiguous, packed where not."""

    def __init__(
        self,
        b: NestBuilder,
        chosen: ContractionPlan,
        operand: Operand,
        column: ContractionAxis,
        row: ContractionAxis,
        acc: Ty,
    ) -> None:
        self._b, self._operand, self._row = b, operand, row
        self._width = known_extent(column)
        self._pack: Packed | None = None
        if chosen.b != "place":
            self._pack = Packed(b, chosen, operand, column, row, acc, self._width)

    def at(self, base: Reg, first: Reg, count: Reg) -> Columns:
        """The rows first … first + count."""
        b, apart = self._b, self._operand.stride(self._row)
        if self._pack is None:
            return Columns(
                b.offset(base, b.mul(first, apart), self._operand.elem), self._operand.elem, apart
            )
        self._pack.fill(base, (b.i64(0), b.i64(self._width), self._width), first, count)
        return self._pack.columns()


def store_tile(b: NestBuilder, memory: Reg, pitch: int, vector: Ty) -> Finish:
    """What stores a tile into rows that are `pitch` elements apart."""

    def store(row: Reg, height: int, panel: Panel, sums: Sequence[Reg]) -> None:
        for r in range(height):
            at = b.affine(panel.n0, (b.add(row, r), pitch))
            for v in range(panel.vectors):
                b.store(memory, b.add(at, v * vector.lanes), sums[r * panel.vectors + v])

    return store
