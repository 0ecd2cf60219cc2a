"""Finding how many rows a batch may have, and how long it may wait, for a stated p99.

A request waits for at most one batch before its own, while the server keeps up; so a batch may take
half of what a request may. What batches took says what one costs, a + b · rows seconds. More rows
*pay* where a is not small beside b · rows: a larger batch then computes more in a second. Every
`WINDOW` batches:

    batches are full, and take less than half the target     rows ← 5/4 rows
    they are full, requests are late, and more rows pay      rows ← 5/4 rows
    batches take more than half the target                   rows ← what takes half of it,
                                                             where rows pay not below their mean
    the p99 of requests is above the target                  delay ← delay / 2
    it is below 3/4 of it, batches not full                  delay ← delay + target / 50

The third rule alone, which is that of Clipper (Crankshaw et al., 2017), would make a server that is
late fall behind for good: smaller batches compute less. Both stay within what the options allow.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

WINDOW: Final = 32
"""After how many batches there is a step."""

_SHARE = 0.5  # of the target, that a batch may take
_PAYS = 0.1  # a / (b * rows) above which more rows pay
_VARIED = 0.1  # the deviation of rows, beside their mean, from which on their cost is known


class Tuner:
    """Finds `rows` and `delay`; told of each batch."""

    def __init__(self, target: float, most_rows: int, most_delay: float) -> None:
        if not 0 < target < math.inf:
            raise ValueError(f"target_p99 is a number of seconds above 0, got {target}")
        self.target = target
        self.rows = most_rows
        self.delay = 0.0
        self._most_rows, self._most_delay = most_rows, most_delay
        self._batches: list[tuple[int, float, float]] = []
        self._known: deque[tuple[int, float]] = deque(maxlen=4 * WINDOW)

    def observe(self, rows: int, took: float, latency: float) -> None:
        """A batch: its rows, its seconds, and those from the arrival of its first request on."""
        self._batches.append((rows, took, latency))
        self._known.append((rows, took))
        if len(self._batches) >= WINDOW:
            self._step()
            self._batches.clear()

    def _step(self) -> None:
        took = sorted(t for _, t, _ in self._batches)[int(0.9 * WINDOW)]
        latency = max(latency for _, _, latency in self._batches)
        full = sum(rows >= self.rows for rows, _, _ in self._batches) > WINDOW // 2
        each, fixed = self._cost()
        pays = fixed > _PAYS * each * self.rows
        limit = _SHARE * self.target
        if full and (took <= limit or (latency > self.target and pays)):
            self.rows = min(self.rows + max(1, self.rows // 4), self._most_rows)
        elif took > limit:
            mean = sum(rows for rows, _, _ in self._batches) // WINDOW
            wanted = int((limit - fixed) / each) if each else 0
            self.rows = max(1, min(self.rows - 1, max(wanted, mean if pays else 1)))
        if latency > self.target:
            self.delay /= 2
        elif latency < 0.75 * self.target and not full:
            self.delay = min(self.delay + self.target / 50, self._most_delay)

    def _cost(self) -> tuple[float, float]:
        """The seconds of a row, and those of a batch besides: a line through what batches took.
        Where they are too much alike for one, all is the rows'."""
        count = len(self._known)
        mean = sum(rows for rows, _ in self._known) / count
        mean_took = sum(took for _, took in self._known) / count
        varied = sum((rows - mean) ** 2 for rows, _ in self._known)
        if varied <= count * (_VARIED * mean) ** 2:
            return mean_took / max(mean, 1.0), 0.0
        together = sum((rows - mean) * (took - mean_took) for rows, took in self._known)
        each = max(together / varied, 0.0)
        return each, max(mean_took - each * mean, 0.0)


__all__ = ["WINDOW", "Tuner"]
