"""The thread pool of generated code: loads it, starts its threads, and follows forks.

The code (see `poolcode`) is loaded once and never unloaded, since its threads live as long as the
process. The threads know nothing of Python: they are made by `pthread_create` and never hold the
GIL.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, Final

from argand.base.forks import lock_held_over_forks
from argand.codegen.llvm.objects import immortal, load_object
from argand.codegen.llvm.poolcode import EXPORTED, MOST_THREADS, pool_text
from argand.codegen.llvm.source import kept_source
from argand.codegen.llvm.target import host_target
from argand.runtime import threads

_LIBC_NAMES: Final = ("syscall", "sched_yield", "aligned_alloc", "free", "abort")
_LOCK: Final = lock_held_over_forks("pool")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


class _Pool:
    """The loaded pool and how many threads it has."""

    def __init__(self) -> None:
        target = host_target()
        text = pool_text(target.triple)
        source = kept_source(text, "thread pool", target, (text,))
        data = source.kept() or source.optimised()
        libc = {name: _address(getattr(_libc(), name)) for name in _LIBC_NAMES}
        self.code = immortal(load_object(data, EXPORTED, libc))
        self.started = 1
        self.active = 1
        self._set_active = ctypes.CFUNCTYPE(None, ctypes.c_int64)(
            self.code.address("argand_set_active")
        )
        self._reset = ctypes.CFUNCTYPE(None)(self.code.address("argand_reset"))
        os.register_at_fork(after_in_child=self._forked)

    def set_active(self, count: int) -> None:
        with _LOCK:
            if count == self.active:
                return
            while self.started < count:
                self._start_thread(self.started)
                self.started += 1
            self._set_active(count)
            self.active = count

    def _start_thread(self, worker: int) -> None:
        """One thread, with every signal blocked: signals are for Python's threads."""
        handle = ctypes.c_ulong()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            failed = _libc().pthread_create(
                ctypes.byref(handle),
                None,
                ctypes.c_void_p(self.code.address("argand_worker")),
                ctypes.c_void_p(worker),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if failed:
            raise RuntimeError(f"a worker thread could not be started: {os.strerror(failed)}")
        _libc().pthread_detach(handle)

    def _forked(self) -> None:
        # Only the forking thread is left in a child: as new, then as many threads as before.
        self._reset()
        wanted, self.started, self.active = self.active, 1, 1
        self.set_active(wanted)


@functools.cache
def _pool() -> _Pool:
    pool = immortal(_Pool())
    threads.attach(lambda count: _resize(pool, count))
    return pool


def _address(function: Any) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value
    if address is None:
        raise RuntimeError("a function of the C library has no address")
    return address


def runtime_symbols() -> Mapping[str, int]:
    """The functions that generated code calls, by name; loads the pool."""
    with _LOCK:
        return _pool().code.addresses


def _resize(pool: _Pool, count: int) -> None:
    if not 1 <= count <= MOST_THREADS:
        raise ValueError(f"the number of threads is 1 to {MOST_THREADS}, not {count}")
    if sys.platform == "linux":  # without a futex everything runs on the calling thread
        pool.set_active(count)
