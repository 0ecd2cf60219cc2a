"""What a profile has measured: events, their averages, tables, and traces for Chrome."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_UNITS = (("s", 1e6), ("ms", 1e3), ("us", 1.0))


def time_text(us: float) -> str:
    """A time in microseconds, as tables show it."""
    for unit, size in _UNITS[:-1]:
        if us >= size:
            return f"{us / size:.3f}{unit}"
    return f"{us:.3f}us"


def memory_text(size: int) -> str:
    """A number of bytes, as tables show it."""
    for unit, count in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(size) >= count:
            return f"{size / count:.2f} {unit}"
    return f"{size} B"


class Event:
    """One measured call or block: times in microseconds, sizes in bytes.

    >>> import argand.profiler
    >>> with argand.profiler.profile() as p, argand.profiler.record_function("add"):
    ...     x = ag.ones(2) + 1
    >>> [event.name for event in p.events() if event.cpu_parent is None]
    ['add']
    """

    def __init__(self, name: str, kind: str, thread: int, shapes: list[Any], parent: Any) -> None:
        self.name = self.key = name
        self.kind = kind  # "cpu_op", or "user_annotation" for blocks
        self.thread = thread
        self.input_shapes = shapes
        self.cpu_parent: Event | None = parent
        self.cpu_children: list[Event] = []
        self.start = self.end = 0  # nanoseconds
        self.self_cpu_memory_usage = 0
        self.count = 1
        self.is_user_annotation = kind == "user_annotation"
        if parent is not None:
            parent.cpu_children.append(self)

    @property
    def cpu_time_total(self) -> float:
        """From its begin to its end."""
        return (self.end - self.start) / 1e3

    @property
    def self_cpu_time_total(self) -> float:
        """Outside of what was measured inside of it."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    @property
    def cpu_time(self) -> float:
        """As `cpu_time_total`."""
        return self.cpu_time_total

    @property
    def cpu_memory_usage(self) -> int:
        """Of the results, its own and those of what was measured inside of it."""
        inside = sum(child.cpu_memory_usage for child in self.cpu_children)
        return self.self_cpu_memory_usage + inside


class Averages:
    """What all events of a name, or of a name and shapes, took together."""

    device_time = device_time_total = self_device_time_total = 0.0
    cuda_time = cuda_time_total = self_cuda_time_total = 0.0
    device_memory_usage = self_device_memory_usage = flops = 0

    def __init__(self, key: str, input_shapes: list[Any], is_user_annotation: bool) -> None:
        self.key = key
        self.input_shapes = input_shapes
        self.is_user_annotation = is_user_annotation
        self.count = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0
        self.stack: list[str] = []

    def add(self, event: Event) -> None:
        """One event more."""
        self.count += 1
        self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total
        self.cpu_memory_usage += event.cpu_memory_usage
        self.self_cpu_memory_usage += event.self_cpu_memory_usage

    @property
    def cpu_time(self) -> float:
        """The mean time of one event."""
        return self.cpu_time_total / max(self.count, 1)

    @property
    def cpu_time_total_str(self) -> str:
        """The total as tables show it."""
        return time_text(self.cpu_time_total)

    @property
    def cpu_time_str(self) -> str:
        """The mean as tables show it."""
        return time_text(self.cpu_time)

    @property
    def self_cpu_time_total_str(self) -> str:
        """The time outside of other events as tables show it."""
        return time_text(self.self_cpu_time_total)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} count={self.count} input_shapes={self.input_shapes}>"
        )


