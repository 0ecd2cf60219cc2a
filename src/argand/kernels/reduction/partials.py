"""Sums over a batch: the chunks of its rows, and the partial sums of each chunk.

Chunks depend on the shape and the code, never on threads. In a chunk no sum is of more than
`BLOCK_CHAIN` rows in a row: longer chunks are added up block by block. The chunks' sums are added
in order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from argand.base.dtype import compute_dtype
from argand.base.sums import BLOCK_CHAIN
from argand.kernels.reduction.chains import accumulates
from argand.kernels.reduction.loops import RowLoops
from argand.kernels.reduction.plan import Reduction
from argand.lowering.affine import Affine, Axis
from argand.lowering.context import StridedBuffer
from argand.lowering.emitter import Emitter
from argand.lowering.identities import identity_value
from argand.lowering.parallel import CHUNK_NS, CHUNKS, SERIAL_NS, shared_out, vectors
from argand.nest.builder import IntOrReg, Reg, Ty, static

__all__ = ["Partials", "sum_type"]

PARTIAL_BYTES = 4 << 20
"""About the most memory for the partial sums of one reduction."""


def sum_type(r: Reduction) -> Ty:
    """What a reduction accumulates in."""
    return Ty(compute_dtype(r.node.values[0].dtype).name)


class Partials:
    """The sums of a kernel over its batch: a number each, or one a column ("col") of a row of
    `width` elements, whose places are those of a buffer of `strides`.

    There are `count` chunks of `share` rows, only one where it runs `serial`. `memory` holds the
    sums of all chunks, `own` those that rows are added to.
    """

    def __init__(
        self,
        emitter: Emitter,
        sums: Sequence[Reduction],
        loops: RowLoops,
        count: IntOrReg,
        ns: float,
        least: IntOrReg | None = None,
    ) -> None:
        """Decide on the chunks of `count` rows that cost `ns` each. With `least` rows in a chunk
        they depend on the shape alone, not on what the code costs."""
        self.emitter, self.b, self.sums = emitter, emitter.b, sums
        self.width, self.strides = loops.length(loops.row), loops.row_strides()
        self.lanes = loops.lanes
        total = static(count)
        if least is None:
            least = max(1, int(CHUNK_NS / ns))
            self.serial = total is not None and total * ns < SERIAL_NS
        else:
            few = static(least)
            self.serial = total is not None and few is not None and total <= few
        self.share, self.count, self.cost = self._shared_out(count, ns, least)
        self.memory = {r: self._reserve(r, self.count) for r in sums}
        self.own: dict[Reduction, StridedBuffer] = {}

    # chunks ---------------------------------------------------------------------------------------

    def _shared_out(
        self, count: IntOrReg, ns: float, least: IntOrReg
    ) -> tuple[IntOrReg, Reg, IntOrReg]:
        """Rows in a chunk, chunks, and the nanoseconds that all rows take."""
        b, most = self.b, self._most_chunks()
        if self.serial:
            return count, b.i64(1), 0
        share, chunks = shared_out(b, count, least, most)
        if isinstance(share, int):
            return share, b.index(chunks), int((static(count) or 0) * ns)
        return share, b.index(chunks), b.mul(count, max(1, int(ns)))

    def _most_chunks(self) -> int:
        if not any(r.kind == "col" for r in self.sums):
            return CHUNKS
        length = static(self.width) or 4096
        return max(8, min(CHUNKS, PARTIAL_BYTES // (8 * max(1, length))))

    @contextlib.contextmanager
    def chunks(self, count: IntOrReg) -> Iterator[tuple[Reg, Reg]]:
        """The chunks (first row, end), each with its own sums, filled with the identities."""
        b = self.b
        if self.serial:
            self._begin(b.i64(0))
            yield b.i64(0), b.add(count, 0)
            return
        with b.parallel(self.count, self.cost) as chunk:
            self._begin(chunk)
            low = b.mul(chunk, self.share)
            yield low, b.min(b.add(low, self.share), count)

    def _reserve(self, r: Reduction, times: IntOrReg) -> Reg:
        b = self.b
        return b.scratch(b.mul(times, b.max(self._width(r), 1), sum_type(r).bytes))

    def _width(self, r: Reduction) -> IntOrReg:
        return self.width if r.kind == "col" else 1

    def _begin(self, chunk: Reg) -> None:
        b = self.b
        for r, memory in self.memory.items():
            base = b.offset(memory, b.mul(chunk, self._width(r)), sum_type(r).elem)
            self.own[r] = self._buffer(r, base)
        self._clear()

    def _buffer(self, r: Reduction, base: Reg) -> StridedBuffer:
        dtype = compute_dtype(r.node.values[0].dtype)
        return StridedBuffer(base, self.strides if r.kind == "col" else (), dtype)

    # blocks ---------------------------------------------------------------------------------------

    def in_blocks(self, low: Reg, high: Reg, run: Callable[[Reg, Reg], None]) -> None:
        """`run` for the rows low … high - 1 of a chunk, block by block where there are many."""
        b, most = self.b, static(self.share)
        short = most is not None and most <= BLOCK_CHAIN
        if short or not accumulates([r.prim for r in self.sums]):
            run(low, high)
            return
        own = self.own
        beside = {r: self._buffer(r, self._reserve(r, 1)) for r in own}
        with b.loop(low, high, BLOCK_CHAIN) as loop, self.emitter.scope():
            self.own = beside
            self._clear()
            run(loop.index, b.min(b.add(loop.index, BLOCK_CHAIN), high))
            self.own = own
            for r in own:
                self._add_block(r, own[r], beside[r])

    def _clear(self) -> None:
        b, emitter = self.b, self.emitter
        for r, sums in self.own.items():
            value = b.const(sum_type(r), identity_value(r.node))

            def clear(at: Reg, sums: StridedBuffer = sums, value: Reg = value) -> None:
                b.store(sums.pointer, at, b.splat(value, emitter.lanes), emitter.mask)

            self._each(r, clear)

    def _add_block(self, r: Reduction, sums: StridedBuffer, beside: StridedBuffer) -> None:
        b, emitter = self.b, self.emitter

        def add(at: Reg) -> None:
            ty = sum_type(r).with_lanes(emitter.lanes)
            x, y = (b.load(found.pointer, at, ty, emitter.mask) for found in (sums, beside))
            b.store(sums.pointer, at, b.apply(r.prim, x, y), emitter.mask)

        self._each(r, add)

    def _each(self, r: Reduction, body: Callable[[Reg], None]) -> None:
        """Run `body` for each vector of a sum."""
        emitter = self.emitter
        if r.kind != "col":
            with emitter.scope():
                emitter.vector, emitter.lanes, emitter.mask = None, 1, None
                body(self.b.i64(0))
            return
        axis = Axis("sums", 1)
        with emitter.scope():
            vectors(emitter, axis, self.lanes, 0, self.width, lambda: body(emitter.at[axis]))

    # rows -----------------------------------------------------------------------------------------

    def add_column(self, r: Reduction, index: tuple[Affine, ...], value: Reg) -> None:
        """Add a vector of a row to the sums of its columns."""
        emitter, sums = self.emitter, self.own[r]
        emitter.store(sums, index, self.b.apply(r.prim, emitter.load(sums, index), value))

    def add_one(self, r: Reduction, value: Reg) -> None:
        """Add a number."""
        b, sums = self.b, self.own[r]
        before = b.load(sums.pointer, 0, sum_type(r))
        b.store(sums.pointer, 0, b.apply(r.prim, before, value))

    # the end --------------------------------------------------------------------------------------

    def total(self, r: Reduction, at: Reg | None) -> Reg:
        """The sum over the chunks, in order (`at` a column)."""
        b = self.b
        ty = sum_type(r).with_lanes(1 if at is None else self.emitter.lanes)
        start = b.const(ty, identity_value(r.node))
        place = b.i64(0) if at is None else at
        with b.loop(0, self.count, 1, [start]) as loop:
            offset = b.affine(place, (loop.index, self._width(r)))
            mask = None if at is None else self.emitter.mask
            part = b.load(self.memory[r], offset, ty, mask)
            b.yield_(b.apply(r.prim, loop.carry[0], part))
        return loop.results[0]
