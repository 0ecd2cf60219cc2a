"""Files that were changed at random are refused or run; no crash, no hang, no other error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hostile
import pytest

from argand.export.checking import check_nodes
from argand.ir.verify import verify


def outcomes(folder: Path, seeds: range, guard: str = "") -> Iterator[tuple[int, str]]:
    """What becomes of the file of each seed, in processes whose memory and time are bounded."""
    waiting = list(seeds)
    paths = os.pathsep.join(p for p in sys.path if p)
    while waiting:
        given = "".join(f"{seed}\n" for seed in waiting)
        process = subprocess.run(
            [sys.executable, hostile.__file__, str(folder)],
            input=given,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "ARGAND_GUARD_MEMORY": guard},
            check=False,
        )
        lines = process.stdout.splitlines()
        yield from zip(waiting, lines, strict=False)
        waiting = waiting[len(lines) :]
        if waiting:  # it ended before it was done
            yield waiting.pop(0), f"crash: {process.returncode} {process.stderr[-300:]}"


def check(folder: Path, seeds: range, guard: str = "") -> None:
    """All outcomes are expected ones; with a `guard` a read outside of memory is a crash."""
    found = list(outcomes(folder, seeds, guard))
    wrong = [(seed, said) for seed, said in found if said not in ("right", "refused")]
    assert not wrong
    assert len(found) == len(seeds)
    assert min(Counter(said for _, said in found).values()) > len(seeds) // 20


def test_changed_files(tmp_path: Path) -> None:
    hostile.write_corpus(tmp_path, 1, step=8)
    check(tmp_path, range(150), "end")


@pytest.mark.slow
@pytest.mark.timeout(1800)  # five minutes where nothing else runs
def test_thousands_of_changed_files(tmp_path: Path) -> None:
    hostile.write_corpus(tmp_path, 6)
    check(tmp_path, range(1000, 5000), "end")
    check(tmp_path, range(5000, 7000), "start")


def test_programs_of_all_ops_are_what_calls_give() -> None:
    from calls import calls_of

    from argand.ir.op import registry

    for name in registry:
        for call in calls_of(registry.get(name))[:3]:
            for dtype in registry.get(name).dtypes[:1]:
                check_nodes(verify(call.program(dtype)))
