"""How worker processes share the cores that this one may use."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from argand.base.cores import allowed_cores, time_limit


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


__all__ = ["Share", "shares"]
