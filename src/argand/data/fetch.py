"""How the samples that an index names are read and put together, in this process or a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from argand.data.collate import collate_tensor_fn, default_collate, default_collate_fn_map
from argand.data.dataset import IterableDataset, Subset, TensorDataset, check_places
from argand.data.randomness import Log, Stream, kept
from argand.data.sampler import BatchSampler, Sampler, SequentialSampler
from argand.tensor.core import Tensor, wrap


class Fetcher:
    """Batches of a dataset by the indices of its samples."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable[[Any], Any]) -> None:
        self.dataset, self.batched, self.collate = dataset, batched, collate

    def samples(self, index: Any) -> Any:
        """The sample at an index, or the list of them at a batch of indices."""
        if not self.batched:
            return self.dataset[index]
        several = getattr(self.dataset, "__getitems__", None)
        return several(index) if several else [self.dataset[i] for i in index]

    def fetch(self, index: Any) -> Any:
        """The batch of an index; StopIteration where a stream has none left."""
        return self.collate(self.samples(index))

    def state(self) -> dict[str, Any]:
        """What the dataset and its iterator say of their places, where they do."""
        return {"dataset": self.dataset.state_dict()} if stateful(self.dataset) else {}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        if "dataset" in state:
            self.dataset.load_state_dict(state["dataset"])


class Part(NamedTuple):
    """Which batches of a pass over a pipeline are read: those of one of the workers."""

    seed: int
    number: int
    worker: int = 0
    workers: int = 1


def is_pipeline(dataset: Any) -> bool:
    """Whether a loader says which pass this is, and which part of it is read."""
    return hasattr(dataset, "_begin") and hasattr(dataset, "_next_number")


class StreamFetcher(Fetcher):
    """Batches of an IterableDataset, of `size` samples; single samples where it is None.

    A stream whose dataset or iterator has `state_dict` and `load_state_dict` is asked where it is.
    Another is read again, from the states of the generators that it was read from.
    """

    def __init__(
        self,
        dataset: Any,
        size: int | None,
        collate: Callable[[Any], Any],
        drop_last: bool,
        streams: Mapping[str, Stream],
        part: Part | None = None,
    ) -> None:
        super().__init__(dataset, size is not None, collate)
        self._part = part if is_pipeline(dataset) else None
        self.size, self.drop_last, self.ended = size, drop_last, False
        self._streams, self._log = streams, Log(streams)
        self._iterator: Any = None

    def start(self) -> None:
        """Begin to read."""
        if self._part is not None:
            self._iterator = self.dataset._begin(self._part.seed, self._part.number)
            return
        self._iterator = self._log.step(lambda: iter(self.dataset))

    def samples(self, index: Any) -> Any:
        return self._log.step(self._next)

    def _next(self) -> Any:
        if self.ended:
            raise StopIteration
        if self._part is not None:
            self._pass_over(self._part)
        if self.size is None:
            return next(self._iterator)
        found = list(islice(self._iterator, self.size))
        self.ended = len(found) < self.size
        if not found or (self.drop_last and self.ended):
            raise StopIteration
        return found

    def _pass_over(self, part: Part) -> None:
        """Leave out the batches of a pipeline that others read."""
        batches = part.workers - 1 if self._iterator.given else part.worker
        try:
            self._iterator.pass_over(batches * (self.size or 1))
        except StopIteration:
            self.ended = True
            raise

    def state(self) -> dict[str, Any]:
        found = {} if self._part is not None else super().state()
        if self._iterator is not self.dataset and stateful(self._iterator):
            found["iterator"] = self._iterator.state_dict()
        if found:
            return {**found, "ended": self.ended}
        return {"steps": self._log.count, "log": list(self._log.entries)}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        if "log" in state:
            with kept(self._streams):
                self._read_again(state)
            return
        self.start()
        self.ended = state["ended"]
        if "iterator" in state:
            self._iterator.load_state_dict(state["iterator"])

    def _read_again(self, state: dict[str, Any]) -> None:
        self._log = Log(self._streams, state["log"])
        self._iterator = self._log.again(lambda: iter(self.dataset))
        for _ in range(state["steps"] - 1):
            self._log.again(self._skip)

    def _skip(self) -> None:
        with suppress(StopIteration):
            self._next()


class CutFetcher(Fetcher):
    """Batches cut out of a TensorDataset, or a Subset of one, with one NumPy operation a tensor."""

    def __init__(self, dataset: Any) -> None:
        super().__init__(dataset, True, default_collate)
        self._chosen = None
        if type(dataset) is Subset:
            dataset, self._chosen = dataset.dataset, np.asarray(dataset.indices, np.int64)
        self._arrays = [t.numpy_array() for t in dataset.tensors]
        self._count = len(dataset)

    def fetch(self, index: Any) -> list[Any]:
        if isinstance(index, slice):
            return [wrap(array[index].copy()) for array in self._arrays]
        places = np.asarray(index, np.int64)
        if self._chosen is not None:
            check_places(places, len(self._chosen))
            places = self._chosen[places]
        check_places(places, self._count)
        return [wrap(array[places]) for array in self._arrays]


class Slices(Sampler):
    """The batches of a BatchSampler over all samples in order, as slices."""

    def __init__(self, batches: BatchSampler) -> None:
        self._batches = batches

    def __iter__(self) -> Any:
        size = self._batches.batch_size
        return (slice(i * size, (i + 1) * size) for i in range(len(self._batches)))


def stateful(thing: Any) -> bool:
    """Whether something can say where it is, and go back there."""
    return hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")


def is_cut(loader: Any) -> bool:
    """Whether batches can be cut out of whole arrays."""
    dataset = loader.dataset
    whole = dataset.dataset if type(dataset) is Subset else dataset
    reads_rows = getattr(type(whole), "__getitem__", None) is TensorDataset.__getitem__
    several = getattr(type(whole), "__getitems__", None) is None
    batched = loader._auto_collation and loader.collate_fn is default_collate
    batched = batched and default_collate_fn_map.get(Tensor) is collate_tensor_fn
    return reads_rows and several and batched and not stateful(dataset)


def fetcher_of(loader: Any, streams: Mapping[str, Stream], part: Part) -> Fetcher:
    """What reads a loader's batches in this process."""
    dataset, collate = loader.dataset, loader.collate_fn
    if isinstance(dataset, IterableDataset):
        return StreamFetcher(dataset, loader.batch_size, collate, loader.drop_last, streams, part)
    return (
        CutFetcher(dataset) if is_cut(loader) else Fetcher(dataset, loader._auto_collation, collate)
    )


def sampler_of(loader: Any) -> Any:
    """What gives the indices that a loader's fetcher in this process takes."""
    batches = loader.batch_sampler
    # of a batch sampler that was given: its sampler, not the loader's, which nothing asks
    in_order = type(batches) is BatchSampler and type(batches.sampler) is SequentialSampler
    if in_order and type(loader.dataset) is not Subset and is_cut(loader):
        return Slices(batches)
    return loader._index_sampler
