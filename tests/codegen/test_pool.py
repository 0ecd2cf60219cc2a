"""Parallel regions: any number of threads, nested, concurrent, across a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from argand.nest.builder import F32, I64, PTR, NestBuilder, NestFunction
from argand.runtime.threads import get_num_threads, set_num_threads
from nestrun import entry


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


def doubling(cost: int | None = None) -> NestFunction:
    """Each chunk doubles its part of x, by way of scratch memory; chunk 77 fails."""
    b = NestBuilder("doubling", [("x", PTR), ("n", I64), ("chunks", I64)])
    x, n, chunks = b.params
    with b.parallel(chunks, cost) as chunk:
        spare = b.scratch(4000)
        low = b.div(b.mul(chunk, n), chunks)
        high = b.div(b.mul(b.add(chunk, 1), n), chunks)
        with b.loop(low, high) as loop:
            b.store(spare, b.sub(loop.index, low), b.load(x, loop.index, F32))
        with b.loop(low, high) as loop:
            value = b.load(spare, b.sub(loop.index, low), F32)
            b.store(x, loop.index, b.apply("add", value, value))
        with b.if_(b.eq(chunk, 77)):
            b.fail(5)
    return b.finish()


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("cost", [None, 100])
def test_every_chunk_runs_once(count: int, cost: int | None) -> None:
    run = entry(doubling(cost))
    set_num_threads(count)
    rng = np.random.default_rng(0)
    for _ in range(30):
        for chunks in (0, 1, 2, 7, 100):
            x = rng.random(1000, np.float32)
            want = 2 * x if chunks else x.copy()
            assert run(x, 1000, chunks) == (5 if chunks > 77 else 0)
            assert (x == want).all()


def test_changing_the_number_of_threads() -> None:
    run = entry(doubling())
    for count in (1, 3, 2, 5, 1, 4):
        set_num_threads(count)
        x = np.ones(1000, np.float32)
        assert run(x, 1000, 50) == 0
        assert (x == 2).all()
    assert get_num_threads() == 4
    for bad in (0, -1, 10_000):
        with pytest.raises(ValueError, match="threads"):
            set_num_threads(bad)


def nested() -> NestFunction:
    b = NestBuilder("nested", [("x", PTR), ("n", I64)])
    x, n = b.params
    with b.parallel(n) as row, b.parallel(n) as column:
        b.store(x, b.affine(column, (row, n)), b.cast(b.add(row, column), "float32"))
    return b.finish()


def test_nested_regions() -> None:
    set_num_threads(3)
    x = np.zeros((20, 20), np.float32)
    assert entry(nested())(x, 20) == 0
    assert (x == np.add.outer(np.arange(20), np.arange(20))).all()


def test_regions_from_several_python_threads() -> None:
    set_num_threads(2)
    run = entry(doubling())
    failures: list[str] = []

    def work() -> None:
        for _ in range(200):
            x = np.ones(1000, np.float32)
            if run(x, 1000, 9) or not (x == 2).all():
                failures.append("wrong")

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def captures() -> NestFunction:
    """Captures of every kind cross into the region: vectors, bools, floats, a loop's index."""
    b = NestBuilder("captures", [("x", PTR), ("n", I64)])
    x, n = b.params
    vec = b.splat(b.cast(n, "float32"), 4)
    many = b.lt(3, n)
    mask = b.apply("gt", b.add(n, 0), 3)
    with b.loop(0, 2) as loop, b.parallel(n) as chunk:
        value = b.where(b.apply("and", many, mask), vec, 0.0)
        value = b.apply("add", value, b.cast(b.add(chunk, b.mul(loop.index, 100)), "float32"))
        b.store(x, b.affine(0, (loop.index, b.mul(n, 4)), (chunk, 4)), value)
    return b.finish()


def test_captured_registers() -> None:
    set_num_threads(2)
    x = np.zeros((2, 5, 4), np.float32)
    assert entry(captures())(x, 5) == 0
    want = 5 + np.arange(5)[:, None] + 100 * np.arange(2)[:, None, None]
    assert (x == want).all()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_child_has_threads_again() -> None:
    set_num_threads(3)
    run = entry(doubling())
    x = np.ones(1000, np.float32)
    assert run(x, 1000, 50) == 0
    child = os.fork()
    if child == 0:
        fine = all(run(x, 1000, 50) == 0 for _ in range(50))
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert run(x, 1000, 50) == 0


def test_interpreter_exits_cleanly() -> None:
    code = """
        import numpy as np
        from test_pool import doubling
        from nestrun import entry
        from argand.runtime.threads import set_num_threads
        set_num_threads(4)
        run = entry(doubling())
        x = np.ones(1000, np.float32)
        assert run(x, 1000, 50) == 0 and (x == 2).all()
    """
    here = os.path.dirname(__file__)
    path = os.pathsep.join([here, *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
