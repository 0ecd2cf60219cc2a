"""Long work in Python beside calls: a version is read, traced and compiled while others answer.

Threads take turns with the interpreter. One that only computes in Python keeps it for 5 ms at a
time, and an answer needs it several times; and a collection of all objects, which the many new ones
lead to, keeps it for some 0.1 s.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TURN: Final = 3e-4  # seconds
_NEVER: Final = 1_000_000

_lock = threading.Lock()
_count = 0
_before: tuple[float, tuple[int, int, int]] = (0.0, (0, 0, 0))


@contextmanager
def beside_calls() -> Iterator[None]:
    """While the block runs, in whatever thread, turns are short and only young objects are
    collected; what has grown old is when a version is unloaded."""
    _begin()
    try:
        yield
    finally:
        _end()


def _begin() -> None:
    global _count, _before
    with _lock:
        _count += 1
        if _count == 1:
            _before = sys.getswitchinterval(), gc.get_threshold()
            sys.setswitchinterval(_TURN)
            gc.set_threshold(*_before[1][:2], _NEVER)


def _end() -> None:
    global _count
    with _lock:
        _count -= 1
        if not _count:
            sys.setswitchinterval(_before[0])
            gc.set_threshold(*_before[1])


__all__ = ["beside_calls"]
