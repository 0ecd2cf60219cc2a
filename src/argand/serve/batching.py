"""Dynamic batching: the rows of requests that wait are computed by one call."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from argand.serve.errors import HungError, ServeError, Status, as_serve_error
from argand.serve.execution import Executor
from argand.serve.options import BatchOptions
from argand.serve.signature import Checked, ServedSignature
from argand.serve.tracing import asking
from argand.serve.tuning import Tuner

PRIORITY_SECONDS: Final = 0.1
"""A request goes before those of the next lower priority that came up to so many seconds earlier.
So the less urgent ones wait longer, and never for ever."""

_PRIORITIES: Final = 100  # of either sign


class Batch(NamedTuple):
    """What is told of a batch that was computed."""

    signature: ServedSignature
    requests: int
    rows: int
    waited: float  # seconds of the request that waited longest
    took: float
    failed: bool = False
    padded: int = 0  # elements of the inputs that are padding
    elements: int = 0  # of the inputs, padding among them


class Budget:
    """The rows that may wait at all the queues of a model, and how long they will."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rows = 0
        self._computed = 0.0  # rows of late, the last batches most
        self._seconds = 0.0  # that they took

    def observe(self, rows: int, seconds: float) -> None:
        """Note what a batch took."""
        self._computed = 0.9 * self._computed + rows
        self._seconds = 0.9 * self._seconds + seconds

    def expected(self, room: int) -> float:
        """The seconds in which what waits should be computed, by so many at once."""
        if not self._computed:
            return 0.0
        return self.rows * self._seconds / self._computed / max(room, 1)


class Pending:
    """A request that waits, or is computed."""

    __slots__ = (
        "arrays",
        "arrived",
        "asker",
        "counted",
        "deadline",
        "future",
        "has_hung",
        "rows",
        "sizes",
        "urgency",
    )

    def __init__(
        self,
        checked: Checked,
        arrived: float,
        deadline: float | None,
        future: asyncio.Future[Any],
        urgency: float,
    ) -> None:
        self.arrays = checked.arrays
        self.rows = checked.rows
        self.sizes = checked.sizes
        self.counted = max(checked.rows, 1)  # a request without rows takes place too
        self.arrived = arrived
        self.asker = asking.get()
        self.deadline = deadline
        self.future = future
        self.has_hung = False  # in a call before
        self.urgency = urgency


class _Line:
    """Requests that can be computed together, in the order of arrival."""

    __slots__ = ("requests", "rows")

    def __init__(self) -> None:
        self.requests: deque[Pending] = deque()
        self.rows = 0


