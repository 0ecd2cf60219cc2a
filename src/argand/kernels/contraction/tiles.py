"""The tiles of contractions, and how wide the panels are that a stored operand is laid out in.

Programs that are loaded with all of their code ask this too, so it imports next to nothing.
"""

from __future__ import annotations

from typing import Final

from argand.nest.target import Target
from argand.nest.types import Ty

__all__ = ["LINE_BYTES", "UNIT_COLUMNS", "UNIT_ELEMENTS", "is_panel", "panel_width", "tiles"]

LINE_BYTES: Final = 64
"""Bytes of a line of the caches, and of the longest vector."""


UNIT_COLUMNS: Final = 32
"""Columns of the panels that a matrix unit computes with."""

UNIT_ELEMENTS: Final = 1 << 18
"""Elements of weights from which on a matrix unit is worth what it needs before."""


def tiles(registers: int) -> tuple[tuple[int, int], ...]:
    """(rows, vectors) of the tiles that leave registers for their operands, the best first."""
    if registers >= 32:
        return ((8, 3), (12, 2), (6, 4))
    return ((6, 2), (4, 3)) if registers >= 16 else ((2, 2),)


def panel_width(columns: int, elem: str, target: Target, *, for_unit: int = 0) -> int | None:
    """How wide the panels of a product's second operand should be: as wide as a tile, and whole;
    None where it is as well stored row by row. Those of operands that a matrix unit may multiply
    are of a width of their own, where the target has one and they are large: `for_unit` says how
    many elements they have.

    >>> panel_width(512, "float32", Target("wide", "x86_64", "", "", 64, 32))
    64
    """
    widths = [w for w in _widths(elem, target) if columns % w == 0 and columns > w]
    if target.matrix_unit and elem == "float32":
        if for_unit >= UNIT_ELEMENTS and UNIT_COLUMNS in widths:
            return UNIT_COLUMNS
        widths = [w for w in widths if w != UNIT_COLUMNS]
    return max(widths, default=None)


def is_panel(width: int, elem: str, target: Target) -> bool:
    """Whether so many columns, stored side by side, are as good as a panel."""
    line = LINE_BYTES // Ty(elem).bytes
    return width % line == 0 and width <= max(_widths(elem, target), default=0)


def _widths(elem: str, target: Target) -> list[int]:
    """How wide panels can be: as wide as a tile, in whole lines. Without elements that aren't
    summed in their own type: they are converted while they are packed."""
    if elem not in ("float32", "float64"):
        return []
    line, lanes = LINE_BYTES // Ty(elem).bytes, target.lanes(elem)
    widths = [max(vectors * lanes, line) for _, vectors in tiles(target.vector_registers)]
    return [w for w in widths if w % line == 0]
