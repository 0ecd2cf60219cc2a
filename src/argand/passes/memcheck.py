"""Check a memory plan, by other means than the planner's own.

Which values are alive when follows from the program alone, here; the plan then must give memory of
its own to each of those that are alive at the same time, at any sizes that are asked for. What a
kernel does inside is not looked at: whether a result may take over an operand's memory is what the
kernel's own order says (`lowering/order.py`), which `backends/cpu/replay.py` holds against its
loads and stores.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from argand.base.dim import evaluate, same
from argand.base.errors import ProgramError
from argand.ir.families import View
from argand.ir.program import Program, Value, value_name
from argand.passes.memory import ALIGNMENT, MemoryPlan
from argand.passes.schedule import can_fail, may_overwrite
from argand.passes.views import nbytes

__all__ = ["check_plan", "check_sizes"]

Lives = dict[Value, tuple[int, int]]


def check_plan(program: Program, plan: MemoryPlan) -> None:
    """What holds at all sizes; raises ProgramError that names the values."""
    program.number()
    lives = _lives(program, plan)
    _check_homes(program, plan, lives)
    _check_blocks(program, plan, lives)
    _check_takeovers(program, plan, lives)
    _check_failures(program)


def check_sizes(program: Program, plan: MemoryPlan, sizes: Mapping[str, int]) -> None:
    """Whether the arena keeps apart what lives at the same time, for sizes of the symbols."""
    program.number()
    offsets, total = plan.offsets(sizes)
    placed = []
    for v, (birth, death) in _lives(program, plan).items():
        kind, i = plan.homes[v]
        size = evaluate(nbytes(v), sizes)
        if kind == "arena" and size:
            placed.append((birth, death, offsets[i], offsets[i] + size, v, i))
    placed.sort(key=lambda p: p[:4])
    living: list[tuple[int, int, int, int, Value, int]] = []
    for one in placed:
        birth, _, begin, end, v, block = one
        if begin % ALIGNMENT or not 0 <= begin <= end <= total:
            raise _error(program, f"{value_name(v)} is at {begin} of {total} bytes")
        living = [other for other in living if other[1] >= birth]
        for other in living:
            if other[5] != block and other[2] < end and begin < other[3]:
                names = f"{value_name(other[4])} and {value_name(v)}"
                raise _error(program, f"{names} live at the same time and share bytes")
        living.append(one)


def _lives(program: Program, plan: MemoryPlan) -> Lives:
    """For each value with memory of its own the numbers of the node that makes it (-1: nobody) and
    of the last one that reads it, through whatever view."""
    end = len(program.nodes)
    found: Lives = dict.fromkeys([*program.inputs, *program.state], (-1, -1))
    root = {v: v for v in found}
    for at, node in enumerate(program.nodes):
        for v in node.values:
            found[root[v]] = (found[root[v]][0], at)
        for out in node.outputs:
            if plan.places[out].root is out:
                root[out] = out
                found[out] = (at, at)
                continue
            through = isinstance(node.op, View)
            if not through or plan.places[out].root is not root[node.values[0]]:
                raise _error(program, f"{value_name(out)} is a view of another value's memory")
            root[out] = root[node.values[0]]
    kept: list[object] = [*program.results, *program.inputs]
    kept += [v for i, v in enumerate(program.state) if i not in program.writes]
    for o in kept:
        if isinstance(o, Value):
            found[root[o]] = (found[root[o]][0], end)
    return found


def _check_homes(program: Program, plan: MemoryPlan, lives: Lives) -> None:
    """What is given and what is returned is stored in the caller's memory, and nothing else is."""
    wanted: dict[tuple[str, int], list[object]] = {}
    for i, v in enumerate(program.inputs):
        wanted["input", i] = [v]
    for i, v in enumerate(program.state):
        wanted["state", i] = [v, program.writes[i]] if i in program.writes else [v]
    for i, o in enumerate(program.outputs):
        wanted["output", i] = [o]
    for v in lives:
        home = plan.homes.get(v)
        if home is None:
            raise _error(program, f"{value_name(v)} has no memory")
        if home[0] != "arena" and v not in wanted[home]:
            raise _error(program, f"{value_name(v)} is stored in {home[0]} {home[1]}")
    for home, values in wanted.items():
        if any(not isinstance(v, Value) or plan.homes.get(v) != home for v in values):
            raise _error(program, f"what belongs in {home[0]} {home[1]} is not stored there")


def _check_blocks(program: Program, plan: MemoryPlan, lives: Lives) -> None:
    """Blocks of the arena are as large as their values, and there as long as these live."""
    for v, (birth, death) in lives.items():
        kind, i = plan.homes[v]
        if kind != "arena":
            continue
        block = plan.blocks[i]
        if not same(block.size, nbytes(v)):
            raise _error(program, f"{value_name(v)} is in a block of {block.size} bytes")
        if block.start > birth or block.end < death:
            raise _error(program, f"{value_name(v)} lives longer than its block of the arena")


def _check_takeovers(program: Program, plan: MemoryPlan, lives: Lives) -> None:
    """Values that share a place live one after the other; a result may take over the memory of an
    operand that dies where it is made, if its kernel reads first."""
    sharing: dict[tuple[str, int], list[Value]] = {}
    for v in sorted(lives, key=lambda v: lives[v]):
        sharing.setdefault(plan.homes[v], []).append(v)
    for values in sharing.values():
        for before, v in itertools.pairwise(values):
            death, birth = lives[before][1], lives[v][0]
            if birth < 0 or death > birth or lives[before][0] == birth:
                names = f"{value_name(before)} and {value_name(v)}"
                raise _error(program, f"{names} live at the same time in one place")
            node = program.nodes[birth]
            if death == birth and not may_overwrite(node, before, v, plan.places):
                names = f"{value_name(v)} is stored over {value_name(before)}"
                raise _error(program, f"{names}, which its kernel still reads")


def _check_failures(program: Program) -> None:
    """What may fail comes before state is written, so that a failed call changes nothing."""
    writers = {v.node for v in program.writes.values() if isinstance(v, Value)}
    written: Value | None = None
    for node in program.nodes:
        if written is not None and can_fail(node):
            what = value_name(node.outputs[0])
            raise _error(program, f"{what} may fail once {value_name(written)} is written")
        if node in writers:
            written = node.outputs[0]


def _error(program: Program, what: str) -> ProgramError:
    return ProgramError(f"{program.name}: {what}; the memory plan is wrong, a defect of Argand")
