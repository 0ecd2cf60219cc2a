"""Plan memory: every value that is neither given nor a result gets a place in one arena.

A value lives from the node that makes it to the last node that reads it (or a view of it). Two
values that don't live at the same time may share bytes, and a result may take over the memory of an
input that dies there, where the node allows it. Sizes may be symbolic: who lives when is decided
once, offsets are computed for the sizes of a call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from argand.base.dim import Dim, Extent, Shape, evaluate, same
from argand.base.settings import settings
from argand.ir.program import Program, Value
from argand.passes.schedule import may_overwrite
from argand.passes.views import StridedView, nbytes, places
from argand.runtime.guarded import PAGE, Fence

ALIGNMENT = 64

Takeovers = list[tuple[int, int, int]]
"""Results that take the memory of an operand: the numbers of node, result and operand."""


@dataclasses.dataclass(slots=True)
class ArenaBlock:
    """Memory in the arena: bytes needed from node number `start` to node number `end`."""

    size: Extent
    start: int
    end: int


@dataclasses.dataclass(slots=True)
class MemoryPlan:
    """Where every value is stored.

    `homes` gives for each root value its memory: ``("input", i)``, ``("state", i)``,
    ``("output", i)`` or ``("arena", i)`` with `i` counting `blocks`.
    """

    places: dict[Value, StridedView]
    homes: dict[Value, tuple[str, int]]
    blocks: list[ArenaBlock]
    takeovers: Takeovers

    @property
    def is_static(self) -> bool:
        """Whether the arena's size is known without a call."""
        return not any(isinstance(b.size, Dim) for b in self.blocks)

    def offsets(self, sizes: Mapping[str, int]) -> tuple[list[int], int]:
        """The offset of each block in bytes for given sizes of the symbols, and the total."""
        given = [evaluate(b.size, sizes) for b in self.blocks]
        if settings.guard_memory:
            return fenced_off(given, settings.guard_memory)[:2]
        return assign(given, self.blocks)

    def fence(self, sizes: Mapping[str, int]) -> Fence:
        """The arena, with closed pages between the blocks; with `settings.guard_memory` only."""
        given = [evaluate(b.size, sizes) for b in self.blocks]
        return Fence(*fenced_off(given, settings.guard_memory)[1:])


def plan_memory(
    program: Program,
    strides: Mapping[int, Shape] | None = None,
    takeovers: Takeovers | None = None,
) -> MemoryPlan:
    """Places for all values of a scheduled program; its results must be own and distinct.

    `strides` gives those of the inputs that aren't dense, by number. `takeovers` are those of an
    earlier plan of the same program, which saves asking every kernel again.
    """
    return _Planner(program, strides, takeovers).run()


class _Planner:
    def __init__(
        self, program: Program, strides: Mapping[int, Shape] | None, known: Takeovers | None
    ) -> None:
        self.program = program
        self.known = None if known is None else {(at, o): v for at, o, v in known}
        self.takeovers: Takeovers = []
        self.places = places(program, strides)
        self.last = self._last_reads()
        self.homes: dict[Value, tuple[str, int]] = {}
        self.blocks: list[ArenaBlock] = []

    def run(self) -> MemoryPlan:
        program = self.program
        for kind, values in (("input", program.inputs), ("state", program.state)):
            self.homes.update((v, (kind, i)) for i, v in enumerate(values))
        for i, new in program.writes.items():
            assert isinstance(new, Value)
            self.homes[new] = ("state", i)
        for i, out in enumerate(program.outputs):
            assert isinstance(out, Value)
            self.homes[out] = ("output", i)
        for at in range(len(program.nodes)):
            self._place_outputs(at)
        return MemoryPlan(self.places, self.homes, self.blocks, self.takeovers)

    def _last_reads(self) -> dict[Value, int]:
        """The last node that reads each root, through whatever view."""
        last: dict[Value, int] = {}
        for at, node in enumerate(self.program.nodes):
            for v in node.values:
                last[self.places[v].root] = at
        return last

    def _place_outputs(self, at: int) -> None:
        node = self.program.nodes[at]
        taken: set[int] = set()
        for out in node.outputs:
            if self.places[out].root is not out or out in self.homes:
                continue
            end = self.last.get(out, at)
            shared = self._taken_over(at, out, taken)
            if shared is not None:
                taken.add(shared)
                self.blocks[shared].end = end
                self.homes[out] = ("arena", shared)
            else:
                self.homes[out] = ("arena", len(self.blocks))
                self.blocks.append(ArenaBlock(nbytes(out), at, end))

    def _taken_over(self, at: int, out: Value, taken: set[int]) -> int | None:
        """The block of an input that dies at this node and that `out` may overwrite; not one that
        another result of the node has taken."""
        node = self.program.nodes[at]
        for number, v in enumerate(node.values):
            root = self.places[v].root
            kind, block = self.homes[root]
            if kind != "arena" or self.last[root] != at or block in taken:
                continue
            if root.dtype is not out.dtype or not same(nbytes(root), nbytes(out)):
                continue
            if self._allows(at, out, number, root):
                self.takeovers.append((at, out.index, number))
                return block
        return None

    def _allows(self, at: int, out: Value, number: int, root: Value) -> bool:
        """Whether a node may store a result over its operand of that number."""
        if self.known is not None:
            return self.known.get((at, out.index)) == number
        return may_overwrite(self.program.nodes[at], root, out, self.places)


def assign(sizes: Sequence[int], blocks: Sequence[ArenaBlock]) -> tuple[list[int], int]:
    """Offsets in bytes so that blocks that live at the same time don't overlap, and the total.

    The largest blocks are placed first, each at the lowest offset that is free all its life.
    """
    offsets = [0] * len(sizes)
    placed: list[int] = []
    total = 0
    for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        size = -(-sizes[i] // ALIGNMENT) * ALIGNMENT
        block = blocks[i]
        taken = sorted(
            (offsets[j], offsets[j] + sizes[j])
            for j in placed
            if blocks[j].start <= block.end and block.start <= blocks[j].end
        )
        at = 0
        for begin, end in taken:
            if begin >= at + size:
                break
            at = max(at, -(-end // ALIGNMENT) * ALIGNMENT)
        offsets[i] = at
        placed.append(i)
        total = max(total, at + size)
    return offsets, total


def fenced_off(
    sizes: Sequence[int], side: str
) -> tuple[list[int], int, list[int], list[tuple[int, int]]]:
    """Offsets at which every block has pages to itself, between closed ones, for its whole life and
    beyond; then the total, the closed pages, and the gaps between blocks and pages."""
    offsets, closed, gaps = [], [0], []
    at = PAGE
    for size in sizes:
        end = at + -(-size // PAGE) * PAGE
        begin = at if side == "start" else end - -(-size // ALIGNMENT) * ALIGNMENT
        offsets.append(begin)
        gaps += [(at, begin), (begin + size, end)]
        closed.append(end)
        at = end + PAGE
    return offsets, at, closed, gaps
