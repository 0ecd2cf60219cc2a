"""Generators of random numbers: `Generator`, and the default one that the functions draw from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from argand.base.settings import settings
from argand.ir.op import ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.device import check_device, cpu
from argand.tensor.mersenne import Mersenne
from argand.tensor.philox import Philox
from argand.tensor.source import Source
from argand.transform.mode import no_grad

ALGORITHMS: dict[str, type[Source]] = {"philox": Philox, "mt19937": Mersenne}


class Generator:
    """A source of random numbers with a state of its own, for the `generator=` of random functions.

    Its algorithm is `settings.generator`, as it is when the generator is made. "philox": a draw is
    a function of the state (key, ticket) and the element's position (Philox4x32-10, Salmon et al.
    2011); drawing advances the ticket by one, whatever the number of elements. `state` is the int64
    tensor [key, ticket]. "mt19937": PyTorch's numbers (Matsumoto and Nishimura 1998); `state` is
    the uint8 tensor (5056,) that PyTorch's `get_state` gives. Eager and compiled code draw the same
    numbers, on any number of threads.

    >>> g = ag.Generator().manual_seed(3)
    >>> a = ag.rand(4, generator=g)
    >>> ag.equal(a, ag.rand(4, generator=g.manual_seed(3)))
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self.device = cpu()
        self._source = ALGORITHMS[settings.generator]()

    @property
    def source(self) -> Source:
        """What the numbers are drawn from."""
        return self._source

    @property
    def state(self) -> Tensor:
        """The state itself, which draws change."""
        return self.source.state

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed (an integer modulo 2^64); returns the generator.

        >>> ag.Generator().manual_seed(5).initial_seed()
        5
        """
        source = self.source
        source.set(wrap(source.started(int(seed))))
        return self

    def seed(self) -> int:
        """Start again from a number of the operating system, and return that number.

        >>> g = ag.Generator()
        >>> g.seed() == g.initial_seed()
        True
        """
        number = int.from_bytes(os.urandom(8), "little") >> 1
        self.manual_seed(number)
        return number

    def initial_seed(self) -> int:
        """The seed that it was started from.

        >>> ag.Generator().manual_seed(5).initial_seed()
        5
        """
        return self.source.seed()

    def get_state(self) -> Tensor:
        """A copy of the state, for `set_state`.

        >>> ag.Generator().manual_seed(5).get_state()
        tensor([5, 0])
        """
        with no_grad():
            return ops.contiguous(self.state)  # type: ignore[no-any-return]  # an op gives Any

    def set_state(self, new_state: Any) -> Generator:
        """Go back to a state that `get_state` returned; returns the generator.

        Raises ArgumentError for anything but a state of the generator's algorithm.

        >>> g = ag.Generator()
        >>> before, first = g.get_state(), ag.rand(3, generator=g)
        >>> ag.equal(first, ag.rand(3, generator=g.set_state(before)))
        True
        """
        self.source.set(new_state)
        return self

    def clone_state(self) -> Generator:
        """Another generator in the same state, which goes on by itself.

        >>> g = ag.Generator().manual_seed(3)
        >>> ag.equal(ag.rand(3, generator=g.clone_state()), ag.rand(3, generator=g))
        True
        """
        twin = Generator()
        twin._source = type(self.source)()
        return twin.set_state(self.get_state())

    def graphsafe_get_state(self) -> Generator:
        """The generator itself: what `graphsafe_set_state` makes another one share the state of.

        >>> g = ag.Generator()
        >>> g.graphsafe_get_state() is g
        True
        """
        return self

    def graphsafe_set_state(self, state: Generator) -> Generator:
        """Go on from the state of another generator, which both share from here on.

        >>> g, other = ag.Generator().manual_seed(3), ag.Generator()
        >>> other.graphsafe_set_state(g).initial_seed()
        3
        """
        self._source = state.source
        return self


class _Default(Generator):
    """The generator that functions draw from unless given another: of the algorithm that is set."""

    def __init__(self) -> None:
        super().__init__()
        self._sources = {settings.generator: self._source}

    @property
    def source(self) -> Source:
        name = settings.generator
        if name not in self._sources:
            self._sources[name] = ALGORITHMS[name]()
        return self._sources[name]

    def graphsafe_set_state(self, state: Generator) -> Generator:
        self._sources[settings.generator] = state.source
        return self

    def states(self) -> dict[str, Tensor]:
        """Copies of the states of all algorithms that were used, by name."""
        with no_grad():
            return {name: ops.contiguous(s.state) for name, s in self._sources.items()}

    def set_states(self, states: Mapping[str, Any]) -> None:
        """Go back to what `states` returned."""
        for name, state in states.items():
            if name not in self._sources:
                self._sources[name] = ALGORITHMS[name]()
            self._sources[name].set(state)


default_generator: _Default = _Default()


def source_of(generator: Generator | None) -> Source:
    """What a `generator=` draws from."""
    return (default_generator if generator is None else generator).source


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, and return it: the same numbers are drawn from here on.

    They are PyTorch's where `settings.generator` is "mt19937".

    >>> a = ag.manual_seed(0) and ag.rand(3)
    >>> b = ag.manual_seed(0) and ag.rand(3)
    >>> ag.equal(a, b)
    True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system, and return that number.

    >>> with ag.fork_rng():
    ...     print(ag.seed() == ag.initial_seed())
    True
    """
    return default_generator.seed()


def initial_seed() -> int:
    """The number that the default generator was seeded with.

    >>> g = ag.manual_seed(5)
    >>> ag.initial_seed()
    5
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """A copy of the default generator's state, the int64 tensor [key, ticket], for `set_rng_state`.

    >>> g = ag.manual_seed(5)
    >>> ag.get_rng_state()
    tensor([5, 0])
    """
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Set the default generator's state to one that `get_rng_state` returned.

    Raises ArgumentError for anything but a state of the generator's algorithm.

    >>> before, first = ag.get_rng_state(), ag.rand(3)
    >>> ag.set_rng_state(before)
    >>> ag.equal(first, ag.rand(3))
    True
    """
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """Restore the default generator's state at the end of the block; not with `enabled=False`.

    >>> before = ag.get_rng_state()
    >>> with ag.fork_rng():
    ...     x = ag.rand(3)
    >>> ag.equal(ag.get_rng_state(), before)
    True
    """
    before = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if before is not None:
            set_rng_state(before)
