"""The micro-kernel: a tile of C in registers, one fused chain of products per element.

A tile is `rows` x `vectors`: for every k one element of each row of A is broadcast against the
vectors of a row of B. Fewer rows or a masked last vector are the same body with other numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from argand.kernels.contraction.plan import ContractionPlan
from argand.nest.builder import NestBuilder, Reg, Ty

__all__ = [
    "Address",
    "Panel",
    "Tile",
    "added_in_order",
    "cut",
    "panels",
    "regions",
    "row_sizes",
]

EVERY_HEIGHT = 8
"""Tiles up to so high are written out for all lower heights, where the number of rows is not known:
a remainder is one tile then, as fast a row as the others."""

UNROLL_INNER = 8
"""An innermost k axis of at most this many known elements is written out."""

Address = Callable[[Reg, int], tuple[Reg, Reg]]
"""(inner k, row or vector number) -> pointer and offset."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """Columns n0 …: `vectors` of them wide, each with the mask of the lanes that exist.

    Where `whole` is given, it says when the panel runs whether all lanes exist.
    """

    n0: Reg
    vectors: int
    masks: tuple[Reg | None, ...]
    whole: Reg | None = None

    def emit(self, b: NestBuilder, body: Callable[[tuple[Reg | None, ...]], None]) -> None:
        """Run `body` with the masks; without any where the panel is whole."""
        if self.whole is None:
            body(self.masks)
            return
        with b.if_(self.whole) as branch:
            body((None,) * self.vectors)
        with branch.else_():
            body(self.masks)


@dataclasses.dataclass(frozen=True)
class Tile:
    """How to run the chain over one block of k.

    `steps` is the number of outer steps; `at(step)` gives the addresses of A and B and the range of
    the inner axis. B is masked on loading unless it was packed.
    """

    rows: int
    panel: Panel
    steps: Reg
    at: Callable[[Reg], tuple[Address, Address, Reg, Reg]]
    a_elem: Ty
    b_elem: Ty
    masked: bool

    def chain(self, b: NestBuilder, acc: Ty, lanes: int) -> list[Reg]:
        """The sums over the block, row-major."""
        zero = b.const(acc.with_lanes(lanes), 0)
        sums = [zero] * (self.rows * self.panel.vectors)
        with b.loop(0, self.steps, 1, sums) as outer:
            a_at, b_at, low, high = self.at(outer.index)
            b.yield_(*self._inner(b, acc, lanes, a_at, b_at, low, high, outer.carry))
        return list(outer.results)

    def _inner(
        self,
        b: NestBuilder,
        acc: Ty,
        lanes: int,
        a_at: Address,
        b_at: Address,
        low: Reg,
        high: Reg,
        sums: Sequence[Reg],
    ) -> Sequence[Reg]:
        if low.const == 0 and isinstance(high.const, int) and high.const <= UNROLL_INNER:
            for k in range(high.const):
                sums = self._step(b, acc, lanes, a_at, b_at, b.i64(k), sums)
            return sums
        with b.loop(low, high, 1, sums) as loop:
            b.yield_(*self._step(b, acc, lanes, a_at, b_at, loop.index, loop.carry))
        return loop.results

    def _step(
        self,
        b: NestBuilder,
        acc: Ty,
        lanes: int,
        a_at: Address,
        b_at: Address,
        k: Reg,
        sums: Sequence[Reg],
    ) -> list[Reg]:
        vector = acc.with_lanes(lanes)
        columns = []
        for v in range(self.panel.vectors):
            mask = self.panel.masks[v] if self.masked else None
            value = b.load(*b_at(k, v), self.b_elem.with_lanes(lanes), mask)
            columns.append(b.cast(value, vector))
        out = []
        for r in range(self.rows):
            element = b.splat(b.cast(b.load(*a_at(k, r), self.a_elem), acc), lanes)
            for v, column in enumerate(columns):
                out.append(multiply_add(b, element, column, sums[r * len(columns) + v]))
        return out


def multiply_add(b: NestBuilder, x: Reg, y: Reg, z: Reg) -> Reg:
    """x * y + z, fused for floats."""
    return b.fma(x, y, z) if z.ty.is_float else b.apply("add", b.apply("mul", x, y), z)


def added_in_order(
    b: NestBuilder, first: Reg, totals: Sequence[Reg], blocks: Sequence[Sequence[Reg]]
) -> list[Reg]:
    """The totals with the sums of further blocks of k added in order; where it is `first`, the
    first one starts them."""
    out = list(totals)
    for number, sums in enumerate(blocks):
        added = [b.apply("add", total, s) for total, s in zip(out, sums, strict=True)]
        if number == 0:
            added = [b.where(first, s, x) for s, x in zip(sums, added, strict=True)]
        out = added
    return out


# what to cut a block into -------------------------------------------------------------------------


def row_sizes(most: int) -> tuple[int, ...]:
    """Tile heights that any number of rows is made of, highest first.

    Up to EVERY_HEIGHT they are all heights, and at most one tile is lower than `most`. Above, each
    is half of the one before, rounded down: one tile of it is enough for what is left, or two where
    the one before is odd (12, 6, 3, 1: 11 rows are 6 + 3 + 1 + 1).
    """
    if most <= EVERY_HEIGHT:
        return tuple(range(most, 0, -1))
    sizes = [most]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return tuple(sizes)


def regions(b: NestBuilder, count: Reg, most: int) -> Iterator[tuple[Reg, Reg, int]]:
    """(first row, end, tile height) of the parts of a block with `count` rows.

    A number known now is cut so that no tile is much lower than the others.
    """
    if isinstance(count.const, int):
        start = 0
        for tiles, height in cut(count.const, most):
            yield b.i64(start), b.i64(start + tiles * height), height
            start += tiles * height
        return
    position = b.i64(0)
    for height in row_sizes(most):
        left = b.sub(count, position)
        if most <= EVERY_HEIGHT and height < most:
            end = b.where(b.eq(left, height), count, position)
        else:
            end = b.add(position, b.mul(b.div(left, height), height))
        yield position, end, height
        position = end


def cut(count: int, most: int) -> list[tuple[int, int]]:
    """(number of tiles, height): whole ones, and the rest shared evenly with the last whole one."""
    whole, rest = divmod(count, most)
    if rest == 0 or rest > most // 2 or whole == 0:
        return [(n, h) for n, h in ((whole, most), (1, rest)) if n and h]
    half, odd = divmod(most + rest, 2)
    tail = [(2, half)] if not odd else [(1, half + 1), (1, half)]
    return [(whole - 1, most), *tail] if whole > 1 else tail


def panels(
    b: NestBuilder,
    plan: ContractionPlan,
    acc: Ty,
    n_lo: Reg,
    n_hi: Reg,
    count: int | None,
    body: Callable[[Panel], None],
    loadable: bool = False,
) -> None:
    """Run `body` for each panel of columns n_lo … n_hi; `count` is how many, when known now.

    Where all lanes of B are `loadable`, as if packed, one text serves panels of unknown number.
    """
    width, lanes = plan.width, plan.lanes
    if count is None and loadable:
        with b.loop(n_lo, n_hi, width) as loop:
            whole = b.le(b.add(loop.index, width), n_hi)
            body(Panel(loop.index, plan.vectors, _masks(b, plan, acc, loop.index, n_hi), whole))
        return
    whole = b.sub(n_hi, n_lo) if count is None else b.i64(count)
    full = b.mul(b.div(whole, width), width)
    if full.const != 0:
        with b.loop(n_lo, b.add(n_lo, full), width) as loop:
            body(Panel(loop.index, plan.vectors, (None,) * plan.vectors))
    n0 = b.add(n_lo, full)
    if count is None:
        with b.if_(b.lt(n0, n_hi)):
            body(Panel(n0, plan.vectors, _masks(b, plan, acc, n0, n_hi)))
    elif count % width:
        rest = count % width
        vectors = -(-rest // lanes)
        last = b.tail_mask(b.i64((vectors - 1) * lanes), b.i64(rest), lanes)
        mask = None if last.const is True else last
        body(Panel(n0, vectors, (*(None,) * (vectors - 1), mask)))


def _masks(
    b: NestBuilder, plan: ContractionPlan, acc: Ty, n0: Reg, n_hi: Reg
) -> tuple[Reg | None, ...]:
    """Which lanes of a panel exist."""
    starts = [b.add(n0, v * plan.lanes) for v in range(plan.vectors)]
    return tuple(b.tail_mask(start, n_hi, plan.lanes, acc.elem) for start in starts)
