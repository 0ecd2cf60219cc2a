"""Scalar formulas as ONNX's operators: a translation for each primitive of `ir/primitives.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.base.conversion import converted
from argand.base.dtype import DType, as_dtype, bool_, compute_dtype
from argand.ir.op import Literal
from argand.ir.primitives import ERF_FAR, ERF_HIGH, ERF_LOW, ERF_NEAR
from argand.ir.scalar import Expr, topological
from argand.ir.translation import UntranslatableError
from argand.onnx.refs import Ref

Rule = Callable[..., Any]

# Of 16-bit operands these give the same in 16 bits as in float32, rounded.
_ROUNDED_ONCE = {
    *("add", "sub", "mul", "div", "neg", "abs", "sign", "floor", "ceil", "trunc", "round", "sqrt"),
    *("reciprocal", "max", "min", "where", "lt", "le", "gt", "ge", "eq", "ne", "isnan", "isinf"),
}


def formula(g: Any, expression: Expr, inputs: Sequence[Any]) -> Any:
    """A scalar expression of inputs, element by element."""
    narrow = _shortened(expression, inputs)
    if narrow is not None:
        return narrow(g)
    done: dict[Expr, Any] = {}
    for e in topological(expression):
        if e.op == "input":
            done[e] = g.ref(inputs[e.value])
        elif e.op == "const":
            done[e] = g.constant(converted(e.value, e.dtype))
        elif e.op == "cast":
            done[e] = g.cast(done[e.args[0]], e.dtype)
        else:
            done[e] = primitive(g, e.op, *(done[a] for a in e.args))
    found: Ref = done[expression]
    return found


def primitive(g: Any, name: str, *args: Any) -> Any:
    """A primitive of values."""
    rule = RULES.get(name)
    if rule is None:
        raise UntranslatableError(f"ONNX has no operator for {name.replace('_', ' ')}")
    found: Ref = g.op(rule, *args) if isinstance(rule, str) else rule(g, *args)
    return found


def _shortened(e: Expr, inputs: Sequence[Any]) -> Callable[[Any], Ref] | None:
    """How one step on 16-bit floats, which is computed in float32 and rounded, is said in 16 bits;
    None where that isn't the same."""
    step = e.args[0] if e.op == "cast" else e
    casts = [a for a in step.args if a.op == "cast"]
    if not casts or step.op not in _ROUNDED_ONCE:
        return None
    narrow = casts[0].args[0].dtype
    result = narrow if e.op == "cast" else bool_
    if compute_dtype(narrow) is narrow or e.dtype is not result:
        return None
    operands = [_narrow_operand(a, inputs, narrow) for a in step.args]
    if any(o is None for o in operands):
        return None
    return lambda g: primitive(g, step.op, *operands)


def _narrow_operand(a: Expr, inputs: Sequence[Any], narrow: DType) -> Any:
    """An operand in 16 bits; None where it has more."""
    inner = a.args[0] if a.op == "cast" else a
    dtype = narrow if inner.dtype is compute_dtype(narrow) else inner.dtype
    if inner.op == "input":
        given = inputs[inner.value]
        if not isinstance(given, Literal):
            return given if given.dtype is inner.dtype else None
        value = given.value
    elif inner.op == "const":
        value = inner.value
    else:
        return None
    return converted(value, dtype) if dtype.kind == "b" or _keeps(value, dtype) else None


def _keeps(value: Any, dtype: DType) -> bool:
    """Whether a number is the same in a narrower dtype."""
    return bool(float(converted(value, dtype)) == float(value))


# -- helpers ---------------------------------------------------------------------------------------


def _is_float(x: Ref) -> bool:
    return x.dtype.kind in "fs"


def _like(g: Any, value: float, x: Ref) -> Any:
    return g.constant(value, x.dtype)


def _where(g: Any, condition: Any, x: Any, y: Any) -> Any:
    found: Ref = g.op("Where", condition, x, y)
    return found


