"""Columns of a product's second operand that are stored in panels, seen in its strides."""

from __future__ import annotations

import dataclasses

from argand.kernels.contraction.spec import Contraction, ContractionAxis, Operand
from argand.kernels.contraction.tiles import LINE_BYTES, is_panel
from argand.nest.builder import IntOrReg, Ty, static
from argand.nest.target import Target

__all__ = ["Panels", "panels_of"]


@dataclasses.dataclass(frozen=True)
class Panels:
    """A stored B whose columns are in panels, each with all of k: as a tile reads it.

    A panel has `width` columns; the next one begins `apart` elements behind it. `axes` are those
    that the columns consist of, outermost first.
    """

    width: int
    apart: IntOrReg
    axes: tuple[ContractionAxis, ...]


def panels_of(
    spec: Contraction, b: Operand, inner: ContractionAxis, target: Target
) -> Panels | None:
    """The panels that the last axes of the columns form, several or one; None where they form
    none."""
    n, width, within = spec.n, 1, 0
    for axis in reversed(n):
        size = static(axis.extent)
        if size is None or static(b.stride(axis)) != width:
            break
        width, within = width * size, within + 1
    if within == 0 or spec.long_k or not is_panel(width, b.elem, target):
        return None
    if (static(n[-1].extent) or 0) * Ty(b.elem).bytes % LINE_BYTES:
        return None  # a vector would have columns of two axes
    if within == len(n):  # one panel
        return Panels(width, 0, n) if static(b.stride(inner)) == width else None
    if static(n[-within - 1].extent) is None:
        return None
    return Panels(width, b.stride(n[-within - 1]), n[-within - 1 :])
