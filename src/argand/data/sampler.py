"""Samplers: the order in which a loader takes the samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import repeat
from types import GenericAlias
from typing import Any

from argand.base.domains import check_counts
from argand.base.dtype import int64
from argand.tensor import random
from argand.tensor.creation import tensor
from argand.tensor.draws import multinomial
from argand.tensor.generators import Generator, source_of


def drawn_seed(generator: Generator | None) -> int:
    """A seed of 63 bits, drawn from a generator."""
    return int(source_of(generator).whole((), int64).item())


class Sampler:
    """Base of samplers: a subclass defines `__iter__`, which gives sample numbers.

    >>> class Backwards(ag.data.Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> list(ag.data.DataLoader("abc", sampler=Backwards(), batch_size=None))
    ['c', 'b', 'a']
    """

    # ``Sampler[int]`` says what it gives, to readers only.
    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(self, data_source: Any = None) -> None:
        """Nothing is kept; older programs pass the dataset."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class SequentialSampler(Sampler):
    """0, 1, 2, ...

    >>> list(ag.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


_AT_ONCE = 1024
"""How many samples are drawn at a time, so that an epoch of any length begins at once."""


class RandomSampler(Sampler):
    """A random order of all samples, or with `replacement` `num_samples` draws; new at every
    iteration.

    >>> sorted(ag.data.RandomSampler("abc"))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples
        check_counts(1, num_samples=self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many samples an iteration gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count, wanted = len(self.data_source), self.num_samples
        generator = self.generator
        if generator is None:  # a new one: the order doesn't depend on what else is drawn
            generator = Generator().manual_seed(drawn_seed(None))
        if self.replacement:
            for start in range(0, wanted, _AT_ONCE):
                size = (min(_AT_ONCE, wanted - start),)
                draws: Any = random.randint(0, count, size, generator=generator)
                yield from draws.tolist()
            return
        # PyTorch draws an order for no rest too, which a generator that was given shows
        for start in range(0, wanted + (self.generator is not None), count):
            order: Any = random.randperm(count, generator=generator)
            yield from order.tolist()[: wanted - start]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The samples that `indices` names in random order.

    >>> sorted(ag.data.SubsetRandomSampler([4, 2]))
    [2, 4]
    """

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        order: Any = random.randperm(len(self.indices), generator=self.generator)
        for i in order.tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """`num_samples` draws, sample i with a probability proportional to weights[i].

    >>> list(ag.data.WeightedRandomSampler([0.0, 1.0], num_samples=3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Any = None,
    ) -> None:
        check_counts(1, num_samples=num_samples)
        self.weights = tensor(list(weights), dtype="float64")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        drawn: Any = multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` sample numbers of another sampler; the last may be shorter, unless
    `drop_last`.

    >>> list(ag.data.BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        check_counts(1, batch_size=batch_size)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for i in self.sampler:
            batch.append(i)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]  # the sampler's own error when unsized
        return count // self.batch_size if self.drop_last else math.ceil(count / self.batch_size)


class _InfiniteConstantSampler(Sampler):
    """None, for ever: a stream's samples have no numbers."""

    def __iter__(self) -> Iterator[None]:
        return repeat(None)
