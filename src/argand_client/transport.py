"""What a client needs of a protocol, and when it asks again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from argand_client.errors import ServeError, failed
from argand_client.signature import Arrays, Signature
from argand_client.status import Status

_AGAIN = (Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED)
_LONGEST = 5.0  # seconds between two tries
Found = TypeVar("Found")


class Target(NamedTuple):
    """What is asked: a model's version and signature; None for those that the server chooses."""

    model: str
    version: int | None = None
    signature: str | None = None


class Transport(Protocol):
    """A protocol. Each call takes the seconds that are left."""

    def infer(self, target: Target, inputs: Arrays, seconds: float | None) -> Arrays:
        """The outputs by name."""
        ...

    def signature(self, target: Target, seconds: float | None) -> Signature:
        """What a signature takes and gives."""
        ...

    def signatures(self, target: Target, seconds: float | None) -> list[str]:
        """The names of a model's signatures."""
        ...

    def models(self, seconds: float | None) -> list[str]:
        """The models of the server."""
        ...

    def is_ready(self, target: Target | None, seconds: float | None) -> bool:
        """Whether a model, or the server, takes requests."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Patience(NamedTuple):
    """How long a call may take, and how often it is tried again."""

    timeout: float | None
    retries: int
    backoff: float

    def call(self, ask: Callable[[float | None], Found]) -> Found:
        """What `ask` gives, which takes the seconds that are left.

        Where the server can't answer now it is asked again, `retries` times, after a time that
        doubles, or that it states. One that says when it can (a model is being loaded) is asked
        until then, as long as there is time.
        """
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        tries = 0
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            try:
                return ask(left)
            except ServeError as error:
                wait = self._wait(tries, error.retry_after)
                waits = self._is_awaited(error)
                if error.status not in _AGAIN or (tries >= self.retries and not waits):
                    raise
                if deadline is not None and deadline - time.monotonic() <= wait:
                    raise
                time.sleep(wait)
                tries += not waits

    def _is_awaited(self, error: ServeError) -> bool:
        """Whether a server says when it will answer, and there is a limit to waiting."""
        says = error.status is Status.UNAVAILABLE and error.retry_after is not None
        return says and self.timeout is not None and self.retries > 0

    def _wait(self, tries: int, stated: float | None) -> float:
        wait: float = self.backoff * 2.0**tries * random.uniform(0.5, 1.0)
        return min(max(wait, stated or 0.0), _LONGEST)


def timed_out(seconds: float | None, what: str) -> Any:
    """The error of a server that does not answer in time."""
    return failed(Status.DEADLINE_EXCEEDED, f"{what}: no answer within {seconds or 0:.3g} s")


__all__ = ["Patience", "Target", "Transport", "timed_out"]
