"""Ops of elements: arithmetic, comparisons, activations, casts."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from argand.base.dtype import DType
from argand.onnx.registry import importer
from argand.onnx.values import NARROW, F, Host, ag, dtype_of, scalar, tensor_of
from argand.tensor.core import Tensor


def _one_operand(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(x: Tensor) -> Any:
        return function(x)

    return rule


def _two_operands(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(a: Tensor, b: Tensor) -> Any:
        return function(a, b)

    return rule


def _aligned_operands(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(a: Tensor, b: Tensor, *, axis: int | None = None, broadcast: int = 0) -> Any:
        if broadcast and axis is not None:
            b = b.reshape([*b.shape, *[1] * (a.ndim - axis % a.ndim - b.ndim)])
        return function(a, b)

    return rule


def _any_operands(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(*values: Tensor) -> Any:
        return functools.reduce(function, values)

    return rule


_ONE = {
    "Abs": ag.abs,
    "Acos": ag.acos,
    "Acosh": ag.acosh,
    "Asin": ag.asin,
    "Asinh": ag.asinh,
    "Atan": ag.atan,
    "Atanh": ag.atanh,
    "BitwiseNot": ag.bitwise_not,
    "Ceil": ag.ceil,
    "Cos": ag.cos,
    "Cosh": ag.cosh,
    "Erf": ag.erf,
    "Exp": ag.exp,
    "Floor": ag.floor,
    "HardSwish": F.hardswish,
    "IsNaN": ag.isnan,
    "Log": ag.log,
    "Mish": F.mish,
    "Neg": ag.neg,
    "Not": ag.logical_not,
    "Reciprocal": ag.reciprocal,
    "Relu": F.relu,
    "Round": ag.round,
    "Sigmoid": ag.sigmoid,
    "Sign": ag.sign,
    "Sin": ag.sin,
    "Sinh": ag.sinh,
    "Softplus": lambda x: ag.logaddexp(x, ag.zeros_like(x)),
    "Softsign": F.softsign,
    "Sqrt": ag.sqrt,
    "Tan": ag.tan,
    "Tanh": ag.tanh,
}
_TWO = {
    "Add": ag.add,
    "And": ag.logical_and,
    "BitwiseAnd": ag.bitwise_and,
    "BitwiseOr": ag.bitwise_or,
    "BitwiseXor": ag.bitwise_xor,
    "Greater": ag.gt,
    "GreaterOrEqual": ag.ge,
    "Less": ag.lt,
    "LessOrEqual": ag.le,
    "Mul": ag.mul,
    "Or": ag.logical_or,
    "Sub": ag.sub,
    "Xor": ag.logical_xor,
}
_ALIGNED = {"Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor"}
"""The ops that said before opset 7 along which axis the second operand repeats."""
_MANY = {"Max": ag.maximum, "Min": ag.minimum, "Sum": ag.add}

for _name, _function in _ONE.items():
    importer(_name)(_one_operand(_function))
for _name, _function in _TWO.items():
    importer(_name, since=7 if _name in _ALIGNED else 1)(_two_operands(_function))
for _name in _ALIGNED & set(_TWO):
    importer(_name, since=1)(_aligned_operands(_TWO[_name]))
for _name, _function in _MANY.items():
    importer(_name)(_any_operands(_function))


@importer("Identity")
def _identity(x: Any) -> Any:
    return x


@importer("PRelu", since=7)
def _prelu(x: Tensor, slope: Tensor) -> Any:
    return ag.where(x < 0, x * slope, x)


@importer("PRelu", since=1)
def _prelu_of_channels(x: Tensor, slope: Tensor) -> Any:
    if slope.numel() > 1:
        slope = slope.reshape([-1] + [1] * (x.ndim - 2))
    return _prelu(x, slope)


@importer("Equal", since=7)
def _equal(a: Any, b: Any) -> Any:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype == object:
        return np.asarray(a == b)
    return ag.eq(tensor_of(a), tensor_of(b))


@importer("Mean")
def _mean(*values: Tensor) -> Any:
    return functools.reduce(ag.add, values) / len(values)


@importer("Div", since=7)
def _div(a: Tensor, b: Tensor) -> Any:
    return ag.div(a, b, rounding_mode=None if a.dtype.is_floating_point else "trunc")


@importer("Mod")
def _mod(a: Tensor, b: Tensor, *, fmod: int = 0) -> Any:
    return ag.fmod(a, b) if fmod else ag.remainder(a, b)


@importer("Pow", since=7)
def _pow(x: Tensor, exponent: Any) -> Any:
    if isinstance(exponent, np.ndarray) and exponent.ndim == 0:
        exponent = exponent.item()
    return ag.pow(x, tensor_of(exponent) if isinstance(exponent, np.ndarray) else exponent).to(
        x.dtype
    )


for _name, _rule in {"Div": _div, "Equal": _equal, "Pow": _pow}.items():
    importer(_name, since=1)(_aligned_operands(_rule))


@importer("BitShift")
def _bit_shift(x: Tensor, count: Tensor, *, direction: str) -> Any:
    return ag.bitwise_left_shift(x, count) if direction == "LEFT" else x >> count


@importer("Where")
def _where(condition: Tensor, a: Any, b: Any) -> Any:
    if isinstance(a, np.ndarray) and a.dtype == object and isinstance(b, np.ndarray):
        return np.where(condition.numpy(), a, b)
    return ag.where(condition, tensor_of(a), tensor_of(b))


@importer("Clip")
def _clip(x: Tensor, min: Any = None, max: Any = None) -> Any:
    low, high = _bound(min, x), _bound(max, x)
    if low is None and high is None:
        return x
    if low is not None:
        x = ag.maximum(x, low) if isinstance(low, Tensor) else ag.clamp(x, min=low)
    if high is not None:
        x = ag.minimum(x, high) if isinstance(high, Tensor) else ag.clamp(x, max=high)
    return x


def _bound(value: Any, x: Any) -> Any:
    """A bound of Clip as a number, or as a tensor of the operand's dtype."""
    if value is None or isinstance(value, Tensor):
        return value
    number = scalar(value)
    return None if isinstance(number, float) and math.isinf(number) else number


