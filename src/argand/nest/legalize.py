"""Primitives that machines lack, as nests of those they have.

A code printer asks `legalize(instruction, target)` for each instruction: None means that it prints
the instruction itself, else it prints the block it is given, whose parameters are the operands and
whose yield is the result. The rules are written with the builder's calls, for any number of lanes,
and follow NumPy.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Final

from argand.nest.builder import NestBuilder, Reg, Ty
from argand.nest.math import MATH
from argand.nest.narrow import narrowing, widening
from argand.nest.target import Target
from argand.nest.types import Block, Instruction

Rule = Callable[..., Reg]

_ROUNDINGS: Final = frozenset(("floor", "ceil", "trunc", "round"))


def legalize(instruction: Instruction, target: Target) -> Block | None:
    """The block that computes the same from simpler instructions; None where the target has this.

    The block's parameters are the operands. Equal instructions get the same block.
    """
    if "index" in instruction.attrs:
        return None
    types = tuple(reg.ty for reg in instruction.args)
    return _template(instruction.kind, types, instruction.results[0].ty, target)


@functools.lru_cache(maxsize=4096)
def _template(kind: str, types: tuple[Ty, ...], result: Ty, target: Target) -> Block | None:
    rule = _rule(kind, types[-1], result, target)
    if rule is None:
        return None
    block = Block(tuple(Reg(ty) for ty in types))
    builder = NestBuilder.into(block, fused=target.fused)
    block.yields = (rule(builder, *block.params),)
    return block


def _rule(kind: str, ty: Ty, result: Ty, target: Target) -> Rule | None:
    if kind == "cast":
        return _cast_rule(ty, result, target)
    if kind in MATH and ty.is_float:
        return MATH[kind]
    if kind in _ROUNDINGS:
        return None if _has_rounding(target) else _ROUND[kind]
    return (_FLOAT if ty.is_float else _INT).get(kind)


def _has_rounding(target: Target) -> bool:
    return target.has("sse4.1") or not target.triple.startswith(("x86_64", "i686"))


# signs and reciprocals ----------------------------------------------------------------------------


def copysign(b: NestBuilder, magnitude: Reg, sign: Reg) -> Reg:
    """The magnitude with the other's sign bit."""
    ty = magnitude.ty
    bits = ty.with_elem(f"int{8 * ty.bytes}")
    top = b.const(bits, 1 << (8 * ty.bytes - 1))
    rest = b.apply("and", b.bitcast(magnitude, bits), b.apply("not", top))
    return b.bitcast(b.apply("or", rest, b.apply("and", b.bitcast(sign, bits), top)), ty)


def _sign(b: NestBuilder, x: Reg) -> Reg:
    zero, one = b.const(x.ty, 0), b.const(x.ty, 1)
    low = b.const(x.ty, -1) if x.ty.kind != "u" else zero
    signed = b.where(b.apply("lt", x, zero), low, b.where(b.apply("gt", x, zero), one, zero))
    if not x.ty.is_float:
        return signed
    return b.where(b.apply("isnan", x), x, signed)


def _isinf(b: NestBuilder, x: Reg) -> Reg:
    return b.apply("eq", b.apply("abs", x), math.inf)


def _reciprocal(b: NestBuilder, x: Reg) -> Reg:
    return b.apply("div", b.const(x.ty, 1), x)


def _rsqrt(b: NestBuilder, x: Reg) -> Reg:
    return b.apply("div", b.const(x.ty, 1), b.apply("sqrt", x))


# rounding without an instruction ------------------------------------------------------------------


def _round(b: NestBuilder, x: Reg) -> Reg:
    """Adding and taking away 2^23 (2^52) leaves no room for a fraction."""
    magic = 2.0 ** (23 if x.ty.bytes == 4 else 52)
    size = b.apply("abs", x)
    near = b.apply("sub", b.apply("add", size, magic), magic)
    return b.where(b.apply("lt", size, magic), copysign(b, near, x), x)


def _floor(b: NestBuilder, x: Reg) -> Reg:
    near = _round(b, x)
    less = b.apply("sub", near, b.where(b.apply("gt", near, x), 1.0, b.const(x.ty, 0.0)))
    # whole numbers, -0.0 among them, are themselves
    return b.where(b.apply("eq", near, x), x, less)


def _ceil(b: NestBuilder, x: Reg) -> Reg:
    return b.apply("neg", _floor(b, b.apply("neg", x)))


def _trunc(b: NestBuilder, x: Reg) -> Reg:
    return copysign(b, _floor(b, b.apply("abs", x)), x)


