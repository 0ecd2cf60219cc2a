"""Writes at computed places: `index_put`, `scatter`, `scatter_add`.

Equal places are written in the order of the indices: loops over the indexed positions run in order
on one thread, and threads share out the dimensions in which no two elements meet.
"""

from __future__ import annotations

from argand.base.shape import Shape
from argand.ir.program import Node, Operand
from argand.kernels.pointwise import check_indices, emit_stores
from argand.lowering.affine import Affine, Axis, LoadedIndex, affine_of
from argand.lowering.buffers import Env, StridedBuffer
from argand.lowering.element import Demand, Point, reachable
from argand.lowering.emitter import Emitter, lanes_for
from argand.lowering.parallel import Number, known, open_loops, product, spread, unflatten, vectors
from argand.lowering.region import Region
from argand.lowering.space import Space, stride_along, variables
from argand.nest.builder import NestBuilder

__all__ = ["SCATTERS", "lower_scatter"]

SCATTERS = frozenset(("index_put", "scatter", "scatter_add"))

NS_EACH = 3.0
"""A read, an addition and a write."""


def lower_scatter(b: NestBuilder, region: Region, env: Env) -> None:
    """Emit a region of one scatter: first the copy of x, then the writes."""
    (node,) = (n for n in region.nodes if n.op.name in SCATTERS)
    emitter = Emitter(b, env, region.places(env))
    writes = _Writes(region, node)
    check_indices(emitter, writes.points)
    for buffer in region.targets(env, node.outputs[0]):
        _copy(Emitter(b, env, region.places(env)), region, writes.x, buffer)
        writes.emit(emitter, buffer)


def _copy(emitter: Emitter, region: Region, x: Operand, buffer: StridedBuffer) -> None:
    space = Space(x.shape)
    point = Demand(region.inputs).point(x, space.index)
    emit_stores(emitter, space, [(buffer, space.index)], [point])


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
            place[dim] = affine_of(
                LoadedIndex(demand.point(index, self.space.index), self.x.shape[dim])
            )
            self.place = tuple(place)
            self.ordered = list(self.space.digits[dim])
        self.source = demand.point(src, self.space.index)
        self.points = [*reachable([self.source]), self._destination()]

    def _looked_up(
        self, demand: Demand, node: Node, indices: list[Operand]
    ) -> tuple[tuple[Affine, ...], list[Axis]]:
        """Integer arrays for `dims`; the others are taken whole."""
        dims = node.params["dims"]
        shape: Shape = self.x.shape
        rank = len(indices[0].shape)
        first = dims[0] if tuple(dims) == tuple(range(dims[0], dims[0] + len(dims))) else 0
        every = self.space.index
        looked = every[first : first + rank]
        others = iter((*every[:first], *every[first + rank :]))
        at = {
            d: affine_of(LoadedIndex(demand.point(i, looked), shape[d], wraps=True))
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
        steps = known(product(b, [emitter.size(a.extent) for a in ordered])) or 1024
        if lane_axis is None:
            with (
                spread(b, rows, NS_EACH * steps) as (low, high),
                b.loop(low, high) as loop,
                emitter.scope(),
            ):
                unflatten(emitter, outer, loop.index)
                with open_loops(emitter, ordered):
                    self._write(emitter, buffer)
            return
        lanes = lanes_for([self.source], emitter.env.target.vector_bytes, lane_axis)
        length = emitter.size(lane_axis.extent)
        block = _block(known(length), lanes)
        blocks = b.ceildiv(length, block)
        cells = product(b, [rows, known(blocks) or blocks])
        with (
            spread(b, cells, NS_EACH * steps * block / lanes) as (low, high),
            b.loop(low, high) as loop,
            emitter.scope(),
        ):
            unflatten(emitter, outer, b.div(loop.index, blocks))
            start = b.mul(b.rem(loop.index, blocks), block)
            end = b.min(b.add(start, block), length)
            with open_loops(emitter, ordered):
                emitter.hoist(self.points[:-1], frozenset((lane_axis,)))
                self._vectors(emitter, buffer, lane_axis, lanes, start, end)

    def _vectors(
        self,
        emitter: Emitter,
        buffer: StridedBuffer,
        axis: Axis,
        lanes: int,
        low: Number,
        high: Number,
    ) -> None:
        # indices that don't change along the lanes are loaded once
        for var in variables([self.points[-1]]):
            if isinstance(var, LoadedIndex) and axis not in var.axes:
                emitter.emit(var.point)
        vectors(emitter, axis, lanes, low, high, lambda: self._write(emitter, buffer))

    def _write(self, emitter: Emitter, buffer: StridedBuffer) -> None:
        value = emitter.emit(self.source)
        if self.adds:
            value = emitter.b.apply("add", emitter.load(buffer, self.place), value)
        emitter.store(buffer, self.place, value)


def _block(length: int | None, lanes: int) -> int:
    """Elements of the innermost axis that one thread takes at a time."""
    unit = 8 * lanes
    if length is None:
        return 4 * unit
    return max(unit, -(-length // 16) // unit * unit)
