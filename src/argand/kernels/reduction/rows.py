"""Kernels of the kind "rows": softmax, norms, losses and their gradients; sums over any axes.

Rows run in parallel; a row is passed over once a stage, in cache. Sums over the batch are added up
in the same passes: every chunk of rows adds into partial sums of its own, which are added in the
order of the chunks at the end. The chunks depend on the shape alone, so the bits do not depend on
threads.
"""

from __future__ import annotations

from collections.abc import Sequence

from argand.kernels.pointwise import check_values
from argand.kernels.reduction.caching import kept_points
from argand.kernels.reduction.long_row import LongRow
from argand.kernels.reduction.loops import RowLoops, contiguous_axis
from argand.kernels.reduction.partials import Partials
from argand.kernels.reduction.plan import Reduction, RowOutput, RowPlan, rank_of
from argand.kernels.reduction.results import ElementAddress, Results
from argand.kernels.reduction.row_pass import RowPass
from argand.lowering.context import LoweringContext, StridedBuffer
from argand.lowering.emitter import Emitter
from argand.lowering.parallel import ns_per_element, unflatten, vectors
from argand.lowering.points import Point, reachable
from argand.lowering.region import Region
from argand.nest.builder import NestBuilder, Reg, Ty, static

__all__ = ["lower_rows"]


def lower_rows(
    b: NestBuilder, region: Region, context: LoweringContext, plans: Sequence[RowPlan]
) -> None:
    """Emit a region with reductions by the best of its plans."""
    emitter = Emitter(b, context, region.places(context))
    plan = min(plans, key=lambda plan: _preference(emitter, plan))
    check_values(emitter, region)
    results = Results(emitter, region, plan)
    loops = RowLoops(emitter, plan, results)
    kind = LongRow if plan.is_whole else _Rows
    kind(emitter, plan, loops, results).emit()


def _preference(emitter: Emitter, plan: RowPlan) -> tuple[int, bool, bool]:
    """Less is better. Rows run in parallel, but what adds up everything is best one long row."""
    rank = rank_of(plan, contiguous_axis(emitter, plan))
    return rank, not plan.is_whole, not plan.batch


