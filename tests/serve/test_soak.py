"""A server for a while: reloads, clients that go away, slow ones; no wrong or lost reply.

`pytest -m slow tests/serve/test_soak.py` takes twenty minutes: ten with calls computed in the
server, ten with two workers.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from served import classifier, exported, inputs, put

import argand as ag

for needed in ("httptools", "msgspec", "prometheus_client"):
    pytest.importorskip(needed)

_SERVER = """
import sys
from pathlib import Path
from argand.serve import Engine
from argand.serve.server import Server

engine = Engine([Path(sys.argv[1])], workers=int(sys.argv[2]))
with Server(engine, port=0, poll=0.1) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def served(root: Path, workers: int) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: its port and the process's number."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(root), str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(ag.__file__).parent.parent)},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.stdin.close()
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Soak:
    """Clients of several kinds, until the time is over; `problems` says what went wrong."""

    def __init__(self, port: int, seconds: float, right: set[bytes], x: np.ndarray) -> None:
        self.port, self.right, self.x = port, right, x
        self.ends = time.monotonic() + seconds
        self.answers = 0
        self.problems: list[str] = []
        rows = json.dumps({"instances": x.astype(float).tolist()}).encode()
        head = f"POST /v1/models/digits:predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(rows)}"
        self.rows, self.message = rows, head.encode() + b"\r\n\r\n" + rows

    def run(self, *kinds: Callable[[], None]) -> None:
        """Run the clients, each on a thread."""
        threads = [threading.Thread(target=self._guarded, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guarded(self, kind: Callable[[], None]) -> None:
        while time.monotonic() < self.ends and not self.problems:
            try:
                kind()
            except Exception as error:
                self.problems.append(f"{kind.__name__}: {type(error).__name__}: {error}")

    def check(self, body: bytes) -> None:
        """Whether an answer has the bits of one of the versions."""
        found = np.array(json.loads(body)["predictions"], np.float64).astype(np.float32)
        if found.tobytes() not in self.right:
            self.problems.append(f"a wrong answer: {body[:200]!r}")
        self.answers += 1

    # -- kinds of clients ----------------------------------------------------------------------

    def usual(self) -> None:
        """Some requests over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            for _ in range(20):
                connection.request("POST", "/v1/models/digits:predict", self.rows)
                response = connection.getresponse()
                body = response.read()
                if response.status != 200:
                    self.problems.append(f"status {response.status}: {body[:200]!r}")
                    return
                self.check(body)

    def leaving(self) -> None:
        """Goes away before the answer, or before the request is whole."""
        with socket.create_connection(("127.0.0.1", self.port)) as end:
            end.sendall(self.message[: random.randint(1, 2 * len(self.message))])
        time.sleep(0.005)

    def slow(self) -> None:
        """Sends and reads a few bytes at a time."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as end:
            step = len(self.message) // 7
            for at in range(0, len(self.message), step):
                end.sendall(self.message[at : at + step])
                time.sleep(0.02)
            found = b""
            while not found.endswith(b"}"):
                part = end.recv(16)
                if not part:
                    self.problems.append(f"a slow client lost its answer: {found!r}")
                    return
                found += part
                time.sleep(0.002)
            self.check(found.partition(b"\r\n\r\n")[2])


def resident(process: int) -> list[int]:
    """The memory of a process, and of each of its children, in bytes."""
    found = []
    for number in [process, *sorted(_children(process))]:
        pages = Path(f"/proc/{number}/statm").read_text().split()[1]
        found.append(int(pages) * os.sysconf("SC_PAGESIZE"))
    return found


def _children(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


TEN_MINUTES = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("seconds", "workers"),
    [
        (1.5, 0),
        pytest.param(600.0, 0, marks=TEN_MINUTES),
        pytest.param(600.0, 2, marks=TEN_MINUTES),
    ],
)
def test_no_reply_is_wrong_or_lost_and_memory_stays_flat(
    tmp_path: Path, seconds: float, workers: int
) -> None:
    programs = [exported(classifier(i)) for i in range(2)]
    x = inputs(2)
    files = [put(p, tmp_path / "spare", str(i), 1) for i, p in enumerate(programs)]
    path = put(programs[0], tmp_path / "models", "digits", 1)
    memory: list[list[int]] = []  # at each reload, of the server and its workers
    with served(tmp_path / "models", workers) as (port, process):
        right = {p(x).numpy().tobytes() for p in programs}
        soak = Soak(port, seconds, right, x)
        turn = iter(range(10**9))

        def reloads() -> None:
            new = tmp_path / "new"
            shutil.copyfile(files[next(turn) % 2], new)
            new.replace(path)
            memory.append(resident(process))
            time.sleep(0.4)

        soak.run(soak.usual, soak.usual, soak.usual, soak.leaving, soak.slow, reloads)
        assert soak.problems == []
        assert soak.answers > 20 * seconds
    for of_process in zip(*memory, strict=True):
        settled = of_process[len(memory) // 4 :]
        half = len(settled) // 2
        assert max(settled[half:]) < 1.05 * max(settled[:half])
