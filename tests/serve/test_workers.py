"""Worker processes: the same bits, killed ones, calls that change state, orphans."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import classifier, exported, inputs, put, run

import argand as ag
from argand import nn
from argand.serve import Engine, ModelOptions, ServeError, Status
from argand.serve.cores import shares

pytest.importorskip("msgspec")
channel = pytest.importorskip("argand.serve.channel")
from argand.serve.workers import WorkerPool  # needs msgspec


class Counter(nn.Module):
    """Adds how often it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", ag.zeros(()))

    def forward(self, x: Any) -> Any:
        self.count += 1
        return x + self.count


@asynccontextmanager
async def engine_on(count: int, *roots: Path) -> AsyncIterator[tuple[Engine, WorkerPool]]:
    """An engine on some workers."""
    pool = WorkerPool(count)
    engine = Engine(list(roots), executor=pool.executor)
    await engine.poll()
    try:
        yield engine, pool
    finally:
        await engine.close()
        pool.close()


def kill(pool: WorkerPool, index: int) -> None:
    """Kill a worker, if there is one now."""
    worker = pool.workers[index]
    if worker is not None:
        os.kill(worker.process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("kills", "seconds"), [(2, 60.0), pytest.param(10**6, 30.0, marks=pytest.mark.slow)]
)
def test_killed_workers_lose_no_request_and_make_none_wrong(
    tmp_path: Path, kills: int, seconds: float
) -> None:
    program = exported(classifier())
    put(program, tmp_path, "digits", 1)
    x = inputs(64)
    right = [row.tobytes() for row in program(x).numpy()]
    random.seed(0)
    counts = {"answers": 0}

    async def ask() -> int:
        async with engine_on(2, tmp_path) as (engine, pool):
            version = engine.find("digits")
            assert version.signature().batched
            ends = time.monotonic() + seconds

            def goes_on() -> bool:
                return time.monotonic() < ends and pool.restarts < kills

            async def client(i: int) -> None:
                while goes_on() or counts["answers"] < 100:
                    rows = random.randint(1, 3)
                    at = random.randrange(64 - rows)
                    given = {"input": x[at : at + rows]}
                    (found,) = await version.submit(version.signature(), given)
                    assert [row.tobytes() for row in found] == right[at : at + rows]
                    counts["answers"] += 1

            async def killer() -> None:
                while goes_on():
                    await asyncio.sleep(random.random() * 0.5)
                    kill(pool, random.randrange(2))

            await asyncio.gather(*map(client, range(12)), killer())
            return pool.restarts

    assert run(ask()) >= 2


def test_a_call_whose_worker_is_killed_is_made_by_the_next_one(tmp_path: Path) -> None:
    program = exported(classifier())
    put(program, tmp_path, "digits", 1)

    async def ask() -> np.ndarray:
        async with engine_on(1, tmp_path) as (engine, pool):
            version = engine.find("digits")
            worker = pool.workers[0]
            assert worker is not None
            os.kill(worker.process.pid, signal.SIGSTOP)  # so that the call is under way
            future = version.submit(version.signature(), {"input": inputs(2)})
            await asyncio.sleep(0.05)
            kill(pool, 0)
            return (await future)[0]

    np.testing.assert_array_equal(run(ask()), program(inputs(2)).numpy())


def test_without_a_worker_the_engine_is_not_ready_and_loses_nothing(tmp_path: Path) -> None:
    program = exported(classifier())
    put(program, tmp_path, "digits", 1)
    (tmp_path / "words" / "1").mkdir(parents=True)
    (tmp_path / "words" / "1" / "model.argand").write_bytes(b"damaged")

    async def ask() -> list[Any]:
        engine = Engine([tmp_path], workers=1)
        await engine.poll()
        pool = engine.pool
        assert pool is not None and pool.is_ready
        kill(pool, 0)
        version = engine.find("digits")
        futures = [version.submit(version.signature(), {"input": inputs(1, i)}) for i in range(9)]
        while engine.is_ready:
            await asyncio.sleep(0.001)
        found = await asyncio.gather(*futures)
        assert pool.is_ready
        await engine.close()
        return found

    for i, (answer,) in enumerate(run(ask())):
        np.testing.assert_array_equal(answer, program(inputs(1, i)).numpy())


