"""How loops run: blocks for threads, vectors with masked tails, and what a kernel costs.

Blocks depend on the shape alone, never on the number of threads; regions of less than about 20
microseconds stay on one thread.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

from argand.ir import scalar
from argand.lowering.affine import Axis
from argand.lowering.emitter import Emitter, lanes_for
from argand.lowering.points import Point
from argand.lowering.space import extent
from argand.nest.builder import IntOrReg, NestBuilder, Reg, Ty, folded, static

SERIAL_NS = 20_000
"""A region of less than this stays on one thread."""

CHUNK_NS = 10_000
"""What a chunk should cost at least."""

CHUNKS = 64
"""About the most chunks of a region."""

BYTES_PER_NS = 12.0
FLOPS_PER_NS = 5.0
"""Multiply-adds of one lane that a core does in a nanosecond."""

LONG_CHAIN = 12.0
MANY_FLOPS = 80.0

BLOCK = 16384
"""Elements of a block when the length of the innermost loop is only known at run time."""


def ns_per_element(points: Sequence[Point], lanes: int, stores: int, axis: Axis) -> float:
    """About what one element of a kernel costs, in nanoseconds."""
    flops, data = 0.0, float(stores)
    for point in points:
        if axis not in point.axes:
            continue
        if point.kind == "load":
            data += Ty(point.elem).bytes
        elif point.kind == "expr":
            flops += scalar.flops(point.payload)
    return max(data / BYTES_PER_NS, flops / (FLOPS_PER_NS * max(1, lanes)), 0.05)


def vector_lanes(emitter: Emitter, points: Sequence[Point], axis: Axis, most: int = 0) -> int:
    """Lanes of a kernel's vectors along an axis: of as many registers as its arithmetic asks for,
    or at most `most`, and no more than there are elements."""
    lanes = lanes_for(points, emitter.context.target.vector_bytes, axis)
    lanes = min(lanes, most) if most else lanes * _registers(points, axis)
    length = emitter.size(extent(emitter, axis))
    return min(lanes, 1 << max(0, length - 1).bit_length()) if isinstance(length, int) else lanes


def _registers(points: Sequence[Point], axis: Axis) -> int:
    """How many registers make a vector: several where a long chain of dependent operations, such as
    a polynomial, would leave the arithmetic units waiting."""
    flops = [scalar.flops(p.payload) for p in points if p.kind == "expr" and axis in p.axes]
    if max(flops, default=0.0) < LONG_CHAIN:
        return 1
    return 4 if sum(flops) < MANY_FLOPS else 2


def product(b: NestBuilder, numbers: Sequence[IntOrReg]) -> IntOrReg:
    """The product, as a number if it is known now."""
    return folded(b.mul(1, *numbers))


def shared_out(
    b: NestBuilder, count: IntOrReg, least: IntOrReg, most: int
) -> tuple[IntOrReg, IntOrReg]:
    """(how many make a chunk, how many chunks there are): `least` at least, and `most` at most."""
    share = folded(b.max(b.ceildiv(count, most), least))
    return share, folded(b.ceildiv(count, share))


@contextlib.contextmanager
def spread(
    b: NestBuilder, count: IntOrReg, ns_each: float, most: int = CHUNKS
) -> Iterator[tuple[IntOrReg, IntOrReg]]:
    """The numbers 0 … count - 1 in chunks, on all threads when that is worth it: gives the first
    and the end of a chunk."""
    total = static(count)
    if total is not None and total * ns_each < SERIAL_NS:
        yield 0, count
        return
    least = max(1, math.ceil(CHUNK_NS / max(ns_each, 0.01)))
    share, chunks = shared_out(b, count, least, most)
    if total is not None:
        cost: IntOrReg = int(total * ns_each)
    else:
        cost = b.div(b.mul(count, max(1, int(ns_each * 64))), 64)
    with b.parallel(chunks, cost) as chunk:
        low = b.mul(chunk, share)
        yield low, b.min(b.add(low, share), count)


@contextlib.contextmanager
def cells(emitter: Emitter, count: IntOrReg, ns_each: float) -> Iterator[Reg]:
    """A loop over 0 … count - 1, whose chunks run on all threads when that is worth it."""
    b = emitter.b
    with spread(b, count, ns_each) as (low, high), b.loop(low, high) as loop, emitter.scope():
        yield loop.index


def unflatten(emitter: Emitter, loops: Sequence[Axis], flat: Reg) -> None:
    """Open the loops at a flattened, row-major position."""
    b = emitter.b
    for axis in reversed(loops[1:]):
        size = emitter.size(extent(emitter, axis))
        emitter.at[axis] = b.rem(flat, size)
        flat = b.div(flat, size)
    if loops:
        emitter.at[loops[0]] = flat


def vectors(
    emitter: Emitter,
    axis: Axis,
    lanes: int,
    low: IntOrReg,
    high: IntOrReg,
    body: Callable[[], None],
    elem: str = "float32",
) -> None:
    """Run `body` for each vector along the axis from `low` to `high`, the last one masked."""

    def vector(index: Reg, mask: Reg | None) -> None:
        with emitter.scope():
            emitter.at[axis] = index
            emitter.along(axis, lanes, mask)
            body()

    emitter.b.vector_loop(low, high, lanes, elem, vector)


def sweep(
    emitter: Emitter,
    loops: Sequence[Axis],
    lanes: int,
    ns: float,
    roots: Sequence[Point],
    body: Callable[[], None],
) -> None:
    """Run `body` over a space: the last of the `loops` along the lanes, blocks of the space on
    threads. What the roots need of outer loops is computed outside the inner ones.
    """
    b = emitter.b
    if not loops:
        with emitter.scope():
            body()
        return
    *outer, inner = loops
    length = emitter.size(extent(emitter, inner))
    rows = product(b, [emitter.size(extent(emitter, a)) for a in outer])
    total = product(b, [rows, length])
    count = static(total)
    with emitter.scope():
        emitter.hoist(roots, frozenset(loops))
        if count is not None and count * ns < SERIAL_NS:
            _serial(emitter, list(outer), inner, lanes, length, roots, body)
            return
        block = _block(static(length), lanes, ns)
        blocks = 1 if block is None else folded(b.ceildiv(length, block))
        each = ns * (block if block is not None else static(length) or BLOCK)
        with cells(emitter, product(b, [rows, blocks]), each) as cell:
            unflatten(emitter, outer, b.div(cell, blocks))
            start: IntOrReg = 0
            end: IntOrReg = length
            if block is not None:
                start = b.mul(b.rem(cell, blocks), block)
                end = b.min(b.add(start, block), length)
            emitter.hoist(roots, frozenset((inner,)))
            vectors(emitter, inner, lanes, start, end, body)


def _block(length: int | None, lanes: int, ns: float) -> int | None:
    """Elements of a block of the innermost loop; None when it isn't cut."""
    if length is None:
        return BLOCK
    if length * ns <= 2 * CHUNK_NS:
        return None
    unit = 4 * lanes
    share = max(int(CHUNK_NS / ns), -(-length // CHUNKS))
    share = -(-share // unit) * unit
    return None if share >= length else share


def _serial(
    emitter: Emitter,
    outer: list[Axis],
    inner: Axis,
    lanes: int,
    length: IntOrReg,
    roots: Sequence[Point],
    body: Callable[[], None],
) -> None:
    b = emitter.b
    if not outer:
        vectors(emitter, inner, lanes, 0, length, body)
        return
    axis, *rest = outer
    with b.loop(0, emitter.size(extent(emitter, axis))) as loop, emitter.scope():
        emitter.at[axis] = loop.index
        emitter.hoist(roots, frozenset((*rest, inner)))
        _serial(emitter, rest, inner, lanes, length, roots, body)


@contextlib.contextmanager
def open_loops(emitter: Emitter, axes: Sequence[Axis]) -> Iterator[None]:
    """Plain loops over the axes, one inside the other."""
    with contextlib.ExitStack() as stack:
        for axis in axes:
            loop = stack.enter_context(emitter.b.loop(0, emitter.size(extent(emitter, axis))))
            stack.enter_context(emitter.scope())
            emitter.at[axis] = loop.index
        yield
