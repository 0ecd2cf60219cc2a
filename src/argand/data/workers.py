"""A pass over the batches that worker processes read: the side of the process that asks for them.

Each worker has a connection of its own, so that one that is killed holds no lock that others want.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import warnings
import weakref
from collections import Counter, deque
from collections.abc import Iterable
from multiprocessing.connection import wait
from typing import Any, Final

from argand.data.dataset import IterableDataset
from argand.data.fetch import is_cut, is_pipeline
from argand.data.iterators import Progress, _BaseDataLoaderIter, check_reading, seeds_batches
from argand.data.transport import Channel, pair
from argand.data.worker import END, ERROR, Job, is_alive, surroundings, work

CHECKED_SECONDS: Final = 1.0
"""How often it is looked whether workers live, beside waiting for what they send."""

GRACE_SECONDS: Final = 2.0
"""How long workers may take to end what they do, before they are ended."""

_AHEAD: Final = 16
"""How many requests may be on their way to a worker, so that neither side waits for the other."""


class WorkerProcess:
    """One worker, and the connection to it."""

    def __init__(self, context: Any, job: Job) -> None:
        mine, others = pair()
        self.channel = Channel(mine)
        _channels.add(self.channel)
        self._waiting: deque[Any] = deque()
        self._asked = 0
        self.process = context.Process(target=_begin, args=(others, job), daemon=True)
        try:
            with warnings.catch_warnings():
                # locks of threads are held over a fork (argand.base.forks)
                warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
                self.process.start()
        except BaseException:
            self.channel.close()
            raise
        finally:
            others.close()

    def send(self, request: Any) -> None:
        """Ask for something, now or when some of what was asked for has come."""
        self._waiting.append(request)
        self._go_on()

    def receive(self) -> Any:
        """The next answer; raises EOFError where the process has ended."""
        answer = self.channel.receive()
        self._asked -= 1
        self._go_on()
        return answer

    def _go_on(self) -> None:
        while self._waiting and self._asked < _AHEAD:
            request = self._waiting.popleft()
            self._asked += request[0] == "fetch"
            with contextlib.suppress(ConnectionError):  # `receive` will see that it has ended
                self.channel.send(request)


def _begin(end: Any, job: Job) -> None:
    """The first function of a worker process."""
    for channel in list(_channels):  # a fork has copied the parent's ends
        channel.close()
    work(end, job)


_channels: weakref.WeakSet[Channel] = weakref.WeakSet()


class Crew:
    """Worker processes."""

    def __init__(self, jobs: Iterable[Job], context: Any = None) -> None:
        self._owner = os.getpid()
        self.workers: list[WorkerProcess] = []
        context = context or multiprocessing.get_context()
        try:
            for job in jobs:
                self.workers.append(WorkerProcess(context, job))
        except BaseException:
            self.close()
            raise

    def receive(self, deadline: float) -> tuple[int, Any] | None:
        """A worker and its answer; None where there is none in time. RuntimeError where one has
        ended."""
        while (left := deadline - time.monotonic()) > 0:
            channels: list[Any] = [worker.channel for worker in self.workers]
            ready = wait(channels, min(left, CHECKED_SECONDS))
            if ready:
                number = channels.index(ready[0])
                return number, self._answer(self.workers[number])
            if any(_has_ended(worker.process) for worker in self.workers):
                raise self._ended()
        return None

    def _answer(self, worker: WorkerProcess) -> Any:
        try:
            return worker.receive()
        except EOFError:
            worker.process.join(GRACE_SECONDS)
            raise self._ended() from None

    def _ended(self) -> RuntimeError:
        ended = [w.process for w in self.workers if w.process.exitcode is not None]
        pids = ", ".join(str(process.pid) for process in ended)
        how = ", ".join(sorted({_status(process.exitcode) for process in ended}))
        return RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly: {how}")

    def close(self) -> None:
        """End the processes; those that don't are made to."""
        if self._owner != os.getpid():
            return  # copied by a fork
        for worker in self.workers:
            worker.channel.close()  # workers end by themselves
        end = time.monotonic() + GRACE_SECONDS
        processes = [worker.process for worker in self.workers]
        for kill in (False, True):
            for process in processes:
                if kill and process.exitcode is None:
                    process.kill()
            for process in processes:
                process.join(max(0.0, end - time.monotonic()))
            if all(process.exitcode is not None for process in processes):
                return
            end = time.monotonic() + GRACE_SECONDS


def _has_ended(process: Any) -> bool:
    """Whether a worker is no more; a fork server that has ended says so of all that it started."""
    return process.exitcode is not None and not is_alive(process.pid)