def test_calls_that_change_state_are_made_in_order_and_never_twice(tmp_path: Path) -> None:
    x = ag.zeros(2)
    put(ag.export.export(Counter(), (x,)), tmp_path, "counter", 1)
    program = exported(classifier())
    put(program, tmp_path, "digits", 1)

    async def ask() -> None:
        async with engine_on(2, tmp_path) as (engine, pool):
            version = engine.find("counter")
            signature = version.signature()
            given = {signature.inputs[0].name: np.zeros(2, np.float32)}
            futures = [version.submit(signature, given) for _ in range(20)]
            found = [f[0][0] for f in await asyncio.gather(*futures)]
            assert found == list(range(1, 21))
            home = next(i for i, w in enumerate(pool.workers) if w and len(w.versions) == 2)
            worker = pool.workers[home]
            assert worker is not None
            os.kill(worker.process.pid, signal.SIGSTOP)  # so that the call is under way
            lost = version.submit(signature, given)
            await asyncio.sleep(0.05)
            kill(pool, home)
            with pytest.raises(ServeError, match="not known whether the call was made") as caught:
                await lost
            assert caught.value.status is Status.UNAVAILABLE
            assert (await version.submit(signature, given))[0][0] == 1.0  # as the file has it
            other = engine.find("digits")
            (answer,) = await other.submit(other.signature(), {"input": inputs(3)})
            np.testing.assert_array_equal(answer, program(inputs(3)).numpy())

    run(ask())


class Rounds(nn.Module):
    """Computes for as long as it is asked to, in one native call."""

    def forward(self, x: Any, rounds: Any) -> Any:
        """x plus the number of rounds, row by row"""

        def goes_on(i: Any, y: Any) -> Any:
            return i < rounds.max()

        def once(i: Any, y: Any) -> Any:
            return i + 1, y + (i < rounds)

        return ag.while_loop(goes_on, once, (ag.zeros((), dtype=ag.int64), x))[1]


def test_a_worker_that_hangs_is_ended_and_only_the_call_that_hangs_it_fails(tmp_path: Path) -> None:
    rows = {0: ag.Dim("rows")}
    example = (ag.ones(2), ag.ones(2, dtype=ag.int64))
    put(ag.export.export(Rounds(), example, dynamic_shapes=(rows, rows)), tmp_path, "rounds", 1)
    for_ever = 1 << 60
    options = ModelOptions(timeout=0.1)

    async def ask() -> None:
        pool = WorkerPool(1, hung_seconds=0.2)
        engine = Engine([tmp_path], executor=pool.executor, default=options)
        await engine.poll()
        version = engine.find("rounds")
        assert version.signature().batched

        def asked(rounds: int) -> asyncio.Future[Any]:
            given = {"x": np.ones(1, np.float32), "rounds": np.array([rounds])}
            return version.submit(version.signature(), given, timeout=60.0)

        found = [asked(1), asked(for_ever), asked(2), asked(3)]
        with pytest.raises(ServeError, match=r"than 0\.2 seconds, and was cut off, twice") as e:
            await found[1]
        assert e.value.status is Status.INTERNAL
        innocent = await asyncio.gather(found[0], *found[2:])  # one batch with the other
        assert [answer[0] for (answer,) in innocent] == [2, 3, 4]
        assert pool.restarts == 2
        await engine.close()
        pool.close()

    run(ask())


def test_errors_of_workers_are_told_with_their_status(tmp_path: Path) -> None:
    model = nn.Embedding(10, 3).eval()
    shapes = ({0: ag.Dim("rows")},)
    words = ag.export.export(model, (ag.zeros(2, 4, dtype=ag.int64),), dynamic_shapes=shapes)
    mixing = ag.export.export(lambda x: x + x.mean(0), (ag.ones(2, 6),), dynamic_shapes=shapes)
    whole = put(words, tmp_path, "words", 1).read_bytes()
    (tmp_path / "damaged.argand").write_bytes(whole[:-100])

    async def ask() -> None:
        async with engine_on(1, tmp_path) as (engine, _):
            await engine.add("mixing", mixing)
            assert not engine.find("mixing").signature().batched
            version = engine.find("words")
            signature = version.signature()
            name = signature.inputs[0].name
            given = [np.full((1, 4), v, np.int64) for v in (1, 99, 2)]
            futures = [version.submit(signature, {name: g}) for g in given]
            good, bad, other = await asyncio.gather(*futures, return_exceptions=True)
            assert good[0].shape == other[0].shape == (1, 4, 3)
            assert bad.status is Status.INVALID_ARGUMENT
            large = np.ones((5000, 4), np.int64)  # a larger segment
            assert (await version.submit(signature, {name: large}))[0].shape == (5000, 4, 3)
            assert str(tmp_path / "damaged.argand") in str(
                engine.models["damaged"].versions[1].error
            )

    run(ask())


