"""The primitives of the scalar language: what each computes in NumPy, costs, and its derivative.

A derivative rule gets the builder `b`, the cotangent `g`, the result `y` and the operands, and
gives the cotangent of each operand (None: zero everywhere).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.ir import rare

Rule = Callable[..., Sequence[Any]]


class Primitive(NamedTuple):
    """One primitive: its NumPy function, derivative rule, cost, result kind and infix sign."""

    name: str
    arity: int
    numpy: Callable[..., Any]
    derivative: Rule
    cost: float
    result: str
    infix: str | None


PRIMITIVES: dict[str, Primitive] = {}

# The primitives whose last bits depend on who computes them. All others are exact or correctly
# rounded (remainders are exact, `rsqrt` is two rounded steps): NumPy and native code agree on them
# to the bit.
_EXPONENTIALS = ("exp", "exp2", "expm1", "log", "log2", "log1p", "pow", "erf")
_ANGLES = ("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh")
_INVERSE = ("asinh", "acosh", "atanh")
APPROXIMATE = frozenset(
    (*_EXPONENTIALS, *_ANGLES, *_INVERSE, *rare.SCIPY, *rare.OWN, *rare.POLYNOMIALS, "fma")
)
# The primitives that have no machine code: the host computes what they are part of.
HOST = frozenset(("gcd", *rare.SCIPY, *rare.OWN, *rare.POLYNOMIALS))


def _define(
    name: str,
    arity: int,
    numpy: Callable[..., Any],
    derivative: Rule,
    cost: float = 1.0,
    result: str = "same",
    infix: str | None = None,
) -> None:
    PRIMITIVES[name] = Primitive(name, arity, numpy, derivative, cost, result, infix)


def _zero(count: int) -> Rule:
    return lambda b, g, y, *operands: [None] * count


# -- NumPy functions that NumPy itself lacks ---------------------------------------------------

# erf below 1: its power series. From 1 on: 1 - exp(-x * x) * f(t) with t = (x - 3) / (x + 3), where
# f is exp(x * x) * erfc(x) as a Chebyshev series in t over x from 1 to 6.5. Errors are below 4e-16.
ERF_NEAR = [
    2 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(19)
]
ERF_FAR = [
    0.22877285266710276,
    -0.16725938628855463,
    0.027561027674861193,
    -0.003604854949872079,
    0.0003599847477973295,
    -2.475844789569211e-05,
    7.637230954072334e-07,
    4.6666507403822185e-08,
    -5.71301764703225e-09,
    -5.093583557335903e-12,
    3.069465597889745e-11,
    -5.514635742635024e-13,
    -1.8409334078067269e-13,
    4.0184553864437885e-15,
    1.2639244292404394e-15,
]
ERF_LOW, ERF_HIGH = (1 - 3) / (1 + 3), (6.5 - 3) / (6.5 + 3)


def _erf(x: Any) -> Any:
    x = np.asarray(x)
    wide = np.atleast_1d(x).astype(np.float64)
    size = np.minimum(np.abs(wide), 6.5)
    result = 1 - np.exp(-(size * size)) * _chebyshev(size)
    small = size < 1
    result[small] = _horner(size[small] ** 2, ERF_NEAR) * size[small]
    return np.copysign(result, wide).astype(x.dtype).reshape(x.shape)


def _horner(x: Any, coefficients: list[float]) -> Any:
    total = np.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total *= x
        total += c
    return total


def _chebyshev(size: Any) -> Any:
    """The series ERF_FAR by Clenshaw's recurrence."""
    t = (size - 3) / (size + 3)
    twice = 2 * (2 * t - (ERF_LOW + ERF_HIGH)) / (ERF_HIGH - ERF_LOW)
    last, total = np.zeros_like(t), np.zeros_like(t)
    for c in reversed(ERF_FAR[1:]):
        last, total = total, twice * total - last + c
    return twice * total / 2 - last + ERF_FAR[0]


def exp2(x: Any) -> Any:
    """`numpy.exp2`, of complex numbers too."""
    return np.exp(x * _LN2) if np.iscomplexobj(x) else np.exp2(x)


exp2.__wrapped__ = np.exp2  # type: ignore[attr-defined]  # numpy.exp2 of tensors is this


def sign(x: Any) -> Any:
    """`numpy.sign`, of booleans too."""
    return np.logical_and(x, x) if np.asarray(x).dtype == bool else np.sign(x)


sign.__wrapped__ = np.sign  # type: ignore[attr-defined]  # numpy.sign of tensors is this


