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
    _DatasetKind,
    _SingleProcessDataLoaderIter,
    load_sampler_state,
    sampler_state,
)
from argand.data.order import generators_of
from argand.data.randomness import PROCESS, captured, restore
from argand.data.sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    _InfiniteConstantSampler,
)

_VERSION = 1
_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class DataLoader:
    """Iterates over batches of a dataset, as `torch.utils.data.DataLoader`.

    With `num_workers=0` everything happens in this process; a TensorDataset (or a Subset of one) is
    cut batch by batch with one NumPy operation a tensor, not sample by sample. Else as many
    processes read batches ahead, `prefetch_factor` (2) each, and hand their arrays over in shared
    memory. Order and content of the batches don't depend on `num_workers`, unless `in_order=False`
    hands out what comes first. `multiprocessing_context` is how processes start: "fork",
    "forkserver", "spawn" or a context object; by default as Python does (on Linux fork before
    Python 3.14). `worker_init_fn(id)` is called in each, `get_worker_info()` says which one it is.
    `persistent_workers` serve every pass over the data. `pin_memory` has no effect.

    **Random numbers of samples.** Those that a map-style dataset draws from the default generator
    depend on the pass and the batch's number only, whatever the number of workers; in workers those
    of Python's `random` and NumPy's global generator too, except where `worker_init_fn` has seeded
    it. With `batch_seeds=True` all three do without workers too. With `batch_seeds=False`, with
    the generator "mt19937", and for an IterableDataset, they are PyTorch's: the process's own
    without workers, and those of a worker from the seeds that PyTorch gives it.

    Raises in this process what a worker raises, with the worker's traceback in the message;
    RuntimeError where a worker ends, or where no batch comes for `timeout` seconds (0: no limit).

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
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        batch_seeds: bool | None = None,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        _check_order(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.dataset, self.drop_last, self.generator = dataset, drop_last, generator
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.prefetch_factor = prefetch_factor or (2 if num_workers else None)
        self.persistent_workers, self.in_order = persistent_workers, in_order
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.batch_seeds = batch_seeds
        self.multiprocessing_context = multiprocessing_context
        self.sampler: Any = sampler
        if sampler is None:
            self.sampler = _default_sampler(dataset, bool(shuffle), generator)
        self.batch_sampler: Any = batch_sampler
        self.batch_size = None if batch_sampler is not None else batch_size
        if batch_sampler is None and batch_size is not None:
            self.batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)
        plain = default_collate if self._auto_collation else default_convert
        self.collate_fn: Callable[[Any], Any] = plain if collate_fn is None else collate_fn
        self._iterator: Any = None
        self._length_said: int | None = None
        self._progress: Progress | None = None
        self._saved: dict[str, Any] | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if "_saved" in vars(self) and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized: "
                "make another loader"
            )
        super().__setattr__(name, value)

    @property
    def _dataset_kind(self) -> int:
        """Whether samples have numbers."""
        stream = isinstance(self.dataset, IterableDataset)
        return _DatasetKind.Iterable if stream else _DatasetKind.Map

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
        if self._iterator is not None and self._iterator.is_usable:
            iterator = self._iterator
            iterator._reset(self, saved)
        else:
            iterator = self._get_iterator(saved)
        self._progress = iterator.progress
        self._iterator = iterator if self.persistent_workers else None
        return iterator  # type: ignore[no-any-return]  # a pass

    def _get_iterator(self, saved: dict[str, Any] | None = None) -> _BaseDataLoaderIter:
        if not self.num_workers:
            return _SingleProcessDataLoaderIter(self, saved)
        from argand.data.workers import _MultiProcessingDataLoaderIter  # most loaders need none

        return _MultiProcessingDataLoaderIter(self, saved)

    @property
    def multiprocessing_context(self) -> Any:
        """How worker processes are started; None is Python's way."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        self._context = None if context is None else _context(context, self.num_workers)

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            count = len(self.dataset)  # type: ignore[arg-type]  # the dataset's own error
            self._length_said = count
            if self.batch_size is None:
                return count
            return (
                count // self.batch_size if self.drop_last else math.ceil(count / self.batch_size)
            )
        return len(self._index_sampler)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_progress": None, "_iterator": None}

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
        return _InfiniteConstantSampler()
    if shuffled:
        return RandomSampler(dataset, generator=generator)
    return SequentialSampler(dataset)


def _check_workers(workers: int, timeout: float, prefetch: int | None, persistent: bool) -> None:
    if workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            f"multiprocessing, got {workers}"
        )
    if timeout < 0:
        raise ValueError(f"timeout option should be non-negative, got {timeout}")
    if workers == 0 and prefetch is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing: let num_workers > "
            "0 to enable multiprocessing, otherwise set prefetch_factor to None"
        )
    if prefetch is not None and prefetch < 1:
        raise ValueError(f"prefetch_factor option should be non-negative and not 0, got {prefetch}")
    if persistent and workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_order(
    dataset: Any, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    iterable = isinstance(dataset, IterableDataset)
    if not iterable and not hasattr(dataset, "__getitem__"):
        raise TypeError(f"expected a dataset with samples by number, got {dataset!r}")
    given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in given.items():
        if iterable and value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got "
                f"{name}={value}: an IterableDataset has its own order"
            )
    if sampler is not None and shuffle:
        raise ValueError(
            "sampler option is mutually exclusive with shuffle: give sampler or shuffle, not both"
        )
    if batch_sampler is not None and (
        batch_size != 1 or shuffle or sampler is not None or drop_last
    ):
        raise ValueError(
            "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and "
            "drop_last"
        )
    if batch_sampler is None and batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )


def _context(context: Any, workers: int) -> Any:
    """A way of starting processes by its name."""
    import multiprocessing  # most loaders need none

    if not workers:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > "
            f"0), but got num_workers={workers}"
        )
    methods = multiprocessing.get_all_start_methods()
    if isinstance(context, str):
        if context not in methods:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{methods!r}, but got multiprocessing_context={context!r}"
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string "
            f"specifying the start method, but got multiprocessing_context={context}"
        )
    return context
