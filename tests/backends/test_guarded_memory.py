"""Compiled programs between closed pages, in memory that holds NaN until something is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import argand as ag
from argand.base.settings import settings
from argand.runtime.guarded import PAGE, POISON, fenced, fenced_copy

SCRIPT = Path(__file__).parent / "guarded_run.py"
SIDES = ("end", "start")


def run(side: str, *arguments: str) -> tuple[int, str]:
    """The status of a process that runs guarded programs, and what it printed last."""
    env = {**os.environ, "ARGAND_GUARD_MEMORY": side}
    command = [sys.executable, str(SCRIPT), *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    last = done.stdout[done.stdout.rfind("seed ") :] if "seed " in done.stdout else done.stdout
    return done.returncode, f"status {done.returncode}\n{last}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("side", SIDES)
def test_random_programs(side: str) -> None:
    status, text = run(side, "0:24" if side == "end" else "24:36")
    assert status == 0, text
    assert "done" in text


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_many_random_programs(side: str, start: int) -> None:
    status, text = run(side, f"{start}:{start + 100}")
    assert status == 0, text


FAMILIES = (
    "tests/backends/test_cpu.py",
    "tests/backends/test_training_programs.py",
    "tests/compile/test_step.py",
    "tests/compile/test_shared_memory.py",
    "tests/compile/test_whole_models.py",
    "tests/conformance/test_compiled.py",
    "tests/programs/test_corpus.py",
)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_families_of_compiled_programs_pass(family: str, side: str) -> None:
    env = {**os.environ, "ARGAND_GUARD_MEMORY": side}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", family]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=env, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


@pytest.mark.parametrize(
    ("name", "side"),
    [("reads_far", "end"), ("writes_far", "end"), ("reads_before", "start")],
)
def test_an_access_past_a_buffer_crashes(name: str, side: str) -> None:
    status, text = run(side, name)
    assert status == -signal.SIGSEGV, text
    assert "program f(x" in text and "done" not in text


def test_a_write_into_a_gap_is_found() -> None:
    status, text = run("end", "writes_beside")
    assert status == 1
    assert "native code wrote beside a value of f, 0 bytes into a gap of 32" in text


def test_what_is_read_before_it_is_written_is_not_a_number() -> None:
    status, text = run("end", "leaves_a_hole")
    assert (status, "a result is not a number" in text) == (1, True), text


def test_the_same_kernels_pass_where_they_are_right() -> None:
    assert run("end", "right")[0] == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("nbytes", [1, 60, 64, PAGE, PAGE + 4])
def test_where_memory_lies_between_pages(side: str, nbytes: int) -> None:
    for alignment in (1, 4, 64):
        if nbytes % min(alignment, 4):
            continue
        fence, memory = fenced(nbytes, side, alignment)
        assert memory.ctypes.data % alignment == 0
        edge = memory.ctypes.data + (nbytes if side == "end" else 0)
        assert 0 <= -edge % PAGE < alignment if side == "end" else edge % PAGE == 0
        assert (memory == POISON).all()
        memory[:] = 0
        fence.check("x")
        fence.poison()
        assert (memory == POISON).all()


def test_copies_between_pages_keep_values_and_strides() -> None:
    a = np.arange(24.0).reshape(4, 6)
    for given in (a, a.T, a[:, 1:3], a[::2], a[0], a[1, 1:2], np.float32(3), np.empty((0, 3))):
        for side in SIDES:
            _, copy = fenced_copy(np.asarray(given), side)
            np.testing.assert_array_equal(copy, given)
            assert copy.strides == np.asarray(given).strides


@pytest.mark.parametrize("side", SIDES)
def test_state_is_written_back(side: str) -> None:
    w = ag.ones(5)

    def step(x: ag.Tensor) -> ag.Tensor:
        w.mul_(2.0)
        return x + w

    with settings.using(guard_memory=side):
        compiled = ag.compile(step)
        for factor in (2.0, 4.0):
            np.testing.assert_array_equal(compiled(ag.zeros(5)).numpy(), np.full(5, factor))
            np.testing.assert_array_equal(w.numpy(), np.full(5, factor))
