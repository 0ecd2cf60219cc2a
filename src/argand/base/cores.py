"""The cores that this process may use: those it may run on, and the time that its control groups
give it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OF_PROCESS = Path("/proc/self/cgroup")


def allowed_cores() -> list[int]:
    """The cores that this process may run on."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:
        return list(range(os.cpu_count() or 1))


def time_limit(groups: Path = _GROUPS, of_process: Path = _OF_PROCESS) -> float:
    """The processor time that the control groups of this process may take, in cores; infinite
    without a limit. A group has at most the time of those that it is in."""
    return min(
        (_limit(folder) for folder in set(_folders(groups, of_process))), default=float("inf")
    )


def usable_cores() -> int:
    """How many cores this process can keep busy."""
    return max(1, int(min(len(allowed_cores()), time_limit())))


def _folders(groups: Path, of_process: Path) -> Iterator[Path]:
    """The folders of the groups, of both kinds of hierarchies. In a container the root is its own
    group, and paths may be those of the host, which are not there."""
    try:
        lines = of_process.read_text().splitlines()
    except OSError:
        lines = []
    for line in (*lines, "0::/", "1:cpu:/"):
        number, kinds, path = (*line.split(":", 2), "", "")[:3]
        if number != "0" and "cpu" not in kinds.split(","):
            continue
        folder = groups if number == "0" else groups / "cpu"
        yield folder
        for part in Path(path).parts[1:]:
            folder /= part
            yield folder


def _limit(folder: Path) -> float:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return float("inf") if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota = (folder / "cpu.cfs_quota_us").read_text()
        period = (folder / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else float("inf")
    except (OSError, ValueError):
        return float("inf")


__all__ = ["allowed_cores", "time_limit", "usable_cores"]