class EventList(list[Any]):
    """Events, or averages of them."""

    shows_memory = False

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all together, in microseconds."""
        return float(sum(event.self_cpu_time_total for event in self))

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """What events of one name took together; of one name and shapes where asked for."""
        found: dict[Any, Averages] = {}
        for event in self:
            shapes = event.input_shapes if group_by_input_shapes else []
            at = (event.key, str(shapes), event.is_user_annotation)
            if at not in found:
                found[at] = Averages(event.key, shapes, event.is_user_annotation)
            found[at].add(event)
        averages = EventList(found.values())
        averages.shows_memory = self.shows_memory
        return averages

    def total_average(self) -> Averages:
        """What all took together, outside of one another."""
        total = Averages("Total", [], False)
        for event in self:
            total.count += event.count
            total.self_cpu_time_total += event.self_cpu_time_total
            total.self_cpu_memory_usage += event.self_cpu_memory_usage
        total.cpu_time_total = total.self_cpu_time_total
        total.cpu_memory_usage = total.self_cpu_memory_usage
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """The rows as a text, those with the largest `sort_by` first."""
        rows = [e for e in self if not top_level_events_only or _is_outermost(e)]
        if sort_by is not None:
            rows.sort(key=lambda event: getattr(event, sort_by), reverse=True)
        total = self.self_cpu_time_total
        columns = _columns(total, self.shows_memory, any(e.input_shapes for e in rows))
        cells = [[text(event) for _, text in columns] for event in rows[:row_limit]]
        limits = [max_name_column_width, *[max_shapes_column_width] * (len(columns) - 1)]
        lines = _aligned([name for name, _ in columns], cells, limits)
        return "\n".join(
            [*([header] if header else []), *lines, f"Self CPU time total: {time_text(total)}", ""]
        )

    def export_chrome_trace(self, path: Any) -> None:
        """Write the events as a file for chrome://tracing; to a temporary name, then renamed."""
        base = min((event.start for event in self), default=0)
        found = {
            "schemaVersion": 1,
            "displayTimeUnit": "ms",
            "baseTimeNanoseconds": base,
            "traceEvents": [_traced(event) for event in self],
            "traceName": os.fspath(path),
        }
        from argand.io.replacing import replacing  # only where a file is written

        with replacing(Path(path)) as temporary, open(temporary, "w") as file:
            json.dump(found, file)


def _is_outermost(event: Any) -> bool:
    return getattr(event, "cpu_parent", None) is None


Column = tuple[str, Callable[[Any], str]]


def _columns(total: float, memory: bool, shapes: bool) -> list[Column]:
    def part(us: float) -> str:
        return f"{100 * us / total:.2f}%" if total else "NaN"

    found: list[Column] = [
        ("Name", lambda e: e.key),
        ("Self CPU %", lambda e: part(e.self_cpu_time_total)),
        ("Self CPU", lambda e: time_text(e.self_cpu_time_total)),
        ("CPU total %", lambda e: part(e.cpu_time_total)),
        ("CPU total", lambda e: time_text(e.cpu_time_total)),
        ("CPU time avg", lambda e: time_text(e.cpu_time)),
    ]
    if memory:
        found += [
            ("CPU Mem", lambda e: memory_text(e.cpu_memory_usage)),
            ("Self CPU Mem", lambda e: memory_text(e.self_cpu_memory_usage)),
        ]
    found.append(("# of Calls", lambda e: str(e.count)))
    if shapes:
        found.append(("Input Shapes", lambda e: str(e.input_shapes)))
    return found


def _aligned(names: list[str], rows: Iterable[list[str]], limits: list[int]) -> list[str]:
    """Lines of cells flush right, with rules."""
    cut = [
        [c if len(c) <= n else f"{c[: n - 3]}..." for c, n in zip(row, limits, strict=True)]
        for row in rows
    ]
    table = [names, *cut]
    widths = [max(12, *(len(row[i]) for row in table)) for i in range(len(names))]
    rule = "  ".join("-" * w for w in widths)
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in table]
    return [rule, lines[0], rule, *lines[1:], rule]


def _traced(event: Event) -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": event.kind,
        "name": event.name,
        "pid": os.getpid(),
        "tid": event.thread,
        "ts": event.start / 1e3,
        "dur": event.cpu_time_total,
        "args": {"Input Dims": event.input_shapes} if event.input_shapes else {},
    }
