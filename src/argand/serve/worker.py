"""A worker process: reads versions, computes calls, and ends with the front process."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections import defaultdict
from typing import Any

from argand.compile.resources import Shelf, prepare_giving_back, reclaim, set_apart, sharing
from argand.data.worker import end_with
from argand.export.program import ExportedProgram
from argand.serve.beside import beside_calls
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
from argand.serve.errors import Status, as_serve_error
from argand.serve.files import read_program
from argand.serve.options import BatchOptions
from argand.serve.signature import served_signatures
from argand.serve.tracing import named
from argand.serve.version import warm

_log = logging.getLogger("argand.serve")


class _Served:
    """A version in this process."""

    def __init__(self, program: ExportedProgram, batching: BatchOptions) -> None:
        self.program = program
        self.signatures = served_signatures(program, batching)


class Worker:
    """Answers the messages of a channel. Versions are read on threads of their own, so that calls
    go on meanwhile."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._versions: dict[int, _Served] = {}
        self._unwanted: set[int] = set()  # unloaded before they were loaded
        self._weights: dict[int, int] = {}  # files of them, of versions to be loaded
        self._shelves: defaultdict[int, Shelf] = defaultdict(Shelf)  # of versions to be loaded
        self._given, self._made = Seen(), Segment()
        self._sending = threading.Lock()

    def run(self) -> None:
        """Answer until the other end is closed."""
        while True:
            message, file = self._channel.receive()
            if isinstance(message, Run):
                if file is not None:
                    self._given.map(file)
                self._compute(message)
            elif isinstance(message, Weights) and file is not None:
                self._weights[message.version] = file
            elif isinstance(message, Packed) and file is not None:
                self._shelves[message.version].files[message.key] = file
            elif isinstance(message, Load):
                threading.Thread(target=self._load, args=(message, file), daemon=True).start()
            elif isinstance(message, Unload):
                if self._versions.pop(message.version, None) is None:
                    self._unwanted.add(message.version)
                threading.Thread(target=reclaim, daemon=True).start()

    def _send(self, message: Message, file: int | None = None) -> None:
        with self._sending, contextlib.suppress(OSError):
            self._channel.send(message, file)

    def _compute(self, message: Run) -> None:
        try:
            signature = self._versions[message.version].signatures[message.signature]
            outputs = signature.run(self._given.arrays(message.arrays))
            placed, file = self._made.put(outputs)
        except Exception as error:
            failed = _failed(error)
            if failed.status == Status.INTERNAL.name:  # the front has no traceback
                of = named(message.askers)
                _log.error("a call failed (%s): %s", of, failed.message, exc_info=error)
            self._send(failed)
            return
        self._send(Done(placed), file)
        if file is not None:
            os.close(file)

    def _load(self, message: Load, file: int | None) -> None:
        shelf = self._shelves.pop(message.version, None) or Shelf()
        weights = self._weights.pop(message.version, None)
        try:
            assert file is not None
            with beside_calls(), sharing(shelf):
                served = _Served(read_program(file, weights, message.name), message.batching)
                rows = message.batching.max_rows
                warm(served.program, served.signatures, rows, compare=message.compare)
            for key in shelf.made:
                self._send(Packed(message.version, key), shelf.files[key])
        except Exception as error:
            self._send(_failed(error, message.version))
            return
        finally:
            shelf.close()
            for given in (file, weights):
                if given is not None:
                    os.close(given)
        if message.version not in self._unwanted:
            self._versions[message.version] = served
        findings = {n: s.findings for n, s in served.signatures.items()}
        self._send(Loaded(message.version, findings))


def _failed(error: Exception, version: int | None = None) -> Failed:
    told = as_serve_error(error)
    return Failed(told.status.name, str(told), told.field, version)


def main(arguments: list[str]) -> None:
    """The process. Its arguments: the socket, the front's number, threads, cores."""
    import argand  # by its public name: threads are not this room's

    end, parent, threads, *cores = map(int, arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # the front is told too, and ends this
        signal.signal(number, signal.SIG_IGN)
    prepare_giving_back()
    end_with(parent)
    if cores:
        os.sched_setaffinity(0, cores)
    argand.set_num_threads(threads)
    set_apart()
    channel: Any = Channel(socket.socket(fileno=end))
    with contextlib.suppress(EOFError):
        Worker(channel).run()
    os._exit(0)  # whatever is being read
