"""Elementwise functions that are compositions, and comparisons of whole tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.dtype import as_dtype
from argand.base.errors import DTypeError
from argand.base.shape import same_shape
from argand.ir.op import ops


def clamp_min(input: Any, min: Any) -> Any:
    """The larger of each element and `min`."""
    return ops.clamp(input, min, None)


def clamp_max(input: Any, max: Any) -> Any:
    """The smaller of each element and `max`."""
    return ops.clamp(input, None, max)


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value * tensor1 * tensor2."""
    product = ops.mul(tensor1, tensor2)
    return ops.add(input, product if _is_one(value) else ops.mul(product, value))


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value * tensor1 / tensor2."""
    quotient = ops.div(tensor1, tensor2)
    return ops.add(input, quotient if _is_one(value) else ops.mul(quotient, value))


def _is_one(value: Any) -> bool:
    return isinstance(value, int | float) and value == 1


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha * input."""
    return ops.sub(other, input if _is_one(alpha) else ops.mul(input, alpha))


def frac(input: Any) -> Any:
    """The fraction of each element, with its sign."""
    return ops.sub(input, ops.trunc(input))


def round(input: Any, *, decimals: int = 0) -> Any:
    """The nearest whole number (or multiple of 10 ** -decimals), halves to the even one."""
    if not decimals:
        return ops.round(input)
    scale = 10.0**decimals
    return ops.div(ops.round(ops.mul(input, scale)), scale)


def nan_to_num(
    input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """NaN replaced by `nan`, infinities by the largest finite numbers unless given."""
    if not input.dtype.is_floating_point:
        return input
    limits = finfo(input.dtype)
    x = ops.where(ops.isnan(input), float(nan), input)
    x = ops.where(ops.eq(x, math.inf), limits.max if posinf is None else posinf, x)
    return ops.where(ops.eq(x, -math.inf), limits.min if neginf is None else neginf, x)


def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)); with `eps`, x is first kept within [eps, 1 - eps]."""
    x = input if eps is None else ops.clamp(input, eps, 1 - eps)
    return ops.sub(ops.log(x), ops.log1p(ops.neg(x)))


def xlogy(input: Any, other: Any) -> Any:
    """input * log(other), and 0 where input is 0 (unless other is NaN)."""
    y = ops.mul(input, ops.log(other))
    keep = ops.logical_and(ops.eq(input, 0), ops.logical_not(ops.isnan(other)))
    return ops.where(keep, 0.0, y)


def hypot(input: Any, other: Any) -> Any:
    """sqrt(x ** 2 + y ** 2)."""
    return ops.sqrt(ops.add(ops.square(input), ops.square(other)))


def sinc(input: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0."""
    x = ops.mul(input, math.pi)
    zero = ops.eq(x, 0)
    safe = ops.where(zero, 1.0, x)
    return ops.where(zero, 1.0, ops.div(ops.sin(safe), safe))


def deg2rad(input: Any) -> Any:
    """Degrees as radians."""
    return ops.mul(input, math.pi / 180)


def rad2deg(input: Any) -> Any:
    """Radians as degrees."""
    return ops.mul(input, 180 / math.pi)


def logaddexp(input: Any, other: Any) -> Any:
    """log(exp(x) + exp(y)) without overflow."""
    high = ops.maximum(input, other)
    apart = ops.neg(ops.abs(ops.sub(input, other)))
    same = ops.eq(input, other)  # also two equal infinities, whose difference is NaN
    return ops.add(high, ops.log1p(ops.exp(ops.where(same, 0.0, apart))))


def heaviside(input: Any, values: Any) -> Any:
    """0 below 0, 1 above, `values` at 0."""
    step = ops.cast(ops.gt(input, 0), input.dtype)
    return ops.where(ops.eq(input, 0), values, step)


