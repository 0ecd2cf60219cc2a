"""The nest of convolutions whose groups fill vectors of their own.

    y[g, n, m] = sum over k, i of a[g, i, m, k] * b[g, k, i, n]        lanes along n, in one group

A tile is some neighbouring pixels of a row by some vectors of a group's channels; for each tap and
channel i one element of each pixel's window is broadcast. The taps of a pixel at the edge are
chosen when the nest is written, so that those outside the image are left out. The weights of a tile
are packed once for some rows of the image, in the order of their memory. The chains are those of
the blocked nest, so the bits are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from argand.kernels.contraction.addressing import dot, extent_of, rest, spread, unflatten
from argand.kernels.contraction.grouped import GroupedNest, known_size, known_taps, pieces
from argand.kernels.contraction.microkernel import multiply_add
from argand.kernels.contraction.plan import K_BLOCK, SERIAL_FLOPS, ContractionPlan
from argand.kernels.contraction.spec import Contraction, ContractionAxis
from argand.nest.builder import NestBuilder, Reg, Ty
from argand.nest.transpose import transpose

__all__ = ["group_rows"]

FLOPS_PER_NS = 100

PIXELS = 512
"""Pixels that weights are packed for, at least, where an image has so many."""


def group_rows(b: NestBuilder, spec: Contraction, chosen: ContractionPlan) -> None:
    """Emit the nest of a convolution whose lanes run inside a group."""
    _GroupRows(b, spec, chosen).run()


class _GroupRows(GroupedNest):
    """The whole nest: pieces of work are some image rows of one panel, a tile's channels; all
    panels of some rows before the next rows, which then stay in near memory."""

    def __init__(self, b: NestBuilder, spec: Contraction, chosen: ContractionPlan) -> None:
        super().__init__(b, spec, chosen)
        self.y, self.x = spec.m[-2:]
        self.ky, self.kx, self.inner = spec.k
        taps = known_taps(self.bounds.get(self.x), self.x, self.kx)
        assert taps is not None  # the plan is chosen by it
        self.line = len(taps)
        self.pieces = pieces(taps, chosen.rows)
        self.packer = _Packer(self)

    def run(self) -> None:
        b, spec = self.b, self.spec
        panels = b.div(self.channels, self.plan.width)
        rows = extent_of(b, spec.m[:-1])
        share = b.i64(-(-PIXELS // max(self.line, 1)))
        blocks = b.ceildiv(rows, share)
        total = b.mul(blocks, panels)
        flops = b.mul(rows, self.line, self.channels, 2 * self.packer.length)
        each = b.max(b.div(flops, b.max(total, 1)), 1)
        pieces_of_chunk = b.max(b.div(SERIAL_FLOPS // 2, each), 1)
        with spread(b, total, pieces_of_chunk, b.div(flops, FLOPS_PER_NS)) as (first, end):
            weights = b.scratch(max(self.packer.length, 1) * self.plan.width * self.acc.bytes)
            with b.loop(first, end) as loop:
                channel = b.mul(b.rem(loop.index, panels), self.plan.width)
                group, column = b.div(channel, self.depth), b.rem(channel, self.depth)
                self.packer.fill(weights, group, column)
                low = b.mul(b.div(loop.index, panels), share)
                with b.loop(low, b.add(low, rest(b, rows, low, share))) as row:
                    index = unflatten(b, spec.m[:-1], row.index)
                    self._row({**index, self.group: group, self.channel: column}, weights)

    def _row(self, index: Mapping[ContractionAxis, Reg], weights: Reg) -> None:
        """One row of pixels of an image, for the channels of a panel."""
        b, image = self.b, self.spec.a
        tile = _Tile(self, weights, self.taps(self.ky, self.y, index[self.y]))
        start = b.add(image.offset, dot(b, index, image.strides))
        for piece in self.pieces:
            with b.loop(piece.first, piece.end, len(piece.taps)) as loop:
                at = b.affine(start, (loop.index, image.stride(self.x)))
                sums = tile.sums(b.offset(image.ptr, at, image.elem), piece.taps)
                for pixel in range(len(piece.taps)):
                    place = {**index, self.x: b.add(loop.index, pixel)}
                    self._emit(place, sums[pixel * self.plan.vectors :])

    def _emit(self, index: Mapping[ContractionAxis, Reg], sums: Sequence[Reg]) -> None:
        for v, total in enumerate(sums[: self.plan.vectors]):
            column = self.b.add(index[self.channel], v * self.plan.lanes)
            self.emit({**index, self.channel: column}, total, None)


class _Tile:
    """Some pixels of a row by the vectors of a panel; `rows` are the taps along y that are in the
    image."""

    def __init__(self, nest: _GroupRows, weights: Reg, rows: tuple[Reg, Reg]) -> None:
        self.nest, self.b, self.weights, self.rows = nest, nest.b, weights, rows
        depth = max(known_size(nest.inner.extent), 1)
        self.chain = max(K_BLOCK // depth, 1)
        """taps of one chain"""

    def sums(self, image: Reg, taps: Sequence[range]) -> list[Reg]:
        """The sums of neighbouring pixels, row-major; the window of the first one begins at
        `image`, and `taps` are those of each along x."""
        b, nest = self.b, self.nest
        zeros = [b.const(nest.vector, 0)] * (len(taps) * nest.plan.vectors)
        several = known_size(nest.ky.extent) * known_size(nest.kx.extent) > self.chain
        done = zeros if several else []
        with b.loop(*self.rows, 1, [*done, *zeros]) as loop:
            line = b.mul(loop.index, nest.spec.a.stride(nest.ky))
            at = b.offset(image, line, nest.spec.a.elem)
            state = list(loop.carry)
            for kx in range(known_size(nest.kx.extent)):
                state = self._next_chain(loop.index, kx, state) if several else state
                pixels = [pixel for pixel, inside in enumerate(taps) if kx in inside]
                state[len(done) :] = self._tap(
                    at, (loop.index, b.i64(kx)), pixels, state[len(done) :]
                )
            b.yield_(*state)
        if not several:
            return list(loop.results)
        half = len(zeros)
        pairs = zip(loop.results[:half], loop.results[half:], strict=True)
        return [b.apply("add", x, y) for x, y in pairs]

    def _next_chain(self, ky: Reg, kx: int, state: list[Reg]) -> list[Reg]:
        """Where a chain ends before a tap, it is added to those before it."""
        b, nest = self.b, self.nest
        width, height = known_size(nest.kx.extent), known_size(nest.ky.extent)
        firsts = [y for y in range(height) if y * width + kx and (y * width + kx) % self.chain == 0]
        if not firsts:
            return state
        half = len(state) // 2
        matches = [b.eq(ky, y) for y in firsts]
        with b.if_(b.apply("or", *matches) if len(matches) > 1 else matches[0]) as branch:
            pairs = zip(state[:half], state[half:], strict=True)
            zero = b.const(nest.vector, 0)
            b.yield_(*(b.apply("add", x, y) for x, y in pairs), *[zero] * half)
        with branch.else_():
            b.yield_(*state)
        return list(branch.results)

    def _tap(
        self, image: Reg, tap: tuple[Reg, Reg], pixels: Sequence[int], sums: Sequence[Reg]
    ) -> list[Reg]:
        """Add a tap's products of all channels to the sums of some pixels."""
        b, nest, operand = self.b, self.nest, self.nest.spec.a
        vectors, lanes = nest.plan.vectors, nest.plan.lanes
        found = list(sums)
        if not pixels:
            return found
        along_x, along_kx = operand.stride(nest.x), operand.stride(nest.kx)
        image = b.offset(image, b.mul(tap[1], along_kx), operand.elem)
        weights = b.offset(
            self.weights,
            nest.packer.place(dict(zip((nest.ky, nest.kx), tap, strict=True))),
            nest.acc.elem,
        )
        places = [pixel * vectors + v for pixel in pixels for v in range(vectors)]
        with b.loop(0, nest.inner.extent, 1, [found[place] for place in places]) as loop:
            here = b.offset(image, b.mul(loop.index, operand.stride(nest.inner)), operand.elem)
            row = b.offset(weights, nest.packer.place({nest.inner: loop.index}), nest.acc.elem)
            columns = [b.load(row, v * lanes, nest.vector) for v in range(vectors)]
            new: list[Reg] = []
            for pixel in pixels:
                element = b.load(here, b.mul(along_x, pixel), Ty(operand.elem))
                value = b.splat(b.cast(element, nest.acc), lanes)
                for column in columns:
                    new.append(multiply_add(b, value, column, loop.carry[len(new)]))
            b.yield_(*new)
        for place, total in zip(places, loop.results, strict=True):
            found[place] = total
        return found


