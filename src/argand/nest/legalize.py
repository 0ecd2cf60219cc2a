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


# 16-bit floats as integers ------------------------------------------------------------------------


def _cast_rule(source: Ty, to: Ty, target: Target) -> Rule | None:
    if "bfloat16" in (source.elem, to.elem):
        return _from_bfloat16 if source.elem == "bfloat16" else _to_bfloat16
    native = target.has("f16c") or target.has("avx512f") or target.triple.startswith("aarch64")
    if "float16" not in (source.elem, to.elem) or native:
        return None
    return _from_float16 if source.elem == "float16" else _to_float16


def _bits(b: NestBuilder, x: Reg) -> Reg:
    return b.bitcast(x, x.ty.with_elem(f"uint{8 * x.ty.bytes}"))


def _from_bfloat16(b: NestBuilder, x: Reg) -> Reg:
    wide = b.cast(_bits(b, x), "uint32")
    return b.bitcast(b.apply("shl", wide, 16), x.ty.with_elem("float32"))


def _to_bfloat16(b: NestBuilder, x: Reg) -> Reg:
    """Round to nearest, ties to even; a NaN stays one."""
    bits = _bits(b, x)
    odd = b.apply("and", b.apply("shr", bits, 16), 1)
    rounded = b.apply("add", b.apply("add", bits, 0x7FFF), odd)
    quiet = b.apply("or", bits, 0x400000)
    chosen = b.where(b.apply("isnan", x), quiet, rounded)
    return b.bitcast(b.cast(b.apply("shr", chosen, 16), "uint16"), x.ty.with_elem("bfloat16"))


def _from_float16(b: NestBuilder, x: Reg) -> Reg:
    wide = b.cast(_bits(b, x), "uint32")
    sign = b.apply("shl", b.apply("and", wide, 0x8000), 16)
    rest = b.apply("shl", b.apply("and", wide, 0x7FFF), 13)
    single = x.ty.with_elem("float32")
    # 2^112 rebases the exponent, denormals included; infinities and NaN need theirs set
    value = b.apply("mul", b.bitcast(rest, single), 2.0**112)
    special = b.bitcast(b.apply("or", rest, 0x7F800000), single)
    value = b.where(b.apply("ge", rest, 0x7C00 << 13), special, value)
    return b.bitcast(b.apply("or", _bits(b, value), sign), single)


def _to_float16(b: NestBuilder, x: Reg) -> Reg:
    """Round to nearest, ties to even, denormals and overflow included."""
    bits = _bits(b, x)
    sign = b.apply("and", b.apply("shr", bits, 16), 0x8000)
    size = b.apply("abs", x)
    plain = _bits(b, size)
    odd = b.apply("and", b.apply("shr", plain, 13), 1)
    normal = b.apply("add", b.apply("sub", plain, 112 << 23), b.apply("add", odd, 0xFFF))
    normal = b.apply("shr", normal, 13)
    # adding 0.5 lines the last denormal bit up with the last bit of the sum
    tiny = b.apply("sub", _bits(b, b.apply("add", size, 0.5)), 0x3F000000)
    value = b.where(b.apply("lt", plain, 113 << 23), tiny, normal)
    value = b.where(b.apply("ge", plain, 0x477FF000), 0x7C00, value)
    value = b.where(b.apply("isnan", x), 0x7E00, value)
    value = b.cast(b.apply("or", value, sign), "uint16")
    return b.bitcast(value, x.ty.with_elem("float16"))


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
