"""Run programs with closed pages beside every buffer, in a process that may crash.

    ARGAND_GUARD_MEMORY=end python guarded_run.py 0:20        random programs of these seeds
    ARGAND_GUARD_MEMORY=end python guarded_run.py reads_far   one with this wrong kernel

Prints each program before it runs, so that what is printed last is what crashed; ends with "done".
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "backends"), str(TESTS / "programs")]

import numpy as np
import pytest
import wrong_kernels
from draw import fault_of, judges_of, seeds_of
from maker import random_program

from argand.backends.cpu import compile_program
from argand.base.settings import settings
from argand.ir.text import parse_program


def random_programs(seeds: range) -> None:
    for seed in seeds:
        drawn = random_program(seed)
        print(f"seed {seed}: {drawn.program}", flush=True)
        wrong = fault_of(drawn, judges_of(drawn), True, False)
        if wrong is not None:
            sys.exit(wrong)


def wrong_kernel(name: str) -> None:
    text = textwrap.dedent(wrong_kernels.CHAIN)
    if name == "writes_beside":  # 24 elements in an arena whose blocks are multiples of 16
        text = text.replace("4, 4", "4, 6").replace("%1: f32[4, 6]", "%1: f32[6, 4]")
        text = text.replace("%2: f32[4, 6]", "%2: f32[4, 4]")
    print(text, flush=True)
    program = parse_program(text)
    with pytest.MonkeyPatch.context() as patch:
        wrong_kernels.put_in_place(patch, getattr(wrong_kernels, name))
        compiled = compile_program(program)
    shape = tuple(map(int, program.inputs[0].shape))
    (found,) = compiled.run([np.ones(shape, np.float32)], ())
    if np.isnan(found).any():
        sys.exit("a result is not a number")


if __name__ == "__main__":
    with settings.using(cache=False):
        for argument in sys.argv[1:]:
            if argument[0].isdigit():
                random_programs(seeds_of(argument))
            else:
                wrong_kernel(argument)
    print("done")
