"""Elementwise functions of analysis. Integers are computed in the default float dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.ir.elementwise import Elementwise
from argand.ir.primitives import exp2
from argand.ir.samples import Sample, T, Uniform


class _Function(Elementwise):
    """A function that gives floats."""

    abstract = True
    promotion = "float"


class Sqrt(_Function):
    """sqrt(x), NaN below 0; the gradient 1 / (2 sqrt(x)) is infinite at 0.

    >>> ag.sqrt(ag.tensor([4.0, 2.0, -1.0]))
    tensor([2.0000, 1.4142,    nan])
    """

    samples = Uniform(0.2, 4)
    ufunc = np.sqrt

    def body(b: Any, x: Any) -> Any:
        return b.sqrt(x)


class Rsqrt(_Function):
    """1 / sqrt(x): infinity at 0, NaN below.

    >>> ag.rsqrt(ag.tensor([4.0, 0.25, 0.0]))
    tensor([0.5000, 2.0000,    inf])
    """

    samples = Uniform(0.2, 4)

    def body(b: Any, x: Any) -> Any:
        return b.rsqrt(x)


class Exp(_Function):
    """e ** x; infinity where the dtype can't hold it.

    >>> ag.exp(ag.tensor([0.0, 1.0, -1.0]))
    tensor([1.0000, 2.7183, 0.3679])
    """

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "complex64")
    ufunc = np.exp

    def body(b: Any, x: Any) -> Any:
        return b.exp(x)


class Exp2(_Function):
    """2 ** x; infinity where the dtype can't hold it.

    >>> ag.exp2(ag.tensor([0.0, 3.0, -1.0]))
    tensor([1.0000, 8.0000, 0.5000])
    """

    samples = Uniform(-3, 3)
    ufunc = staticmethod(exp2)

    def body(b: Any, x: Any) -> Any:
        return b.exp2(x)


class Expm1(_Function):
    """exp(x) - 1, accurate near 0 where the subtraction would lose digits.

    >>> ag.expm1(ag.tensor([1e-10, 1.0]))
    tensor([1.0000e-10, 1.7183e+00])
    """

    samples = Uniform(-3, 3)
    ufunc = np.expm1

    def body(b: Any, x: Any) -> Any:
        return b.expm1(x)


class Log(_Function):
    """ln(x), the natural logarithm: minus infinity at 0, NaN below.

    >>> ag.log(ag.tensor([1.0, 10.0, 0.0]))
    tensor([0.0000, 2.3026,   -inf])
    """

    samples = Uniform(0.2, 4)
    ufunc = np.log

    def body(b: Any, x: Any) -> Any:
        return b.log(x)


class Log2(_Function):
    """The logarithm of x to the base 2: minus infinity at 0, NaN below.

    >>> ag.log2(ag.tensor([8.0, 3.0]))
    tensor([3.0000, 1.5850])
    """

    samples = Uniform(0.2, 4)
    ufunc = np.log2

    def body(b: Any, x: Any) -> Any:
        return b.log2(x)


class Log10(_Function):
    """The logarithm of x to the base 10: minus infinity at 0, NaN below.

    >>> ag.log10(ag.tensor([1000.0, 2.0]))
    tensor([3.0000, 0.3010])
    """

    samples = Uniform(0.2, 4)
    ufunc = np.log10

    def body(b: Any, x: Any) -> Any:
        return b.log(x) * (1 / math.log(10))


class Log1p(_Function):
    """ln(1 + x), accurate near 0: minus infinity at -1, NaN below.

    >>> ag.log1p(ag.tensor([1e-10, 1.0]))
    tensor([1.0000e-10, 6.9315e-01])
    """

    samples = Uniform(-0.7, 3)
    ufunc = np.log1p

    def body(b: Any, x: Any) -> Any:
        return b.log1p(x)


class Sin(_Function):
    """The sine of x in radians.

    >>> ag.sin(ag.tensor([0.0, ag.pi / 6, ag.pi / 2]))
    tensor([0.0000, 0.5000, 1.0000])
    """

    samples = Uniform(-4, 4)
    dtypes = ("float32", "float64", "complex64")
    ufunc = np.sin

    def body(b: Any, x: Any) -> Any:
        return b.sin(x)


class Cos(_Function):
    """The cosine of x in radians.

    >>> ag.cos(ag.tensor([0.0, ag.pi / 3, ag.pi]))
    tensor([ 1.0000,  0.5000, -1.0000])
    """

    samples = Uniform(-4, 4)
    ufunc = np.cos

    def body(b: Any, x: Any) -> Any:
        return b.cos(x)


class Tan(_Function):
    """sin(x) / cos(x), the tangent of x in radians.

    >>> ag.tan(ag.tensor([0.0, 1.0]))
    tensor([0.0000, 1.5574])
    """

    samples = Uniform(-1.2, 1.2)
    tolerance = {"float32": 1e-5}
    ufunc = np.tan

    def body(b: Any, x: Any) -> Any:
        return b.tan(x)


class Asin(_Function):
    """The angle in [-pi/2, pi/2] whose sine is x; NaN outside [-1, 1].

    >>> ag.asin(ag.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.5236, 1.5708])
    """

    samples = Uniform(-0.9, 0.9)
    ufunc = np.arcsin

    def body(b: Any, x: Any) -> Any:
        return b.asin(x)


class Acos(_Function):
    """The angle in [0, pi] whose cosine is x; NaN outside [-1, 1].

    >>> ag.acos(ag.tensor([1.0, 0.5, -1.0]))
    tensor([0.0000, 1.0472, 3.1416])
    """

    samples = Uniform(-0.9, 0.9)
    ufunc = np.arccos

    def body(b: Any, x: Any) -> Any:
        return b.acos(x)


class Atan(_Function):
    """The angle in [-pi/2, pi/2] whose tangent is x; of y / x with all four quadrants: `atan2`.

    >>> ag.atan(ag.tensor([0.0, 1.0, ag.inf]))
    tensor([0.0000, 0.7854, 1.5708])
    """

    samples = Uniform(-3, 3)
    ufunc = np.arctan

    def body(b: Any, x: Any) -> Any:
        return b.atan(x)


class Sinh(_Function):
    """(exp(x) - exp(-x)) / 2, the hyperbolic sine.

    >>> ag.sinh(ag.tensor([0.0, 1.0]))
    tensor([0.0000, 1.1752])
    """

    samples = Uniform(-3, 3)
    ufunc = np.sinh

    def body(b: Any, x: Any) -> Any:
        return b.sinh(x)


class Cosh(_Function):
    """(exp(x) + exp(-x)) / 2, the hyperbolic cosine.

    >>> ag.cosh(ag.tensor([0.0, 1.0]))
    tensor([1.0000, 1.5431])
    """

    samples = Uniform(-3, 3)
    ufunc = np.cosh

    def body(b: Any, x: Any) -> Any:
        return b.cosh(x)


class Tanh(_Function):
    """sinh(x) / cosh(x), the hyperbolic tangent, in [-1, 1]; the gradient is 1 - tanh(x)^2.

    >>> ag.tanh(ag.tensor([0.0, 0.5, -20.0]))
    tensor([ 0.0000,  0.4621, -1.0000])
    """

    samples = Uniform(-3, 3)
    ufunc = np.tanh

    def body(b: Any, x: Any) -> Any:
        return b.tanh(x)


class Asinh(_Function):
    """The number whose hyperbolic sine is x: ln(x + sqrt(x^2 + 1)).

    >>> ag.asinh(ag.tensor([0.0, 1.0, -1e30]))
    tensor([  0.0000,   0.8814, -69.7707])
    """

    samples = Uniform(-3, 3)
    ufunc = np.arcsinh

    def body(b: Any, x: Any) -> Any:
        return b.asinh(x)


class Acosh(_Function):
    """The number from 0 on whose hyperbolic cosine is x; NaN below 1.

    >>> ag.acosh(ag.tensor([1.0, 2.0, 0.5]))
    tensor([0.0000, 1.3170,    nan])
    """

    samples = Uniform(1.2, 4)
    ufunc = np.arccosh

    def body(b: Any, x: Any) -> Any:
        return b.acosh(x)


class Atanh(_Function):
    """The number whose hyperbolic tangent is x: infinite at -1 and 1, NaN beyond.

    >>> ag.atanh(ag.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.5493,    inf])
    """

    samples = Uniform(-0.9, 0.9)
    ufunc = np.arctanh

    def body(b: Any, x: Any) -> Any:
        return b.atanh(x)


class Erf(_Function):
    """2 / sqrt(pi) * the integral of exp(-t^2) from 0 to x, the error function, in [-1, 1].

    >>> ag.erf(ag.tensor([0.0, 0.5, -10.0]))
    tensor([ 0.0000,  0.5205, -1.0000])
    """

    samples = Uniform(-3, 3)
    kinds = "buif"

    def body(b: Any, x: Any) -> Any:
        return b.erf(x)


class Atan2(_Function):
    """The angle of the point (x=other, y=input) in radians, in [-pi, pi], as C's ``atan2(y, x)``.

    >>> ag.atan2(ag.tensor([1.0, 0.0, -1.0]), ag.tensor([1.0, -1.0, 0.0]))
    tensor([ 0.7854,  3.1416, -1.5708])
    """

    tensors = 2
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
