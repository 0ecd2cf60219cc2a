"""A table of measurements."""

from __future__ import annotations

from collections.abc import Iterable

from argand.utils.benchmark.measurement import Measurement, unit_of


class Compare:
    """Measurements as a table: a row for each sub-label and number of threads, a column for each
    description.

    >>> from argand.utils.benchmark import Compare, Measurement, TaskSpec
    >>> tasks = [TaskSpec("f", "pass", label="sum", sub_label="n", description=d) for d in "ab"]
    >>> Compare([Measurement(1, [t], task) for t, task in zip((1e-6, 2e-6), tasks)]).print()
    [- sum -]
           |    a |    b
    1 thread:
      n    |  1.0 |  2.0
    <BLANKLINE>
    Times are in microseconds (us).
    """

    def __init__(self, results: Iterable[Measurement]) -> None:
        self._results = Measurement.merge(results)

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements."""
        self._results = Measurement.merge([*self._results, *results])

    def trim_significant_figures(self) -> None:
        """Nothing: one figure behind the point is shown."""

    def colorize(self, rowwise: bool = False) -> None:
        """Nothing: the table has no colours."""

    def highlight_warnings(self) -> None:
        """Nothing: the table has no warnings."""

    def print(self) -> None:
        """Print the table."""
        print(str(self))

    def __str__(self) -> str:
        labels = dict.fromkeys(m.task_spec.label for m in self._results)
        return "\n\n".join(
            _table([m for m in self._results if m.task_spec.label == label]) for label in labels
        )


_NAMES = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}


def _table(results: list[Measurement]) -> str:
    columns = list(dict.fromkeys(m.task_spec.description or "" for m in results))
    unit, seconds = unit_of(min(m.median for m in results))
    width = max(6, *(len(m.as_row_name) + 4 for m in results))
    widths = [max(len(c), 6) for c in columns]
    heads = " | ".join(c.rjust(w - 1) for c, w in zip(columns, widths, strict=True))
    lines = [f"[- {results[0].task_spec.label or results[0].title} -]", f"{' ' * width} | {heads}"]
    for threads in dict.fromkeys(m.task_spec.num_threads for m in results):
        lines.append(f"{threads} thread{'s' if threads > 1 else ''}:")
        for row in dict.fromkeys(m.as_row_name for m in results):
            at = {
                m.task_spec.description or "": f"{m.median / seconds:.1f}"
                for m in results
                if m.as_row_name == row and m.task_spec.num_threads == threads
            }
            cells = " | ".join(
                at.get(c, "").rjust(w - 1) for c, w in zip(columns, widths, strict=True)
            )
            if at:
                lines.append(f"{'  ' + row:<{width}} | {cells}")
    return "\n".join([*lines, "", f"Times are in {_NAMES[unit]} ({unit})."])
