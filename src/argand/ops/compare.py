"""Elementwise comparison, logic on truth values, bits, and choice."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from argand.ir.elementwise import Elementwise
from argand.ir.samples import ErrorSample, Sample, T, Uniform

_NUMBERS = ("float32", "float64", "int64", "bool")
_WHOLE = ("int64", "int32", "uint8", "bool")
_BITS = Uniform(0, 60, integers=True)


class _Truth(Elementwise):
    """An op that gives booleans."""

    abstract = True
    promotion = "bool"
    dtypes = _NUMBERS
    differentiable = False


class _Order(_Truth):
    """A comparison that needs an order, which complex numbers lack."""

    abstract = True
    kinds = "buif"
    samples = Uniform(-2, 2)


class Lt(_Order):
    """x < y; False where either is NaN."""

    ufunc = np.less
    error_samples = (
        ErrorSample(TypeError, "lt: not defined for complex64", T((2,), dtype="complex64"), 1),
    )

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.lt(x, y)


class Le(_Order):
    """x <= y; False where either is NaN."""

    ufunc = np.less_equal

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.le(x, y)


class Gt(_Order):
    """x > y; False where either is NaN."""

    ufunc = np.greater

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.gt(x, y)


class Ge(_Order):
    """x >= y; False where either is NaN."""

    ufunc = np.greater_equal

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ge(x, y)


class Eq(_Truth):
    """Whether x and y are equal; NaN equals nothing."""

    samples = Uniform(-2, 2, integers=True)
    ufunc = np.equal

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.eq(x, y)


class Ne(_Truth):
    """Whether x and y differ; NaN differs from everything."""

    samples = Uniform(-2, 2, integers=True)
    ufunc = np.not_equal

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ne(x, y)


class LogicalAnd(_Truth):
    """Whether both x and y are not zero."""

    samples = Uniform(-1, 1, integers=True)
    ufunc = np.logical_and

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ne(x, 0) & b.ne(y, 0)


class LogicalOr(_Truth):
    """Whether x or y is not zero."""

    samples = Uniform(-1, 1, integers=True)
    ufunc = np.logical_or

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ne(x, 0) | b.ne(y, 0)


class LogicalXor(_Truth):
    """Whether exactly one of x and y is not zero."""

    samples = Uniform(-1, 1, integers=True)
    ufunc = np.logical_xor

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ne(x, 0) ^ b.ne(y, 0)


class LogicalNot(_Truth):
    """Whether x is zero."""

    samples = Uniform(-1, 1, integers=True)
    ufunc = np.logical_not

    def body(b: Any, x: Any) -> Any:
        return b.eq(x, 0)


class Isnan(_Truth):
    """Whether x is not a number."""

    samples = Uniform(-2, 2)
    kinds = "buif"
    ufunc = np.isnan

    def body(b: Any, x: Any) -> Any:
        return b.isnan(x) if x.dtype.is_inexact else False


class Isinf(_Truth):
    """Whether x is plus or minus infinity."""

    samples = Uniform(-2, 2)
    kinds = "buif"
    ufunc = np.isinf

    def body(b: Any, x: Any) -> Any:
        return b.isinf(x) if x.dtype.is_inexact else False


class Isfinite(_Truth):
    """Whether x is neither NaN nor infinite."""

    samples = Uniform(-2, 2)
    kinds = "buif"
    ufunc = np.isfinite

    def body(b: Any, x: Any) -> Any:
        return ~(b.isnan(x) | b.isinf(x)) if x.dtype.is_inexact else True


class _Bitwise(Elementwise):
    """An op on the bits of integers; on booleans it is logic."""

    abstract = True
    kinds = "bui"
    dtypes: ClassVar[tuple[str, ...]] = _WHOLE
    samples: ClassVar[Any] = _BITS
    differentiable = False


class BitwiseAnd(_Bitwise):
    """x & y."""

    ufunc = np.bitwise_and
    error_samples = (ErrorSample(TypeError, "bitwise_and: not defined for float32", T((2,)), 1),)

    def body(b: Any, x: Any, y: Any) -> Any:
        return x & y


class BitwiseOr(_Bitwise):
    """x | y."""

    ufunc = np.bitwise_or

    def body(b: Any, x: Any, y: Any) -> Any:
        return x | y


class BitwiseXor(_Bitwise):
    """x ^ y."""

    ufunc = np.bitwise_xor

    def body(b: Any, x: Any, y: Any) -> Any:
        return x ^ y


class BitwiseNot(_Bitwise):
    """~x; on booleans their negation."""

    ufunc = np.invert

    def body(b: Any, x: Any) -> Any:
        return ~x


class BitwiseLeftShift(_Bitwise):
    """x << y, for y from 0 to the number of bits less one."""

    samples = (
        Sample(T((2, 3), 0, 30), T((2, 3), 0, 4)),
        Sample(T((4,), 0, 30), 3),
        Sample(T(()), T((), 0, 3)),
    )
    dtypes = ("int64", "int32")
    kinds = "ui"
    ufunc = np.left_shift

    def body(b: Any, x: Any, y: Any) -> Any:
        return x << y


class BitwiseRightShift(_Bitwise):
    """x >> y, keeping the sign, for y from 0 to the number of bits less one."""

    samples = BitwiseLeftShift.samples
    dtypes = ("int64", "int32")
    kinds = "ui"
    ufunc = np.right_shift

    def body(b: Any, x: Any, y: Any) -> Any:
        return x >> y


class Where(Elementwise):
    """x where the condition holds, else y."""

    samples = (
        Sample(T((2, 3), dtype="bool"), T((2, 3)), T((2, 3))),
        Sample(T((3,), dtype="bool"), T((2, 1)), 0.5),
        Sample(T((2, 3), dtype="bool"), 1.5, T(())),
        Sample(T((), dtype="bool"), T(()), T(())),
        Sample(T((0, 2), dtype="bool"), T((0, 2)), T((2,))),
    )
    error_samples = (
        ErrorSample(
            RuntimeError, "where: shapes (2,) and (3,)", T((2,), dtype="bool"), T((3,)), 0.0
        ),
    )
    dtypes = _NUMBERS
    conditions = 1
    ufunc = np.where

    def body(b: Any, condition: Any, input: Any, other: Any) -> Any:
        return b.where(condition, input, other)
