"""How the stages of a pipeline are read: one reader a stage and pass.

A reader gives its elements as thunks, functions that compute an element when it is asked for. So
elements that are passed over cost next to nothing, and a reader's place is found again by taking as
many; stages that can tell their place at once do.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from argand.base.errors import ArgumentError
from argand.data.fetch import stateful
from argand.data.randomness import mixed

Thunk = Callable[[], Any]


class Context(NamedTuple):
    """What a pass over the data depends on: its seed and number, and where in the pipeline; and
    what is called when it is over."""

    seed: int
    number: int
    ends: list[Callable[[], None]]
    path: str = ""

    def at(self, part: object) -> Context:
        """That of a part."""
        return self._replace(path=f"{self.path}/{part}")

    def seed_of(self, own: int | None, reshuffle: bool) -> int:
        """A seed of a stage: of the pass, or one that is given with the pass's number."""
        if own is None:
            return mixed(self.seed, self.path)
        return mixed(own, f"{self.number if reshuffle else 0} {self.path}")


class Reader(ABC):
    """A stage that is being read."""

    given = 0

    @abstractmethod
    def _take(self) -> Thunk:
        """The next element; StopIteration behind the last."""

    def take(self) -> Thunk:
        """The next element, counted."""
        thunk = self._take()
        self.given += 1
        return thunk

    def state(self) -> dict[str, Any]:
        """The place, as plain data."""
        return {"given": self.given}

    def load(self, state: dict[str, Any]) -> None:
        """Go to a place from the beginning: by taking as many, unless a stage knows better."""
        for _ in range(state["given"]):
            self.take()


# -- sources ---------------------------------------------------------------------------------------


class Indexed(Reader):
    """Samples by number."""

    def __init__(self, source: Any) -> None:
        self._source, self._count = source, len(source)

    def _take(self) -> Thunk:
        number = self.given
        if number >= self._count:
            raise StopIteration
        return lambda: self._source[number]

    def load(self, state: dict[str, Any]) -> None:
        self.given = state["given"]


class Iterated(Reader):
    """Elements of an iterable; its iterator's state, where it has one."""

    def __init__(self, source: Iterable[Any]) -> None:
        self._iterator = iter(source)

    def _take(self) -> Thunk:
        element = next(self._iterator)
        return lambda: element

    def state(self) -> dict[str, Any]:
        own = {"iterator": self._iterator.state_dict()} if stateful(self._iterator) else {}  # type: ignore[attr-defined]
        return {"given": self.given, **own}

    def load(self, state: dict[str, Any]) -> None:
        if "iterator" not in state:
            super().load(state)
            return
        self._iterator.load_state_dict(state["iterator"])  # type: ignore[attr-defined]
        self.given = state["given"]


# -- stages that have the place of the one before --------------------------------------------------


class Follower(Reader):
    """A stage whose place is that of the readers before it."""

    def __init__(self, *before: Reader) -> None:
        self._before = before

    @property
    def _first(self) -> Reader:
        return self._before[0]

    def state(self) -> dict[str, Any]:
        return {"given": self.given, "before": [reader.state() for reader in self._before]}

    def load(self, state: dict[str, Any]) -> None:
        for reader, place in zip(self._before, state["before"], strict=True):
            reader.load(place)
        self.given = state["given"]


class Mapped(Follower):
    """Elements that a function makes of those before."""

    def __init__(self, before: Reader, call: Callable[[Any, int], Any]) -> None:
        super().__init__(before)
        self._call = call

    def _take(self) -> Thunk:
        thunk, number = self._first.take(), self.given
        return lambda: self._call(thunk(), number)


class Filtered(Follower):
    """Elements that a function says yes to."""

    def __init__(self, before: Reader, call: Callable[[Any], Any]) -> None:
        super().__init__(before)
        self._call = call

    def _take(self) -> Thunk:
        while True:
            element = self._first.take()()
            if self._call(element):
                return lambda: element


class Batched(Follower):
    """Some elements together."""

    def __init__(
        self, before: Reader, size: int, drop_last: bool, collate: Callable[[Any], Any]
    ) -> None:
        super().__init__(before)
        self._size, self._drop_last, self._collate = size, drop_last, collate

    def _take(self) -> Thunk:
        thunks: list[Thunk] = []
        while len(thunks) < self._size:
            try:
                thunks.append(self._first.take())
            except StopIteration:
                break
        if not thunks or (self._drop_last and len(thunks) < self._size):
            raise StopIteration
        return lambda: self._collate([thunk() for thunk in thunks])


