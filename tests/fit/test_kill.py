"""Training that is killed at random moments ends with the bits of one that nothing has stopped."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trainee

import argand as ag

SERVER = Path(trainee.__file__)


class Server:
    """Trainings in processes of their own; `tests/fit/trainee.py`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, SERVER, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def train(self, kind: str, name: str, delay: float | None = None) -> str:
        """Start a training, or go on with it; "killed" or "finished"."""
        assert self.process.stdin is not None
        where = self.folder / name
        until = "-" if delay is None else f"{delay:.4f}"
        print(kind, where, f"{where}.st", until, file=self.process.stdin, flush=True)
        return self._line()

    def result(self, name: str) -> Any:
        """What a training has come to."""
        return ag.load(self.folder / f"{name}.st")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("killed"))
    yield made
    made.process.communicate()
    assert made.process.returncode == 0


def check_same(found: Any, wanted: Any, place: str = "") -> None:
    """The same bits, everywhere in two trees."""
    assert type(found) is type(wanted), place
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), place
        for name in wanted:
            check_same(found[name], wanted[name], f"{place}.{name}")
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted), place
        for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
            check_same(a, b, f"{place}.{i}")
    elif isinstance(wanted, ag.Tensor):
        a, b = found.numpy(), wanted.numpy()
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes(), place
    else:
        assert found == wanted or (found != found and wanted != wanted), place


def kill(server: Server, kind: str, count: int, longest: float) -> None:
    """Kill trainings `count` times; each that comes to its end is compared."""
    draw, killed, number = random.Random(kind), 0, 0
    assert server.train(kind, f"{kind}-whole") == "finished"
    wanted = server.result(f"{kind}-whole")
    while killed < count:
        number += 1
        while killed < count:
            ended = server.train(kind, f"{kind}-{number}", draw.uniform(0.0, longest))
            if ended == "finished":
                break
            assert ended == "killed"
            killed += 1
        else:
            assert server.train(kind, f"{kind}-{number}") == "finished"
        check_same(server.result(f"{kind}-{number}"), wanted)


def test_a_save_that_is_killed_anywhere_leaves_a_whole_checkpoint(server: Server) -> None:
    folder = server.folder / "cut"
    steps = []
    for calls in range(40):
        ended = server.train(f"cut-{calls}", "cut")
        found = ag.fit.Checkpointer(folder).find()  # that of a damaged one would warn
        steps.append(-1 if found is None else found[1]["step"])
        if ended == "finished":
            break
        assert ended == "killed"
    assert steps[0] == -1 and steps == sorted(steps) and steps[-1] > 2 and calls > 10
    assert [path.name for path in folder.iterdir()] == [f"step-{steps[-1]:08d}.safetensors"]


@pytest.mark.parametrize("kind", trainee.KINDS)
def test_a_killed_training_ends_with_the_same_bits(server: Server, kind: str) -> None:
    kill(server, kind, 7, 0.25)


@pytest.mark.slow
@pytest.mark.parametrize("kind", trainee.KINDS)
def test_a_training_that_is_killed_often_ends_with_the_same_bits(server: Server, kind: str) -> None:
    kill(server, kind, 26, 0.3)