@importer("IsInf")
def _is_inf(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    if detect_negative and detect_positive:
        return ag.isinf(x)
    if detect_negative:
        return ag.isneginf(x)
    return ag.isposinf(x) if detect_positive else ag.zeros_like(x, dtype=ag.bool)


# -- activations with options ----------------------------------------------------------------------


@importer("Elu")
def _elu(x: Tensor, *, alpha: float = 1.0) -> Any:
    return F.elu(x, alpha)


@importer("Celu")
def _celu(x: Tensor, *, alpha: float = 1.0) -> Any:
    return F.celu(x, alpha)


@importer("Selu")
def _selu(
    x: Tensor, *, alpha: float = 1.6732631921768188, gamma: float = 1.0507010221481323
) -> Any:
    return gamma * F.elu(x, alpha)


@importer("LeakyRelu")
def _leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Any:
    return F.leaky_relu(x, alpha)


@importer("ThresholdedRelu")
def _thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Any:
    return ag.where(x > alpha, x, ag.zeros_like(x))


@importer("HardSigmoid")
def _hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return ag.clamp(x * alpha + beta, 0, 1)


@importer("Gelu")
def _gelu(x: Tensor, *, approximate: str = "none") -> Any:
    return F.gelu(x, approximate=approximate)


@importer("Swish")
def _swish(x: Tensor, *, alpha: float = 1.0) -> Any:
    return x * ag.sigmoid(x if alpha == 1.0 else x * alpha)


@importer("Shrink")
def _shrink(x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Any:
    zero = ag.zeros_like(x)
    return ag.where(x < -lambd, x + bias, ag.where(x > lambd, x - bias, zero)).to(x.dtype)


# -- casts -----------------------------------------------------------------------------------------


@importer("Cast")
def _cast(x: Any, *, to: int, saturate: int = 1, round_mode: str = "up") -> Any:
    return cast(x, dtype_of(to), bool(saturate), round_mode)


@importer("CastLike")
def _cast_like(x: Any, like: Any, *, saturate: int = 1, round_mode: str = "up") -> Any:
    dtype = like.dtype
    if isinstance(dtype, np.dtype) and dtype not in NARROW and dtype.kind != "O":
        dtype = tensor_of(like).dtype
    return cast(x, dtype, bool(saturate), round_mode)


def cast(x: Any, dtype: DType | np.dtype[Any], saturate: bool, round_mode: str = "up") -> Any:
    """A value in another dtype: Argand's, or one that only host arrays have."""
    if isinstance(x, np.ndarray) and x.dtype == object and not _holds_numbers(x):
        return _from_texts(x, dtype)
    if isinstance(dtype, np.dtype):
        return _to_host_dtype(x, dtype)
    x = tensor_of(x)
    if dtype.kind == "s" and x.dtype != dtype:
        return _to_float8(x, dtype, saturate, round_mode)
    if dtype.kind in "iu" and x.dtype.kind == "s":
        x = x.to(ag.float32)
    return x.to(dtype)


def _holds_numbers(x: Host) -> bool:
    from argand.onnx.values import has_dims

    return has_dims(x)


def _from_texts(x: Host, dtype: DType | np.dtype[Any]) -> Any:
    """Numbers read from texts."""
    if isinstance(dtype, np.dtype):
        return x if dtype.kind == "O" else np.array([float(e) for e in x.flat]).astype(dtype)
    wide = np.array([float(e) for e in x.flat], np.float64).reshape(x.shape)
    return ag.tensor(wide.astype(dtype.numpy))


def _to_host_dtype(x: Any, dtype: np.dtype[Any]) -> Host:
    """Elements of 2 or 4 bits, or texts."""
    array: Host = x if isinstance(x, np.ndarray) else x.detach().numpy()
    if dtype.kind == "O":
        return _texts(array)
    if array.dtype in NARROW:
        array = array.astype(NARROW[array.dtype])
    if array.dtype.name.startswith("float8") or array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if dtype.name.startswith("float4"):
        return array.astype(np.float32).astype(dtype)
    bits = int(dtype.name.lstrip("uint"))
    low = array.astype(np.int64) & ((1 << bits) - 1)  # the lowest bits, as for wider integers
    if not dtype.name.startswith("u"):
        top = 1 << (bits - 1)
        low = (low ^ top) - top
    return low.astype(np.int8).astype(dtype)


def _texts(array: Host) -> Host:
    """Numbers as texts, as short as reads back exactly."""
    made = np.empty(array.shape, object)
    flat = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
    made.reshape(-1)[:] = [_text(e) for e in flat.reshape(-1)]
    return made


def _text(element: Any) -> str:
    if isinstance(element, np.floating):
        if np.isnan(element):
            return "NaN"
        if np.isinf(element):
            return "INF" if element > 0 else "-INF"
    return str(element)


def _to_float8(x: Any, dtype: DType, saturate: bool, round_mode: str) -> Any:
    x = x.to(ag.float32)
    if dtype is ag.float8_e8m0fnu:
        return _to_power(x, saturate, round_mode)
    top = float(ag.finfo(dtype).max)
    if saturate:
        x = ag.where(ag.isnan(x), x, ag.clamp(x, -top, top))
    elif dtype is ag.float8_e4m3fn:
        x = ag.where(ag.abs(x) > top + 16, ag.full_like(x, math.nan), x)  # there is no infinity
    return x.to(dtype)


def _to_power(x: Any, saturate: bool, round_mode: str) -> Any:
    """The power of two that stands for a number: of float8_e8m0fnu."""
    mantissa, exponent = ag.frexp(ag.abs(x))
    raise_ = {"up": mantissa > 0.5, "down": mantissa > 1, "nearest": mantissa > 0.75}[round_mode]
    power = ag.where(x == 0, ag.full_like(exponent, -127), exponent - 1 + raise_.to(exponent.dtype))
    scaled = ag.ldexp(ag.ones_like(x), ag.clamp(power, -127, 127))
    return scaled.to(ag.float8_e8m0fnu)