# remainders ---------------------------------------------------------------------------------------


def _safe_divisor(b: NestBuilder, x: Reg, y: Reg) -> Reg:
    """The divisor with what would trap replaced: 0, and -1 below the least integer."""
    safe = b.where(b.apply("eq", y, 0), 1, y)
    if x.ty.kind == "u":
        return safe
    least = b.apply("eq", x, -(1 << (8 * x.ty.bytes - 1)))
    return b.where(b.apply("and", least, b.apply("eq", y, -1)), 1, safe)


def _int_fmod(b: NestBuilder, x: Reg, y: Reg) -> Reg:
    safe = _safe_divisor(b, x, y)
    rest = b.apply("sub", x, b.apply("mul", b.quotient(x, safe), safe))
    return b.where(b.apply("eq", y, 0), b.const(x.ty, 0), rest)


def _differs(b: NestBuilder, rest: Reg, y: Reg) -> Reg:
    """Whether a remainder is not zero and has the other sign than the divisor."""
    opposite = b.apply("xor", b.apply("lt", rest, 0), b.apply("lt", y, 0))
    return b.apply("and", b.apply("ne", rest, 0), opposite)


def _int_mod(b: NestBuilder, x: Reg, y: Reg) -> Reg:
    rest = _int_fmod(b, x, y)
    if x.ty.kind == "u":
        return rest
    return b.where(_differs(b, rest, y), b.apply("add", rest, y), rest)


def _int_floordiv(b: NestBuilder, x: Reg, y: Reg) -> Reg:
    safe = _safe_divisor(b, x, y)
    whole = b.quotient(x, safe)
    if x.ty.kind != "u":
        rest = b.apply("sub", x, b.apply("mul", whole, safe))
        whole = b.where(_differs(b, rest, safe), b.apply("sub", whole, 1), whole)
    return b.where(b.apply("eq", y, 0), b.const(x.ty, 0), whole)


_STEP_BITS: Final = 24


def _float_fmod(b: NestBuilder, x: Reg, y: Reg) -> Reg:
    """Exact: long division, 24 bits of the quotient an iteration; float32 in float64."""
    if x.ty.elem == "float32":
        wide = _float_fmod(b, b.cast(x, "float64"), b.cast(y, "float64"))
        return b.cast(wide, "float32")
    top, size = b.apply("abs", x), b.apply("abs", y)
    right = b.apply("and", b.apply("lt", top, math.inf), b.apply("gt", size, 0.0))
    divides = b.apply("and", right, b.apply("lt", size, math.inf))
    rest = _long_division(b, b.where(divides, top, 0.0), b.where(divides, size, 1.0))
    result = copysign(b, b.where(b.apply("eq", size, math.inf), top, rest), x)
    return b.where(right, result, math.nan)


def _exponent(b: NestBuilder, x: Reg) -> Reg:
    return b.apply("shr", b.bitcast(x, x.ty.with_elem("int64")), 52)


def _long_division(b: NestBuilder, top: Reg, divisor: Reg) -> Reg:
    """top mod divisor, both finite and positive."""
    ints = top.ty.with_elem("int64")
    last = _exponent(b, divisor)
    gap = b.apply("sub", _exponent(b, top), last)
    # a denormal's exponent is up to 52 less than its field says
    gap = b.apply("add", gap, b.where(b.apply("eq", last, 0), 64, b.const(ints, 0)))
    iterations = b.add(b.div(b.max(b.reduce("max", gap), 0), _STEP_BITS - 1), 1)
    keep = b.const(ints, -(1 << (53 - _STEP_BITS)))
    halves = b.const(ints, -(1 << 27))
    high = b.bitcast(b.apply("and", b.bitcast(divisor, ints), halves), top.ty)
    low = b.apply("sub", divisor, high)
    with b.loop(0, iterations, 1, [top]) as loop:
        rest = loop.carry[0]
        # a quotient beyond the range is found scaled down by a power of two, which is exact
        one = b.const(top.ty, 1.0)
        scale = b.where(_overflows(b, rest, divisor, one), b.const(top.ty, 2.0**-300), one)
        scale = b.where(_overflows(b, rest, divisor, scale), b.const(top.ty, 2.0**-550), scale)
        rest = b.apply("mul", b.apply("mul", rest, scale), scale)
        ratio = b.bitcast(b.apply("div", rest, divisor), ints)
        guess = b.apply("trunc", b.bitcast(b.apply("and", ratio, keep), top.ty))
        part = b.apply("sub", rest, b.apply("mul", guess, high))
        part = b.apply("sub", part, b.apply("mul", guess, low))
        b.yield_(b.apply("div", b.apply("div", part, scale), scale))
    (rest,) = loop.results
    rest = b.where(b.apply("lt", rest, 0.0), b.apply("add", rest, divisor), rest)
    return b.where(b.apply("ge", rest, divisor), b.apply("sub", rest, divisor), rest)


