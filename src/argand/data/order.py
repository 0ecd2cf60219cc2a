"""The order in which a loader takes samples: a place in it can be saved and found again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from argand.base.errors import ArgumentError
from argand.data.randomness import PROCESS, Log, OfArgand, Stream
from argand.tensor.generators import Generator, default_generator

_NOTHING = object()


def _parts(sampler: Any) -> dict[str, Any]:
    """A batch sampler and the samplers inside, by where they are."""
    found: dict[str, Any] = {}
    name = "sampler"
    while sampler is not None and not any(sampler is known for known in found.values()):
        found[name] = sampler
        sampler, name = getattr(sampler, "sampler", None), f"{name}.sampler"
    return found


def generators_of(loader: Any) -> dict[str, Stream]:
    """The generators that were given to a loader or its samplers, by name."""
    owners = {"loader": loader, **_parts(loader._index_sampler)}
    found: dict[str, Generator] = {}
    for name, owner in owners.items():
        generator = getattr(owner, "generator", None)
        known = [default_generator, *found.values()]
        if isinstance(generator, Generator) and not any(generator is other for other in known):
            found[f"{name}.generator"] = generator
    return {name: OfArgand(generator) for name, generator in found.items()}


def streams_of(loader: Any) -> dict[str, Stream]:
    """What a loader's order may be drawn from; only Argand's generators for Argand's samplers."""
    parts = _parts(loader._index_sampler).values()
    own = all(type(part).__module__.split(".")[0] in ("argand", "builtins") for part in parts)
    process = {"default": PROCESS["default"]} if own else PROCESS
    return {**process, **generators_of(loader)}


class Order:
    """What an index sampler gives, one after the other, each with its number.

    Its place is how many were drawn; it is found again by drawing as many, each from the states
    that it was drawn from.
    """

    def __init__(self, sampler: Iterable[Any], streams: Mapping[str, Stream]) -> None:
        self._log = Log(streams)
        self._iterator = self._log.step(lambda: iter(sampler))
        self._again: deque[tuple[int, Any]] = deque()
        self._drawn, self._ended = 0, False

    def __next__(self) -> tuple[int, Any]:
        if self._again:
            return self._again.popleft()
        if self._ended:
            raise StopIteration
        try:
            index = self._log.step(self._iterator.__next__)
        except StopIteration:
            self._ended = True
            raise
        self._drawn += 1
        return self._drawn - 1, index

    def state(self) -> dict[str, Any]:
        """The place, as plain data."""
        return {"drawn": self._drawn, "ended": self._ended, "log": list(self._log.entries)}

    @classmethod
    def at(
        cls, sampler: Any, streams: Mapping[str, Stream], state: Any, done: Callable[[int], bool]
    ) -> Order:
        """The order at a place; what was drawn but isn't done, by its number, is given again."""
        found = cls.__new__(cls)
        found._log = Log(streams, state["log"])
        found._iterator = found._log.again(lambda: iter(sampler))
        found._drawn, found._ended = state["drawn"], state["ended"]
        found._again = deque()
        for i in range(found._drawn):
            index = found._log.again(lambda: next(found._iterator, _NOTHING))
            if index is _NOTHING:
                raise ArgumentError(f"the state has {found._drawn} batches, the sampler gives {i}")
            if not done(i):
                found._again.append((i, index))
        return found
