"""Datasets: things with a length and samples by number."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from types import GenericAlias
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, IndexRangeError, ShapeError
from argand.base.misuse import explained
from argand.base.notices import notice
from argand.base.shape import shape_text
from argand.tensor.columns import library_of
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import as_tensor
from argand.tensor.random import randperm


def check_places(places: Any, count: int) -> None:
    """Refuse a sample number, or an array or list of them, out of range for `count` samples."""
    listed = np.asarray(places).reshape(-1)
    outside = listed[(listed >= count) | (listed < -count)]
    if outside.size:
        raise IndexRangeError(f"sample {outside[0]} is out of range for {count} samples")


class SizeError(ShapeError, AssertionError):
    """Datasets or tensors that don't go together; PyTorch asserts that they do."""


def samples_of(dataset: Any, indices: Sequence[Any]) -> list[Any]:
    """Samples of a dataset by its `__getitems__`, where it has that, else one by one."""
    several = getattr(dataset, "__getitems__", None)
    if not callable(several):
        return [dataset[i] for i in indices]
    found: list[Any] = several(indices)
    if len(found) != len(indices):
        raise SizeError(
            f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(found)}"
        )
    return found


class Dataset:
    """Base of datasets: a subclass defines `__getitem__` and `__len__`.

    >>> class Squares(ag.data.Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, i):
    ...         return i * i
    >>> [batch.tolist() for batch in ag.data.DataLoader(Squares(), batch_size=2)]
    [[0, 1], [4, 9]]
    """

    # ``Dataset[Image]`` says what its samples are, to readers only.
    __class_getitem__: Any = classmethod(GenericAlias)

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """A dataset that is read in order: a subclass defines `__iter__`.

    >>> class Stream(ag.data.IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(3))
    >>> [batch.tolist() for batch in ag.data.DataLoader(Stream(), batch_size=2)]
    [[0, 1], [2]]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class TensorDataset(Dataset):
    """Tensors with one first size; sample i is the tuple of their rows i.

    >>> import argand as ag
    >>> TensorDataset(ag.arange(3), ag.arange(3) * 2)[1]
    (tensor(1), tensor(2))
    """

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise SizeError("TensorDataset needs at least one tensor")
        self.tensors: tuple[Any, ...] = tuple(
            t if isinstance(t, Tensor) else _held(t) for t in tensors
        )
        if any(t.ndim == 0 or t.shape[0] != self.tensors[0].shape[0] for t in self.tensors):
            shapes = " and ".join(shape_text(t.shape) for t in self.tensors)
            raise SizeError(
                "Size mismatch between tensors: TensorDataset: the tensors' first sizes differ: "
                f"{shapes}"
            )

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


def _held(data: Any) -> Tensor:
    """An array, a list, or a column or frame of another library, as a tensor."""
    return as_tensor(data) if library_of(data) else wrap(np.asarray(data))


class Subset(Dataset):
    """The samples of a dataset that `indices` names.

    >>> ag.data.Subset(["a", "b", "c"], [2, 0])[0]
    'c'
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        check_places(index, len(self))
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Several samples, by the dataset's own `__getitems__` where it has one."""
        if type(self).__getitem__ is not Subset.__getitem__:
            return [self[i] for i in indices]
        check_places(indices, len(self))
        return samples_of(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """Datasets one after the other.

    >>> joined = ag.data.ConcatDataset([["a", "b"], ["c"]])
    >>> len(joined), joined[2]
    (3, 'c')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise SizeError(
                "datasets should not be an empty iterable: ConcatDataset needs at least one dataset"
            )
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise SizeError("ConcatDataset does not support IterableDataset: use ChainDataset")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __getitem__(self, index: int) -> Any:
        if index < -len(self):
            raise ValueError(
                f"absolute value of index should not exceed dataset length: got sample {index} of "
                f"{len(self)}"
            )
        check_places(index, len(self))
        index %= len(self)
        which = bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


@explained
def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """A dataset divided at random into parts of given sizes, or shares that sum to 1.

    >>> train, test = ag.data.random_split(list(range(10)), [0.8, 0.2])
    >>> len(train), len(test)
    (8, 2)
    """
    count = len(dataset)
    shares = math.isclose(sum(lengths), 1)
    sizes = _shared_out(count, lengths) if shares else [int(n) for n in lengths]
    if sum(sizes) != count or (not shares and sizes != list(lengths)):
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! The sizes "
            f"{list(lengths)} sum to {sum(lengths)}, the dataset has {count} samples"
        )
    drawn: Any = randperm(count, generator=generator)
    order = drawn.tolist()
    ends = list(accumulate(sizes))
    return [Subset(dataset, order[end - n : end]) for n, end in zip(sizes, ends, strict=True)]


def _shared_out(count: int, shares: Sequence[float]) -> list[int]:
    """Sizes of given shares; what is left over goes to the first parts, one sample each."""
    for i, share in enumerate(shares):
        if not 0 <= share <= 1:
            raise ValueError(f"Fraction at index {i} is not between 0 and 1, got {share}")
    sizes = [math.floor(count * share) for share in shares]
    for i in range(count - sum(sizes)):
        sizes[i % len(sizes)] += 1
    for i, size in enumerate(sizes):
        if size == 0:
            notice(f"Length of split at index {i} is 0. This might result in an empty dataset.")
    return sizes


class ChainDataset(IterableDataset):
    """Datasets that are read in order, one behind the other.

    >>> list(ag.data.ChainDataset(["ab", "c"]))
    ['a', 'b', 'c']
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class StackDataset(Dataset):
    """Samples of several datasets of one length, together: as tuples, or as dicts where the
    datasets were given by name.

    >>> ag.data.StackDataset(x=[1, 2], y="ab")[1]
    {'x': 2, 'y': 'b'}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset: give datasets, or datasets by name, not both")
        self.datasets: Any = args or kwargs
        sizes = {len(part) for part in (args or kwargs.values())}
        if len(sizes) > 1:
            raise ArgumentError(f"StackDataset: the datasets have different lengths, {sizes}")
        (self._length,) = sizes

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: part[index] for name, part in self.datasets.items()}
        return tuple(part[index] for part in self.datasets)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Several samples, by the datasets' own `__getitems__` where they have one."""
        if type(self).__getitem__ is not StackDataset.__getitem__:
            return [self[i] for i in indices]
        if isinstance(self.datasets, dict):
            parts = [samples_of(part, indices) for part in self.datasets.values()]
            return [dict(zip(self.datasets, row, strict=True)) for row in zip(*parts, strict=True)]
        return list(zip(*(samples_of(part, indices) for part in self.datasets), strict=True))

    def __len__(self) -> int:
        return self._length