_FRONT = """
import asyncio, sys
from pathlib import Path
from argand.serve import Engine
from argand.serve.workers import WorkerPool

async def main():
    pool = WorkerPool(1)
    engine = Engine([Path(sys.argv[1])], executor=pool.executor)
    await engine.poll()
    print(pool.workers[0].process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_workers_end_with_the_front_process_and_leave_no_files(tmp_path: Path) -> None:
    folder, temporary = tmp_path / "models", tmp_path / "temporary"
    put(exported(classifier()), folder, "digits", 1)
    temporary.mkdir()
    if importlib.util.find_spec("onnx") is not None:
        x = (ag.ones(2, 6),)
        ag.onnx.export(classifier(), x, folder / "words.onnx", dynamo=True, external_data=True)
    shared = _in_shared_memory()
    front = subprocess.Popen(
        [sys.executable, "-c", _FRONT, str(folder)],
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(ag.__file__).parent.parent),
            "TMPDIR": str(temporary),
        },
    )
    assert front.stdout is not None
    worker = int(front.stdout.readline())
    front.kill()
    front.wait()
    front.stdout.close()
    until = time.monotonic() + 10
    while _is_running(worker):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert list(temporary.iterdir()) == []
    assert _in_shared_memory() <= shared


def _in_shared_memory() -> set[str]:
    folder = Path("/dev/shm")
    return {f.name for f in folder.iterdir() if "argand" in f.name} if folder.exists() else set()


def _is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.zeros((3, 0), np.int64),
        np.array(7, np.uint8),
        np.ones(3, ag.bfloat16.numpy),
        np.array([["a", "b"]], object),
        None,
    ],
)
def test_arrays_come_through_segments_as_they_are(array: Any) -> None:
    filled, seen = channel.Segment(), channel.Seen()
    placed, file = filled.put([np.ones(3, np.int16), array])
    if file is not None:
        seen.map(file)
    _, found = seen.arrays(placed)
    if array is None:
        assert found is None
    else:
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tolist() == array.tolist()


def _own_memory(process: int) -> int:
    """The bytes that a process shares with no other, and can't read again from a file."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_Dirty"))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads /proc")
@pytest.mark.parametrize("kind", ["argand", pytest.param("onnx", marks=pytest.mark.slow)])
def test_workers_share_weights_without_a_cache_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("ARGAND_CACHE_ENABLED", "0")
    large = nn.Sequential(nn.Linear(6, 2500), nn.Linear(2500, 2500)).eval()
    program = exported(large)
    put(exported(classifier()), tmp_path / "small", "small", 1)
    path = put(program, tmp_path, "large", 1)
    if kind == "onnx":
        pytest.importorskip("onnx")
        path = tmp_path / "large.onnx"
        shapes = ({0: ag.Dim("rows")},)
        ag.onnx.export(large, (ag.ones(2, 6),), path, dynamic_shapes=shapes, input_names=["input"])
        program = ag.onnx.load(path)
    x = inputs(2)

    async def ask() -> list[int]:
        async with engine_on(2, tmp_path / "small") as (engine, pool):
            workers = [w.process.pid for w in pool.workers if w is not None]
            before = [_own_memory(w) for w in workers]
            await engine.add("large", path)
            version = engine.find("large")
            futures = [version.submit(version.signature(), {"input": x}) for _ in range(4)]
            for (answer,) in await asyncio.gather(*futures):
                np.testing.assert_array_equal(answer, program(x).numpy())
            (entry,) = [e for e in pool._entries.values() if e.name.startswith("large")]
            assert entry.packed
            after = [_own_memory(w) for w in workers]
            await engine.unload("large")
            assert not entry.packed
            return [b - a for a, b in zip(before, after, strict=True)]

    second = run(ask())[1]  # the first has compiled
    assert second < 0.5 * path.stat().st_size


def test_workers_share_cores_and_the_limit_of_their_group() -> None:
    assert [sorted(s.cores or ()) for s in shares(3, [0, 1, 2, 3], 9.0)] == [[0], [1], [2, 3]]
    assert shares(2, [0], 9.0) == [(None, 1)] * 2
    assert shares(2, list(range(8)), 5.0) == [(None, 2)] * 2


def test_workers_have_no_more_threads_than_this_process_may(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)

    async def threads() -> str:
        async with engine_on(1, tmp_path) as (_, pool):
            worker = pool.workers[0]
            assert worker is not None
            return str(worker.process.args[6])  # behind -c, the program, and three numbers

    with ag.settings.using(threads=1):
        assert run(threads()) == "1"
    with ag.settings.using(threads=64):
        assert run(threads()) == str(shares(1)[0].threads)
