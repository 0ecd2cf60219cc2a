"""Ops of integers that stand for numbers: scale * (q - zero point).

Sums of products are exact: they are computed in float32 where they stay below 2^24, else in
float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import DType, as_dtype
from argand.onnx.importers.convolution import convolved
from argand.onnx.importers.elementwise import cast
from argand.onnx.importers.windows import window
from argand.onnx.registry import importer
from argand.onnx.values import NARROW, ag, dtype_of, tensor_of
from argand.tensor.core import Tensor

_RANGES = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}


def spread(p: Any, x: Any, axis: int, block: int = 0) -> Any:
    """Scales or zero points as they go with the elements of `x`: one for all, one for each place
    on an axis, or one for each block along it."""
    if p.numel() == 1 and p.ndim <= 1:
        return p.reshape(())
    d = axis % x.ndim
    if p.ndim == 1 and not block:
        return p.reshape([-1 if i == d else 1 for i in range(x.ndim)])
    return ag.repeat_interleave(p, block, d).narrow(d, 0, x.shape[d])


def _dtype(zero: Any, output_dtype: int) -> Any:
    """The dtype of a quantized result: a DType, or NumPy's of 2 or 4 bits."""
    if output_dtype:
        return dtype_of(output_dtype)
    if zero is None:
        return ag.uint8
    if isinstance(zero, np.ndarray):
        return zero.dtype if zero.dtype in NARROW else as_dtype(zero.dtype)
    return zero.dtype


@importer("QuantizeLinear")
def quantize(
    x: Tensor,
    scale: Tensor,
    zero: Any = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Any:
    """x / scale + zero, rounded, in the dtype of the zero point."""
    dtype = _dtype(zero, output_dtype)
    wide = dtype_of(precision) if precision else scale.dtype
    y = x.to(wide) / spread(scale.to(wide), x, axis, block_size)
    if dtype in NARROW and np.dtype(dtype).name in _RANGES:
        low, high = _RANGES[np.dtype(dtype).name]
    elif isinstance(dtype, DType) and dtype.kind in "iu":
        low, high = ag.iinfo(dtype).min, ag.iinfo(dtype).max
    else:
        return cast(y.to(ag.float32), dtype, bool(saturate))
    y = ag.round(y.to(ag.float32))
    if zero is not None:
        y = y + spread(tensor_of(zero).to(y.dtype), x, axis, block_size)
    return cast(ag.clamp(y, low, high).to(ag.int32), dtype, True)


@importer("DequantizeLinear")
def dequantize(
    x: Tensor,
    scale: Tensor,
    zero: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Any:
    """(x - zero) * scale."""
    dtype = dtype_of(output_dtype) if output_dtype else scale.dtype
    y = x.to(ag.float32) if x.dtype.is_floating_point else x.to(ag.int32)
    if zero is not None:
        y = y - spread(zero.to(y.dtype), x, axis, block_size)
    return y.to(dtype) * spread(scale.to(dtype), x, axis, block_size)


@importer("DynamicQuantizeLinear")
def _dynamic_quantize(x: Tensor) -> Any:
    return dynamically_quantized(x)


def dynamically_quantized(x: Any) -> Any:
    """8 bits from the smallest to the largest element, 0 among them; the scale; the zero point."""
    low = ag.clamp(ag.amin(x), max=0)
    high = ag.clamp(ag.amax(x), min=0)
    scale = (high - low) / 255
    safe = ag.where(scale == 0, ag.ones_like(scale), scale)
    zero = ag.round(ag.clamp(-low / safe, 0, 255))
    y = ag.clamp(ag.round(x / safe) + zero, 0, 255)
    return y.to(ag.uint8), scale, zero.to(ag.uint8)


# -- products --------------------------------------------------------------------------------------


def exact_dtype(length: Any) -> Any:
    """Floats that hold any sum of so many products of 8 bits exactly."""
    small = isinstance(length, int) and length * 255 * 255 < 1 << 24
    return ag.float32 if small else ag.float64


def _rows(zero: Any) -> Any:
    """A zero point for each row, or one for all."""
    return zero.reshape(-1, 1) if zero.ndim == 1 and zero.numel() > 1 else zero


def integer_product(a: Any, b: Any, zero_a: Any, zero_b: Any) -> Any:
    """(a - zero_a) @ (b - zero_b), in floats that are exact."""
    wide = exact_dtype(a.shape[-1])
    a, b = a.to(wide), b.to(wide)
    if zero_a is not None:
        a = a - _rows(zero_a).to(wide)
    if zero_b is not None:
        b = b - zero_b.to(wide)
    return ag.matmul(a, b)


@importer("MatMulInteger")
def _matmul_integer(
    a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Any:
    return integer_product(a, b, a_zero, b_zero).to(ag.int32)


def requantized(y: Any, scale: Any, zero: Any) -> Any:
    """Numbers as integers of the zero point's dtype, which hold them at this scale."""
    known = ag.iinfo(zero.dtype)
    wide = ag.round(y / scale) + zero.to(y.dtype)
    return ag.clamp(wide, known.min, known.max).to(zero.dtype)


@importer("QLinearMatMul")
def _qlinear_matmul(
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Any:
    product = integer_product(a, b, a_zero, b_zero).to(ag.float32)
    factor = _rows(a_scale).to(ag.float32) * b_scale.to(ag.float32)
    return requantized(product * factor, _rows(y_scale).to(ag.float32), _rows(y_zero))


def integer_convolution(
    x: Any, w: Any, x_zero: Any, w_zero: Any, window_of: dict[str, Any], group: int
) -> Any:
    """The convolution of x - x_zero with w - w_zero, in floats that are exact."""
    taps: Any = 1
    for s in w.shape[1:]:
        taps = taps * s
    wide = exact_dtype(taps)
    x, w = x.to(wide), w.to(wide)
    if x_zero is not None:
        x = x - x_zero.to(wide).reshape(())
    if w_zero is not None:
        w = w - w_zero.to(wide).reshape([-1] + [1] * (w.ndim - 1))
    at = window(x.shape[2:], w.shape[2:], **window_of)
    return convolved(x, w, None, at, group)


@importer("ConvInteger")
def _conv_integer(
    x: Tensor,
    w: Tensor,
    x_zero: Tensor | None = None,
    w_zero: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    at = {"auto_pad": auto_pad, "pads": pads, "strides": strides, "dilations": dilations}
    return integer_convolution(x, w, x_zero, w_zero, at, group).to(ag.int32)


@importer("QLinearConv")
def _qlinear_conv(
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor,
    w: Tensor,
    w_scale: Tensor,
    w_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    at = {"auto_pad": auto_pad, "pads": pads, "strides": strides, "dilations": dilations}
    y = integer_convolution(x, w, x_zero, w_zero, at, group)
    channels = [-1] + [1] * (x.ndim - 2)
    if b is not None:
        y = y + b.to(y.dtype).reshape(channels)
    factor = x_scale.reshape(-1, *[1] * (x.ndim - 2)) * w_scale.reshape(channels)
    return requantized(y.to(ag.float32) * factor, y_scale.reshape(()), y_zero.reshape(()))
