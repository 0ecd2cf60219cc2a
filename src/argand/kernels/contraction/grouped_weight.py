"""The gradient of the weights of a convolution whose groups have few channels.

    dw[c, k, i] = sum over m of x[c // G * G + i, m, k] * dy[c, m]      lanes along c, i < G

It sums over all pixels: its registers hold the whole kernel, where that fits and sizes are known,
or one row of it, and are added to the partial sums of a piece of the image rows after at most
`K_BLOCK` pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from argand.kernels.contraction.addressing import dot, extent_of, spread, unflatten
from argand.kernels.contraction.grouped import (
    FLOPS_PER_NS,
    GroupedNest,
    Piece,
    known_size,
    known_taps,
    pieces,
)
from argand.kernels.contraction.microkernel import multiply_add
from argand.kernels.contraction.plan import K_BLOCK, SERIAL_FLOPS, ContractionPlan
from argand.kernels.contraction.spec import Contraction, ContractionAxis
from argand.nest.builder import NestBuilder, Reg, Ty

__all__ = ["grouped_weight"]

MANY_SUMS = 7
"""Sums of a weight's gradient that are enough to keep the arithmetic units busy."""

NEAR_BYTES = 1 << 18
"""Of both operands of a weight's gradient, which are read a vector of channels at a time."""


def grouped_weight(b: NestBuilder, spec: Contraction, chosen: ContractionPlan) -> None:
    """Emit the nest of a weight's gradient whose lanes run across the groups, `spec.across`."""
    _WeightGradient(b, spec, chosen).run()


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
