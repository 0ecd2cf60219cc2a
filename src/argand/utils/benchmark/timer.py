"""How long a statement takes."""

from __future__ import annotations

import statistics
import textwrap
import timeit
from collections.abc import Callable
from typing import Any

from argand.runtime.threads import get_num_threads, set_num_threads
from argand.utils.benchmark.measurement import Measurement, TaskSpec


class Timer:
    """Measures a statement of Python, after a `setup`, with one thread unless told.

    `label`, `sub_label` and `description` are headings for `Compare`. As
    `torch.utils.benchmark.Timer`; statements in C++ raise ValueError.

    >>> from argand.utils.benchmark import Timer
    >>> found = Timer("x + 1", globals={"x": ag.ones(3)}, label="add").timeit(5)
    >>> found.number_per_run, found.median > 0, found.title
    (5, True, 'add')
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timeit.default_timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = "python",
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError(f"Timer: stmt must be the text of a statement, got {stmt!r}")
        if str(getattr(language, "name", language)).lower() not in ("python", "py"):
            raise ValueError("Timer: there is no C++ library to measure: write stmt in Python")
        stmt, setup = textwrap.dedent(stmt).strip(), textwrap.dedent(setup).strip()
        self._task = TaskSpec(
            stmt, setup, global_setup, label, sub_label, description, env, num_threads
        )
        self._inner = timeit.Timer(stmt, setup or "pass", timer, {**(globals or {})})

    def _times(self, number: int) -> float:
        before = get_num_threads()
        set_num_threads(self._task.num_threads)
        try:
            return max(self._inner.timeit(number), 1e-9)
        finally:
            set_num_threads(before)

    def timeit(self, number: int = 1000000) -> Measurement:
        """`number` executions as one run, after some that warm up."""
        self._times(max(number // 100, 2))
        return Measurement(number, [self._times(number)], self._task)

    def _block(self, min_run_time: float) -> int:
        """How many executions take a hundredth of `min_run_time`, at least 1 ms."""
        number, wanted = 1, max(min_run_time / 1000, 1e-3)
        while self._times(number) < wanted:
            number *= 10
        return number

    def blocked_autorange(
        self,
        callback: Callable[[int, float], Any] | None = None,
        min_run_time: float = 0.2,
    ) -> Measurement:
        """Runs until they have taken `min_run_time` seconds; `callback` is given each run's number
        of executions and its time."""
        number, found = self._block(min_run_time), list[float]()
        while sum(found) < min_run_time:
            found.append(self._times(number))
            if callback is not None:
                callback(number, found[-1])
        return Measurement(number, found, self._task)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Runs until the distance of their quartiles is below `threshold` of the median, or they
        have taken `max_run_time` seconds."""
        number, found = self._block(min_run_time), list[float]()
        while True:
            found.append(self._times(number))
            if callback is not None:
                callback(number, found[-1])
            measured = Measurement(number, found, self._task)
            steady = len(found) > 3 and measured.iqr / statistics.median(found) * number < threshold
            if (steady and sum(found) >= min_run_time) or sum(found) > max_run_time:
                return measured
