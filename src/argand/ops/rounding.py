"""Rounding to whole numbers. Integers stay as they are."""

from __future__ import annotations

from typing import Any

from argand.ir.elementwise import Elementwise
from argand.ir.samples import Uniform


class Floor(Elementwise):
    """The largest whole number <= x, in the dtype of x; the gradient is 0.

    >>> ag.floor(ag.tensor([-1.5, 0.2, 2.0]))
    tensor([-2.,  0.,  2.])
    """

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.floor(x) if x.dtype.is_inexact else x


class Ceil(Elementwise):
    """The smallest whole number >= x, in the dtype of x; the gradient is 0.

    >>> ag.ceil(ag.tensor([-1.5, 0.2, 2.0]))
    tensor([-1.,  1.,  2.])
    """

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.ceil(x) if x.dtype.is_inexact else x


class Trunc(Elementwise):
    """x without its fraction: rounded towards 0, in the dtype of x; the gradient is 0.

    >>> ag.trunc(ag.tensor([-1.7, 0.2, 2.9]))
    tensor([-1.,  0.,  2.])
    """

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.trunc(x) if x.dtype.is_inexact else x


class Round(Elementwise):
    """The nearest whole number, halves to the even one; its gradient is 0."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.round(x) if x.dtype.is_inexact else x
