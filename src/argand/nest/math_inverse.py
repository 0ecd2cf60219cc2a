"""The inverse hyperbolic functions: each the logarithm of 1 and a positive number."""

from __future__ import annotations

import math
from typing import Final

from argand.nest.math_exp import log1p
from argand.nest.math_value import MANTISSA, VectorValue, copysign

_LN2: Final = 0.6931471805599453


def _log_of_twice(size: VectorValue, beyond: VectorValue) -> VectorValue:
    """log(1 + beyond), or log(2 size) where that is the same and `beyond` might overflow."""
    huge = size > 2.0 ** (MANTISSA[size.ty.elem] + 2)
    extra = huge.pick(size.const(_LN2), 0.0)
    return log1p(huge.pick(size, beyond)) + extra


def asinh(x: VectorValue) -> VectorValue:
    """The inverse hyperbolic sine of x."""
    size = abs(x)
    square = size * size
    beyond = size + square / ((square + 1.0).of("sqrt") + 1.0)
    tiny = size < 2.0 ** -(MANTISSA[x.ty.elem] // 2 + 1)
    return copysign(tiny.pick(size, _log_of_twice(size, beyond)), x)


def acosh(x: VectorValue) -> VectorValue:
    """The inverse hyperbolic cosine of x."""
    above = x - 1.0
    beyond = above + (above * (above + 2.0)).of("sqrt")
    return (x >= 1.0).pick(_log_of_twice(x, beyond), math.nan)


def atanh(x: VectorValue) -> VectorValue:
    """The inverse hyperbolic tangent of x."""
    size = abs(x)
    return copysign(log1p((size + size) / (1.0 - size)) * 0.5, x)
