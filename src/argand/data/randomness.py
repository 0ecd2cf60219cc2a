"""The states of the generators that loading draws from: captured, set, and as plain data."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from argand.base.errors import ArgumentError
from argand.base.settings import settings
from argand.tensor.core import wrap
from argand.tensor.generators import Generator, default_generator


class Stream(Protocol):
    """Something random with a state that is plain data: ints, floats, strings, lists and dicts."""

    def get(self) -> Any:
        """The state."""

    def set(self, state: Any) -> None:
        """Go on from a state that `get` gave."""


def packed(numbers: np.ndarray) -> str:
    """The bytes of an array as text (base64)."""
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def unpacked(text: str, dtype: Any) -> np.ndarray:
    """The array whose bytes `packed` wrote."""
    return np.frombuffer(base64.b64decode(text), dtype).copy()


class OfArgand:
    """An Argand generator: ["philox", key, ticket], or ["mt19937", its 5056 bytes]."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    def get(self) -> list[Any]:
        state = self._generator.source.state.numpy_array()
        if state.dtype == np.int64:
            return ["philox", *state.tolist()]
        return ["mt19937", packed(state)]

    def set(self, state: Any) -> None:
        algorithm, *rest = state
        if algorithm != self.get()[0]:
            raise ArgumentError(
                f"the state is of the generator {algorithm!r}, this one is {self.get()[0]!r}: set "
                f"settings.generator = {algorithm!r} before the generator is made"
            )
        array = np.array(rest, np.int64) if algorithm == "philox" else unpacked(rest[0], np.uint8)
        self._generator.source.set(wrap(array))


class OfPython:
    """The generator of Python's module `random`."""

    def get(self) -> list[Any]:
        version, words, gauss = random.getstate()
        return [version, packed(np.array(words, np.uint32)), gauss]

    def set(self, state: Any) -> None:
        version, words, gauss = state
        random.setstate((version, tuple(unpacked(words, np.uint32).tolist()), gauss))


class OfNumPy:
    """NumPy's global generator, that of `np.random.rand`."""

    def get(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(np.random.get_state(legacy=False))
        inner = {k: packed(v) if isinstance(v, np.ndarray) else v for k, v in _items(state)}
        return {**state, "state": inner}

    def set(self, state: Any) -> None:
        words = np.uint64 if state["bit_generator"] in ("Philox", "SFC64") else np.uint32
        inner = {k: unpacked(v, words) if isinstance(v, str) else v for k, v in _items(state)}
        np.random.set_state({**state, "state": inner})


def _items(state: Mapping[str, Any]) -> Any:
    return state["state"].items()


# Those of the process, by the names they have in a state.
PROCESS: dict[str, Stream] = {
    "default": OfArgand(default_generator),
    "python": OfPython(),
    "numpy": OfNumPy(),
}


def captured(streams: Mapping[str, Stream]) -> dict[str, Any]:
    """The states of streams by name."""
    return {name: stream.get() for name, stream in streams.items()}


def restore(streams: Mapping[str, Stream], states: Mapping[str, Any]) -> None:
    """Set the streams that have a state."""
    for name, state in states.items():
        if name in streams:
            streams[name].set(state)


@contextmanager
def kept(streams: Mapping[str, Stream]) -> Iterator[None]:
    """Leave streams as they are, whatever the block draws."""
    before = captured(streams)
    try:
        yield
    finally:
        restore(streams, before)


def mixed(seed: int, number: object) -> int:
    """A seed of 128 bits for the thing with a number, or another name, under a seed."""
    text = f"{seed} {number}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")


def seed_stream(name: str, seed: int) -> None:
    """Start one of the process's streams from a seed of 128 bits."""
    if name == "default":
        default_generator.manual_seed(seed)
    elif name == "python":
        random.seed(seed)
    else:
        np.random.seed([seed >> 32 * i & 0xFFFFFFFF for i in range(4)])


def is_philox() -> bool:
    """Whether the default generator is Argand's own."""
    return bool(settings.generator == "philox")


class Log:
    """From which states the steps of a computation drew, so that it can be run again.

    A step's states are noted where something else has drawn since the last step that drew: most
    computations need none, or those of the first step.
    """

    def __init__(self, streams: Mapping[str, Stream], entries: Any = ()) -> None:
        self._streams = streams
        self.entries: list[list[Any]] = [list(entry) for entry in entries]
        self.count = 0
        self._left: dict[str, Any] = {}

    def step(self, run: Callable[[], Any]) -> Any:
        """Do the next step for the first time."""
        before = captured(self._streams)
        try:
            return run()
        finally:
            self._note(before, captured(self._streams))

    def _note(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        drawn = [name for name in before if before[name] != after[name]]
        new = {name: before[name] for name in drawn if self._left.get(name) != before[name]}
        if new:
            self.entries.append([self.count, new])
        self._left.update((name, after[name]) for name in drawn)
        self.count += 1

    def again(self, run: Callable[[], Any]) -> Any:
        """Do the next step again, with the draws that it made then."""
        for number, states in self.entries:
            if number == self.count:
                restore(self._streams, states)
        before = captured(self._streams)
        result = run()
        after = captured(self._streams)
        self._left.update((name, after[name]) for name in before if before[name] != after[name])
        self.count += 1
        return result
