"""Floats of 8 and 16 bits as integers: their conversions from and to float32, by the bits.

All round to the nearest, ties to even. NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from argand.nest.builder import NestBuilder, Reg

Rule = Callable[[NestBuilder, Reg], Reg]


class Form(NamedTuple):
    """What the codes of a dtype mean: sign, exponent, mantissa; denormals as IEEE has them."""

    bits: int
    mantissa: int
    bias: int  # of the exponent
    top: int  # the code of the largest number
    over: int  # the code that a number too large becomes
    nan: int
    signed: bool = True  # whether zero and NaN have a sign; else NaN has the code of -0

    @property
    def half(self) -> int:
        """The number of codes without a sign."""
        return 1 << (self.bits - 1)

    @property
    def shift(self) -> int:
        """How many more bits the mantissa of a float32 has."""
        return 23 - self.mantissa


FORMS: Final = {
    "float16": Form(16, 10, 15, 0x7BFF, 0x7C00, 0x7E00),
    "float8_e5m2": Form(8, 2, 15, 0x7B, 0x7C, 0x7F),
    "float8_e4m3fn": Form(8, 3, 7, 0x7E, 0x7E, 0x7F),
    "float8_e5m2fnuz": Form(8, 2, 16, 0x7F, 0x80, 0x80, signed=False),
    "float8_e4m3fnuz": Form(8, 3, 8, 0x7F, 0x80, 0x80, signed=False),
}


def widening(elem: str) -> Rule:
    """How float32 is made of a narrow float."""
    special = {"bfloat16": _from_bfloat16, "float8_e8m0fnu": _from_power}.get(elem)
    return special or partial(_widened, FORMS[elem])


def narrowing(elem: str) -> Rule:
    """How a narrow float is made of float32."""
    special = {"bfloat16": _to_bfloat16, "float8_e8m0fnu": _to_power}.get(elem)
    return special or partial(_narrowed, FORMS[elem], elem)


def _bits(b: NestBuilder, x: Reg) -> Reg:
    return b.bitcast(x, x.ty.with_elem(f"uint{8 * x.ty.bytes}"))


def _single(b: NestBuilder, bits: Reg) -> Reg:
    return b.bitcast(bits, bits.ty.with_elem("float32"))


def _from_bfloat16(b: NestBuilder, x: Reg) -> Reg:
    return _single(b, b.apply("shl", b.cast(_bits(b, x), "uint32"), 16))


def _to_bfloat16(b: NestBuilder, x: Reg) -> Reg:
    bits = _bits(b, x)
    odd = b.apply("and", b.apply("shr", bits, 16), 1)
    rounded = b.apply("add", b.apply("add", bits, 0x7FFF), odd)
    quiet = b.apply("or", bits, 0x400000)
    chosen = b.where(b.apply("isnan", x), quiet, rounded)
    return b.bitcast(b.cast(b.apply("shr", chosen, 16), "uint16"), x.ty.with_elem("bfloat16"))


def _widened(form: Form, b: NestBuilder, x: Reg) -> Reg:
    wide = b.cast(_bits(b, x), "uint32")
    sign = b.apply("shl", b.apply("and", wide, form.half), 32 - form.bits)
    rest = b.apply("shl", b.apply("and", wide, form.half - 1), form.shift)
    # the power of two rebases the exponent, denormals included
    value = b.apply("mul", _single(b, rest), 2.0 ** (127 - form.bias))
    if not form.signed:
        value = b.where(b.apply("eq", wide, form.nan), float("nan"), value)
    else:  # infinities and NaN need their exponent set
        special = _single(b, b.apply("or", rest, 0x7F800000))
        value = b.where(b.apply("ge", rest, (form.top + 1) << form.shift), special, value)
    return _single(b, b.apply("or", _bits(b, value), sign))


def _narrowed(form: Form, elem: str, b: NestBuilder, x: Reg) -> Reg:
    """Denormals and overflow included."""
    bits = _bits(b, x)
    sign = b.apply("and", b.apply("shr", bits, 32 - form.bits), form.half)
    size = b.apply("abs", x)
    plain = _bits(b, size)
    odd = b.apply("and", b.apply("shr", plain, form.shift), 1)
    up = b.apply("add", odd, (1 << (form.shift - 1)) - 1)
    normal = b.apply("add", b.apply("sub", plain, (127 - form.bias) << 23), up)
    normal = b.apply("shr", normal, form.shift)
    # adding this lines the last denormal bit up with the last bit of the sum
    power = form.shift + 1 - form.bias
    tiny = b.apply("sub", _bits(b, b.apply("add", size, 2.0**power)), (127 + power) << 23)
    value = b.where(b.apply("lt", plain, (128 - form.bias) << 23), tiny, normal)
    value = b.where(b.apply("gt", value, form.top), form.over, value)
    value = b.where(b.apply("isnan", x), form.nan, value)
    if not form.signed:
        number = b.apply("and", b.apply("gt", value, 0), b.apply("le", value, form.top))
        sign = b.where(number, sign, b.const(sign.ty, 0))
    value = b.cast(b.apply("or", value, sign), f"uint{form.bits}")
    return b.bitcast(value, x.ty.with_elem(elem))


def _from_power(b: NestBuilder, x: Reg) -> Reg:
    """Of float8_e8m0fnu, an exponent; that of a denormal and of an infinity want another bit."""
    code = b.cast(_bits(b, x), "uint32")
    bits = b.apply("shl", code, 23)
    ends = b.apply("or", b.apply("eq", code, 0), b.apply("eq", code, 255))
    return _single(b, b.where(ends, b.apply("or", bits, 0x400000), bits))


def _to_power(b: NestBuilder, x: Reg) -> Reg:
    plain = _bits(b, b.apply("abs", x))
    normal = b.cast(b.apply("ge", plain, 1 << 23), "uint32")
    rounded = b.apply("add", b.apply("add", plain, 0x3FFFFF), normal)
    code = b.apply("min", b.apply("shr", rounded, 23), 255)
    return b.bitcast(b.cast(code, "uint8"), x.ty.with_elem("float8_e8m0fnu"))
