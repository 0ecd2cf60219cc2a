"""Long work in Python beside calls: a version is read, traced and compiled while others answer.

Threads take turns with the interpreter. One that only computes in Python keeps it for 5 ms at a
time, and an answer needs it several times; and a collection of all objects, which the many new ones
lead to, keeps it for some 0.1 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_TURN: Final = 3e-4  # seconds
_PAUSE: Final = 1e-5
_NEVER: Final = 1_000_000

_lock = threading.Lock()
_count = 0
_threads: set[threading.Thread] = set()
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


def let_others() -> None:
    """Let other threads take their turn, in between short calls that last. One that waits asks for
    it only when nobody has let go of the interpreter for a turn; and NumPy lets go often, too
    briefly for it to wake up."""
    time.sleep(_PAUSE)


async def beside(function: Callable[[], Any]) -> Any:
    """What a function gives, on a thread for which no process waits that is to end: an executor's
    are joined, and to compile a large network takes longer than a server has to end."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def tell(result: Any, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, failed = None, None
        try:
            result = function()
        except Exception as error:
            failed = error
        finally:
            _threads.discard(threading.current_thread())
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, result, failed)

    thread = threading.Thread(target=run, name="argand-serve beside", daemon=True)
    _threads.add(thread)
    thread.start()
    return await future


def goes_on() -> bool:
    """Whether something is still done beside loops, maybe of one that has ended: then a process
    must end without taking its libraries down."""
    return bool(_threads)


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


__all__ = ["beside", "beside_calls", "goes_on", "let_others"]
