"""Pooling: windows of an image reduced to their largest, their mean, their norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.onnx.importers.windows import Window, padded, window
from argand.onnx.registry import Call, importer
from argand.onnx.values import F, Host, ag, int_list
from argand.tensor.core import Tensor

_AVERAGE = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_LARGEST = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def _least(x: Any) -> Any:
    dtype = x.dtype
    return float("-inf") if dtype.is_floating_point else ag.iinfo(dtype).min


def _with_ceil(sizes: Any, at: Window, ceil_mode: int) -> Window:
    """The window with as much more padding at the end as the last, cut-off windows need."""
    if not ceil_mode:
        return at
    end = list(at.end)
    for i, (size, k, s) in enumerate(zip(sizes, at.extents(), at.strides, strict=True)):
        total = size + at.begin[i] + at.end[i]
        last = -(-(total - k) // s)
        if last * s >= size + at.begin[i]:  # it would start in the padding
            last -= 1
        end[i] = max(at.end[i] + last * s + k - total, at.end[i])
    return at._replace(end=tuple(end))


@importer("MaxPool")
def max_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Any = None,
    kernel_shape: Any,
    pads: Any = None,
    storage_order: int = 0,
    strides: Any = None,
    node: Call,
) -> Any:
    """The largest elements of windows, and where they are."""
    at = window(x.shape[2:], kernel_shape, auto_pad, pads, strides, dilations)
    at = _with_ceil(x.shape[2:], at, ceil_mode)
    n = len(at.kernel)
    if not node.wants(1):
        halves = all(2 * p <= k for p, k in zip(at.begin, at.kernel, strict=True))
        if at.symmetric and halves and x.dtype.is_floating_point:
            return _LARGEST[n](x, at.kernel, at.strides, at.begin, at.dilations)
        wide = padded(x, at.begin, at.end, _least(x))
        return _LARGEST[n](wide, at.kernel, at.strides, 0, at.dilations)
    patches, places = _windows(x, at)
    best = ag.argmax(patches, -1, keepdim=True)
    values = ag.gather(patches, -1, best).squeeze(-1)
    inside = ag.gather(places.expand(patches.shape), -1, best).squeeze(-1)
    rows = 1
    for s in x.shape[2:]:
        rows *= s
    planes = ag.arange(x.shape[0] * x.shape[1]).reshape([*x.shape[:2], *[1] * n])
    if storage_order and n == 2:
        inside = ag.remainder(inside, x.shape[3]) * x.shape[2] + ag.div(
            inside, x.shape[3], rounding_mode="floor"
        )
    return values, inside + planes * rows


def _windows(x: Any, at: Window, fill: Any = None) -> tuple[Any, Any]:
    """The elements of each window along a new last axis, and their flat places in the image."""
    n = len(at.kernel)
    wide = padded(x, at.begin, at.end, _least(x) if fill is None else fill)
    at_flat: Any = ag.zeros([1] * 2 * n, dtype=ag.int64)
    at_wide: Any = ag.zeros([1] * 2 * n, dtype=ag.int64)
    flat = wide_flat = 1
    counts: list[Any] = []
    for i in reversed(range(n)):
        size = wide.shape[2 + i]
        count = (size - at.extents()[i]) // at.strides[i] + 1
        counts.insert(0, count)
        outer, inner = [1] * 2 * n, [1] * 2 * n
        outer[i], inner[n + i] = count, at.kernel[i]
        where = ag.arange(count).reshape(outer) * at.strides[i]
        where = where + ag.arange(at.kernel[i]).reshape(inner) * at.dilations[i]
        at_wide = at_wide + where * wide_flat
        at_flat = at_flat + (where - at.begin[i]) * flat
        flat, wide_flat = flat * x.shape[2 + i], wide_flat * size
    shape = [*counts, int(np.prod(at.kernel))]
    taken = wide.reshape(*x.shape[:2], -1)[..., at_wide.reshape(-1)]
    return taken.reshape([*x.shape[:2], *shape]), at_flat.reshape(shape)


@importer("AveragePool")
def average_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Any = None,
    kernel_shape: Any,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """The mean of each window."""
    at = window(x.shape[2:], kernel_shape, auto_pad, pads, strides, dilations)
    whole = _with_ceil(x.shape[2:], at, ceil_mode)
    n = len(at.kernel)
    plain = set(at.dilations) == {1} and whole == at
    if plain and not any(at.begin) and not any(at.end):
        return _AVERAGE[n](x, at.kernel, at.strides)
    if plain and count_include_pad:
        return _AVERAGE[n](padded(x, at.begin, at.end), at.kernel, at.strides)
    total = _window_sums(padded(x, whole.begin, whole.end), at)
    ones = ag.ones_like(x[:1, :1])
    if count_include_pad:
        ones = padded(ones, at.begin, at.end, 1)
        rest = [w - e for w, e in zip(whole.end, at.end, strict=True)]
        counts = _window_sums(padded(ones, [0] * n, rest), at)
    else:
        counts = _window_sums(padded(ones, whole.begin, whole.end), at)
    return total / counts


def _window_sums(x: Any, at: Window) -> Any:
    """The sum of each window: one axis after the other."""
    for i, (k, s, d) in enumerate(zip(at.kernel, at.strides, at.dilations, strict=True)):
        axis = 2 + i
        count = (x.shape[axis] - (k - 1) * d - 1) // s + 1
        total: Any = None
        for j in range(k):
            index = [slice(None)] * x.ndim
            index[axis] = slice(j * d, j * d + (count - 1) * s + 1, s)
            part = x[tuple(index)]
            total = part if total is None else total + part
        x = total
    return x


@importer("LpPool")
def _lp_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Any = None,
    kernel_shape: Any,
    p: int = 2,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    at = window(x.shape[2:], kernel_shape, auto_pad, pads, strides, dilations)
    at = _with_ceil(x.shape[2:], at, ceil_mode)
    powers = ag.abs(padded(x, at.begin, at.end)) ** p
    return _window_sums(powers, at) ** (1.0 / p)


def _spatial(x: Any) -> list[int]:
    return list(range(2, x.ndim))


@importer("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Any:
    """The mean of each channel."""
    return ag.mean(x, _spatial(x), True)


@importer("GlobalMaxPool")
def _global_max_pool(x: Tensor) -> Any:
    return ag.amax(x, _spatial(x), True)


@importer("GlobalLpPool")
def _global_lp_pool(x: Tensor, *, p: int = 2) -> Any:
    return ag.sum(ag.abs(x) ** p, _spatial(x), True) ** (1.0 / p)


@importer("MaxUnpool")
def _max_unpool(
    x: Tensor,
    indices: Tensor,
    output_shape: Host | None = None,
    *,
    kernel_shape: Any,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    n = len(kernel_shape)
    steps, edges = strides or (1,) * n, pads or (0,) * 2 * n
    inferred = [
        (x.shape[2 + i] - 1) * steps[i] + kernel_shape[i] - edges[i] - edges[n + i]
        for i in range(n)
    ]
    own = [*x.shape[:2], *inferred]
    shape = own if output_shape is None else int_list(output_shape)
    flat = int(np.prod(own))
    made = ag.zeros(flat, dtype=x.dtype).scatter(0, indices.reshape(-1), x.reshape(-1))
    made = made.reshape(own)
    rest = [want - have for want, have in zip(shape[2:], inferred, strict=True)]
    return padded(made, [0] * n, rest)
