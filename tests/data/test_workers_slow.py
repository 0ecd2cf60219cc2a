"""Worker processes that are killed, started in other ways, or forked beside busy threads."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import argand as ag
from argand import data

pytestmark = pytest.mark.slow


class Rows(data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, i):
        return np.full(50_000, i), ag.rand(2), data.get_worker_info() is not None


def start(worker):
    np.random.seed(worker)


def total(loader):
    return [(x.sum().item(), y.tolist(), z.all().item()) for x, y, z in loader]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("generator", ["philox", "mt19937"])
def test_other_ways_to_start(method, generator):
    with ag.settings.using(generator=generator):
        found = []
        for context in (method, "fork"):
            ag.manual_seed(1)
            loader = data.DataLoader(
                Rows(), 3, num_workers=2, multiprocessing_context=context, worker_init_fn=start
            )
            found.append(total(loader))
        assert found[0] == found[1]


SCRIPT = """
import json, os, signal, sys, time
import numpy as np
from argand import data

class Slow(data.Dataset):
    def __len__(self):
        return 1000
    def __getitem__(self, i):
        time.sleep({sleep})
        return np.zeros(100_000)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    loader = data.DataLoader(Slow(), 1, num_workers=2, multiprocessing_context="{method}")
    batches = iter(loader)
    next(batches)
    print(json.dumps([w.pid for w in batches._workers]), flush=True)
    time.sleep(600)
"""


def shared_files():
    """The files of shared memory but for semaphores, which other programs make."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith("sem.")}


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("sleep", [0, 5])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_parent(tmp_path, method, sleep, number):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(sleep=sleep, method=method))
    files = shared_files()
    with subprocess.Popen(
        [sys.executable, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        pids = json.loads(process.stdout.readline())
        assert all(is_running(pid) for pid in pids)
        process.send_signal(number)
        process.wait(60)
        end = time.monotonic() + 20
        while any(is_running(pid) for pid in pids) and time.monotonic() < end:
            time.sleep(0.05)
        assert not any(is_running(pid) for pid in pids)
        errors = process.stderr.read()
    assert "resource_tracker" not in errors
    assert shared_files() <= files


def test_forked_beside_threads_that_compute():
    """A fork in the middle of kernels, of compilations and of code being replaced."""
    stop = threading.Event()
    failed = []

    def compute(seed):
        rows = 3
        try:
            while not stop.is_set():
                rows = rows % 61 + 3
                x = ag.rand(rows, 257 + seed)
                (x @ x.T).softmax(0).sum().item()
                ag.compile(lambda t, k=rows: (t * k).exp().sum())(x)
        except Exception as error:
            failed.append(error)

    class Model(data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, i):
            x = ag.full((64 + i, 64), float(i))
            return (x @ x.T).softmax(0).sum().item(), ag.compile(lambda t: t.sin().sum())(x).item()

    expected = [Model()[i] for i in range(8)]
    threads = [threading.Thread(target=compute, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            loader = data.DataLoader(Model(), None, num_workers=2, timeout=60)
            assert [tuple(b) for b in loader] == expected
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed


@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_moment(seed):
    """Either all batches come, or an error; the next pass is whole; nothing is left."""
    random = np.random.RandomState(seed)
    loader = data.DataLoader(Rows(), 2, num_workers=2, persistent_workers=bool(seed % 2))
    batches = iter(loader)
    victim = batches._workers[seed % 2].pid
    timer = threading.Timer(random.uniform(0, 0.08), os.kill, (victim, signal.SIGKILL))
    timer.start()
    try:
        count = sum(1 for _ in batches)
        assert count == 6
    except RuntimeError as error:
        assert re.search(rf"pid\(s\) {victim}\) exited unexpectedly: killed by SIGKILL", str(error))
    timer.join()
    del batches
    if seed % 2 == 0:
        assert len(total(loader)) == 6
