"""The cores that this process may use, and how worker processes share them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import NamedTuple

_GROUP = Path("/sys/fs/cgroup")


class Share(NamedTuple):
    """What one worker has: cores of its own, where there are enough, and a number of threads."""

    cores: frozenset[int] | None
    threads: int


def shares(count: int, cores: list[int] | None = None, limit: float | None = None) -> list[Share]:
    """The shares of some workers, of the cores that this process may run on and the processor time
    that its control group may take (in cores).

    >>> shares(2, [0, 1, 2, 3], 4.0)
    [Share(cores=frozenset({0, 1}), threads=2), Share(cores=frozenset({2, 3}), threads=2)]
    """
    cores = allowed_cores() if cores is None else cores
    limit = time_limit() if limit is None else limit
    usable = min(len(cores), limit)
    if count > len(cores) or limit < len(cores):  # a limit in time ties nobody to cores
        return [Share(None, max(1, int(usable / count)))] * count
    bounds = [i * len(cores) // count for i in range(count + 1)]
    parts = [frozenset(cores[a:b]) for a, b in itertools.pairwise(bounds)]
    return [Share(part, len(part)) for part in parts]


def allowed_cores() -> list[int]:
    """The cores that this process may run on."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:
        return list(range(os.cpu_count() or 1))


def time_limit(group: Path = _GROUP) -> float:
    """The processor time that the control group may take, in cores; infinite without a limit."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return float("inf") if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota = (group / "cpu/cpu.cfs_quota_us").read_text()
        period = (group / "cpu/cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else float("inf")
    except (OSError, ValueError):
        return float("inf")


__all__ = ["Share", "allowed_cores", "shares", "time_limit"]
