"""Pooling into a number of windows that the caller wants, however they must overlap."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from argand.base.dim import is_less
from argand.base.errors import ShapeError
from argand.base.shape import shape_text
from argand.ir.op import ops
from argand.nn.functional.places import check_planes, largest
from argand.nn.functional.pooling import avg_pool2d, max_pool2d

MOST_TAPS = 64
"""Larger windows are searched by `argmax`: the kernel of `max_pool2d` writes out each tap."""


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The mean over windows chosen so that the sequences (N, C, L) or (C, L) have `output_size`.

    >>> F.adaptive_avg_pool1d(ag.tensor([[1.0, 3.0, 5.0, 7.0]]), 2)
    tensor([[2., 6.]])
    """
    return _each("adaptive_avg_pool1d", input, output_size, 1, averaged)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The mean over windows chosen so that the images have `output_size` = (h, w), or one number
    for both; None keeps a size.

    Window i goes from floor(i * old / new) to ceil((i + 1) * old / new), as in PyTorch.

    >>> F.adaptive_avg_pool2d(ag.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 1)
    tensor([[[2.5000]]])
    """
    sizes = _sizes("adaptive_avg_pool2d", input, output_size, 2)
    if sizes == [1, 1]:
        return ops.mean(input, (-2, -1), True)
    windows = _even(input, sizes)
    if windows is not None:
        return avg_pool2d(input, windows)
    return averaged(averaged(input, -2, sizes[0]), -1, sizes[1])


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """The mean over windows chosen so that the volumes have `output_size`; see
    `adaptive_avg_pool2d`.

    >>> F.adaptive_avg_pool3d(ag.arange(8.0).reshape(1, 1, 2, 2, 2), 1).item()
    3.5
    """
    return _each("adaptive_avg_pool3d", input, output_size, 3, averaged)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest over windows chosen so that the sequences have `output_size`; see
    `adaptive_avg_pool2d`, and `max_pool2d` for `return_indices`.

    >>> F.adaptive_max_pool1d(ag.tensor([[1.0, 3.0, 5.0, 7.0]]), 2)
    tensor([[3., 7.]])
    """
    found = _largest("adaptive_max_pool1d", input, output_size, 1)
    return found if return_indices else found[0]


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest over windows chosen so that the images have `output_size`; see
    `adaptive_avg_pool2d`, and `max_pool2d` for `return_indices`.

    >>> F.adaptive_max_pool2d(ag.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 1)
    tensor([[[4.]]])
    """
    windows = _even(input, _sizes("adaptive_max_pool2d", input, output_size, 2))
    if windows is not None and not return_indices and not is_less(MOST_TAPS, math.prod(windows)):
        return max_pool2d(input, windows)
    found = _largest("adaptive_max_pool2d", input, output_size, 2)
    return found if return_indices else found[0]


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest over windows chosen so that the volumes have `output_size`; see
    `adaptive_avg_pool2d`, and `max_pool2d` for `return_indices`.

    >>> F.adaptive_max_pool3d(ag.arange(8.0).reshape(1, 1, 2, 2, 2), 1).item()
    7.0
    """
    found = _largest("adaptive_max_pool3d", input, output_size, 3)
    return found if return_indices else found[0]


def _largest(op: str, input: Any, output_size: Any, count: int) -> tuple[Any, Any]:
    """The largest of each window, and where in the plane it is."""
    check_planes(op, input, count)
    sizes = _sizes(op, input, output_size, count)
    parts = zip(input.shape[-count:], sizes, strict=True)
    return largest(input, [_places(old, new) for old, new in parts])


def _sizes(op: str, input: Any, output_size: Any, count: int) -> list[Any]:
    """The wanted sizes of the last `count` dimensions."""
    given = output_size if isinstance(output_size, list | tuple) else (output_size,) * count
    if len(given) != count or len(input.shape) not in (count + 1, count + 2):
        raise ShapeError(
            f"{op}: expected {count} sizes and an input of {count + 1} or {count + 2} dimensions, "
            f"got {tuple(given)} and {shape_text(input.shape)}"
        )
    old = input.shape[-count:]
    sizes = [o if n is None else operator.index(n) for o, n in zip(old, given, strict=True)]
    if min(sizes) < 1:
        raise ShapeError(f"{op}: output size {tuple(sizes)} must be positive")
    return sizes


def _even(input: Any, sizes: list[Any]) -> tuple[Any, ...] | None:
    """The windows of images where they neither overlap nor differ in size."""
    old = input.shape[-2:]
    if any(o % n for o, n in zip(old, sizes, strict=True)):
        return None
    return tuple(o // n for o, n in zip(old, sizes, strict=True))


def _each(
    op: str, input: Any, output_size: Any, count: int, pool: Callable[[Any, int, Any], Any]
) -> Any:
    y = input
    for dim, new in enumerate(_sizes(op, input, output_size, count), -count):
        y = pool(y, dim, new)
    return y


def _bounds(old: Any, new: Any) -> tuple[Any, Any]:
    """Where each window starts, and where it ends: columns of `new` numbers."""
    i = ops.reshape(ops.arange(0, 1, new, "int64"), (new, 1))
    start = ops.floor_divide(ops.mul(i, old), new)
    return start, ops.floor_divide(ops.add(ops.mul(ops.add(i, 1), old), new - 1), new)


def averaged(x: Any, dim: int, new: Any) -> Any:
    """The means over `new` windows along a dimension."""
    dim %= x.ndim
    start, stop = _bounds(x.shape[dim], new)
    j = ops.arange(0, 1, x.shape[dim], "int64")
    inside = ops.cast(ops.logical_and(ops.ge(j, start), ops.lt(j, stop)), "float64")
    return mixed(x, dim, ops.div(inside, ops.sub(stop, start)))


def _places(old: Any, new: Any) -> Any:
    """What each of `new` windows holds: the same number of places, the last one repeated."""
    start, stop = _bounds(old, new)
    longest = -(-old // new) + (1 if old % new else 0)
    return ops.minimum(ops.add(start, ops.arange(0, 1, longest, "int64")), ops.sub(stop, 1))


def mixed(x: Any, dim: int, weights: Any) -> Any:
    """Sums along a dimension: y[i] = sum over j of weights[i, j] * x[j]."""
    w = ops.cast(weights, x.dtype)
    if dim == x.ndim - 1:
        return ops.matmul(x, ops.permute(w, (1, 0)))
    before, after = x.shape[:dim], x.shape[dim + 1 :]
    y = ops.matmul(w, ops.reshape(x, (*before, x.shape[dim], math.prod(after))))
    return ops.reshape(y, (*before, w.shape[0], *after))
