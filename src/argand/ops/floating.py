"""Signs, exponents and neighbours of floating-point numbers, element by element."""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

import numpy as np

from argand.base.dtype import DType
from argand.ir import scalar
from argand.ir.elementwise import Elementwise
from argand.ir.samples import ErrorSample, Sample, T, Uniform
from argand.ir.scalar import Expr

_PAIRS = (
    Sample(T((2, 3), 0.2, 3.0), T((2, 3))),
    Sample(T((3, 1), -3.0, -0.2), T((4,))),
    Sample(T((4,), 0.2, 3.0), -1.5),
    Sample(T((), 0.2, 3.0), T(())),
    Sample(T((0,)), T((0,))),
)


class Copysign(Elementwise):
    """|x| with the sign of `other`, that of a zero or a NaN too; integers give floats.

    The gradient is 1 where the sign stays, -1 where it changes, and 0 where x is 0. Follows
    `torch.copysign`.

    >>> ag.copysign(ag.tensor([1.0, -2.0]), ag.tensor([-0.0, 5.0]))
    tensor([-1.,  2.])
    """

    tensors = 1
    samples = _PAIRS
    kinds = "buif"
    promotion = "float"
    ufunc = np.copysign

    def body(b: Any, input: Any, other: Any) -> Any:
        return b.copysign(input, other)


class Signbit(Elementwise):
    """Whether the sign bit is set, that of a zero or a NaN too; of integers, whether x < 0.

    >>> ag.signbit(ag.tensor([-1.0, -0.0, 0.0]))
    tensor([ True,  True, False])
    """

    samples = Uniform(-3, 3)
    promotion = "bool"
    kinds = "buif"
    dtypes = ("float32", "float64", "int64", "bool")
    differentiable = False
    ufunc = np.signbit

    def body(b: Any, x: Any) -> Any:
        if x.dtype.is_inexact:
            return b.lt(b.copysign(1.0, x), 0)
        return b.lt(x, 0) if x.dtype.kind == "i" else False


class Exponent(Elementwise):
    """The e of x = m * 2 ** e with 1/2 <= |m| < 1, as a float; 0 of 0, infinities and NaN."""

    samples = Uniform(-3, 3)
    kinds = "f"
    differentiable = False

    def body(b: Any, x: Any) -> Any:
        return b.exponent(x)


_MANTISSA = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
_LEAST = {"float16": -24, "bfloat16": -133, "float32": -149, "float64": -1074}


class Nextafter(Elementwise):
    """The number of the dtype that comes next to x on the way to `other`; x where they are equal.

    The gradient is that of x, 0 where they are equal. Follows `torch.nextafter`.

    >>> ag.nextafter(ag.tensor([1.0]), ag.tensor([2.0])) - 1 == 2**-23
    tensor([True])
    """

    tensors = 2
    samples = _PAIRS
    error_samples = (ErrorSample(TypeError, "not defined for int64", T((2,), 0, 2, "int64"), 1),)
    kinds = "f"

    def body(b: Any, input: Any, other: Any) -> Any:
        return _next(input.dtype, b, input, other)

    def partials(b: Any, g: Any, y: Any, input: Any, other: Any) -> Any:
        return [b.where(b.eq(input, other), 0.0, g), None]

    def expression(self, dtype: DType) -> Expr:
        return _next_of(dtype)


@cache
def _next_of(dtype: DType) -> Expr:
    return scalar.trace_body(partial(_next, dtype), [dtype, dtype], dtype)


def _next(dtype: DType, b: Any, x: Any, other: Any) -> Any:
    """x and one unit in the last place of `dtype`, half of it below a power of two."""
    size = abs(x)
    last = b.max(b.exponent(x) - (_MANTISSA[dtype.name] + 1), _LEAST[dtype.name])
    inward = b.eq(b.lt(x, other), b.lt(x, 0)) & b.ne(x, 0)
    # the size as a power of two: below it the numbers are twice as close
    power = b.eq(size, b.exp2(b.exponent(x) - 1))
    closer = b.where(inward & power & b.gt(last, _LEAST[dtype.name]), last - 1, last)
    step = b.exp2(b.where(b.eq(x, 0), float(_LEAST[dtype.name]), closer))
    moved = x + b.where(b.lt(x, other), step, -step)
    largest = b.copysign(b.const(_largest(dtype), x.dtype), x)
    moved = b.where(b.isinf(x), largest, moved)
    moved = b.where(b.eq(x, other), other, b.where(b.eq(moved, 0), b.copysign(0.0, x), moved))
    return b.where(b.isnan(x) | b.isnan(other), math.nan, moved)


def _largest(dtype: DType) -> float:
    digits = 2 - 2.0 ** -_MANTISSA[dtype.name]
    top = {"float16": 15, "bfloat16": 127, "float32": 127, "float64": 1023}[dtype.name]
    return float(digits * 2.0**top)
