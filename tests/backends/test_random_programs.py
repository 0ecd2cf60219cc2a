"""Random programs: compiled against the float64 interpreter, forward and backward."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from random_programs import random_program

from argand.backends.cpu import compile_program
from argand.base.dim import Dim
from argand.base.dtype import float32
from argand.base.settings import settings
from argand.codegen.llvm.target import named_target
from argand.ir.interpret import interpret
from argand.ir.program import Program
from argand.runtime.threads import get_num_threads, set_num_threads
from argand.transform.graph import differentiate
from machines import FORCED
from nearness import assert_near


@pytest.fixture(autouse=True)
def checked(tmp_path: Any) -> Iterator[None]:
    with settings.using(verify=True, cache_dir=tmp_path):
        yield


def check(program: Program, arrays: Sequence[Any], results: Sequence[Any]) -> None:
    """The results are as near to the float64 interpreter's as float32 can be expected to be."""
    wide = interpret(program, arrays, wide=True)
    narrow = interpret(program, arrays)
    for i, (w, n, r) in enumerate(zip(wide, narrow, results, strict=True)):
        assert_near(r, n, w, f"output {i} of {program}")


def batch_of(seed: int) -> Dim | None:
    return Dim.symbol("N") if seed % 2 else None


@pytest.mark.parametrize("seed", range(40))
def test_forward(seed: int) -> None:
    program, arrays = random_program(seed, 5 + seed % 26, batch_of(seed))
    compiled = compile_program(program)
    for size in (9, 2, 33) if seed % 2 else (9,):
        given = arrays(size)
        check(program, given, compiled.run(given, ()))


def gradient(seed: int) -> tuple[Program, Any]:
    """The gradient of a random program's last output by all its float inputs."""
    program, arrays = random_program(1000 + seed, 5 + seed % 20, batch_of(seed))
    wrt = [i for i, v in enumerate(program.inputs) if v.dtype is float32]
    return differentiate(program, wrt, len(program.outputs) - 1), arrays


@pytest.mark.parametrize("seed", range(40))
def test_backward(seed: int) -> None:
    program, arrays = gradient(seed)
    compiled = compile_program(program)
    for size in (9, 5) if seed % 2 else (9,):
        given = arrays(size)
        check(program, given, compiled.run(given, ()))


@pytest.mark.parametrize("seed", range(20))
def test_nan_and_infinity_pass_through(seed: int) -> None:
    program, arrays = random_program(2000 + seed, 4 + seed % 8, gather=False)
    given = arrays(9)
    rng = np.random.default_rng(seed)
    for a in given:
        if a.dtype == np.float32 and a.size:
            places = rng.integers(0, a.size, 1 + a.size // 8)
            a.reshape(-1)[places] = rng.choice([np.nan, np.inf, -np.inf], len(places))
    compiled = compile_program(program)
    with np.errstate(all="ignore"):
        wanted = interpret(program, given)
    for w, r in zip(wanted, compiled.run(given, ()), strict=True):
        np.testing.assert_array_equal(np.isnan(w), np.isnan(r))
        np.testing.assert_array_equal(np.where(np.isinf(w), w, 0), np.where(np.isinf(r), r, 0))


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_the_same_bits_for_any_number_of_threads(seed: int) -> None:
    program, arrays = gradient(seed)
    given = arrays(700)
    compiled = compile_program(program)
    before = get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            set_num_threads(threads)
            results.append(compiled.run(given, ()))
    finally:
        set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("seed", range(0, 40, 4))
@pytest.mark.parametrize("target", FORCED)
def test_other_widths_of_vectors(target: str, seed: int) -> None:
    program, arrays = gradient(seed)
    given = arrays(9)
    check(program, given, compile_program(program, named_target(target)).run(given, ()))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(3000, 4000, 100))
def test_many_more(start: int) -> None:
    for seed in range(start, start + 100):
        program, arrays = random_program(seed, 5 + seed % 26, batch_of(seed))
        given = arrays(9)
        check(program, given, compile_program(program).run(given, ()))


def test_a_compiled_program_is_the_same_in_another_process() -> None:
    """Places and names depend on nothing that changes from process to process."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from random_programs import random_program\n"
        "from argand.backends.cpu.compiler import canonical_text, optimise\n"
        "from argand.passes.memory import plan_memory\n"
        "for seed in range(12):\n"
        "    program, _ = random_program(seed, 25)\n"
        "    final = optimise(program).program\n"
        "    print(canonical_text(final), plan_memory(final).offsets({}))\n"
    )
    folder = os.path.dirname(os.path.abspath(__file__))
    texts = []
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        run = [sys.executable, "-c", code, folder]
        texts.append(subprocess.run(run, env=env, capture_output=True, check=True).stdout)
    assert texts[0] == texts[1]
