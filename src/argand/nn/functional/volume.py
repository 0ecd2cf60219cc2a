"""Convolutions of volumes (N, C, D, H, W), made of those of images."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional import single
from argand.nn.functional.padding import several, sides_of
from argand.nn.functional.places import check_filled
from argand.nn.functional.whole import is_whole, whole_conv, whole_conv_transpose
from argand.nn.functional.window import biased, conv2d, conv_transpose2d, in_32_bits
from argand.tensor.padding import pad


@in_32_bits
def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation of volumes (N, C, D, H, W), or one (C, D, H, W), with a `weight`
    (O, C / groups, kd, kh, kw), plus `bias`; the arguments are those of `conv2d`.

    The slices that a window sees along the depth become channels of an image, so it is one
    convolution of N * D' images.

    >>> F.conv3d(ag.ones(1, 1, 3, 3, 3), ag.ones(1, 1, 2, 3, 3)).flatten()
    tensor([18., 18.])
    """
    kept = single.conv(3, input, weight, bias, (stride, padding, dilation, groups))
    if kept is not None:
        return kept
    if len(input.shape) not in (4, 5) or len(weight.shape) != 5:
        raise ShapeError(
            f"conv3d: {describe(input, weight)}: expected volumes (N, C, D, H, W) or (C, D, H, W) "
            "and a weight (O, C / groups, kd, kh, kw)"
        )
    batch = ops.reshape(input, (1, *input.shape)) if input.ndim == 4 else input
    kernel, steps = weight.shape[2:], several(dilation, 3, "dilation")
    (front, back), *rest = sides_of(padding, kernel, steps)
    sd, *strides = several(stride, 3, "stride")
    if isinstance(padding, str) and padding == "same" and max(sd, *strides) > 1:
        raise ArgumentError("conv3d: padding='same' needs a stride of 1")
    if is_whole("conv3d", input, weight):
        sides = [(front, back), *rest]
        y = whole_conv("conv3d", input, weight, (sd, *strides), sides, steps, groups)
        return biased("conv3d", y, bias, 3)
    pads = padding if isinstance(padding, str) else tuple(low for low, _ in rest)
    x = pad(batch, (0, 0, 0, 0, front, back))
    n, c, depth, height, width = x.shape
    count = (depth - steps[0] * (kernel[0] - 1) - 1) // sd + 1
    if count < 1:
        raise ShapeError(
            f"conv3d: {describe(input, weight)}: the window is deeper than the padded volume"
        )
    slices = []
    for i in range(int(kernel[0])):
        first = i * steps[0]
        stop = (n, c, first + sd * (count - 1) + 1, height, width)
        part = ops.slice(x, (0, 0, first, 0, 0), stop, (1, 1, sd, 1, 1))
        slices.append(ops.reshape(part, (n, c, 1, count, height, width)))
    stacked = ops.permute(ops.cat(*slices, dim=2), (0, 3, 1, 2, 4, 5))
    images = ops.reshape(stacked, (n * count, c * kernel[0], height, width))
    o, per_group = weight.shape[:2]
    flat = ops.reshape(weight, (o, per_group * kernel[0], *kernel[1:]))
    y = conv2d(images, flat, bias, tuple(strides), pads, steps[1:], groups)
    y = ops.permute(ops.reshape(y, (n, count, *y.shape[1:])), (0, 2, 1, 3, 4))
    return ops.reshape(y, y.shape[1:]) if input.ndim == 4 else y


@in_32_bits
def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The gradient of `conv3d` for its volume, as an operation of its own; the arguments are those
    of `conv_transpose2d`.

    Volumes (N, C, D, H, W) or (C, D, H, W) with a weight (C, out / groups, kd, kh, kw). The slices
    that one slice of the input gives are channels of an image, and are added where they belong.

    >>> F.conv_transpose3d(ag.ones(1, 1, 2, 1, 1), ag.ones(1, 1, 2, 1, 1)).flatten()
    tensor([1., 2., 1.])
    """
    options = (stride, padding, output_padding, groups, dilation)
    kept = single.conv_transpose(3, input, weight, bias, options)
    if kept is not None:
        return kept
    if input.ndim not in (4, 5) or weight.ndim != 5 or weight.shape[0] != input.shape[-4]:
        raise ShapeError(
            f"conv_transpose3d: {describe(input, weight)}: expected volumes (N, C, D, H, W) or "
            "(C, D, H, W) and a weight (C, O / groups, kd, kh, kw)"
        )
    check_filled("conv_transpose3d", input, weight)
    strides, pads = several(stride, 3, "stride"), several(padding, 3, "padding")
    steps, extra = several(dilation, 3, "dilation"), several(output_padding, 3, "output_padding")
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, steps, strict=True)):
        raise ArgumentError("conv_transpose3d: output_padding must be less than stride or dilation")
    if is_whole("conv_transpose3d", input, weight):
        window = (strides, pads, extra, steps, int(groups))
        y = whole_conv_transpose("conv_transpose3d", input, weight, *window)
        return biased("conv_transpose3d", y, bias, 3)
    batch = ops.reshape(input, (1, *input.shape)) if input.ndim == 4 else input
    n, c, depth, height, width = batch.shape
    per_group, kd, *kernel = weight.shape[1:]
    images = ops.reshape(ops.permute(batch, (0, 2, 1, 3, 4)), (n * depth, c, height, width))
    flat = ops.reshape(weight, (c, per_group * kd, *kernel))
    y = conv_transpose2d(images, flat, None, strides[1:], pads[1:], extra[1:], groups, steps[1:])
    y = ops.reshape(y, (n, depth, per_group * groups, kd, *y.shape[2:]))
    y = _stacked_slices(ops.permute(y, (0, 2, 3, 1, 4, 5)), strides[0], steps[0])
    y = pad(y, (0, 0, 0, 0, -pads[0], extra[0] - pads[0]))
    y = biased("conv_transpose3d", ops.cast(y, input.dtype), bias, 3)
    return ops.reshape(y, y.shape[1:]) if input.ndim == 4 else y


def _stacked_slices(parts: Any, stride: int, dilation: int) -> Any:
    """(N, O, taps, D, H, W) as (N, O, D', H, W): slice i of tap t is added at i * stride + t *
    dilation."""
    n, o, taps, depth, height, width = parts.shape
    size = (n, o, (depth - 1) * stride + dilation * (taps - 1) + 1, height, width)
    empty, total = ops.full(size, 0, parts.dtype), None
    for t in range(int(taps)):
        part = ops.slice(parts, (0, 0, t, 0, 0, 0), (n, o, t + 1, depth, height, width), (1,) * 6)
        part = ops.reshape(part, (n, o, depth, height, width))
        first = t * dilation
        stop = (n, o, first + (depth - 1) * stride + 1, height, width)
        placed = ops.slice_scatter(empty, part, (0, 0, first, 0, 0), stop, (1, 1, stride, 1, 1))
        total = placed if total is None else ops.add(total, placed)
    return total
