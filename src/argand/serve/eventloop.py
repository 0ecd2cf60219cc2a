"""The server's event loop: it looks for events a little longer before it sleeps.

A process that sleeps until the next request wakes up late and with cold caches: with one connection
that is a quarter of a small model's answer (docs/performance.md). So the loop polls for some
microseconds first, as Linux' `SO_BUSY_POLL` does in network drivers.
"""

from __future__ import annotations

import asyncio
import selectors
import time


class BusySelector(selectors.DefaultSelector):
    """A selector that polls for `seconds` before it waits."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The events that are there or come within `timeout` seconds; None for as long as needed,
        0 for those that are there."""
        look = super().select
        if timeout is not None and timeout <= 0:
            return look(timeout)
        patience = self.seconds if timeout is None else min(self.seconds, timeout)
        end = time.perf_counter() + patience
        while True:
            found = look(0)
            if found:
                return found
            if time.perf_counter() >= end:
                return look(None if timeout is None else timeout - patience)


def event_loop(busy_poll: float) -> asyncio.AbstractEventLoop:
    """A loop that polls for so many seconds before it sleeps."""
    return asyncio.SelectorEventLoop(BusySelector(busy_poll) if busy_poll else None)


__all__ = ["BusySelector", "event_loop"]
