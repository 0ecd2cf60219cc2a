"""How attention is run: the sizes of its blocks and tiles, a pure function of shape and target."""

from __future__ import annotations

import dataclasses
from typing import Final

from argand.kernels.attention.operands import Attention, Gradients
from argand.kernels.contraction.plan import K_BLOCK, ContractionPlan
from argand.kernels.contraction.spec import ContractionAxis, Operand
from argand.nest.target import Target

__all__ = ["GradientTiling", "Tiling", "gradient_tiling", "tiling"]

KEYS: Final = 256
"""Keys of a block, at most: a row's scores and a block of keys stay in near memory."""

QUERIES: Final = 32
"""Rows of a block, at most."""

GRADIENT_KEYS: Final = 128
GRADIENT_QUERIES: Final = 64
"""The same for the gradients, which hold more of them."""

PART_ROWS: Final = 384
"""Rows that a block of keys is packed for, at most."""

FEW_ROWS: Final = 4
MOST_DEPTH: Final = 256
"""So few rows of so many elements are multiplied by each key where it is, lanes along both."""

PARTS: Final = 16
"""About the fewest pieces of work; few heads are cut along their rows."""


@dataclasses.dataclass(frozen=True)
class Tiling:
    """The blocks and tiles of attention.

    Blocks are `queries` rows by `keys`; `part` rows share what is packed. `scores` and `values` are
    the tiles of q k^T (lanes along the keys) and of p v (lanes along the values). `together` rows
    go through the softmax together. `few`: keys are read in place, each once.
    """

    queries: int
    keys: int
    part: int
    scores: ContractionPlan
    values: ContractionPlan
    together: int
    few: bool

    def __str__(self) -> str:
        tiles = [f"{t.rows}x{t.vectors}x{t.lanes}" for t in (self.scores, self.values)]
        places = f"k {'place' if self.few else self.scores.b}, v {self.values.b}"
        block = f"block {self.queries}x{self.keys}"
        return f"scores {tiles[0]}, values {tiles[1]}, {block}, {places}"


@dataclasses.dataclass(frozen=True)
class GradientTiling:
    """The blocks and tiles of attention's gradients.

    `scores` are the tiles of q k^T and `slopes` those of g v^T (lanes along the keys); `by_g`,
    `by_q` and `by_k` those of products by rows of g, q and k (lanes along their elements).
    """

    queries: int
    keys: int
    scores: ContractionPlan
    slopes: ContractionPlan
    by_g: ContractionPlan
    by_q: ContractionPlan
    by_k: ContractionPlan
    together: int

    def __str__(self) -> str:
        tiles = [self.scores, self.slopes, self.by_g, self.by_q, self.by_k]
        text = ", ".join(f"{t.name} {t.rows}x{t.vectors}x{t.lanes} {t.b}" for t in tiles)
        return f"{text}, block {self.queries}x{self.keys}"


def tiling(spec: Attention, target: Target) -> Tiling:
    """The blocks and tiles for a shape."""
    lanes = target.lanes(spec.elem)
    tiles = _Tiles(target, spec.elem)
    keys = min(KEYS, K_BLOCK)
    length = spec.length or FEW_ROWS + 1
    units = spec.q.unit(spec.inner) and spec.k.unit(spec.inner)
    few = length <= FEW_ROWS and units and spec.depth <= MOST_DEPTH
    return Tiling(
        queries=_at_most(QUERIES, spec.length),
        keys=keys,
        part=PART_ROWS,
        scores=tiles.packed("scores", spec.k, spec.key, spec.inner, _at_most(keys, spec.keys)),
        values=tiles.beside("values", spec.v, spec.column, spec.key, spec.width),
        together=min(2 if few and length <= 2 else 4, lanes),
        few=few,
    )


def gradient_tiling(spec: Gradients, target: Target) -> GradientTiling:
    """The blocks and tiles of the gradients for a shape."""
    forward = spec.forward
    tiles = _Tiles(target, forward.elem)
    most = min(GRADIENT_KEYS, K_BLOCK)
    keys = _at_most(most, forward.keys)
    row, key, inner, column = forward.row, forward.key, forward.inner, forward.column
    return GradientTiling(
        queries=_at_most(min(GRADIENT_QUERIES, K_BLOCK), forward.length),
        keys=most,
        scores=tiles.packed("scores", forward.k, key, inner, keys),
        slopes=tiles.packed("slopes", forward.v, key, column, keys),
        by_g=tiles.beside("by g", spec.g, column, row, forward.width),
        by_q=tiles.beside("by q", forward.q, inner, row, forward.depth),
        by_k=tiles.beside("by k", forward.k, inner, key, forward.depth),
        together=min(4, target.lanes(forward.elem)),
    )


def _at_most(most: int, known: int | None) -> int:
    return most if known is None else min(most, max(1, known))


class _Tiles:
    """Tiles for a machine's registers."""

    def __init__(self, target: Target, elem: str) -> None:
        self._registers, self._lanes = target.vector_registers, target.lanes(elem)

    def packed(
        self,
        name: str,
        operand: Operand,
        column: ContractionAxis,
        inner: ContractionAxis,
        width: int,
    ) -> ContractionPlan:
        """Tiles of `width` columns of B, which is packed."""
        return self._tile(name, width, "copy" if operand.unit(column) else _across(operand, inner))

    def beside(
        self,
        name: str,
        operand: Operand,
        column: ContractionAxis,
        inner: ContractionAxis,
        width: int,
    ) -> ContractionPlan:
        """The same; B is read in place where its columns are contiguous."""
        return self._tile(name, width, "place" if operand.unit(column) else _across(operand, inner))

    def _tile(self, name: str, width: int, place: str) -> ContractionPlan:
        """Registers of C that leave room for a row of B and an element of A; least waste."""
        if self._registers >= 32:
            tiles = {1: 14, 2: 12, 3: 8, 4: 6}
        elif self._registers >= 16:
            tiles = {1: 8, 2: 6, 3: 4}
        else:
            tiles = {1: 4, 2: 2}
        vectors = max(1, -(-width // self._lanes))
        found = min(range(max(tiles), 0, -1), key=lambda n: -(-vectors // n) * n)
        return ContractionPlan(name, tiles[found], found, self._lanes, "place", place)


def _across(operand: Operand, inner: ContractionAxis) -> str:
    """How an operand whose columns are not contiguous is packed."""
    return "transpose" if operand.unit(inner) else "gather"
