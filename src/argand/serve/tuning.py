"""Finding how many rows a batch may have, and how long it may wait, for a stated p99.

Additive increase, multiplicative decrease, as TCP finds its window and Clipper (Crankshaw et al.,
2017) its batches. A request waits for at most one batch before its own, while the server keeps up;
so a batch may take half of what a request may. Every `WINDOW` batches:

    a batch takes more than half the target      rows ← 7/8 rows
    batches are full, and take less              rows ← rows + 1
    the p99 of requests is above the target      delay ← delay / 2
    it is below 3/4 of it, batches not full      delay ← delay + target / 50

Both stay within what the options allow.
"""

from __future__ import annotations

import math
from typing import Final

WINDOW: Final = 32
"""After how many batches there is a step."""

_SHARE = 0.5  # of the target, that a batch may take


class Tuner:
    """Finds `rows` and `delay`; told of each batch."""

    def __init__(self, target: float, most_rows: int, most_delay: float) -> None:
        if not 0 < target < math.inf:
            raise ValueError(f"target_p99 is a number of seconds above 0, got {target}")
        self.target = target
        self.rows = min(4, most_rows)
        self.delay = 0.0
        self._most_rows, self._most_delay = most_rows, most_delay
        self._batches: list[tuple[int, float, float]] = []

    def observe(self, rows: int, took: float, latency: float) -> None:
        """A batch: its rows, its seconds, and those from the arrival of its first request on."""
        self._batches.append((rows, took, latency))
        if len(self._batches) >= WINDOW:
            self._step()
            self._batches.clear()

    def _step(self) -> None:
        took = sorted(t for _, t, _ in self._batches)[int(0.9 * WINDOW)]
        latency = max(latency for _, _, latency in self._batches)
        full = sum(rows >= self.rows for rows, _, _ in self._batches) > WINDOW // 2
        if took > _SHARE * self.target:
            self.rows = max(1, min(self.rows - 1, self.rows * 7 // 8))
        elif full:
            self.rows = min(self.rows + 1, self._most_rows)
        if latency > self.target:
            self.delay /= 2
        elif latency < 0.75 * self.target and not full:
            self.delay = min(self.delay + self.target / 50, self._most_delay)


__all__ = ["WINDOW", "Tuner"]
