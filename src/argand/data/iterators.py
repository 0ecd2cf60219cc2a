"""One pass over a loader's batches: what all passes have in common, and that in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from argand.base.errors import ArgumentError
from argand.base.notices import notice
from argand.data.fetch import (
    Fetcher,
    Part,
    StreamFetcher,
    fetcher_of,
    is_pipeline,
    sampler_of,
    stateful,
)
from argand.data.order import Order, streams_of
from argand.data.randomness import PROCESS, Stream, is_philox, kept, mixed, seed_stream
from argand.data.sampler import drawn_seed


class _DatasetKind:
    """The kinds of datasets, as PyTorch numbers them."""

    Map = 0
    Iterable = 1


class Progress:
    """How far a pass has come. The loader keeps it, so that it outlives the pass."""

    def __init__(self, loader: Any, saved: dict[str, Any] | None, seed: int | None = None) -> None:
        self.handed = saved["handed"] if saved else 0  # so many from the first on,
        self._beyond = set(saved["beyond"] if saved else ())  # and these that overtook others
        self.finished = False
        self.sampler = saved["sampler"] if saved else sampler_state(loader)
        self.streams = streams_of(loader)
        self.reading: Callable[[], dict[str, Any]] = dict  # the places of what reads the samples
        sampler = sampler_of(loader)
        if saved is None:
            self.order = Order(sampler, self.streams)
        else:
            with kept(PROCESS | self.streams):
                self.order = Order.at(sampler, self.streams, saved["order"], self._is_done)
        # drawn without workers too, as by PyTorch, so that its generators go on
        if saved is not None:
            seed = saved["seed"]
        self.seed: int = drawn_seed(loader.generator) if seed is None else seed

        self.number: int = saved["number"] if saved else _number_of(loader.dataset)

    def part(self, index: int = 0, count: int = 1) -> Part:
        """What a worker reads of a pipeline."""
        return Part(self.seed, self.number, index, count)

    def _is_done(self, number: int) -> bool:
        return number < self.handed or number in self._beyond

    def hand(self, number: int) -> None:
        """Count a batch."""
        self._beyond.add(number)
        while self.handed in self._beyond:
            self._beyond.remove(self.handed)
            self.handed += 1

    def state(self) -> dict[str, Any] | None:
        """The place as plain data; None behind the end."""
        if self.finished:
            return None
        return {
            "handed": self.handed,
            "beyond": sorted(self._beyond),
            "seed": self.seed,
            "number": self.number,
            "sampler": self.sampler,
            "order": self.order.state(),
            "reading": {"workers": 0, "states": {}, **self.reading()},
        }


def _number_of(dataset: Any) -> int:
    """The number of the next pass over a pipeline, which shuffles by it."""
    return dataset._next_number() if is_pipeline(dataset) else 0


def check_reading(saved: dict[str, Any], workers: int) -> None:
    """Refuse the places of other readers, where readers have places."""
    before = saved["reading"]
    if before["states"] and before["workers"] != workers:
        raise ArgumentError(
            f"the state has places of what reads the samples, with num_workers="
            f"{before['workers']}: it can't be loaded with num_workers={workers}"
        )


def sampler_state(loader: Any) -> Any:
    """What a sampler that can say its state says."""
    for sampler in (loader.batch_sampler, loader.sampler):
        if stateful(sampler):
            return sampler.state_dict()
    return None


def load_sampler_state(loader: Any, state: Any) -> None:
    """Give a sampler the state that it said."""
    for sampler in (loader.batch_sampler, loader.sampler):
        if state is not None and stateful(sampler):
            sampler.load_state_dict(state)
            return


def read_foreign(loader: Any) -> Iterator[Any]:
    """The batches of another library's loader, which has PyTorch's private attributes (fastai's).

    They are read in this process, however many workers it asks for.
    """
    if loader._dataset_kind == _DatasetKind.Map:
        take = loader.dataset.__getitem__
    else:
        samples = iter(loader.dataset)
        take = lambda index: next(samples)  # noqa: E731
    for index in loader._index_sampler:
        try:
            found = [take(i) for i in index] if loader._auto_collation else take(index)
        except StopIteration:
            return
        yield loader.collate_fn(found)


class _BaseDataLoaderIter:
    """A pass over a loader's batches."""

    def __new__(cls, loader: Any, *args: Any) -> Any:
        return object.__new__(cls) if hasattr(loader, "batch_seeds") else read_foreign(loader)

    def __init__(self, loader: Any, progress: Progress) -> None:
        self._loader, self.progress = loader, progress
        self._yielded = 0

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def __next__(self) -> Any:
        try:
            batch = self._next_data()
        except StopIteration:
            self.progress.finished = True
            raise
        self._yielded += 1
        said = self._loader._length_said
        if said is not None and self._yielded == said + 1:
            self._warn_of_length(said)
        return batch

    def _warn_of_length(self, said: int) -> None:
        """A stream gives more than its length."""
        hint = "each worker must read its share (get_worker_info)"
        notice(
            f"Length of IterableDataset {self._loader.dataset} was reported to be {said} (when "
            f"accessing len(dataloader)), but {self._yielded} samples have been fetched"
            + (f": {hint}" if self._loader.num_workers else "")
        )

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    @property
    def _base_seed(self) -> int:
        return self.progress.seed

    @property
    def _num_yielded(self) -> int:
        return self.progress.handed

    def _next_data(self) -> Any:
        raise NotImplementedError


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """A pass that reads every batch when it is asked for."""

    def __init__(self, loader: Any, saved: dict[str, Any] | None = None) -> None:
        progress = Progress(loader, saved)
        super().__init__(loader, progress)
        fetcher = fetcher_of(loader, PROCESS | progress.streams, progress.part())
        if saved is not None:
            check_reading(saved, 0)
        state = saved["reading"]["states"].get("0", {}) if saved else {}
        if state:
            fetcher.load(state)
        elif isinstance(fetcher, StreamFetcher):
            fetcher.start()
        progress.reading = lambda: {"states": {"0": state} if (state := fetcher.state()) else {}}
        self._fetch = fetcher.fetch
        self._seeded = seeded_streams(loader) if type(fetcher) is Fetcher else {}

    def _next_data(self) -> Any:
        number, index = next(self.progress.order)
        try:
            batch = self._seeded_batch(number, index) if self._seeded else self._fetch(index)
        except StopIteration:
            raise
        except Exception:
            self.progress.hand(number)  # the next one can be asked for
            raise
        self.progress.hand(number)
        return batch

    def _seeded_batch(self, number: int, index: Any) -> Any:
        with kept(self._seeded):
            seed_batch(self._seeded, self.progress.seed, number)
            return self._fetch(index)


def seeds_batches(loader: Any) -> bool:
    """Whether workers seed their generators for every batch."""
    return is_philox() if loader.batch_seeds is None else bool(loader.batch_seeds)


def seeded_streams(loader: Any) -> dict[str, Stream]:
    """The generators of this process that are seeded for every batch by its number."""
    if loader.batch_seeds is None:
        return {"default": PROCESS["default"]} if is_philox() else {}
    return PROCESS if loader.batch_seeds else {}


def seed_batch(names: Iterable[str], seed: int, number: int) -> None:
    """Seed generators of this process by the number of a batch."""
    for name in names:
        seed_stream(name, mixed(seed, number))