class Sliced(Follower):
    """Every `step`-th element from `start` on, up to `stop`."""

    def __init__(self, before: Reader, start: int, stop: int | None, step: int) -> None:
        super().__init__(before)
        self._start, self._stop, self._step = start, stop, step

    def _take(self) -> Thunk:
        number = self._start + self.given * self._step
        if self._stop is not None and number >= self._stop:
            raise StopIteration
        while self._first.given < number:
            self._first.take()
        return self._first.take()


class Zipped(Follower):
    """Elements of several, together."""

    def _take(self) -> Thunk:
        thunks = [reader.take() for reader in self._before]
        return lambda: tuple(thunk() for thunk in thunks)


class Chained(Follower):
    """One after the other."""

    def _take(self) -> Thunk:
        for reader in self._before:
            with contextlib.suppress(StopIteration):
                return reader.take()
        raise StopIteration


# -- stages with memory ----------------------------------------------------------------------------


class Repeated(Reader):
    """All elements again and again, each time by a reader of its own."""

    def __init__(self, opened: Callable[[int], Reader], count: int | None) -> None:
        self._opened, self._count = opened, count
        self._round, self._reader = 0, opened(0)

    def _take(self) -> Thunk:
        while self._count is None or self._round < self._count:
            before = self._reader.given
            try:
                return self._reader.take()
            except StopIteration:
                if not before and self._count is None:
                    raise  # nothing, for ever
                self._round += 1
                if self._round != self._count:
                    self._reader = self._opened(self._round)
        raise StopIteration

    def state(self) -> dict[str, Any]:
        return {"given": self.given, "round": self._round, "reader": self._reader.state()}

    def load(self, state: dict[str, Any]) -> None:
        self.given, self._round = state["given"], state["round"]
        last = self._round if self._count is None else min(self._round, self._count - 1)
        self._reader = self._opened(last)
        self._reader.load(state["reader"])


class Shuffled(Reader):
    """A random one of the next `size` elements (of all where it is None) each time."""

    def __init__(self, before: Reader, size: int | None, seed: int) -> None:
        self._before, self._size, self._random = before, size, random.Random(seed)
        self._waiting: list[Thunk] = []
        self._ended = False

    def _take(self) -> Thunk:
        waiting = self._waiting
        while not self._ended and (self._size is None or len(waiting) < self._size):
            try:
                waiting.append(self._before.take())
            except StopIteration:
                self._ended = True
        if not waiting:
            raise StopIteration
        place = self._random.randrange(len(waiting))
        waiting[place], waiting[-1] = waiting[-1], waiting[place]
        return waiting.pop()


class Unbatched(Reader):
    """The elements that elements hold."""

    def __init__(self, before: Reader, parts: Callable[[Any], Iterable[Any]]) -> None:
        self._before, self._parts = before, parts
        self._rest: Iterator[Any] = iter(())
        self._behind: dict[str, Any] = before.state()
        self._inside = 0

    def _take(self) -> Thunk:
        for part in self._rest:
            self._inside += 1
            return lambda: part
        self._behind, self._inside = self._before.state(), 0
        self._rest = iter(self._parts(self._before.take()()))
        return self._take()

    def state(self) -> dict[str, Any]:
        return {"given": self.given, "before": self._behind, "inside": self._inside}

    def load(self, state: dict[str, Any]) -> None:
        self._before.load(state["before"])
        for _ in range(state["inside"]):
            self._take()
        self.given = state["given"]


class Bucketed(Reader):
    """Batches of elements with similar lengths."""

    def __init__(
        self,
        before: Reader,
        bucket: Callable[[Any], int],
        sizes: Sequence[int],
        collate: Callable[[Any], Any],
        drop_last: bool,
    ) -> None:
        self._before, self._bucket, self._sizes = before, bucket, sizes
        self._collate, self._drop_last = collate, drop_last
        self._waiting: list[list[Any]] = [[] for _ in sizes]

    def _take(self) -> Thunk:
        while True:
            try:
                element = self._before.take()()
            except StopIteration:
                return self._left()
            number = self._bucket(element)
            waiting = self._waiting[number]
            waiting.append(element)
            if len(waiting) == self._sizes[number]:
                self._waiting[number] = []
                return lambda: self._collate(waiting)

    def _left(self) -> Thunk:
        for number, waiting in enumerate(self._waiting):
            if waiting and not self._drop_last:
                self._waiting[number] = []
                return lambda: self._collate(waiting)
        raise StopIteration


