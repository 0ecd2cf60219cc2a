"""What `settings.verify` asks of every compiled program's memory: a right plan, and kernels that
follow it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from argand.backends.cpu.replay import TooLongError, replay
from argand.base.dim import evaluate
from argand.base.events import emit
from argand.ir.program import Program, Value
from argand.nest.python import StatusError
from argand.nest.target import Target
from argand.passes.memcheck import check_plan, check_sizes
from argand.passes.memory import MemoryPlan
from argand.passes.views import nbytes

__all__ = ["memory_check"]

MOST_BYTES: Final = 1 << 20
"""Programs of larger values are not replayed: Python follows a few accesses a microsecond."""

MOST_ACCESSES: Final = 30_000
"""Where a replay is given up."""

Check = Callable[[Mapping[str, int]], None]
Segments = Sequence[tuple[bool, Sequence[int]]]


def memory_check(program: Program, plan: MemoryPlan, target: Target, segments: Segments) -> Check:
    """Check the plan for all sizes; the function that is returned does so for given ones, and
    replays the program where it is small enough."""
    check_plan(program, plan)

    def check(sizes: Mapping[str, int]) -> None:
        check_sizes(program, plan, sizes)
        roots = [v for v, place in plan.places.items() if place.root is v]
        if sum(evaluate(nbytes(v), sizes) for v in roots) > MOST_BYTES:
            return
        arrays = [_example(v, sizes) for v in [*program.inputs, *program.state]]
        try:
            count = replay(program, plan, target, segments, arrays, sizes, MOST_ACCESSES)
        except (TooLongError, StatusError):
            return  # too many accesses, or zeros are no indices here
        emit("replayed", program=program.name, accesses=count)

    return check


def _example(v: Value, sizes: Mapping[str, int]) -> Any:
    """Elements for an operand; where they are looked up as indices, zero is one."""
    shape = tuple(evaluate(s, sizes) for s in v.shape)
    return np.full(shape, 0 if v.dtype.kind in "iu" else 1, v.dtype.numpy)
