"""Pooling by tables of places: which elements of a plane each window holds, in any dimensions.

A table (windows, k) of a dimension holds the coordinates that each window sees in order. A place
outside is the nearest one of the window that is inside, so the first largest element is the same.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from argand.base.dim import is_equal, is_less
from argand.base.dtype import compute_dtype
from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.tensor.random import uniform_of


def check_planes(op: str, x: Any, count: int, what: str = "(N, C, ...) or (C, ...)") -> None:
    """Raise unless x has `count` dimensions behind the channels, none of them empty."""
    if x.ndim not in (count + 1, count + 2):
        raise ShapeError(
            f"{op}: expected {what} with {count} spatial dimensions, got {describe(x)}"
        )
    if any(is_equal(n, 0) for n in x.shape[x.ndim - count - 1 :]):
        raise ShapeError(f"{op}: {describe(x)}: only the batch may be empty")


def check_filled(op: str, x: Any, weight: Any) -> None:
    """Raise unless images and the weight's windows have elements."""
    window = weight.shape[2:]
    if any(is_equal(n, 0) for n in (*x.shape[x.ndim - len(window) :], *window)):
        raise ShapeError(f"{op}: {describe(x, weight)}: neither images nor windows may be empty")


def step_table(size: Any, windows: Any, k: int, stride: int, pad: int, dilation: int) -> Any:
    """The table of windows at equal steps; outside places are brought to the window's nearest."""
    start, tap = _steps(windows, k, stride, pad, dilation)
    first = ops.floor_divide(ops.sub(dilation - 1, ops.minimum(start, 0)), dilation)
    last = ops.floor_divide(ops.sub(size - 1, start), dilation)
    taps = ops.minimum(ops.maximum(tap, first), last)
    return ops.add(start, ops.mul(taps, dilation))


def _steps(windows: Any, k: int, stride: int, pad: int, dilation: int) -> tuple[Any, Any]:
    """Where each window starts, as a column, and the numbers of its taps."""
    start = ops.arange(-pad, stride, windows, "int64")
    return ops.reshape(start, (windows, 1)), ops.arange(0, 1, k, "int64")


def flat_places(tables: Sequence[Any], sizes: Sequence[Any], lead: int = 0) -> Any:
    """The places in planes of `sizes` that windows hold: (..., windows, taps) from the tables
    (..., windows, k) of the dimensions, which have `lead` dimensions in front."""
    count, total = len(tables), None
    for d, table in enumerate(tables):
        front, (windows, k) = tuple(table.shape[:lead]), table.shape[lead:]
        shape = [1] * (2 * count)
        shape[d], shape[count + d] = windows, k
        part = ops.mul(ops.reshape(table, (*front, *shape)), math.prod(sizes[d + 1 :]))
        total = part if total is None else ops.add(total, part)
    front, spatial = tuple(total.shape[:lead]), total.shape[lead:]  # type: ignore[union-attr]
    return ops.reshape(total, (*front, math.prod(spatial[:count]), math.prod(spatial[count:])))


def in_windows(x: Any, places: Any, count: int) -> Any:
    """The elements (..., windows, taps) of x's last `count` dimensions at places; those of each
    plane on its own where `places` has x's other dimensions in front."""
    lead = tuple(x.shape[:-count])
    flat = ops.reshape(x, (*lead, math.prod(x.shape[-count:])))
    if places.ndim == 2:
        return ops.index(flat, places, dims=(len(lead),))
    found = ops.gather(flat, len(lead), ops.reshape(places, (*lead, math.prod(places.shape[-2:]))))
    return ops.reshape(found, tuple(places.shape))


def largest(x: Any, tables: Sequence[Any], lead: int = 0) -> tuple[Any, Any]:
    """The first largest element of each window, and its place in the plane."""
    count = len(tables)
    places = flat_places(tables, x.shape[-count:], lead)
    windows = in_windows(x, places, count)
    best = ops.argmax(windows, -1, True)
    shape = (*x.shape[:-count], *(t.shape[lead] for t in tables))
    values = ops.reshape(ops.gather(windows, windows.ndim - 1, best), shape)
    spread = ops.expand(places, tuple(windows.shape))
    return values, ops.reshape(ops.gather(spread, windows.ndim - 1, best), shape)


def window_mean(
    x: Any,
    window: Sequence[Sequence[int]],
    windows: Sequence[Any],
    count_include_pad: bool,
    divisor: int | None,
) -> Any:
    """Each window's sum, divided by how many it counts or by `divisor`; integers towards zero.

    `window` holds the sizes, steps and paddings, `windows` how many there are.
    """
    kernel, stride, padding = window[:3]
    tables, inside, counts = [], [], []
    for size, k, s, p, n in zip(
        x.shape[-len(kernel) :], kernel, stride, padding, windows, strict=True
    ):
        start, tap = _steps(n, k, s, p, 1)
        place = ops.add(start, tap)
        inside.append(ops.cast(ops.logical_and(ops.ge(place, 0), ops.lt(place, size)), "int64"))
        tables.append(ops.clamp(place, 0, size - 1))
        reach = inside[-1] if not count_include_pad else ops.cast(ops.lt(place, size + p), "int64")
        counts.append(ops.sum(reach, -1, True))
    places = flat_places(tables, x.shape[-len(kernel) :])
    seen = ops.cast(_product(inside), "bool")
    wide = ops.cast(x, compute_dtype(x.dtype)) if x.dtype.is_inexact else x
    total = ops.sum(ops.where(seen, in_windows(wide, places, len(kernel)), 0), -1)
    total = ops.cast(ops.reshape(total, (*x.shape[: -len(kernel)], *windows)), wide.dtype)
    by: Any = divisor
    if divisor is None:
        by = ops.cast(ops.reshape(_product(counts), tuple(windows)), wide.dtype)
    if x.dtype.is_inexact:
        return ops.cast(ops.div(total, by), x.dtype)
    return ops.div(total, by, rounding_mode="trunc")


