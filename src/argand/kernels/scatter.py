"""Writes at computed places: `index_put`, `scatter`, `scatter_add`.

Equal places are written in the order of the indices: loops over the indexed positions run in order
on one thread, and threads share out the dimensions in which no two elements meet.
"""

from __future__ import annotations

import functools
from typing import Any

from argand.ir.families import Scatter
from argand.ir.program import Node, Operand
from argand.kernels.plan import Cost, Plan, described
from argand.kernels.pointwise import check_point, check_values, emit_stores
from argand.kernels.single import in_order_cost, single_node
from argand.lowering.context import LoweringContext, StridedBuffer
from argand.lowering.element import Demand
from argand.lowering.emitter import Emitter, lanes_for
from argand.lowering.parallel import cells, open_loops, product, unflatten, vectors
from argand.lowering.points import Point, reachable
from argand.lowering.region import Region
from argand.lowering.space import Space, stride_along
from argand.nest.builder import NestBuilder, static

__all__ = ["ScatterPlan", "match_scatter"]

NS_EACH = 3.0
"""A read, an addition and a write."""


class ScatterPlan(Plan):
    """A region of one scatter: first the copy of x, then the writes."""

    kind = "scatter"

    def __init__(self, region: Region, node: Node) -> None:
        super().__init__(region)
        self.node = node
        self.writes = _Writes(region, node)

    @property
    def cost(self) -> Cost:
        if self.writes.in_vectors:
            return Cost()
        return in_order_cost(self.region, self.node)

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        places = self.region.places(context)
        emitter = Emitter(b, context, places)
        check_values(emitter, self.region)
        check_point(emitter, self.writes.points[-1])
        for buffer in self.region.targets(context, self.node.outputs[0]):
            _copy(Emitter(b, context, places), self.region, self.writes.x, buffer)
            self.writes.emit(emitter, buffer)

    def __str__(self) -> str:
        return f"scatter: {described(self.region.nodes)} of {self.node.inputs[1].shape}"


def match_scatter(region: Region) -> ScatterPlan | None:
    """The plan of a region of one scatter."""
    node = single_node(region, lambda n: isinstance(n.op, Scatter))
    return None if node is None else ScatterPlan(region, node)


def _copy(emitter: Emitter, region: Region, x: Operand, buffer: StridedBuffer) -> None:
    space = Space(x.shape)
    point = Demand(region.inputs).point(x, space.index)
    emit_stores(emitter, space, [(buffer, space.index)], [point])


class _Writes:
    """The space of the values that are written, where each goes, and along which axes two may meet:
    they are looped over in order."""

    def __init__(self, region: Region, node: Node) -> None:
        op: Any = node.op
        demand = Demand(region.inputs)
        shapes = [x.shape for x in node.inputs]
        self.adds = bool(type(op).adds(node.params))
        self.x, values = node.inputs[0], node.inputs[op.values]
        self.space = Space(values.shape)
        destination = Point(self.x, (), None, "destination")
        look = demand.look(node, destination)
        self.place = type(op).target(self.space.index, look, shapes, node.params)
        destination.index = self.place
        destination.settle("load")
        dims = type(op).collides(shapes, node.params)
        self.ordered = [axis for d in dims for axis in self.space.digits[d]]
        # rows of a scatter are written in vectors, so that what computes them is computed so too
        self.in_vectors = bool(self.space.axes) and self.space.axes[-1] not in self.ordered
        self.source = demand.point(values, self.space.index)
        self.points = reachable([self.source, destination])

    def emit(self, emitter: Emitter, buffer: StridedBuffer) -> None:
        """The writes: threads share out the free axes, the ordered ones run inside."""
        axes = self.space.axes
        ordered = [a for a in axes if a in self.ordered]
        free = [a for a in axes if a not in self.ordered]
        lane_axis = next(
            (a for a in free if stride_along(emitter, a, buffer, self.place) == 1), None
        )
        outer = [a for a in free if a is not lane_axis]
        b = emitter.b
        rows = product(b, [emitter.size(a.extent) for a in outer])
        steps = static(product(b, [emitter.size(a.extent) for a in ordered])) or 1024
        if lane_axis is None:
            with cells(emitter, rows, NS_EACH * steps) as cell:
                unflatten(emitter, outer, cell)
                with open_loops(emitter, ordered):
                    self._write(emitter, buffer)
            return
        lanes = lanes_for([self.source], emitter.context.target.vector_bytes, lane_axis)
        length = emitter.size(lane_axis.extent)
        block = _block(static(length), lanes)
        blocks = b.ceildiv(length, block)
        count = product(b, [rows, blocks])
        with cells(emitter, count, NS_EACH * steps * block / lanes) as cell:
            unflatten(emitter, outer, b.div(cell, blocks))
            start = b.mul(b.rem(cell, blocks), block)
            end = b.min(b.add(start, block), length)
            with open_loops(emitter, ordered):
                emitter.hoist(self.points[:-1], frozenset((lane_axis,)))
                body = functools.partial(self._write, emitter, buffer)
                vectors(emitter, lane_axis, lanes, start, end, body)

    def _write(self, emitter: Emitter, buffer: StridedBuffer) -> None:
        value = emitter.emit(self.source)
        if self.adds:
            value = emitter.b.apply("add", emitter.load(buffer, self.place), value)
        emitter.store(buffer, self.place, value)


def _block(length: int | None, lanes: int) -> int:
    """Elements of the innermost axis that one thread takes at a time."""
    unit = 4 * lanes
    if length is None:
        return unit
    return max(unit, -(-length // 16) // unit * unit)
