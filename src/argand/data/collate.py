"""Samples put together into a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.misuse import explained
from argand.ir.op import ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import tensor


@explained
def default_collate(batch: Sequence[Any]) -> Any:
    """One batch of a list of samples: tensors, arrays and numbers stacked, containers by part.

    >>> default_collate([(1, 2.0), (3, 4.0)])
    [tensor([1, 3]), tensor([2., 4.], dtype=argand.float64)]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return ops.cat(*(ops.reshape(t, (1, *t.shape)) for t in batch))
    if isinstance(first, np.ndarray | np.generic):
        return wrap(np.stack(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype="float64")
    if isinstance(first, bool | int):
        return tensor(list(batch))
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(default_collate, zip(*batch, strict=True)))
    if isinstance(first, list | tuple):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("default_collate: the samples have different lengths")
        return [default_collate(part) for part in zip(*batch, strict=True)]
    raise TypeError(
        f"default_collate: samples must hold tensors, arrays, numbers, strings or containers of "
        f"them, got {type(first).__name__}; pass collate_fn"
    )


def default_convert(data: Any) -> Any:
    """A sample with its NumPy arrays and numbers as tensors; other values are left as they are.

    >>> ag.data.default_convert({"x": np.array([1, 2]), "name": "a"})
    {'x': tensor([1, 2]), 'name': 'a'}
    """
    if isinstance(data, np.ndarray | np.generic):
        return data if data.dtype.kind in "USO" else wrap(np.asarray(data))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, list | tuple):
        return [default_convert(value) for value in data]
    return data
