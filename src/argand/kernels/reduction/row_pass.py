"""A pass along a row: a body for each vector, and the sums that it carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from argand.kernels.reduction.chains import Chain, accumulates, additions, cascade
from argand.kernels.reduction.loops import RowLoops
from argand.kernels.reduction.partials import sum_type
from argand.kernels.reduction.plan import Reduction
from argand.lowering.affine import Axis
from argand.lowering.emitter import Emitter
from argand.lowering.identities import identity_value
from argand.lowering.points import Point
from argand.lowering.space import extent
from argand.nest.builder import IntOrReg, Reg, static

__all__ = ["RowPass"]

Body = Callable[[Sequence[Reg]], list[Reg]]


class RowPass:
    """Passes along rows with the loops `row`: all of a row, or the innermost where a long row is
    cut into pieces of at most `most` elements."""

    def __init__(
        self, emitter: Emitter, loops: RowLoops, row: Sequence[Axis], most: int | None = None
    ) -> None:
        self.emitter, self.b, self.loops = emitter, emitter.b, loops
        self.row, self.most = list(row), most

    def run(
        self,
        sums: Sequence[Reduction],
        roots: Sequence[Point],
        body: Body,
        bounds: tuple[IntOrReg, IntOrReg] | None = None,
    ) -> list[Reg]:
        """Run `body` for each vector of a row, carrying the sums; in several chains."""
        b, emitter, lanes = self.b, self.emitter, self.loops.lanes
        wide = [sum_type(r).with_lanes(lanes) for r in sums]
        identities = [identity_value(r.node) for r in sums]
        if self.loops.across or not self.row:
            start = [b.const(ty, value) for ty, value in zip(wide, identities, strict=True)]
            return self._loops(self.row, sums, start, start, roots, body)
        *outer, inner = self.row
        low, high = bounds if bounds is not None else (0, emitter.size(extent(emitter, inner)))
        chain = Chain(emitter, inner, lanes, [r.prim for r in sums], wide, identities)

        def innermost(accs: Sequence[Reg]) -> list[Reg]:
            return chain.run(body, accs, low, high, self.most)

        start = chain.totals()
        return self._loops(outer, sums, start, start, roots, innermost)

    def _loops(
        self,
        axes: Sequence[Axis],
        sums: Sequence[Reduction],
        carried: Sequence[Reg],
        fresh: Sequence[Reg],
        roots: Sequence[Point],
        body: Body,
    ) -> list[Reg]:
        """`body` for all places along the axes, added to the sums that are carried."""
        if not axes:
            with self.emitter.scope():
                return body(carried)
        b, emitter = self.b, self.emitter
        axis, *rest = axes

        def run(low: IntOrReg, high: IntOrReg, accs: Sequence[Reg]) -> list[Reg]:
            with b.loop(low, high, 1, list(accs)) as loop, emitter.scope():
                emitter.at[axis] = loop.index
                emitter.hoist(roots, frozenset(self.row) - {a for a in self.row if a in emitter.at})
                b.yield_(*self._loops(rest, sums, loop.carry, fresh, roots, body))
            return list(loop.results)

        size = emitter.size(extent(emitter, axis))
        if not accumulates([r.prim for r in sums]):
            return run(0, size, carried)
        inner = [static(emitter.size(extent(emitter, a))) for a in rest]
        return cascade(b, size, carried, fresh, self._merger(sums), run, additions(inner))

    def _merger(self, sums: Sequence[Reduction]) -> Callable[..., list[Reg]]:
        """Adds one list of sums to another."""

        def merge(xs: Sequence[Reg], ys: Sequence[Reg]) -> list[Reg]:
            return [self.combine(r, x, y) for r, x, y in zip(sums, xs, ys, strict=True)]

        return merge

    # what is added --------------------------------------------------------------------------------

    def wide(self, r: Reduction, value: Reg) -> Reg:
        """A value in the type that a reduction accumulates in."""
        return self.b.cast(value, sum_type(r).elem)

    def operand(self, r: Reduction) -> Reg:
        """The operand in the accumulator's type; lanes that don't exist give the identity."""
        b, emitter = self.b, self.emitter
        value = b.splat(self.wide(r, emitter.emit(r.operand)), emitter.lanes)
        if emitter.mask is None or self.loops.across or r.kind == "col":
            return value
        return b.where(emitter.mask, value, identity_value(r.node))

    def combine(self, r: Reduction, acc: Reg, value: Reg) -> Reg:
        """What a reduction makes of two values."""
        return self.b.apply(r.prim, acc, value)
