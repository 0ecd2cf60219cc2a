"""Convolutions of sequences and images, their windows as columns, and shuffled pixels."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from argand.base.dim import is_less
from argand.base.domains import check_counts
from argand.base.dtype import compute_dtype
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import shape_text
from argand.ir.op import describe, ops
from argand.nn.functional import single
from argand.nn.functional.padding import several, sides_of
from argand.nn.functional.places import check_filled
from argand.nn.functional.whole import is_whole, whole_conv, whole_conv_transpose
from argand.tensor.padding import pad
from argand.tensor.strides import row_major


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The cross-correlation of images with a weight, plus a bias for each output channel:

        y[n, o, i, j] = bias[o] + sum over c, u, v of weight[o, c, u, v] * x[n, c, i', j']
        i' = i * stride + u * dilation - padding, and j' likewise; x is 0 outside.

    Images (N, C, H, W), or one (C, H, W), with a weight (out, C / groups, kh, kw), give a height of
    `(H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1`. Each of stride, padding and
    dilation is a number or two; `padding` may be "valid" or "same" (which needs a stride of 1).
    Raises ShapeError when the channels don't fit or the window is larger than the image.

    >>> F.conv2d(ag.ones(1, 1, 3, 3), ag.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """
    kept = single.conv(2, input, weight, bias, (stride, padding, dilation, groups))
    if kept is not None:
        return kept
    if not is_whole("conv2d", input, weight):
        y = ops.conv2d(input, weight, stride, padding, dilation, groups)
    else:
        steps = several(dilation, 2, "dilation")
        sides = sides_of(padding, weight.shape[2:], steps)
        strides = several(stride, 2, "stride")
        y = whole_conv("conv2d", input, weight, strides, sides, steps, groups)
    return biased("conv2d", y, bias)


def biased(op: str, y: Any, bias: Any, count: int = 2) -> Any:
    """Images, or what has `count` spatial dimensions, with a number added to each channel."""
    if bias is None:
        return y
    if bias.dtype is not y.dtype:
        raise DTypeError(f"{op}: the bias is {bias.dtype.name}, the image {y.dtype.name}")
    return ops.add(y, ops.reshape(bias, (bias.shape[0], *(1,) * count)))


def in_32_bits(function: Callable[..., Any]) -> Callable[..., Any]:
    """A convolution that adds up results of others: 16-bit floats are rounded once, at the end."""

    @functools.wraps(function)
    def convolve(input: Any, weight: Any, bias: Any = None, *args: Any, **options: Any) -> Any:
        wide = compute_dtype(input.dtype)
        same = all(x is None or x.dtype is input.dtype for x in (weight, bias))
        if wide is input.dtype or not same:
            return function(input, weight, bias, *args, **options)
        given = [x if x is None else ops.cast(x, wide) for x in (input, weight, bias)]
        return ops.cast(function(*given, *args, **options), input.dtype)

    return convolve


def _as_image(x: Any) -> Any:
    """(..., L) as (..., 1, L)."""
    return ops.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))


def _row(value: Any, name: str, height: int = 1) -> tuple[int, ...]:
    """A parameter of a sequence's windows as that of the windows of an image of one row."""
    return (height, *several(value, 1, name))


def _on_sequences(function: Callable[..., Any], op: str, input: Any, *args: Any) -> Any:
    """A function of images (N, C, 1, L), applied to sequences (N, C, L) or to one (C, L)."""
    if input.ndim not in (2, 3):
        raise ShapeError(f"{op}: expected sequences (N, C, L) or (C, L), got {describe(input)}")
    x = input if input.ndim == 3 else ops.reshape(input, (1, *input.shape))
    y = function(_as_image(x), *args)
    return row_major(ops.reshape(y, (*y.shape[3 - input.ndim : 2], y.shape[3])))


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """`conv2d` of sequences: (N, C, L), or one (C, L), with a weight (out, C / groups, k).

    The length is (L + 2 * padding - dilation * (k - 1) - 1) // stride + 1.

    >>> F.conv1d(ag.tensor([[1.0, 2.0, 3.0, 4.0]]), ag.tensor([[[1.0, -1.0]]]))
    tensor([[-1., -1., -1.]])
    """
    kept = single.conv(1, input, weight, bias, (stride, padding, dilation, groups))
    if kept is not None:
        return kept
    pads = padding if isinstance(padding, str) else _row(padding, "padding", 0)
    strides, dilations = _row(stride, "stride"), _row(dilation, "dilation")
    window = (strides, pads, dilations, groups)
    return _on_sequences(conv2d, "conv1d", input, _as_image(weight), bias, *window)


