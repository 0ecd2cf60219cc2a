"""Sorting of short rows: the kernel that counts beside NumPy's stable sort, one thread.

    python benchmarks/ranking.py [--rounds 7]

Times are microseconds for a batch of rows, the best of the rounds. Above the longest row that the
kernel takes (`argand.kernels.ranking.MOST_BYTES`) both columns are NumPy.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import argand as ag
from argand.ir.op import registry


def best(call: Callable[[], Any], rounds: int) -> float:
    """The best time of a call, in microseconds."""
    call(), call(), call()
    start = time.perf_counter()
    call()
    count = max(1, round(2e-3 / (time.perf_counter() - start)))
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(count):
            call()
        found.append((time.perf_counter() - start) / count)
    return min(found) * 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    ag.settings.threads = 1
    sort = registry.get("sort")
    print(f"{'rows':>6} {'length':>6} {'dtype':>8} {'argand, us':>11} {'NumPy, us':>10}")
    for rows in (1, 8, 256):
        for length in (8, 32, 64, 128, 256, 512):
            for dtype in (ag.float32, ag.float64, ag.int64):
                x = (ag.randn(rows, length) * 1000).to(dtype)
                a = x.numpy()
                ours = best(lambda x=x: x.sort(), rounds)  # type: ignore[misc]
                theirs = best(lambda a=a: sort.run(a, dim=1, descending=False), rounds)  # type: ignore[misc]
                print(f"{rows:6} {length:6} {dtype.name:>8} {ours:11.2f} {theirs:10.2f}")


if __name__ == "__main__":
    main()