def _status(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def job_of(loader: Any, number: int, crew: str) -> Job:
    """What a worker is told."""
    return Job(
        id=number,
        num_workers=loader.num_workers,
        dataset=loader.dataset,
        size=loader.batch_size,
        batched=loader._auto_collation,
        streams=isinstance(loader.dataset, IterableDataset),
        cut=is_cut(loader),
        collate=loader.collate_fn,
        drop_last=loader.drop_last,
        init=loader.worker_init_fn,
        batch_seeds=seeds_batches(loader),
        parent=os.getpid(),
        surroundings=surroundings(),
        crew=crew,
    )


class _Places:
    """Where the workers are: what they say of themselves, and whose turn it is."""

    def __init__(self, count: int, saved: dict[str, Any] | None) -> None:
        before: Any = saved["reading"] if saved else {"workers": count, "states": {}}
        self.count = count
        self.turn = before.get("turn", 0) if before["workers"] == count else 0
        self.states: dict[str, Any] = dict(before["states"])

    def note(self, worker: int, changes: dict[str, Any]) -> None:
        """Whose batch was handed out, and how its state has changed."""
        self.turn = (worker + 1) % self.count
        if changes:
            self.states[str(worker)] = {**self.states.get(str(worker), {}), **changes}

    def plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"workers": self.count, "turn": self.turn, "states": dict(self.states)}


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """A pass whose batches are read by worker processes, ahead of when they are asked for.

    Workers take turns; one whose stream has ended is left out.
    """

    def __init__(self, loader: Any, saved: dict[str, Any] | None = None) -> None:
        super().__init__(loader, Progress(loader, saved))
        self._in_order, self._timeout = loader.in_order, loader.timeout or float("inf")
        crew = os.urandom(8).hex()
        jobs = (job_of(loader, i, crew) for i in range(loader.num_workers))
        self._crew = Crew(jobs, loader.multiprocessing_context)
        self._close = weakref.finalize(self, self._crew.close)
        self._pass = 0
        self._begin(saved)

    @property
    def _workers(self) -> list[Any]:
        return [worker.process for worker in self._crew.workers]

    def _shutdown_workers(self) -> None:
        """End the workers now."""
        self._close()

    @property
    def is_usable(self) -> bool:
        """Whether another pass can be made with the same workers."""
        return self._close.alive

    def _reset(self, loader: Any, saved: dict[str, Any] | None = None) -> None:
        """Begin another pass with the same workers."""
        # PyTorch seeds such workers once
        drawn = seeds_batches(loader) or is_pipeline(loader.dataset)
        seed = None if drawn else self.progress.seed
        self.progress = Progress(loader, saved, seed)
        self._pass += 1
        self._begin(saved)

    def _begin(self, saved: dict[str, Any] | None) -> None:
        count = self._loader.num_workers
        if saved is not None:
            check_reading(saved, count)
        self._places = _Places(count, saved)
        self.progress.reading = self._places.plain
        self._turn = self._places.turn
        self._alive = [True] * count
        self._tasks: dict[int, int] = {}  # numbers that were asked for: of which worker
        self._answers: dict[int, Any] = {}
        for i, worker in enumerate(self._crew.workers):
            state = self._places.states.get(str(i), {})
            seed, number = self.progress.seed, self.progress.number
            worker.send(("start", self._pass, seed, number, state))
        for _ in range(self._loader.prefetch_factor * count):
            self._ask()

    def _ask(self) -> None:
        """Ask a worker for the next batch, if there is one."""
        if not any(self._alive):
            return
        try:
            number, index = next(self.progress.order)
        except StopIteration:
            return
        worker = self._next_worker()
        self._tasks[number] = worker
        self._crew.workers[worker].send(("fetch", self._pass, number, index))

    def _next_worker(self) -> int:
        if not self._in_order:
            load = Counter(self._tasks.values())
            alive = [i for i, there in enumerate(self._alive) if there]
            return min(alive, key=lambda i: load[i])
        while True:
            worker, self._turn = self._turn, (self._turn + 1) % len(self._alive)
            if self._alive[worker]:
                return worker

    def _next_data(self) -> Any:
        deadline = time.monotonic() + self._timeout
        while self._tasks:
            number = next(iter(self._tasks if self._in_order else self._answers), None)
            if number in self._answers:
                return self._hand(number)
            self._receive(deadline)
        if not self._loader.persistent_workers:
            self._close()
        raise StopIteration

    def _receive(self, deadline: float) -> None:
        """Wait for an answer."""
        if not self.is_usable:
            raise RuntimeError("the DataLoader's workers have ended: begin another pass")
        try:
            found = self._crew.receive(deadline)
        except BaseException:  # an answer may be read in part
            self._close()
            raise
        if found is None:
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        worker, (passing, number, kind, batch, changes) = found
        if passing != self._pass or number not in self._tasks:
            return  # of a pass that was left, or asked of a stream that has ended
        if kind == END:
            self._leave_out(worker)
        else:
            self._answers[number] = kind, batch, changes

    def _leave_out(self, worker: int) -> None:
        """Go on without a worker whose stream has ended."""
        self._alive[worker] = False
        asked = [n for n, i in self._tasks.items() if i == worker and n not in self._answers]
        for number in asked:
            del self._tasks[number]
            self.progress.hand(number)
            self._ask()

    def _hand(self, number: int) -> Any:
        kind, batch, changes = self._answers.pop(number)
        self.progress.hand(number)
        self._places.note(self._tasks.pop(number), changes)
        self._ask()
        if kind == ERROR:
            batch.reraise()
        return batch
