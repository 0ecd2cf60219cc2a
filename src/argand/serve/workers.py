"""Worker processes that compute calls, on cores of their own.

The front process has the connections, the queues and the batches, so that its port, its metrics and
its management are those of one server. A worker computes one call at a time. If it is killed, what
it computed is computed again by another, since calls change nothing, and a new worker is started.
The calls of a version that change its state are all made by one worker, in order; they are never
made twice, and if their worker is lost the state begins again as the file has it.
A worker that does not end a call in time is killed; the call fails, and its queue decides whether
it is computed again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import argand
from argand.base.settings import settings
from argand.serve.channel import (
    Channel,
    Done,
    Failed,
    Load,
    Loaded,
    Message,
    Packed,
    Run,
    Seen,
    Segment,
    Unload,
    Weights,
)
from argand.serve.cores import Share, shares
from argand.serve.errors import HungError, ServeError, Status
from argand.serve.execution import Executor, Told, Version
from argand.serve.files import HeldFile
from argand.serve.options import HUNG_SECONDS
from argand.serve.signature import Findings, ServedSignature
from argand.serve.tracing import Asker, named

_log = logging.getLogger("argand.serve")

FindingsByName = dict[str, Findings]
"""What a worker found out about the signatures of a version."""

TRIES: Final = 3
"""How many workers a call may cost before it fails: it may be the call that ends them."""

_REPLY: Final = 10.0  # seconds for the rest of a message that has begun
_SHORT_LIFE: Final = 1.0
_LONGEST_WAIT: Final = 5.0

_PROCESS: Final = """
import sys

sys.path.insert(0, sys.argv[1])
from argand.serve.worker import main