def _product(parts: Sequence[Any]) -> Any:
    """The products of the dimensions' numbers (n, k), as (windows, taps)."""
    count, total = len(parts), None
    for d, part in enumerate(parts):
        shape = [1] * (2 * count)
        shape[d], shape[count + d] = part.shape[0], part.shape[1]
        part = ops.reshape(part, tuple(shape))
        total = part if total is None else ops.mul(total, part)
    spatial = total.shape  # type: ignore[union-attr]
    return ops.reshape(total, (math.prod(spatial[:count]), math.prod(spatial[count:])))


def unpooled(
    op: str,
    x: Any,
    indices: Any,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    output_size: Any,
) -> Any:
    """Zeros but for the elements of x, put at their places in planes of the output's size."""
    count = len(kernel)
    check_planes(op, x, count)
    if indices.dtype.name != "int64" or tuple(indices.shape) != tuple(x.shape):
        raise ShapeError(f"{op}: {describe(x, indices)}: expected int64 indices of the same shape")
    parts = zip(x.shape[-count:], kernel, stride, padding, strict=True)
    sizes = tuple((n - 1) * s + k - 2 * p for n, k, s, p in parts)
    if output_size is not None:
        sizes = _wanted_size(op, output_size, sizes, stride)
    lead, plane = tuple(x.shape[:-count]), math.prod(sizes)
    flat = (*lead, math.prod(x.shape[-count:]))
    zeros = ops.full((*lead, plane), 0, x.dtype)
    y = ops.scatter(zeros, len(lead), ops.reshape(indices, flat), ops.reshape(x, flat))
    return ops.reshape(y, (*lead, *sizes))


def _wanted_size(
    op: str, given: Any, default: Sequence[Any], stride: Sequence[int]
) -> tuple[Any, ...]:
    """The spatial sizes asked for: less than a step from the default ones."""
    sizes = tuple(map(operator.index, given))[-len(default) :]
    near = len(given) in (len(default), len(default) + 2) and all(
        abs(n - d) < s for n, d, s in zip(sizes, default, stride, strict=True)
    )
    if not near:
        raise ArgumentError(
            f"{op}: output_size {tuple(given)} must be less than a stride {tuple(stride)} away "
            f"from {tuple(default)}"
        )
    return sizes


def fractional(
    op: str, x: Any, kernel: Sequence[int], size: Any, ratio: Any, samples: Any
) -> tuple[Any, Any]:
    """The largest of windows at random steps that give the output's size, and their places."""
    count = len(kernel)
    check_planes(op, x, count)
    if (size is None) == (ratio is None):
        raise ArgumentError(f"{op}: give either output_size or output_ratio")
    old = x.shape[-count:]
    if size is None:
        ratios = ratio if isinstance(ratio, list | tuple) else (ratio,) * count
        if not all(0 < r < 1 for r in ratios):
            raise ArgumentError(f"{op}: output_ratio must be between 0 and 1, got {ratio!r}")
        new = tuple(int(n * r) for n, r in zip(old, ratios, strict=True))
    else:
        new = tuple(size) if isinstance(size, list | tuple) else (size,) * count
    batch = ops.reshape(x, (1, *x.shape)) if x.ndim == count + 1 else x
    lead = tuple(batch.shape[:2])
    if samples is None:
        samples = uniform_of((*lead, count), x.dtype)
    order = (1, 0) if count == 2 else range(count)
    tables = []
    for d, column in enumerate(order):
        if is_less(old[d], new[d] + kernel[d] - 1):
            raise ShapeError(f"{op}: {describe(x)}: too small for windows {kernel} and {new}")
        draw = ops.slice(samples, (0, 0, column), (*lead, column + 1), (1, 1, 1))
        tables.append(_random_table(draw, old[d], new[d], kernel[d], lead))
    values, indices = largest(batch, tables, 2)
    shape = (*x.shape[:-count], *new)
    return ops.reshape(values, shape), ops.reshape(indices, shape)


def _random_table(draw: Any, old: Any, new: int, k: int, lead: tuple[Any, ...]) -> Any:
    """Windows at floor((i + u) * a) - floor(u * a), a = (old - k) / (new - 1); the last at the end
    (Graham, 2014)."""
    step = (old - k) / (new - 1) if new > 1 else 0.0
    i = ops.cast(ops.arange(0, 1, new, "int64"), draw.dtype)
    begin = ops.floor(ops.mul(draw, step))
    start = ops.cast(ops.sub(ops.floor(ops.mul(ops.add(i, draw), step)), begin), "int64")
    start = ops.where(ops.eq(ops.arange(0, 1, new, "int64"), new - 1), old - k, start)
    start = ops.reshape(start, (*lead, new, 1))
    return ops.add(start, ops.arange(0, 1, k, "int64"))