def prelu(input: Any, weight: Any) -> Any:
    """x above 0, weight * x elsewhere; one weight, or one for each channel (dimension 1)."""
    if weight.numel() != 1 and input.ndim > 1:
        shape = (1, weight.shape[0], *(1,) * (input.ndim - 2))
        weight = ops.reshape(weight, shape)
    return ops.where(ops.gt(input, 0), input, ops.mul(input, weight))


def isneginf(input: Any) -> Any:
    """Whether each element is minus infinity."""
    return ops.eq(input, -math.inf)


def isposinf(input: Any) -> Any:
    """Whether each element is plus infinity."""
    return ops.eq(input, math.inf)


def isreal(input: Any) -> Any:
    """Whether each element is real."""
    return ops.eq(input, input) if not input.dtype.is_complex else ops.eq(_imag(input), 0)


def _imag(x: Any) -> Any:
    from argand.tensor.core import wrap

    return wrap(x.numpy_array().imag)


# -- whole tensors ---------------------------------------------------------------------------------


def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """|input - other| <= atol + rtol * |other|, element by element."""
    if input.dtype is not other.dtype:
        raise DTypeError(f"isclose: dtypes {input.dtype.name} and {other.dtype.name} differ")
    close = ops.eq(input, other)
    if input.dtype.is_floating_point:
        allowed = ops.add(ops.mul(ops.abs(other), rtol), atol)
        near = ops.le(ops.abs(ops.sub(input, other)), allowed)
        close = ops.logical_or(close, ops.logical_and(near, ops.isfinite(other)))
        if equal_nan:
            both = ops.logical_and(ops.isnan(input), ops.isnan(other))
            close = ops.logical_or(close, both)
    elif input.dtype.kind in "iu":
        gap = ops.cast(ops.abs(ops.sub(ops.cast(input, "int64"), other)), "float64")
        allowed = ops.add(ops.mul(ops.abs(ops.cast(other, "float64")), rtol), atol)
        close = ops.le(gap, allowed)
    return close


def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close."""
    return bool(ops.all(isclose(input, other, rtol, atol, equal_nan)))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and elements."""
    if not same_shape(tuple(input.shape), tuple(other.shape)):
        return False
    return bool(ops.all(ops.eq(input, other)))


def is_floating_point(input: Any) -> bool:
    """Whether the dtype is a real floating-point type."""
    return bool(input.dtype.is_floating_point)


def is_complex(input: Any) -> bool:
    """Whether the dtype is complex."""
    return bool(input.dtype.is_complex)


def is_nonzero(input: Any) -> bool:
    """Whether the one element is not 0."""
    return bool(input)


class finfo:  # noqa: N801  # PyTorch's name  # PyTorch's name
    """The limits of a floating-point dtype: eps, max, min, tiny, smallest_normal, bits."""

    def __init__(self, dtype: Any = None) -> None:
        import ml_dtypes

        from argand.base.dtype import get_default_dtype

        self.dtype = get_default_dtype() if dtype is None else as_dtype(dtype)
        if not self.dtype.is_inexact:
            raise TypeError(f"finfo: {self.dtype.name} is not a floating-point dtype; use iinfo")
        info: Any = ml_dtypes.finfo(self.dtype.numpy)  # type: ignore[no-untyped-call]
        self.bits = int(info.bits)
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(info.resolution)

    def __repr__(self) -> str:
        return f"finfo(dtype={self.dtype.name}, eps={self.eps:g}, max={self.max:g})"


class iinfo:  # noqa: N801  # PyTorch's name  # PyTorch's name
    """The limits of an integer dtype: max, min, bits."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = as_dtype(dtype)
        if self.dtype.kind not in "iu":
            raise TypeError(f"iinfo: {self.dtype.name} is not an integer dtype; use finfo")
        info = np.iinfo(self.dtype.numpy)
        self.bits, self.max, self.min = int(info.bits), int(info.max), int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(dtype={self.dtype.name}, min={self.min}, max={self.max})"
