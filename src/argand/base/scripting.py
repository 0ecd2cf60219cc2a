"""Whether code runs for `argand.jit`: to be traced, or as what was scripted. Libraries ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from argand.base.userstack import Location


class _Running(threading.local):
    """What this thread does."""

    traces = False
    scripts = False
    exports = False
    # Of a trace that takes for constants what Python reads: how, and at which lines; and what the
    # leaves of its arguments are.
    reads: dict[tuple[str, Location | None], None] | None = None
    leaves: Sequence[Any] = ()


running = _Running()


@contextmanager
def running_as(*, traces: bool = False, scripts: bool = False) -> Iterator[None]:
    """A block in which code is traced, runs as what was scripted, or as neither.

    >>> with running_as(scripts=True):
    ...     running.scripts, running.traces
    (True, False)
    """
    before = running.traces, running.scripts
    running.traces, running.scripts = traces, scripts
    try:
        yield
    finally:
        running.traces, running.scripts = before


@contextmanager
def exporting() -> Iterator[None]:
    """A block in which a function is traced to be exported."""
    before, running.exports = running.exports, True
    try:
        yield
    finally:
        running.exports = before


@contextmanager
def reading_example(leaves: Sequence[Any]) -> Iterator[dict[tuple[str, Location | None], None]]:
    """A block whose trace takes for constants what Python reads; the reads are collected."""
    before = running.reads, running.leaves
    reads: dict[tuple[str, Location | None], None] = {}
    running.reads, running.leaves = reads, leaves
    try:
        yield reads
    finally:
        running.reads, running.leaves = before


__all__ = ["exporting", "reading_example", "running", "running_as"]
