"""How attention is run: the sizes of its blocks and tiles, a pure function of shape and target."""

from __future__ import annotations

import dataclasses
from typing import Final

from argand.kernels.attention.operands import Attention
from argand.kernels.contraction.plan import K_BLOCK, ContractionPlan
from argand.kernels.contraction.spec import ContractionAxis, Operand, static
from argand.nest.target import Target

__all__ = ["Tiling", "tiling"]

KEYS: Final = 256
"""Keys of a block, at most: a row's scores and a block of keys stay in near memory."""

QUERIES: Final = 32
"""Rows of a block, at most."""

PART_ROWS: Final = 384
"""Rows that a block of keys is packed for, at most."""

PARTS: Final = 16
"""About the fewest pieces of work; few heads are cut along their rows."""


@dataclasses.dataclass(frozen=True)
class Tiling:
    """The blocks and tiles of attention.

    Blocks are `queries` rows by `keys`; `part` rows share what is packed. `scores` and `values` are
    the tiles of q k^T (lanes along the keys) and of p v (lanes along the values). `together` rows
    go through the softmax side by side.
    """

    queries: int
    keys: int
    part: int
    scores: ContractionPlan
    values: ContractionPlan
    together: int

    def __str__(self) -> str:
        tiles = [f"{t.rows}x{t.vectors}x{t.lanes}" for t in (self.scores, self.values)]
        places = f"k {self.scores.b}, v {self.values.b}"
        block = f"block {self.queries}x{self.keys}"
        return f"scores {tiles[0]}, values {tiles[1]}, {block}, {places}"


def tiling(spec: Attention, target: Target) -> Tiling:
    """The blocks and tiles for a shape."""
    lanes = target.lanes(spec.elem)
    registers = target.vector_registers
    keys = min(KEYS, K_BLOCK)
    rows = QUERIES if spec.length is None else min(QUERIES, max(1, spec.length))
    known = [n for n in (keys, spec.keys) if n is not None]
    scores = _tile(registers, -(-min(known) // lanes))
    values = _tile(registers, -(-spec.width // lanes))
    k, v = spec.k, spec.v
    return Tiling(
        queries=rows,
        keys=keys,
        part=PART_ROWS,
        scores=ContractionPlan("scores", *scores, lanes, "place", _packed(k, spec.key, spec.inner)),
        values=ContractionPlan("values", *values, lanes, "place", _values(v, spec)),
        together=min(4, lanes),
    )


def _tile(registers: int, vectors: int) -> tuple[int, int]:
    """Rows and vectors of a tile, `vectors` wide or an even share of that."""
    if registers >= 32:
        tiles = {1: 14, 2: 12, 3: 8, 4: 6}
    elif registers >= 16:
        tiles = {1: 8, 2: 6, 3: 4}
    else:
        tiles = {1: 4, 2: 2}
    most = max(tiles)
    found = min(range(most, 0, -1), key=lambda n: -(-vectors // n) * n)
    found = min(found, max(1, vectors))
    return tiles[found], found


def _packed(operand: Operand, columns: ContractionAxis, inner: ContractionAxis) -> str:
    """How an operand is packed: columns side by side."""
    if operand.unit(columns):
        return "copy"
    return "turn" if operand.unit(inner) else "gather"


def _values(v: Operand, spec: Attention) -> str:
    if v.unit(spec.column):
        return "place"
    return "turn" if static(v.stride(spec.key)) == 1 else "gather"