class _Packer:
    """Packs a panel: for each (ky, kx, i), in an order of its own, the weights of its channels."""

    def __init__(self, nest: _GroupRows) -> None:
        self.nest, self.b = nest, nest.b
        weight, axes = nest.spec.b, nest.spec.k
        self.run = weight.contiguous(axes) if nest.plan.b == "transpose" else ()
        """the axes that are read as vectors, which are transposed"""
        self.others = tuple(axis for axis in axes if axis not in self.run)
        self.steps: dict[ContractionAxis, int] = {}
        self.length = 1
        for axis in reversed((*self.others, *self.run)):
            self.steps[axis] = self.length
            self.length *= known_size(axis.extent)

    def place(self, index: Mapping[ContractionAxis, Reg]) -> Reg:
        """Where the weights with an index are in a panel."""
        return self.b.mul(dot(self.b, index, self.steps), self.nest.plan.width)

    def fill(self, to: Reg, group: Reg, column: Reg) -> None:
        """Pack the channels from `column` on of a group."""
        b, nest, weight = self.b, self.nest, self.nest.spec.b
        start = dot(b, {nest.group: group, nest.channel: column}, weight.strides)
        base = b.offset(weight.ptr, b.add(weight.offset, start), weight.elem)
        with b.loop(0, extent_of(b, self.others)) as loop:
            index = unflatten(b, self.others, loop.index)
            place = b.offset(base, dot(b, index, weight.strides), weight.elem)
            out = b.offset(to, self.place(index), nest.acc.elem)
            for first in range(0, nest.plan.width, nest.plan.lanes):
                self._vectors(
                    b.offset(out, first, nest.acc.elem),
                    b.offset(place, b.mul(weight.stride(nest.channel), first), weight.elem),
                )

    def _vectors(self, to: Reg, place: Reg) -> None:
        """The weights of a vector of channels along the run."""
        b, nest, weight = self.b, self.nest, self.nest.spec.b
        step, lanes = b.index(weight.stride(nest.channel)), nest.plan.lanes
        if nest.plan.b == "transpose":
            length = known_size(extent_of(b, self.run))

            def square(k: Reg, mask: Reg | None) -> None:
                at = b.offset(place, k, weight.elem)
                rows = [nest.load(weight, at, b.mul(step, j), mask) for j in range(lanes)]
                columns = transpose(b, rows)
                for j, column in enumerate(columns if mask is None else columns[: length % lanes]):
                    b.store(to, b.mul(b.add(k, j), nest.plan.width), column)

            b.vector_loop(0, length, lanes, weight.elem, square)
        elif nest.plan.b == "copy":
            b.store(to, 0, nest.load(weight, place, 0, None))
        else:
            offsets = b.ramp(step, lanes)
            found = b.gather(place, offsets, Ty(weight.elem, lanes))
            b.store(to, 0, b.cast(found, nest.vector))