def _negative(g: Any, x: Ref) -> Any:
    """Whether the sign bit is set, of a zero too."""
    below = g.op("Less", g.op("Reciprocal", x), _like(g, 0, x))
    found: Ref = g.op("Or", g.op("Less", x, _like(g, 0, x)), below)
    return found


def _bool_or(name: str, logical: str) -> Rule:
    """An operator of numbers that is another one of booleans."""

    def rule(g: Any, *args: Any) -> Any:
        args = tuple(g.ref(a) for a in args)
        return g.op(logical if args[-1].dtype.kind == "b" else name, *args)

    return rule


def _whole_stays(name: str) -> Rule:
    """A rounding, which whole numbers don't need."""

    def rule(g: Any, x: Any) -> Any:
        x = g.ref(x)
        return g.op(name, x) if _is_float(x) else x

    return rule


# -- rules -----------------------------------------------------------------------------------------


def _neg(g: Any, x: Any) -> Any:
    x = g.ref(x)
    return g.op("Sub", _like(g, 0, x), x) if x.dtype.kind == "u" else g.op("Neg", x)


def _abs(g: Any, x: Any) -> Any:
    x = g.ref(x)
    return x if x.dtype.kind in "bu" else g.op("Abs", x)


def _trunc(g: Any, x: Any) -> Any:
    x = g.ref(x)
    if not _is_float(x):
        return x
    return _where(g, g.op("Less", x, _like(g, 0, x)), g.op("Ceil", x), g.op("Floor", x))


def _exp2(g: Any, x: Any) -> Any:
    x = g.ref(x)
    return g.op("Pow", _like(g, 2, x), x)


def _expm1(g: Any, x: Any) -> Any:
    """tanh(x / 2) * (exp(x) + 1), which keeps the digits of small x."""
    x = g.ref(x)
    half = g.op("Tanh", g.op("Mul", x, _like(g, 0.5, x)))
    return g.op("Mul", half, g.op("Add", g.op("Exp", x), _like(g, 1, x)))


def _log1p(g: Any, x: Any) -> Any:
    """log(u) * x / (u - 1) for u = x + 1 below 2, which keeps the digits of small x."""
    x = g.ref(x)
    one = _like(g, 1, x)
    small = g.op("Less", x, one)
    kept = _where(g, small, x, _like(g, 0.5, x))
    u = g.op("Add", kept, one)
    rest = g.op("Sub", u, one)
    near = g.op("Mul", g.op("Log", u), g.op("Div", kept, rest))
    near = _where(g, g.op("Equal", rest, _like(g, 0, x)), kept, near)
    return _where(g, small, near, g.op("Log", g.op("Add", x, one)))


def _erf(g: Any, x: Any) -> Any:
    """In 64 bits by the series that `ir/primitives` has: runtimes have an Erf of 32 bits."""
    x = g.ref(x)
    if x.dtype.name != "float64":
        return g.op("Erf", x)
    one = _like(g, 1, x)
    size = g.op("Min", g.op("Abs", x), _like(g, 6.5, x))
    square = g.op("Mul", size, size)
    near = g.op("Mul", _series(g, square, ERF_NEAR), size)
    t = g.op("Div", g.op("Sub", size, _like(g, 3, x)), g.op("Add", size, _like(g, 3, x)))
    power = np.polynomial.chebyshev.Chebyshev(ERF_FAR, (ERF_LOW, ERF_HIGH))
    coefficients = power.convert(kind=np.polynomial.Polynomial).convert().coef.tolist()
    shape = g.op("Mul", g.op("Exp", g.op("Neg", square)), _series(g, t, coefficients))
    found = _where(g, g.op("Less", size, one), near, g.op("Sub", one, shape))
    return g.op("Mul", found, g.op("Sign", x))


def _series(g: Any, x: Ref, coefficients: Sequence[float]) -> Any:
    """A polynomial by Horner's rule."""
    total: Any = _like(g, float(coefficients[-1]), x)
    for c in reversed(coefficients[:-1]):
        total = g.op("Add", g.op("Mul", total, x), _like(g, float(c), x))
    return g.ref(total)


