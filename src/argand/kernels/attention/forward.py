"""Attention: for each part of a head's rows, the keys in blocks; for each of these, the rows.

A block of keys is packed once for a part's rows. A block of scores is computed by the micro-kernel,
becomes probabilities where it is, and multiplies the values; a row's maximum, its sum and its
result so far wait in scratch and are scaled when the maximum grows. Blocks that causality hides
are left out. What a row computes depends on the keys alone, never on the rows beside it; but a few
rows, as one query over a cache, multiply each key where it is, in another order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from argand.kernels.attention.masks import limited, masked
from argand.kernels.attention.operands import Attention
from argand.kernels.attention.softmax import LN2, LOG2E, across, exp2_below_zero, larger
from argand.kernels.attention.tiles import (
    Packed,
    Rows,
    Streamed,
    Term,
    base_of,
    multiply,
    store_tile,
)
from argand.kernels.attention.tiling import PARTS, Tiling
from argand.kernels.contraction.addressing import extent_of, rest, spread, unflatten
from argand.kernels.contraction.microkernel import Panel
from argand.kernels.contraction.spec import ContractionAxis, put
from argand.nest.builder import NestBuilder, Reg, Ty, static

__all__ = ["forward"]

FLOPS_PER_NS = 100

Body = Callable[[Reg, bool, Sequence[Reg]], list[Reg]]
"""body(key, masked, carry): one vector of keys of some rows."""


def forward(b: NestBuilder, spec: Attention, chosen: Tiling) -> None:
    """Emit the nest of attention into the function being built."""
    _Forward(b, spec, chosen).run()


class _Forward:
    """Registers of the whole nest here, those of one thread in `_Part`."""

    def __init__(self, b: NestBuilder, spec: Attention, chosen: Tiling) -> None:
        self.b, self.spec, self.tiling = b, spec, chosen
        self.acc = Ty(spec.elem)
        self.length, self.keys = b.index(spec.row.extent), b.index(spec.key.extent)
        self.heads = extent_of(b, spec.batch)
        self.rows = self._rows_of_part()
        self.parts = b.ceildiv(self.length, self.rows)

    def _rows_of_part(self) -> Reg:
        """Even shares of a head's rows: several where there are few heads."""
        b, tiling = self.b, self.tiling
        wanted = b.max(b.ceildiv(PARTS, b.max(self.heads, 1)), b.ceildiv(self.length, tiling.part))
        share = b.ceildiv(b.max(self.length, 1), b.max(wanted, 1))
        return b.mul(b.ceildiv(share, tiling.queries), tiling.queries)

    def run(self) -> None:
        b, spec = self.b, self.spec
        total = b.mul(self.heads, self.parts)
        flops = b.mul(2 * (spec.depth + spec.width), self.heads, self.length, self.keys)
        cost = b.div(flops, FLOPS_PER_NS)
        share = b.max(b.div(b.mul(total, 10_000), b.max(cost, 1)), 1)
        with spread(b, total, b.min(share, b.max(total, 1)), cost) as (low, high):
            part = _Part(self)
            with b.loop(low, high) as loop:
                index = unflatten(b, spec.batch, b.div(loop.index, self.parts))
                part.run(index, b.mul(b.rem(loop.index, self.parts), self.rows))


