"""Shortcuts for views and small results when a call is eager and nothing is to be recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.ir import bind as crossroads
from argand.ir.op import registry
from argand.tensor.core import Tensor, quiet, wrap
from argand.tensor.views import Move, link
from argand.transform.mode import mode

# Larger sums are left to compiled kernels.
SMALL = 1024
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def plain(x: Any) -> bool:
    """Whether an operation on `x` is eager and unrecorded."""
    if crossroads.pushed or not isinstance(x, Tensor) or x._array is None:
        return False
    return not mode.enabled or (x._node if x._view is None else x._tape()) is None


def view_of(x: Tensor, array: Any, *moves: Move) -> Tensor:
    """The view of `x` that `moves` lead to; `array` is its memory."""
    out = wrap(array)
    source = x
    for move in moves:
        link(out, source, move)
        source = out
    return out


def reshaped(x: Any, shape: tuple[Any, ...]) -> Tensor | None:
    """``x.reshape(shape)`` as a view; None when the op must see to it."""
    if not plain(x) or not x._array.flags.c_contiguous:
        return None
    try:
        array = x._array.reshape(shape)
    except (TypeError, ValueError):  # a symbolic size, or sizes that don't fit
        return None
    return view_of(x, array, (registry.get("reshape"), {"shape": array.shape}))


def permuted(x: Any, dims: tuple[int, ...]) -> Tensor | None:
    """``x.permute(dims)`` for dims that are in range and not negative."""
    if not plain(x):
        return None
    return view_of(x, x._array.transpose(dims), (registry.get("permute"), {"dims": dims}))


def indexed(x: Any, index: Any) -> Tensor | None:
    """``x[index]`` for one int or slice."""
    kind = type(index)
    if (kind is not int and kind is not slice) or not plain(x) or not x._array.ndim:
        return None
    array = x._array
    shape = array.shape
    rest, size = shape[1:], shape[0]
    none, ones = (0,) * len(rest), (1,) * len(rest)
    slicing = registry.get("slice")
    if kind is int:
        if not -size <= index < size:
            return None
        i = index + size if index < 0 else index
        whole = {"start": (i, *none), "stop": (i + 1, *rest), "step": (1, *ones)}
        return view_of(
            x, array[i, ...], (slicing, whole), (registry.get("reshape"), {"shape": rest})
        )
    try:
        start, stop, step = index.indices(size)
    except TypeError:
        return None
    if step < 1:
        return None
    stop = max(start, stop)
    params = {"start": (start, *none), "stop": (stop, *rest), "step": (step, *ones)}
    return view_of(x, array[start:stop:step], (slicing, params))


def filled(shape: tuple[Any, ...], value: Any, dtype: Any) -> Tensor | None:
    """Zeros or ones; None when the op must see to it."""
    if crossroads.pushed or (value != 0 and value != 1):
        return None
    try:
        return wrap((np.ones if value else np.zeros)(shape, dtype.numpy))
    except (TypeError, ValueError):  # a symbolic or negative size
        return None


def total(x: Any) -> Tensor | None:
    """The sum of a small tensor of floats."""
    if not plain(x) or x._array.size > SMALL or x._array.dtype not in _FLOATS:
        return None
    return wrap(quiet.run(np.add.reduce, x._array, None))
