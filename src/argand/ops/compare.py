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

    tensors = 1
    abstract = True
    kinds = "buif"
    samples = Uniform(-2, 2)


class Lt(_Order):
    """x < y, element by element, as booleans; False where either is NaN. `y` may be a number.

    >>> ag.lt(ag.tensor([1.0, 2.0, 3.0]), 2)
    tensor([ True, False, False])
    """

    ufunc = np.less
    swapped = "gt"
    error_samples = (
        ErrorSample(TypeError, "not defined for complex64", T((2,), dtype="complex64"), 1),
    )

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.lt(x, y)


class Le(_Order):
    """x <= y, element by element, as booleans; False where either is NaN. `y` may be a number.

    >>> ag.le(ag.tensor([1.0, 2.0, 3.0]), 2)
    tensor([ True,  True, False])
    """

    ufunc = np.less_equal
    swapped = "ge"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.le(x, y)


class Gt(_Order):
    """x > y, element by element, as booleans; False where either is NaN. `y` may be a number.

    >>> ag.gt(ag.tensor([1.0, 2.0, 3.0]), 2)
    tensor([False, False,  True])
    """

    ufunc = np.greater
    swapped = "lt"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.gt(x, y)


class Ge(_Order):
    """x >= y, element by element, as booleans; False where either is NaN. `y` may be a number.

    >>> ag.ge(ag.tensor([1.0, 2.0, 3.0]), 2)
    tensor([False,  True,  True])
    """

    ufunc = np.greater_equal
    swapped = "le"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ge(x, y)


class Eq(_Truth):
    """x == y, element by element, as booleans; NaN equals nothing, itself included.

    One truth for whole tensors gives `equal`, with a tolerance `allclose`.

    >>> ag.eq(ag.tensor([1.0, 2.0, ag.nan]), ag.tensor([1.0, 3.0, ag.nan]))
    tensor([ True, False, False])
    """

    kinds = "buifsc"
    tensors = 1
    samples = Uniform(-2, 2, integers=True)
    ufunc = np.equal
    swapped = "eq"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.eq(x, y)


class Ne(_Truth):
    """x != y, element by element, as booleans; NaN differs from everything, itself included.

    >>> ag.ne(ag.tensor([1.0, 2.0, ag.nan]), ag.tensor([1.0, 3.0, ag.nan]))
    tensor([False,  True,  True])
    """

    kinds = "buifsc"
    tensors = 1
    samples = Uniform(-2, 2, integers=True)
    ufunc = np.not_equal
    swapped = "ne"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ne(x, y)


class LogicalAnd(_Truth):
    """Whether both x and y are not 0, as booleans; NaN counts as not 0.

    >>> ag.logical_and(ag.tensor([True, True, False]), ag.tensor([2, 0, 2]))
    tensor([ True, False, False])
    """

    tensors = 2
    samples = Uniform(-1, 1, integers=True)
    ufunc = np.logical_and
    swapped = "logical_and"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ne(x, 0) & b.ne(y, 0)


class LogicalOr(_Truth):
    """Whether x or y is not 0, as booleans; NaN counts as not 0.

    >>> ag.logical_or(ag.tensor([True, False, False]), ag.tensor([2, 0, 2]))
    tensor([ True, False,  True])
    """

    tensors = 2
    samples = Uniform(-1, 1, integers=True)
    ufunc = np.logical_or
    swapped = "logical_or"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ne(x, 0) | b.ne(y, 0)


class LogicalXor(_Truth):
    """Whether exactly one of x and y is not 0, as booleans.

    >>> ag.logical_xor(ag.tensor([True, True, False]), ag.tensor([2, 0, 2]))
    tensor([False,  True,  True])
    """

    tensors = 2
    samples = Uniform(-1, 1, integers=True)
    ufunc = np.logical_xor
    swapped = "logical_xor"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.ne(x, 0) ^ b.ne(y, 0)


