"""Columns of a product's second operand that are stored in panels, seen in its strides."""

from __future__ import annotations

import dataclasses
import math

from argand.kernels.contraction.spec import Contraction, ContractionAxis, Operand
from argand.kernels.contraction.tiles import LINE_BYTES, UNIT_COLUMNS, UNIT_ELEMENTS, is_panel
from argand.nest.builder import IntOrReg, Ty, static
from argand.nest.target import Target

__all__ = ["Panels", "panels_of", "stored_for_unit"]


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


def stored_for_unit(spec: Contraction, target: Target) -> bool:
    """Whether B is stored as large weights are for the target's matrix unit: panels of
    `UNIT_COLUMNS`, one behind the other. A has no say, whose strides depend on its sizes."""
    n, k = ([axis for axis in axes if static(axis.extent) != 1] for axes in (spec.n, spec.k))
    sizes = [static(axis.extent) or 0 for axis in n]
    columns = next((i for i in range(len(n)) if math.prod(sizes[i:]) == UNIT_COLUMNS), 0)
    run = spec.b.contiguous((*n, *k))
    return (
        target.matrix_unit
        and spec.a.elem == spec.b.elem == spec.acc == "float32"
        and not spec.batch
        and not spec.a.bounds
        and bool(columns and k)
        and run == (*n[:columns], *k, *n[columns:])
        and math.prod(static(axis.extent) or 0 for axis in run) >= UNIT_ELEMENTS
        and sizes[-1] * Ty(spec.b.elem).bytes % LINE_BYTES == 0
    )
