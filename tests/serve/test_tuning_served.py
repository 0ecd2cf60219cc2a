"""`target_p99` in a server under load: `pytest -m slow tests/serve/test_tuning_served.py` takes two
minutes. `test_tuning.py` has the tuner by a clock of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import argand as ag

for needed in ("httptools", "msgspec", "prometheus_client"):
    pytest.importorskip(needed)

from argand.serve import BatchOptions, Client, ModelOptions, Server, serve
from argand.serve.batching import Batcher

pytestmark = pytest.mark.slow
WIDTH = 96


def program(rounds: int) -> Any:
    """Products of matrices, a matrix a row: what a batch takes is in proportion to its rows."""

    def powers(x: Any) -> Any:
        for _ in range(rounds):
            x = (x @ x).tanh()
        return x

    shapes = ({0: ag.Dim("rows")},)
    return ag.export.export(powers, (ag.ones(2, WIDTH, WIDTH),), dynamic_shapes=shapes)


@contextmanager
def loaded(served: Any, options: BatchOptions, clients: int, pause: float) -> Iterator[Any]:
    """A server, its queue, and the seconds that its clients' requests take, as they come."""
    models = {"powers": ModelOptions(batching=options)}
    ends = threading.Event()
    latencies: list[float] = []
    problems: list[Exception] = []

    def ask(server: Server, number: int) -> None:
        random = np.random.default_rng(number)
        x = random.standard_normal((1, WIDTH, WIDTH)).astype(np.float32)
        with Client(server.url, "powers", timeout=60.0) as client:
            while not ends.is_set():
                start = time.perf_counter()
                try:
                    client.predict(x)
                except Exception as error:
                    problems.append(error)
                    return
                latencies.append(time.perf_counter() - start)
                time.sleep(random.exponential(pause) if pause else 0.0)

    with serve({"powers": served}, port=0, block=False, log=None, models=models) as server:
        (queue,) = server.engine.find("powers")._batchers.values()
        threads = [threading.Thread(target=ask, args=(server, i)) for i in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield queue, latencies
        finally:
            ends.set()
            for thread in threads:
                thread.join()
    assert problems == []


def seconds_of(served: Any, rows: int) -> float:
    """What a batch takes, by the median."""
    x = ag.ones(rows, WIDTH, WIDTH)
    found = []
    for _ in range(7):
        start = time.perf_counter()
        served(x)
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def until(queue: Batcher, is_so: Any, seconds: float) -> None:
    """Wait until something is so of a queue."""
    ends = time.monotonic() + seconds
    while not is_so(queue):
        assert time.monotonic() < ends, (queue.max_rows, queue.max_delay)
        time.sleep(0.05)


def test_batches_that_take_too_long_become_as_small_as_the_target_asks() -> None:
    served = program(24)
    target = seconds_of(served, 64)  # of which a batch may take half
    options = BatchOptions(max_rows=64, target_p99=target)
    with loaded(served, options, clients=48, pause=0.0) as (queue, _):
        until(queue, lambda q: q.max_rows <= 40, 60)
        time.sleep(5)
        seen = []
        for _ in range(20):
            seen.append(queue.max_rows)
            time.sleep(0.25)
    assert 4 <= np.median(seen) <= 40


def test_delays_grow_into_the_target_and_not_beyond_it() -> None:
    served = program(1)
    options = BatchOptions(max_rows=64, max_delay=10.0, target_p99=0.1)
    with loaded(served, options, clients=16, pause=0.01) as (queue, latencies):
        until(queue, lambda q: q.max_delay > 0.02, 120)
        time.sleep(10)
        latencies.clear()
        time.sleep(10)
        found = list(latencies)
        delay = queue.max_delay
    assert 0.02 < delay < 0.1
    assert np.quantile(found, 0.99) < 0.1
