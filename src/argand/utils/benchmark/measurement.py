"""What a `Timer` measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

_UNITS = (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0))


def unit_of(seconds: float) -> tuple[str, float]:
    """The unit that a time is written in, and its seconds."""
    fitting = [unit for unit in _UNITS if seconds >= unit[1]]
    return fitting[-1] if fitting else _UNITS[0]


@dataclass(frozen=True)
class TaskSpec:
    """What was measured, and under which headings."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label and the part of it, or the statement."""
        head = self.label or self.stmt
        return f"{head}: {self.sub_label}" if self.sub_label else head


@dataclass
class Measurement:
    """Times of runs of a statement, each of `number_per_run` executions.

    >>> from argand.utils.benchmark import Measurement, TaskSpec
    >>> found = Measurement(10, [2.5, 1.5, 3.5], TaskSpec("f(x)", "pass"))
    >>> found.median
    0.25
    """

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[object, object] | None = None

    @property
    def times(self) -> list[float]:
        """Seconds of one execution, of each run."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        """The median of the times."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """The mean of the times."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """The distance of the quartiles."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return high - low

    @property
    def title(self) -> str:
        """What was measured."""
        return self.task_spec.title

    @property
    def as_row_name(self) -> str:
        """What a row of a table is named after."""
        return self.task_spec.sub_label or self.task_spec.stmt

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """The measurements of one task as one, in which all runs are."""
        found: dict[TaskSpec, list[float]] = {}
        for m in measurements:
            found.setdefault(m.task_spec, []).extend(m.times)
        return [Measurement(1, times, task) for task, times in found.items()]

    def __repr__(self) -> str:
        unit, seconds = unit_of(self.median)
        task = self.task_spec
        lines = [f"<{type(self).__module__}.{type(self).__name__} object at {hex(id(self))}>"]
        lines += [self.title]
        lines += [f"setup: {task.setup.strip()}"] if task.setup.strip() != "pass" else []
        many = len(self.times) > 1
        lines += [f"  {'Median: ' if many else ''}{self.median / seconds:.2f} {unit}"]
        lines += [f"  IQR:    {self.iqr / seconds:.2f} {unit}"] if many else []
        runs = f"{len(self.times)} measurements" if many else "1 measurement"
        per_run = f"{self.number_per_run} runs" + (" per measurement" if many else "")
        threads = f"{task.num_threads} thread{'s' if task.num_threads > 1 else ''}"
        return "\n".join([*lines, f"  {runs}, {per_run} , {threads}"])
