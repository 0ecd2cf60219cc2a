"""One pass over a loader's batches: what all passes have in common, and that in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from argand.data.fetch import Fetcher, StreamFetcher, fetcher_of, sampler_of, stateful
from argand.data.order import Order, streams_of
from argand.data.randomness import PROCESS, Stream, is_philox, kept, mixed, seed_stream
from argand.data.sampler import drawn_seed


class Progress:
    """How far a pass has come. The loader keeps it, so that it outlives the pass."""

    def __init__(self, loader: Any, saved: dict[str, Any] | None) -> None:
        self.handed = saved["handed"] if saved else 0
        self.finished = False
        self.sampler = saved["sampler"] if saved else sampler_state(loader)
        self.streams = streams_of(loader)
        self.reading: Callable[[], dict[str, Any]] = dict  # where the readers of the samples are
        sampler = sampler_of(loader)
        if saved is None:
            self.order = Order(sampler, self.streams)
        else:
            with kept(PROCESS | self.streams):
                self.order = Order.at(sampler, self.streams, saved["order"], self.handed)
        # drawn without workers too, as by PyTorch, so that its generators go on
        self.seed: int = saved["seed"] if saved else drawn_seed(loader.generator)

    def state(self) -> dict[str, Any] | None:
        """The place as plain data; None behind the end."""
        if self.finished:
            return None
        return {
            "handed": self.handed,
            "seed": self.seed,
            "sampler": self.sampler,
            "order": self.order.state(),
            "reading": self.reading(),
        }


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


class _BaseDataLoaderIter:
    """A pass over a loader's batches."""

    def __init__(self, loader: Any, progress: Progress) -> None:
        self._loader, self.progress = loader, progress
        self._base_seed = progress.seed

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def __next__(self) -> Any:
        progress = self.progress
        try:
            batch = self._next_data()
        except StopIteration:
            progress.finished = True
            raise
        progress.handed += 1
        return batch

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

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
        fetcher = fetcher_of(loader, PROCESS | progress.streams)
        if saved is not None:
            fetcher.load(saved["reading"])
        elif isinstance(fetcher, StreamFetcher):
            fetcher.start()
        progress.reading = fetcher.state
        self._fetch = fetcher.fetch
        self._seeded = seeded_streams(loader) if type(fetcher) is Fetcher else {}

    def _next_data(self) -> Any:
        index = next(self.progress.order)
        if not self._seeded:
            return self._fetch(index)
        with kept(self._seeded):
            seed_batch(self._seeded, self.progress.seed, self.progress.handed)
            return self._fetch(index)


def seeded_streams(loader: Any) -> dict[str, Stream]:
    """The generators of this process that are seeded for every batch by its number."""
    if loader.batch_seeds is None:
        return {"default": PROCESS["default"]} if is_philox() else {}
    return PROCESS if loader.batch_seeds else {}


def seed_batch(names: Iterable[str], seed: int, number: int) -> None:
    """Seed generators of this process by the number of a batch."""
    for name in names:
        seed_stream(name, mixed(seed, number))
