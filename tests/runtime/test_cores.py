"""The cores that a process may use, in control groups of both kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from argand.base import cores
from argand.base.cores import time_limit, usable_cores

NONE = float("inf")


def put(path: Path, text: str) -> None:
    """Write a file and the folders it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_group_has_at_most_the_time_of_those_it_is_in(tmp_path: Path) -> None:
    member = tmp_path / "member"
    member.write_text("0::/system.slice/serve.service\n")
    assert time_limit(tmp_path, member) == NONE
    put(tmp_path / "cpu.max", "max 100000\n")
    put(tmp_path / "system.slice/cpu.max", "400000 100000\n")
    assert time_limit(tmp_path, member) == 4.0
    put(tmp_path / "system.slice/serve.service/cpu.max", "150000 100000\n")
    put(tmp_path / "system.slice/other.service/cpu.max", "1000 100000\n")
    assert time_limit(tmp_path, member) == 1.5


def test_a_container_has_its_group_at_the_root(tmp_path: Path) -> None:
    member = tmp_path / "member"
    member.write_text("0::/docker/0123\n")  # of the host
    put(tmp_path / "cpu.max", "200000 100000\n")
    assert time_limit(tmp_path, member) == 2.0
    assert time_limit(tmp_path, tmp_path / "nothing") == 2.0
    put(tmp_path / "cpu.max", "damaged\n")
    assert time_limit(tmp_path, member) == NONE


def test_the_older_hierarchies_have_a_folder_each(tmp_path: Path) -> None:
    member = tmp_path / "member"
    member.write_text("4:memory:/m\n3:cpu,cpuacct:/pod/one\n0::/\nno line\n")
    put(tmp_path / "cpu/pod/cpu.cfs_quota_us", "-1\n")
    put(tmp_path / "cpu/pod/cpu.cfs_period_us", "100000\n")
    assert time_limit(tmp_path, member) == NONE
    put(tmp_path / "cpu/pod/one/cpu.cfs_quota_us", "50000\n")
    put(tmp_path / "cpu/pod/one/cpu.cfs_period_us", "100000\n")
    assert time_limit(tmp_path, member) == 0.5


def test_threads_are_as_many_as_cores_can_be_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "allowed_cores", lambda: list(range(8)))
    for limit, count in ((NONE, 8), (9.0, 8), (2.9, 2), (0.5, 1)):
        monkeypatch.setattr(cores, "time_limit", lambda limit=limit: limit)
        assert usable_cores() == count
