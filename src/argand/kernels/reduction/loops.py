"""Which loops a plan of rows has: over the rows, along a row, and which of them along the lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from argand.base.dim import Extent
from argand.kernels.reduction.plan import RowPlan, inner_axis
from argand.kernels.reduction.results import Results
from argand.lowering.affine import Affine, Axis, affine_of
from argand.lowering.emitter import Emitter
from argand.lowering.parallel import open_loops, product, vector_lanes, vectors
from argand.lowering.points import Point, reachable
from argand.lowering.space import by_strides, extent, fold, load_stride
from argand.nest.builder import IntOrReg

__all__ = ["RowLoops", "contiguous_axis"]


def contiguous_axis(emitter: Emitter, plan: RowPlan) -> Axis | None:
    """The axis along which most of what is read is contiguous."""
    return inner_axis(plan, lambda axis, point: load_stride(emitter, axis, point) == 1)


class RowLoops:
    """The loops of a plan, outermost first; axes that are contiguous together are one loop.

    `batch` are the loops over the rows, `row` those along a row. The lanes run along `lane_axis`:
    the innermost of the row or, where they run `across` rows, of the batch. `points` are all
    elements that the plan computes.
    """

    def __init__(self, emitter: Emitter, plan: RowPlan, results: Results) -> None:
        self.emitter = emitter
        self.points = reachable(plan.computed)
        inner = contiguous_axis(emitter, plan)
        self.across = inner in plan.batch and not plan.reduces_batch
        row, batch = (self._ordered(axes, inner) for axes in (plan.row, plan.batch))
        full = [place for o in plan.outputs if o.kind == "full" for place in results.places[o]]
        stores = [place for o in plan.outputs for place in results.places[o]]
        self.row = fold(emitter, row, self.points, full)
        self.batch = batch if self.across else fold(emitter, batch, self.points, stores)
        self.lane_axis = self.batch[-1] if self.across else (self.row[-1] if self.row else None)
        axis = self.lane_axis
        self.lanes = 1 if axis is None else vector_lanes(emitter, self.points, axis)

    def _ordered(self, axes: Sequence[Axis], inner: Axis | None) -> list[Axis]:
        """Axes in the order of the largest operand's strides, the contiguous one last."""
        loads = (p for p in self.points if p.kind == "load")
        guide: Point | None = max(loads, key=lambda p: len(p.axes), default=None)
        found = list(axes)
        if guide is not None:
            found = by_strides(self.emitter, found, self.emitter.buffer(guide), guide.index)
        if inner in found:
            found.remove(inner)
            found.append(inner)
        return found

    @property
    def outer(self) -> list[Axis]:
        """The loops over rows, or over the vectors of rows."""
        return self.batch[:-1] if self.across else self.batch

    def each_vector(self, body: Callable[[], None]) -> None:
        """Run `body` for each vector of a row."""
        *outer, inner = self.row
        length = self.emitter.size(extent(self.emitter, inner))
        with open_loops(self.emitter, outer):
            vectors(self.emitter, inner, self.lanes, 0, length, body)

    def length(self, axes: Sequence[Axis]) -> IntOrReg:
        """The number of places along some loops."""
        emitter = self.emitter
        return product(emitter.b, [emitter.size(extent(emitter, a)) for a in axes])

    def row_strides(self) -> tuple[IntOrReg, ...]:
        """Row-major strides over the row's loops."""
        strides: list[IntOrReg] = []
        step: IntOrReg = 1
        for axis in reversed(self.row):
            strides.append(step)
            step = product(self.emitter.b, [step, self.emitter.size(extent(self.emitter, axis))])
        return tuple(reversed(strides))

    def row_index(self) -> tuple[Affine, ...]:
        """The place in a row, an index for each loop."""
        return tuple(affine_of(a) for a in self.row)

    def flat_index(self) -> Affine:
        """The place in a row as one number, in row-major order over the row's loops."""
        step: Extent = 1
        terms: list[tuple[Axis, Extent]] = []
        for axis in reversed(self.row):
            terms.append((axis, step))
            step = step * extent(self.emitter, axis)
        return Affine(terms)