def _overflows(b: NestBuilder, rest: Reg, divisor: Reg, scale: Reg) -> Reg:
    scaled = b.apply("mul", b.apply("mul", rest, scale), scale)
    return b.apply("isinf", b.apply("div", scaled, divisor))


def _float_mod(b: NestBuilder, x: Reg, y: Reg) -> Reg:
    rest = b.apply("fmod", x, y)
    moved = b.where(_differs(b, rest, y), b.apply("add", rest, y), rest)
    return b.where(b.apply("eq", moved, 0.0), copysign(b, b.const(x.ty, 0.0), y), moved)


def _float_floordiv(b: NestBuilder, x: Reg, y: Reg) -> Reg:
    """NumPy's: the quotient of what the remainder leaves, then made whole."""
    rest = b.apply("fmod", x, y)
    quotient = b.apply("div", b.apply("sub", x, rest), y)
    quotient = b.where(_differs(b, rest, y), b.apply("sub", quotient, 1.0), quotient)
    whole = b.apply("floor", quotient)
    far = b.apply("gt", b.apply("sub", quotient, whole), 0.5)
    whole = b.where(far, b.apply("add", whole, 1.0), whole)
    ratio = b.apply("div", x, y)
    zero = copysign(b, b.const(x.ty, 0.0), ratio)
    whole = b.where(b.apply("eq", quotient, 0.0), zero, whole)
    return b.where(b.apply("eq", y, 0.0), ratio, whole)


def _int_pow(b: NestBuilder, x: Reg, y: Reg) -> Reg:
    """Square and multiply; wraps. A negative power of an integer is 0 but for ±1, as in C."""
    one = b.const(x.ty, 1)
    with b.loop(0, 8 * x.ty.bytes, 1, [one, x, y]) as loop:
        result, base, power = loop.carry
        odd = b.apply("ne", b.apply("and", power, 1), 0)
        result = b.where(odd, b.apply("mul", result, base), result)
        b.yield_(result, b.apply("mul", base, base), b.apply("shr", power, 1))
    result = loop.results[0]
    if x.ty.kind == "u":
        return result
    odd = b.apply("ne", b.apply("and", y, 1), 0)
    minus = b.where(b.apply("eq", x, -1), b.where(odd, x, one), b.const(x.ty, 0))
    inverse = b.where(b.apply("eq", x, 1), one, minus)
    return b.where(b.apply("lt", y, 0), inverse, result)


# conversions --------------------------------------------------------------------------------------


def _to_uint64(b: NestBuilder, x: Reg) -> Reg:
    """By signed conversions, which all machines have: negative numbers wrap, as in C."""
    half = 2.0**63
    high = b.apply("ge", x, half)
    near = b.cast(b.where(high, b.apply("sub", x, half), x), "int64")
    top = b.where(high, -(1 << 63), b.const(near.ty, 0))
    return b.cast(b.apply("xor", near, top), "uint64")


def _cast_rule(source: Ty, to: Ty, target: Target) -> Rule | None:
    if to.elem == "uint64" and source.kind == "f":
        return _to_uint64
    narrow = source if source.kind == "h" else to
    if narrow.kind != "h" or (narrow.elem == "float16" and _has_float16(target)):
        return None
    return widening(narrow.elem) if narrow is source else narrowing(narrow.elem)


def _has_float16(target: Target) -> bool:
    return target.has("f16c") or target.has("avx512f") or target.triple.startswith("aarch64")


_ROUND: Final[dict[str, Rule]] = {
    "round": _round,
    "floor": _floor,
    "ceil": _ceil,
    "trunc": _trunc,
}
_FLOAT: Final[dict[str, Rule]] = {
    "sign": _sign,
    "isinf": _isinf,
    "reciprocal": _reciprocal,
    "rsqrt": _rsqrt,
    "fmod": _float_fmod,
    "mod": _float_mod,
    "floordiv": _float_floordiv,
}
_INT: Final[dict[str, Rule]] = {
    "sign": _sign,
    "fmod": _int_fmod,
    "mod": _int_mod,
    "floordiv": _int_floordiv,
    "pow": _int_pow,
}
