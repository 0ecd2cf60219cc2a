"""The nests of convolutions whose groups have few channels: the lanes of a vector are the channels
of several groups, of one channel each in a depthwise convolution.

    y[c, m] = sum over k, i of a[c // G * G + i, m, k] * b[c, k, i]        lanes along c, i < G

Within the vector, channel i of each group is repeated for all channels of the group. An image's row
is computed vector by vector: several neighbouring pixels in registers, whose windows overlap, so
that each vector of the image that is loaded is used by all of them. Where the sizes are known, the
taps of a pixel at the edge are chosen when the nest is written; where they are not, such pixels are
computed one by one. The chains are those of the blocked nest, so the bits are the same.

A weight's gradient sums over all pixels: its registers hold the whole kernel, where that fits and
sizes are known, or one row of it, and are added to the partial sums of a piece of the image rows
after at most `K_BLOCK` pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from argand.kernels.contraction.addressing import dot, extent_of, spread, unflatten
from argand.kernels.contraction.microkernel import cut, multiply_add, regions
from argand.kernels.contraction.plan import K_BLOCK, SERIAL_FLOPS, ContractionPlan
from argand.kernels.contraction.spec import (
    Bound,
    Contraction,
    ContractionAxis,
    Operand,
)
from argand.nest.builder import IntOrReg, NestBuilder, Reg, Ty, static

__all__ = ["GroupedNest", "grouped", "known_size", "known_taps", "pieces"]

FLOPS_PER_NS = 30
"""What a core reaches: every product needs a vector of the image."""

MANY_SUMS = 7
"""Sums of a weight's gradient that are enough to keep the arithmetic units busy."""

NEAR_BYTES = 1 << 18
"""Of both operands of a weight's gradient, which are read a vector of channels at a time."""

Body = Callable[[Reg, Reg | None], None]


def grouped(b: NestBuilder, spec: Contraction, chosen: ContractionPlan) -> None:
    """Emit the nest of a contraction whose lanes run across the groups, `spec.across`."""
    nest = _WeightGradient if spec.long_k else _Image
    nest(b, spec, chosen).run()