def _tan(g: Any, x: Any) -> Any:
    """In 64 bits a quotient: runtimes have a Tan of 32 bits."""
    x = g.ref(x)
    return (
        g.op("Div", g.op("Sin", x), g.op("Cos", x)) if x.dtype.name == "float64" else g.op("Tan", x)
    )


def _log2(g: Any, x: Any) -> Any:
    x = g.ref(x)
    return g.op("Div", g.op("Log", x), _like(g, math.log(2), x))


def _exponent(g: Any, x: Any) -> Any:
    """floor(log2 |x|) + 1, set right where the logarithm is rounded up or down to an integer."""
    x = g.ref(x)
    wide = g.cast(x, as_dtype("float64"))
    one, half = _like(g, 1, wide), _like(g, 0.5, wide)
    size = g.op("Abs", wide)
    usable = g.op(
        "And",
        g.op("Less", size, _like(g, math.inf, wide)),
        g.op("Greater", size, _like(g, 0, wide)),
    )
    size = _where(g, usable, size, half)
    e = g.op("Add", g.op("Floor", _log2(g, size)), one)
    low = g.op("Floor", g.op("Mul", e, half))
    high = g.op("Sub", e, low)
    m = g.op("Div", g.op("Div", size, _exp2(g, low)), _exp2(g, high))
    e = _where(g, g.op("Less", m, half), g.op("Sub", e, one), e)
    e = _where(g, g.op("Less", m, one), e, g.op("Add", e, one))
    return g.cast(_where(g, usable, e, _like(g, 0, wide)), x.dtype)


def _floordiv(g: Any, x: Any, y: Any) -> Any:
    x, y = g.ref(x), g.ref(y)
    zero = _like(g, 0, x)
    if x.dtype.kind == "u":
        return g.op("Div", x, y)
    if x.dtype.kind == "i":
        q = g.op("Div", x, y)
        rest = g.op("Sub", x, g.op("Mul", q, y))
        return _where(g, _apart(g, rest, y), g.op("Sub", q, _like(g, 1, x)), q)
    rest = g.op("Mod", x, y, fmod=1)
    q = g.op("Div", g.op("Sub", x, rest), y)
    q = _where(g, _apart(g, rest, y), g.op("Sub", q, _like(g, 1, x)), q)
    down = g.op("Floor", q)
    high = g.op("Greater", g.op("Sub", q, down), _like(g, 0.5, x))
    found = _where(g, high, g.op("Add", down, _like(g, 1, x)), down)
    return _where(g, g.op("Equal", y, zero), g.op("Div", x, y), found)


def _apart(g: Any, rest: Ref, y: Ref) -> Any:
    """Whether there is a rest whose sign is not that of the divisor."""
    zero = _like(g, 0, rest)
    signs = g.op("Xor", g.op("Less", rest, zero), g.op("Less", y, zero))
    found: Ref = g.op("And", signs, g.op("Not", g.op("Equal", rest, zero)))
    return found


def _mod(g: Any, x: Any, y: Any) -> Any:
    x, y = g.ref(x), g.ref(y)
    if not _is_float(x):
        return g.op("Mod", x, y)
    rest = g.op("Mod", x, y, fmod=1)
    return _where(g, _apart(g, rest, y), g.op("Add", rest, y), rest)


def _fmod(g: Any, x: Any, y: Any) -> Any:
    return g.op("Mod", x, y, fmod=1)


def _pow(g: Any, x: Any, y: Any) -> Any:
    x, y = g.ref(x), g.ref(y)
    if x.dtype.kind != "i" or _known_natural(g, y):
        return g.op("Pow", x, y)
    zero, one = _like(g, 0, x), _like(g, 1, x)
    odd = g.op("Equal", g.op("Mod", y, _like(g, 2, x)), one)
    unit = g.op("Equal", g.op("Abs", x), one)
    small = _where(g, unit, _where(g, odd, x, one), zero)
    natural = g.op("Pow", x, g.op("Max", y, zero))
    return _where(g, g.op("Less", y, zero), small, natural)


def _known_natural(g: Any, y: Ref) -> bool:
    array = g.model.initializers.get(y.name)
    return y.name.startswith("constant") and array is not None and bool(np.all(array >= 0))