class _Part:
    """Some rows of a head on one thread: its scratch, and the registers of the part being run."""

    def __init__(self, nest: _Forward) -> None:
        self.nest = nest
        b, spec, tiling, acc = nest.b, nest.spec, nest.tiling, nest.acc
        self.b, self.spec, self.tiling, self.acc = b, spec, tiling, acc
        self.lanes = tiling.scores.lanes
        self.vector = acc.with_lanes(self.lanes)
        self.together = acc.with_lanes(tiling.together)
        self.lines = -(-tiling.queries // tiling.together) * tiling.together
        room = b.add(nest.rows, tiling.together)
        # off the powers of two, with room for a last panel
        self.pitch = -(-tiling.keys // tiling.scores.width) * tiling.scores.width + max(
            16, self.lanes
        )
        self.y_pitch = -(-spec.width // self.lanes) * self.lanes
        self.scores = b.scratch(self.lines * self.pitch * acc.bytes)
        self.totals = b.scratch(b.mul(room, self.y_pitch * acc.bytes))
        self.maxima = b.scratch(b.mul(room, acc.bytes))
        self.factors = b.scratch(b.mul(room, acc.bytes))
        self.sums = b.scratch(b.mul(room, self.lanes * acc.bytes))
        self.k_pack: Packed | None = None
        if not tiling.few:
            self.k_pack = Packed(
                b, tiling.scores, spec.k, spec.key, spec.inner, acc, tiling.keys, spec.depth
            )
        self.v_rows = Streamed(b, tiling.values, spec.v, spec.column, spec.key, acc)
        # rows that only fill a vector of rows are computed too: denormal numbers would be slow
        with b.loop(0, self.lines * self.pitch, self.lanes) as loop:
            b.store(self.scores, loop.index, b.const(self.vector, 0))
        plain = spec.mask is None or spec.mask.elem == "bool"
        self.scaled = plain and spec.scale > 0
        """Whether scores are scaled as late as in the exponent."""

    # blocks ---------------------------------------------------------------------------------------

    def run(self, index: Mapping[ContractionAxis, Reg], row: Reg) -> None:
        """The rows from `row` on of the head `index`."""
        b, spec, nest = self.b, self.spec, self.nest
        self.index = index
        self.row = row
        self.count = rest(b, nest.length, row, nest.rows)
        self.q_base, self.k_base, self.v_base = (
            base_of(b, operand, index) for operand in (spec.q, spec.k, spec.v)
        )
        self._clear()
        visible = nest.keys
        if spec.causal:
            visible = b.min(visible, b.add(row, self.count))
        with b.loop(0, visible, self.tiling.keys) as loop:
            self.key = loop.index
            self.here = rest(b, nest.keys, loop.index, b.i64(self.tiling.keys))
            if self.k_pack is not None:
                columns = (self.key, b.add(self.key, self.here), static(self.here))
                self.k_pack.fill_chains(self.k_base, columns)
            self.values = self.v_rows.at(self.v_base, self.key, self.here)
            with b.loop(0, self.count, self.tiling.queries) as rows:
                self._block(rows.index)
        self._finish()

    def _clear(self) -> None:
        b = self.b
        zero, least = b.const(self.vector, 0), b.const(self.together, -math.inf)
        with b.loop(0, b.mul(self.count, self.y_pitch), self.lanes) as loop:
            b.store(self.totals, loop.index, zero)
        with b.loop(0, self.count, self.tiling.together) as loop:
            b.store(self.maxima, loop.index, least)
        lines = b.mul(b.ceildiv(self.count, self.tiling.together), self.tiling.together)
        with b.loop(0, lines) as loop:
            b.store(self.sums, b.mul(loop.index, self.lanes), zero)

    def _block(self, first: Reg) -> None:
        """The part's rows from `first` on, and the keys at hand."""
        b, spec = self.b, self.spec
        self.first = first
        self.height = rest(b, self.count, first, b.i64(self.tiling.queries))
        if not spec.causal:
            self._visible(self.here, diagonal=False)
            return
        start = b.add(self.row, first)
        seen = b.sub(b.add(start, self.height), self.key)
        with b.if_(b.lt(0, seen)):
            with b.if_(b.le(b.add(self.key, self.here), b.add(start, 1))) as branch:
                self._visible(self.here, diagonal=False)
            with branch.else_():
                self._visible(b.min(self.here, seen), diagonal=True)

    def _visible(self, keys: Reg, diagonal: bool) -> None:
        """The block's first keys, which some of its rows see; all rows see all of them unless it is
        on the diagonal."""
        b, tiling, spec = self.b, self.tiling, self.spec
        q = base_of(b, spec.q, {**self.index, spec.row: b.add(self.row, self.first)})
        if self.k_pack is None:
            with b.loop(0, self.height) as loop:
                self._dots(q, loop.index, keys)
        else:
            rows = Rows(q, spec.q.elem, spec.q.stride(spec.row), spec.q.stride(spec.inner))
            store = store_tile(b, self.scores, self.pitch, self.vector)
            terms = self.k_pack.terms(rows)
            multiply(b, tiling.scores, self.acc, self.height, keys, terms, store)
        with b.loop(0, self.height, tiling.together) as loop:
            self._softmax(loop.index, keys, diagonal)
        self._add_values(keys, diagonal)

    def _dots(self, q: Reg, row: Reg, keys: Reg) -> None:
        """The scores of a row, lanes along the elements of each key."""
        b, spec, lanes = self.b, self.spec, self.lanes
        line = b.offset(q, b.mul(row, spec.q.stride(spec.row)), self.acc.elem)
        base = base_of(b, spec.k, {**self.index, spec.key: self.key})
        parts = range(0, spec.depth, lanes)
        masks = [b.tail_mask(n, spec.depth, lanes, self.acc.elem) for n in parts]
        row_parts = [b.load(line, n, self.vector, m) for n, m in zip(parts, masks, strict=True)]
        with b.loop(0, keys, lanes) as loop:
            sums = []
            for j in range(lanes):
                # keys that only fill the last vector are the last one again
                key = b.min(b.add(loop.index, j), b.sub(keys, 1))
                place = b.offset(base, b.mul(key, spec.k.stride(spec.key)), self.acc.elem)
                total = b.const(self.vector, 0)
                for n, m, x in zip(parts, masks, row_parts, strict=True):
                    total = b.fma(x, b.load(place, n, self.vector, m), total)
                sums.append(total)
            found = across(b, sums, lambda b, x, y: b.apply("add", x, y))
            b.store(self.scores, b.affine(loop.index, (row, self.pitch)), found)

    # the softmax ----------------------------------------------------------------------------------

    def _softmax(self, row: Reg, keys: Reg, diagonal: bool) -> None:
        """Scores of some rows of the block become probabilities; their maxima and sums go on."""
        b, tiling = self.b, self.tiling
        number = tiling.together
        places = [b.mul(b.add(row, r), self.pitch) for r in range(number)]
        limits = self._limits(row, keys, number) if diagonal else [keys] * number
        least = b.const(self.vector, -math.inf)

        def maximum(k: Reg, masked: bool, carry: Sequence[Reg]) -> list[Reg]:
            found = []
            for r in range(number):
                x = self._score(row, r, places[r], k, limits[r] if masked else None)
                found.append(larger(b, x, carry[r]))
            return found

        most = across(b, self._along(keys, diagonal, [least] * number, maximum), larger)
        factor = self.spec.scale * LOG2E if self.scaled else 1.0
        state = b.add(self.first, row)
        old = b.load(self.maxima, state, self.together)
        new = larger(b, b.apply("mul", most, b.const(self.together, factor)), old)
        safe = b.where(b.apply("eq", new, -math.inf), b.const(self.together, 0), new)
        fading = exp2_below_zero(b, b.apply("sub", old, safe))
        b.store(self.maxima, state, new)
        b.store(self.factors, state, fading)
        tops = [b.splat(b.extract(safe, r), self.lanes) for r in range(number)]

        def power(k: Reg, masked: bool, carry: Sequence[Reg]) -> list[Reg]:
            found = []
            for r in range(number):
                x = b.load(self.scores, b.add(places[r], k), self.vector)
                if masked:
                    x = limited(b, x, k, limits[r])
                if self.scaled:
                    x = b.fma(x, b.const(self.vector, factor), b.apply("neg", tops[r]))
                else:
                    x = b.apply("sub", x, tops[r])
                p = exp2_below_zero(b, x)
                b.store(self.scores, b.add(places[r], k), p)
                found.append(b.apply("add", carry[r], p))
            return found

        zero = b.const(self.vector, 0)
        sums = self._along(keys, diagonal, [zero] * number, power)
        for r in range(number):
            at = b.mul(b.add(state, r), self.lanes)
            total = b.load(self.sums, at, self.vector)
            b.store(self.sums, at, b.fma(total, b.splat(b.extract(fading, r), self.lanes), sums[r]))

    def _along(self, keys: Reg, diagonal: bool, carry: Sequence[Reg], body: Body) -> Sequence[Reg]:
        """Run the body along the keys; the vectors that need a mask last."""
        b, lanes = self.b, self.lanes
        whole = b.i64(0) if diagonal else b.mul(b.div(keys, lanes), lanes)
        with b.loop(0, whole, lanes, carry) as loop:
            b.yield_(*body(loop.index, False, loop.carry))
        if isinstance(keys.const, int) and whole.const == keys.const:
            return loop.results
        with b.loop(whole, keys, lanes, loop.results) as rest:
            b.yield_(*body(rest.index, True, rest.carry))
        return rest.results

    def _limits(self, row: Reg, keys: Reg, number: int) -> list[Reg]:
        """How many of the keys at hand each row sees."""
        b = self.b
        first = b.sub(b.add(self.row, self.first, row), self.key)
        return [b.max(b.min(keys, b.add(first, r + 1)), 0) for r in range(number)]

    def _score(self, row: Reg, r: int, place: Reg, k: Reg, limit: Reg | None) -> Reg:
        """Scores as the softmax takes them, scaled unless that comes later, with the mask."""
        b, spec = self.b, self.spec
        x = b.load(self.scores, b.add(place, k), self.vector)
        if not self.scaled:
            x = b.apply("mul", x, b.const(self.vector, spec.scale * LOG2E))
        if spec.mask is not None:
            x = self._masked(x, b.add(row, r), k)
        if not self.scaled or spec.mask is not None:
            b.store(self.scores, b.add(place, k), x)
        return x if limit is None else limited(b, x, k, limit)

    def _masked(self, x: Reg, row: Reg, k: Reg) -> Reg:
        b, spec = self.b, self.spec
        # rows that only fill the last vector have no mask of their own
        line = b.add(self.row, b.min(b.add(self.first, row), b.sub(self.count, 1)))
        index = {**self.index, spec.row: line, spec.key: b.add(self.key, k)}
        return masked(b, spec, x, index, b.tail_mask(k, self.here, self.lanes, self.acc.elem))

    # the values -----------------------------------------------------------------------------------

    def _add_values(self, keys: Reg, diagonal: bool) -> None:
        b, spec, tiling = self.b, self.spec, self.tiling
        rows = Rows(self.scores, self.acc.elem, self.pitch, 1)
        start = b.sub(b.add(self.row, self.first), self.key)

        def seen(row: Reg, height: int) -> Reg:
            return b.max(b.min(keys, b.add(start, row, height)), 0)

        term = Term(rows, self.values, seen if diagonal else keys)
        multiply(
            b, tiling.values, self.acc, self.height, b.i64(spec.width), [term], self._add_to_totals
        )

    def _add_to_totals(self, row: Reg, height: int, panel: Panel, sums: Sequence[Reg]) -> None:
        b = self.b
        for r in range(height):
            line = b.add(self.first, row, r)
            factor = b.splat(b.load(self.factors, line, self.acc), self.lanes)
            at = b.affine(panel.n0, (line, self.y_pitch))
            for v in range(panel.vectors):
                place = b.add(at, v * self.lanes)
                total = b.load(self.totals, place, self.vector)
                b.store(self.totals, place, b.fma(total, factor, sums[r * panel.vectors + v]))

    # the results ----------------------------------------------------------------------------------

    def _finish(self) -> None:
        b, tiling = self.b, self.tiling
        with b.loop(0, self.count, tiling.together) as loop:
            self._statistics(loop.index)
        with b.loop(0, self.count) as loop:
            self._row(loop.index)

    def _statistics(self, row: Reg) -> None:
        """The factors of the results, and the log-sum-exp of some rows."""
        b, spec, number = self.b, self.spec, self.tiling.together
        rows = [
            b.load(self.sums, b.mul(b.add(row, r), self.lanes), self.vector) for r in range(number)
        ]
        total = across(b, rows, lambda b, x, y: b.apply("add", x, y))
        zero, one = b.const(self.together, 0), b.const(self.together, 1)
        nothing = b.apply("eq", total, zero)
        inverse = b.apply("div", one, b.where(nothing, one, total))
        b.store(self.factors, row, inverse)
        most = b.load(self.maxima, row, self.together)
        lse = b.fma(most, b.const(self.together, LN2), b.apply("log", total))
        lse = b.where(b.apply("eq", most, math.inf), most, b.where(nothing, zero, lse))
        mask = b.tail_mask(row, self.count, number, self.acc.elem)
        for place in spec.stats:
            base = base_of(b, place, {**self.index, spec.row: b.add(self.row, row)})
            put(b, base, b.i64(0), place.stride(spec.row), lse, mask)

    def _row(self, row: Reg) -> None:
        b, spec = self.b, self.spec
        factor = b.splat(b.load(self.factors, row, self.acc), self.lanes)
        for place in spec.y:
            base = base_of(b, place, {**self.index, spec.row: b.add(self.row, row)})
            step = place.stride(spec.column)
            for n in range(0, spec.width, self.lanes):
                total = b.load(self.totals, b.affine(n, (row, self.y_pitch)), self.vector)
                mask = b.tail_mask(n, spec.width, self.lanes, self.acc.elem)
                value = b.apply("mul", total, factor)
                put(b, base, b.mul(n, step), step, value, mask)