class LogicalNot(_Truth):
    """Whether x is 0, as booleans.

    >>> ag.logical_not(ag.tensor([0.0, 1.5, ag.nan]))
    tensor([ True, False, False])
    """

    samples = Uniform(-1, 1, integers=True)
    ufunc = np.logical_not

    def body(b: Any, x: Any) -> Any:
        return b.eq(x, 0)


class Isnan(_Truth):
    """Whether x, or a part of a complex x, is NaN ("not a number"); False for integers.

    >>> ag.isnan(ag.tensor([1.0, ag.nan, ag.inf]))
    tensor([False,  True, False])
    """

    kinds = "buifsc"
    samples = Uniform(-2, 2)
    ufunc = np.isnan

    def body(b: Any, x: Any) -> Any:
        return b.isnan(x) if x.dtype.is_inexact else False


class Isinf(_Truth):
    """Whether x, or a part of a complex x, is plus or minus infinity; False for integers.

    >>> ag.isinf(ag.tensor([1.0, ag.nan, -ag.inf]))
    tensor([False, False,  True])
    """

    kinds = "buifsc"
    samples = Uniform(-2, 2)
    ufunc = np.isinf

    def body(b: Any, x: Any) -> Any:
        return b.isinf(x) if x.dtype.is_inexact else False


class Isfinite(_Truth):
    """Whether x, and each part of a complex x, is neither NaN nor infinite; True for integers.

    >>> ag.isfinite(ag.tensor([1.0, ag.nan, ag.inf]))
    tensor([ True, False, False])
    """

    kinds = "buifsc"
    samples = Uniform(-2, 2)
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
    """x & y: the bits that both integers have; of booleans their conjunction.

    Raises DTypeError for floats.

    >>> ag.bitwise_and(ag.tensor([0b1100, 7]), 0b1010)
    tensor([8, 2])
    """

    takes_bits = True
    ufunc = np.bitwise_and
    swapped = "bitwise_and"
    error_samples = (ErrorSample(TypeError, "not defined for float32", T((2,)), 1),)

    def body(b: Any, x: Any, y: Any) -> Any:
        return x & y


class BitwiseOr(_Bitwise):
    """x | y: the bits that either integer has; of booleans their disjunction.

    Raises DTypeError for floats.

    >>> ag.bitwise_or(ag.tensor([0b1100, 7]), 0b1010)
    tensor([14, 15])
    """

    takes_bits = True
    ufunc = np.bitwise_or
    swapped = "bitwise_or"

    def body(b: Any, x: Any, y: Any) -> Any:
        return x | y


class BitwiseXor(_Bitwise):
    """x ^ y: the bits that one of the integers has; of booleans whether they differ.

    Raises DTypeError for floats.

    >>> ag.bitwise_xor(ag.tensor([0b1100, 7]), 0b1010)
    tensor([ 6, 13])
    """

    takes_bits = True
    ufunc = np.bitwise_xor
    swapped = "bitwise_xor"

    def body(b: Any, x: Any, y: Any) -> Any:
        return x ^ y


class BitwiseNot(_Bitwise):
    """~x: every bit of an integer turned over, -x - 1 of a signed one; of booleans their negation.

    Raises DTypeError for floats.

    >>> ag.bitwise_not(ag.tensor([0, 5, -1]))
    tensor([-1, -6,  0])
    """

    ufunc = np.invert

    def body(b: Any, x: Any) -> Any:
        return ~x


class BitwiseLeftShift(_Bitwise):
    """x << y, which is x * 2 ** y, for y from 0 to the number of bits less one.

    Raises DTypeError for floats.

    >>> ag.bitwise_left_shift(ag.tensor([1, 3]), ag.tensor([4, 2]))
    tensor([16, 12])
    """

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
    """x >> y, which is floor(x / 2 ** y), for y from 0 to the number of bits less one.

    Raises DTypeError for floats.

    >>> ag.bitwise_right_shift(ag.tensor([16, -7]), 1)
    tensor([ 8, -4])
    """

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
    kinds = "buifsc"
    conditions = 1
    ufunc = np.where

    def body(b: Any, condition: Any, input: Any, other: Any) -> Any:
        return b.where(condition, input, other)
