"""Padding, and parameters of windows as one number for each dimension."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from argand.base.errors import ArgumentError


def several(value: Any, count: int, name: str) -> tuple[int, ...]:
    """A number repeated for each spatial dimension, or the sequence of that length.

    Paddings are at least 0, sizes and steps at least 1.
    """
    given = value if isinstance(value, list | tuple) else (value,)
    if len(given) not in (1, count):
        raise ArgumentError(f"{name} must be a number or {count} numbers, got {value!r}")
    found = tuple(map(operator.index, given))
    least = 0 if name.endswith("padding") else 1
    if min(found) < least:
        raise ArgumentError(f"{name} must be at least {least}, got {value!r}")
    return found if len(found) == count else found * count


def sides_of(padding: Any, kernel: Sequence[Any], dilation: Sequence[int]) -> list[tuple[int, int]]:
    """What a convolution adds at both ends of each dimension, for numbers, "same" or "valid"."""
    if not isinstance(padding, str):
        return [(p, p) for p in several(padding, len(kernel), "padding")]
    if padding not in ("same", "valid"):
        raise ArgumentError(f"padding must be numbers, 'same' or 'valid', got {padding!r}")
    totals = [d * (k - 1) * (padding == "same") for k, d in zip(kernel, dilation, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]
