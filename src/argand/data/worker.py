"""What a worker process does: reads the batches that it is asked for, and sends them back."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import random
import select
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from argand.base.dtype import get_default_dtype, set_default_dtype
from argand.base.settings import settings
from argand.data import worker_info
from argand.data.fetch import CutFetcher, Fetcher, Part, StreamFetcher
from argand.data.iterators import seed_batch
from argand.data.randomness import PROCESS, captured, restore
from argand.data.transport import Channel
from argand.data.worker_info import WorkerInfo
from argand.tensor.generators import default_generator

BATCH, END, ERROR = "batch", "end", "error"


# -- errors ----------------------------------------------------------------------------------------


class ExceptionWrapper:
    """An exception that is on its way to another process: its type, and its traceback as text."""

    def __init__(self, error: BaseException, where: str) -> None:
        self.exc_type = _sendable(type(error))
        self.name = type(error).__name__
        self.exc_msg = "".join(traceback.format_exception(error))
        self.where = where

    def reraise(self) -> None:
        """Raise an exception of the same type, with the traceback in its message."""
        message = f"Caught {self.name} {self.where}.\nOriginal {self.exc_msg}"
        try:
            if self.exc_type is KeyError:
                error: BaseException = KeyError(_AsItIs(message))
            elif getattr(self.exc_type, "message", None):
                error = self.exc_type(message=message)
            else:
                error = self.exc_type(message)
        except Exception:
            error = RuntimeError(message)  # the type asks for arguments that nobody knows
        raise error


class _AsItIs(str):
    """Text that KeyError shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _sendable(kind: type[BaseException]) -> type[Any]:
    """A type, or the nearest of its bases that another process finds by its name."""
    for found in kind.__mro__:
        with contextlib.suppress(Exception):
            ForkingPickler.dumps(found)
            return found
    return RuntimeError


# -- the process -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Job:
    """What a worker is told when it starts."""

    id: int
    num_workers: int
    dataset: Any
    size: int | None
    batched: bool
    streams: bool
    cut: bool
    collate: Callable[[Any], Any]
    drop_last: bool
    init: Callable[[int], Any] | None
    batch_seeds: bool
    parent: int
    surroundings: dict[str, Any]
    crew: str = ""  # a name that those beside it have too

    def fetcher(self, seed: int, number: int) -> Fetcher:
        """What reads the batches of a pass."""
        if self.streams:
            part = Part(seed, number, self.id, self.num_workers)
            return StreamFetcher(
                self.dataset, self.size, self.collate, self.drop_last, PROCESS, part
            )
        if self.cut:
            return CutFetcher(self.dataset)
        return Fetcher(self.dataset, self.batched, self.collate)


def surroundings() -> dict[str, Any]:
    """What a worker has from the process that starts it, whichever way it is started."""
    return {"generator": settings.generator, "dtype": get_default_dtype()}


def work(end: socket.socket, job: Job) -> None:
    """A worker's main function."""
    import argand  # by its public name: threads are not this room's

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends this
    signal.signal(signal.SIGTERM, functools.partial(_asked_to_end, job.parent))
    signal.set_wakeup_fd(-1)
    end_with(job.parent)
    settings.generator = job.surroundings["generator"]
    set_default_dtype(job.surroundings["dtype"])
    argand.set_num_threads(1)
    with contextlib.suppress(EOFError, ConnectionError):
        _Worker(Channel(end), job).run()
    end.close()


def _asked_to_end(parent: int, number: int, frame: Any) -> None:
    """End, unless the parent has a handler for this signal: then it may have come to all processes
    of the group, and the parent, which may want another batch, decides."""
    if not _handles(parent, number):
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _handles(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal, as far as the system tells."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/status") as file:
        caught = next((line for line in file if line.startswith("SigCgt:")), "SigCgt: 0")
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
    return False


def end_with(parent: int) -> None:
    """Let this process end when its parent has, however that ends."""
    try:
        there: Any = os.pidfd_open(parent)
    except (AttributeError, OSError):
        there = None
    threading.Thread(target=_watch, args=(parent, there), name="argand parent", daemon=True).start()


