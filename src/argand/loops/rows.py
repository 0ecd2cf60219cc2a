"""Kernels of the kind "rows": softmax, norms, losses and their gradients; sums over any axes.

Rows run in parallel; a row is walked once a stage, in cache. Sums over the batch ride along: every
chunk of rows adds into partial sums of its own, which are added in the order of the chunks at the
end. The chunks depend on the shape alone, so the bits do not depend on threads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from argand.base.dim import Size
from argand.base.dtype import compute_dtype
from argand.loops.accumulate import identity_value
from argand.loops.chains import Chain
from argand.loops.cursor import Cursor, lanes_for
from argand.loops.element import Point, reachable
from argand.loops.env import Buffer, Env
from argand.loops.index import Axis, Form, form_of
from argand.loops.keep import kept_points
from argand.loops.nest import Builder, Reg, Ty
from argand.loops.pointwise import check_indices
from argand.loops.region import Region
from argand.loops.rowplan import Output, Reduction, RowPlan, rank_of, within_rows
from argand.loops.schedule import (
    CHUNK_NS,
    CHUNKS,
    SERIAL_NS,
    Number,
    known,
    ns_per_element,
    open_loops,
    product,
    side_by_side,
    unflatten,
    vectors,
)
from argand.loops.space import Index, by_strides, extent, fold, stride_along

__all__ = ["lower_rows"]

Place = tuple[Buffer, Index]

PARTIAL_BYTES = 4 << 20
"""About the most memory for the partial sums of one reduction."""

VIRTUAL_ROW = 4096
"""Elements of the pieces that one long row is cut into."""


def lower_rows(b: Builder, region: Region, env: Env, plans: Sequence[RowPlan]) -> None:
    """Emit a region with reductions by the best of its plans."""
    cursor = Cursor(b, env, region.places(env))
    choice = min(
        plans, key=lambda plan: (rank_of(plan, contiguous_axis(cursor, plan)), not plan.batch)
    )
    every = [r.operand for r in choice.reductions] + [o.point for o in choice.outputs]
    check_indices(cursor, reachable(every))
    _Rows(cursor, region, env, choice).emit()


def contiguous_axis(cursor: Cursor, plan: RowPlan) -> Axis | None:
    """The axis along which most of what is read lies side by side."""
    votes: dict[Axis, int] = {}
    for point in reachable([r.operand for r in plan.reductions] + [o.point for o in plan.outputs]):
        if point.kind != "load":
            continue
        buffer = cursor.places[point.value]  # type: ignore[index]
        for axis in point.axes:
            if stride_along(cursor, axis, buffer, point.index) == 1:
                votes[axis] = votes.get(axis, 0) + 1 + len(point.axes)
    return max(votes, key=lambda a: (votes[a], a.key)) if votes else None


class _Rows:
    """Emits one plan."""

    def __init__(self, cursor: Cursor, region: Region, env: Env, plan: RowPlan) -> None:
        self.cursor, self.region, self.env, self.plan = cursor, region, env, plan
        self.b = cursor.b
        self.every = [r.operand for r in plan.reductions] + [o.point for o in plan.outputs]
        self.points = reachable(self.every)
        self.stores = {
            o: [(t, o.index) for t in region.targets(env, o.value)] for o in plan.outputs
        }
        self._order_axes()

    # loops ----------------------------------------------------------------------------------------

    def _order_axes(self) -> None:
        """Which loops there are, in which order, and which one runs along the lanes."""
        plan, cursor = self.plan, self.cursor
        inner = contiguous_axis(cursor, plan)
        self.across = inner in plan.batch and not plan.rides
        guide = max(
            (p for p in self.points if p.kind == "load"), key=lambda p: len(p.axes), default=None
        )

        def ordered(axes: Sequence[Axis]) -> list[Axis]:
            found = list(axes)
            if guide is not None:
                place = cursor.places[guide.value]  # type: ignore[index]
                found = by_strides(cursor, found, place, guide.index)
            if inner in found:
                found.remove(inner)
                found.append(inner)
            return found

        stores = [s for o in self.plan.outputs for s in self.stores[o]]
        full = [s for o in plan.outputs if o.kind == "full" for s in self.stores[o]]
        self.row = fold(cursor, ordered(plan.row), self.points, full)
        keep = 1 if self.across else 0
        batch = ordered(plan.batch)
        self.batch = fold(cursor, batch, self.points, stores) if not keep else batch
        self.virtual = not plan.batch and all(r.kind in ("row", "full") for r in plan.reductions)
        self.virtual &= len(plan.outputs) == sum(o.kind in ("row", "one") for o in plan.outputs)
        self.virtual &= plan.stages == 1 and not any(within_rows(r.node) for r in plan.reductions)
        self.lane_axis = self.batch[-1] if self.across else (self.row[-1] if self.row else None)
        self.lanes = 1
        if self.lane_axis is not None:
            self.lanes = lanes_for(self.points, self.env.target.vector_bytes, self.lane_axis)
            self.lanes *= side_by_side(self.points, self.lane_axis)
            length = cursor.size(extent(cursor, self.lane_axis))
            if isinstance(length, int):
                self.lanes = min(self.lanes, 1 << max(0, length - 1).bit_length())

    def _length(self, axes: Sequence[Axis]) -> Number:
        cursor = self.cursor
        return product(self.b, [cursor.size(extent(cursor, a)) for a in axes])

    def emit(self) -> None:
        """The whole kernel."""
        plan = self.plan
        if self.virtual:
            self._emit_virtual()
            return
        rows = self._length(self.batch[:-1] if self.across else self.batch)
        ns = self._row_ns()
        self.chunk_layout(rows, ns)
        self.partials = {r: self._partial(r) for r in plan.reductions if r.kind != "row"}
        with self.chunks(rows) as (chunk, low, high), self.cursor.scope():
            self._start_partials(chunk)
            self._rows(low, high)
        self._finish()

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
            width = known(self.cursor.size(self.lane_axis.extent)) or 256  # type: ignore[union-attr]
            return 20.0 + each * (length or 256) * width
        return 10.0 + each * (length or 256)

    # chunks ---------------------------------------------------------------------------------------

    def chunk_layout(self, count: Number, ns: float) -> None:
        """How rows are shared out: depends on the shape and the code, never on threads."""
        b, most = self.b, CHUNKS
        rides = [r for r in self.plan.reductions if r.kind == "col"]
        if rides:
            length = known(self._length(self.row)) or 4096
            most = max(8, min(CHUNKS, PARTIAL_BYTES // (8 * max(1, length))))
        total = known(count)
        least = max(1, int(CHUNK_NS / ns))
        self.serial = total is not None and total * ns < SERIAL_NS
        self.share: Number
        self.cost: Number
        if self.serial:
            self.share, self.count, self.cost = count, b.i64(1), 0
        elif total is not None:
            share = max(least, -(-total // most))
            self.share, self.count = share, b.i64(-(-total // share))
            self.cost = int(total * ns)
        else:
            self.share = b.max(b.ceildiv(count, most), least)
            self.count = b.ceildiv(count, self.share)
            self.cost = b.mul(count, max(1, int(ns)))

    @contextlib.contextmanager
    def chunks(self, count: Number) -> Iterator[tuple[Reg, Reg, Reg]]:
        """The chunks: (number, first row, end)."""
        b = self.b
        if self.serial:
            yield b.i64(0), b.i64(0), b.add(count, 0)
            return
        with b.parallel(self.count, self.cost) as chunk:
            low = b.mul(chunk, self.share)
            yield chunk, low, b.min(b.add(low, self.share), count)

    # partial sums ---------------------------------------------------------------------------------

    def _acc(self, r: Reduction) -> Ty:
        return Ty(compute_dtype(r.node.values[0].dtype).name)

    def _partial(self, r: Reduction) -> Reg:
        """Memory for a partial sum of each chunk."""
        b = self.b
        length: Number = self._length(self.row) if r.kind == "col" else 1
        return b.scratch(b.mul(self.count, b.max(length, 1), self._acc(r).bytes))

    def _start_partials(self, chunk: Reg) -> None:
        """Fill this chunk's partial sums with the identities."""
        b = self.b
        self.own: dict[Reduction, Buffer] = {}
        for r, memory in self.partials.items():
            acc = self._acc(r)
            value = b.const(acc, identity_value(r.node))
            length = self._length(self.row) if r.kind == "col" else 1
            base = b.offset(memory, b.mul(chunk, length), acc.elem)
            dtype = compute_dtype(r.node.values[0].dtype)
            strides = self._row_strides() if r.kind == "col" else ()
            self.own[r] = Buffer(base, strides, dtype)
            if r.kind == "col":
                axis = Axis(f"fill{len(self.own)}", 1)
                with self.cursor.scope():
                    lanes = self.lanes

                    def fill(base: Reg = base, axis: Axis = axis, value: Reg = value) -> None:
                        wide = b.splat(value, self.cursor.lanes)
                        b.store(base, self.cursor.at[axis], wide, self.cursor.mask)

                    vectors(self.cursor, axis, lanes, 0, length, fill)
            else:
                b.store(base, 0, value)

    def _row_strides(self) -> tuple[Number, ...]:
        """Row-major strides over the row's loops."""
        strides: list[Number] = []
        step: Number = 1
        for axis in reversed(self.row):
            strides.append(step)
            step = product(self.b, [step, self.cursor.size(extent(self.cursor, axis))])
        return tuple(reversed(strides))

    def _row_index(self) -> tuple[Form, ...]:
        return tuple(form_of(a) for a in self.row)

    # rows -----------------------------------------------------------------------------------------

    def _rows(self, low: Reg, high: Reg) -> None:
        """The rows low … high - 1."""
        b, cursor = self.b, self.cursor
        outer = self.batch[:-1] if self.across else self.batch
        cursor.hoist(self.every, frozenset(self.plan.space.axes))
        kept = self._reserve_kept()
        step = self._together()
        if step > 1:
            whole = b.add(low, b.mul(b.div(b.sub(high, low), step), step))
            with b.loop(low, whole, step) as loop, cursor.scope():
                self._several_rows(loop.index, step)
            low = whole
        with b.loop(low, high) as loop, cursor.scope():
            unflatten(cursor, outer, loop.index)
            if self.across:
                axis = self.batch[-1]
                cursor.hoist(self.every, frozenset((axis, *self.row)))
                size = cursor.size(axis.extent)
                vectors(cursor, axis, self.lanes, 0, size, lambda: self._row(kept))
            else:
                self._row(kept)

    def _together(self) -> int:
        """How many rows are added up in one walk: several, where there are only column sums."""
        plan = self.plan
        simple = all(r.kind == "col" for r in plan.reductions)
        full = any(o.kind in ("full", "row") for o in plan.outputs)
        return 4 if simple and not full and len(self.batch) == 1 and self.row else 1

    def _several_rows(self, first: Reg, count: int) -> None:
        b, cursor = self.b, self.cursor
        axis = self.batch[0]
        *outer, inner = self.row

        def body() -> None:
            sums: dict[Reduction, Reg] = {}
            for i in range(count):
                with cursor.scope():
                    cursor.at[axis] = b.add(first, i)
                    for r in self.plan.reductions:
                        x = self._operand(r)
                        sums[r] = x if i == 0 else self._combine(r, sums[r], x)
            for r, total in sums.items():
                self._add_column(r, total)

        with open_loops(cursor, outer):
            vectors(cursor, inner, self.lanes, 0, cursor.size(extent(cursor, inner)), body)

    def _row(self, kept: dict[Point, Place]) -> None:
        """One row: its stages, and what comes between them."""
        plan = self.plan
        done: set[Point] = set()
        for stage in range(plan.stages + 1):
            self._between(stage)
            if stage < plan.stages:
                self._stage(stage, kept, done)

    def _between(self, level: int) -> None:
        """What has one value a row and can be computed now."""
        cursor = self.cursor
        sums = [r for r in self.plan.reductions if r.kind == "batch" and r.level == level]
        added = [self._wide(r, cursor.emit(r.operand)) for r in sums]
        self._store_all([o for o in self.plan.outputs if o.kind == "row" and o.level == level])
        for r, value in zip(sums, added, strict=True):
            self._add_one(r, value)

    def _store_all(self, outputs: Sequence[Output]) -> None:
        """Everything is computed before anything is stored: results may lie where operands lie."""
        values = [self.cursor.emit(o.point) for o in outputs]
        for o, value in zip(outputs, values, strict=True):
            for buffer, index in self.stores[o]:
                self.cursor.store(buffer, index, value)

    def _stage(self, stage: int, kept: dict[Point, Place], done: set[Point]) -> None:
        """One walk along the row."""
        plan, cursor, b = self.plan, self.cursor, self.b
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
                cursor.remember(p, cursor.load(*kept[p]))
            found = [
                self._combine(r, acc, self._operand(r)) for r, acc in zip(sums, accs, strict=True)
            ]
            for r in columns:
                self._add_column(r, self._operand(r))
            values = [cursor.emit(point) for point, _ in stores]
            for (_, places), value in zip(stores, values, strict=True):
                for buffer, index in places:
                    cursor.store(buffer, index, value)
            return found

        cursor.hoist(roots, frozenset(self.row))
        totals = self._walk(sums, roots, body)
        done.update(keep)
        for r, total in zip(sums, totals, strict=True):
            if not self.across:
                total = b.reduce(r.prim, total)
            if r.kind == "full":
                self._add_one(r, total)
            else:
                cursor.remember(r.result, b.cast(total, r.result.elem))

    # one walk -------------------------------------------------------------------------------------

    def _walk(
        self,
        sums: Sequence[Reduction],
        roots: Sequence[Point],
        body: Callable[[Sequence[Reg]], list[Reg]],
        bounds: tuple[Number, Number] | None = None,
    ) -> list[Reg]:
        """Run `body` for each vector of a row, carrying the sums; several chains side by side."""
        b, cursor = self.b, self.cursor
        lanes = self.lanes
        start = [b.const(self._acc(r).with_lanes(lanes), identity_value(r.node)) for r in sums]
        if not self.row:
            with cursor.scope():
                return body(start)
        *outer, inner = self.row
        low, high = bounds if bounds is not None else (0, cursor.size(extent(cursor, inner)))
        if self.across:
            return self._loops([*outer, inner], start, roots, body)

        wide = [self._acc(r).with_lanes(lanes) for r in sums]
        chain = Chain(cursor, inner, lanes, [r.prim for r in sums], wide, start)

        def innermost(accs: Sequence[Reg]) -> list[Reg]:
            return chain.run(roots, body, accs, low, high)

        return self._loops(outer, start, roots, innermost)

    def _loops(
        self,
        axes: Sequence[Axis],
        accs: Sequence[Reg],
        roots: Sequence[Point],
        body: Callable[[Sequence[Reg]], list[Reg]],
    ) -> list[Reg]:
        if not axes:
            with self.cursor.scope():
                return body(accs)
        b, cursor = self.b, self.cursor
        axis, *rest = axes
        size = cursor.size(extent(cursor, axis))
        with b.loop(0, size, 1, list(accs)) as loop, cursor.scope():
            cursor.at[axis] = loop.index
            cursor.hoist(roots, frozenset(self.row) - {a for a in self.row if a in cursor.at})
            b.yield_(*self._loops(rest, loop.carry, roots, body))
        return list(loop.results)

    # what is added --------------------------------------------------------------------------------

    def _wide(self, r: Reduction, value: Reg) -> Reg:
        return self.b.cast(value, self._acc(r).elem)

    def _operand(self, r: Reduction) -> Reg:
        """The operand in the accumulator's type; lanes that don't exist give the identity."""
        b, cursor = self.b, self.cursor
        value = b.splat(self._wide(r, cursor.emit(r.operand)), cursor.lanes)
        if cursor.mask is None or self.across or r.kind == "col":
            return value
        return b.where(cursor.mask, value, identity_value(r.node))

    def _combine(self, r: Reduction, acc: Reg, value: Reg) -> Reg:
        return self.b.apply(r.prim, acc, value)

    def _add_column(self, r: Reduction, value: Reg) -> None:
        cursor, index = self.cursor, self._row_index()
        buffer = self.own[r]
        cursor.store(buffer, index, self._combine(r, cursor.load(buffer, index), value))

    def _add_one(self, r: Reduction, value: Reg) -> None:
        b, buffer = self.b, self.own[r]
        before = b.load(buffer.pointer, 0, self._acc(r))
        b.store(buffer.pointer, 0, self._combine(r, before, value))

    # what is kept beside a row --------------------------------------------------------------------

    def _reserve_kept(self) -> dict[Point, Place]:
        """Memory for what several stages need and is dear to compute again."""
        if self.across or self.plan.stages < 2:
            return {}
        found: dict[Point, Place] = {}
        strides = self._row_strides()
        length = self._length(self.row)
        for point, result in kept_points(self.plan).items():
            if result is not None:
                found[point] = self.stores[result][0]
                continue
            memory = self.b.scratch(self.b.mul(length, Ty(point.elem).bytes))
            found[point] = Buffer(memory, strides, point.value.dtype), self._row_index()
        return found

    # the end --------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Add the partial sums of the chunks in order, and store what depends on them."""
        plan, cursor, b = self.plan, self.cursor, self.b
        if not self.partials:
            return
        with cursor.scope():
            for axis in plan.batch:
                cursor.at.pop(axis, None)
            cursor.vector = None
            for r in self.partials:
                if r.kind != "col":
                    cursor.remember(r.result, b.cast(self._total(r, None), r.result.elem))
            self._store_all([o for o in plan.outputs if o.kind == "one"])
            columns = [o for o in plan.outputs if o.kind == "col"]
            if columns:
                cursor.hoist([o.point for o in columns], frozenset(self.row))
                self._finish_columns(columns)

    def _finish_columns(self, columns: Sequence[Output]) -> None:
        cursor = self.cursor
        *outer, inner = self.row
        needed = set(reachable([o.point for o in columns]))

        def body() -> None:
            at = cursor.base(self._flat())
            for r in self.partials:
                if r.kind == "col" and r.result in needed:
                    total = self.b.cast(self._total(r, at), r.result.elem)
                    cursor.remember(r.result, total)
            self._store_all(columns)

        with open_loops(cursor, outer):
            vectors(cursor, inner, self.lanes, 0, cursor.size(extent(cursor, inner)), body)

    def _flat(self) -> Form:
        """The position in a row, as the row's loops walk it."""
        step: Size = 1
        terms: list[tuple[Axis, Size]] = []
        for axis in reversed(self.row):
            terms.append((axis, step))
            step = step * extent(self.cursor, axis)
        return Form(terms)

    def _total(self, r: Reduction, at: Reg | None) -> Reg:
        """The sum over the chunks of one partial sum (`at` a column)."""
        b, acc = self.b, self._acc(r)
        length = self._length(self.row) if r.kind == "col" else 1
        lanes = 1 if at is None else self.cursor.lanes
        ty = acc.with_lanes(lanes)
        start = b.const(ty, identity_value(r.node))
        place = b.i64(0) if at is None else at
        with b.loop(0, self.count, 1, [start]) as loop:
            offset = b.affine(place, (loop.index, length))
            mask = None if at is None else self.cursor.mask
            part = b.load(self.partials[r], offset, ty, mask)
            b.yield_(self._combine(r, loop.carry[0], part))
        return loop.results[0]

    # one long row ---------------------------------------------------------------------------------

    def _emit_virtual(self) -> None:
        """Everything is reduced: the row is cut into pieces of a fixed length."""
        b, cursor, plan = self.b, self.cursor, self.plan
        *outer, inner = self.row
        length = cursor.size(extent(cursor, inner))
        pieces: Number = b.max(b.ceildiv(length, VIRTUAL_ROW), 1)
        pieces = known(pieces) or pieces
        rows = product(b, [self._length(outer), pieces])
        axis_ns = ns_per_element(self.points, self.lanes, 0, inner)
        size = min(VIRTUAL_ROW, known(length) or VIRTUAL_ROW)
        self.chunk_layout(rows, 10.0 + axis_ns * size)
        sums = list(plan.reductions)
        self.partials = {r: self._partial(r) for r in sums}
        roots = [r.operand for r in sums]
        held = self.row
        with self.chunks(rows) as (chunk, low, high), cursor.scope():
            self._start_partials(chunk)
            cursor.hoist(roots, frozenset(plan.space.axes))
            with b.loop(low, high) as loop, cursor.scope():
                unflatten(cursor, outer, b.div(loop.index, pieces))
                first = b.mul(b.rem(loop.index, pieces), VIRTUAL_ROW)
                end = b.min(b.add(first, VIRTUAL_ROW), length)
                cursor.hoist(roots, frozenset((inner,)))

                def body(accs: Sequence[Reg]) -> list[Reg]:
                    return [
                        self._combine(r, acc, self._operand(r))
                        for r, acc in zip(sums, accs, strict=True)
                    ]

                self.row = [inner]
                for r, total in zip(sums, self._walk(sums, roots, body, (first, end)), strict=True):
                    self._add_one(r, b.reduce(r.prim, total))
        self.row = held
        self._finish_virtual()

    def _finish_virtual(self) -> None:
        b, cursor = self.b, self.cursor
        with cursor.scope():
            cursor.vector = None
            for r in self.partials:
                cursor.remember(r.result, b.cast(self._total(r, None), r.result.elem))
            self._store_all(self.plan.outputs)