class GroupedNest:
    """What the nests share: the channels, the window's range, the epilogue."""

    def __init__(self, b: NestBuilder, spec: Contraction, chosen: ContractionPlan) -> None:
        assert spec.across is not None
        self.b, self.spec, self.plan, self.group = b, spec, chosen, spec.across
        (self.channel,) = spec.n
        self.depth = known_size(self.channel.extent)
        self.acc = Ty(spec.acc)
        self.vector = self.acc.with_lanes(chosen.lanes)
        self.channels = b.mul(self.group.extent, self.depth)
        self.pitch = b.mul(b.ceildiv(self.channels, chosen.lanes), chosen.lanes)
        self.bounds = {axis: bound for bound in spec.a.bounds for axis in bound.terms}

    def for_channels(self, body: Body) -> None:
        """Run body(first channel, mask) for each vector of channels."""
        self.b.vector_loop(0, self.channels, self.plan.lanes, self.acc.elem, body)

    def index(self, c: Reg) -> dict[ContractionAxis, Reg]:
        """The index of the first channel of a vector, which is the first one of its group."""
        return {self.group: self.b.div(c, self.depth), self.channel: self.b.i64(0)}

    def spread_out(self, x: Reg) -> list[Reg]:
        """For each channel of a group the vector that has it in all lanes of the group."""
        if self.depth == 1:
            return [x]
        firsts = [lane // self.depth * self.depth for lane in range(self.plan.lanes)]
        return [self.b.shuffle(x, None, [first + i for first in firsts]) for i in range(self.depth)]

    def load(self, operand: Operand, at: Reg, offset: IntOrReg, mask: Reg | None) -> Reg:
        """A vector of neighbouring channels, as the accumulator's type."""
        value = self.b.load(at, offset, Ty(operand.elem, self.plan.lanes), mask)
        return self.b.cast(value, self.vector)

    def taps(self, axis: ContractionAxis, pixel: ContractionAxis, place: Reg) -> tuple[Reg, Reg]:
        """The range of a kernel axis for which the window of a pixel is inside the image."""
        b, bound = self.b, self.bounds.get(pixel)
        count = b.index(axis.extent)
        if bound is None:
            return b.i64(0), count
        start = b.affine(bound.offset, (place, bound.terms[pixel]))
        step = known_size(bound.terms[axis])
        before, room = b.sub(0, start), b.sub(bound.extent, start)
        if step < 0:
            before, room, step = b.sub(1, room), b.sub(1, before), -step
        low = b.ceildiv(b.max(before, 0), step)
        return low, b.min(count, b.ceildiv(b.max(room, 0), step))

    def inside(self, pixel: ContractionAxis, kernel: ContractionAxis) -> tuple[Reg, Reg]:
        """The range of pixels along an axis whose whole window is inside the image."""
        b, bound = self.b, self.bounds.get(pixel)
        count = b.index(pixel.extent)
        if bound is None:
            return b.i64(0), count
        step = known_size(bound.terms[pixel])
        reach = (known_size(kernel.extent) - 1) * known_size(bound.terms[kernel])
        least, most = b.add(bound.offset, min(reach, 0)), b.add(bound.offset, max(reach, 0))
        low = b.min(b.ceildiv(b.max(b.sub(0, least), 0), step), count)
        high = b.ceildiv(b.max(b.sub(bound.extent, most), 0), step)
        return low, b.max(b.min(high, count), low)

    def others(self, number: Reg, low: Reg, blocked: Reg) -> Reg:
        """The pixel with a number among those outside of low … low + blocked - 1."""
        b = self.b
        return b.where(b.lt(number, low), number, b.add(number, blocked))

    def emit(self, index: Mapping[ContractionAxis, Reg], value: Reg, mask: Reg | None) -> None:
        """Hand a finished vector to the epilogue."""
        zero, spec = self.b.i64(0), self.spec
        full = {axis: index.get(axis, zero) for axis in (*spec.batch, *spec.m, *spec.n)}
        spec.epilogue(self.b, full, value, mask)


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

    def run(self) -> None:
        b, spec = self.b, self.spec
        taps = known_size(self.ky.extent) * self.width * self.depth
        weights = self._pack(taps)
        low, high = self.inside(self.x, self.kx)
        rows = extent_of(b, spec.m[:-1])
        each = b.mul(self.line, self.channels, 2 * max(taps, 1))
        share = b.max(b.div(SERIAL_FLOPS // 2, b.max(each, 1)), 1)
        cost = b.div(b.mul(each, rows), FLOPS_PER_NS)
        with spread(b, rows, share, cost) as (first, end), b.loop(first, end) as loop:
            index = unflatten(b, spec.m[:-1], loop.index)
            start = b.add(spec.a.offset, dot(b, index, spec.a.strides))
            row = _Row(self, index, b.offset(spec.a.ptr, start, spec.a.elem), weights, (low, high))
            self.for_channels(row.vector)

    def _pack(self, taps: int) -> Reg:
        """The weights as (ky, kx, i, c), so that the channels of a tap are contiguous."""
        b, weight = self.b, self.spec.b
        packed = b.scratch(b.mul(self.pitch, max(taps, 1) * self.acc.bytes))
        offsets = self._weight_offsets()
        with b.loop(0, taps) as loop:
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


def known_taps(
    bound: Bound | None, pixel: ContractionAxis, kernel: ContractionAxis
) -> list[range] | None:
    """For each pixel along an axis the taps that are in the image; None when a size is only known
    at run time."""
    count, width = static(pixel.extent), known_size(kernel.extent)
    if count is None:
        return None
    if bound is None:
        return [range(width)] * count
    offset, extent = static(bound.offset), static(bound.extent)
    pitch, step = static(bound.terms[pixel]), static(bound.terms[kernel])
    if offset is None or extent is None or pitch is None or step is None:
        return None
    found = []
    for x in range(count):
        places = [offset + x * pitch + kx * step for kx in range(width)]
        taps = [kx for kx, place in enumerate(places) if 0 <= place < extent]
        found.append(range(taps[0], taps[-1] + 1) if taps else range(0))
    return found


class Piece(NamedTuple):
    """Pixels first … end - 1 of a row, some at a time: for each of them its taps along x."""

    first: int
    end: int
    taps: list[range]


def pieces(taps: Sequence[range], most: int) -> list[Piece]:
    """Cut a row: at most so many pixels at a time, neighbours with the same taps in one loop."""
    heights = [height for tiles, height in cut(len(taps), most) for _ in range(tiles)]
    found: list[Piece] = []
    first = 0
    for height in heights:
        these = list(taps[first : first + height])
        last = found[-1] if found else None
        if last is not None and last.taps == these:
            found[-1] = last._replace(end=first + height)
        else:
            found.append(Piece(first, first + height, these))
        first += height
    return found


class _Row:
    """One row of pixels: `start` is where x = 0 and the kernel's first tap are in the image;
    `inside` is the range of pixels whose windows are inside along x."""

    def __init__(
        self,
        nest: _Image,
        index: Mapping[ContractionAxis, Reg],
        start: Reg,
        weights: Reg,
        inside: tuple[Reg, Reg],
    ) -> None:
        self.nest, self.b, self.index = nest, nest.b, index
        self.start, self.weights, self.inside = start, weights, inside
        self.low, self.high = nest.taps(nest.ky, nest.y, index[nest.y])
        strides = nest.spec.a
        self.along_x, self.along_ky = strides.stride(nest.x), strides.stride(nest.ky)
        self.along_kx = strides.stride(nest.kx)

    def vector(self, c: Reg, mask: Reg | None) -> None:
        """The whole row for a vector of channels."""
        b, nest, (low, high) = self.b, self.nest, self.inside
        self.c, self.mask = c, mask
        self.image = b.offset(self.start, c, nest.spec.a.elem)
        self.kernel = b.offset(self.weights, c, nest.acc.elem)
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


class _WeightGradient(GroupedNest):
    """The gradient of the kernels: m is (ky, kx, i), k is (image, y, x)."""

    def __init__(self, b: NestBuilder, spec: Contraction, chosen: ContractionPlan) -> None:
        super().__init__(b, spec, chosen)
        self.ky, self.kx = spec.m[:2]
        self.y, self.x = spec.k[-2:]
        self.width = known_size(self.kx.extent)
        self.row = self.width * self.depth
        self.weights = known_size(self.ky.extent) * self.row
        down = known_taps(self.bounds.get(self.y), self.y, self.ky)
        along = known_taps(self.bounds.get(self.x), self.x, self.kx)
        self.pieces: list[Piece] = []
        self.ranges: list[range] = []
        whole = chosen.vectors == self.ky.extent
        if whole and down is not None and along is not None and len(along) <= K_BLOCK:
            self.pieces = pieces(along, chosen.rows)
            self.ranges = sorted(set(down), key=len, reverse=True)
        self.held = self.weights if self.ranges else self.row
        """sums in registers"""
        self.sets = 2 if self.held <= MANY_SUMS else 1
        self.line = b.index(self.x.extent)
        self.piece = b.mul(self.pitch, self.weights)
        self.low, self.high = self.inside(self.x, self.kx)

    def run(self) -> None:
        b, splits = self.b, self.plan.splits
        self.partials = b.scratch(b.mul(self.piece, splits * self.acc.bytes))
        rows = extent_of(b, self.spec.k[:-1])
        flops = b.mul(rows, self.line, self.channels, 2 * self.weights)
        each = b.max(b.div(flops, splits), 1)
        share = b.max(b.div(SERIAL_FLOPS // 2, each), 1)
        cost = b.div(flops, FLOPS_PER_NS)
        with spread(b, b.i64(splits), share, cost) as (first, end), b.loop(first, end) as loop:
            low = b.div(b.mul(loop.index, rows), splits)
            high = b.div(b.mul(b.add(loop.index, 1), rows), splits)
            self._piece(
                b.offset(self.partials, b.mul(loop.index, self.piece), self.acc.elem), low, high
            )
        self._finish()

    def _piece(self, sums: Reg, low: Reg, high: Reg) -> None:
        """Add up the rows low … high - 1 of all images."""
        b = self.b
        with b.loop(0, self.piece, self.plan.lanes) as loop:
            b.store(sums, loop.index, b.const(self.vector, 0))
        with b.loop(low, high, self._rows_together()) as block:
            rows = block.index, b.min(b.add(block.index, self._rows_together()), high)

            def part(c: Reg, mask: Reg | None) -> None:
                if self.ranges:
                    self._add_whole(b.offset(sums, c, self.acc.elem), rows, c, mask)
                    return
                with b.loop(0, self.ky.extent) as loop:
                    at = b.affine(c, (b.mul(loop.index, self.row), self.pitch))
                    self._add(b.offset(sums, at, self.acc.elem), loop.index, rows, c, mask)

            self.for_channels(part)

    def _rows_together(self) -> Reg:
        """Rows that are added up for one vector of channels before the next one: a chain's, and so
        few that they stay in near memory for all channels."""
        b, spec = self.b, self.spec
        pixel = b.mul(self.channels, Ty(spec.a.elem).bytes + Ty(spec.b.elem).bytes)
        line = b.max(self.line, 1)
        near = b.div(NEAR_BYTES, b.max(b.mul(line, pixel), 1))
        return b.max(b.min(b.div(K_BLOCK, line), near), 1)

    def _starts(self, index: Mapping[ContractionAxis, Reg], c: Reg) -> list[Reg]:
        """Where a row of the image and of the result's gradient begin."""
        b, spec = self.b, self.spec
        found = []
        for operand in (spec.a, spec.b):
            at = b.add(dot(b, index, operand.strides), c)
            found.append(b.offset(operand.ptr, b.add(operand.offset, at), operand.elem))
        return found

    def _store(self, sums: Reg, totals: Sequence[Reg]) -> None:
        """Add sums in registers, even and odd ones, to those in memory."""
        b = self.b
        for number, total in enumerate(totals[: self.held]):
            for other in totals[self.held + number :: self.held]:
                total = b.apply("add", total, other)
            at = b.mul(self.pitch, number)
            b.store(sums, at, b.apply("add", b.load(sums, at, self.vector), total))

    # the whole kernel in registers ----------------------------------------------------------------

    def _add_whole(self, sums: Reg, rows: tuple[Reg, Reg], c: Reg, mask: Reg | None) -> None:
        """Add what some rows give for all rows of the kernel."""
        b, spec = self.b, self.spec
        zeros = [b.const(self.vector, 0)] * (self.sets * self.held)
        with b.loop(*rows, 1, zeros) as loop:
            index = unflatten(b, spec.k[:-1], loop.index)
            present = self.taps(self.ky, self.y, index[self.y])
            starts = self._starts(index, c)
            b.yield_(*self._chosen(self.ranges, present, starts, loop.carry, mask))
        self._store(sums, loop.results)

    def _chosen(
        self,
        ranges: Sequence[range],
        present: tuple[Reg, Reg],
        starts: Sequence[Reg],
        sums: Sequence[Reg],
        mask: Reg | None,
    ) -> Sequence[Reg]:
        """Add a row of pixels for the rows of the kernel that are in the image, one of `ranges`."""
        b, (first, *others) = self.b, ranges
        if not others:
            return self._line(starts, first, sums, mask)
        is_first = [b.eq(x, n) for x, n in zip(present, (first.start, first.stop), strict=True)]
        with b.if_(b.apply("and", *is_first)) as branch:
            b.yield_(*self._line(starts, first, sums, mask))
        with branch.else_():
            b.yield_(*self._chosen(others, present, starts, sums, mask))
        return branch.results

    def _line(
        self, starts: Sequence[Reg], kernel: range, sums: Sequence[Reg], mask: Reg | None
    ) -> Sequence[Reg]:
        b = self.b
        for piece in self.pieces:
            with b.loop(piece.first, piece.end, len(piece.taps), list(sums)) as loop:
                b.yield_(*self._several(starts, loop.index, loop.carry, mask, piece.taps, kernel))
            sums = loop.results
        return sums

    # one row of the kernel ------------------------------------------------------------------------

    def _add(self, sums: Reg, ky: Reg, rows: tuple[Reg, Reg], c: Reg, mask: Reg | None) -> None:
        """Add what some rows give for a row of the kernel: chains of at most `K_BLOCK` pixels."""
        b, spec = self.b, self.spec
        with b.loop(0, self.line, K_BLOCK) as segment:
            end = b.min(b.add(segment.index, K_BLOCK), self.line)
            zeros = [b.const(self.vector, 0)] * (self.sets * self.held)
            with b.loop(*rows, 1, zeros) as loop:
                index = unflatten(b, spec.k[:-1], loop.index)
                low, high = self.taps(self.ky, self.y, index[self.y])
                present = b.apply("and", b.le(low, ky), b.lt(ky, high))
                stop = b.where(present, end, segment.index)
                starts = self._starts({**index, self.ky: ky}, c)
                b.yield_(*self._pixels(starts, segment.index, stop, loop.carry, mask))
            self._store(sums, loop.results)

    def _pixels(
        self, starts: Sequence[Reg], first: Reg, end: Reg, sums: Sequence[Reg], mask: Reg | None
    ) -> Sequence[Reg]:
        """The pixels first … end - 1 of a row: `rows` at a time where their windows are inside;
        where there are few sums, even and odd pixels have some each, so that chains don't wait for
        themselves."""
        b, count = self.b, self.plan.rows
        low = b.max(b.min(self.low, end), first)
        high = b.max(b.min(self.high, end), low)
        blocked = b.mul(b.div(b.sub(high, low), count), count)
        with b.loop(low, b.add(low, blocked), count, list(sums)) as loop:
            every = [range(self.width)] * count
            b.yield_(*self._several(starts, loop.index, loop.carry, mask, every))
        rest = b.sub(b.sub(end, first), blocked)
        with b.loop(0, rest, 1, list(loop.results)) as edges:
            x = self.others(b.add(first, edges.index), low, blocked)
            b.yield_(*self._single(starts, x, edges.carry, mask))
        return edges.results

    def _several(
        self,
        starts: Sequence[Reg],
        x: Reg,
        sums: Sequence[Reg],
        mask: Reg | None,
        taps: Sequence[range],
        kernel: range = range(1),
    ) -> list[Reg]:
        """Neighbouring pixels from x on, with the taps of each along x, for some rows of the
        kernel."""
        b, spec = self.b, self.spec
        found = list(sums)
        step, tap = spec.a.stride(self.x), spec.a.stride(self.kx)
        image = b.offset(starts[0], b.mul(x, step), spec.a.elem)
        grad = b.offset(starts[1], b.mul(x, spec.b.stride(self.x)), spec.b.elem)
        apart = spec.b.stride(self.x)
        grads = [self.load(spec.b, grad, b.mul(apart, n), mask) for n in range(len(taps))]
        for ky in kernel:
            at = b.offset(image, b.mul(spec.a.stride(self.ky), ky), spec.a.elem)
            values: dict[object, list[Reg]] = {}
            for pixel, inside in enumerate(taps):
                for kx in inside:
                    place = b.affine(0, (b.i64(pixel), step), (b.i64(kx), tap))
                    key = place.const if place.const is not None else (pixel, kx)
                    if key not in values:
                        values[key] = self.spread_out(self.load(spec.a, at, place, mask))
                    first = pixel % self.sets * self.held + ky * self.row + kx * self.depth
                    for number, value in enumerate(values[key], first):
                        found[number] = multiply_add(b, value, grads[pixel], found[number])
        return found

    def _single(
        self, starts: Sequence[Reg], x: Reg, sums: Sequence[Reg], mask: Reg | None
    ) -> list[Reg]:
        b, spec = self.b, self.spec
        low, high = self.taps(self.kx, self.x, x)
        image = b.offset(starts[0], b.mul(x, spec.a.stride(self.x)), spec.a.elem)
        g = self.load(spec.b, starts[1], b.mul(x, spec.b.stride(self.x)), mask)
        found = list(sums)
        for kx in range(self.width):
            present = b.apply("and", b.le(low, kx), b.lt(kx, high))
            lanes = b.splat(present, self.plan.lanes)
            lanes = lanes if mask is None else b.apply("and", lanes, mask)
            loaded = self.load(spec.a, image, b.mul(spec.a.stride(self.kx), kx), lanes)
            for at, value in enumerate(self.spread_out(loaded), kx * self.depth):
                found[at] = b.where(lanes, multiply_add(b, value, g, found[at]), found[at])
        return found

    def _finish(self) -> None:
        """Add the sums of the pieces in order."""
        b = self.b
        with b.loop(0, self.weights) as loop:
            index = unflatten(b, self.spec.m, loop.index)

            def part(c: Reg, mask: Reg | None) -> None:
                at = b.affine(c, (loop.index, self.pitch))
                total = b.load(self.partials, at, self.vector)
                for split in range(1, self.plan.splits):
                    piece = b.load(self.partials, b.affine(at, (self.piece, split)), self.vector)
                    total = b.apply("add", total, piece)
                self.emit({**index, **self.index(c)}, total, mask)

            self.for_channels(part)


def known_size(value: IntOrReg) -> int:
    """A number that the plan knows."""
    known = static(value)
    assert known is not None  # the plan is chosen by it
    return known