class Batcher:
    """The queue of one signature.

    A batch is made of requests whose sizes but that of the rows are equal, or may be made so by
    padding, so each row is computed as it would be alone; the most urgent first. A batch is what
    has arrived while the one before was computed: nothing waits while the executor is free, unless
    `max_delay` says so.

    A batch that fails is computed again one request at a time: only those whose fault it is fail.
    So is a call that hung, also of one request, once.
    """

    def __init__(
        self,
        signature: ServedSignature,
        options: BatchOptions,
        executor: Executor,
        observe: Callable[[Batch], None] = lambda batch: None,
        budget: Budget | None = None,
    ) -> None:
        self.signature = signature
        self.options = options
        self.executor = executor
        self.max_rows = min(options.max_rows, signature.most_rows)
        self.max_delay = options.max_delay
        self._tuner: Tuner | None = None
        if options.target_p99 is not None and signature.batched:
            self._tuner = Tuner(options.target_p99, self.max_rows, self.max_delay)
            self._take_tuned()
        self.budget = budget or Budget(options.max_queued_rows)
        self.queued_rows = 0
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._lines: dict[tuple[Any, ...], _Line] = {}  # by priority and sizes
        self._again: deque[Pending] = deque()  # of batches that failed
        self._computing: list[list[Pending]] = []
        self._wake: asyncio.Handle | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def submit(
        self,
        checked: Checked,
        deadline: float | None = None,
        priority: int = 0,
        at_once: bool = False,
    ) -> asyncio.Future[list[Any]]:
        """A future of the outputs. `deadline` is a time of the loop; lower priorities come first.
        Computing begins in the loop's next turn, so that what comes in this one is put together;
        `at_once` in this one, if nothing is under way.

        Raises ServeError (RESOURCE_EXHAUSTED) where the queue is full.
        """
        now = self._loop.time()
        if deadline is not None and deadline <= now:
            raise self._late(now)
        self._check_room(max(checked.rows, 1))
        priority = max(-_PRIORITIES, min(priority, _PRIORITIES))
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        empty = None if checked.rows else self.signature.without_rows()
        if empty is not None:
            future.set_result(empty)
            return future
        urgency = now + priority * PRIORITY_SECONDS
        pending = Pending(checked, now, deadline, future, urgency)
        if at_once and self._is_idle:
            self._start([pending])
            return future
        line = self._lines.get((priority, checked.key))
        if line is None:
            line = self._lines[priority, checked.key] = _Line()
        line.requests.append(pending)
        line.rows += pending.counted
        self._count(pending.counted)
        if deadline is not None:
            self._set_alarm(deadline)
        if len(self._computing) < self.executor.room:
            self._wake_for(line)
        return future

    @property
    def _is_idle(self) -> bool:
        """Whether nothing waits or is computed, and what comes needn't wait."""
        return not (self._lines or self._again or self._computing or self.max_delay)

    def _check_room(self, rows: int) -> None:
        """Refuse what the queue has no place for."""
        budget = self.budget
        if budget.rows + rows <= budget.limit or not budget.rows:
            return
        self._drop_done()
        if budget.rows + rows > budget.limit and budget.rows:
            raise ServeError(
                Status.RESOURCE_EXHAUSTED,
                f"{self.signature.name}: {budget.rows} rows wait already, more than "
                f"{budget.limit} are not taken; try again later",
                retry_after=max(0.01, budget.expected(self.executor.room)),
            )

    def _count(self, rows: int) -> None:
        self.queued_rows += rows
        self.budget.rows += rows

    # -- deadlines -----------------------------------------------------------------------------

    def _set_alarm(self, time: float) -> None:
        if self._alarm is not None:
            if self._alarm.when() <= time:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_at(time, self._expire)

    def _expire(self) -> None:
        """Tell the clients whose deadline has passed, whatever their requests wait for."""
        self._alarm = None
        now, next_one = self._loop.time(), math.inf
        for pending in self._unanswered():
            if pending.future.done() or pending.deadline is None:
                continue
            if pending.deadline > now:
                next_one = min(next_one, pending.deadline)
                continue
            pending.future.set_exception(self._late(pending.arrived))
        self._drop_done()
        if next_one < math.inf:
            self._set_alarm(next_one)

    def _late(self, arrived: float) -> ServeError:
        seconds = self._loop.time() - arrived
        return ServeError(
            Status.DEADLINE_EXCEEDED,
            f"{self.signature.name}: the deadline passed, {seconds:.3f} s after the request came",
        )

    def _unanswered(self) -> Iterator[Pending]:
        for line in self._lines.values():
            yield from line.requests
        for batch in self._computing:
            yield from batch
        yield from self._again

    def _drop_done(self) -> None:
        """Take out those whose client has gone or has been told an error."""
        for key in list(self._lines):
            line = self._lines[key]
            if not any(p.future.done() for p in line.requests):
                continue
            kept = deque(p for p in line.requests if not p.future.done())
            rows = sum(p.counted for p in kept)
            self._count(rows - line.rows)
            line.requests, line.rows = kept, rows
            if not kept:
                del self._lines[key]

    # -- making batches ------------------------------------------------------------------------

    def _wake_for(self, line: _Line) -> None:
        """Make batches soon; at once where a timer waits for a line that is full now."""
        waits = isinstance(self._wake, asyncio.TimerHandle)
        if self._wake is None or (waits and line.rows >= self.max_rows):
            self._stop_waiting()
            self._wake = self._loop.call_soon(self._dispatch)

    def look(self) -> None:
        """Make batches soon, where the executor takes more than before."""
        if self._wake is None:
            self._wake = self._loop.call_soon(self._dispatch)

    def _stop_waiting(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def _dispatch(self) -> None:
        """Start as many batches as the executor takes."""
        self._wake = None
        while len(self._computing) < self.executor.room and self._wake is None:
            batch = self._next()
            if not batch:
                return
            self._start(batch)

    def _next(self) -> list[Pending]:
        """The next batch; empty where nothing waits, or where it is worth waiting."""
        while self._again:
            pending = self._again.popleft()
            if not pending.future.done():
                return [pending]
        self._drop_done()
        now, ready = self._loop.time(), math.inf
        for key in sorted(self._lines, key=lambda k: self._lines[k].requests[0].urgency):
            line = self._lines[key]
            time = line.requests[0].arrived + self.max_delay
            if time <= now or line.rows >= self.max_rows:
                return self._taken(key)
            ready = min(ready, time)
        if ready < math.inf:
            self._wake = self._loop.call_at(ready, self._dispatch)
        return []

    def _taken(self, key: tuple[Any, ...]) -> list[Pending]:
        """The requests at the head of a line that make a batch, and where there is place those of
        the same sizes in others; one that is larger goes alone."""
        batch: list[Pending] = []
        rows = 0
        others = [k for k in self._lines if k[1] == key[1] and k != key]
        for k in [key, *sorted(others)]:
            line = self._lines[k]
            while line.requests and self._fits(batch, rows, line.requests[0]):
                batch.append(line.requests.popleft())
                rows += batch[-1].counted
                line.rows -= batch[-1].counted
            if not line.requests:
                del self._lines[k]
        self._count(-rows)
        return batch

    def _fits(self, batch: list[Pending], rows: int, pending: Pending) -> bool:
        return not batch or (self.signature.batched and rows + pending.counted <= self.max_rows)

    # -- computing -----------------------------------------------------------------------------

    def _start(self, batch: list[Pending]) -> None:
        started = self._loop.time()
        self._computing.append(batch)
        counts = (0, 0)

        def done(found: list[Any] | BaseException) -> None:
            self._computing.remove(batch)
            self._finish(batch, found, started, counts)
            if (self._lines or self._again) and self._wake is None:
                self._wake = self._loop.call_soon(self._dispatch)

        try:
            arrays = self._together(batch)
            counts = self._counted(batch, arrays)
        except Exception as error:  # no memory, say
            done(error)
        else:
            askers = [p.asker for p in batch if p.asker is not None]
            self.executor.start(self.signature, arrays, done, askers)

    def _together(self, batch: list[Pending]) -> list[Any]:
        """The arrays of a batch: the rows of its requests, in order, padded where they differ."""
        if len(batch) == 1:
            return batch[0].arrays
        padding = self.signature.padding
        if padding is not None and len({padding.lengths(p.sizes) for p in batch}) > 1:
            return padding.together([p.arrays for p in batch], [p.sizes for p in batch])
        return [np.concatenate(parts) for parts in zip(*(p.arrays for p in batch), strict=True)]

    def _counted(self, batch: list[Pending], arrays: list[Any]) -> tuple[int, int]:
        """How many elements of a batch are padding, and how many it has."""
        elements = _elements(arrays)
        if len(batch) == 1 or self.signature.padding is None:
            return 0, elements
        return elements - sum(_elements(p.arrays) for p in batch), elements

    def _finish(
        self,
        batch: list[Pending],
        found: list[Any] | BaseException,
        started: float,
        counts: tuple[int, int],
    ) -> None:
        """Give the clients of a batch their rows, or the error that is theirs."""
        rows, counted, arrived = 0, 0, started
        for pending in batch:
            rows += pending.rows
            counted += pending.counted
            arrived = min(arrived, pending.arrived)
        took = self._loop.time() - started
        failed = isinstance(found, BaseException)
        told = Batch(self.signature, len(batch), rows, started - arrived, took, failed, *counts)
        if isinstance(found, BaseException):
            self._observe(told)
            self._fail(batch, found)
            return
        self.budget.observe(counted, took)
        if len(batch) > 1 and any(o.shape[:1] != (rows,) for o in found):
            self._observe(told)
            self._fail(batch, ValueError("the outputs have not the rows of the inputs"))
            return
        if self._tuner is not None:
            self._tuner.observe(rows, took, self._loop.time() - arrived)
            self._take_tuned()
        start = 0
        for pending in batch:
            stop = start + pending.rows
            if not pending.future.done():
                own = found if len(batch) == 1 else self._cut(pending, found, start, stop)
                pending.future.set_result(own)
            start = stop
        self._loop.call_soon(self._observe, told)  # once the answers are sent

    def _cut(self, pending: Pending, found: list[Any], start: int, stop: int) -> list[Any]:
        padding = self.signature.padding
        if padding is None:
            return [o[start:stop] for o in found]
        return padding.cut(found, slice(start, stop), pending.sizes)

    def _take_tuned(self) -> None:
        assert self._tuner is not None
        self.max_rows, self.max_delay = self._tuner.rows, self._tuner.delay

    def _fail(self, batch: list[Pending], error: BaseException) -> None:
        told = as_serve_error(error)
        if told is not error:
            told.__cause__ = error  # which the log has
        if isinstance(told, HungError):
            if not batch[0].has_hung:
                for pending in batch:
                    pending.has_hung = True
                self._again.extend(batch)
                return
            told = ServeError(told.status, f"{told}, twice")
        elif len(batch) > 1 and told.status is not Status.UNAVAILABLE:
            self._again.extend(batch)
            return
        for pending in batch:
            if not pending.future.done():
                pending.future.set_exception(told)

    # -- the end -------------------------------------------------------------------------------

    def close(self, reason: str = "the model was unloaded") -> None:
        """Take back the timers; tell whoever waits still that nothing will come."""
        for pending in self._unanswered():
            if not pending.future.done():
                pending.future.set_exception(
                    ServeError(Status.UNAVAILABLE, f"{self.signature.name}: {reason}")
                )
        self._drop_done()
        self._stop_waiting()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


def _elements(arrays: list[Any]) -> int:
    return sum([a.size for a in arrays if a is not None])


__all__ = ["PRIORITY_SECONDS", "Batch", "Batcher", "Budget", "Pending"]