def _atan2(g: Any, y: Any, x: Any) -> Any:
    y, x = g.ref(y), g.ref(x)
    ys, xs = g.op("Abs", y), g.op("Abs", x)
    same = g.op("Equal", ys, xs)
    origin = g.op("And", same, g.op("Equal", ys, _like(g, 0, x)))
    ends = g.op("And", same, g.op("Equal", ys, _like(g, math.inf, x)))
    ratio = _where(g, ends, _like(g, 1, x), g.op("Div", ys, xs))
    angle = g.op("Atan", _where(g, origin, _like(g, 0, x), ratio))
    angle = _where(g, _negative(g, x), g.op("Sub", _like(g, math.pi, x), angle), angle)
    return _where(g, _negative(g, y), g.op("Neg", angle), angle)


def _copysign(g: Any, x: Any, sign: Any) -> Any:
    size = g.op("Abs", g.ref(x))
    return _where(g, _negative(g, g.ref(sign)), g.op("Neg", size), size)


def _shl(g: Any, x: Any, y: Any) -> Any:
    x, y = g.ref(x), g.ref(y)
    u = as_dtype("uint64")
    moved = g.op("BitShift", g.cast(x, u), g.cast(y, u), direction="LEFT")
    return g.cast(moved, x.dtype)


def _shr(g: Any, x: Any, y: Any) -> Any:
    """Of a number below 0, -1 less the shifted rest."""
    x, y = g.ref(x), g.ref(y)
    u = as_dtype("uint64")
    below = g.op("Less", x, _like(g, 0, x)) if x.dtype.kind == "i" else None
    mirrored = g.op("Sub", _like(g, -1, x), x) if below is not None else None
    size = x if below is None else _where(g, below, mirrored, x)
    moved = g.cast(g.op("BitShift", g.cast(size, u), g.cast(y, u), direction="RIGHT"), x.dtype)
    if below is None:
        return moved
    return _where(g, below, g.op("Sub", _like(g, -1, x), moved), moved)


RULES: dict[str, str | Rule] = {
    "neg": _neg,
    "abs": _abs,
    "sign": "Sign",
    "floor": _whole_stays("Floor"),
    "ceil": _whole_stays("Ceil"),
    "round": _whole_stays("Round"),
    "trunc": _trunc,
    "sqrt": "Sqrt",
    "rsqrt": lambda g, x: g.op("Reciprocal", g.op("Sqrt", x)),
    "reciprocal": "Reciprocal",
    "exp": "Exp",
    "exp2": _exp2,
    "expm1": _expm1,
    "log": "Log",
    "log2": _log2,
    "log1p": _log1p,
    **{n: n.capitalize() for n in ("sin", "cos", "sinh", "cosh", "tanh")},
    "erf": _erf,
    "tan": _tan,
    **{n: n.capitalize() for n in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
    "exponent": _exponent,
    "add": _bool_or("Add", "Or"),
    "sub": _bool_or("Sub", "Xor"),
    "mul": _bool_or("Mul", "And"),
    "div": "Div",
    "floordiv": _floordiv,
    "mod": _mod,
    "fmod": _fmod,
    "pow": _pow,
    "atan2": _atan2,
    "copysign": _copysign,
    "max": _bool_or("Max", "Or"),
    "min": _bool_or("Min", "And"),
    "and": _bool_or("BitwiseAnd", "And"),
    "or": _bool_or("BitwiseOr", "Or"),
    "xor": _bool_or("BitwiseXor", "Xor"),
    "not": _bool_or("BitwiseNot", "Not"),
    "shl": _shl,
    "shr": _shr,
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "eq": "Equal",
    "ne": lambda g, x, y: g.op("Not", g.op("Equal", x, y)),
    "conj": lambda g, x: x,
    "isnan": "IsNaN",
    "isinf": "IsInf",
    "where": "Where",
    "fma": lambda g, x, y, z: g.op("Add", g.op("Mul", x, y), z),
}

__all__ = ["RULES", "formula", "primitive"]
