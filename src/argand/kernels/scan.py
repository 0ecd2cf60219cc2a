"""Ops that go through a dimension in order: argmax, argmin, running sums and extremes.

The position of an extreme is that of the first one, and a NaN comes before all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from argand.base.dtype import compute_dtype
from argand.base.sums import BLOCK_CHAIN
from argand.ir.families import Reduce, Scan
from argand.ir.program import Node
from argand.kernels.plan import Cost, Plan, described
from argand.kernels.pointwise import check_values
from argand.kernels.single import in_order_cost, single_node
from argand.lowering.affine import ZERO, Axis, linearised
from argand.lowering.context import LoweringContext
from argand.lowering.element import Demand
from argand.lowering.emitter import Emitter, lanes_for
from argand.lowering.identities import extreme_value
from argand.lowering.parallel import cells, product, unflatten, vectors
from argand.lowering.region import Region
from argand.lowering.space import ElementIndex, Space, load_stride
from argand.nest.builder import I64, IntOrReg, NestBuilder, Reg, Ty, static

__all__ = ["ScanPlan", "match_scan"]

NS_EACH = 1.5

Step = Callable[[Sequence[Reg]], list[Reg]]


class ScanPlan(Plan):
    """A region of one such op: the other dimensions in parallel, one of them along the lanes where
    memory allows."""

    kind = "scan"

    def __init__(self, region: Region, node: Node) -> None:
        super().__init__(region)
        self.node = node
        (self.x,) = node.values
        self.space = Space(self.x.shape)
        self.point = Demand(region.inputs).point(self.x, self.space.index)

    @property
    def cost(self) -> Cost:
        return in_order_cost(self.region, self.node)

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        _Scan(self, b, context).emit()

    def __str__(self) -> str:
        return f"scan: {described(self.region.nodes)} along {self.node.params['dim']}"


def match_scan(region: Region) -> ScanPlan | None:
    """The plan of a region of one such op."""
    node = single_node(region, _is_scan)
    return None if node is None else ScanPlan(region, node)


def _is_scan(node: Node) -> bool:
    op = node.op
    if isinstance(op, Reduce):
        return op.finds_position and op.primitive in _POSITIONS
    return isinstance(op, Scan) and op.primitive in ("add", *_POSITIONS)


_POSITIONS = ("max", "min")
"""What is looked for, by the primitive that would combine two elements."""


class _Scan:
    """Emits one plan."""

    def __init__(self, plan: ScanPlan, b: NestBuilder, context: LoweringContext) -> None:
        self.b, self.context, self.node = b, context, plan.node
        self.primitive = cast(Reduce | Scan, plan.node.op).primitive
        self.emitter = Emitter(b, context, plan.region.places(context))
        self.x, self.space, self.point = plan.x, plan.space, plan.point
        self.targets = plan.region.targets(context, plan.node.outputs[0])
        check_values(self.emitter, plan.region)
        dims = plan.node.params["dim"]
        dims = (dims,) if isinstance(dims, int) else tuple(dims)
        self.dims = tuple(d for d in dims if d < len(self.x.shape))
        ordered = [a for d in self.dims for a in self.space.digits[d]]
        self.ordered = [a for a in self.space.axes if a in ordered]
        self.free = [a for a in self.space.axes if a not in ordered]

    def emit(self) -> None:
        """All rows, in parallel."""
        b, emitter = self.b, self.emitter
        lane_axis = next((a for a in self.free if self._is_contiguous(a)), None)
        outer = [a for a in self.free if a is not lane_axis]
        rows = product(b, [emitter.size(a.extent) for a in outer])
        length = static(product(b, [emitter.size(a.extent) for a in self.ordered])) or 256
        width = 1 if lane_axis is None else (static(emitter.size(lane_axis.extent)) or 256)
        with cells(emitter, rows, NS_EACH * length * width) as cell:
            unflatten(emitter, outer, cell)
            if lane_axis is None:
                self._row()
                return
            lanes = lanes_for([self.point], self.context.target.vector_bytes, lane_axis)
            end = emitter.size(lane_axis.extent)
            vectors(emitter, lane_axis, lanes, 0, end, self._row)

    def _is_contiguous(self, axis: Axis) -> bool:
        return self.point.kind == "load" and load_stride(self.emitter, axis, self.point) == 1

    def _row(self) -> None:
        lanes = self.emitter.lanes
        if isinstance(self.node.op, Scan):
            self._running(lanes)
        else:
            self._position(lanes)

    def _in_order(self, axes: Sequence[Axis], carried: Sequence[Reg], step: Step) -> list[Reg]:
        if not axes:
            return step(carried)
        b, emitter = self.b, self.emitter
        axis, *rest = axes
        with b.loop(0, emitter.size(axis.extent), 1, list(carried)) as loop, emitter.scope():
            emitter.at[axis] = loop.index
            b.yield_(*self._in_order(rest, loop.carry, step))
        return list(loop.results)

    def _store(self, index: ElementIndex, value: Reg) -> None:
        for buffer in self.targets:
            self.emitter.store(buffer, index, value)

    def _running(self, lanes: int) -> None:
        b, emitter = self.b, self.emitter
        dtype = self.node.outputs[0].dtype
        acc = Ty(compute_dtype(dtype).name, lanes)
        adds = self.primitive == "add"
        first: Any = 0 if adds else extreme_value(dtype, lowest=self.primitive == "max")
        start = b.const(acc, first)
        if not self.ordered:
            self._store(self.space.index, self._combined(start))
            return
        (axis,) = self.ordered
        length = emitter.size(axis.extent)
        unit, most = 1, static(length)
        while (
            adds
            and acc.is_float
            and unit < BLOCK_CHAIN**2
            and (most is None or most > unit * BLOCK_CHAIN)
        ):
            unit *= BLOCK_CHAIN
        self._runs(axis, 0, length, start, unit, [])

    def _runs(
        self, axis: Axis, low: IntOrReg, high: IntOrReg, start: Reg, unit: int, before: list[Reg]
    ) -> Reg:
        """Running extremes; running sums in blocks of `unit` elements, to each of which the sums
        `before` its blocks are added, the nearest first, as in `running_sums`. Gives the last."""
        b, emitter = self.b, self.emitter
        with b.loop(low, high, unit, [start]) as loop, emitter.scope():
            (total,) = loop.carry
            if unit == 1:
                emitter.at[axis] = loop.index
                found = total = self._combined(total)
                for x in before:
                    found = b.apply("add", x, found)
                self._store(self.space.index, found)
            else:
                end = b.min(b.add(loop.index, unit), high)
                inner = [total, *before]
                part = self._runs(axis, loop.index, end, start, unit // BLOCK_CHAIN, inner)
                total = b.apply("add", total, part)
            b.yield_(total)
        return loop.results[0]

    def _combined(self, total: Reg) -> Reg:
        """What was found so far with one more element."""
        b = self.b
        value = b.cast(self.emitter.emit(self.point), total.ty.elem)
        return b.apply(self.primitive, total, b.splat(value, total.ty.lanes))

    def _position(self, lanes: int) -> None:
        b, emitter = self.b, self.emitter
        largest = self.primitive == "max"
        every = self.space.index
        place = linearised([every[d] for d in self.dims], [self.x.shape[d] for d in self.dims])
        worst: Any = extreme_value(self.x.dtype, lowest=largest)
        start = b.const(Ty(self.x.dtype.name, lanes), worst)

        def step(carried: Sequence[Reg]) -> list[Reg]:
            best, at = carried
            value = b.splat(emitter.emit(self.point), lanes)
            kept = b.apply("le" if largest else "ge", value, best)
            wins = b.apply("not", kept)
            if best.ty.is_float:
                wins = b.apply("and", wins, b.apply("eq", best, best))
            here = b.splat(emitter.base(place), lanes)
            return [b.where(wins, value, best), b.where(wins, here, at)]

        _, at = self._in_order(self.ordered, [start, b.const(I64.with_lanes(lanes), 0)], step)
        if self.node.params["keepdim"]:
            index = tuple(ZERO if d in self.dims else f for d, f in enumerate(every))
        else:
            index = tuple(f for d, f in enumerate(every) if d not in self.dims)
        self._store(index, at)
