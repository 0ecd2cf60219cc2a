"""Sizes that a server may pad, so that requests of different sizes are computed together.

A card's field ``padded`` has them by their names, each with the value for every input that has it:

    card={"padded": {"length": {"ids": 0, "mask": 0}}}

It is a statement about the model: what stands behind a sequence, marked by these values, changes
nothing of what is computed for the sequence itself. A server does not take it on trust.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from argand.base.dtype import DType
from argand.base.errors import ArgumentError, did_you_mean

_NAME = re.compile(r"[A-Za-z_]\w*")


def axes_of(shape: Any, size: str) -> list[int]:
    """The dimensions of a shape that are a size with this name."""
    return [d for d, s in enumerate(shape or ()) if not isinstance(s, int) and str(s) == size]


def check_padded(padded: Any, signatures: Collection[Any], where: str = "card.padded") -> None:
    """Hold the sizes that may be padded against some signatures; ArgumentError says what is wrong.

    Each size is a dimension but the first of some inputs, and each input that has it has a value
    of its dtype.
    """
    for size, values in _mapping(padded, where, "values by the names of sizes").items():
        at = f"{where}.{size}"
        _mapping(values, at, "values by the names of inputs")
        having = [s for s in signatures if any(axes_of(x.shape, size) for x in s.inputs)]
        if not having:
            known = sorted({n for s in signatures for x in s.inputs for n in _names(x.shape)})
            there = f"there are {', '.join(known)}" if known else "all sizes are numbers"
            hint = did_you_mean(str(size), known)
            raise ArgumentError(f"{at}: no input has such a dimension{hint}; {there}")
        inputs = [x for s in having for x in s.inputs]
        for x in inputs:
            _check_axes(at, size, x)
        for name in values:
            if not any(x.name == name and axes_of(x.shape, size) for x in inputs):
                names = [x.name for x in inputs if axes_of(x.shape, size)]
                raise ArgumentError(
                    f"{at}.{name}: no input of that name has the dimension {size!r}"
                    f"{did_you_mean(str(name), names)}; these have: {', '.join(names)}"
                )
        for x in inputs:
            if axes_of(x.shape, size):
                _check_value(at, x, values)


def _check_axes(at: str, size: str, x: Any) -> None:
    for s in x.shape or ():
        if not isinstance(s, int) and str(s) != size and size in _NAME.findall(str(s)):
            raise ArgumentError(
                f"{at}: the input {x.name!r} has a dimension {s}; only sizes that are no part of "
                "others can be padded"
            )
    if 0 in axes_of(x.shape, size):
        raise ArgumentError(
            f"{at}: it is the first dimension of {x.name!r}, which has the rows; requests of "
            "different rows are computed together without padding"
        )


def _check_value(at: str, x: Any, values: Mapping[str, Any]) -> None:
    if x.name not in values:
        raise ArgumentError(f"{at}: it lacks the value for {x.name!r}, which has that dimension")
    if not _fits(values[x.name], x.dtype):
        dtype = "a number" if x.dtype is None else x.dtype.name
        raise ArgumentError(f"{at}.{x.name}: expected {dtype}, got {values[x.name]!r:.60}")


def _fits(value: Any, dtype: DType | None) -> bool:
    if dtype is None or dtype.is_floating_point or dtype.is_complex:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if dtype.numpy == np.bool_:
        return isinstance(value, bool) or value in (0, 1)
    limits = np.iinfo(dtype.numpy)
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return is_int and int(limits.min) <= value <= int(limits.max)


def _names(shape: Any) -> list[str]:
    """The sizes of a shape, but for the first, that have a name."""
    return [str(s) for s in (shape or ())[1:] if s is not None and not isinstance(s, int)]


def _mapping(value: Any, at: str, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ArgumentError(f"{at}: expected {what}, got {value!r:.60}")
    return value


__all__ = ["axes_of", "check_padded"]
