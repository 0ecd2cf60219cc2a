"""Division, and what is left of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import DType
from argand.base.errors import DivisionByZeroError
from argand.ir.elementwise import Elementwise, common_dtype, is_number, lifted, rounded_once
from argand.ir.families import Checked
from argand.ir.op import ops
from argand.ir.samples import ErrorSample, Sample, T

_AWAY_FROM_ZERO = (
    Sample(T((2, 3)), T((2, 3), 0.5, 2.0)),
    Sample(T((3, 1)), T((4,), -2.0, -0.5)),
    Sample(T(()), T((), 0.5, 2.0)),
    Sample(T((0, 3)), T((3,), 0.5, 2.0)),
    Sample(T((5,)), 1.75),
)


class Div(Elementwise):
    """x / y, element by element; integers are divided as floats of the default dtype.

    With `rounding_mode="floor"` or `"trunc"` the quotient is rounded down or towards 0, and
    integers stay integers. Division of floats by 0 gives an infinity, or NaN for 0 / 0. Raises
    ValueError for another `rounding_mode`. Follows `torch.div`.

    >>> ag.div(ag.tensor([7, -7]), 2)
    tensor([ 3.5000, -3.5000])
    >>> ag.div(ag.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """

    samples = (*_AWAY_FROM_ZERO, Sample(2.0, T((2, 3), 0.5, 2.0)))
    error_samples = (ErrorSample(RuntimeError, "div: shapes (2,) and (3,)", T((2,)), T((3,))),)
    dtypes = ("float32", "float64", "int64", "complex64")
    promotion = "float"
    ufunc = np.true_divide
    takes_numbers = True
    wide_numbers = True

    def body(b: Any, x: Any, y: Any) -> Any:
        return x / y

    def neutral(self, dtype: DType) -> Any:
        return 1

    def apply(self, x: Any, y: Any, *, rounding_mode: str | None = None) -> Any:
        if rounding_mode == "floor":
            return ops.floor_divide(x, y)
        if rounding_mode == "trunc":
            dtype = common_dtype(x, y)
            if dtype.is_inexact:
                quotient = super().apply
                if is_number(y) or not y.shape:
                    return rounded_once(lambda x, y: ops.trunc(quotient(x, y)), x, y)
                return ops.trunc(quotient(x, y))
            x = int(x) if is_number(x) else ops.cast(x, dtype)
            return ops.floor_divide(ops.sub(x, ops.fmod(x, y)), y)
        if rounding_mode is not None:
            raise ValueError(
                f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}"
            )
        return super().apply(x, y)


class Divisor(Checked):
    """Integers that are to divide others: the operand; DivisionByZeroError where one is 0."""

    samples = tuple(Sample(T(shape, 1, 5, "int64")) for shape in ((2, 3), (), (0, 2)))
    error_samples = (
        ErrorSample(ZeroDivisionError, "integers can't be divided by 0", T((3,), 0, 0, "int64")),
    )
    dtypes = ("int64", "uint8")

    def prepare(self, x: Any) -> Any:
        return (lifted(x),), {}

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        if not np.all(x):
            raise _by_zero()
        return np.array(x)

    def refused(b: Any, x: Any) -> Any:
        return b.eq(x, 0)


def _by_zero() -> DivisionByZeroError:
    return DivisionByZeroError("integers can't be divided by 0; floats give infinities")


class _Division(Elementwise):
    """A division that leaves integers integers."""

    abstract = True
    checks_values = True
    samples = _AWAY_FROM_ZERO
    error_samples = (
        ErrorSample(
            ZeroDivisionError, "divided by 0", T((2,), 1, 5, "int64"), T((2,), 0, 0, "int64")
        ),
        ErrorSample(ZeroDivisionError, "divided by 0", T((2,), 1, 5, "int64"), 0),
    )
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def apply(self, x: Any, y: Any) -> Any:
        x, y = (v if is_number(v) else lifted(v) for v in (x, y))
        if common_dtype(x, y).kind in "iu":
            if not is_number(y):
                y = ops.divisor(y)
            elif y == 0:  # of a symbolic size, a fact that the program depends on
                raise _by_zero()
        return super().apply(x, y)


class FloorDivide(_Division):
    """floor(x / y): the quotient rounded towards minus infinity, as Python's ``//``.

    Integers stay integers. Raises DivisionByZeroError, a RuntimeError and a ZeroDivisionError, for
    one divided by 0. Follows `torch.floor_divide`.

    >>> ag.floor_divide(ag.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """

    ufunc = np.floor_divide
    takes_numbers = True
    wide_numbers = True

    def body(b: Any, x: Any, y: Any) -> Any:
        return x // y


class Remainder(_Division):
    """x - y * floor(x / y), which has the sign of y, as Python's ``%`` and `torch.remainder`.

    A float modulo 0 is NaN; an integer modulo 0 a DivisionByZeroError, as for `floor_divide`.

    >>> ag.remainder(ag.tensor([7, -7]), 3)
    tensor([1, 2])
    """

    ufunc = np.remainder

    def body(b: Any, x: Any, y: Any) -> Any:
        return x % y


class Fmod(_Division):
    """x - y * trunc(x / y), which has the sign of x, as C's ``fmod`` and `torch.fmod`.

    A float modulo 0 is NaN; an integer modulo 0 a DivisionByZeroError, as for `floor_divide`.

    >>> ag.fmod(ag.tensor([7, -7]), 3)
    tensor([ 1, -1])
    """

    tensors = 1
    ufunc = np.fmod

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.fmod(x, y)
