"""Where batches are computed: in this process, on the event loop's thread or beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from argand.export.program import ExportedProgram
from argand.serve.beside import beside
from argand.serve.files import HeldFile
from argand.serve.options import ModelOptions
from argand.serve.signature import ServedSignature
from argand.serve.tracing import Asker

Told = Callable[[list[Any] | BaseException], None]
"""Is told the outputs of a call, or why there are none, on the event loop's thread."""


class Version(Protocol):
    """What an executor knows of a version."""

    model: str
    number: int
    options: ModelOptions
    program: ExportedProgram | None
    held: HeldFile | None
    signatures: dict[str, ServedSignature]

    def warm(self) -> None:
        """Compile in this process what requests will need."""
        ...


class Executor(Protocol):
    """Computes calls. `room` is how many it takes at once, up to `most`."""

    room: int
    most: int

    async def load(self, version: Version) -> None:
        """Make ready to compute the calls of a version that has been read: what they need is
        compiled, and each signature says whether its rows can be batched."""
        await beside(version.warm)

    def start(
        self,
        signature: ServedSignature,
        arrays: Sequence[Any],
        done: Told,
        askers: Sequence[Asker] = (),
    ) -> None:
        """Begin a call for some requests; `done` is told its outputs, at once or later."""
        ...

    def scale(self, calls: int) -> None:
        """Take so many calls at once from now on."""
        self.room = calls

    def close(self) -> None:
        """Let go of threads and processes."""
        ...

    def join(self) -> None:
        """Wait, after `close`, until nothing is computed any more. It blocks."""
        return


_SHORT = 1e-3  # seconds: less than that isn't worth a thread


class InProcess(Executor):
    """Runs short calls at once, and longer ones on threads of its own, `room` at a time.

    Going through a thread takes 0.1 ms, which is longer than a small network; and what takes longer
    must not keep the event loop from other requests.
    """

    most = 64

    def __init__(self) -> None:
        self.room = 1
        self._threads: ThreadPoolExecutor | None = None
        self._ending: ThreadPoolExecutor | None = None
        self._seconds: dict[int, float] = {}  # the longest of late, by signature

    def start(
        self,
        signature: ServedSignature,
        arrays: Sequence[Any],
        done: Told,
        askers: Sequence[Asker] = (),
    ) -> None:
        """Compute a call. Who asked is logged with the answers."""
        key = id(signature)
        if self._seconds.get(key, 1.0) < _SHORT:
            done(self._timed(key, signature, arrays))
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.room, thread_name_prefix="argand-serve")
        loop = asyncio.get_running_loop()

        def compute() -> None:
            found = self._timed(key, signature, arrays)
            loop.call_soon_threadsafe(done, found)

        self._threads.submit(compute)

    def _timed(
        self, key: int, signature: ServedSignature, arrays: Sequence[Any]
    ) -> list[Any] | BaseException:
        start = time.thread_time()  # what it takes by itself, not while others have the core
        try:
            return signature.run(arrays)
        except Exception as error:
            return error
        finally:
            took, before = time.thread_time() - start, self._seconds.get(key, 0.0)
            self._seconds[key] = max(took, before * 0.9)

    def scale(self, calls: int) -> None:
        """Compute so many calls at once from now on."""
        self.close()
        self.room = calls

    def close(self) -> None:
        """End the threads after what they compute."""
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads, self._ending = None, self._threads

    def join(self) -> None:
        """Wait for the threads."""
        if self._ending is not None:
            self._ending.shutdown()
            self._ending = None


__all__ = ["Executor", "InProcess", "Told", "Version"]
