"""Whether code runs for `argand.jit`: to be traced, or as what was scripted. Libraries ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Running(threading.local):
    """What this thread does."""

    traces = False
    scripts = False


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


__all__ = ["running", "running_as"]
