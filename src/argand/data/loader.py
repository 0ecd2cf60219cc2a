"""DataLoader: batches of a dataset."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GenericAlias
from typing import Any

from argand.base.errors import ArgumentError
from argand.base.notices import no_effect
from argand.data.collate import default_collate, default_convert
from argand.data.dataset import IterableDataset
from argand.data.fetch import stateful
from argand.data.iterators import (
    Progress,
    _BaseDataLoaderIter,
    _SingleProcessDataLoaderIter,
    load_sampler_state,
    sampler_state,
)
from argand.data.order import generators_of
from argand.data.randomness import PROCESS, captured, restore
from argand.data.sampler import BatchSampler, InfiniteSampler, RandomSampler, SequentialSampler

# Options of worker processes and devices, accepted so that programs run, without effect here.
_IGNORED: dict[str, Any] = {
    "timeout": 0,
    "worker_init_fn": None,
    "multiprocessing_context": None,
    "prefetch_factor": None,
    "persistent_workers": False,
    "pin_memory_device": "",
    "in_order": True,
}

_VERSION = 1


class DataLoader:
    """Iterates over batches of a dataset, as `torch.utils.data.DataLoader`.

    Everything happens in this process; a TensorDataset (or a Subset of one) is cut batch by batch
    with one NumPy operation a tensor, not sample by sample.

    Numbers that a map-style dataset draws from the default generator while a batch is read depend
    on the pass and the batch's number only, not on what was read before. `batch_seeds=True` does
    the same for Python's `random` and NumPy's global generator; `False`, and the generator
    "mt19937", leave all of them to go on as they are, as in PyTorch.

    >>> samples = ag.data.TensorDataset(ag.arange(3))
    >>> [x.tolist() for (x,) in ag.data.DataLoader(samples, batch_size=2)]
    [[0, 1], [2]]
    """

    # ``DataLoader[Image]`` says what its batches are, to readers only.
    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        *,
        generator: Any = None,
        batch_seeds: bool | None = None,
        **options: Any,
    ) -> None:
        unknown = options.keys() - _IGNORED.keys()
        if unknown:
            raise TypeError(f"DataLoader: unexpected argument {min(unknown)!r}")
        iterable = isinstance(dataset, IterableDataset)
        if not iterable and not hasattr(dataset, "__getitem__"):
            raise TypeError(f"expected a dataset with samples by number, got {dataset!r}")
        if iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("an IterableDataset has its own order: no shuffle, no sampler")
        if sampler is not None and shuffle:
            raise ValueError("give sampler or shuffle, not both")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler or drop_last):
            raise ValueError("batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        self.num_workers = num_workers
        vars(self).update(_IGNORED | options)  # libraries make loaders like this one
        self.dataset, self.drop_last, self.generator = dataset, drop_last, generator
        self.pin_memory, self.batch_seeds = pin_memory, batch_seeds
        self.sampler: Any = sampler
        if sampler is None:
            self.sampler = _default_sampler(dataset, bool(shuffle), generator)
        self.batch_sampler: Any = batch_sampler
        self.batch_size = None if batch_sampler is not None else batch_size
        if batch_sampler is None and batch_size is not None:
            self.batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)
        plain = default_collate if self._auto_collation else default_convert
        self.collate_fn: Callable[[Any], Any] = plain if collate_fn is None else collate_fn
        self._progress: Progress | None = None
        self._saved: dict[str, Any] | None = None

    @property
    def _auto_collation(self) -> bool:
        """Whether samples are put together."""
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        """What gives the indices that are read."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        no_accelerator = "there is no accelerator to copy to"
        no_effect("DataLoader", no_accelerator, pin_memory=(self.pin_memory, False))
        saved, self._saved = self._saved, None
        iterator = self._get_iterator(saved)
        self._progress = iterator.progress
        return iterator

    def _get_iterator(self, saved: dict[str, Any] | None = None) -> _BaseDataLoaderIter:
        return _SingleProcessDataLoaderIter(self, saved)

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            count = len(self.dataset)  # type: ignore[arg-type]  # the dataset's own error
            if self.batch_size is None:
                return count
            return (
                count // self.batch_size if self.drop_last else math.ceil(count / self.batch_size)
            )
        return len(self._index_sampler)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_progress": None}

    # -- the place in the data ---------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """What a state of this loader has in common with it."""
        sized = hasattr(self.dataset, "__len__") and not isinstance(self.dataset, IterableDataset)
        samples = len(self.dataset) if sized else None
        return {"samples": samples, "batch_size": self.batch_size, "drop_last": self.drop_last}

    def state_dict(self) -> dict[str, Any]:
        """Where this loader is: plain data (dicts, lists, strings, numbers) that JSON can hold.

        A new process that makes the same loader, loads the state and iterates gets exactly the
        batches that this one would get from here on: first the rest of the pass over the data that
        was last begun (nothing, if its last batch has been handed out but not its end), then whole
        passes. Batches that were read ahead but not handed out are not counted. A pass that was
        left by `break` counts as interrupted until the next one begins; behind the end of a pass,
        the first one after loading is whole.

        The state has the place in the sampler's order; the states of the generators that the order
        was drawn from, and as they are now: the default one, those given to the loader and its
        samplers, Python's `random` and NumPy's global one; and where a dataset, its iterator or a
        sampler has `state_dict` and `load_state_dict` themselves, what they say (this should be
        plain data too). A stream that has none is read again up to the place. Random numbers that
        come from elsewhere (a NumPy generator of the dataset's own) are not covered.

        >>> loader = ag.data.DataLoader(list(range(6)), batch_size=2, shuffle=True)
        >>> batches = iter(loader)
        >>> first, state = next(batches), loader.state_dict()
        >>> rest = [batch.tolist() for batch in batches]
        >>> loader.load_state_dict(state)
        >>> [batch.tolist() for batch in loader] == rest
        True
        """
        epoch = self._saved or (self._progress and self._progress.state())
        return {
            "kind": "argand.DataLoader",
            "version": _VERSION,
            **self._identity(),
            "generators": captured(PROCESS | generators_of(self)),
            "sampler": sampler_state(self),
            "dataset": self.dataset.state_dict() if stateful(self.dataset) else None,
            "epoch": epoch,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a place that `state_dict` gave: the next pass goes on from there.

        Sets the states of the generators that the state has, at once; the place is taken when the
        next pass begins, which leaves them as they are then. The number of workers may differ
        from that of the loader which gave the state, unless the dataset is an IterableDataset.
        Raises ArgumentError for a state of something else or of a loader over other data.

        >>> loader = ag.data.DataLoader(list(range(6)), batch_size=2)
        >>> loader.load_state_dict(ag.data.DataLoader([1, 2], batch_size=2).state_dict())
        Traceback (most recent call last):
        argand.base.errors.ArgumentError: DataLoader.load_state_dict: the state is of a loader \
with samples=2, this one has samples=6
        """
        where = "DataLoader.load_state_dict"
        kind = state_dict.get("kind") if isinstance(state_dict, Mapping) else None
        if kind != "argand.DataLoader" or state_dict["version"] != _VERSION:
            raise ArgumentError(
                f"{where}: expected what state_dict() gives, got {state_dict!r:.80}"
            )
        for name, mine in self._identity().items():
            if state_dict[name] != mine:
                raise ArgumentError(
                    f"{where}: the state is of a loader with {name}={state_dict[name]!r}, this one "
                    f"has {name}={mine!r}"
                )
        restore(PROCESS | generators_of(self), state_dict["generators"])
        self._progress, self._saved = None, state_dict["epoch"]
        load_sampler_state(self, (self._saved or state_dict)["sampler"])
        if stateful(self.dataset) and state_dict["dataset"] is not None:
            self.dataset.load_state_dict(state_dict["dataset"])


def _default_sampler(dataset: Any, shuffled: bool, generator: Any) -> Any:
    """The sampler of a loader that was given none."""
    if isinstance(dataset, IterableDataset):
        return InfiniteSampler()
    if shuffled and len(dataset) > 0:
        return RandomSampler(dataset, generator=generator)
    return SequentialSampler(dataset)
