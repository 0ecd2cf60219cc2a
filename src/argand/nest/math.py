"""Elementary functions as polynomials, for float32 and float64 and any number of lanes.

Each function is written once with the builder's calls, in `math_exp`, `math_trig` or
`math_inverse`; `MATH` has them by the primitive's name. Special values follow NumPy.
tests/codegen/test_vecmath.py has the largest errors; the polynomials are in `math_tables`.

Ranges are reduced by Cody and Waite's splitting of a constant into parts, products with which are
exact ("Software Manual for the Elementary Functions", 1980); sines of huge numbers by Payne and
Hanek's ("Radian reduction for trigonometric functions", 1983).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from argand.nest import math_exp, math_inverse, math_trig, math_value
from argand.nest.builder import NestBuilder, Reg
from argand.nest.math_value import VectorValue


def _of_registers(function: Callable[..., VectorValue]) -> Callable[..., Reg]:
    def on_registers(b: NestBuilder, *args: Reg) -> Reg:
        return function(*(VectorValue(b, reg) for reg in args)).reg

    return on_registers


_FUNCTIONS: Final = (
    math_exp.exp,
    math_exp.exp2,
    math_exp.expm1,
    math_exp.log,
    math_exp.log2,
    math_exp.log1p,
    math_trig.sin,
    math_trig.cos,
    math_trig.tan,
    math_trig.asin,
    math_trig.acos,
    math_trig.atan,
    math_exp.sinh,
    math_exp.cosh,
    math_exp.tanh,
    math_inverse.asinh,
    math_inverse.acosh,
    math_inverse.atanh,
    math_exp.erf,
    math_exp.pow,
    math_trig.atan2,
    math_value.copysign,
    math_value.exponent,
)

MATH: Final = {function.__name__: _of_registers(function) for function in _FUNCTIONS}
"""How each elementary function is computed: (builder, operands…) -> result."""
