"""Max, mean and power pooling of sequences, images and volumes, and its undoing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional.padding import several
from argand.nn.functional.places import (
    check_planes,
    fractional,
    largest,
    step_table,
    unpooled,
    window_mean,
)
from argand.ops.pooling import window_count
from argand.tensor.strides import row_major

_Windows = tuple[tuple[int, ...], ...]


def _windows(
    op: str, count: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> _Windows:
    """Size, step, padding and dilation of the windows in each dimension."""
    kernel = several(kernel_size, count, "kernel_size")
    steps = kernel if stride is None or stride in ((), []) else several(stride, count, "stride")
    pads, dilations = several(padding, count, "padding"), several(dilation, count, "dilation")
    for k, p, d in zip(kernel, pads, dilations, strict=True):
        if 2 * p > d * (k - 1) + 1:
            raise ArgumentError(
                f"{op}: padding {p} must be at most half of the kernel size {k} (dilation {d})"
            )
    return kernel, steps, pads, dilations


def _counts(op: str, x: Any, windows: _Windows, ceil_mode: bool) -> tuple[Any, ...]:
    """How many windows there are in each dimension."""
    sizes = x.shape[-len(windows[0]) :]
    found = [
        window_count(ceil_mode, n, *window)
        for n, window in zip(sizes, zip(*windows, strict=True), strict=True)
    ]
    if any(n is None for n in found):
        raise ShapeError(
            f"{op}: {describe(x)}: the window {windows[0]} is larger than the input with padding "
            f"{windows[2]}"
        )
    return tuple(found)


def _indexed(op: str, x: Any, count: int, ceil_mode: bool, *given: Any) -> tuple[Any, Any]:
    """The largest of each window, and where in the plane it is."""
    check_planes(op, x, count)
    windows = _windows(op, count, *given)
    counts = _counts(op, x, windows, bool(ceil_mode))
    parts = zip(x.shape[-count:], counts, *windows, strict=True)
    return largest(x, [step_table(*part) for part in parts])


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window of sequences (N, C, L) or (C, L); see `max_pool2d`.

    >>> F.max_pool1d(ag.tensor([[1.0, 2.0, 4.0, 3.0]]), 2)
    tensor([[2., 4.]])
    """
    given = (kernel_size, stride, padding, dilation)
    if return_indices:
        return _indexed("max_pool1d", input, 1, ceil_mode, *given)
    check_planes("max_pool1d", input, 1)
    kernel, steps, pads, dilations = _windows("max_pool1d", 1, *given)
    batch = input if input.ndim == 3 else ops.reshape(input, (1, *input.shape))
    row = ops.reshape(batch, (*batch.shape[:-1], 1, batch.shape[-1]))
    y = ops.max_pool2d(row, (1, *kernel), (1, *steps), (0, *pads), (1, *dilations), bool(ceil_mode))
    return row_major(ops.reshape(y, (*y.shape[3 - input.ndim : 2], y.shape[3])))


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window of images (N, C, H, W) or (C, H, W).

    `stride` is the window's size unless given. Padding counts as minus infinity. With `ceil_mode`
    the last window may hang over. The gradient goes to the first of equal values. With
    `return_indices` there is a second result: where in its plane each value is, row by row.

    >>> F.max_pool2d(ag.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2)
    tensor([[[4.]]])
    >>> F.max_pool2d(ag.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2, return_indices=True)[1]
    tensor([[[2]]])
    """
    check_planes("max_pool2d", input, 2)
    if return_indices:
        given = (kernel_size, stride, padding, dilation)
        return _indexed("max_pool2d", input, 2, ceil_mode, *given)
    steps = None if stride in ((), []) else stride
    return ops.max_pool2d(input, kernel_size, steps, padding, dilation, bool(ceil_mode))


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window of volumes (N, C, D, H, W) or (C, D, H, W); padding never
    wins. The arguments are those of `max_pool2d`.

    >>> F.max_pool3d(ag.arange(8.0).reshape(1, 1, 2, 2, 2), 2).item()
    7.0
    """
    given = (kernel_size, stride, padding, dilation)
    if return_indices:
        return _indexed("max_pool3d", input, 3, ceil_mode, *given)
    check_planes("max_pool3d", input, 3)
    windows = _windows("max_pool3d", 3, *given)
    return _in_turn(ops.max_pool2d, input, windows, bool(ceil_mode))


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of sequences (N, C, L) or (C, L); see `avg_pool2d`.

    >>> F.avg_pool1d(ag.tensor([[1.0, 2.0, 4.0, 3.0]]), 2)
    tensor([[1.5000, 3.5000]])
    """
    check_planes("avg_pool1d", input, 1)
    kernel, steps, pads, _ = _windows("avg_pool1d", 1, kernel_size, stride, padding)
    batch = input if input.ndim == 3 else ops.reshape(input, (1, *input.shape))
    row = ops.reshape(batch, (*batch.shape[:-1], 1, batch.shape[-1]))
    options = (bool(ceil_mode), bool(count_include_pad))
    y = ops.avg_pool2d(row, (1, *kernel), (1, *steps), (0, *pads), *options)
    return ops.reshape(y, (*y.shape[3 - input.ndim : 2], y.shape[3]))


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of images (N, C, H, W) or (C, H, W).

    `stride` is the window's size unless given. Padding counts as zeros, or not at all without
    `count_include_pad`; `divisor_override` divides by a number of your own. The mean of integers is
    rounded towards zero.

    >>> F.avg_pool2d(ag.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2)
    tensor([[[2.5000]]])
    """
    windows = _windows("avg_pool2d", 2, kernel_size, stride, padding)
    options = (bool(ceil_mode), bool(count_include_pad), divisor_override)
    if divisor_override is not None:
        return _summed("avg_pool2d", input, windows, *options)
    return ops.avg_pool2d(input, *windows[:3], *options[:2])


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of volumes (N, C, D, H, W) or (C, D, H, W). The arguments are those
    of `avg_pool2d`.

    >>> F.avg_pool3d(ag.arange(8.0).reshape(1, 1, 2, 2, 2), 2).item()
    3.5
    """
    check_planes("avg_pool3d", input, 3)
    windows = _windows("avg_pool3d", 3, kernel_size, stride, padding)
    options = (bool(ceil_mode), bool(count_include_pad), divisor_override)
    if divisor_override is not None or not input.dtype.is_inexact:
        return _summed("avg_pool3d", input, windows, *options)
    return _in_turn(ops.avg_pool2d, input, windows[:3], *options[:2])


def _summed(
    op: str, x: Any, windows: _Windows, ceil_mode: bool, include_pad: bool, divisor: int | None
) -> Any:
    """Means whose divisor is a number of the caller's, or that round once."""
    if divisor == 0:
        raise ArgumentError(f"{op}: divisor_override must not be 0")
    check_planes(op, x, len(windows[0]))
    counts = _counts(op, x, windows, ceil_mode)
    return window_mean(x, windows, counts, include_pad, divisor)


