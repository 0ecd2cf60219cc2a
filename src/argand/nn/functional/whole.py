"""Convolutions of integers: sums of products over windows that are gathered, so they are exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from argand.base.errors import DTypeError, ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional.places import flat_places, in_windows, step_table
from argand.ops.pooling import window_count
from argand.tensor.padding import pad


def is_whole(op: str, x: Any, weight: Any) -> bool:
    """Whether these are the integers of which there are convolutions, int64."""
    if x.dtype.is_inexact:
        return False
    if x.dtype.name != "int64" or weight.dtype is not x.dtype:
        raise DTypeError(
            f"{op}: {describe(x, weight)}: both must have one floating-point dtype, or be int64"
        )
    return True


def whole_conv(
    op: str,
    x: Any,
    weight: Any,
    stride: Sequence[int],
    sides: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
) -> Any:
    """The convolution of (N, C, ...) or (C, ...) with a weight (out, C / groups, ...), padded by
    `sides` of each dimension."""
    count = len(stride)
    batch = x if x.ndim == count + 2 else ops.reshape(x, (1, *x.shape))
    n, c = batch.shape[:2]
    if weight.ndim != count + 2 or weight.shape[1] * groups != c or weight.shape[0] % groups:
        raise ShapeError(f"{op}: {describe(x, weight)} don't fit with groups={groups}")
    batch = pad(batch, [p for pair in reversed(sides) for p in pair])
    kernel, tables, windows = weight.shape[2:], [], []
    for size, k, s, d in zip(batch.shape[2:], kernel, stride, dilation, strict=True):
        found = window_count(False, size, k, s, 0, d)
        if found is None:
            raise ShapeError(f"{op}: {describe(x, weight)}: the window is larger than the input")
        windows.append(found)
        tables.append(step_table(size, found, k, s, 0, d))
    seen = in_windows(batch, flat_places(tables, batch.shape[2:]), count)
    places, taps, out = math.prod(windows), math.prod(kernel), weight.shape[0]
    seen = ops.reshape(seen, (n, groups, c // groups, places, taps))
    seen = ops.reshape(ops.permute(seen, (0, 1, 2, 4, 3)), (n, groups, c // groups * taps, places))
    matrix = ops.reshape(weight, (groups, out // groups, c // groups * taps))
    y = ops.reshape(ops.matmul(matrix, seen), (n, out, *windows))
    return y if x.ndim == count + 2 else ops.reshape(y, y.shape[1:])


def whole_conv_transpose(
    op: str,
    x: Any,
    weight: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Any:
    """The transposed convolution, as one of the input with zeros between its elements."""
    count = len(stride)
    batch = x if x.ndim == count + 2 else ops.reshape(x, (1, *x.shape))
    c, per_group, *kernel = weight.shape
    turned = ops.reshape(weight, (groups, c // groups, per_group, *kernel))
    turned = ops.permute(turned, (0, 2, 1, *range(3, 3 + count)))
    turned = ops.reshape(turned, (groups * per_group, c // groups, *kernel))
    turned = ops.flip(turned, tuple(range(2, 2 + count)))
    sizes = tuple((n - 1) * s + 1 for n, s in zip(batch.shape[2:], stride, strict=True))
    spread = ops.full((*batch.shape[:2], *sizes), 0, x.dtype)
    spread = ops.slice_scatter(
        spread, batch, (0,) * (2 + count), tuple(spread.shape), (1, 1, *stride)
    )
    sides = [
        (d * (k - 1) - p, d * (k - 1) - p + e)
        for k, d, p, e in zip(kernel, dilation, padding, output_padding, strict=True)
    ]
    y = whole_conv(op, spread, turned, (1,) * count, sides, dilation, groups)
    return y if x.ndim == count + 2 else ops.reshape(y, y.shape[1:])
