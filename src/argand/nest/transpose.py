"""Tiles of n vectors of n lanes, transposed in registers."""

from __future__ import annotations

from collections.abc import Callable

from argand.nest.builder import NestBuilder, Reg, Ty

__all__ = ["Near", "columns_at_once", "load_columns", "transpose"]

Near = Callable[[int, int], tuple[Reg, Reg]]
"""(row number, steps from here) -> pointer and offset, which targets fold into the access."""


def transpose(b: NestBuilder, rows: list[Reg]) -> list[Reg]:
    """The transpose of a tile of n vectors of n lanes, n a power of two.

    Within 128-bit lanes first (shuffles that cost least), then across whole lanes.
    """
    n = len(rows)
    lane = min(n, max(1, 16 // rows[0].ty.bytes))
    groups = [_within_lanes(b, rows[g : g + lane], lane) for g in range(0, n, lane)]
    columns: list[Reg | None] = [None] * n
    for c in range(lane):
        for block, vector in enumerate(_across_lanes(b, [group[c] for group in groups], lane)):
            columns[block * lane + c] = vector
    return [column for column in columns if column is not None]


def _within_lanes(b: NestBuilder, rows: list[Reg], lane: int) -> list[Reg]:
    """Each 128-bit lane of `lane` rows transposed by itself: halves first, then interleaved."""
    if len(rows) == 1:
        return rows
    half = len(rows) // 2
    upper, lower = _within_lanes(b, rows[:half], lane), _within_lanes(b, rows[half:], lane)
    out = []
    for x, y in zip(upper, lower, strict=True):
        out += [b.shuffle(x, y, _interleave(x.ty.lanes, lane, half, part)) for part in range(2)]
    return out


def _interleave(total: int, lane: int, width: int, part: int) -> list[int]:
    """Blocks of `width` of two vectors, interleaved, of the first or second half of each lane."""
    picks = []
    for start in range(0, total, lane):
        for block in range(start + part * lane // 2, start + (part + 1) * lane // 2, width):
            picks += [block + j for j in range(width)]
            picks += [total + block + j for j in range(width)]
    return picks


def columns_at_once(ty: Ty) -> int:
    """How many columns `load_columns` gives."""
    return min(ty.lanes, max(1, 16 // ty.bytes))


def load_columns(b: NestBuilder, at: Near, start: int, ty: Ty) -> list[Reg]:
    """The first columns from `start` on of a tile whose row number j is read `at(j, column)`.

    Pieces of 128 bits are loaded straight to their lane, which leaves only the cheap shuffles.
    """
    lane = columns_at_once(ty)
    rows = []
    for r in range(lane):
        pieces = [b.load(*at(j, start), ty.with_lanes(lane)) for j in range(r, ty.lanes, lane)]
        while len(pieces) > 1:
            pieces = [
                b.shuffle(x, y, range(2 * x.ty.lanes))
                for x, y in zip(pieces[::2], pieces[1::2], strict=True)
            ]
        rows += pieces
    return _within_lanes(b, rows, lane)


def _across_lanes(b: NestBuilder, rows: list[Reg], lane: int) -> list[Reg]:
    """The transpose of a tile whose elements are whole 128-bit lanes."""
    n = len(rows)
    total = n * lane
    distance = 1
    while distance < n:
        out: dict[int, Reg] = {}
        for i in range(n):
            if i & distance:
                continue
            j = i + distance
            low, high = [], []
            for block in range(n):
                own = [block * lane + e for e in range(lane)]
                if block & distance:
                    low += [total + e - distance * lane for e in own]
                    high += [total + e for e in own]
                else:
                    low += own
                    high += [e + distance * lane for e in own]
            out[i] = b.shuffle(rows[i], rows[j], low)
            out[j] = b.shuffle(rows[i], rows[j], high)
        rows = [out[i] for i in range(n)]
        distance *= 2
    return rows
