"""Quantized ops of com.microsoft."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError
from argand.onnx.importers.pooling import average_pool, max_pool
from argand.onnx.importers.quantized import (
    dequantize,
    dynamically_quantized,
    integer_product,
    quantize,
    requantized,
)
from argand.onnx.importers.recurrent import lstm
from argand.onnx.registry import Call, importer
from argand.onnx.values import F, Host, ag
from argand.tensor.core import Tensor

_op = functools.partial(importer, domain="com.microsoft")


def _real(x: Any, scale: Any, zero: Any) -> Any:
    """The numbers that integers stand for."""
    y = x.to(ag.float32)
    return (y if zero is None else y - zero.to(ag.float32)) * scale


def _zero(zero: Any, x: Any) -> Any:
    return ag.zeros((), dtype=x.dtype) if zero is None else zero


def _qlinear_two(name: str, function: Any) -> None:
    @_op(name)
    def rule(
        a: Tensor,
        a_scale: Tensor,
        a_zero: Tensor | None,
        b: Tensor,
        b_scale: Tensor,
        b_zero: Tensor | None,
        c_scale: Tensor,
        c_zero: Tensor | None = None,
    ) -> Any:
        made = function(_real(a, a_scale, a_zero), _real(b, b_scale, b_zero))
        return requantized(made, c_scale, _zero(c_zero, a))


_qlinear_two("QLinearAdd", ag.add)
_qlinear_two("QLinearMul", ag.mul)


@_op("QLinearSigmoid")
def _qlinear_sigmoid(
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor | None,
    y_scale: Tensor,
    y_zero: Tensor | None = None,
) -> Any:
    return requantized(ag.sigmoid(_real(x, x_scale, x_zero)), y_scale, _zero(y_zero, x))


@_op("QLinearLeakyRelu")
def _qlinear_leaky_relu(
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor | None,
    y_scale: Tensor,
    y_zero: Tensor | None = None,
    *,
    alpha: float = 0.01,
) -> Any:
    made = F.leaky_relu(_real(x, x_scale, x_zero), alpha)
    return requantized(made, y_scale, _zero(y_zero, x))


@_op("QLinearSoftmax")
def _qlinear_softmax(
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor | None,
    y_scale: Tensor,
    y_zero: Tensor,
    *,
    axis: int = -1,
    opset: int = 13,
) -> Any:
    return requantized(F.softmax(_real(x, x_scale, x_zero), axis), y_scale, y_zero)


@_op("QLinearGlobalAveragePool")
def _qlinear_global_average_pool(
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
    *,
    channels_last: int = 0,
) -> Any:
    dims = list(range(1, x.ndim - 1)) if channels_last else list(range(2, x.ndim))
    return requantized(ag.mean(_real(x, x_scale, x_zero), dims, True), y_scale, y_zero)


@_op("QLinearAveragePool")
def _qlinear_average_pool(
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor | None,
    y_scale: Tensor,
    y_zero: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    kernel_shape: Any,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    wide = _real(x, x_scale, x_zero)
    made = average_pool(
        wide.movedim(-1, 1) if channels_last else wide,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    made = made.movedim(1, -1) if channels_last else made
    return requantized(made, y_scale, _zero(y_zero, x))


@_op("QLinearConcat")
def _qlinear_concat(y_scale: Tensor, y_zero: Tensor, *parts: Tensor, axis: int) -> Any:
    groups = (parts[i : i + 3] for i in range(0, len(parts), 3))
    return requantized(ag.cat([_real(*g) for g in groups], axis), y_scale, y_zero)


@_op("QGemm")
def _qgemm(
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    c: Tensor | None = None,
    y_scale: Tensor | None = None,
    y_zero: Tensor | None = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Any:
    product = integer_product(a.T if transA else a, b.T if transB else b, a_zero, b_zero)
    if c is not None:
        product = product + c.to(product.dtype)
    made = product.to(ag.float32) * (a_scale * b_scale * alpha)
    return made if y_scale is None else requantized(made, y_scale, y_zero)


@_op("QuantizeLinear")
def _quantize(x: Tensor, scale: Tensor, zero: Any = None, *, axis: int = 1) -> Any:
    return quantize(x, scale, zero, axis=axis)


@_op("DequantizeLinear")
def _dequantize(x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1) -> Any:
    return dequantize(x, scale, zero, axis=axis)


@_op("MatMulIntegerToFloat")
def _matmul_integer_to_float(
    a: Tensor,
    b: Tensor,
    a_scale: Tensor,
    b_scale: Tensor,
    a_zero: Tensor | None = None,
    b_zero: Tensor | None = None,
    bias: Tensor | None = None,
) -> Any:
    made = integer_product(a, b, a_zero, b_zero).to(a_scale.dtype) * (a_scale * b_scale)
    return made if bias is None else made + bias


@_op("DynamicQuantizeMatMul")
def _dynamic_quantize_matmul(
    a: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor | None = None,
    bias: Tensor | None = None,
) -> Any:
    small, scale, zero = dynamically_quantized(a)
    made = integer_product(small, b, zero, b_zero).to(ag.float32) * (scale * b_scale)
    return made if bias is None else made + bias


@_op("DynamicQuantizeLSTM")
def _dynamic_quantize_lstm(
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Tensor | None = None,
    sequence_lens: Tensor | None = None,
    initial_h: Tensor | None = None,
    initial_c: Tensor | None = None,
    p: Tensor | None = None,
    w_scale: Tensor | None = None,
    w_zero: Tensor | None = None,
    r_scale: Tensor | None = None,
    r_zero: Tensor | None = None,
    *,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    activations: Any = ("Sigmoid", "Tanh", "Tanh", "Sigmoid", "Tanh", "Tanh"),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int = 0,
    input_forget: int = 0,
    node: Call,
) -> Any:
    """An LSTM of the weights that the integers stand for; its inputs and states, which ONNX Runtime
    rounds to 8 bits, stay as they are."""

    def weights(q: Any, scale: Any, zero: Any) -> Any:
        if scale is None or zero is None:
            raise ArgumentError("the scale or the zero point of its weights is missing")
        ways = q.shape[0]
        return _real(q, scale.reshape(ways, 1, -1), zero.reshape(ways, 1, -1)).transpose(1, 2)

    return lstm(
        x,
        weights(w, w_scale, w_zero),
        weights(r, r_scale, r_zero),
        b,
        sequence_lens,
        initial_h,
        initial_c,
        p,
        activation_alpha=activation_alpha,
        activation_beta=activation_beta,
        activations=activations,
        clip=clip,
        direction=direction,
        hidden_size=hidden_size,
        input_forget=input_forget,
        node=node,
    )


@_op("NhwcMaxPool")
def _nhwc_max_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Any = None,
    kernel_shape: Any,
    pads: Any = None,
    strides: Any = None,
    node: Call,
) -> Any:
    last = [0, *range(2, x.ndim), 1]
    made = max_pool(
        x.movedim(-1, 1),
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        dilations=dilations,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
        node=node,
    )
    return made.permute(last)


@_op("QLinearWhere")
def _qlinear_where(
    condition: Tensor,
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Any:
    made = ag.where(condition, _real(a, a_scale, a_zero), _real(b, b_scale, b_zero))
    return requantized(made, y_scale, y_zero)


@_op("MatMulNBits")
def _matmul_nbits(
    a: Tensor,
    b: Host,
    scales: Tensor,
    zeros: Any = None,
    g_idx: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    K: int,
    N: int,
    accuracy_level: int = 0,
    bits: int = 4,
    block_size: int,
    weight_prepacked: int = 0,
) -> Any:
    blocks = -(-K // block_size)
    codes = ag.tensor(_nibbles(b.reshape(N, blocks, -1), bits)).to(scales.dtype)
    wide = scales.reshape(N, blocks, 1)
    if zeros is None:
        offset: Any = float(1 << (bits - 1))
    elif isinstance(zeros, np.ndarray) and zeros.dtype == np.uint8:
        packed = _nibbles(zeros.reshape(N, -1), bits)[:, :blocks]
        offset = ag.tensor(packed).to(scales.dtype).reshape(N, blocks, 1)
    else:
        offset = zeros.reshape(N, blocks, 1)
    weights = ((codes - offset) * wide).reshape(N, -1)[:, :K].to(a.dtype)
    made = ag.matmul(a, weights.T)
    return made if bias is None else made + bias


def _nibbles(packed: Any, bits: int) -> Any:
    """The numbers of a few bits in bytes along the last axis, the first in the lowest bits."""
    if bits == 8:
        return packed
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = (packed[..., None] >> shifts) & ((1 << bits) - 1)
    return parts.reshape(*packed.shape[:-1], -1)
