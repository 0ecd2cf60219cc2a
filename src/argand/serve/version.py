"""A version of a model: loaded, warmed, served, drained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from argand import onnx
from argand.base.errors import ArgandError, did_you_mean
from argand.export.archive import load
from argand.export.program import ExportedProgram
from argand.export.samples import compared
from argand.serve.batching import Batch, Batcher
from argand.serve.errors import ServeError, Status, not_found
from argand.serve.execution import Executor
from argand.serve.options import ModelOptions
from argand.serve.signature import ServedSignature


class State(Enum):
    """What a version does; the names and numbers are TensorFlow Serving's."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class ModelVersion:
    """A version of a model, and the queues of its signatures.

    Made by the engine: `read` and `warm` block (they run on a thread), `open` makes it take
    requests, `close` lets it finish those that it has.
    """

    def __init__(self, model: str, number: int, path: Path, options: ModelOptions) -> None:
        self.model = model
        self.number = number
        self.path = path
        self.options = options
        self.state = State.START
        self.error: ServeError | None = None
        self.program: ExportedProgram | None = None
        self.signatures: dict[str, ServedSignature] = {}
        self.in_flight = 0
        self._batchers: dict[str, Batcher] = {}
        self._executor: Executor | None = None
        self._idle: asyncio.Event = asyncio.Event()

    # -- its life ------------------------------------------------------------------------------

    def read(self) -> None:
        """Read the file."""
        self.program = read_program(self.path)
        self.signatures = {n: ServedSignature(s) for n, s in self.program.signatures.items()}

    def warm(self) -> None:
        """Run the samples of an archive, which compiles what requests will need; an error where
        the outputs are further off than the tolerance."""
        assert self.program is not None
        for sample in self.program.samples:
            for found in compared(self.program, sample):
                if not found.fits():
                    raise ServeError(
                        Status.FAILED_PRECONDITION,
                        f"{self.model} version {self.number}: a sample gives other outputs than "
                        f"the file says: {found}",
                    )

    def open(self, executor: Executor, observe: Callable[[Batch], None]) -> None:
        """Take requests."""
        self._executor = executor
        self._batchers = {
            n: Batcher(s, self.options.batching, executor, observe)
            for n, s in self.signatures.items()
        }
        self.state = State.AVAILABLE

    async def close(self) -> None:
        """Finish the requests that it has, and let go of its memory."""
        self.state = State.UNLOADING
        while self.in_flight:
            self._idle.clear()
            await self._idle.wait()
        if self._executor is not None:
            self._executor.close()
        self._batchers, self.signatures, self.program, self._executor = {}, {}, None, None
        self.state = State.END

    # -- requests ------------------------------------------------------------------------------

    def signature(self, name: str | None = None) -> ServedSignature:
        """The signature of a name, or the default one."""
        if name is None:
            assert self.program is not None
            name = self.program.default.name
        found = self.signatures.get(name)
        if found is None:
            raise not_found(
                f"{self.model} has no signature {name!r}{did_you_mean(name, self.signatures)}; "
                f"there are {', '.join(self.signatures)}"
            )
        return found

    def submit(
        self,
        signature: ServedSignature,
        inputs: Mapping[str, Any],
        *,
        timeout: float | None = None,
        priority: int = 0,
    ) -> asyncio.Future[list[Any]]:
        """A future of the outputs, an array each in order.

        Args:
            signature: of this version.
            inputs: arrays by the names of the signature's inputs.
            timeout: the seconds from now after which the answer is of no use.
            priority: lower ones are computed first.

        Raises ServeError at once where the inputs don't fit, or where too many requests wait.
        """
        checked = signature.check(inputs)
        loop = asyncio.get_running_loop()
        seconds = self.options.timeout if timeout is None else timeout
        deadline = None if seconds is None else loop.time() + seconds
        future = self._batchers[signature.name].submit(checked, deadline, priority)
        self.in_flight += 1
        future.add_done_callback(self._answered)
        return future

    def _answered(self, future: asyncio.Future[Any]) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()

    @property
    def metadata(self) -> dict[str, Any]:
        """The model card."""
        return {} if self.program is None else self.program.card

    def asset(self, name: str) -> bytes | None:
        """An asset of the archive."""
        return None if self.program is None else self.program.assets.get(name)

    def __repr__(self) -> str:
        return f"<{self.model} version {self.number}: {self.state.name}>"


def read_program(path: Path) -> ExportedProgram:
    """The program of an .argand or .onnx file."""
    if path.suffix.lower() == ".onnx":
        made: ExportedProgram = onnx.load(path)
        return made
    return load(path)


def as_serve_error(error: BaseException) -> ServeError:
    """An error as one that a protocol can tell."""
    if isinstance(error, ServeError):
        return error
    if isinstance(error, ArgandError) and isinstance(error, ValueError):
        return ServeError(Status.INVALID_ARGUMENT, str(error))
    return ServeError(Status.INTERNAL, f"{type(error).__name__}: {error}")


def answers(signature: ServedSignature, outputs: list[Any]) -> dict[str, np.ndarray]:
    """The outputs by their names."""
    return {x.name: o for x, o in zip(signature.outputs, outputs, strict=True)}


__all__ = ["ModelVersion", "State", "answers", "as_serve_error", "read_program"]
