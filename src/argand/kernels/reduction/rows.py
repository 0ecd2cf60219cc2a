"""Kernels of the kind "rows": softmax, norms, losses and their gradients; sums over any axes.

Rows run in parallel; a row is walked once a stage, in cache. Sums over the batch ride along: every
chunk of rows adds into partial sums of its own, which are added in the order of the chunks at the
end. The chunks depend on the shape alone, so the bits do not depend on threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from argand.base.dim import Extent
from argand.kernels.pointwise import check_indices
from argand.kernels.reduction.caching import kept_points
from argand.kernels.reduction.chains import Chain, accumulates, additions, cascade
from argand.kernels.reduction.partials import Partials, sum_type
from argand.kernels.reduction.plan import Reduction, RowOutput, RowPlan, rank_of
from argand.lowering.affine import Affine, Axis, affine_of
from argand.lowering.buffers import Env, StridedBuffer
from argand.lowering.element import Point, reachable
from argand.lowering.emitter import Emitter, lanes_for
from argand.lowering.identities import identity_value
from argand.lowering.parallel import (
    Number,
    known,
    ns_per_element,
    open_loops,
    product,
    side_by_side,
    unflatten,
    vectors,
)
from argand.lowering.region import Region
from argand.lowering.space import ElementIndex, by_strides, extent, fold, stride_along
from argand.nest.builder import NestBuilder, Reg, Ty

__all__ = ["lower_rows"]

ElementAddress = tuple[StridedBuffer, ElementIndex]

VIRTUAL_ROW = 4096
"""Elements of the pieces that one long row is cut into."""

VIRTUAL_CHUNK = 4 * VIRTUAL_ROW
"""Elements of its chunks at least."""


def lower_rows(b: NestBuilder, region: Region, env: Env, plans: Sequence[RowPlan]) -> None:
    """Emit a region with reductions by the best of its plans."""
    emitter = Emitter(b, env, region.places(env))
    choice = min(plans, key=lambda plan: _preference(emitter, plan))
    every = [r.operand for r in choice.reductions] + [o.point for o in choice.outputs]
    check_indices(emitter, reachable(every))
    _Rows(emitter, region, env, choice).emit()


def _preference(emitter: Emitter, plan: RowPlan) -> tuple[int, bool, bool]:
    """Less is better. Rows run in parallel, but what adds up everything is best one long row."""
    rank = rank_of(plan, contiguous_axis(emitter, plan))
    return rank, not plan.is_whole, not plan.batch


def contiguous_axis(emitter: Emitter, plan: RowPlan) -> Axis | None:
    """The axis along which most of what is read lies side by side."""
    votes: dict[Axis, int] = {}
    for point in reachable([r.operand for r in plan.reductions] + [o.point for o in plan.outputs]):
        if point.kind != "load":
            continue
        buffer = emitter.places[point.value]  # type: ignore[index]
        for axis in point.axes:
            if stride_along(emitter, axis, buffer, point.index) == 1:
                votes[axis] = votes.get(axis, 0) + 1 + len(point.axes)
    return max(votes, key=lambda a: (votes[a], a.key)) if votes else None


class _Rows:
    """Emits one plan."""

    def __init__(self, emitter: Emitter, region: Region, env: Env, plan: RowPlan) -> None:
        self.emitter, self.region, self.env, self.plan = emitter, region, env, plan
        self.b = emitter.b
        self.every = [r.operand for r in plan.reductions] + [o.point for o in plan.outputs]
        self.points = reachable(self.every)
        self.stores = {
            o: [(t, o.index) for t in region.targets(env, o.value)] for o in plan.outputs
        }
        self._order_axes()

    # loops ----------------------------------------------------------------------------------------

    def _order_axes(self) -> None:
        """Which loops there are, in which order, and which one runs along the lanes."""
        plan, emitter = self.plan, self.emitter
        inner = contiguous_axis(emitter, plan)
        self.across = inner in plan.batch and not plan.rides
        guide = max(
            (p for p in self.points if p.kind == "load"), key=lambda p: len(p.axes), default=None
        )

        def ordered(axes: Sequence[Axis]) -> list[Axis]:
            found = list(axes)
            if guide is not None:
                place = emitter.places[guide.value]  # type: ignore[index]
                found = by_strides(emitter, found, place, guide.index)
            if inner in found:
                found.remove(inner)
                found.append(inner)
            return found

        stores = [s for o in self.plan.outputs for s in self.stores[o]]
        full = [s for o in plan.outputs if o.kind == "full" for s in self.stores[o]]
        self.row = fold(emitter, ordered(plan.row), self.points, full)
        keep = 1 if self.across else 0
        batch = ordered(plan.batch)
        self.batch = fold(emitter, batch, self.points, stores) if not keep else batch
        self.lane_axis = self.batch[-1] if self.across else (self.row[-1] if self.row else None)
        self.lanes = 1
        if self.lane_axis is not None:
            self.lanes = lanes_for(self.points, self.env.target.vector_bytes, self.lane_axis)
            self.lanes *= side_by_side(self.points, self.lane_axis)
            length = emitter.size(extent(emitter, self.lane_axis))
            if isinstance(length, int):
                self.lanes = min(self.lanes, 1 << max(0, length - 1).bit_length())

    def _length(self, axes: Sequence[Axis]) -> Number:
        emitter = self.emitter
        return product(self.b, [emitter.size(extent(emitter, a)) for a in axes])

    def emit(self) -> None:
        """The whole kernel."""
        plan = self.plan
        if plan.is_whole:
            self._emit_virtual()
            return
        rows = self._length(self.batch[:-1] if self.across else self.batch)
        ns = self._row_ns()
        self.partials = self._sums_of([r for r in plan.reductions if r.kind != "row"])
        self.partials.share_out(rows, ns)
        with self.partials.chunks(rows) as (low, high), self.emitter.scope():
            self._rows(low, high)
        self._finish()

    def _sums_of(self, sums: Sequence[Reduction]) -> Partials:
        return Partials(self.emitter, sums, self._length(self.row), self._row_strides(), self.lanes)

    def _row_ns(self) -> float:
        length = known(self._length(self.row))
        axis = self.lane_axis
        if axis is None:
            return 10.0
        data = sum(
            Ty(t.dtype.name).bytes
            for o in self.plan.outputs
            if o.kind == "full"
            for t, _ in self.stores[o]
        )
        each = ns_per_element(self.points, self.lanes, data, axis)
        if self.across:
            width = known(self.emitter.size(self.lane_axis.extent)) or 256  # type: ignore[union-attr]
            return 20.0 + each * (length or 256) * width
        return 10.0 + each * (length or 256)

    # a row's elements -----------------------------------------------------------------------------

    def _row_strides(self) -> tuple[Number, ...]:
        """Row-major strides over the row's loops."""
        strides: list[Number] = []
        step: Number = 1
        for axis in reversed(self.row):
            strides.append(step)
            step = product(self.b, [step, self.emitter.size(extent(self.emitter, axis))])
        return tuple(reversed(strides))

    def _row_index(self) -> tuple[Affine, ...]:
        return tuple(affine_of(a) for a in self.row)

    # rows -----------------------------------------------------------------------------------------

    def _rows(self, low: Reg, high: Reg) -> None:
        """The rows low … high - 1."""
        self.emitter.hoist(self.every, frozenset(self.plan.space.axes))
        kept = self._reserve_kept()
        self.partials.in_blocks(low, high, lambda first, end: self._block_of_rows(first, end, kept))

    def _block_of_rows(self, low: Reg, high: Reg, kept: dict[Point, ElementAddress]) -> None:
        b, emitter = self.b, self.emitter
        outer = self.batch[:-1] if self.across else self.batch
        step = self._together()
        if step > 1:
            whole = b.add(low, b.mul(b.div(b.sub(high, low), step), step))
            with b.loop(low, whole, step) as loop, emitter.scope():
                self._several_rows(loop.index, step)
            low = whole
        with b.loop(low, high) as loop, emitter.scope():
            unflatten(emitter, outer, loop.index)
            if self.across:
                axis = self.batch[-1]
                emitter.hoist(self.every, frozenset((axis, *self.row)))
                size = emitter.size(axis.extent)
                vectors(emitter, axis, self.lanes, 0, size, lambda: self._row(kept))
            else:
                self._row(kept)

    def _together(self) -> int:
        """How many rows are added up in one walk: several, where there are only column sums."""
        plan = self.plan
        simple = all(r.kind == "col" for r in plan.reductions)
        full = any(o.kind in ("full", "row") for o in plan.outputs)
        return 4 if simple and not full and len(self.batch) == 1 and self.row else 1

    def _several_rows(self, first: Reg, count: int) -> None:
        b, emitter = self.b, self.emitter
        axis = self.batch[0]
        *outer, inner = self.row

        def body() -> None:
            sums: dict[Reduction, Reg] = {}
            for i in range(count):
                with emitter.scope():
                    emitter.at[axis] = b.add(first, i)
                    for r in self.plan.reductions:
                        x = self._operand(r)
                        sums[r] = x if i == 0 else self._combine(r, sums[r], x)
            for r, total in sums.items():
                self.partials.add_column(r, self._row_index(), total)

        with open_loops(emitter, outer):
            vectors(emitter, inner, self.lanes, 0, emitter.size(extent(emitter, inner)), body)

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
        added = [self._wide(r, emitter.emit(r.operand)) for r in sums]
        self._store_all([o for o in self.plan.outputs if o.kind == "row" and o.level == level])
        for r, value in zip(sums, added, strict=True):
            self.partials.add_one(r, value)

    def _store_all(self, outputs: Sequence[RowOutput]) -> None:
        """Everything is computed before anything is stored: results may lie where operands lie."""
        values = [self.emitter.emit(o.point) for o in outputs]
        for o, value in zip(outputs, values, strict=True):
            for buffer, index in self.stores[o]:
                self.emitter.store(buffer, index, value)

    def _stage(self, stage: int, kept: dict[Point, ElementAddress], done: set[Point]) -> None:
        """One walk along the row."""
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
        stores += [(o.point, self.stores[o]) for o in results]

        def body(accs: Sequence[Reg]) -> list[Reg]:
            for p in held:
                emitter.remember(p, emitter.load(*kept[p]))
            found = [
                self._combine(r, acc, self._operand(r)) for r, acc in zip(sums, accs, strict=True)
            ]
            for r in columns:
                self.partials.add_column(r, self._row_index(), self._operand(r))
            values = [emitter.emit(point) for point, _ in stores]
            for (_, places), value in zip(stores, values, strict=True):
                for buffer, index in places:
                    emitter.store(buffer, index, value)
            return found

        emitter.hoist(roots, frozenset(self.row))
        totals = self._walk(sums, roots, body)
        done.update(keep)
        for r, total in zip(sums, totals, strict=True):
            if not self.across:
                total = b.reduce(r.prim, total)
            if r.kind == "full":
                self.partials.add_one(r, total)
            else:
                emitter.remember(r.result, b.cast(total, r.result.elem))

    # one walk -------------------------------------------------------------------------------------

    def _walk(
        self,
        sums: Sequence[Reduction],
        roots: Sequence[Point],
        body: Callable[[Sequence[Reg]], list[Reg]],
        bounds: tuple[Number, Number] | None = None,
    ) -> list[Reg]:
        """Run `body` for each vector of a row, carrying the sums; several chains side by side."""
        b, emitter = self.b, self.emitter
        lanes = self.lanes
        wide = [sum_type(r).with_lanes(lanes) for r in sums]
        identities = [identity_value(r.node) for r in sums]
        if self.across or not self.row:
            start = [b.const(ty, value) for ty, value in zip(wide, identities, strict=True)]
            return self._loops(self.row, sums, start, start, roots, body)
        *outer, inner = self.row
        low, high = bounds if bounds is not None else (0, emitter.size(extent(emitter, inner)))
        most = VIRTUAL_ROW if bounds is not None else None
        chain = Chain(emitter, inner, lanes, [r.prim for r in sums], wide, identities)

        def innermost(accs: Sequence[Reg]) -> list[Reg]:
            return chain.run(body, accs, low, high, most)

        start = chain.totals()
        return self._loops(outer, sums, start, start, roots, innermost)

    def _loops(
        self,
        axes: Sequence[Axis],
        sums: Sequence[Reduction],
        carried: Sequence[Reg],
        fresh: Sequence[Reg],
        roots: Sequence[Point],
        body: Callable[[Sequence[Reg]], list[Reg]],
    ) -> list[Reg]:
        """`body` for all places along the axes, added to the sums that are carried."""
        if not axes:
            with self.emitter.scope():
                return body(carried)
        b, emitter = self.b, self.emitter
        axis, *rest = axes

        def run(low: Number, high: Number, accs: Sequence[Reg]) -> list[Reg]:
            with b.loop(low, high, 1, list(accs)) as loop, emitter.scope():
                emitter.at[axis] = loop.index
                emitter.hoist(roots, frozenset(self.row) - {a for a in self.row if a in emitter.at})
                b.yield_(*self._loops(rest, sums, loop.carry, fresh, roots, body))
            return list(loop.results)

        size = emitter.size(extent(emitter, axis))
        if not accumulates([r.prim for r in sums]):
            return run(0, size, carried)
        inner = [known(emitter.size(extent(emitter, a))) for a in rest]
        return cascade(b, size, carried, fresh, self._merger(sums), run, additions(inner))

    def _merger(self, sums: Sequence[Reduction]) -> Callable[..., list[Reg]]:
        """Adds one list of sums to another."""

        def merge(xs: Sequence[Reg], ys: Sequence[Reg]) -> list[Reg]:
            return [self._combine(r, x, y) for r, x, y in zip(sums, xs, ys, strict=True)]

        return merge

    # what is added --------------------------------------------------------------------------------

    def _wide(self, r: Reduction, value: Reg) -> Reg:
        return self.b.cast(value, sum_type(r).elem)

    def _operand(self, r: Reduction) -> Reg:
        """The operand in the accumulator's type; lanes that don't exist give the identity."""
        b, emitter = self.b, self.emitter
        value = b.splat(self._wide(r, emitter.emit(r.operand)), emitter.lanes)
        if emitter.mask is None or self.across or r.kind == "col":
            return value
        return b.where(emitter.mask, value, identity_value(r.node))

    def _combine(self, r: Reduction, acc: Reg, value: Reg) -> Reg:
        return self.b.apply(r.prim, acc, value)

    # what is kept beside a row --------------------------------------------------------------------

    def _reserve_kept(self) -> dict[Point, ElementAddress]:
        """Memory for what several stages need and is dear to compute again."""
        if self.across or self.plan.stages < 2:
            return {}
        found: dict[Point, ElementAddress] = {}
        strides = self._row_strides()
        length = self._length(self.row)
        for point, result in kept_points(self.plan).items():
            if result is not None:
                found[point] = self.stores[result][0]
                continue
            memory = self.b.scratch(self.b.mul(length, Ty(point.elem).bytes))
            found[point] = StridedBuffer(memory, strides, point.value.dtype), self._row_index()
        return found

    # the end --------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Add the partial sums of the chunks in order, and store what depends on them."""
        plan, emitter, b = self.plan, self.emitter, self.b
        if not self.partials.sums:
            return
        with emitter.scope():
            for axis in plan.batch:
                emitter.at.pop(axis, None)
            emitter.vector = None
            for r in self.partials.sums:
                if r.kind != "col":
                    emitter.remember(r.result, b.cast(self.partials.total(r, None), r.result.elem))
            self._store_all([o for o in plan.outputs if o.kind == "one"])
            columns = [o for o in plan.outputs if o.kind == "col"]
            if columns:
                emitter.hoist([o.point for o in columns], frozenset(self.row))
                self._finish_columns(columns)

    def _finish_columns(self, columns: Sequence[RowOutput]) -> None:
        emitter = self.emitter
        *outer, inner = self.row
        needed = set(reachable([o.point for o in columns]))

        def body() -> None:
            at = emitter.base(self._flat())
            for r in self.partials.sums:
                if r.kind == "col" and r.result in needed:
                    total = self.b.cast(self.partials.total(r, at), r.result.elem)
                    emitter.remember(r.result, total)
            self._store_all(columns)

        with open_loops(emitter, outer):
            vectors(emitter, inner, self.lanes, 0, emitter.size(extent(emitter, inner)), body)

    def _flat(self) -> Affine:
        """The position in a row, as the row's loops walk it."""
        step: Extent = 1
        terms: list[tuple[Axis, Extent]] = []
        for axis in reversed(self.row):
            terms.append((axis, step))
            step = step * extent(self.emitter, axis)
        return Affine(terms)

    # one long row ---------------------------------------------------------------------------------

    def _emit_virtual(self) -> None:
        """Everything is reduced: the row is cut into pieces of a fixed length."""
        b, emitter, plan = self.b, self.emitter, self.plan
        *outer, inner = self.row
        length = emitter.size(extent(emitter, inner))
        pieces: Number = b.max(b.ceildiv(length, VIRTUAL_ROW), 1)
        pieces = known(pieces) or pieces
        rows = product(b, [self._length(outer), pieces])
        axis_ns = ns_per_element(self.points, self.lanes, 0, inner)
        size = b.min(VIRTUAL_ROW, length)
        least = b.max(b.div(VIRTUAL_CHUNK, b.max(size, 1)), 1)
        self.partials = self._sums_of(plan.reductions)
        self.partials.share_out(
            rows, 10.0 + axis_ns * (known(size) or VIRTUAL_ROW), known(least) or least
        )
        roots = [r.operand for r in plan.reductions]
        held, self.row = self.row, [inner]

        def add_pieces(low: Reg, high: Reg) -> None:
            with b.loop(low, high) as loop, emitter.scope():
                unflatten(emitter, outer, b.div(loop.index, pieces))
                first = b.mul(b.rem(loop.index, pieces), VIRTUAL_ROW)
                emitter.hoist(roots, frozenset((inner,)))
                self._add_piece(roots, first, b.min(b.add(first, VIRTUAL_ROW), length))

        with self.partials.chunks(rows) as (low, high), emitter.scope():
            emitter.hoist(roots, frozenset(plan.space.axes))
            self.partials.in_blocks(low, high, add_pieces)
        self.row = held
        self._finish_virtual()

    def _add_piece(self, roots: Sequence[Point], low: Reg, high: Reg) -> None:
        sums = self.plan.reductions

        def body(accs: Sequence[Reg]) -> list[Reg]:
            return [
                self._combine(r, acc, self._operand(r)) for r, acc in zip(sums, accs, strict=True)
            ]

        for r, total in zip(sums, self._walk(sums, roots, body, (low, high)), strict=True):
            self.partials.add_one(r, self.b.reduce(r.prim, total))

    def _finish_virtual(self) -> None:
        b, emitter = self.b, self.emitter
        with emitter.scope():
            emitter.vector = None
            for r in self.partials.sums:
                emitter.remember(r.result, b.cast(self.partials.total(r, None), r.result.elem))
            self._store_all(self.plan.outputs)
