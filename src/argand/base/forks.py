"""Locks that a fork waits for, so that a child process never starts in the middle of something.

A child has one thread: what another thread was doing when the process forked would stay half done
in the child's copy of memory, and its locks held forever. So a fork takes all these locks, in the
order in which code nests them, and both processes release them.
"""

from __future__ import annotations

import os
import threading
from typing import Any
from weakref import WeakSet

# In the order in which they are taken: a call of a compiled function that writes, or that makes a
# program; a trace; a program's run, its backward, a compilation, eager kernels, the kernels in
# memory, loaded objects, the thread pool, the stack of interpreters, the table of call plans.
RANKS = (
    *("function", "trace", "program", "backward", "compile", "eager", "kernels"),
    *("objects", "pool", "stack", "plans"),
)
_locks: dict[str, WeakSet[Any]] = {rank: WeakSet() for rank in RANKS}
_taken = threading.local()


def lock_held_over_forks(rank: str) -> Any:
    """A reentrant lock that a fork waits for; `rank` says when it is taken beside others."""
    lock = threading.RLock()
    _locks[rank].add(lock)
    return lock


def _before() -> None:
    locks = [lock for rank in RANKS for lock in list(_locks[rank])]
    for lock in locks:
        lock.acquire()
    _taken.locks = locks


def _after() -> None:
    for lock in reversed(_taken.__dict__.pop("locks", [])):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
