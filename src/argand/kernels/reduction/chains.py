"""The innermost loop of a reduction: several independent chains, combined by a fixed tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from argand.base.sums import BLOCK_CHAIN
from argand.lowering.affine import Axis
from argand.lowering.emitter import Emitter
from argand.nest.builder import IntOrReg, NestBuilder, Reg, Ty, static

__all__ = ["Chain", "accumulates", "additions", "cascade"]

Body = Callable[[Sequence[Reg]], list[Reg]]

CHAINS = 4
"""Registers' worth of sums that a row is added to in turn: enough to hide an addition's latency."""


@dataclasses.dataclass(frozen=True)
class Chain:
    """Loops over `axis` in vectors, carrying one register for each of the reductions `prims`.

    Element i goes to sum i mod W, where W is what `CHAINS` registers hold; a block of `BLOCK_CHAIN`
    elements each is added up to one register, half onto half; blocks are added in order, and so are
    blocks of `BLOCK_CHAIN` blocks. So the order depends on the length, the dtype of the sums and
    the target, not on how many lanes the code around it takes at a time; only where the sums of
    several reductions would fill the registers, W is less.
    """

    emitter: Emitter
    axis: Axis
    lanes: int
    prims: Sequence[str]
    types: Sequence[Ty]
    identities: Sequence[Any]

    def totals(self) -> list[Reg]:
        """What sums start from: of each reduction no more than one register."""
        return [
            self.emitter.b.const(ty.with_lanes(min(ty.lanes, self._register(ty))), value)
            for ty, value in zip(self.types, self.identities, strict=True)
        ]

    def _fresh(self, chains: int) -> list[Reg]:
        pairs = zip(self.types, self.identities, strict=True)
        return [self.emitter.b.const(ty, value) for ty, value in pairs] * chains

    def _register(self, ty: Ty) -> int:
        return self.emitter.context.target.vector_bytes // ty.bytes

    def run(
        self,
        body: Body,
        totals: Sequence[Reg],
        low: IntOrReg,
        high: IntOrReg,
        most: int | None = None,
    ) -> list[Reg]:
        """Add what `body` gives from `low` to `high` onto the totals; there are at most `most`
        elements, if that is known. The last vector is masked."""
        b = self.emitter.b
        size = static(b.sub(high, low))
        if not self.prims:
            self._plain(body, low, high, size)
            return []
        chains = self._count(size)
        whole = self._whole(low, high, self.lanes * chains)
        block = BLOCK_CHAIN * self.lanes * chains
        most = most if size is None else size
        if not accumulates(self.prims) or (most is not None and most < block + self.lanes * chains):
            sums = self._iterations(body, self._fresh(chains), low, whole, chains)
            sums = self._rest(body, sums, whole, high, size)
            return self._combined(totals, self._merged(sums))
        part, sums = self._blocks(body, low, whole, chains, most)
        sums = self._rest(body, sums, whole, high, size)
        return self._combined(totals, self._combined(part, self._merged(sums)))

    def _whole(self, low: IntOrReg, high: IntOrReg, unit: int) -> Reg:
        """The end of the last whole unit."""
        b = self.emitter.b
        if unit == 1:
            return b.add(high, 0)
        return b.add(low, b.mul(b.div(b.sub(high, low), unit), unit))

    def _count(self, size: int | None) -> int:
        """How many chains run at once. Short rows need fewer: sums that nothing is
        added to change nothing. All sums together take half of the target's registers at most."""
        target = self.emitter.context.target
        least = min(ty.bytes for ty in self.types)
        width = CHAINS * target.vector_bytes // least
        held = sum(ty.bytes for ty in self.types) / least * CHAINS
        while width > self.lanes and held > target.vector_registers // 2:
            width, held = width // 2, held / 2
        chains = max(1, width // self.lanes)
        if size is not None:
            vectors = max(1, -(-size // self.lanes))
            chains = min(chains, 1 << (vectors - 1).bit_length())
        return chains

    def _plain(self, body: Body, low: IntOrReg, high: IntOrReg, size: int | None) -> None:
        """A loop without sums, two vectors an iteration."""
        lanes = self.lanes
        whole = self._whole(low, high, 2 * lanes)
        end = self._whole(low, high, lanes)
        self._iterations(body, [], low, whole, 2)
        self._iterations(body, [], whole, end, 1)
        if lanes > 1 and not (size is not None and size % lanes == 0):
            self._iterations(body, [], end, high, 1, high)

    def _blocks(
        self, body: Body, low: IntOrReg, whole: Reg, chains: int, most: int | None
    ) -> tuple[list[Reg], list[Reg]]:
        """(the blocks but the last one added up, the sums of the last one): the end of a row, which
        fills no unit, still belongs to it."""
        b, width = self.emitter.b, len(self.prims)
        fresh, zeros = self._fresh(chains), self.totals()
        block = BLOCK_CHAIN * self.lanes * chains

        def blocks(first: IntOrReg, end: IntOrReg, carried: list[Reg]) -> list[Reg]:
            with b.loop(first, end, block, carried) as loop:
                part, sums = list(loop.carry[:width]), list(loop.carry[width:])
                part = self._combined(part, self._merged(sums))
                stop = b.min(b.add(loop.index, block), whole)
                b.yield_(*part, *self._iterations(body, fresh, loop.index, stop, chains))
            return list(loop.results)

        if most is not None and most <= BLOCK_CHAIN * block:
            found = blocks(low, whole, [*zeros, *fresh])
            return found[:width], found[width:]
        with b.loop(low, whole, BLOCK_CHAIN * block, [*zeros, *fresh]) as loop:
            total, sums = list(loop.carry[:width]), list(loop.carry[width:])
            stop = b.min(b.add(loop.index, BLOCK_CHAIN * block), whole)
            found = blocks(loop.index, stop, [*zeros, *sums])
            b.yield_(*self._combined(total, found[:width]), *found[width:])
        found = list(loop.results)
        return found[:width], found[width:]

    def _rest(
        self, body: Body, sums: list[Reg], low: Reg, high: IntOrReg, size: int | None
    ) -> list[Reg]:
        """What fills no unit, a vector for each chain."""
        lanes, width = self.lanes, len(self.prims)
        if size is None:
            end = self._whole(low, high, lanes)
            sums = self._rotating(body, sums, low, end)
            return self._rotating(body, sums, end, high, high) if lanes > 1 else sums
        rest = size % (lanes * (len(sums) // width))
        for u in range(-(-rest // lanes)):
            masked = rest < (u + 1) * lanes
            at = self.emitter.b.add(low, u * lanes)
            mine = slice(u * width, (u + 1) * width)
            end = self.emitter.b.add(at, lanes)
            sums[mine] = self._iterations(body, sums[mine], at, end, 1, high if masked else None)
        return sums

    def _rotating(
        self,
        body: Body,
        sums: list[Reg],
        low: IntOrReg,
        high: IntOrReg,
        mask_to: IntOrReg | None = None,
    ) -> list[Reg]:
        """A vector an iteration, to the chains in rotation: they change places instead of being
        counted, since half is added onto half in the end, which finds the same pairs from wherever
        it starts."""
        b, lanes, width = self.emitter.b, self.lanes, len(self.prims)
        with b.loop(low, high, lanes, sums) as loop:
            first, others = loop.carry[:width], loop.carry[width:]
            b.yield_(*others, *self._vector(body, first, loop.index, mask_to))
        return list(loop.results)

    def _iterations(
        self,
        body: Body,
        carried: Sequence[Reg],
        low: IntOrReg,
        high: IntOrReg,
        step: int,
        mask_to: IntOrReg | None = None,
    ) -> list[Reg]:
        """`step` vectors an iteration, each with registers of its own."""
        b, lanes, width = self.emitter.b, self.lanes, len(self.prims)
        if static(b.sub(high, low)) == 0:
            return list(carried)
        with b.loop(low, high, lanes * step, list(carried)) as loop:
            found: list[Reg] = []
            for u in range(step):
                at = b.add(loop.index, u * lanes)
                mine = loop.carry[u * width : (u + 1) * width]
                found += self._vector(body, mine, at, mask_to)
            b.yield_(*found)
        return list(loop.results)

    def _vector(
        self, body: Body, carried: Sequence[Reg], at: Reg, mask_to: IntOrReg | None
    ) -> list[Reg]:
        emitter, b, lanes = self.emitter, self.emitter.b, self.lanes
        with emitter.scope():
            emitter.at[self.axis] = at
            mask = None if mask_to is None else b.tail_mask(at, mask_to, lanes)
            emitter.along(self.axis, lanes, mask)
            return body(carried)

    def _merged(self, held: Sequence[Reg]) -> list[Reg]:
        """The chains added up to one register each: the upper half onto the lower."""
        b, width = self.emitter.b, len(self.prims)
        groups = [list(held[i : i + width]) for i in range(0, len(held), width)]
        while len(groups) > 1:
            half = len(groups) // 2
            groups = [self._combined(groups[i], groups[i + half]) for i in range(half)]
        pairs = zip(groups[0], self.prims, strict=True)
        return [b.halved(prim, x, self._register(x.ty)) for x, prim in pairs]

    def _combined(self, xs: Sequence[Reg], ys: Sequence[Reg]) -> list[Reg]:
        b = self.emitter.b
        return [b.apply(prim, x, y) for prim, x, y in zip(self.prims, xs, ys, strict=True)]


def additions(sizes: Sequence[int | None]) -> int:
    """How many additions in a row `cascade` makes of loops of so many steps, one inside the other,
    before it goes to the next level."""
    found = 1
    for size in reversed(sizes):
        per = max(1, BLOCK_CHAIN // found)
        if size is None or size > per * BLOCK_CHAIN:
            found = BLOCK_CHAIN
        else:
            found = max(1, size * found) if size <= per else -(-size // per)
    return found


def cascade(
    b: NestBuilder,
    count: IntOrReg,
    carried: Sequence[Reg],
    fresh: Sequence[Reg],
    combine: Callable[[Sequence[Reg], Sequence[Reg]], list[Reg]],
    run: Callable[[IntOrReg, IntOrReg, Sequence[Reg]], list[Reg]],
    span: int = 1,
) -> list[Reg]:
    """`run(low, high, sums)` from 0 to `count`, each step of which adds `span` times in a row:
    where that would be more than `BLOCK_CHAIN`, in blocks whose sums start afresh, and blocks of
    blocks."""
    size, per = static(count), max(1, BLOCK_CHAIN // span)
    if size is not None and size <= per:
        return run(0, count, carried)

    def blocks(low: IntOrReg, high: IntOrReg, sums: Sequence[Reg]) -> list[Reg]:
        with b.loop(low, high, per, list(sums)) as loop:
            part = run(loop.index, b.min(b.add(loop.index, per), high), fresh)
            b.yield_(*combine(loop.carry, part))
        return list(loop.results)

    if size is not None and size <= per * BLOCK_CHAIN:
        return blocks(0, count, carried)
    unit = per * BLOCK_CHAIN
    with b.loop(0, count, unit, list(carried)) as loop:
        part = blocks(loop.index, b.min(b.add(loop.index, unit), count), fresh)
        b.yield_(*combine(loop.carry, part))
    return list(loop.results)


def accumulates(prims: Sequence[str]) -> bool:
    """Whether rounding errors add up in one of the reductions."""
    return any(prim in ("add", "mul") for prim in prims)
