"""The server's event loop: while requests come quickly, it looks for the next before it sleeps; and
what ends without waiting is done in the turn in which it came.

A process that sleeps until the next request wakes up late and with cold caches: with one connection
that is a quarter of a small model's answer (docs/performance.md). So the loop polls for some
microseconds first, as Linux' `SO_BUSY_POLL` does in network drivers; and as KVM's halt polling only
where the wait before was short, as polling takes the core from calls that are computed meanwhile.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine, Generator
from typing import Any


class BusySelector(selectors.DefaultSelector):
    """A selector that polls for `seconds` before it waits, if the wait before wasn't longer than
    that and the time to wake up, which is counted as `seconds` too."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.events = 0  # that were found last
        self._polls = True

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The events that are there or come within `timeout` seconds; None for as long as needed,
        0 for those that are there."""
        found = self._found(timeout)
        self.events = len(found)
        return found

    def _found(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        look, clock = super().select, time.perf_counter
        if not self.seconds or (timeout is not None and timeout <= 0):
            return look(timeout)
        start = clock()
        if self._polls:
            patience = self.seconds if timeout is None else min(self.seconds, timeout)
            while clock() - start < patience:
                found = look(0)
                if found:
                    return found
            timeout = None if timeout is None else timeout - patience
        found = look(timeout)
        self._polls = bool(found) and clock() - start < 2 * self.seconds
        return found


class EventLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on a `BusySelector`."""

    def __init__(self, busy_poll: float) -> None:
        self._looks = BusySelector(busy_poll)
        super().__init__(self._looks)

    @property
    def is_alone(self) -> bool:
        """Whether no more than one event is handled in this turn."""
        return self._looks.events <= 1


def event_loop(busy_poll: float = 0.0) -> EventLoop:
    """A loop that polls for so many seconds before it sleeps."""
    return EventLoop(busy_poll)


def begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Do some work until it has to wait, at once and in no task; then the task that goes on with
    it, None where it has ended. (A task of its own would begin in the loop's next turn.)"""
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_Begun(work, awaited))


class _Begun(Coroutine[Any, Any, None]):
    """A coroutine that was begun and awaits something, as a task takes it: from the beginning."""

    def __init__(self, work: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._work = work
        self._awaited = awaited
        self._is_told = False  # what it awaits

    def send(self, value: Any) -> Any:
        if self._is_told:
            return self._work.send(value)
        self._is_told = True
        return self._awaited

    def throw(self, *error: Any) -> Any:
        self._is_told = True
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise RuntimeError("it is for a task")


__all__ = ["BusySelector", "EventLoop", "begun", "event_loop"]
