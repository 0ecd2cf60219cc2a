"""The server's event loop: while requests come quickly, it looks for the next before it sleeps.

A process that sleeps until the next request wakes up late and with cold caches: with one connection
that is a quarter of a small model's answer (docs/performance.md). So the loop polls for some
microseconds first, as Linux' `SO_BUSY_POLL` does in network drivers; and as KVM's halt polling only
where the wait before was short, as polling takes the core from calls that are computed meanwhile.
"""

from __future__ import annotations

import asyncio
import selectors
import time


class BusySelector(selectors.DefaultSelector):
    """A selector that polls for `seconds` before it waits, if the wait before wasn't longer than
    that and the time to wake up, which is counted as `seconds` too."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self._polls = True

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The events that are there or come within `timeout` seconds; None for as long as needed,
        0 for those that are there."""
        look, clock = super().select, time.perf_counter
        if timeout is not None and timeout <= 0:
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


def event_loop(busy_poll: float) -> asyncio.AbstractEventLoop:
    """A loop that polls for so many seconds before it sleeps."""
    return asyncio.SelectorEventLoop(BusySelector(busy_poll) if busy_poll else None)


__all__ = ["BusySelector", "event_loop"]
