"""What `fit` is given to train on, as batches (inputs, targets)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from argand.base.domains import check_numbers
from argand.base.errors import ShapeError
from argand.data.dataset import Dataset, IterableDataset, TensorDataset
from argand.data.fetch import stateful
from argand.data.loader import DataLoader
from argand.data.pipeline import Pipeline
from argand.fit.parts import random_state, restore, set_random_state, state_of
from argand.tensor.columns import library_of, table_array
from argand.tensor.core import Tensor, wrap


class Batch(NamedTuple):
    """The inputs of one step, and its target (None: there is none)."""

    inputs: tuple[Any, ...]
    target: Any

    @property
    def size(self) -> int:
        """How many samples it holds."""
        first = self.inputs[0]
        return int(first.shape[0]) if len(first.shape) else 1


def as_tensor(x: Any) -> Any:
    """Arrays and lists as tensors; NumPy's float64 default becomes float32, as Keras has it."""
    if isinstance(x, Tensor) or x is None:
        return x
    if isinstance(x, dict):
        raise TypeError("inputs by name are not supported; give a tuple of arrays in order")
    array = table_array(x) if library_of(x) else np.asarray(x)
    return wrap(array.astype(np.float32) if array.dtype == np.float64 else array)


class Feed:
    """A source of batches that can be gone through many times."""

    def __init__(self, source: Iterable[Any], count: int | None, has_target: bool) -> None:
        self.source = source
        self.count = count  # batches in one pass, when known
        self.has_target = has_target

    def __iter__(self) -> Iterator[Batch]:
        return map(partial(_batch, has_target=self.has_target), self.source)


class Reader:
    """Goes through a feed for training, and goes on where another one stopped.

    Where it stopped is told by the source, if that has `state_dict` (a DataLoader); of any other
    the batches before are drawn again, by the random numbers that they were drawn by.
    """

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._batches: Iterator[Batch] | None = None
        self._taken = 0  # of the pass that is going on
        self._began: dict[str, Any] = {}  # the random state before it

    def rest(self) -> Iterator[Batch]:
        """The batches that are left of this pass."""
        batches = self._begin()
        for batch in batches:
            self._taken += 1
            yield batch
        self._batches, self._taken = None, 0

    def take(self, count: int) -> Iterator[Batch]:
        """So many batches, of as many passes as that takes; fewer of a source that is empty."""
        while count:
            whole, before = not self._taken, count
            for batch in self.rest():
                yield batch
                count -= 1
                if not count:
                    return
            if whole and count == before:
                return

    def state_dict(self) -> dict[str, Any]:
        """Where it is."""
        own = state_of(self.feed.source) if stateful(self.feed.source) else None
        return {"taken": self._taken, "began": self._began, "source": own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on behind the batches that were taken."""
        self._batches, self._taken = None, 0
        if state_dict["source"] is not None:
            restore(self.feed.source, state_dict["source"])
        if not state_dict["taken"]:
            return
        set_random_state(state_dict["began"])
        batches = self._begin()
        if state_dict["source"] is None:
            for _ in range(state_dict["taken"]):
                next(batches, None)
        self._taken = state_dict["taken"]

    def _begin(self) -> Iterator[Batch]:
        if self._batches is None:
            self._began = random_state()
            self._batches = iter(self.feed)
        return self._batches


def _batch(item: Any, has_target: bool) -> Batch:
    if not isinstance(item, list | tuple):
        return Batch((as_tensor(item),), None)
    parts = [_nested(p) for p in item]
    if not has_target:
        return Batch(
            parts[0] if len(parts) == 1 and isinstance(parts[0], tuple) else tuple(parts), None
        )
    if len(parts) == 2 and isinstance(parts[0], tuple):
        return Batch(parts[0], parts[1])
    if len(parts) < 2:
        raise TypeError("a batch must hold inputs and a target")
    return Batch(tuple(parts[:-1]), parts[-1])


def _nested(part: Any) -> Any:
    """A part of a batch; a tuple or list of tensors stays a tuple."""
    if isinstance(part, list | tuple) and part and isinstance(part[0], Tensor | np.ndarray):
        return tuple(map(as_tensor, part))
    return as_tensor(part)


def make_feed(
    x: Any,
    y: Any,
    batch_size: int | None,
    shuffle: bool,
    *,
    needs_target: bool = True,
) -> Feed:
    """A feed from arrays (several inputs as a tuple), a Dataset, a DataLoader or any iterable."""
    if isinstance(x, Dataset) and not isinstance(x, TensorDataset | Pipeline):
        x = _loader(x, batch_size, shuffle)
    if isinstance(x, TensorDataset):
        loader = _loader(x, batch_size, shuffle)
        return Feed(loader, len(loader), needs_target and len(x.tensors) > 1)
    if _is_source(x):
        if y is not None:
            raise TypeError("y must be part of the batches when x is a loader or an iterable")
        return Feed(x, _length(x), needs_target)
    inputs = tuple(map(as_tensor, x)) if isinstance(x, tuple) else (as_tensor(x),)
    target = as_tensor(y)
    check_sizes(inputs, target)
    tensors = inputs if target is None else (*inputs, target)
    loader = _loader(TensorDataset(*tensors), batch_size, shuffle)
    return Feed(loader, len(loader), target is not None)


def _loader(samples: Any, batch_size: int | None, shuffle: bool) -> DataLoader:
    """Batches of samples; no samples are not shuffled: what reads them says what is missing."""
    shuffled = shuffle and not isinstance(samples, IterableDataset) and len(samples) > 0
    return DataLoader(samples, batch_size=batch_size or 32, shuffle=shuffled)


def _is_source(x: Any) -> bool:
    """Whether `x` gives batches, rather than being the data themselves."""
    if isinstance(x, Tensor | np.ndarray | tuple | list) or library_of(x):
        return False
    return isinstance(x, DataLoader) or hasattr(x, "__iter__") or hasattr(x, "__next__")


def _length(x: Any) -> int | None:
    try:
        return len(x)
    except TypeError:
        return None


def check_sizes(inputs: tuple[Any, ...], target: Any) -> None:
    """All arrays must have one number of samples."""
    tensors = inputs if target is None else (*inputs, target)
    if any(not len(t.shape) for t in tensors):
        raise ShapeError("data must have a first dimension, the samples")
    sizes = [int(t.shape[0]) for t in tensors]
    if len(set(sizes)) > 1:
        raise ShapeError(
            f"the numbers of samples differ: inputs have {sizes[: len(inputs)]}, "
            f"the target has {sizes[-1]}"
        )


def split_off(x: Any, y: Any, share: float) -> tuple[Any, Any, tuple[Any, Any]]:
    """The data without their last `share`, and that share, for validation."""
    check_numbers("(0, 1)", validation_split=share)
    if _is_source(x) or isinstance(x, Dataset):
        raise TypeError("validation_split needs arrays; give validation_data for a loader")
    inputs = tuple(map(as_tensor, x)) if isinstance(x, tuple) else (as_tensor(x),)
    target = as_tensor(y)
    check_sizes(inputs, target)
    count = int(inputs[0].shape[0])
    at = int(count * (1 - share))
    if not 0 < at < count:
        raise ValueError(f"validation_split={share} of {count} samples leaves nothing on one side")
    head = tuple(wrap(t.numpy_array()[:at]) for t in inputs)
    tail = tuple(wrap(t.numpy_array()[at:]) for t in inputs)
    first = None if target is None else wrap(target.numpy_array()[:at])
    second = None if target is None else wrap(target.numpy_array()[at:])
    return head, first, (tail, second)
