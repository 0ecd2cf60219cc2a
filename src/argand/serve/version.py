"""A version of a model: loaded, warmed, served, drained."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from argand.base.errors import did_you_mean
from argand.compile.resources import give_back
from argand.export.program import DEFAULT, ExportedProgram
from argand.export.samples import compared
from argand.serve.batching import Batch, Batcher, Budget
from argand.serve.beside import beside_calls
from argand.serve.errors import ServeError, Status, invalid, not_found
from argand.serve.execution import Executor
from argand.serve.files import HeldFile
from argand.serve.options import ModelOptions
from argand.serve.signature import ServedSignature, served_signatures
from argand.serve.trials import Trials

T = TypeVar("T")


class State(Enum):
    """What a version does; the names and numbers are TensorFlow Serving's."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class ModelVersion:
    """A version of a model, and the queues of its signatures.

    Made by the engine: `read` blocks (it runs on a thread), `open` makes it take requests, `close`
    lets it finish those that it has. It may have a program in place of a file.
    """

    def __init__(
        self,
        model: str,
        number: int,
        path: Path | None,
        options: ModelOptions,
        program: ExportedProgram | None = None,
    ) -> None:
        self.model = model
        self.number = number
        self.path = path
        self.options = options
        self.error: ServeError | None = None
        self.program = program
        self.held: HeldFile | None = None
        self.signatures: dict[str, ServedSignature] = {}
        self.in_flight = 0
        self.history: list[tuple[State, float]] = []
        self.is_available = False  # takes requests
        self.state = State.START
        self.on_close: list[Callable[[], None]] = []  # of those who keep something for it
        self._batchers: dict[str, Batcher] = {}
        self.executor: Executor | None = None
        self._idle: asyncio.Event = asyncio.Event()

    @property
    def state(self) -> State:
        """What it does now; `history` has what it did before, with the times in seconds."""
        return self.history[-1][0]

    @state.setter
    def state(self, state: State) -> None:
        self.is_available = state is State.AVAILABLE
        self.history.append((state, time.time()))

    @property
    def is_coming(self) -> bool:
        """Whether it is being loaded, or waits for that."""
        return self.state in (State.START, State.LOADING)

    # -- its life ------------------------------------------------------------------------------

    def read(self) -> None:
        """Read the file."""
        if self.program is None:
            assert self.path is not None
            self.held = HeldFile(self.path)
            self.program = self.held.read()
        self.signatures = served_signatures(self.program, self.options.batching)

    @property
    def is_pure(self) -> bool:
        """Whether no call changes anything, so that calls can be repeated, and made anywhere."""
        return all(s.is_pure for s in self.signatures.values())

    def warm(self) -> None:
        """Run the samples of an archive, and calls of the usual sizes; an error where the outputs
        of a sample are further off than the tolerance."""
        assert self.program is not None
        warm(self.program, self.signatures, self.options.batching.max_rows)

    def open(
        self,
        executor: Executor,
        observe: Callable[[Batch], None],
        budget: Budget | None = None,
    ) -> None:
        """Take requests."""
        self.executor = executor
        budget = budget or Budget(self.options.batching.max_queued_rows)
        self._batchers = {
            n: Batcher(s, self.options.batching, executor, observe, budget)
            for n, s in self.signatures.items()
        }
        self.state = State.AVAILABLE

    def retire(self) -> None:
        """Be found no more; who has found it already may still ask."""
        self.state = State.UNLOADING

    async def close(self, deadline: float | None = None) -> None:
        """Finish the requests that it has, but for those that a deadline in seconds cuts off, and
        let go of its memory."""
        if self.state is not State.UNLOADING:
            self.retire()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._finished(), deadline)
        self.let_go()
        self.state = State.END

    async def _finished(self) -> None:
        await asyncio.sleep(0)  # requests that have found it are on their way still
        while self.in_flight:
            self._idle.clear()
            await self._idle.wait()

    def let_go(self) -> None:
        """Give its memory back."""
        for close in self.on_close:
            close()
        self.on_close = []
        for batcher in self._batchers.values():
            batcher.close()
        if self.executor is not None:
            self.executor.close()
        if self.held is not None:
            self.held.close()
        self._batchers, self.signatures, self.program = {}, {}, None
        self.executor, self.held = None, None

    @property
    def workers(self) -> int:
        """How many calls are computed at once."""
        return 0 if self.executor is None else self.executor.room

    def scale(self, workers: int) -> None:
        """Compute so many calls at once from now on.

        Raises ServeError (INVALID_ARGUMENT) for none, or for more than can be.
        """
        if self.executor is None:
            raise self.gone()
        most = self.executor.most if self.is_pure else 1
        if not 1 <= workers <= most:
            raise invalid(
                f"{self.model} version {self.number} has from 1 to {most} workers, got {workers}",
                "min_worker",
            )
        self.executor.scale(workers)
        for batcher in self._batchers.values():
            batcher.look()

    @property
    def size(self) -> int:
        """The bytes of its weights."""
        state = {} if self.program is None else self.program.state
        return sum(t.nbytes for t in state.values())

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Let it not end before the block does: for what asks in several steps."""
        self.in_flight += 1
        try:
            yield
        finally:
            self._leave()

    async def beside(self, function: Callable[..., T], *args: Any) -> T:
        """What a function makes of a request on a thread. The version doesn't end before it can be
        asked with that, at once."""

        def run() -> T:
            with beside_calls():
                return function(*args)

        with self.hold():
            return await asyncio.to_thread(run)

    # -- requests ------------------------------------------------------------------------------

    def signature(self, name: str | None = None) -> ServedSignature:
        """The signature of a name, or the default one."""
        if self.program is None:
            raise self.gone()
        if name is None:
            name = DEFAULT if len(self.signatures) != 1 else next(iter(self.signatures))
        found = self.signatures.get(name)
        if found is None:
            raise not_found(
                f"{self.model} has no signature {name!r}{did_you_mean(name, self.signatures)}; "
                f"there are {', '.join(self.signatures)}",
                "signature_name",
            )
        return found

    def submit(
        self,
        signature: ServedSignature,
        inputs: Mapping[str, Any],
        *,
        timeout: float | None = None,
        priority: int = 0,
        at_once: bool = False,
    ) -> asyncio.Future[list[Any]]:
        """A future of the outputs, an array each in order.

        Args:
            signature: of this version.
            inputs: arrays by the names of the signature's inputs.
            timeout: the seconds from now after which the answer is of no use.
            priority: lower ones are computed first.
            at_once: nothing comes beside it that it should wait for.

        Raises ServeError at once where the inputs don't fit, or where too many requests wait.
        """
        batcher = self._batchers.get(signature.name)
        if batcher is None:
            raise self.gone()
        checked = signature.check(inputs)
        seconds = self.seconds_for(timeout)
        deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        future = batcher.submit(checked, deadline, priority, at_once)
        if not future.done():
            self.track(future)
        return future

    def seconds_for(self, timeout: float | None) -> float | None:
        """The seconds that a request may take: those it asks for, else those of the options."""
        return self.options.timeout if timeout is None else timeout

    def track(self, future: asyncio.Future[Any]) -> None:
        """Let it not end before something is done that no signature computes by itself."""
        self.in_flight += 1
        future.add_done_callback(self._answered)

    def gone(self) -> ServeError:
        """The error of what is asked of it when it takes no requests."""
        return ServeError(
            Status.UNAVAILABLE, f"{self.model} version {self.number} is {self.state.name}"
        )

    def _answered(self, future: asyncio.Future[Any]) -> None:
        self._leave()

    def _leave(self) -> None:
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


def version_number(text: str | None, field: str = "version") -> int | None:
    """The number of a version in a request, whose `field` errors name; None for the latest."""
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise invalid(f"a version is a number, got {text[:40]!r}", field)
    return int(text)


def warm(
    program: ExportedProgram,
    signatures: Mapping[str, ServedSignature],
    max_rows: int,
    compare: bool = True,
) -> None:
    """Run what compiles the calls of a program, and, to `compare`, what finds out whether rows can
    be batched; what memory that took is given back."""
    for sample in program.samples:
        for found in compared(program, sample):
            if not found.fits():
                raise ServeError(
                    Status.FAILED_PRECONDITION,
                    f"a sample gives other outputs than the file says: {found}",
                )
    for signature in signatures.values():
        Trials(signature, program.samples).run(min(max_rows, signature.most_rows), compare)
    give_back()  # batches as large as may come were computed


__all__ = ["ModelVersion", "State", "version_number", "warm"]
