"""The nest of a convolution whose groups have few channels, and of its image's gradient.

    y[c, m] = sum over k, i of a[c // G * G + i, m, k] * b[c, k, i]        lanes along c, i < G

An image's row is computed vector by vector: several neighbouring pixels in registers, whose windows
overlap, so that each vector of the image that is loaded is used by all of them. Where the sizes are
known, the taps of a pixel at the edge are chosen when the nest is written; where they are not, such
pixels are computed one by one. The chains are those of the blocked nest, so the bits are the same.

The parts of a strided convolution's gradient are computed together: their rows of one number read
the same rows of the result's gradient, which so come from far memory once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from argand.kernels.contraction.addressing import dot, extent_of, spread, unflatten
from argand.kernels.contraction.grouped import (
    FLOPS_PER_NS,
    GroupedNest,
    known_size,
    known_taps,
    pieces,
)
from argand.kernels.contraction.microkernel import multiply_add, regions
from argand.kernels.contraction.plan import SERIAL_FLOPS, ContractionPlan
from argand.kernels.contraction.spec import Contraction, ContractionAxis
from argand.nest.builder import IntOrReg, NestBuilder, Reg, Ty, static

__all__ = ["grouped_images"]

FAR_BYTES = 1 << 24
"""An image of more than this comes from far memory; asking for it ahead costs a smaller one more
than it saves."""


def grouped_images(
    b: NestBuilder, specs: Sequence[Contraction], plans: Sequence[ContractionPlan]
) -> None:
    """Emit the nest of contractions whose lanes run across the groups, `spec.across`: of a
    convolution, or of the parts of an image's gradient, whose images are the same in number."""
    parts = [_Image(b, spec, chosen) for spec, chosen in zip(specs, plans, strict=True)]
    lines = parts[0].y.extent
    for part in parts[1:]:
        lines = b.max(lines, part.y.extent)
    axes = parts[0].spec.m[0], ContractionAxis("y", lines)
    rows, each = extent_of(b, axes), b.add(0, *(part.flops for part in parts))
    share = b.max(b.div(SERIAL_FLOPS // 2, b.max(each, 1)), 1)
    cost = b.div(b.mul(each, rows), FLOPS_PER_NS)
    with spread(b, rows, share, cost) as (first, end), b.loop(first, end) as loop:
        index = unflatten(b, axes, loop.index)
        image, y = (index[axis] for axis in axes)
        for part in parts:
            with _where_exists(b, y, part.y.extent, lines):
                part.row(image, y)


@contextlib.contextmanager
def _where_exists(b: NestBuilder, y: Reg, extent: IntOrReg, most: IntOrReg) -> Iterator[None]:
    """Run the block where y < extent, which is known where the extent is the largest, `most`."""
    if extent is most or (static(extent) is not None and static(extent) == static(most)):
        yield
        return
    with b.if_(b.lt(y, extent)):
        yield


class _Image(GroupedNest):
    """The image, or the gradient of the image: m is (image, y, x), k is (ky, kx)."""

    def __init__(self, b: NestBuilder, spec: Contraction, chosen: ContractionPlan) -> None:
        super().__init__(b, spec, chosen)
        self.y, self.x = spec.m[-2:]
        self.ky, self.kx = spec.k[:2]
        self.width = known_size(self.kx.extent)
        self.line = b.index(self.x.extent)
        taps = known_taps(self.bounds.get(self.x), self.x, self.kx)
        self.pieces = None if taps is None else pieces(taps, chosen.rows)
        self.products = known_size(self.ky.extent) * self.width * self.depth
        """of an element"""
        self.flops = b.mul(self.line, self.channels, 2 * max(self.products, 1))
        """of a row of pixels"""
        self.is_far = self._image_bytes() > FAR_BYTES
        """whether the image is known to come from far memory"""
        self.weights = self._pack()
        self.whole = self.inside(self.x, self.kx)

    def row(self, image: Reg, y: Reg) -> None:
        """Compute a row of pixels of an image, one vector of channels after the other."""
        b, spec = self.b, self.spec
        index = {spec.m[0]: image, self.y: y}
        start = b.add(spec.a.offset, dot(b, index, spec.a.strides))
        row = _Row(self, index, b.offset(spec.a.ptr, start, spec.a.elem))
        self.for_channels(row.vector)

    def _image_bytes(self) -> int:
        """Of the rows of all images that are read, where their number is known; otherwise 0."""
        rows = static(extent_of(self.b, (self.spec.m[0], self.y)))
        pitch = static(self.spec.a.stride(self.y))
        return (rows or 0) * (pitch or 0) * Ty(self.spec.a.elem).bytes

    def _pack(self) -> Reg:
        """The weights as (ky, kx, i, c), so that the channels of a tap are contiguous."""
        b, weight = self.b, self.spec.b
        packed = b.scratch(b.mul(self.pitch, max(self.products, 1) * self.acc.bytes))
        offsets = self._weight_offsets()
        with b.loop(0, self.products) as loop:
            index = unflatten(b, (self.ky, self.kx, self.spec.k[2]), loop.index)
            start = b.add(weight.offset, dot(b, index, weight.strides))
            base = b.offset(weight.ptr, start, weight.elem)

            def part(c: Reg, mask: Reg | None) -> None:
                here = b.offset(base, dot(b, self.index(c), weight.strides), weight.elem)
                if offsets is None:
                    value = self.load(weight, here, 0, mask)
                else:
                    found = b.gather(here, offsets, Ty(weight.elem, self.plan.lanes), mask)
                    value = b.cast(found, self.vector)
                b.store(packed, b.affine(c, (loop.index, self.pitch)), value)

            self.for_channels(part)
        return packed

    def _weight_offsets(self) -> Reg | None:
        """From the first channel's weight to each lane's; None when they are contiguous."""
        b, weight, lanes = self.b, self.spec.b, range(self.plan.lanes)
        step, jump = weight.stride(self.channel), weight.stride(self.group)
        if static(jump) == self.depth and (self.depth == 1 or static(step) == 1):
            return None
        total = b.const(Ty("int64", len(lanes)), 0)
        for stride, counts in (
            (step, [lane % self.depth for lane in lanes]),
            (jump, [lane // self.depth for lane in lanes]),
        ):
            part = b.apply("mul", b.const(total.ty, counts), b.index(stride))
            total = b.apply("add", total, part)
        return total


class _Row:
    """One row of pixels: `start` is where x = 0 and the kernel's first tap are in the image."""

    def __init__(
        self,
        nest: _Image,
        index: Mapping[ContractionAxis, Reg],
        start: Reg,
    ) -> None:
        self.nest, self.b, self.index, self.start = nest, nest.b, index, start
        self.low, self.high = nest.taps(nest.ky, nest.y, index[nest.y])
        strides = nest.spec.a
        self.along_x, self.along_ky = strides.stride(nest.x), strides.stride(nest.ky)
        self.along_kx = strides.stride(nest.kx)

    def vector(self, c: Reg, mask: Reg | None) -> None:
        """The whole row for a vector of channels."""
        b, nest, (low, high) = self.b, self.nest, self.nest.whole
        self.c, self.mask = c, mask
        self.image = b.offset(self.start, c, nest.spec.a.elem)
        self.kernel = b.offset(nest.weights, c, nest.acc.elem)
        if nest.pieces is not None:
            for piece in nest.pieces:
                with b.loop(piece.first, piece.end, len(piece.taps)) as loop:
                    self._several(loop.index, piece.taps)
            return
        inside = b.sub(high, low)
        for first, end, count in regions(b, inside, nest.plan.rows):
            with b.loop(b.add(low, first), b.add(low, end), count) as loop:
                self._several(loop.index, [range(nest.width)] * count)
        with b.loop(0, b.sub(nest.line, inside)) as loop:
            self._single(nest.others(loop.index, low, inside))

    def _weights(self, ky: Reg, kx: IntOrReg) -> list[Reg]:
        """The weights of a tap, for each channel that it reads of a group."""
        b, nest = self.b, self.nest
        tap = b.mul(b.affine(kx, (ky, nest.width)), nest.depth)
        places = [b.mul(b.add(tap, i), nest.pitch) for i in range(nest.depth)]
        return [b.load(self.kernel, place, nest.vector) for place in places]

    def _added(self, total: Reg, values: Sequence[Reg], weights: Sequence[Reg]) -> Reg:
        for value, weight in zip(values, weights, strict=True):
            total = multiply_add(self.b, value, weight, total)
        return total

    def _several(self, x: Reg, taps: Sequence[range]) -> None:
        """Neighbouring pixels from x on, with the taps of each along x."""
        b, nest, image = self.b, self.nest, self.nest.spec.a
        count = len(taps)
        zeros = [b.const(nest.vector, 0)] * count
        if nest.is_far:
            self._fetch_next_row(x, count)
        with b.loop(self.low, self.high, 1, zeros) as loop:
            line = b.affine(0, (x, self.along_x), (loop.index, self.along_ky))
            at = b.offset(self.image, line, image.elem)
            weights = [self._weights(loop.index, kx) for kx in range(nest.width)]
            sums = list(loop.carry)
            for uses in self._columns(taps):
                pixel, kx = uses[0]
                place = b.affine(0, (b.i64(pixel), self.along_x), (b.i64(kx), self.along_kx))
                values = nest.spread_out(nest.load(image, at, place, self.mask))
                for pixel, kx in uses:
                    sums[pixel] = self._added(sums[pixel], values, weights[kx])
            b.yield_(*sums)
        for pixel, total in enumerate(loop.results):
            self._emit(b.add(x, pixel), total)

    def _fetch_next_row(self, x: Reg, count: int) -> None:
        """Ask for what the next row is the first to read, for some pixels: they are too far apart
        for the machine to ask for them by itself."""
        b, nest, image = self.b, self.nest, self.nest.spec.a
        along_y, down = static(image.stride(nest.y)), static(self.along_ky)
        step, across = static(self.along_x), static(self.along_kx)
        if not along_y or not down or not step or not across:
            return
        height = known_size(nest.ky.extent)
        rows = range(height) if down < 0 else range(height)[::-1]
        middle = nest.width // 2
        for ky in rows[: max(along_y // abs(down), 1)]:
            at = b.affine(along_y + ky * down + middle * across, (x, step))
            line = b.offset(self.image, at, image.elem)
            for pixel in range(count):
                for column in range(max(step // abs(across), 1)):
                    b.prefetch(line, pixel * step + column * abs(across), image.elem)

    def _columns(self, taps: Sequence[range]) -> Sequence[list[tuple[int, int]]]:
        """For each column of the image the (pixel, kx) that read it; each pixel's kx ascend."""
        pairs = [(pixel, kx) for pixel, inside in enumerate(taps) for kx in inside]
        step, tap = static(self.along_x), static(self.along_kx)
        if step is None or tap is None:
            return [[pair] for pair in pairs]
        found: dict[int, list[tuple[int, int]]] = {}
        for pixel, kx in pairs:
            found.setdefault(pixel * step + kx * tap, []).append((pixel, kx))
        return [found[place] for place in sorted(found, reverse=tap < 0)]

    def _single(self, x: Reg) -> None:
        b, nest, image = self.b, self.nest, self.nest.spec.a
        low, high = nest.taps(nest.kx, nest.x, x)
        zero = b.const(nest.vector, 0)
        with b.loop(self.low, self.high, 1, [zero]) as rows:
            line = b.affine(0, (x, self.along_x), (rows.index, self.along_ky))
            at = b.offset(self.image, line, image.elem)
            with b.loop(low, high, 1, rows.carry) as columns:
                place = b.mul(columns.index, self.along_kx)
                values = nest.spread_out(nest.load(image, at, place, self.mask))
                weights = self._weights(rows.index, columns.index)
                b.yield_(self._added(columns.carry[0], values, weights))
            b.yield_(*columns.results)
        self._emit(x, rows.results[0])

    def _emit(self, x: Reg, total: Reg) -> None:
        nest = self.nest
        nest.emit({**self.index, **nest.index(self.c), nest.x: x}, total, self.mask)