def _watch(parent: int, there: int | None) -> None:
    if there is not None:
        ready = select.poll()
        ready.register(there, select.POLLIN)
        ready.poll()
    while there is None and is_alive(parent):
        time.sleep(1)
    os._exit(1)


def is_alive(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Worker:
    def __init__(self, channel: Channel, job: Job) -> None:
        self._channel, self._job = channel, job
        self._where = f"in DataLoader worker process {job.id}"
        self._fetcher: Any = None
        self._failed: ExceptionWrapper | None = None
        self._started = False
        self._seeded = list(PROCESS) if job.batch_seeds and not job.streams else []
        self._seed = 0
        self._known: dict[str, Any] = {}  # the state, as the parent knows it

    def run(self) -> None:
        """Do what the parent asks, until it closes the connection."""
        while True:
            what, passing, *rest = self._channel.receive()
            if what == "start":
                self._start(*rest)
            else:
                self._answer(passing, *rest)

    def _start(self, seed: int, number: int, state: dict[str, Any]) -> None:
        """Begin a pass over the data."""
        self._seed, self._failed = seed, None
        try:
            if not self._started:
                self._set_up(seed)
            self._fetcher = self._job.fetcher(seed, number)
            self._load(state)
        except Exception as error:
            self._failed = ExceptionWrapper(error, self._where)

    def _set_up(self, base_seed: int) -> None:
        """Seed the generators as PyTorch's workers do, and let the user prepare the process."""
        job, self._started = self._job, True
        seed = base_seed + job.id
        random.seed(seed)
        default_generator.manual_seed(seed)
        np.random.seed(numpy_seed(base_seed, job.id))
        worker_info.crew = job.crew
        worker_info.this = WorkerInfo(job.id, job.num_workers, seed, job.dataset)
        before = captured(PROCESS)
        if job.init is not None:
            job.init(job.id)
        after = captured(PROCESS)
        # what the user has seeded is the user's
        self._seeded = [name for name in self._seeded if before[name] == after[name]]

    def _load(self, state: dict[str, Any]) -> None:
        fetcher, self._known = self._fetcher, dict(state)
        if "reading" in state:
            fetcher.load(state["reading"])
        elif isinstance(fetcher, StreamFetcher):
            fetcher.start()
        restore(PROCESS, state.get("generators", {}))

    def _answer(self, passing: int, number: int, index: Any) -> None:
        """Send a batch, or why there is none."""
        if self._failed is not None:
            kind, found, changes = ERROR, self._failed, {}
        else:
            kind, found = self._fetched(number, index)
            changes = self._changes()
        try:
            self._channel.send((passing, number, kind, found, changes))
        except (ConnectionError, EOFError):
            raise
        except Exception as error:  # what can't be sent: a lambda, no memory
            wrapped = ExceptionWrapper(error, self._where)
            self._channel.send((passing, number, ERROR, wrapped, {}))

    def _fetched(self, number: int, index: Any) -> tuple[str, Any]:
        """A batch, the end of a stream, or an error."""
        seed_batch(self._seeded, self._seed, number)
        try:
            return BATCH, self._fetcher.fetch(index)
        except Exception as error:
            if isinstance(error, StopIteration) and self._job.streams:
                return END, None
            return ERROR, ExceptionWrapper(error, self._where)

    def _changes(self) -> dict[str, Any]:
        """What of this worker's state the parent doesn't know yet."""
        state: dict[str, Any] = {}
        if reading := self._fetcher.state():
            state["reading"] = reading
        streams = {name: stream for name, stream in PROCESS.items() if name not in self._seeded}
        if streams:
            state["generators"] = captured(streams)
        changed = {key: value for key, value in state.items() if self._known.get(key) != value}
        self._known.update(changed)
        return changed


def numpy_seed(base_seed: int, worker: int) -> list[int]:
    """The words that PyTorch's workers give to `np.random.seed`."""
    words = [worker, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return [int(word) for word in np.random.SeedSequence(words).generate_state(4)]
