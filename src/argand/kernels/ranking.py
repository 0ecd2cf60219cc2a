"""Sorting and top k of short rows, by counting: the place of an element is the number of those that
come before it.

A row's elements become integers that are ordered as they are: NaN above all, -0 equal to 0, and
with all bits inverted where the largest come first. Each vector of them is compared with every
element of the row, one after the other: what is equal comes before if it is stored before, so the
order is stable. Then each vector of places picks from all elements those whose places they are.
There are no branches, no address depends on the data, and what is compared grows with the square of
the length: good up to some length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from argand.ir.families import Sort
from argand.ir.program import Node
from argand.kernels.plan import Plan, described
from argand.kernels.pointwise import check_values
from argand.kernels.single import single_node
from argand.lowering.affine import Axis, affine_of
from argand.lowering.context import LoweringContext
from argand.lowering.element import Demand
from argand.lowering.emitter import Emitter
from argand.lowering.parallel import product, spread, unflatten, vectors
from argand.lowering.region import Region
from argand.lowering.space import ElementIndex, Space
from argand.nest.builder import NestBuilder, Reg, Ty, static

__all__ = ["MOST_BYTES", "RankingPlan", "match_ranking"]

MOST_BYTES: Final = 512
"""The longest row, as integers of 4 or 8 bytes: beyond it NumPy's sorting is as fast
(benchmarks/ranking.py)."""

NS_PER_VECTOR = 0.5
"""About what it takes to compare a vector with an element and to count."""

NS_PER_ELEMENT = 2.0

_LIKELY = 64
"""Elements of a row when that is only known at run time: for sharing out rows to threads."""


class RankingPlan(Plan):
    """A sort or a top k by itself; rows in parallel."""

    def __init__(self, region: Region, node: Node, op: Sort) -> None:
        super().__init__(region)
        self.node, (self.x,) = node, node.values
        self.dim: int = node.params["dim"]
        self.length = self.x.shape[self.dim] if self.x.shape else 1
        self.falls = op.descends(node.params)
        self.kept = node.outputs[0].shape[self.dim] if self.x.shape else 1
        self.space = Space([1 if d == self.dim else n for d, n in enumerate(self.x.shape)])
        self.key = Ty("int64" if Ty(self.x.dtype.name).bytes == 8 else "int32")
        self.axis, self.place = Axis("row", self.length), Axis("place", self.kept)
        self.point = Demand(region.inputs).point(self.x, self.index(self.axis))

    def index(self, axis: Axis) -> ElementIndex:
        """The index of an element of a row."""
        place = affine_of(axis)
        return tuple(
            place if d == self.dim else affine for d, affine in enumerate(self.space.index)
        )

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        _Ranking(self, b, context).emit()

    def __str__(self) -> str:
        order = "falling" if self.falls else "rising"
        kept = "" if self.kept is self.length else f", the first {self.kept}"
        return f"ranking: {described(self.region.nodes)} of rows of {self.length}, {order}{kept}"


def match_ranking(region: Region) -> RankingPlan | None:
    """The plan of one such op of rows that are short enough."""
    node = single_node(region, lambda n: isinstance(n.op, Sort))
    if node is None or len(region.nodes) > 1:
        return None
    assert isinstance(node.op, Sort)
    plan = RankingPlan(region, node, node.op)
    return plan if plan.length * plan.key.bytes <= MOST_BYTES else None


class _Ranking:
    """Emits one plan."""

    def __init__(self, plan: RankingPlan, b: NestBuilder, context: LoweringContext) -> None:
        self.plan, self.b, self.context = plan, b, context
        self.emitter = Emitter(b, context, plan.region.places(context))
        self.length = self.emitter.size(plan.length)
        self.key = plan.key
        self.lanes = max(1, context.target.vector_bytes // self.key.bytes)
        check_values(self.emitter, plan.region)

    def emit(self) -> None:
        """All rows, in parallel."""
        b, emitter, axes = self.b, self.emitter, self.plan.space.axes
        rows = product(b, [emitter.size(a.extent) for a in axes])
        length = static(self.length) or _LIKELY
        places = static(self.emitter.size(self.plan.kept)) or length
        compared = length * (-(-length // self.lanes) + -(-places // self.lanes))
        each = NS_PER_VECTOR * compared + NS_PER_ELEMENT * length
        with spread(b, rows, each) as (low, high):
            room = b.add(self.length, self.lanes)
            self.keys, self.ranks = (b.scratch(b.mul(room, self.key.bytes)) for _ in range(2))
            self._clear_rest()
            with b.loop(low, high) as loop, emitter.scope():
                unflatten(emitter, axes, loop.index)
                self._row()

    def _clear_rest(self) -> None:
        """The keys of the last vector that are none: their counts are never read."""
        b = self.b
        b.store(self.keys, self.length, b.const(self.key.with_lanes(self.lanes), 0))

    def _row(self) -> None:
        b = self.b
        keys, elem = self._store_keys, self.key.elem
        vectors(self.emitter, self.plan.axis, self.lanes, 0, self.length, keys, elem)
        with b.loop(0, self.length, self.lanes) as loop:
            b.store(self.ranks, loop.index, self._count(loop.index))
        kept, place = self.emitter.size(self.plan.kept), self.plan.place
        if static(kept) == 1:  # nothing is stored beside it
            with self.emitter.scope():
                self.emitter.at[place] = b.i64(0)
                self._give()
            return
        vectors(self.emitter, place, self.lanes, 0, kept, self._give, elem)

    def _store_keys(self) -> None:
        emitter, b = self.emitter, self.b
        key = b.splat(self._key(emitter.emit(self.plan.point)), emitter.lanes)
        b.store(self.keys, emitter.at[self.plan.axis], key, emitter.mask)

    def _key(self, x: Reg) -> Reg:
        """An integer that is ordered as the element is."""
        b = self.b
        ty = self.key.with_lanes(x.ty.lanes)
        if x.ty.is_float:
            x = b.cast(x, "float64" if self.key.bytes == 8 else "float32")
            bits = b.bitcast(x, ty)
            largest = (1 << (8 * ty.bytes - 1)) - 1
            key = b.where(b.apply("lt", bits, 0), b.apply("xor", bits, largest), bits)
            key = b.where(b.apply("eq", x, 0.0), 0, key)
            key = b.where(b.apply("isnan", x), largest, key)
        else:
            key = b.cast(x, ty)
            if x.ty.kind == "u" and x.ty.bytes == ty.bytes:  # from 0 on as from the lowest on
                key = b.apply("xor", key, -1 << (8 * ty.bytes - 1))
        return b.apply("xor", key, -1) if self.plan.falls else key

    def _count(self, start: Reg) -> Reg:
        """How many elements come before each one of the vector that starts here."""
        b, lanes = self.b, self.lanes
        mine = b.load(self.keys, start, self.key.with_lanes(lanes))
        end = b.min(b.add(start, lanes), self.length)
        lane = b.iota(self.key.with_lanes(lanes))

        def before(j: Reg, key: Reg) -> Reg:
            return b.apply("le", key, mine)

        def among(j: Reg, key: Reg) -> Reg:
            at = b.splat(b.cast(b.sub(j, start), self.key), lanes)
            equal = b.apply("and", b.apply("eq", key, mine), b.apply("lt", at, lane))
            return b.apply("or", b.apply("lt", key, mine), equal)

        def behind(j: Reg, key: Reg) -> Reg:
            return b.apply("lt", key, mine)

        count = b.const(self.key.with_lanes(lanes), 0)
        count = self._counted(0, start, count, before)
        count = self._counted(start, end, count, among)
        return self._counted(end, self.length, count, behind)

    def _counted(
        self, low: int | Reg, high: int | Reg, count: Reg, comes: Callable[[Reg, Reg], Reg]
    ) -> Reg:
        """The count, and how many elements from `low` to `high` come before each."""
        b = self.b
        with b.loop(low, high, 1, [count]) as loop:
            key = b.splat(b.load(self.keys, loop.index, self.key), self.lanes)
            more = b.cast(comes(loop.index, key), self.key.elem)
            b.yield_(b.apply("add", loop.carry[0], more))
        return loop.results[0]

    def _give(self) -> None:
        """Store the elements that come at a vector of places, and where they were."""
        b, emitter, plan = self.b, self.emitter, self.plan
        lanes = emitter.lanes
        first = b.splat(b.cast(emitter.at[plan.place], self.key), lanes)
        places = b.apply("add", first, b.iota(self.key.with_lanes(lanes)))
        nothing = [b.const(Ty(elem, lanes), 0) for elem in (plan.x.dtype.name, self.key.elem)]
        with b.loop(0, self.length, 1, nothing) as loop, emitter.scope():
            emitter.at[plan.axis] = loop.index
            rank = b.splat(b.load(self.ranks, loop.index, self.key), lanes)
            here = b.apply("eq", rank, places)
            element = (emitter.emit(plan.point), b.cast(loop.index, self.key))
            b.yield_(
                *(
                    b.where(here, b.splat(x, lanes), kept)
                    for x, kept in zip(element, loop.carry, strict=True)
                )
            )
        for output, found in zip(plan.node.outputs, loop.results, strict=True):
            for buffer in plan.region.targets(self.context, output):
                emitter.store(buffer, plan.index(plan.place), found)
