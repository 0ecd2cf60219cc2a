"""Samples put together into a batch."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from argand.base.errors import EmptyError, ShapeError
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import as_tensor, tensor
from argand.tensor.joining import stack

Rules = Mapping[Any, Callable[..., Any]]
NO_NUMBERS = re.compile(r"[SaUO]")
"""What the dtype of an array of texts or objects has in it; libraries ask for the pattern."""


# -- kinds of samples ------------------------------------------------------------------------------


def collate_tensor_fn(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Any:
    """Tensors of one shape, stacked."""
    first = tuple(batch[0].shape)
    for i, sample in enumerate(batch):
        if tuple(sample.shape) != first:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                f"{list(sample.shape)} at entry {i}: pass collate_fn to pad them, for instance"
            )
    return stack(batch)


def collate_numpy_array_fn(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Any:
    """Arrays, as tensors are put together."""
    first = batch[0]
    if first.dtype.kind in "SUO":
        raise TypeError(_refusal(first.dtype))
    rules = collate_fn_map or {}
    alike = all(a.shape == first.shape and a.dtype == first.dtype for a in batch)
    if alike and rules.get(Tensor, collate_tensor_fn) is collate_tensor_fn:
        return as_tensor(np.stack(batch))
    return collate([as_tensor(a) for a in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Any:
    """NumPy numbers, in their dtype."""
    return as_tensor(np.stack(batch))


def collate_float_fn(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Any:
    """Floats, as float64."""
    return tensor(list(batch), dtype="float64")


def collate_int_fn(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Any:
    """Integers, as int64, or truth values."""
    return tensor(list(batch))


def collate_str_fn(batch: Any, *, collate_fn_map: Rules | None = None) -> Any:
    """Texts, as they are."""
    return batch


default_collate_fn_map: dict[Any, Callable[..., Any]] = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
"""How samples of a type, or of subclasses of it, are put together; other types can be added."""


# -- containers ------------------------------------------------------------------------------------


def collate(batch: Sequence[Any], *, collate_fn_map: Rules | None = None) -> Any:
    """One batch of a list of samples, by a rule for the type of the first; containers by part.

    A rule is called with the samples and `collate_fn_map`. Containers are of the samples' type,
    but tuples become lists. Follows `torch.utils.data._utils.collate.collate`.
    """
    if not len(batch):
        raise EmptyError("default_collate: a batch of no samples")
    first = batch[0]
    for kind in [type(first), *(collate_fn_map or ())]:
        if collate_fn_map and kind in collate_fn_map and isinstance(first, kind):
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)

    def part(samples: Sequence[Any]) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return _mapping(first, {key: part([sample[key] for sample in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(part, zip(*batch, strict=False)))
    if isinstance(first, Sequence) and not isinstance(first, str | bytes):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError(
                "default_collate: each element in list of batch should be of equal size, got "
                "samples of different lengths"
            )
        return _sequence(first, [part(samples) for samples in zip(*batch, strict=True)])
    raise TypeError(_refusal(type(first)))


def _refusal(kind: Any) -> str:
    return (
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
        f"{kind}; pass collate_fn"
    )


def _mapping(like: Any, parts: dict[Any, Any]) -> Any:
    """A mapping of the type of another, with other values."""
    try:
        if isinstance(like, MutableMapping):
            found = copy.copy(like)
            found.update(parts)
            return found
        return type(like)(parts)
    except TypeError:
        return parts


def _sequence(like: Any, parts: list[Any]) -> Any:
    """A sequence of the type of another, with other elements; a list for a tuple."""
    if type(like) in (tuple, list):
        return parts
    try:
        if isinstance(like, MutableSequence):
            found = copy.copy(like)
            for i, value in enumerate(parts):
                found[i] = value
            return found
        return parts if isinstance(like, tuple) else type(like)(parts)
    except TypeError:
        return parts


def default_collate(batch: Sequence[Any]) -> Any:
    """One batch of a list of samples: tensors, arrays and numbers stacked, containers by part.

    Mappings, named tuples and sequences are of the samples' type, tuples become lists; texts stay
    as they are. Rules for other types are added to `default_collate_fn_map`. Raises RuntimeError
    for samples of different sizes, TypeError for what has no rule. Follows
    `torch.utils.data.default_collate`.

    >>> default_collate([(1, 2.0), (3, 4.0)])
    [tensor([1, 3]), tensor([2., 4.], dtype=argand.float64)]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def default_convert(data: Any) -> Any:
    """A sample with its NumPy arrays and numbers as tensors; other values are left as they are.

    Containers are of the same type, tuples become lists. Follows
    `torch.utils.data.default_convert`.

    >>> ag.data.default_convert({"x": np.array([1, 2]), "name": "a"})
    {'x': tensor([1, 2]), 'name': 'a'}
    """
    if isinstance(data, np.ndarray | np.generic):
        return data if data.dtype.kind in "USO" else _converted(data)
    if isinstance(data, Mapping):
        return _mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _sequence(data, [default_convert(value) for value in data])
    return data


def _converted(data: Any) -> Any:
    return as_tensor(data) if isinstance(data, np.ndarray) else wrap(np.asarray(data))
