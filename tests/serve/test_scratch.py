"""Folders for the time of a process: what killed ones have left is removed, what is held is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import argand as ag
from argand.serve.scratch import scratch_folder

pytest.importorskip("fcntl")

_KILLED = """
import os, signal
from argand.serve.scratch import scratch_folder

with scratch_folder() as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_is_removed_at_the_end_or_by_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    source = str(Path(ag.__file__).parent.parent)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": source}
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    left = Path(killed.stdout.strip())
    (tmp_path / "argand-serve-another").mkdir()  # of a program that locks nothing
    with scratch_folder() as held:
        assert (left / "file").exists()  # it could be just about to be locked
        for folder in tmp_path.iterdir():
            os.utime(folder, (1, 1))
        with scratch_folder():
            assert not left.exists()
            assert held.exists()
        assert len(list(tmp_path.iterdir())) == 2
    assert [f.name for f in tmp_path.iterdir()] == ["argand-serve-another"]