def _in_turn(pool: Any, input: Any, windows: _Windows, *rest: Any) -> Any:
    """Pool the slices as images, then along the depth: a window is the product of both."""
    *lead, depth, height, width = input.shape
    n, c = lead if len(lead) == 2 else (1, lead[0])
    y = ops.reshape(input, (n, c * depth, height, width))
    y = pool(y, *[t[1:] for t in windows], *rest)
    height, width = y.shape[2:]
    y = ops.reshape(y, (n, c, depth, height * width))
    still = (1, 1, 0, 1)  # a window of one element: kernel, stride, padding, dilation
    y = pool(y, *[(t[0], s) for t, s in zip(windows, still, strict=False)], *rest)
    return ops.reshape(y, (*lead, y.shape[2], height, width))


def _power(
    op: str, pool: Any, x: Any, count: int, p: float, kernel: Any, stride: Any, ceil: bool
) -> Any:
    """(sum of x ** p) ** (1 / p) over windows; NaN where the sum is negative, as in PyTorch."""
    check_planes(op, x, count)
    taps = math.prod(several(kernel, count, "kernel_size"))
    mean = pool(ops.pow(x, p), kernel, stride, 0, ceil)
    return ops.pow(ops.mul(ops.mul(ops.sign(mean), ops.relu(ops.abs(mean))), taps), 1.0 / p)


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(sum of x ** p) ** (1 / p) over each window of sequences, p = `norm_type`; see `lp_pool2d`.

    >>> F.lp_pool1d(ag.tensor([[3.0, 4.0]]), 2, 2)
    tensor([[5.]])
    """
    return _power("lp_pool1d", avg_pool1d, input, 1, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(sum of x ** p) ** (1 / p) over each window of images, p = `norm_type`, as a mean times the
    window's size; NaN where the sum is negative.

    >>> F.lp_pool2d(ag.tensor([[[3.0, 4.0]]]), 2, (1, 2))
    tensor([[[5.]]])
    """
    return _power("lp_pool2d", avg_pool2d, input, 2, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(sum of x ** p) ** (1 / p) over each window of volumes, p = `norm_type`; see `lp_pool2d`.

    >>> F.lp_pool3d(ag.tensor([[[[3.0, 4.0]]]]), 2, (1, 1, 2)).item()
    5.0
    """
    return _power("lp_pool3d", avg_pool3d, input, 3, norm_type, kernel_size, stride, ceil_mode)


def _undone(op: str, count: int, x: Any, indices: Any, size: Any, *given: Any) -> Any:
    kernel, steps, pads = (
        several(value, count, name)
        for value, name in zip(given, ("kernel_size", "stride", "padding"), strict=True)
    )
    return unpooled(op, x, indices, kernel, steps, pads, size)


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """Sequences of zeros with the elements at their places before `max_pool1d`; see `max_unpool2d`.

    >>> y, indices = F.max_pool1d(ag.tensor([[1.0, 2.0, 4.0, 3.0]]), 2, return_indices=True)
    >>> F.max_unpool1d(y, indices, 2)
    tensor([[0., 2., 4., 0.]])
    """
    window = (kernel_size, kernel_size if stride is None else stride, padding)
    return _undone("max_unpool1d", 1, input, indices, output_size, *window)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """Images of zeros with the elements at the places `indices` that `max_pool2d` gave with
    `return_indices`. `output_size` chooses among the sizes that pool to the input's.

    >>> y, indices = F.max_pool2d(ag.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2, return_indices=True)
    >>> F.max_unpool2d(y, indices, 2)
    tensor([[[0., 0.],
             [4., 0.]]])
    """
    window = (kernel_size, kernel_size if stride is None else stride, padding)
    return _undone("max_unpool2d", 2, input, indices, output_size, *window)


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """Volumes of zeros with the elements at their places before `max_pool3d`; see `max_unpool2d`.

    >>> x = ag.arange(8.0).reshape(1, 1, 2, 2, 2)
    >>> F.max_unpool3d(*F.max_pool3d(x, 2, return_indices=True), 2).flatten()
    tensor([0., 0., 0., 0., 0., 0., 0., 7.])
    """
    window = (kernel_size, kernel_size if stride is None else stride, padding)
    return _undone("max_unpool3d", 3, input, indices, output_size, *window)


def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """The largest of windows at random steps that give images of `output_size`, or of
    `output_ratio` times their size (Graham, 2014). Each channel has steps of its own.

    >>> F.fractional_max_pool2d(ag.ones(1, 1, 7, 7), 2, output_size=4).shape
    argand.Size([1, 1, 4, 4])
    """
    return _fractional(
        2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """`fractional_max_pool2d` of volumes (N, C, D, H, W) or (C, D, H, W).

    >>> F.fractional_max_pool3d(ag.ones(1, 1, 5, 7, 7), 2, output_ratio=0.5).shape
    argand.Size([1, 1, 2, 3, 3])
    """
    return _fractional(
        3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def _fractional(
    count: int, x: Any, kernel_size: Any, size: Any, ratio: Any, indices: bool, samples: Any
) -> Any:
    kernel: Sequence[int] = several(kernel_size, count, "kernel_size")
    found = fractional(f"fractional_max_pool{count}d", x, kernel, size, ratio, samples)
    return found if indices else found[0]
