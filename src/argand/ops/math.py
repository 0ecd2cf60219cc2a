"""Elementwise functions of analysis. Integers are computed in the default float dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.ir.elementwise import Elementwise
from argand.ir.samples import Sample, T, Uniform


class _Function(Elementwise):
    """A function that gives floats."""

    abstract = True
    promotion = "float"


class Sqrt(_Function):
    """The square root; NaN below 0."""

    samples = Uniform(0.2, 4)
    ufunc = np.sqrt

    def body(b: Any, x: Any) -> Any:
        return b.sqrt(x)


class Rsqrt(_Function):
    """1 / sqrt(x)."""

    samples = Uniform(0.2, 4)

    def body(b: Any, x: Any) -> Any:
        return b.rsqrt(x)


class Exp(_Function):
    """e ** x."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "complex64")
    ufunc = np.exp

    def body(b: Any, x: Any) -> Any:
        return b.exp(x)


class Exp2(_Function):
    """2 ** x."""

    samples = Uniform(-3, 3)
    kinds = "buif"
    ufunc = np.exp2

    def body(b: Any, x: Any) -> Any:
        return b.exp2(x)


class Expm1(_Function):
    """exp(x) - 1, accurate near 0."""

    samples = Uniform(-3, 3)
    kinds = "buif"
    ufunc = np.expm1

    def body(b: Any, x: Any) -> Any:
        return b.expm1(x)


class Log(_Function):
    """The natural logarithm: minus infinity at 0, NaN below."""

    samples = Uniform(0.2, 4)
    ufunc = np.log

    def body(b: Any, x: Any) -> Any:
        return b.log(x)


class Log2(_Function):
    """The logarithm to the base 2."""

    samples = Uniform(0.2, 4)
    kinds = "buif"
    ufunc = np.log2

    def body(b: Any, x: Any) -> Any:
        return b.log2(x)


class Log10(_Function):
    """The logarithm to the base 10."""

    samples = Uniform(0.2, 4)
    kinds = "buif"
    ufunc = np.log10

    def body(b: Any, x: Any) -> Any:
        return b.log(x) * (1 / math.log(10))


class Log1p(_Function):
    """log(1 + x), accurate near 0."""

    samples = Uniform(-0.7, 3)
    kinds = "buif"
    ufunc = np.log1p

    def body(b: Any, x: Any) -> Any:
        return b.log1p(x)


class Sin(_Function):
    """The sine of x in radians."""

    samples = Uniform(-4, 4)
    dtypes = ("float32", "float64", "complex64")
    ufunc = np.sin

    def body(b: Any, x: Any) -> Any:
        return b.sin(x)


class Cos(_Function):
    """The cosine of x in radians."""

    samples = Uniform(-4, 4)
    ufunc = np.cos

    def body(b: Any, x: Any) -> Any:
        return b.cos(x)


class Tan(_Function):
    """The tangent of x in radians."""

    samples = Uniform(-1.2, 1.2)
    tolerance = {"float32": 1e-5}
    ufunc = np.tan

    def body(b: Any, x: Any) -> Any:
        return b.tan(x)


class Asin(_Function):
    """The arc sine; NaN outside [-1, 1]."""

    samples = Uniform(-0.9, 0.9)
    kinds = "buif"
    ufunc = np.arcsin

    def body(b: Any, x: Any) -> Any:
        return b.asin(x)


class Acos(_Function):
    """The arc cosine; NaN outside [-1, 1]."""

    samples = Uniform(-0.9, 0.9)
    kinds = "buif"
    ufunc = np.arccos

    def body(b: Any, x: Any) -> Any:
        return b.acos(x)


class Atan(_Function):
    """The arc tangent."""

    samples = Uniform(-3, 3)
    kinds = "buif"
    ufunc = np.arctan

    def body(b: Any, x: Any) -> Any:
        return b.atan(x)


class Sinh(_Function):
    """The hyperbolic sine."""

    samples = Uniform(-3, 3)
    kinds = "buif"
    ufunc = np.sinh

    def body(b: Any, x: Any) -> Any:
        return b.sinh(x)


class Cosh(_Function):
    """The hyperbolic cosine."""

    samples = Uniform(-3, 3)
    kinds = "buif"
    ufunc = np.cosh

    def body(b: Any, x: Any) -> Any:
        return b.cosh(x)


class Tanh(_Function):
    """The hyperbolic tangent."""

    samples = Uniform(-3, 3)
    ufunc = np.tanh

    def body(b: Any, x: Any) -> Any:
        return b.tanh(x)


class Erf(_Function):
    """The error function 2 / sqrt(pi) * integral of exp(-t * t) from 0 to x."""

    samples = Uniform(-3, 3)
    kinds = "buif"

    def body(b: Any, x: Any) -> Any:
        return b.erf(x)


class Atan2(_Function):
    """The angle of the point (y, x) = (input, other), in (-pi, pi]."""

    samples = (
        Sample(T((2, 3), 0.3, 2.0), T((2, 3))),
        Sample(T((3, 1), -2.0, -0.3), T((4,))),
        Sample(T((), 0.3, 2.0), T(())),
        Sample(T((0,)), T((0,))),
    )
    kinds = "buif"
    ufunc = np.arctan2

    def body(b: Any, input: Any, other: Any) -> Any:
        return b.atan2(input, other)
