"""The innermost loop of a reduction: several chains side by side, combined by a fixed tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from argand.ir import scalar
from argand.loops.accumulate import BLOCK_CHAIN
from argand.loops.cursor import Cursor
from argand.loops.element import Point, reachable
from argand.loops.index import Axis
from argand.loops.nest import Reg, Ty
from argand.loops.schedule import Number, known

__all__ = ["Chain"]

Body = Callable[[Sequence[Reg]], list[Reg]]

CHEAP_FLOPS = 30.0


@dataclasses.dataclass(frozen=True)
class Chain:
    """Walks `axis` in vectors, carrying one register for each of the reductions `prims`.

    Vectors go to the chains in turn; a chain is at most `BLOCK_CHAIN` long before it is added to
    the whole, so that long float32 sums stay accurate. The order depends on the length, the code
    and the target alone: how many chains there are decides it.
    """

    cursor: Cursor
    axis: Axis
    lanes: int
    prims: Sequence[str]
    types: Sequence[Ty]
    start: Sequence[Reg]

    def run(
        self,
        roots: Sequence[Point],
        body: Body,
        totals: Sequence[Reg],
        low: Number,
        high: Number,
    ) -> list[Reg]:
        """Add what `body` gives from `low` to `high` onto the totals; the last vector is masked."""
        b, lanes = self.cursor.b, self.lanes
        count = b.sub(high, low)
        size = known(count)
        chains = self._count(roots, size)
        unit = lanes * chains
        whole = b.add(low, b.mul(b.div(count, unit), unit)) if chains > 1 else b.add(low, 0)
        found = list(totals)
        if known(b.sub(whole, low)) != 0:
            found = self._chained(body, found, low, whole, chains, size)
        end = b.add(low, b.mul(b.div(count, lanes), lanes))
        if known(b.sub(end, whole)) != 0:
            found = self._turns(body, found, whole, end, 1)
        if lanes > 1 and not (size is not None and size % lanes == 0):
            found = self._turns(body, found, end, high, 1, high)
        return found

    def _count(self, roots: Sequence[Point], size: int | None) -> int:
        """How many vectors are walked side by side: enough to hide an addition's latency, with the
        sums in half of the target's registers at most."""
        if not self.prims:
            return 2
        flops = sum(scalar.flops(p.payload) for p in reachable(roots) if p.kind == "expr")
        target = self.cursor.env.target
        held = [-(-ty.lanes * ty.bytes // target.vector_bytes) for ty in self.types]
        most = max(1, (4 if flops < CHEAP_FLOPS else 2) // max(held))
        while most > 1 and most * sum(held) > target.vector_registers // 2:
            most //= 2
        while size is not None and most > 1 and size < most * self.lanes:
            most //= 2
        return most

    def _chained(
        self,
        body: Body,
        totals: list[Reg],
        low: Number,
        whole: Reg,
        chains: int,
        size: int | None,
    ) -> list[Reg]:
        b = self.cursor.b
        fresh = list(self.start) * chains
        block = BLOCK_CHAIN * self.lanes * chains
        if self.prims and (size is None or size > block):
            with b.loop(low, whole, block, totals) as loop:
                end = b.min(b.add(loop.index, block), whole)
                part = self._turns(body, fresh, loop.index, end, chains)
                b.yield_(*self._combined(loop.carry, self._merged(part)))
            return list(loop.results)
        part = self._turns(body, fresh, low, whole, chains)
        return self._combined(totals, self._merged(part)) if self.prims else []

    def _turns(
        self,
        body: Body,
        carried: Sequence[Reg],
        low: Number,
        high: Number,
        step: int,
        mask_to: Number | None = None,
    ) -> list[Reg]:
        """`step` vectors a turn, each with registers of its own."""
        cursor, b, lanes, width = self.cursor, self.cursor.b, self.lanes, len(self.prims)
        with b.loop(low, high, lanes * step, list(carried)) as loop:
            found: list[Reg] = []
            for u in range(step):
                with cursor.scope():
                    at = cursor.at[self.axis] = b.add(loop.index, u * lanes)
                    mask = None if mask_to is None else b.tail_mask(at, mask_to, lanes)
                    cursor.along(self.axis, lanes, mask)
                    found += body(loop.carry[u * width : (u + 1) * width])
            b.yield_(*found)
        return list(loop.results)

    def _merged(self, held: Sequence[Reg]) -> list[Reg]:
        """The chains added up: the upper half onto the lower, until one is left."""
        width = len(self.prims)
        if not width:
            return []
        groups = [list(held[i : i + width]) for i in range(0, len(held), width)]
        while len(groups) > 1:
            half = len(groups) // 2
            groups = [self._combined(groups[i], groups[i + half]) for i in range(half)]
        return groups[0]

    def _combined(self, xs: Sequence[Reg], ys: Sequence[Reg]) -> list[Reg]:
        b = self.cursor.b
        return [b.apply(prim, x, y) for prim, x, y in zip(self.prims, xs, ys, strict=True)]
