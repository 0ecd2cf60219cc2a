"""One long row: everything is reduced, so the row is cut into pieces of a fixed length."""

from __future__ import annotations

from collections.abc import Sequence

from argand.kernels.reduction.loops import RowLoops
from argand.kernels.reduction.partials import Partials
from argand.kernels.reduction.plan import RowPlan
from argand.kernels.reduction.results import Results
from argand.kernels.reduction.row_pass import RowPass
from argand.lowering.emitter import Emitter
from argand.lowering.parallel import ns_per_element, product, unflatten
from argand.lowering.points import Point
from argand.lowering.space import extent
from argand.nest.builder import Reg, folded, static

__all__ = ["LongRow"]

VIRTUAL_ROW = 4096
"""Elements of the pieces that one long row is cut into."""

VIRTUAL_CHUNK = 4 * VIRTUAL_ROW
"""Elements of its chunks at least."""


class LongRow:
    """Emits a plan that reduces everything."""

    def __init__(self, emitter: Emitter, plan: RowPlan, loops: RowLoops, results: Results) -> None:
        b = emitter.b
        self.emitter, self.b, self.plan, self.results = emitter, b, plan, results
        *self.outer, self.inner = loops.row
        self.length = emitter.size(extent(emitter, self.inner))
        self.pieces = folded(b.max(b.ceildiv(self.length, VIRTUAL_ROW), 1))
        self.rows = product(b, [loops.length(self.outer), self.pieces])
        ns = ns_per_element(loops.points, loops.lanes, 0, self.inner)
        size = b.min(VIRTUAL_ROW, self.length)
        least = b.max(b.div(VIRTUAL_CHUNK, b.max(size, 1)), 1)
        self.row_pass = RowPass(emitter, loops, [self.inner], VIRTUAL_ROW)
        self.partials = Partials(
            emitter,
            plan.reductions,
            loops,
            self.rows,
            10.0 + ns * (static(size) or VIRTUAL_ROW),
            folded(least),
        )

    def emit(self) -> None:
        """The whole kernel."""
        b, emitter = self.b, self.emitter
        roots = [r.operand for r in self.plan.reductions]

        def add_pieces(low: Reg, high: Reg) -> None:
            with b.loop(low, high) as loop, emitter.scope():
                unflatten(emitter, self.outer, b.div(loop.index, self.pieces))
                first = b.mul(b.rem(loop.index, self.pieces), VIRTUAL_ROW)
                emitter.hoist(roots, frozenset((self.inner,)))
                self._add_piece(roots, first, b.min(b.add(first, VIRTUAL_ROW), self.length))

        with self.partials.chunks(self.rows) as (low, high), emitter.scope():
            emitter.hoist(roots, frozenset(self.plan.space.axes))
            self.partials.in_blocks(low, high, add_pieces)
        self._finish()

    def _add_piece(self, roots: Sequence[Point], low: Reg, high: Reg) -> None:
        sums, row = self.plan.reductions, self.row_pass

        def body(accs: Sequence[Reg]) -> list[Reg]:
            return [row.combine(r, acc, row.operand(r)) for r, acc in zip(sums, accs, strict=True)]

        for r, total in zip(sums, row.run(sums, roots, body, (low, high)), strict=True):
            self.partials.add_one(r, self.b.reduce(r.prim, total))

    def _finish(self) -> None:
        b, emitter = self.b, self.emitter
        with emitter.scope():
            emitter.vector = None
            for r in self.partials.sums:
                emitter.remember(r.result, b.cast(self.partials.total(r, None), r.result.elem))
            self.results.store(self.plan.outputs)
