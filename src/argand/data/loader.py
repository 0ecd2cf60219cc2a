"""DataLoader: batches of a dataset, in this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from argand.base.notices import no_effect
from argand.data.collate import default_collate
from argand.data.dataset import IterableDataset, Subset, TensorDataset, check_places
from argand.data.sampler import BatchSampler, RandomSampler, SequentialSampler, drawn_seed
from argand.tensor.core import wrap

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


class DataLoader:
    """Iterates over batches of a dataset, as `torch.utils.data.DataLoader`.

    Everything happens in this process; a TensorDataset (or a Subset of one) is cut batch by batch
    with one NumPy operation a tensor, not sample by sample.

    >>> import argand as ag
    >>> [x.tolist() for (x,) in DataLoader(TensorDataset(ag.arange(3)), batch_size=2)]
    [[0, 1], [2]]
    """

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
        self.collate_fn, self.pin_memory = collate_fn, pin_memory
        self.sampler: Any = sampler
        if sampler is None and not iterable:
            shuffled = shuffle and len(dataset) > 0
            self.sampler = (
                RandomSampler(dataset, generator=generator)
                if shuffled
                else SequentialSampler(dataset)
            )
        self.batch_sampler: Any = batch_sampler
        self.batch_size = None if batch_sampler is not None else batch_size
        if batch_sampler is None and batch_size is not None:
            source = dataset if iterable else self.sampler
            self.batch_sampler = BatchSampler(source, batch_size, drop_last)

    def __iter__(self) -> Iterator[Any]:
        no_accelerator = "there is no accelerator to copy to"
        no_effect("DataLoader", no_accelerator, pin_memory=(self.pin_memory, False))
        drawn_seed(self.generator)  # PyTorch's workers are seeded by it, so its generators go on
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        collate = self.collate_fn or default_collate
        if isinstance(self.dataset, IterableDataset):
            batches = self.dataset if self.batch_sampler is None else self.batch_sampler
            for batch in batches:
                yield batch if self.batch_sampler is None else collate(batch)
        elif self.batch_sampler is None:
            for i in self.sampler:
                sample = self.dataset[i]
                yield sample if self.collate_fn is None else collate(sample)
        elif self._is_plain():
            yield from self._cut_batches()
        else:
            for indices in self.batch_sampler:
                yield collate([self.dataset[i] for i in indices])

    def _is_plain(self) -> bool:
        """Whether batches can be cut out of whole arrays."""
        whole = self.dataset.dataset if type(self.dataset) is Subset else self.dataset
        reads_rows = getattr(type(whole), "__getitem__", None) is TensorDataset.__getitem__
        return reads_rows and self.collate_fn is None

    def _cut_batches(self) -> Iterator[list[Any]]:
        whole, chosen = self.dataset, None
        if type(whole) is Subset:
            whole, chosen = whole.dataset, np.asarray(whole.indices, np.int64)
        arrays = [t.numpy_array() for t in whole.tensors]
        in_order = type(self.sampler) is SequentialSampler and chosen is None
        if in_order and type(self.batch_sampler) is BatchSampler:
            size = self.batch_sampler.batch_size
            for i in range(len(self.batch_sampler)):
                yield [wrap(a[i * size : (i + 1) * size].copy()) for a in arrays]
            return
        for indices in self.batch_sampler:
            places = np.asarray(indices, np.int64)
            if chosen is not None:
                check_places(places, len(chosen))
                places = chosen[places]
            check_places(places, len(whole))
            yield [wrap(a[places]) for a in arrays]

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            count = len(self.dataset)  # type: ignore[arg-type]  # the dataset's own error
            if self.batch_size is None:
                return count
            return (
                count // self.batch_size if self.drop_last else math.ceil(count / self.batch_size)
            )
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
