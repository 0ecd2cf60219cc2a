"""The axes of a contraction by the part that they play in its loops."""

from __future__ import annotations

import dataclasses
from typing import Final

from argand.kernels.contraction.panels import Panels, panels_of
from argand.kernels.contraction.spec import Contraction, ContractionAxis, Operand
from argand.nest.builder import static
from argand.nest.target import Target

__all__ = ["Geometry", "geometry", "product"]

MANY_TAPS: Final = 65
"""So many taps are not stored together in scratch: they become batches."""


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The axes by the part they play.

    `rows` are flattened and tiled; `taps` are m axes that no tile crosses, because the range of the
    innermost k depends on them or because rows are neighbours only along the last m axis; `col`
    runs along the lanes; `outer` and `inner` are the k axes.
    """

    a: Operand
    b: Operand
    batch: tuple[ContractionAxis, ...]
    taps: tuple[ContractionAxis, ...]
    rows: tuple[ContractionAxis, ...]
    col: ContractionAxis
    outer: tuple[ContractionAxis, ...]
    inner: ContractionAxis
    panels: Panels | None = None

    @property
    def ranged(self) -> bool:
        """Whether bounds are kept by ranges of k instead of by row."""
        return bool(self.a.bounds) and not self.tabled

    @property
    def tabled(self) -> bool:
        """Whether the address of a row needs more than a multiplication."""
        bounded = any(axis in bound.terms for bound in self.a.bounds for axis in self.rows)
        return len(self.rows) > 1 or bounded


def geometry(spec: Contraction, target: Target) -> Geometry:
    """Which axis plays which part."""
    if spec.b.bounds:
        raise ValueError("only operand a of a contraction can have bounds")
    a, b, k = _merge_k(spec)
    one = ContractionAxis("one", 1)
    inner = k[-1] if k else one
    in_bounds = [axis for bound in a.bounds for axis in bound.terms]
    taps: tuple[ContractionAxis, ...] = ()
    if any(inner in bound.terms for bound in a.bounds):
        # ranges of k need one axis of rows: an unbounded tap (padding on one side only) counts too
        taps = tuple(axis for axis in spec.m if axis in in_bounds or axis is not spec.m[-1])
    elif not a.bounds and len(spec.m) > 1 and a.unit(spec.m[-1]) and not a.unit(inner):
        taps = spec.m[:-1]
    rows = tuple(axis for axis in spec.m if axis not in taps)
    few_taps = (product(taps) or MANY_TAPS) < MANY_TAPS
    panels = panels_of(spec, b, inner, target)
    col, beside = (spec.n[-1] if spec.n else one), spec.n[:-1]
    if panels is not None:
        col = ContractionAxis("columns", product(panels.axes) or 0)
        b = dataclasses.replace(b, strides={**b.strides, col: 1})
        beside = spec.n[: -len(panels.axes)]
    return Geometry(
        a=a,
        b=b,
        batch=spec.batch + beside + (() if few_taps else taps),
        taps=taps if few_taps else (),
        rows=tuple(axis for axis in rows if static(axis.extent) != 1 or axis in in_bounds)
        or rows[-1:]
        or (one,),
        col=col,
        outer=k[:-1],
        inner=inner,
        panels=panels,
    )


def _merge_k(spec: Contraction) -> tuple[Operand, Operand, tuple[ContractionAxis, ...]]:
    """Neighbouring k axes that are one in both operands become one; those of extent 1 go."""
    a, b = spec.a, spec.b
    bounded = {axis for bound in a.bounds for axis in bound.terms}
    merged: list[ContractionAxis] = []
    for axis in spec.k:
        # the innermost axis stays when a window is outside it: rows are pointed to window by window
        needed = axis in bounded or (axis is spec.k[-1] and not bounded.isdisjoint(spec.k))
        if static(axis.extent) == 1 and not needed:
            continue
        last = merged[-1] if merged else None
        if last is not None and not {axis, last} & bounded:
            joined = _joined(last, axis, a, b)
            if joined is not None:
                merged[-1], a, b = joined
                continue
        merged.append(axis)
    return a, b, tuple(merged)


def _joined(
    last: ContractionAxis, axis: ContractionAxis, a: Operand, b: Operand
) -> tuple[ContractionAxis, Operand, Operand] | None:
    extent, count = static(axis.extent), static(last.extent)
    if extent is None or count is None:
        return None
    for operand in (a, b):
        step, jump = static(operand.stride(axis)), static(operand.stride(last))
        if step is None or jump is None or jump != step * extent:
            return None
    both = ContractionAxis(f"{last.name}{axis.name}", extent * count)
    a, b = (dataclasses.replace(o, strides={**o.strides, both: o.stride(axis)}) for o in (a, b))
    return both, a, b


def product(axes: tuple[ContractionAxis, ...]) -> int | None:
    """The extents of axes together; None where one is not known."""
    total = 1
    for axis in axes:
        size = static(axis.extent)
        if size is None:
            return None
        total *= size
    return total
