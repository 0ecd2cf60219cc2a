"""What the nests of convolutions whose groups have few channels share.

The lanes of a vector are the channels of several groups, of one channel each in a depthwise
convolution. Within the vector, channel i of each group is repeated for all channels of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from argand.kernels.contraction.microkernel import cut
from argand.kernels.contraction.plan import ContractionPlan
from argand.kernels.contraction.spec import (
    Bound,
    Contraction,
    ContractionAxis,
    Operand,
)
from argand.nest.builder import IntOrReg, NestBuilder, Reg, Ty, static

__all__ = ["FLOPS_PER_NS", "GroupedNest", "Piece", "known_size", "known_taps", "pieces"]

FLOPS_PER_NS = 30
"""What a core reaches: every product needs a vector of the image."""

Body = Callable[[Reg, Reg | None], None]


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


def known_size(value: IntOrReg) -> int:
    """A number that the plan knows."""
    known = static(value)
    assert known is not None  # the plan is chosen by it
    return known