def exponent(x: Any) -> Any:
    """The e of x = m * 2^e with 1/2 <= |m| < 1, as a float; 0 of 0 and of what isn't finite."""
    finite = np.where(np.isfinite(x), x, 0)
    return np.frexp(finite)[1].astype(np.asarray(x).dtype)


def _rsqrt(x: Any) -> Any:
    return np.reciprocal(np.sqrt(x))


def _reciprocal(x: Any) -> Any:
    return np.true_divide(np.asarray(x).dtype.type(1), x)


# -- rules -------------------------------------------------------------------------------------


def _extreme(name: str) -> Rule:
    """Derivative of max and min: equal operands share it; beside a NaN both take it."""

    def rule(b: Any, g: Any, y: Any, x0: Any, x1: Any) -> Sequence[Any]:
        loses, wins = (b.lt, b.gt) if name == "max" else (b.gt, b.lt)
        shared = b.where(b.eq(x0, x1), g * 0.5, g)
        return [b.where(loses(x0, x1), 0, shared), b.where(wins(x0, x1), 0, shared)]

    return rule


def power(x: Any, y: Any) -> Any:
    """`numpy.power`, and for integers to negative powers what machines give: 0 but for 1 and -1."""
    if np.result_type(x, y).kind != "i" or not np.any(np.less(y, 0)):
        return np.power(x, y)
    sign = np.where(np.equal(np.mod(y, 2), 1), x, 1)
    small = np.where(np.abs(x) == 1, sign, 0)
    return np.where(np.less(y, 0), small, np.power(x, np.maximum(y, 0))).astype(small.dtype)


power.__wrapped__ = np.power  # type: ignore[attr-defined]  # numpy.power of tensors is this


def _pow_rule(b: Any, g: Any, y: Any, x: Any, n: Any) -> Sequence[Any]:
    if n.op == "const":
        return [_const_pow(b, g, x, n.value), None]
    to_base = b.where(b.eq(n, 0), 0, g * n * b.pow(x, n - 1))
    to_exponent = b.where(b.eq(x, 0) & b.ge(n, 0), 0, g * y * b.log(x))
    return [to_base, to_exponent]


def _const_pow(b: Any, g: Any, x: Any, n: float) -> Any:
    if n == 0:
        return None
    if n == 1:
        return g
    return g * n * (x if n == 2 else b.pow(x, n - 1))


def _angle_rule(b: Any, g: Any, y: Any, x0: Any, x1: Any) -> Sequence[Any]:
    """The origin, which has no angle, has the slope 0."""
    square = b.where(b.eq(x0, 0) & b.eq(x1, 0), 1, x0 * x0 + x1 * x1)
    return [g * x1 / square, -g * x0 / square]


def _copysign_rule(b: Any, g: Any, y: Any, x: Any, sign: Any) -> Sequence[Any]:
    """A number keeps its slope, changed by the factor that changed its sign; 0 has none."""
    return [b.where(b.eq(x, 0), 0, g * b.copysign(1, x) * b.copysign(1, sign)), None]


_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
_LN2 = math.log(2)

_function: Callable[..., Any]
_rule: Rule
_cost: float
_infix: str | None

