"""Elementary functions as polynomials, for float32 and float64 and any number of lanes.

Each function is written once with the builder's calls, in `math_exp` or `math_trig`; `MATH` has
them by the primitive's name. Special values follow NumPy. `ULP` has the largest errors. The
polynomials are in `math_tables`.

Ranges are reduced by Cody and Waite's splitting of a constant into parts, products with which are
exact ("Software Manual for the Elementary Functions", 1980); sines of huge numbers by Payne and
Hanek's ("Radian reduction for trigonometric functions", 1983).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from argand.nest import math_exp, math_trig
from argand.nest.builder import NestBuilder, Reg
from argand.nest.math_value import VectorValue


def _of_registers(function: Callable[..., VectorValue]) -> Callable[..., Reg]:
    def on_registers(b: NestBuilder, *args: Reg) -> Reg:
        return function(*(VectorValue(b, reg) for reg in args)).reg

    return on_registers


MATH: Final[dict[str, Callable[..., Reg]]] = {
    "exp": _of_registers(math_exp.exp),
    "exp2": _of_registers(math_exp.exp2),
    "expm1": _of_registers(math_exp.expm1),
    "log": _of_registers(math_exp.log),
    "log2": _of_registers(math_exp.log2),
    "log1p": _of_registers(math_exp.log1p),
    "sin": _of_registers(math_trig.sin),
    "cos": _of_registers(math_trig.cos),
    "tan": _of_registers(math_trig.tan),
    "asin": _of_registers(math_trig.asin),
    "acos": _of_registers(math_trig.acos),
    "atan": _of_registers(math_trig.atan),
    "sinh": _of_registers(math_exp.sinh),
    "cosh": _of_registers(math_exp.cosh),
    "tanh": _of_registers(math_exp.tanh),
    "erf": _of_registers(math_exp.erf),
    "pow": _of_registers(math_exp.pow),
    "atan2": _of_registers(math_trig.atan2),
}
"""How each elementary function is computed: (builder, operands…) -> result."""

ULP: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "exp": {"float32": (1.25, 0.95), "float64": (1.25, 0.95)},
    "exp2": {"float32": (1.16, 0.9), "float64": (1.2, 0.95)},
    "expm1": {"float32": (1.4, 1.25), "float64": (1.4, 1.25)},
    "log": {"float32": (0.85, 0.85), "float64": (0.85, 0.85)},
    "log2": {"float32": (0.95, 0.95), "float64": (1.35, 1.35)},
    "log1p": {"float32": (1.45, 1.45), "float64": (1.45, 1.45)},
    "sin": {"float32": (1.6, 1.6), "float64": (2.8, 2.8)},
    "cos": {"float32": (1.6, 1.6), "float64": (2.8, 2.8)},
    "tan": {"float32": (0.51, 0.51), "float64": (4.7, 4.7)},
    "asin": {"float32": (2.15, 2.15), "float64": (2.15, 2.15)},
    "acos": {"float32": (1.15, 1.1), "float64": (1.15, 1.15)},
    "atan": {"float32": (2.15, 2.15), "float64": (2.3, 2.3)},
    "sinh": {"float32": (1.9, 1.9), "float64": (1.9, 1.9)},
    "cosh": {"float32": (1.7, 1.4), "float64": (1.7, 1.4)},
    "tanh": {"float32": (2.55, 2.45), "float64": (2.3, 2.3)},
    "erf": {"float32": (7.0, 5.8), "float64": (1.9, 1.7)},
    "pow": {"float32": (0.51, 0.51), "float64": (1.6, 1.4)},
    "atan2": {"float32": (2.3, 2.3), "float64": (2.5, 2.5)},
}
"""The largest error of each function in units in the last place: on machines that round a product
and a sum apart, and on those that fuse them (0.51: float64's result, rounded).

Where the roundings on the way are few, what they can add up to: of exp 0.5 for the last, 0.17 for
the one before, 0.18 for the reduced argument and 0.1 for the polynomial; of acos above 1/2, where
it is off the most, 0.5, 0.58 for the square root and 0.02 for the polynomial (0.07 where nothing is
fused). The others have a margin over what was measured: a sixth of all float32 numbers (all of them
where acos, expm1, log2, sinh and tanh are off the most), 10^7 to 10^8 float64 numbers of every
magnitude, and where reduced ranges meet. tests/codegen/test_vecmath.py holds them.
"""