class _Rows:
    """Emits a plan of several rows."""

    def __init__(self, emitter: Emitter, plan: RowPlan, loops: RowLoops, results: Results) -> None:
        self.emitter, self.b, self.plan = emitter, emitter.b, plan
        self.loops, self.results = loops, results
        self.row_pass = RowPass(emitter, loops, loops.row)
        self.count = loops.length(loops.outer)
        over_rows = [r for r in plan.reductions if r.kind != "row"]
        self.partials = Partials(emitter, over_rows, loops, self.count, self._row_ns())

    def emit(self) -> None:
        """The whole kernel."""
        with self.partials.chunks(self.count) as (low, high), self.emitter.scope():
            self._rows(low, high)
        if self.partials.sums:
            self._finish()

    def _row_ns(self) -> float:
        loops = self.loops
        length = static(loops.length(loops.row)) or 256
        axis = loops.lane_axis
        if axis is None:
            return 10.0
        each = ns_per_element(loops.points, loops.lanes, self.results.full_bytes(), axis)
        if loops.across:
            width = static(self.emitter.size(axis.extent)) or 256
            return 20.0 + each * length * width
        return 10.0 + each * length

    # rows -----------------------------------------------------------------------------------------

    def _rows(self, low: Reg, high: Reg) -> None:
        """The rows low … high - 1."""
        self.emitter.hoist(self.plan.computed, frozenset(self.plan.space.axes))
        kept = self._reserve_kept()
        self.partials.in_blocks(low, high, lambda first, end: self._block_of_rows(first, end, kept))

    def _block_of_rows(self, low: Reg, high: Reg, kept: dict[Point, ElementAddress]) -> None:
        b, emitter = self.b, self.emitter
        outer = self.loops.outer
        step = self._together()
        if step > 1:
            whole = b.add(low, b.mul(b.div(b.sub(high, low), step), step))
            with b.loop(low, whole, step) as loop, emitter.scope():
                self._several_rows(loop.index, step)
            low = whole
        with b.loop(low, high) as loop, emitter.scope():
            unflatten(emitter, outer, loop.index)
            if self.loops.across:
                axis = self.loops.batch[-1]
                emitter.hoist(self.plan.computed, frozenset((axis, *self.loops.row)))
                size = emitter.size(axis.extent)
                vectors(emitter, axis, self.loops.lanes, 0, size, lambda: self._row(kept))
            else:
                self._row(kept)

    def _together(self) -> int:
        """How many rows are added up in one pass: several, where there are only column sums."""
        plan = self.plan
        simple = all(r.kind == "col" for r in plan.reductions)
        full = any(o.kind in ("full", "row") for o in plan.outputs)
        return 4 if simple and not full and len(self.loops.batch) == 1 and self.loops.row else 1

    def _several_rows(self, first: Reg, count: int) -> None:
        b, emitter = self.b, self.emitter
        axis = self.loops.batch[0]

        def body() -> None:
            sums: dict[Reduction, Reg] = {}
            for i in range(count):
                with emitter.scope():
                    emitter.at[axis] = b.add(first, i)
                    for r in self.plan.reductions:
                        x = self.row_pass.operand(r)
                        sums[r] = x if i == 0 else self.row_pass.combine(r, sums[r], x)
            for r, total in sums.items():
                self.partials.add_column(r, self.loops.row_index(), total)

        self.loops.each_vector(body)

    def _row(self, kept: dict[Point, ElementAddress]) -> None:
        """One row: its stages, and what comes between them."""
        plan = self.plan
        done: set[Point] = set()
        for stage in range(plan.stages + 1):
            self._between(stage)
            if stage < plan.stages:
                self._stage(stage, kept, done)

    def _between(self, level: int) -> None:
        """What has one value a row and can be computed now."""
        emitter = self.emitter
        sums = [r for r in self.plan.reductions if r.kind == "batch" and r.level == level]
        added = [self.row_pass.wide(r, emitter.emit(r.operand)) for r in sums]
        self.results.store([o for o in self.plan.outputs if o.kind == "row" and o.level == level])
        for r, value in zip(sums, added, strict=True):
            self.partials.add_one(r, value)

    def _stage(self, stage: int, kept: dict[Point, ElementAddress], done: set[Point]) -> None:
        """One pass along the row."""
        plan, emitter, b = self.plan, self.emitter, self.b
        sums = [r for r in plan.reductions if r.kind in ("row", "full") and r.level == stage]
        columns = [r for r in plan.reductions if r.kind == "col" and r.level == stage]
        roots = plan.roots(stage)
        if not roots:
            return
        below = set(reachable(roots))
        keep = [p for p in kept if p in below and p not in done]
        held = [p for p in kept if p in done]
        stores = [(p, [kept[p]]) for p in keep]
        results = [o for o in plan.outputs if o.kind == "full" and o.level == stage]
        stores += [(o.point, self.results.places[o]) for o in results]

        def body(accs: Sequence[Reg]) -> list[Reg]:
            for p in held:
                emitter.remember(p, emitter.load(*kept[p]))
            found = [
                self.row_pass.combine(r, acc, self.row_pass.operand(r))
                for r, acc in zip(sums, accs, strict=True)
            ]
            for r in columns:
                self.partials.add_column(r, self.loops.row_index(), self.row_pass.operand(r))
            values = [emitter.emit(point) for point, _ in stores]
            for (_, places), value in zip(stores, values, strict=True):
                for buffer, index in places:
                    emitter.store(buffer, index, value)
            return found

        emitter.hoist(roots, frozenset(self.loops.row))
        totals = self.row_pass.run(sums, roots, body)
        done.update(keep)
        for r, total in zip(sums, totals, strict=True):
            if not self.loops.across:
                total = b.reduce(r.prim, total)
            if r.kind == "full":
                self.partials.add_one(r, total)
            else:
                emitter.remember(r.result, b.cast(total, r.result.elem))

    # what is kept beside a row --------------------------------------------------------------------

    def _reserve_kept(self) -> dict[Point, ElementAddress]:
        """Memory for what several stages need and is dear to compute again."""
        if self.loops.across or self.plan.stages < 2:
            return {}
        found: dict[Point, ElementAddress] = {}
        strides = self.loops.row_strides()
        length = self.loops.length(self.loops.row)
        for point, result in kept_points(self.plan).items():
            if result is not None:
                found[point] = self.results.places[result][0]
                continue
            memory = self.b.scratch(self.b.mul(length, Ty(point.elem).bytes))
            found[point] = StridedBuffer(memory, strides, point.value.dtype), self.loops.row_index()
        return found

    # the end --------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Add the partial sums of the chunks in order, and store what depends on them."""
        plan, emitter, b = self.plan, self.emitter, self.b
        with emitter.scope():
            for axis in plan.batch:
                emitter.at.pop(axis, None)
            emitter.vector = None
            for r in self.partials.sums:
                if r.kind != "col":
                    emitter.remember(r.result, b.cast(self.partials.total(r, None), r.result.elem))
            self.results.store([o for o in plan.outputs if o.kind == "one"])
            columns = [o for o in plan.outputs if o.kind == "col"]
            if columns:
                emitter.hoist([o.point for o in columns], frozenset(self.loops.row))
                self._finish_columns(columns)

    def _finish_columns(self, columns: Sequence[RowOutput]) -> None:
        emitter = self.emitter
        needed = set(reachable([o.point for o in columns]))

        def body() -> None:
            at = emitter.base(self.loops.flat_index())
            for r in self.partials.sums:
                if r.kind == "col" and r.result in needed:
                    total = self.b.cast(self.partials.total(r, at), r.result.elem)
                    emitter.remember(r.result, total)
            self.results.store(columns)

        self.loops.each_vector(body)
