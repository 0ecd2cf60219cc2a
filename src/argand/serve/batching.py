"""Dynamic batching: the rows of requests that wait are computed by one call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from argand.serve.errors import ServeError, Status
from argand.serve.execution import Executor
from argand.serve.options import BatchOptions
from argand.serve.signature import Checked, ServedSignature


class Batch(NamedTuple):
    """What is told of a batch that was computed."""

    signature: ServedSignature
    requests: int
    rows: int
    waited: float  # seconds of the request that waited longest
    took: float


class Pending:
    """A request that waits, or is computed."""

    __slots__ = ("arrays", "arrived", "deadline", "future", "rows")

    def __init__(
        self, checked: Checked, arrived: float, deadline: float | None, future: asyncio.Future[Any]
    ) -> None:
        self.arrays = checked.arrays
        self.rows = checked.rows
        self.arrived = arrived
        self.deadline = deadline
        self.future = future


class Batcher:
    """The queue of one signature.

    A batch is made of requests whose sizes but that of the rows are equal, so each row is computed
    as it would be alone; the most urgent priority first, then in the order of arrival. Nothing
    waits while the executor is free, unless `max_delay` says so: then the batch is what has arrived
    while the one before was computed.
    """

    def __init__(
        self,
        signature: ServedSignature,
        options: BatchOptions,
        executor: Executor,
        observe: Callable[[Batch], None] = lambda batch: None,
    ) -> None:
        self.signature = signature
        self.options = options
        self.executor = executor
        self.max_rows = min(options.max_rows, signature.most_rows)
        self.max_delay = options.max_delay
        self.queued_rows = 0
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[tuple[Any, ...], deque[Pending]] = {}  # by priority and sizes
        self._running = 0
        self._wake: asyncio.Handle | None = None

    def submit(
        self, checked: Checked, deadline: float | None = None, priority: int = 0
    ) -> asyncio.Future[list[Any]]:
        """A future of the outputs. `deadline` is a time of the loop; lower priorities come first.

        Raises ServeError (RESOURCE_EXHAUSTED) where the queue is full.
        """
        now = self._loop.time()
        if self.queued_rows + checked.rows > self.options.max_queued_rows and self.queued_rows:
            raise ServeError(
                Status.RESOURCE_EXHAUSTED,
                f"{self.signature.name}: {self.queued_rows} rows wait already, more than "
                f"{self.options.max_queued_rows} are not taken; try again later",
            )
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        pending = Pending(checked, now, deadline, future)
        self._waiting.setdefault((priority, checked.key), deque()).append(pending)
        self.queued_rows += checked.rows
        if self._wake is None and self._running < self.executor.room:
            self._wake = self._loop.call_soon(self._dispatch)
        return future

    # -- making batches ------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Start as many batches as the executor takes."""
        self._wake = None
        while self._running < self.executor.room:
            batch = self._next()
            if not batch:
                return
            self._start(batch)

    def _next(self) -> list[Pending]:
        """The next batch; empty where nothing waits, or where it is worth waiting."""
        now = self._loop.time()
        for key in sorted(self._waiting, key=self._urgency):
            queue = self._waiting[key]
            self._drop(queue, now)
            if not queue:
                del self._waiting[key]
                continue
            wait = queue[0].arrived + self.max_delay - now
            if wait > 0 and sum(p.rows for p in queue) < self.max_rows:
                self._wake = self._loop.call_later(wait, self._dispatch)
                return []
            return self._taken(key, queue)
        return []

    def _urgency(self, key: tuple[Any, ...]) -> tuple[int, float]:
        return key[0], self._waiting[key][0].arrived

    def _drop(self, queue: deque[Pending], now: float) -> None:
        """Take out those whose client has gone or whose deadline has passed."""
        if not any(p.future.done() or (p.deadline or now) < now for p in queue):
            return
        kept = []
        for pending in queue:
            if (
                not pending.future.done()
                and pending.deadline is not None
                and pending.deadline < now
            ):
                pending.future.set_exception(
                    ServeError(
                        Status.DEADLINE_EXCEEDED,
                        f"{self.signature.name}: the deadline passed while the request waited, "
                        f"after {now - pending.arrived:.3f} s",
                    )
                )
            if pending.future.done():
                self.queued_rows -= pending.rows
            else:
                kept.append(pending)
        queue.clear()
        queue.extend(kept)

    def _taken(self, key: tuple[Any, ...], queue: deque[Pending]) -> list[Pending]:
        """The requests at the head of a queue that make a batch; one that is larger goes alone."""
        batch = [queue.popleft()]
        rows = batch[0].rows
        while queue and self.signature.batched and rows + queue[0].rows <= self.max_rows:
            batch.append(queue.popleft())
            rows += batch[-1].rows
        self.queued_rows -= rows
        if not queue:
            del self._waiting[key]
        return batch

    # -- computing -----------------------------------------------------------------------------

    def _start(self, batch: list[Pending]) -> None:
        started = self._loop.time()
        self._running += 1

        def done(found: list[Any] | BaseException) -> None:
            self._running -= 1
            self._finish(batch, found, started)
            if self._waiting and self._wake is None:
                self._wake = self._loop.call_soon(self._dispatch)

        self.executor.start(self.signature, _together(batch), done)

    def _finish(
        self, batch: list[Pending], found: list[Any] | BaseException, started: float
    ) -> None:
        rows = sum(p.rows for p in batch)
        waited = started - batch[0].arrived
        self._observe(Batch(self.signature, len(batch), rows, waited, self._loop.time() - started))
        start = 0
        for pending in batch:
            stop = start + pending.rows
            if not pending.future.done():
                if isinstance(found, BaseException):
                    pending.future.set_exception(found)
                elif len(batch) == 1:
                    pending.future.set_result(found)
                else:
                    pending.future.set_result([o[start:stop] for o in found])
            start = stop

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is computed."""
        return not self._waiting and not self._running


def _together(batch: list[Pending]) -> list[Any]:
    """The arrays of a batch: the rows of its requests, in order."""
    if len(batch) == 1:
        return batch[0].arrays
    return [np.concatenate(parts) for parts in zip(*(p.arrays for p in batch), strict=True)]


__all__ = ["Batch", "Batcher", "Pending"]
