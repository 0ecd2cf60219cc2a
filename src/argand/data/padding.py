"""Sequences of different lengths, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from argand.data.collate import collate, default_collate_fn_map
from argand.tensor.core import Tensor
from argand.tensor.creation import as_tensor


def padded_collate(batch: Sequence[Any], pad_value: Any = 0) -> Any:
    """One batch of samples whose tensors, arrays and lists of numbers may differ in length: along
    the first dimension they are filled up at the end with `pad_value`.

    >>> from argand.data.padding import padded_collate
    >>> padded_collate([[1, 2, 3], [4]])
    tensor([[1, 2, 3],
            [4, 0, 0]])
    """
    first = batch[0]
    if isinstance(first, Mapping):
        return {key: padded_collate([sample[key] for sample in batch], pad_value) for key in first}
    if isinstance(first, tuple):
        parts = [padded_collate(part, pad_value) for part in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    if isinstance(first, list | Tensor | np.ndarray) and not _holds_texts(first):
        return _padded([np.asarray(sample) for sample in batch], pad_value)
    return collate(batch, collate_fn_map=default_collate_fn_map)


def _holds_texts(sample: Any) -> bool:
    return isinstance(sample, list) and any(isinstance(part, str | bytes) for part in sample)


def _padded(arrays: list[np.ndarray], value: Any) -> Any:
    if not arrays[0].ndim:
        return as_tensor(np.stack(arrays))
    longest = max(len(array) for array in arrays)
    shape, dtype = (len(arrays), longest, *arrays[0].shape[1:]), np.result_type(*arrays)
    whole = np.full(shape, value, dtype)
    for row, array in zip(whole, arrays, strict=True):
        row[: len(array)] = array
    return as_tensor(whole)
