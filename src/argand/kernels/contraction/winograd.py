"""`winograd_pixels`: blocks of tiles, each transformed, multiplied and transformed back in cache.

A block's transformed pixels and products are in scratch, plane by plane: one for each of the 16
elements of a tile. Blocks run on any thread; which tiles form one is decided by sizes alone, and no
result depends on it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from argand.ir.families import View
from argand.ir.op import TensorType
from argand.ir.program import Node, Value
from argand.ir.record import record
from argand.kernels.contraction.blocked import contraction
from argand.kernels.contraction.layout import are_panels
from argand.kernels.contraction.plan import SERIAL_FLOPS
from argand.kernels.contraction.spec import (
    AxisValues,
    Contraction,
    ContractionAxis,
    Operand,
    accumulator,
    put,
)
from argand.kernels.contraction.tiles import LINE_BYTES
from argand.kernels.plan import Plan, types_text
from argand.lowering.affine import ZERO, Axis, Condition, add, affine_of, always, both
from argand.lowering.context import LoweringContext, StridedBuffer
from argand.lowering.element import Demand
from argand.lowering.emitter import Emitter, lanes_for
from argand.lowering.parallel import SERIAL_NS, unflatten, vectors
from argand.lowering.points import Point, reachable
from argand.lowering.region import Region
from argand.lowering.space import MAX_SPLITS, ElementIndex, Space, load_stride
from argand.nest.builder import NestBuilder, Reg, static
from argand.ops.winograd import WinogradPixels, image_tiles, padded_size, result_tiles

__all__ = ["WinogradPlan", "match_winograd"]

BLOCK: Final = 64
"""Tiles of a block: transformed they stay in the second-level cache, and each weight that is read
from behind it takes part in so many products."""


class WinogradPlan(Plan):
    """A `winograd_pixels` by itself, whose transformed weights are read through views."""

    kind = "contract"

    def __init__(self, region: Region, node: Node) -> None:
        super().__init__(region)
        self.node = node
        self.x, self.u = node.values
        self.space = Space(self.u.shape, "u")
        for _ in range(MAX_SPLITS):
            self.weight = self._through_views()
            if not self.space.refine(reachable([self.weight])):
                break

    def _through_views(self) -> Point:
        point = Demand(self.region.inputs).point(self.u, self.space.index)
        while point.kind == "same":
            (point,) = point.args
        return point

    @property
    def fits(self) -> bool:
        """Whether the image is in memory, and the weights are, row by row or in panels."""
        parted = [d for d in self.space.digits if len(d) > 1]
        sizes = (*self.x.shape[1:], self.u.shape[2])
        return (
            self.x in self.region.inputs
            and all(isinstance(size, int) for size in sizes)
            and self.weight.kind == "load"
            and all(f.linear() for f in self.weight.index)
            and (
                not parted
                or (parted == self.space.digits[2:] and are_panels(self.weight, parted[0]))
            )
        )

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        for target in self.region.targets(context, self.node.outputs[0]):
            _Winograd(self, b, context, target).emit()

    def __str__(self) -> str:
        return f"winograd: {types_text(self.node.values)} in blocks of {BLOCK} tiles"


def match_winograd(region: Region) -> WinogradPlan | None:
    """The plan of one such op."""
    found = [n for n in region.nodes if isinstance(n.op, WinogradPixels)]
    others = [n for n in region.nodes if n not in found]
    if len(found) != 1 or region.outputs != found[0].outputs:
        return None
    if not all(isinstance(n.op, View) for n in others):
        return None
    plan = WinogradPlan(region, found[0])
    return plan if plan.fits else None


class _Tiles(NamedTuple):
    """The values of a tile as points: of an operand `x`, over a space whose last axis are channels;
    `inside` says where all that a tile reads is there, None: everywhere."""

    x: Value
    space: Space
    values: list[Point]

    @property
    def inside(self) -> Condition | None:
        guards = [p.guard for p in reachable(self.values) if p.kind == "load" and p.guard]
        parts = {c.key: c for guard in guards for c in _parts(guard) if not always(c)}
        return functools.reduce(both, parts.values(), None)


def _tiles(function: Callable[[Any], Any], given: TensorType, space: Space | None = None) -> _Tiles:
    program = record(lambda x: [v for row in function(x) for v in row], [given])
    (x,), found = program.inputs, [v for v in program.outputs if isinstance(v, Value)]
    space = Space(found[0].shape) if space is None else space
    demand = Demand([x])
    return _Tiles(x, space, [demand.point(v, space.index) for v in found])


def _parts(condition: Condition) -> list[Condition]:
    if not condition.parts:
        return [condition]
    return [c for part in condition.parts for c in _parts(part)]


class _Winograd:
    """Emits one plan."""

    def __init__(
        self, plan: WinogradPlan, b: NestBuilder, context: LoweringContext, target: StridedBuffer
    ) -> None:
        self.plan, self.b, self.context, self.target = plan, b, context, target
        x, padding = plan.x, plan.node.params["padding"]
        self.places = plan.region.places(context)
        self.channels, self.outputs = int(x.shape[1]), int(plan.u.shape[2])
        self.image = _tiles(lambda x: image_tiles(x, padding), x.type)
        whole = TensorType(x.dtype, (*x.shape[:2], *padded_size(x.shape[2:], padding)))
        self.inner = _tiles(lambda x: image_tiles(x, (0, 0)), whole, self.image.space)
        products = TensorType(x.dtype, (4, 4, 1, 1, BLOCK, self.outputs))
        self.result = _tiles(result_tiles, products, Space((1, 1, BLOCK, self.outputs), "o"))

    def emit(self) -> None:
        """Blocks of tiles, in parallel."""
        b = self.b
        images, *tiles = (self.context.size(b, size) for size in self.image.space.shape[:3])
        total = b.mul(images, *tiles)
        ns = 2 * 16 * self.channels * self.outputs * SERIAL_NS / SERIAL_FLOPS
        even = static(b.mul(1, *tiles)) or 1
        with b.parallel(b.ceildiv(total, BLOCK), b.mul(total, max(1, round(ns)))) as block:
            low = b.mul(block, BLOCK)
            count = b.i64(BLOCK) if even % BLOCK == 0 else b.min(b.sub(total, low), BLOCK)
            pixels, products = self._planes(self.channels), self._planes(self.outputs)
            self._transform(low, count, pixels)
            self._multiply(count, pixels, products)
            self._transform_back(low, count, products)

    def _planes(self, channels: int) -> StridedBuffer:
        """Scratch for (4, 4, 1, 1, tiles, channels). A line more than a plane lies between two, so
        that they don't share the sets of the first-level cache."""
        dtype = self.plan.x.dtype
        apart = BLOCK * channels + LINE_BYTES // dtype.itemsize
        pointer = self.b.scratch(16 * apart * dtype.itemsize)
        return StridedBuffer(pointer, (4 * apart, apart, 0, 0, channels, 1), dtype)

    # pixels ---------------------------------------------------------------------------------------

    def _transform(self, low: Reg, count: Reg, planes: StridedBuffer) -> None:
        """The pixels of the tiles from `low` on; loads are masked where a tile leaves the image."""
        tile, channel = Axis("tile", BLOCK), self.image.space.digits[3][0]
        at = [affine_of(k) for k in range(4)]
        index = (ZERO, ZERO, affine_of(tile), affine_of(channel))
        stores = [(planes, (i, j, *index)) for i in at for j in at]
        image = self.places[self.plan.x]
        before = _before(self.b, image, self.plan.node.params["padding"])
        emitter = Emitter(self.b, self.context, {self.image.x: image, self.inner.x: before})
        inside = self.image.inside

        def body() -> None:
            if inside is None:
                _store(emitter, stores, self.inner.values)
                return
            with self.b.if_(emitter.condition(inside)) as branch:
                _store(emitter, stores, self.inner.values)
            with branch.else_():
                _store(emitter, stores, self.image.values)

        self._each(emitter, low, count, (tile, channel), self.image, body)

    def _transform_back(self, low: Reg, count: Reg, planes: StridedBuffer) -> None:
        """The pixels of the result."""
        tile, channel = (self.result.space.digits[d][0] for d in (2, 3))
        n, ty, tx, _ = self.image.space.index
        places = [
            (n, add(affine_of(i), ty, 2), add(affine_of(j), tx, 2), affine_of(channel))
            for i in range(2)
            for j in range(2)
        ]
        emitter = Emitter(self.b, self.context, {self.result.x: planes})
        stores = [(self.target, place) for place in places]

        def body() -> None:
            _store(emitter, stores, self.result.values)

        self._each(emitter, low, count, (tile, channel), self.result, body)

    def _each(
        self,
        emitter: Emitter,
        low: Reg,
        count: Reg,
        axes: tuple[Axis, Axis],
        tiles: _Tiles,
        body: Callable[[], None],
    ) -> None:
        """Run `body` for the tiles from `low` on, for vectors of channels."""
        b, (tile, channel) = self.b, axes
        lanes = lanes_for(reachable(tiles.values), self.context.target.vector_bytes, channel)
        with b.loop(0, count) as loop, emitter.scope():
            emitter.at[tile] = loop.index
            images = [digits[0] for digits in self.image.space.digits[:3]]
            unflatten(emitter, images, b.add(low, loop.index))
            vectors(emitter, channel, lanes, 0, emitter.size(channel.extent), body)

    # products -------------------------------------------------------------------------------------

    def _multiply(self, count: Reg, pixels: StridedBuffer, products: StridedBuffer) -> None:
        """For each element of a tile, the sum over channels."""
        b, emitter = self.b, Emitter(self.b, self.context, self.places)
        weight, elem = self.plan.weight, self.plan.x.dtype.name
        element, tile = ContractionAxis("element", 16), ContractionAxis("tile", count)
        channel = ContractionAxis("channel", self.channels)
        *_, digits = self.plan.space.digits
        columns = tuple(ContractionAxis(a.key, int(a.extent)) for a in digits)
        axes = [a for found in self.plan.space.digits for a in found]
        sides = zip((element, channel, *columns), axes, strict=True)
        strides = {side: load_stride(emitter, axis, weight) or 0 for side, axis in sides}
        emitter.at.update({axis: b.i64(0) for axis in axes})
        buffer = emitter.buffer(weight)
        apart = products.strides[1]

        def store(b: NestBuilder, index: AxisValues, value: Reg, mask: Reg | None) -> None:
            column = b.i64(0)
            for axis in columns:
                column = b.affine(index[axis], (column, axis.extent))
            at = b.affine(column, (index[element], apart), (index[tile], self.outputs))
            put(b, products.pointer, at, 1, b.cast(value, elem), mask)

        strides_of_pixels = {element: pixels.strides[1], tile: self.channels, channel: 1}
        spec = Contraction(
            a=Operand(pixels.pointer, elem, strides_of_pixels),
            b=Operand(buffer.pointer, elem, strides, emitter.offset(buffer, weight.index)),
            batch=(element,),
            m=(tile,),
            n=columns,
            k=(channel,),
            epilogue=store,
            acc=accumulator(elem),
        )
        contraction(b, spec, self.context.target)


def _before(b: NestBuilder, image: StridedBuffer, padding: Sequence[int]) -> StridedBuffer:
    """The image as a part of a padded one that isn't in memory: only inside it may be read."""
    _, _, down, across = image.strides
    ahead = b.add(b.mul(padding[0], down), b.mul(padding[1], across))
    pointer = b.offset(image.pointer, b.sub(0, ahead), image.dtype.name)
    return StridedBuffer(pointer, image.strides, image.dtype)


def _store(
    emitter: Emitter, stores: Sequence[tuple[StridedBuffer, ElementIndex]], values: Sequence[Point]
) -> None:
    with emitter.scope():
        regs = [emitter.emit(value) for value in values]
        for (buffer, index), reg in zip(stores, regs, strict=True):
            emitter.store(buffer, index, reg)