main(sys.argv[2:])
"""


class _Entry:
    """A version as the pool knows it."""

    def __init__(self, number: int, version: Version, hung_seconds: float) -> None:
        assert version.held is not None
        self.number = number
        self.held: HeldFile = version.held
        self.packed: dict[str, int] = {}  # files of weights that one worker has packed for all
        self.name = f"{version.model} version {version.number}"
        self.batching = version.options.batching
        self.hung_seconds = max(hung_seconds, version.options.timeout or 0.0)
        self.is_pure = all(s.is_pure for s in version.signatures.values())
        self.home: int | None = None  # the only worker that computes it
        self.is_open = False

    def close(self) -> None:
        """Give up the files of packed weights."""
        for file in self.packed.values():
            os.close(file)
        self.packed = {}


class _Job:
    """A call that waits for a worker, or is computed by one."""

    __slots__ = ("arrays", "askers", "entry", "signature", "told", "tries")

    def __init__(
        self,
        entry: _Entry,
        signature: ServedSignature,
        arrays: Sequence[Any],
        told: Told,
        askers: Sequence[Asker],
    ) -> None:
        self.entry = entry
        self.signature = signature
        self.arrays = arrays
        self.told = told
        self.askers = askers
        self.tries = 0


class _LostError(Exception):
    """A worker ended."""


class _Worker:
    """A worker process, from the front's side."""

    def __init__(self, pool: WorkerPool, index: int, share: Share) -> None:
        self.index = index
        self.versions: set[int] = set()
        self.job: _Job | None = None
        self.is_ready = False
        self.is_hung = False
        self.started = time.monotonic()
        self._pool = pool
        self._ends = math.inf  # by the loop's time: when what it computes takes too long
        self._alarm: asyncio.TimerHandle | None = None  # set for then, or for the call before
        self._loading: dict[int, asyncio.Future[FindingsByName]] = {}
        self._given, self._made = Segment(), Seen()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(_REPLY)
        self._channel = Channel(ours)
        with theirs:
            self.process = _process(theirs.fileno(), share)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours.fileno(), self._read)

    # -- what it is asked ----------------------------------------------------------------------

    async def load(self, entry: _Entry, compare: bool) -> FindingsByName:
        """Let it read a version; what it found out about its signatures."""
        future = self._loading[entry.number] = self._loop.create_future()
        message = Load(entry.number, entry.held.name, entry.batching, compare)
        if entry.held.weights is not None:
            self._send(Weights(entry.number), entry.held.weights)
        for key, packed in entry.packed.items():
            self._send(Packed(entry.number, key), packed)
        self._send(message, entry.held.file)
        findings: FindingsByName = await future
        self.versions.add(entry.number)
        return findings

    def unload(self, number: int) -> None:
        """Let it forget a version."""
        self.versions.discard(number)
        self._send(Unload(number))

    def compute(self, job: _Job) -> None:
        """Let it compute a call."""
        try:
            placed, file = self._given.put(job.arrays)
        except (OSError, MemoryError) as error:
            job.told(ServeError(Status.RESOURCE_EXHAUSTED, f"not enough shared memory: {error}"))
            return
        self.job = job
        job.tries += 1
        try:
            self._send(Run(job.entry.number, job.signature.name, placed, job.askers), file)
        finally:
            if file is not None:
                os.close(file)
        self._ends = self._loop.time() + job.entry.hung_seconds
        if self._alarm is None or self._alarm.when() > self._ends:
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._ends, self._look)

    def _look(self) -> None:
        """End the process if what it computes takes too long."""
        self._alarm = None
        if self.job is None:
            return
        if self._loop.time() < self._ends:  # it is another call
            self._set_alarm()
            return
        self.is_hung = True
        self.process.kill()  # which is read as any other end

    def _send(self, message: Message, file: int | None = None) -> None:
        try:
            self._channel.send(message, file)
        except OSError:  # it has ended, or takes nothing: its end is read
            self.process.kill()

    # -- what it says --------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            message, file = self._channel.receive()
        except EOFError:
            self.close()
            self._pool.lost(self)
            return
        if isinstance(message, Packed):
            self._pool.keep(message, file)
        elif file is not None:
            self._made.map(file)
        if isinstance(message, Loaded):
            self._loading.pop(message.version).set_result(message.findings)
        elif isinstance(message, Failed) and message.version is not None:
            self._loading.pop(message.version).set_exception(_error(message))
        elif isinstance(message, Done):
            self._end_job([a if a is None else a.copy() for a in self._made.arrays(message.arrays)])
        elif isinstance(message, Failed):
            self._end_job(_error(message))

    def _end_job(self, found: list[Any] | BaseException) -> None:
        job, self.job = self.job, None
        assert job is not None
        job.told(found)
        self._pool.give()

    def close(self) -> None:
        """End the process, and tell those who wait for it."""
        if self._channel.socket.fileno() < 0:
            return
        self._loop.remove_reader(self._channel.socket.fileno())
        self._channel.close()
        self.is_ready = False
        if self._alarm is not None:
            self._alarm.cancel()
        self.process.kill()
        self.process.wait()
        for future in self._loading.values():
            if not future.done():
                future.set_exception(_LostError())
        self._loading.clear()


def _error(message: Failed) -> ServeError:
    return ServeError(Status[message.status], message.message, field=message.field)


def _process(end: int, share: Share) -> subprocess.Popen[bytes]:
    """A process that serves one end of a connection."""
    folder = Path(argand.__file__).parent.parent
    threads = min(share.threads, settings.threads)
    arguments = [folder, end, os.getpid(), threads, *sorted(share.cores or ())]
    return subprocess.Popen(
        [sys.executable, "-c", _PROCESS, *map(str, arguments)],
        pass_fds=[end],
        stdin=subprocess.DEVNULL,
    )