@in_32_bits
def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The gradient of `conv2d` for its image, as an operation of its own.

    Images (N, C, H, W) or (C, H, W) with a weight (C, out / groups, kh, kw) give images of this
    height, and a width likewise:

        (H - 1) * stride - 2 * padding + dilation * (kh - 1) + output_padding + 1

    >>> F.conv_transpose2d(ag.tensor([[[1.0, 2.0]]]), ag.ones(1, 1, 1, 2), stride=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    options = (stride, padding, output_padding, groups, dilation)
    kept = single.conv_transpose(2, input, weight, bias, options)
    if kept is not None:
        return kept
    x = input if input.ndim == 4 else ops.reshape(input, (1, *input.shape))
    if weight.shape[0] != x.shape[1]:
        raise ShapeError(
            f"conv_transpose2d: {describe(x, weight)}: the weight takes {weight.shape[0]} channels"
        )
    check_filled("conv_transpose2d", x, weight)
    strides, pads = several(stride, 2, "stride"), several(padding, 2, "padding")
    dilations = several(dilation, 2, "dilation")
    extra = several(output_padding, 2, "output_padding")
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        raise ArgumentError("conv_transpose2d: output_padding must be less than stride or dilation")
    if is_whole("conv_transpose2d", input, weight):
        window = (strides, pads, extra, dilations, int(groups))
        return biased(
            "conv_transpose2d",
            whole_conv_transpose("conv_transpose2d", input, weight, *window),
            bias,
        )
    parts = zip(x.shape[2:], weight.shape[2:], strides, dilations, strict=True)
    whole = tuple((n - 1) * s + d * (k - 1) + 1 for n, k, s, d in parts)
    if any(e >= s for e, s in zip(extra, strides, strict=True)):
        # The image reaches further than windows at that stride: take the sum of all windows, and
        # cut or pad its edges.
        y = ops.conv2d_input_grad(x, weight, whole, strides, (0, 0), dilations, int(groups))
        (top, left), (down, right) = pads, extra
        y = pad(y, (-left, right - left, -top, down - top))
    else:
        size = tuple(n - 2 * p + e for n, p, e in zip(whole, pads, extra, strict=True))
        y = ops.conv2d_input_grad(x, weight, size, strides, pads, dilations, int(groups))
    y = biased("conv_transpose2d", y, bias)
    return y if input.ndim == 4 else ops.reshape(y, y.shape[1:])


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The gradient of `conv1d` for its sequence, as an operation of its own.

    Sequences (N, C, L) or (C, L) with a weight (C, out / groups, k) give a length of

        (L - 1) * stride - 2 * padding + dilation * (k - 1) + output_padding + 1

    >>> F.conv_transpose1d(ag.tensor([[1.0, 2.0]]), ag.ones(1, 1, 2))
    tensor([[1., 3., 2.]])
    """
    options = (stride, padding, output_padding, groups, dilation)
    kept = single.conv_transpose(1, input, weight, bias, options)
    if kept is not None:
        return kept
    window = (
        _row(stride, "stride"),
        _row(padding, "padding", 0),
        _row(output_padding, "output_padding", 0),
        groups,
        _row(dilation, "dilation"),
    )
    operands = (input, _as_image(weight), bias)
    return _on_sequences(conv_transpose2d, "conv_transpose1d", *operands, *window)


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(..., C * r * r, H, W) as (..., C, H * r, W * r), r = `upscale_factor` (Shi et al., 2016).

    >>> F.pixel_shuffle(ag.tensor([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1), 2)
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    check_counts(1, upscale_factor=upscale_factor)
    r = int(upscale_factor)
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise ShapeError(f"pixel_shuffle: {c} channels can't be divided into {r} x {r} pixels")
    n = len(lead)
    x = ops.reshape(input, (*lead, c // (r * r), r, r, h, w))
    x = ops.permute(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return ops.reshape(x, (*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(..., C, H * r, W * r) as (..., C * r * r, H, W), r = `downscale_factor`: the inverse of
    `pixel_shuffle`.

    >>> F.pixel_unshuffle(ag.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2).flatten()
    tensor([1., 2., 3., 4.])
    """
    check_counts(1, downscale_factor=downscale_factor)
    r = int(downscale_factor)
    *lead, c, h, w = input.shape
    if h % r or w % r:
        raise ShapeError(
            f"pixel_unshuffle: an image of {shape_text((h, w))} can't be divided into {r} x {r} "
            "pixels"
        )
    n = len(lead)
    x = ops.reshape(input, (*lead, c, h // r, r, w // r, r))
    x = ops.permute(x, (*range(n + 1), n + 2, n + 4, n + 1, n + 3))
    return ops.reshape(x, (*lead, c * r * r, h // r, w // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """The channels of (N, C, ...) taken from each of `groups` groups in turn (Zhang et al., 2018).

    >>> F.channel_shuffle(ag.arange(4).reshape(1, 4, 1), 2).flatten()
    tensor([0, 2, 1, 3])
    """
    check_counts(1, groups=groups)
    if input.ndim < 3 or input.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: {describe(input)}: expected (N, C, ...) with channels that can be "
            f"divided into {groups} groups"
        )
    n, c, *spatial = input.shape
    x = ops.reshape(input, (n, groups, c // groups, *spatial))
    x = ops.permute(x, (0, 2, 1, *range(3, x.ndim)))
    return ops.reshape(x, (n, c, *spatial))


def native_channel_shuffle(input: Any, groups: int) -> Any:
    """`channel_shuffle`, by its other name.

    >>> F.native_channel_shuffle(ag.arange(4).reshape(1, 4, 1), 2).flatten()
    tensor([0, 2, 1, 3])
    """
    return channel_shuffle(input, groups)


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The windows of images (N, C, H, W) as columns: (N, C * kh * kw, number of windows).

    A convolution is a product with these columns.

    >>> F.unfold(ag.arange(4.0).reshape(1, 1, 2, 2), (1, 2))
    tensor([[[0., 2.],
             [1., 3.]]])
    """
    kh, kw = several(kernel_size, 2, "kernel_size")
    dh, dw = several(dilation, 2, "dilation")
    sh, sw = several(stride, 2, "stride")
    ph, pw = several(padding, 2, "padding")
    x = pad(input, (pw, pw, ph, ph))
    n, c, h, w = x.shape
    if is_less(h, dh * (kh - 1) + 1) or is_less(w, dw * (kw - 1) + 1):
        raise ShapeError(
            f"unfold: the window {(kh, kw)} with dilation {(dh, dw)} is larger than the image "
            f"{shape_text(input.shape[-2:])} with padding {(ph, pw)}"
        )
    oh, ow = (h - dh * (kh - 1) - 1) // sh + 1, (w - dw * (kw - 1) - 1) // sw + 1
    parts = []
    for i in range(kh):
        for j in range(kw):
            start = (0, 0, i * dh, j * dw)
            stop = (n, c, i * dh + sh * (oh - 1) + 1, j * dw + sw * (ow - 1) + 1)
            part = ops.slice(x, start, stop, (1, 1, sh, sw))
            parts.append(ops.reshape(part, (n, c, 1, oh * ow)))
    return ops.reshape(ops.cat(*parts, dim=2), (n, c * kh * kw, oh * ow))


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Images (N, C, H, W) from the columns (N, C * kh * kw, number of windows) of `unfold`; what
    several windows cover is added up. The transpose of `unfold`.

    >>> F.fold(ag.ones(1, 2, 2), (1, 3), (1, 2)).flatten()
    tensor([1., 2., 1.])
    """
    kh, kw = several(kernel_size, 2, "kernel_size")
    dh, dw = several(dilation, 2, "dilation")
    sh, sw = several(stride, 2, "stride")
    ph, pw = several(padding, 2, "padding")
    height, width = several(output_size, 2, "output_size")
    h, w = height + 2 * ph, width + 2 * pw
    oh, ow = (h - dh * (kh - 1) - 1) // sh + 1, (w - dw * (kw - 1) - 1) // sw + 1
    n, channels, columns = input.shape
    if channels % (kh * kw) or columns != oh * ow:
        raise ShapeError(
            f"fold: {describe(input)}: expected (N, C * {kh * kw}, {oh * ow}) for windows of "
            f"{(kh, kw)} on images of {shape_text((height, width))}"
        )
    c = channels // (kh * kw)
    parts = ops.reshape(input, (n, c, kh, kw, oh, ow))
    empty = ops.full((n, c, h, w), 0.0, input.dtype)
    total = empty
    for i in range(kh):
        for j in range(kw):
            part = ops.slice(parts, (0, 0, i, j, 0, 0), (n, c, i + 1, j + 1, oh, ow), (1,) * 6)
            start = (0, 0, i * dh, j * dw)
            stop = (n, c, i * dh + sh * (oh - 1) + 1, j * dw + sw * (ow - 1) + 1)
            placed = ops.reshape(part, (n, c, oh, ow))
            total = ops.add(total, ops.slice_scatter(empty, placed, start, stop, (1, 1, sh, sw)))
    return ops.slice(total, (0, 0, ph, pw), (n, c, h - ph, w - pw), (1,) * 4)
