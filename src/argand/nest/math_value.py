"""A vector of floats with arithmetic, and the steps that several elementary functions share."""

from __future__ import annotations

import math
import struct
from typing import Final

from argand.nest import math_tables as tables
from argand.nest.builder import NestBuilder, Reg, Ty

# What differs between the two widths. A magic number's last bit is worth one, so that adding it
# rounds to an integer, which is then in its low bits.
MANTISSA: Final = {"float32": 23, "float64": 52}
_MAGIC: Final = {"float32": 1.5 * 2.0**23, "float64": 1.5 * 2.0**52}


class VectorValue:
    """A register with arithmetic: `x * y + 1` instead of the builder's calls."""

    __slots__ = ("b", "reg")

    def __init__(self, b: NestBuilder, reg: Reg) -> None:
        self.b = b
        self.reg = reg

    def of(self, prim: str, *others: VectorValue | float) -> VectorValue:
        """A primitive with this value as its first operand."""
        regs = [o.reg if isinstance(o, VectorValue) else o for o in others]
        return VectorValue(self.b, self.b.apply(prim, self.reg, *regs))

    def __add__(self, other: VectorValue | float) -> VectorValue:
        return self.of("add", other)

    def __sub__(self, other: VectorValue | float) -> VectorValue:
        return self.of("sub", other)

    def __mul__(self, other: VectorValue | float) -> VectorValue:
        return self.of("mul", other)

    def __truediv__(self, other: VectorValue | float) -> VectorValue:
        return self.of("div", other)

    def __rtruediv__(self, other: float) -> VectorValue:
        return self.const(other) / self

    def __rsub__(self, other: float) -> VectorValue:
        return self.const(other) - self

    def __neg__(self) -> VectorValue:
        return self.of("neg")

    def __abs__(self) -> VectorValue:
        return self.of("abs")

    def __lt__(self, other: VectorValue | float) -> VectorValue:
        return self.of("lt", other)

    def __gt__(self, other: VectorValue | float) -> VectorValue:
        return self.of("gt", other)

    def __ge__(self, other: VectorValue | float) -> VectorValue:
        return self.of("ge", other)

    def __and__(self, other: VectorValue | float) -> VectorValue:
        return self.of("and", other)

    def __or__(self, other: VectorValue | float) -> VectorValue:
        return self.of("or", other)

    def __xor__(self, other: VectorValue | float) -> VectorValue:
        return self.of("xor", other)

    def __invert__(self) -> VectorValue:
        return self.of("not")

    def __lshift__(self, other: VectorValue | int) -> VectorValue:
        return self.of("shl", other)

    def __rshift__(self, other: VectorValue | int) -> VectorValue:
        return self.of("shr", other)

    def same(self, other: VectorValue | float) -> VectorValue:
        """Lanes that are equal."""
        return self.of("eq", other)

    def fma(self, factor: VectorValue | float, term: VectorValue | float) -> VectorValue:
        """self * factor + term."""
        return self.of("fma", factor, term)

    def const(self, value: float) -> VectorValue:
        """A constant of this value's type."""
        return VectorValue(self.b, self.b.const(self.ty, value))

    def pick(self, yes: VectorValue | float, no: VectorValue | float) -> VectorValue:
        """`yes` where this condition holds, else `no`."""
        regs = [o.reg if isinstance(o, VectorValue) else o for o in (yes, no)]
        return VectorValue(self.b, self.b.where(self.reg, *regs))

    def bits(self, *, signed: bool = False) -> VectorValue:
        """A float's bits as an integer."""
        name = f"{'' if signed else 'u'}int{8 * self.ty.bytes}"
        return VectorValue(self.b, self.b.bitcast(self.reg, self.ty.with_elem(name)))

    def floats(self) -> VectorValue:
        """Bits as the float that they are."""
        return VectorValue(
            self.b, self.b.bitcast(self.reg, self.ty.with_elem(f"float{8 * self.ty.bytes}"))
        )

    def cast(self, elem: str) -> VectorValue:
        """Converted to another element."""
        return VectorValue(self.b, self.b.cast(self.reg, elem))

    def poly(self, table: tables.Table) -> VectorValue:
        """The table's polynomial of this value, by Horner's rule."""
        *rest, last = table[self.ty.elem]
        total = self.const(last)
        for coefficient in reversed(rest):
            total = total.fma(self, coefficient)
        return total

    @property
    def ty(self) -> Ty:
        return self.reg.ty


def bits_of(elem: str, value: float) -> int:
    """The bits of a number as an element of that name."""
    pair = ("<f", "<I") if elem == "float32" else ("<d", "<Q")
    return int(struct.unpack(pair[1], struct.pack(pair[0], value))[0])


def copysign(size: VectorValue, sign: VectorValue) -> VectorValue:
    """`size` with the sign bit of `sign`."""
    top = 1 << (8 * size.ty.bytes - 1)
    return ((size.bits() & (top - 1)) | (sign.bits() & top)).floats()


def whole_part(x: VectorValue, factor: float, offset: int = 0) -> tuple[VectorValue, VectorValue]:
    """n, x * factor rounded to an integer, and a sum whose low bits are n + offset."""
    magic = _MAGIC[x.ty.elem] + offset
    total = x.fma(factor, magic)
    return total - magic, total


def exponent_bias(ty: Ty) -> int:
    """What a float's exponent field holds for 2^0."""
    return int((1 << (8 * ty.bytes - 2 - MANTISSA[ty.elem])) - 1)


def scaled(x: VectorValue, total: VectorValue) -> VectorValue:
    """x * 2^n, `total` from `whole_part` with an offset of twice the bias: by two factors, so that
    denormals and infinity work. The other bits of the sum are shifted out."""
    bits, mantissa = total.bits(), MANTISSA[x.ty.elem]
    first = bits >> 1
    return x * (first << mantissa).floats() * ((bits - first) << mantissa).floats()


def exponent(x: VectorValue) -> VectorValue:
    """The e of x = m * 2^e with 1/2 <= |m| < 1; 0 of 0 and of what isn't finite."""
    mantissa, up = MANTISSA[x.ty.elem], MANTISSA[x.ty.elem] + 2
    bias, size = exponent_bias(x.ty), abs(x)
    tiny = size < 2.0 ** (1 - bias)
    field = (tiny.pick(size * 2.0**up, size).bits(signed=True) >> mantissa).cast(x.ty.elem)
    e = field - tiny.pick(x.const(bias - 1.0 + up), bias - 1.0)
    return ((size > 0.0) & (size < math.inf)).pick(e, 0.0)
