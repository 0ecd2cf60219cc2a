"""The gradients of attention: for each head, keys in blocks, and for each of these rows in blocks.

The probabilities of a block are computed again from the log-sum-exp of its rows. A block of keys
gathers the gradients of its keys and values from the rows that see them; the gradient of the rows
is added up over the blocks of keys, in order. A head is computed by one thread, so nothing is added
by two, and what a head gives depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from argand.kernels.attention.masks import limited, masked
from argand.kernels.attention.operands import Attention, Gradients, known_extent
from argand.kernels.attention.softmax import LOG2E, across, exp2_below_zero
from argand.kernels.attention.tiles import (
    Packed,
    Rows,
    Streamed,
    Term,
    base_of,
    multiply,
    store_tile,
)
from argand.kernels.attention.tiling import GradientTiling
from argand.kernels.contraction.addressing import extent_of, rest, spread, unflatten
from argand.kernels.contraction.microkernel import Panel
from argand.kernels.contraction.spec import ContractionAxis, Operand, put, take
from argand.nest.builder import NestBuilder, Reg, Ty, static

__all__ = ["backward"]

FLOPS_PER_NS = 100


def backward(b: NestBuilder, spec: Gradients, chosen: GradientTiling) -> None:
    """Emit the nest of the gradients into the function being built."""
    forward = spec.forward
    heads = extent_of(b, forward.batch)
    depth = 6 * forward.depth + 4 * forward.width
    work = b.mul(heads, b.index(forward.row.extent), b.index(forward.key.extent), depth)
    with spread(b, heads, b.i64(1), b.div(work, FLOPS_PER_NS)) as (low, high):
        head = _Head(b, spec, chosen)
        with b.loop(low, high) as loop:
            head.run(unflatten(b, forward.batch, loop.index))


class _Sums:
    """Rows of sums in scratch, zero at first."""

    def __init__(self, b: NestBuilder, vector: Ty, rows: Reg, width: int) -> None:
        self._b, self._vector, self._width = b, vector, width
        self._pitch = -(-width // vector.lanes) * vector.lanes
        self._at = b.scratch(b.mul(rows, self._pitch * vector.bytes))

    def clear(self, rows: Reg) -> None:
        b, zero = self._b, self._b.const(self._vector, 0)
        with b.loop(0, b.mul(rows, self._pitch), self._vector.lanes) as loop:
            b.store(self._at, loop.index, zero)

    def add_from(self, first: Reg) -> Callable[[Reg, int, Panel, Sequence[Reg]], None]:
        """What adds a tile whose rows count from `first`."""
        b, lanes = self._b, self._vector.lanes

        def add(row: Reg, height: int, panel: Panel, sums: Sequence[Reg]) -> None:
            for r in range(height):
                at = b.affine(panel.n0, (b.add(first, row, r), self._pitch))
                for v in range(panel.vectors):
                    place = b.add(at, v * lanes)
                    total = b.load(self._at, place, self._vector)
                    b.store(self._at, place, b.apply("add", total, sums[r * panel.vectors + v]))

        return add

    def write(
        self,
        operand: Operand,
        column: ContractionAxis,
        row: ContractionAxis,
        index: Mapping[ContractionAxis, Reg],
        rows: Reg,
        scale: float,
    ) -> None:
        """Store them times `scale`, the first row being where the index is."""
        b, lanes = self._b, self._vector.lanes
        step = operand.stride(column)
        base = base_of(b, operand, index)
        factor = b.const(self._vector, scale)
        with b.loop(0, rows) as loop:
            line = b.offset(base, b.mul(loop.index, operand.stride(row)), operand.elem)
            for n in range(0, self._width, lanes):
                at = b.affine(n, (loop.index, self._pitch))
                value = b.apply("mul", b.load(self._at, at, self._vector), factor)
                mask = b.tail_mask(n, self._width, lanes, self._vector.elem)
                put(b, line, b.mul(n, step), step, value, mask)


class _Head:
    """A head on one thread: its scratch, and the registers of the head being computed."""

    def __init__(self, b: NestBuilder, spec: Gradients, chosen: GradientTiling) -> None:
        self.b, self.spec, self.tiling = b, spec, chosen
        self.forward: Attention = spec.forward
        forward, acc = self.forward, Ty(self.forward.elem)
        self.acc, self.lanes = acc, chosen.scores.lanes
        self.vector, self.together = acc.with_lanes(self.lanes), acc.with_lanes(chosen.together)
        self.length, self.keys = b.index(forward.row.extent), b.index(forward.key.extent)
        width = max(chosen.scores.width, chosen.slopes.width)
        self.pitch = -(-chosen.keys // width) * width + max(16, self.lanes)
        self.p = b.scratch(chosen.queries * self.pitch * acc.bytes)
        self.gs = b.scratch(chosen.queries * self.pitch * acc.bytes)
        room = b.add(self.length, chosen.together)
        self.tops, self.deltas = (b.scratch(b.mul(room, acc.bytes)) for _ in range(2))
        self.q_sums = _Sums(b, self.vector, self.length, forward.depth)
        self.k_sums = _Sums(b, self.vector, b.i64(chosen.keys), forward.depth)
        self.v_sums = _Sums(b, self.vector, b.i64(chosen.keys), forward.width)
        self.k_pack, self.v_pack = (
            Packed(b, tiles, operand, forward.key, inner, acc, chosen.keys, known_extent(inner))
            for tiles, operand, inner in (
                (chosen.scores, forward.k, forward.inner),
                (chosen.slopes, forward.v, forward.column),
            )
        )
        self.g_columns = Streamed(b, chosen.by_g, spec.g, forward.column, forward.row, acc)
        self.q_columns = Streamed(b, chosen.by_q, forward.q, forward.inner, forward.row, acc)
        self.k_columns = Streamed(b, chosen.by_k, forward.k, forward.inner, forward.key, acc)
        plain = forward.mask is None or forward.mask.elem == "bool"
        self.scaled = plain
        """Whether scores are scaled as late as in the exponent."""

    def run(self, index: Mapping[ContractionAxis, Reg]) -> None:
        """The head `index`."""
        b, forward = self.b, self.forward
        self.index = index
        self.q_base, self.k_base, self.v_base = (
            base_of(b, operand, index) for operand in (forward.q, forward.k, forward.v)
        )
        self.g_base = base_of(b, self.spec.g, index)
        with b.loop(0, self.length, self.tiling.together) as loop:
            self._statistics(loop.index)
        self.q_sums.clear(self.length)
        with b.loop(0, self.keys, self.tiling.keys) as loop:
            self._keys(loop.index)
        self.q_sums.write(
            self.spec.gq, forward.inner, forward.row, index, self.length, forward.scale
        )

    def _statistics(self, row: Reg) -> None:
        """The log-sum-exp of some rows, times log2(e), and what their results give."""
        b, spec, forward = self.b, self.spec, self.forward
        count = self.tiling.together
        sums = []
        for r in range(count):
            # rows that only fill the vector are the last one again
            line = b.min(b.add(row, r), b.sub(self.length, 1))
            bases = [base_of(b, x, {**self.index, forward.row: line}) for x in (spec.g, spec.y)]
            total = b.const(self.vector, 0)
            for n in range(0, forward.width, self.lanes):
                mask = b.tail_mask(n, forward.width, self.lanes, self.acc.elem)
                steps = [x.stride(forward.column) for x in (spec.g, spec.y)]
                x, y = (
                    take(b, base, b.mul(n, step), step, self.vector, mask)
                    for base, step in zip(bases, steps, strict=True)
                )
                total = b.fma(x, y, total)
            sums.append(total)
        b.store(self.deltas, row, across(b, sums, lambda b, x, y: b.apply("add", x, y)))
        step = spec.stats.stride(forward.row)
        base = base_of(b, spec.stats, {**self.index, forward.row: row})
        mask = b.tail_mask(row, self.length, count, self.acc.elem)
        lse = take(b, base, 0, step, self.together, mask)
        b.store(self.tops, row, b.apply("mul", lse, b.const(self.together, LOG2E)))

    # a block of keys ------------------------------------------------------------------------------

    def _keys(self, key: Reg) -> None:
        b, forward, tiling = self.b, self.forward, self.tiling
        self.key = key
        self.here = rest(b, self.keys, key, b.i64(tiling.keys))
        columns = (key, b.add(key, self.here), static(self.here))
        self.k_pack.fill_chains(self.k_base, columns)
        self.v_pack.fill_chains(self.v_base, columns)
        self.by_k = self.k_columns.at(self.k_base, key, self.here)
        self.k_sums.clear(self.here)
        self.v_sums.clear(self.here)
        start = b.i64(0)
        if forward.causal:
            start = b.mul(b.div(key, tiling.queries), tiling.queries)
        with b.loop(start, self.length, tiling.queries) as loop:
            self._rows(loop.index)
        index = {**self.index, forward.key: key}
        for sums, operand, column, scale in (
            (self.k_sums, self.spec.gk, forward.inner, forward.scale),
            (self.v_sums, self.spec.gv, forward.column, 1.0),
        ):
            sums.write(operand, column, forward.key, index, self.here, scale)

    def _rows(self, first: Reg) -> None:
        """The rows from `first` on beside the keys at hand."""
        b = self.b
        self.first = first
        self.height = rest(b, self.length, first, b.i64(self.tiling.queries))
        if not self.forward.causal:
            self._block(self.here, diagonal=False)
            return
        with b.if_(b.le(b.add(self.key, self.here), b.add(first, 1))) as branch:
            self._block(self.here, diagonal=False)
        with branch.else_():
            seen = b.sub(b.add(first, self.height), self.key)
            self._block(b.max(b.min(self.here, seen), 0), diagonal=True)

    def _block(self, keys: Reg, diagonal: bool) -> None:
        """The block's first keys, which some of its rows see."""
        self._scores(keys)
        with self.b.loop(0, self.height) as loop:
            self._row(loop.index, keys, diagonal)
        self._gather(keys, diagonal)

    def _scores(self, keys: Reg) -> None:
        """q k^T and g v^T."""
        b, forward, spec, tiling = self.b, self.forward, self.spec, self.tiling
        for to, chosen, operand, column, pack in (
            (self.p, tiling.scores, forward.q, forward.inner, self.k_pack),
            (self.gs, tiling.slopes, spec.g, forward.column, self.v_pack),
        ):
            base = base_of(b, operand, {**self.index, forward.row: self.first})
            rows = Rows(base, operand.elem, operand.stride(forward.row), operand.stride(column))
            store = store_tile(b, to, self.pitch, self.vector)
            multiply(b, chosen, self.acc, self.height, keys, pack.terms(rows), store)

    def _row(self, row: Reg, keys: Reg, diagonal: bool) -> None:
        """A row's probabilities, and the gradients of its scores."""
        b = self.b
        line = b.add(self.first, row)
        top, delta = (
            b.splat(b.load(memory, line, self.acc), self.lanes)
            for memory in (self.tops, self.deltas)
        )
        limit = b.sub(b.add(line, 1), self.key) if diagonal else None
        with b.loop(0, keys, self.lanes) as loop:
            at = b.affine(loop.index, (row, self.pitch))
            p = exp2_below_zero(b, self._exponent(at, top, line, loop.index, limit))
            slope = b.apply("sub", b.load(self.gs, at, self.vector), delta)
            b.store(self.p, at, p)
            b.store(self.gs, at, b.apply("mul", p, slope))

    def _exponent(self, at: Reg, top: Reg, line: Reg, key: Reg, limit: Reg | None) -> Reg:
        b, forward = self.b, self.forward
        x = b.load(self.p, at, self.vector)
        factor = b.const(self.vector, forward.scale * LOG2E)
        below = b.apply("neg", top)
        x = b.fma(x, factor, below) if self.scaled else b.apply("mul", x, factor)
        if forward.mask is not None:
            index = {**self.index, forward.row: line, forward.key: b.add(self.key, key)}
            left = b.tail_mask(key, self.here, self.lanes, self.acc.elem)
            x = masked(b, forward, x, index, left)
        if not self.scaled:
            x = b.apply("add", x, below)
        return x if limit is None else limited(b, x, key, limit)

    def _gather(self, keys: Reg, diagonal: bool) -> None:
        """What the block gives to the gradients of values, keys and rows."""
        b, tiling, zero = self.b, self.tiling, self.b.i64(0)
        by_g = self.g_columns.at(self.g_base, self.first, self.height)
        by_q = self.q_columns.at(self.q_base, self.first, self.height)
        for memory, chosen, columns, width, sums in (
            (self.p, tiling.by_g, by_g, self.forward.width, self.v_sums),
            (self.gs, tiling.by_q, by_q, self.forward.depth, self.k_sums),
        ):
            transposed = Rows(memory, self.acc.elem, 1, self.pitch)
            terms = [Term(transposed, columns, self.height)]
            multiply(b, chosen, self.acc, keys, b.i64(width), terms, sums.add_from(zero))

        def seen(row: Reg, height: int) -> Reg:
            return b.max(b.min(keys, b.sub(b.add(self.first, row, height), self.key)), 0)

        rows = Rows(self.gs, self.acc.elem, self.pitch, 1)
        terms = [Term(rows, self.by_k, seen if diagonal else keys)]
        add = self.q_sums.add_from(self.first)
        depth = b.i64(self.forward.depth)
        multiply(b, tiling.by_k, self.acc, self.height, depth, terms, add)