for _name, _arity, _function, _rule, _cost in (
    ("neg", 1, np.negative, lambda b, g, y, x: [-g], 1),
    ("abs", 1, np.abs, lambda b, g, y, x: [g * b.sign(x)], 1),
    ("sign", 1, np.sign, _zero(1), 2),
    ("floor", 1, np.floor, _zero(1), 1),
    ("ceil", 1, np.ceil, _zero(1), 1),
    ("trunc", 1, np.trunc, _zero(1), 1),
    ("round", 1, np.rint, _zero(1), 1),
    ("sqrt", 1, np.sqrt, lambda b, g, y, x: [g / (2 * y)], 6),
    ("rsqrt", 1, _rsqrt, lambda b, g, y, x: [g * -0.5 * (y * y * y)], 8),
    ("reciprocal", 1, _reciprocal, lambda b, g, y, x: [-g * (y * y)], 5),
    ("exp", 1, np.exp, lambda b, g, y, x: [g * y], 12),
    ("exp2", 1, exp2, lambda b, g, y, x: [g * y * _LN2], 12),
    ("expm1", 1, np.expm1, lambda b, g, y, x: [g * (y + 1)], 16),
    ("log", 1, np.log, lambda b, g, y, x: [g / x], 16),
    ("log2", 1, np.log2, lambda b, g, y, x: [g / (x * _LN2)], 16),
    ("log1p", 1, np.log1p, lambda b, g, y, x: [g / (x + 1)], 18),
    ("sin", 1, np.sin, lambda b, g, y, x: [g * b.cos(x)], 14),
    ("cos", 1, np.cos, lambda b, g, y, x: [-g * b.sin(x)], 14),
    ("tan", 1, np.tan, lambda b, g, y, x: [g * (1 + y * y)], 20),
    ("asin", 1, np.arcsin, lambda b, g, y, x: [g / b.sqrt(1 - x * x)], 20),
    ("acos", 1, np.arccos, lambda b, g, y, x: [-g / b.sqrt(1 - x * x)], 20),
    ("atan", 1, np.arctan, lambda b, g, y, x: [g / (1 + x * x)], 18),
    ("sinh", 1, np.sinh, lambda b, g, y, x: [g * b.cosh(x)], 20),
    ("cosh", 1, np.cosh, lambda b, g, y, x: [g * b.sinh(x)], 20),
    ("asinh", 1, np.arcsinh, lambda b, g, y, x: [g / b.sqrt(x * x + 1)], 24),
    ("acosh", 1, np.arccosh, lambda b, g, y, x: [g / (b.sqrt(x - 1) * b.sqrt(x + 1))], 24),
    ("atanh", 1, np.arctanh, lambda b, g, y, x: [g / ((1 - x) * (1 + x))], 20),
    ("exponent", 1, exponent, _zero(1), 4),
    ("tanh", 1, np.tanh, lambda b, g, y, x: [g * (1 - y * y)], 16),
    ("erf", 1, _erf, lambda b, g, y, x: [g * (_TWO_OVER_SQRT_PI * b.exp(-(x * x)))], 20),
):
    _define(_name, _arity, _function, _rule, _cost)

for _name, _function, _rule, _cost, _infix in (
    ("add", np.add, lambda b, g, y, x0, x1: [g, g], 1, "+"),
    ("sub", np.subtract, lambda b, g, y, x0, x1: [g, -g], 1, "-"),
    ("mul", np.multiply, lambda b, g, y, x0, x1: [g * x1, g * x0], 1, "*"),
    ("div", np.true_divide, lambda b, g, y, x0, x1: [g / x1, -g * (y / x1)], 5, "/"),
    ("floordiv", np.floor_divide, _zero(2), 8, "//"),
    ("mod", np.remainder, lambda b, g, y, x0, x1: [g, -g * b.floor(x0 / x1)], 8, "%"),
    ("fmod", np.fmod, lambda b, g, y, x0, x1: [g, -g * b.trunc(x0 / x1)], 8, None),
    ("pow", power, _pow_rule, 30, "**"),
    (
        "atan2",
        np.arctan2,
        _angle_rule,
        24,
        None,
    ),
    ("copysign", np.copysign, _copysign_rule, 2, None),
    ("gcd", np.gcd, _zero(2), 200, None),
    ("max", np.maximum, _extreme("max"), 1, None),
    ("min", np.minimum, _extreme("min"), 1, None),
    ("and", np.bitwise_and, _zero(2), 1, "&"),
    ("or", np.bitwise_or, _zero(2), 1, "|"),
    ("xor", np.bitwise_xor, _zero(2), 1, "^"),
    ("shl", np.left_shift, _zero(2), 1, "<<"),
    ("shr", np.right_shift, _zero(2), 1, ">>"),
):
    _define(_name, 2, _function, _rule, _cost, infix=_infix)

for _name, _function, _infix in (
    ("lt", np.less, "<"),
    ("le", np.less_equal, "<="),
    ("gt", np.greater, ">"),
    ("ge", np.greater_equal, ">="),
    ("eq", np.equal, "=="),
    ("ne", np.not_equal, "!="),
):
    _define(_name, 2, _function, _zero(2), 1, "bool", _infix)

for _name, (_arity, _function) in (*rare.SCIPY.items(), *rare.OWN.items()):
    _define(_name, _arity, _function, _zero(_arity), 400)
for _name, _function in rare.POLYNOMIALS.items():
    _define(_name, 2, _function, _zero(2), 400)

_define("not", 1, np.invert, _zero(1))
_define("conj", 1, np.conj, lambda b, g, y, x: [b.conj(g)])
_define("isnan", 1, np.isnan, _zero(1), 1, "bool")
_define("isinf", 1, np.isinf, _zero(1), 1, "bool")
_define(
    "where",
    3,
    np.where,
    lambda b, g, y, c, x0, x1: [None, b.where(c, g, 0), b.where(c, 0, g)],
)
_define(
    "fma",
    3,
    lambda x0, x1, x2: x0 * x1 + x2,
    lambda b, g, y, x0, x1, x2: [g * x1, g * x0, g],
)
