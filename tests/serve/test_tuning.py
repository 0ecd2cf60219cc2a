"""The tuner, on batches that take a simulated time by a clock of their own."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np
import pytest
from served import exported

import argand as ag
from argand.serve import BatchOptions, ServeError
from argand.serve.batching import Batch, Batcher
from argand.serve.execution import Executor, Told
from argand.serve.signature import ServedSignature
from argand.serve.tuning import WINDOW, Tuner


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Lets time pass where a loop would wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


def simulated(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns, by a clock that goes on when everybody waits."""
    selector = _Selector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


class Simulated(Executor):
    """A call takes a fixed time and some for each row."""

    room = 1

    def __init__(self, fixed: float, each: float) -> None:
        self.fixed, self.each = fixed, each

    def start(
        self, signature: ServedSignature, arrays: Sequence[Any], done: Told, askers: Any = ()
    ) -> None:
        seconds = self.fixed + self.each * len(arrays[0])
        asyncio.get_running_loop().call_later(seconds, done, [arrays[0]])


async def served(
    executor: Executor, options: BatchOptions, rate: float, seconds: float
) -> tuple[list[float], list[Batch]]:
    """The latencies of requests that come at a rate, at random times, and the batches, both of the
    second half of the time."""
    loop = asyncio.get_running_loop()
    program = ag.export.export(lambda x: x, (ag.ones(2, 6),), dynamic_shapes=({0: ag.Dim("n")},))
    signature = ServedSignature(program.default)
    batches: list[Batch] = []
    batcher = Batcher(signature, options, executor, batches.append)
    name = signature.inputs[0].name
    checked = signature.check({name: np.zeros((1, 6), np.float32)})
    random = np.random.default_rng(0)
    latencies: list[float] = []

    async def ask() -> None:
        start = loop.time()
        await batcher.submit(checked)
        latencies.append(loop.time() - start)

    tasks = []
    while loop.time() < seconds:
        await asyncio.sleep(random.exponential(1 / rate))
        tasks.append(asyncio.create_task(ask()))
    await asyncio.gather(*tasks)
    return latencies[len(latencies) // 2 :], batches[len(batches) // 2 :]


def test_the_p99_stays_below_its_target_and_delays_are_used_for_larger_batches() -> None:
    target = BatchOptions(max_rows=64, max_delay=0.02, target_p99=0.03)
    latencies, batches = simulated(served(Simulated(0.004, 0.0001), target, 500, 20.0))
    assert np.quantile(latencies, 0.99) < 0.03
    usual, ordinary = simulated(
        served(Simulated(0.004, 0.0001), BatchOptions(max_rows=64), 500, 20.0)
    )
    assert np.mean([b.rows for b in batches]) > 1.5 * np.mean([b.rows for b in ordinary])
    assert len(latencies) == len(usual)


def test_batches_that_take_too_long_become_smaller() -> None:
    options = BatchOptions(max_rows=64, max_queued_rows=10**6, target_p99=0.02)
    _, batches = simulated(served(Simulated(0.0, 0.001), options, 1500, 10.0))  # overloaded
    rows = [b.rows for b in batches[:-1]]
    assert 7 <= min(rows) <= max(rows) <= 12  # half of the target is 10 ms


def test_a_target_does_not_make_a_server_late_that_keeps_up_without_one() -> None:
    """With small batches it computes less than comes: 4 rows each 4.4 ms, of 3,700 in a second."""
    target = BatchOptions(max_rows=64, max_queued_rows=10**6, target_p99=0.03)
    latencies, _ = simulated(served(Simulated(0.004, 0.0001), target, 3700, 3.0))
    assert np.quantile(latencies, 0.99) < 0.03


def test_batches_stay_large_where_smaller_ones_would_compute_less() -> None:
    tuner = Tuner(0.03, 64, 0.0)
    for i in range(20 * WINDOW):
        rows = 20 + i % 20
        tuner.observe(rows, 0.02 + 0.0001 * rows, 0.045)
    assert tuner.rows >= 29
    for _ in range(5 * WINDOW):
        tuner.observe(tuner.rows, 0.02 + 0.0001 * tuner.rows, 0.2)
    assert tuner.rows == 64


def test_the_tuner_stays_within_its_bounds() -> None:
    tuner = Tuner(0.1, 8, 0.01)
    for _ in range(50 * WINDOW):
        tuner.observe(tuner.rows, 0.001, 0.002)
    assert (tuner.rows, tuner.delay) == (8, 0.0)
    for _ in range(50 * WINDOW):
        tuner.observe(1, 0.001, 0.002)
    assert (tuner.rows, tuner.delay) == (8, 0.01)
    for _ in range(50 * WINDOW):
        tuner.observe(1, 0.2, 0.4)
    assert tuner.rows == 1
    assert tuner.delay < 1e-9
    for _ in range(5 * WINDOW):
        tuner.observe(0, 0.2, 0.4)  # requests without rows
    assert tuner.rows == 1
    with pytest.raises(ValueError, match="above 0, got 0"):
        Tuner(0, 8, 0.0)


def test_a_batcher_without_a_target_has_no_tuner() -> None:
    async def made() -> tuple[int, float]:
        signature = ServedSignature(exported(ag.nn.Linear(6, 2)).default)
        batcher = Batcher(signature, BatchOptions(max_delay=0.5), Simulated(0, 0))
        return batcher.max_rows, batcher.max_delay

    assert simulated(made()) == (32, 0.5)


def test_what_is_refused_hears_in_how_long_the_queue_will_be_computed() -> None:
    async def ask() -> list[float]:
        signature = ServedSignature(exported(ag.nn.Linear(6, 2)).default)
        checked = signature.check({"input": np.zeros((1, 6), np.float32)})
        waits = []
        for room in (1, 2):
            executor = Simulated(0.3, 0.2)
            executor.room = room
            batcher = Batcher(signature, BatchOptions(max_rows=1, max_queued_rows=4), executor)
            await batcher.submit(checked)
            futures = []
            for _ in range(room + 4):
                futures.append(batcher.submit(checked))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            with pytest.raises(ServeError, match="4 rows wait already") as caught:
                batcher.submit(checked)
            waits.append(caught.value.retry_after)
            await asyncio.gather(*futures)
        return waits

    assert simulated(ask()) == pytest.approx([2.0, 1.0])
