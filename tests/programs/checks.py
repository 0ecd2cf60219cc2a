"""What random programs are asked: each pass keeps the meaning, and machine code has it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from judging import Judge

from argand.backends.cpu import compile_program
from argand.backends.cpu.compiler import is_native
from argand.base.errors import ShapeError
from argand.codegen.llvm.target import named_target
from argand.ir.interpret import interpret
from argand.ir.program import Program
from argand.ir.verify import verify
from argand.passes.pipeline import PASSES
from argand.passes.schedule import schedule
from argand.runtime.threads import get_num_threads, set_num_threads
from machines import HERE

Pass = Callable[[Program], Program]
THREADS = (1, 2, 5)
# What the interpreter says of the largest element of a symbolic size that is 0: a softmax of no
# rows, which is empty, has that in its body. Kernels don't mind.
NOTHING = "the operation has no value for nothing"


def scheduled(program: Program) -> Program:
    """The schedule as a pass."""
    return schedule(program, is_native)


def machine_of(seed: int) -> tuple[str, int]:
    """The target and the number of threads that a seed's program runs with."""
    return HERE[seed % len(HERE)], THREADS[seed // len(HERE) % len(THREADS)]


def run_native(
    program: Program, calls: Sequence[Sequence[Any]], target: str = "host", threads: int = 1
) -> list[list[np.ndarray]]:
    """The results of calls of a compiled program, outputs and then written state."""
    compiled = compile_program(program, named_target(target))
    count = len(program.inputs)
    before = get_num_threads()
    results = []
    try:
        set_num_threads(threads)
        for arrays in calls:
            state = [np.array(a) for a in arrays[count:]]
            outputs = compiled.run([np.array(a) for a in arrays[:count]], state)
            kept = [np.array(a) for a in outputs]
            results.append([*kept, *(state[i] for i in sorted(program.writes))])
    finally:
        set_num_threads(before)
    return results


def interpreted(after: Program, arrays: Sequence[Any], before: Program) -> list[Any]:
    """The results that `before` has, of what a pass made of it: state that keeps its value need
    not be written any more."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no elements
        results = interpret(after, arrays)
    outputs, count = results[: len(after.outputs)], len(after.inputs)
    written = dict(zip(sorted(after.writes), results[len(outputs) :], strict=True))
    return [*outputs, *(written.get(i, arrays[count + i]) for i in sorted(before.writes))]


def native_fault(
    program: Program,
    calls: Sequence[Sequence[Any]],
    judges: Sequence[Judge],
    target: str = "host",
    threads: int = 1,
) -> str | None:
    """What is wrong with the machine code of a program; None when all calls agree."""
    where = f"on {target} with {threads} thread(s)"
    try:
        found = run_native(program, calls, target, threads)
    except Exception as error:  # whatever it is, the program is at fault
        return f"{where}: {type(error).__name__}: {error}"
    for judge, results in zip(judges, found, strict=True):
        wrong = judge.disagreement(results)
        if wrong is not None:
            return f"{where}: {wrong}"
    return None


def pass_fault(
    program: Program,
    calls: Sequence[Sequence[Any]],
    judges: Sequence[Judge],
    passes: Sequence[Pass] = (*PASSES, scheduled),
) -> str | None:
    """The first pass whose result means something else; None when all keep the meaning."""
    for step in passes:
        after = None
        try:
            after = verify(step(program))
            for arrays, judge in zip(calls, judges, strict=True):
                try:
                    results = interpreted(after, arrays, judge.program)
                except ShapeError as error:
                    if NOTHING in str(error) and any(0 in a.shape for a in arrays):
                        continue
                    raise
                wrong = judge.disagreement(results)
                if wrong is not None:
                    return f"after the pass {step.__name__}: {wrong}"
        except Exception as error:  # whatever it is, say which pass it follows
            return f"after the pass {step.__name__}: {type(error).__name__}: {error}"
        program = after
    return None
