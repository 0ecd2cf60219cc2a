"""Writes at computed places: `index_put`, `scatter`, `scatter_add`.

Equal places are written in the order of the indices: loops over the indexed positions run in order
on one thread, and threads share out the dimensions in which no two elements meet.
"""

from __future__ import annotations

from argand.base.shape import Shape
from argand.ir.program import Node, Operand
from argand.loops.cursor import Cursor, lanes_for
from argand.loops.element import Demand, Point, reachable
from argand.loops.env import Buffer, Env
from argand.loops.index import Axis, Form, Loaded, form_of
from argand.loops.nest import Builder
from argand.loops.pointwise import check_indices, emit_stores
from argand.loops.region import Region
from argand.loops.schedule import Number, known, open_loops, product, spread, unflatten, vectors
from argand.loops.space import Space, stride_along, variables

__all__ = ["SCATTERS", "lower_scatter"]

SCATTERS = frozenset(("index_put", "scatter", "scatter_add"))

NS_EACH = 3.0
"""A read, an addition and a write."""


def lower_scatter(b: Builder, region: Region, env: Env) -> None:
    """Emit a region of one scatter: first the copy of x, then the writes."""
    (node,) = (n for n in region.nodes if n.op.name in SCATTERS)
    cursor = Cursor(b, env, region.places(env))
    writes = _Writes(region, node)
    check_indices(cursor, writes.points)
    for buffer in region.targets(env, node.outputs[0]):
        _copy(Cursor(b, env, region.places(env)), region, writes.x, buffer)
        writes.emit(cursor, buffer)


def _copy(cursor: Cursor, region: Region, x: Operand, buffer: Buffer) -> None:
    space = Space(x.shape)
    point = Demand(region.inputs).point(x, space.index)
    emit_stores(cursor, space, [(buffer, space.index)], [point])


class _Writes:
    """The source's space, where each of its elements goes, and along which axes elements may meet:
    those are walked in order."""

    def __init__(self, region: Region, node: Node) -> None:
        self.adds = node.op.name == "scatter_add" or bool(node.params.get("accumulate"))
        demand = Demand(region.inputs)
        if node.op.name == "index_put":
            self.x, src, *indices = node.inputs
            self.space = Space(src.shape)
            self.place, self.ordered = self._looked_up(demand, node, indices)
        else:
            self.x, index, src = node.inputs
            self.space = Space(src.shape)
            dim = node.params["dim"]
            place = list(self.space.index)
            place[dim] = form_of(Loaded(demand.point(index, self.space.index), self.x.shape[dim]))
            self.place = tuple(place)
            self.ordered = list(self.space.digits[dim])
        self.source = demand.point(src, self.space.index)
        self.points = [*reachable([self.source]), self._destination()]

    def _looked_up(
        self, demand: Demand, node: Node, indices: list[Operand]
    ) -> tuple[tuple[Form, ...], list[Axis]]:
        """Integer arrays for `dims`; the others are taken whole."""
        dims = node.params["dims"]
        shape: Shape = self.x.shape
        rank = len(indices[0].shape)
        first = dims[0] if tuple(dims) == tuple(range(dims[0], dims[0] + len(dims))) else 0
        every = self.space.index
        looked = every[first : first + rank]
        others = iter((*every[:first], *every[first + rank :]))
        at = {
            d: form_of(Loaded(demand.point(i, looked), shape[d], wraps=True))
            for d, i in zip(dims, indices, strict=True)
        }
        place = tuple(at[d] if d in at else next(others) for d in range(len(shape)))
        digits = self.space.digits[first : first + rank]
        return place, [a for found in digits for a in found]

    def _destination(self) -> Point:
        """A stand-in that asks for the loaded indices of the place."""
        point = Point(self.x, self.place, None, "destination")
        point.settle("load")
        return point

    def emit(self, cursor: Cursor, buffer: Buffer) -> None:
        """The writes: threads share out the free axes, the ordered ones run inside."""
        axes = self.space.axes
        ordered = [a for a in axes if a in self.ordered]
        free = [a for a in axes if a not in self.ordered]
        lane_axis = next(
            (a for a in free if stride_along(cursor, a, buffer, self.place) == 1), None
        )
        outer = [a for a in free if a is not lane_axis]
        b = cursor.b
        rows = product(b, [cursor.size(a.extent) for a in outer])
        steps = known(product(b, [cursor.size(a.extent) for a in ordered])) or 1024
        if lane_axis is None:
            with (
                spread(b, rows, NS_EACH * steps) as (low, high),
                b.loop(low, high) as loop,
                cursor.scope(),
            ):
                unflatten(cursor, outer, loop.index)
                with open_loops(cursor, ordered):
                    self._write(cursor, buffer)
            return
        lanes = lanes_for([self.source], cursor.env.target.vector_bytes, lane_axis)
        length = cursor.size(lane_axis.extent)
        block = _block(known(length), lanes)
        blocks = b.ceildiv(length, block)
        cells = product(b, [rows, known(blocks) or blocks])
        with (
            spread(b, cells, NS_EACH * steps * block / lanes) as (low, high),
            b.loop(low, high) as loop,
            cursor.scope(),
        ):
            unflatten(cursor, outer, b.div(loop.index, blocks))
            start = b.mul(b.rem(loop.index, blocks), block)
            end = b.min(b.add(start, block), length)
            with open_loops(cursor, ordered):
                cursor.hoist(self.points[:-1], frozenset((lane_axis,)))
                self._vectors(cursor, buffer, lane_axis, lanes, start, end)

    def _vectors(
        self, cursor: Cursor, buffer: Buffer, axis: Axis, lanes: int, low: Number, high: Number
    ) -> None:
        # indices that don't change along the lanes are loaded once
        for var in variables([self.points[-1]]):
            if isinstance(var, Loaded) and axis not in var.axes:
                cursor.emit(var.point)
        vectors(cursor, axis, lanes, low, high, lambda: self._write(cursor, buffer))

    def _write(self, cursor: Cursor, buffer: Buffer) -> None:
        value = cursor.emit(self.source)
        if self.adds:
            value = cursor.b.apply("add", cursor.load(buffer, self.place), value)
        cursor.store(buffer, self.place, value)


def _block(length: int | None, lanes: int) -> int:
    """Elements of the innermost axis that one thread takes at a time."""
    unit = 8 * lanes
    if length is None:
        return 4 * unit
    return max(unit, -(-length // 16) // unit * unit)