class WorkerPool:
    """Some worker processes, on which all versions of an engine are computed.

    Args:
        count: how many.
        hung_seconds: for how long one of them may compute one call.

    Used as `Engine(..., executor=pool.executor)`, on the engine's loop; `close` ends it.
    """

    def __init__(self, count: int, hung_seconds: float = HUNG_SECONDS) -> None:
        if count < 1:
            raise ValueError(f"a pool has at least 1 worker, got {count}")
        self.count = count
        self.hung_seconds = hung_seconds
        self.restarts = 0
        self.workers: list[_Worker | None] = [None] * count
        self._shares = shares(count)
        self._entries: dict[int, _Entry] = {}
        self._numbers = itertools.count()
        self._waiting: deque[_Job] = deque()
        self._starting: dict[int, asyncio.Task[None]] = {}
        self._news = asyncio.Event()  # set when a worker has started
        self._is_closed = False

    def executor(self, version: Any = None) -> Executor:
        """What computes the calls of one version."""
        return _PoolExecutor(self)

    @property
    def processes(self) -> dict[int, int]:
        """The numbers of the processes of the workers there are."""
        return {w.index: w.process.pid for w in self.workers if w is not None}

    @property
    def is_ready(self) -> bool:
        """Whether calls are computed now, where there are any to compute."""
        return not self._entries or any(w is not None and w.is_ready for w in self.workers)

    # -- versions ------------------------------------------------------------------------------

    async def add(self, version: Version) -> _Entry:
        """Let the workers read a version: first one, which finds out what can be batched, then the
        others, which find its kernels on the disk."""
        entry = _Entry(next(self._numbers), version, self.hung_seconds)
        self._entries[entry.number] = entry
        if not entry.is_pure:
            entry.home = entry.number % self.count
        indices = range(self.count) if entry.home is None else [entry.home]
        for index in range(self.count):
            if self.workers[index] is None and index not in self._starting:
                self._start(index, 0.0)
        try:
            first, *rest = indices
            findings = await self._load(first, entry, True)
            await asyncio.gather(*(self._load(i, entry, False) for i in rest))
        except BaseException:
            self.remove(entry)
            raise
        entry.is_open = True
        for name, found in findings.items():
            version.signatures[name].take(found)
        return entry

    async def _load(self, index: int, entry: _Entry, compare: bool) -> FindingsByName:
        """Load a version on a worker; if that ends, on the one in its place."""
        for _ in range(TRIES):
            worker = await self._ready(index)
            if entry.number in worker.versions:
                return {}  # it was started meanwhile
            try:
                return await worker.load(entry, compare)
            except _LostError:
                continue
        raise ServeError(Status.INTERNAL, f"{entry.name}: {TRIES} workers ended while they read it")

    async def _ready(self, index: int) -> _Worker:
        """A worker that takes messages."""
        while True:
            worker = self.workers[index]
            if worker is not None and worker.is_ready:
                return worker
            self._news.clear()
            await self._news.wait()

    def remove(self, entry: _Entry) -> None:
        """Let the workers forget a version."""
        if self._entries.pop(entry.number, None) is None:
            return
        entry.close()
        for worker in self.workers:
            if worker is not None and worker.is_ready:
                worker.unload(entry.number)

    def keep(self, message: Packed, file: int | None) -> None:
        """Keep weights that a worker has packed, for those that will read the version."""
        entry = self._entries.get(message.version)
        if file is None:
            return
        if entry is None or message.key in entry.packed:
            os.close(file)
        else:
            entry.packed[message.key] = file

    # -- calls ---------------------------------------------------------------------------------

    def compute(self, job: _Job) -> None:
        """Let a worker compute a call, as soon as one is free."""
        self._waiting.append(job)
        self.give()

    def give(self) -> None:
        """Give waiting calls to the workers that are free, in order."""
        free = [w for w in self.workers if w is not None and w.is_ready and w.job is None]
        for job in list(self._waiting) if free else []:
            worker = next((w for w in free if _takes(w, job)), None)
            if worker is not None:
                free.remove(worker)
                self._waiting.remove(job)
                worker.compute(job)
            if not free:
                return

    # -- workers that end ----------------------------------------------------------------------

    def _start(self, index: int, delay: float) -> None:
        task = asyncio.get_running_loop().create_task(self._started(index, delay))
        self._starting[index] = task

    async def _started(self, index: int, delay: float) -> None:
        """Start a worker, and let it read what is served."""
        await asyncio.sleep(delay)
        if self._is_closed:
            return
        try:
            worker = self.workers[index] = _Worker(self, index, self._shares[index])
        except OSError as error:
            _log.error("no worker can be started: %s", error)
            self._start(index, _LONGEST_WAIT)
            return
        for entry in list(self._entries.values()):
            is_served = entry.is_open and self._entries.get(entry.number) is entry
            if not is_served or entry.home not in (None, index):
                continue
            try:
                await worker.load(entry, False)
            except _LostError:
                return
            except ServeError as error:
                _log.error("worker %d can't read %s: %s", index, entry.name, error)
        worker.is_ready = True
        del self._starting[index]
        self._news.set()
        for number in worker.versions - set(self._entries):
            worker.unload(number)
        self.give()

    def lost(self, worker: _Worker) -> None:
        """Give what an ended worker computed to another, and start one in its place."""
        if self._is_closed or self.workers[worker.index] is not worker:
            return
        job, worker.job = worker.job, None
        self.workers[worker.index] = None
        self.restarts += 1
        lived = time.monotonic() - worker.started
        of = "" if job is None else f" while it computed for {named(job.askers)}"
        _log.warning("worker %d ended (%s)%s", worker.index, worker.process.returncode, of)
        self._start(worker.index, 0.0 if lived > _SHORT_LIFE else _LONGEST_WAIT / 10)
        if job is not None:
            self._again(job, worker.is_hung)
        self.give()

    def _again(self, job: _Job, was_hung: bool) -> None:
        if not job.entry.is_pure:
            job.told(
                ServeError(
                    Status.UNAVAILABLE,
                    f"{job.entry.name}: the worker that has its state was lost; it is not known "
                    "whether the call was made",
                )
            )
        elif was_hung:
            seconds, name = job.entry.hung_seconds, job.entry.name
            of = named(job.askers)
            _log.warning("a call of %s took more than %g seconds (%s)", name, seconds, of)
            said = f"{name}: the call took more than {seconds:g} seconds, and was cut off"
            job.told(HungError(Status.INTERNAL, said))
        elif job.tries >= TRIES:
            job.told(
                ServeError(
                    Status.INTERNAL, f"{job.entry.name}: {TRIES} workers ended during the call"
                )
            )
        else:
            self._waiting.appendleft(job)

    def close(self) -> None:
        """End the workers."""
        self._is_closed = True
        for task in self._starting.values():
            task.cancel()
        for worker in self.workers:
            if worker is not None:
                worker.close()
        self.workers = [None] * self.count
        for job in self._waiting:
            job.told(ServeError(Status.UNAVAILABLE, "the server is ending"))
        self._waiting.clear()


def _takes(worker: _Worker, job: _Job) -> bool:
    return job.entry.number in worker.versions


class _PoolExecutor(Executor):
    """Computes the calls of one version on the workers of a pool."""

    def __init__(self, pool: WorkerPool) -> None:
        self.room = self.most = pool.count
        self._pool = pool
        self._entry: _Entry | None = None

    async def load(self, version: Version) -> None:
        """Let the workers read the version."""
        if version.held is None:
            assert version.program is not None
            held = await asyncio.to_thread(HeldFile.of_program, version.program, version.model)
            version.held = held
        self._entry = await self._pool.add(version)
        if not self._entry.is_pure:
            self.room = self.most = 1

    def start(
        self,
        signature: ServedSignature,
        arrays: Sequence[Any],
        done: Told,
        askers: Sequence[Asker] = (),
    ) -> None:
        """Compute a call."""
        assert self._entry is not None
        self._pool.compute(_Job(self._entry, signature, arrays, done, askers))

    def close(self) -> None:
        """Let the workers forget the version."""
        if self._entry is not None:
            self._pool.remove(self._entry)
            self._entry = None


__all__ = ["TRIES", "WorkerPool"]