class Interleaved(Reader):
    """Elements of several inner pipelines by turns."""

    def __init__(
        self, before: Reader, opened: Callable[[Any, int], Reader], cycle: int, block: int
    ) -> None:
        self._before, self._opened, self._block = before, opened, block
        self._open: list[Reader | None] = [None] * cycle
        self._turn = self._inside = 0
        self._ended = False

    def _take(self) -> Thunk:
        while True:
            reader = self._current()
            if reader is not None:
                with contextlib.suppress(StopIteration):
                    thunk = reader.take()
                    self._inside += 1
                    if self._inside == self._block:
                        self._next()
                    return thunk
                self._open[self._turn] = None
            elif self._ended and not any(self._open):
                raise StopIteration
            self._next()

    def _next(self) -> None:
        self._turn, self._inside = (self._turn + 1) % len(self._open), 0

    def _current(self) -> Reader | None:
        """The reader whose turn it is, opened if there is another to be."""
        if self._open[self._turn] is None and not self._ended:
            try:
                thunk = self._before.take()
            except StopIteration:
                self._ended = True
            else:
                self._open[self._turn] = self._opened(thunk(), self._before.given)
        return self._open[self._turn]


class Cached(Reader):
    """Elements of another reader, each computed once in all passes."""

    def __init__(self, before: Reader, store: Any) -> None:
        self._before, self._store = before, store

    def _take(self) -> Thunk:
        number, store = self.given, self._store
        if store.is_complete:
            if number >= len(store):
                raise StopIteration
            return lambda: store.get(number)
        try:
            thunk = self._before.take()
        except StopIteration:
            store.count = number
            raise
        return lambda: store.get(number) if number in store else store.put(number, thunk())

    def load(self, state: dict[str, Any]) -> None:
        for _ in range(state["given"]):
            if self._store.is_complete:
                self.given = state["given"]
                return
            self.take()


# -- stages that compute ahead ---------------------------------------------------------------------


class Ahead(Reader):
    """Elements that something else computes while others are used.

    `submit` begins to compute and returns a function that waits for the result.
    """

    def __init__(self, before: Reader, submit: Callable[[Thunk, int], Thunk], count: int) -> None:
        self._before, self._submit, self._count = before, submit, count
        self._waiting: deque[tuple[Thunk, dict[str, Any]]] = deque()
        self._behind = before.state()
        self._sent = 0

    def _take(self) -> Thunk:
        self._fill()
        if not self._waiting:
            raise StopIteration
        thunk, self._behind = self._waiting.popleft()
        return thunk

    def _fill(self) -> None:
        with contextlib.suppress(StopIteration):
            while len(self._waiting) < self._count:
                thunk = self._before.take()
                self._waiting.append((self._submit(thunk, self._sent), self._before.state()))
                self._sent += 1

    def state(self) -> dict[str, Any]:
        return {"given": self.given, "before": self._behind}

    def load(self, state: dict[str, Any]) -> None:
        self._before.load(state["before"])
        self._behind = state["before"]
        self.given = self._sent = state["given"]


class Prefetched(Reader):
    """Elements that a thread computes, `count` of them ahead."""

    def __init__(self, before: Reader, count: int) -> None:
        self._before, self._count = before, count
        self._behind = before.state()
        self._found: queue.Queue[tuple[str, Any, Any]] | None = None
        self._stopped = threading.Event()

    def _take(self) -> Thunk:
        if self._found is None:
            self._found = queue.Queue(self._count)
            arguments = (self._before, self._found, self._stopped)
            threading.Thread(
                target=_produce, args=arguments, name="argand pipeline", daemon=True
            ).start()
        kind, found, behind = self._found.get()
        if kind == "end":
            self._found.put((kind, found, behind))
            raise StopIteration
        self._behind = behind

        def result() -> Any:
            if kind == "error":
                raise found
            return found

        return result

    def state(self) -> dict[str, Any]:
        return {"given": self.given, "before": self._behind}

    def load(self, state: dict[str, Any]) -> None:
        self._before.load(state["before"])
        self._behind, self.given = state["before"], state["given"]

    def __del__(self) -> None:
        self._stopped.set()


def _produce(before: Reader, found: Any, stopped: threading.Event) -> None:
    """The thread of `Prefetched`, which ends with it."""
    kind = ""
    while kind != "end" and not stopped.is_set():
        try:
            kind, value = "element", before.take()()
        except StopIteration:
            kind, value = "end", None
        except Exception as error:
            kind, value = "error", error
        behind = before.state()
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                found.put((kind, value, behind), timeout=0.5)
                break


def check_readable(source: Any) -> None:
    """Refuse what can be read only once, or not at all."""
    if isinstance(source, Iterator):
        raise ArgumentError(
            f"Pipeline: {type(source).__name__} is an iterator, which can be read only once: give "
            "a function that makes it"
        )
    if not hasattr(source, "__iter__") and not hasattr(source, "__getitem__"):
        raise TypeError(
            "Pipeline: expected a dataset, an iterable, a function that makes one or columns by "
            f"name, got {type(source).__name__}"
        )
