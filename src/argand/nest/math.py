"""Elementary functions as polynomials, for float32 and float64 and any number of lanes.

Each function is written once with the Builder's calls; `MATH` has them by the primitive's name.
Special values follow NumPy. `ULP` has the largest errors. Polynomials are in `vectables`.

Ranges are reduced by Cody and Waite's splitting of a constant into parts, products with which are
exact ("Software Manual for the Elementary Functions", 1980); sines of huge numbers by Payne and
Hanek's ("Radian reduction for trigonometric functions", 1983).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Final

from argand.nest import math_tables as tables
from argand.nest.builder import NestBuilder, Reg, Ty

_LOG2E: Final = 1.4426950408889634
_LOG2E_LOW: Final = 2.0355273740931033e-17
_LOG2E_PARTS: Final = {
    "float32": (1.44287109375, -0.00017605286103659264),
    "float64": (1.4426950407214463, 1.6751713164886512e-10),
}
_TAN_PI_8: Final = 0.41421356237309503
_PIO2: Final = (1.5707963267948966, 6.123233995736766e-17)
_THIRDS: Final = (0.6666666666666666, 3.700743415417188e-17)

# What differs between the two widths. A magic number's last bit is worth one, so that adding it
# rounds to an integer that then stands in its low bits.
_MANTISSA: Final = {"float32": 23, "float64": 52}
_MAGIC: Final = {"float32": 1.5 * 2.0**23, "float64": 1.5 * 2.0**52}
_LN2: Final = {
    "float32": (0.693115234375, 3.194618329871446e-05),
    "float64": (0.6931471805592082, 7.371002565167799e-13),
}
_PIO2_FUSED: Final = (1.570796251296997, 7.549789415861596e-08, 5.390302529957765e-15)
_PIO2_SHORT: Final = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
_EXP_RANGE: Final = {"float32": (-104.0, 90.0), "float64": (-746.0, 711.0)}


class Val:
    """A register with arithmetic: `x * y + 1` instead of the Builder's calls."""

    __slots__ = ("b", "reg")

    def __init__(self, b: NestBuilder, reg: Reg) -> None:
        self.b = b
        self.reg = reg

    def of(self, prim: str, *others: Val | float) -> Val:
        """A primitive with this value as its first operand."""
        regs = [o.reg if isinstance(o, Val) else o for o in others]
        return Val(self.b, self.b.apply(prim, self.reg, *regs))

    def __add__(self, other: Val | float) -> Val:
        return self.of("add", other)

    def __sub__(self, other: Val | float) -> Val:
        return self.of("sub", other)

    def __mul__(self, other: Val | float) -> Val:
        return self.of("mul", other)

    def __truediv__(self, other: Val | float) -> Val:
        return self.of("div", other)

    def __rtruediv__(self, other: float) -> Val:
        return self.const(other) / self

    def __rsub__(self, other: float) -> Val:
        return self.const(other) - self

    def __neg__(self) -> Val:
        return self.of("neg")

    def __abs__(self) -> Val:
        return self.of("abs")

    def __lt__(self, other: Val | float) -> Val:
        return self.of("lt", other)

    def __gt__(self, other: Val | float) -> Val:
        return self.of("gt", other)

    def __ge__(self, other: Val | float) -> Val:
        return self.of("ge", other)

    def __and__(self, other: Val | float) -> Val:
        return self.of("and", other)

    def __or__(self, other: Val | float) -> Val:
        return self.of("or", other)

    def __xor__(self, other: Val | float) -> Val:
        return self.of("xor", other)

    def __invert__(self) -> Val:
        return self.of("not")

    def __lshift__(self, other: Val | int) -> Val:
        return self.of("shl", other)

    def __rshift__(self, other: Val | int) -> Val:
        return self.of("shr", other)

    def same(self, other: Val | float) -> Val:
        """Lanes that are equal."""
        return self.of("eq", other)

    def fma(self, factor: Val | float, term: Val | float) -> Val:
        """self * factor + term."""
        return self.of("fma", factor, term)

    def const(self, value: float) -> Val:
        """A constant of this value's type."""
        return Val(self.b, self.b.const(self.ty, value))

    def pick(self, yes: Val | float, no: Val | float) -> Val:
        """`yes` where this condition holds, else `no`."""
        regs = [o.reg if isinstance(o, Val) else o for o in (yes, no)]
        return Val(self.b, self.b.where(self.reg, *regs))

    def bits(self, *, signed: bool = False) -> Val:
        """A float's bits as an integer."""
        name = f"{'' if signed else 'u'}int{8 * self.ty.bytes}"
        return Val(self.b, self.b.bitcast(self.reg, self.ty.with_elem(name)))

    def floats(self) -> Val:
        """Bits as the float that they are."""
        return Val(self.b, self.b.bitcast(self.reg, self.ty.with_elem(f"float{8 * self.ty.bytes}")))

    def cast(self, elem: str) -> Val:
        """Converted to another element."""
        return Val(self.b, self.b.cast(self.reg, elem))

    def poly(self, table: tables.Table) -> Val:
        """The table's polynomial of this value, by Horner's rule."""
        *rest, last = table[self.ty.elem]
        total = self.const(last)
        for coefficient in reversed(rest):
            total = total.fma(self, coefficient)
        return total

    @property
    def ty(self) -> Ty:
        return self.reg.ty


def _bits_of(elem: str, value: float) -> int:
    pair = ("<f", "<I") if elem == "float32" else ("<d", "<Q")
    return int(struct.unpack(pair[1], struct.pack(pair[0], value))[0])


def _copysign(size: Val, sign: Val) -> Val:
    top = 1 << (8 * size.ty.bytes - 1)
    return ((size.bits() & (top - 1)) | (sign.bits() & top)).floats()


# exponentials -------------------------------------------------------------------------------------


def _whole(x: Val, factor: float, offset: int = 0) -> tuple[Val, Val]:
    """n, x * factor rounded to an integer, and a sum in whose low bits stands n + offset."""
    magic = _MAGIC[x.ty.elem] + offset
    total = x.fma(factor, magic)
    return total - magic, total


def _bias(ty: Ty) -> int:
    """What a float's exponent field holds for 2^0."""
    return int((1 << (8 * ty.bytes - 2 - _MANTISSA[ty.elem])) - 1)


def _ldexp(x: Val, total: Val) -> Val:
    """x * 2^n, `total` from `_whole` with an offset of twice the bias: by two factors, so that
    denormals and infinity work. What else stands in the sum is shifted out."""
    bits, mantissa = total.bits(), _MANTISSA[x.ty.elem]
    first = bits >> 1
    return x * (first << mantissa).floats() * ((bits - first) << mantissa).floats()


def _clamp(x: Val) -> Val:
    """Within what exp can tell apart; a NaN stays."""
    low, high = _EXP_RANGE[x.ty.elem]
    x = (x > high).pick(high, x)
    return (x < low).pick(low, x)


def _exp_parts(x: Val, offset: int) -> tuple[Val, Val]:
    """r and the sum that holds n + offset, where x = n ln(2) + r."""
    high, low = _LN2[x.ty.elem]
    n, total = _whole(x, _LOG2E, offset)
    return n.fma(-low, n.fma(-high, x)), total


def _exp_scaled(x: Val, extra: int) -> Val:
    r, total = _exp_parts(_clamp(x), 2 * _bias(x.ty) + extra)
    return _ldexp(r.fma(r.fma(r.poly(tables.EXP), 1.0), 1.0), total)


def _exp(x: Val) -> Val:
    return _exp_scaled(x, 0)


def _exp2(x: Val) -> Val:
    low, high = {"float32": (-151.0, 129.0), "float64": (-1076.0, 1025.0)}[x.ty.elem]
    x = (x > high).pick(high, x)
    x = (x < low).pick(low, x)
    n, total = _whole(x, 1.0, 2 * _bias(x.ty))
    r = x - n
    return _ldexp(r.fma(r.poly(tables.EXP2), 1.0), total)


def _expm1_scaled(x: Val, extra: int) -> Val:
    """(exp(x) - 1) * 2^extra. With an extra of -3 no power on the way overflows."""
    elem = x.ty.elem
    high = _EXP_RANGE[elem][1]
    x = (x > high).pick(high, x)
    x = (x < -45.0).pick(-45.0, x)
    (log_high, log_low), offset = _LN2[elem], _bias(x.ty) + extra
    n, total = _whole(x, _LOG2E, offset)
    near = n.fma(-log_high, x)
    r = n.fma(-log_low, near)
    # what rounding took from r, and takes from the sum of power * r: they show where powers cancel
    lost = n.fma(-log_low, near - r)
    power = (total.bits() << _MANTISSA[elem]).floats()
    above = power - 2.0**extra
    whole = power.fma(r, above)
    part = power.fma(r, above - whole)
    rest = r.fma(r.fma(r.poly(tables.EXPM1), lost), lost)
    return whole + power.fma(rest, part)


def _expm1(x: Val) -> Val:
    # an eighth of it is finite wherever it is needed
    result = _expm1_scaled(x, -3) * 8.0
    return (abs(x) < 2.0 ** -(_MANTISSA[x.ty.elem] + 2)).pick(x, result)


def _tanh(x: Val) -> Val:
    if x.ty.elem == "float32":
        return _tanh_narrow(x)
    half = _expm1_scaled(abs(x) * -2.0, -1)
    rest = half + 1.0
    result = half / rest
    # what rounding took from the divisor, to first order; 1 / rest = 1 - result
    lost = half - (rest - 1.0)
    return _copysign(result - result * lost * (1.0 - result), x)


def _tanh_narrow(x: Val) -> Val:
    """h / (h + 2), h = exp(2 |x|) - 1: never above 1, and exactly x / 1 where x is tiny."""
    twice = abs(x + x)
    twice = (twice > 20.0).pick(20.0, twice)
    r, total = _exp_parts(twice, _bias(x.ty))
    power = (total.bits() << _MANTISSA["float32"]).floats()
    h = power.fma((r * r).fma(r.poly(tables.EXP), r), power - 1.0)
    return (((h / (h + 2.0)).bits()) | (x.bits() & (1 << 31))).floats()


def _sinh(x: Val) -> Val:
    """With h = (exp(x) - 1) / 2: h + h / (2 h + 1); where h is small, 2 h less a small part."""
    size = abs(x)
    half = _expm1_scaled(size, -3) * 4.0
    twice = half * 2.0
    ratio = half / (twice + 1.0)
    result = (size < 0.5).pick(twice.fma(-ratio, twice), half + ratio)
    result = half.same(math.inf).pick(half, result)
    return _copysign((size < 2.0 ** -(_MANTISSA[x.ty.elem] // 2)).pick(size, result), x)


def _cosh(x: Val) -> Val:
    half = _exp_scaled(abs(x), -1)
    return half + 0.25 / half


# logarithms ---------------------------------------------------------------------------------------


def _frexp(x: Val) -> tuple[Val, Val]:
    """m in [sqrt(1/2), sqrt(2)) and e as a float, where x = m * 2^e, x positive."""
    elem, mantissa = x.ty.elem, _MANTISSA[x.ty.elem]
    bias = (1 << (8 * x.ty.bytes - 2 - mantissa)) - 1
    up = mantissa + 2
    tiny = x < 2.0 ** (1 - bias)
    bits = tiny.pick(x * 2.0**up, x).bits()
    start = _bits_of(elem, math.sqrt(0.5))
    exponent = (bits - (start - (bias << mantissa))) >> mantissa
    m = (bits - ((exponent - bias) << mantissa)).floats()
    # an integer in the low bits of 2^mantissa is a float without a conversion
    e = (exponent | _bits_of(elem, 2.0**mantissa)).floats() - tiny.pick(
        x.const(2.0**mantissa + bias + up), 2.0**mantissa + bias
    )
    return m, e


def _log_mantissa(m: Val, e: Val) -> Val:
    """log(m) + e * ln(2)."""
    f, half, rest = _log_parts(m)
    high, low = _LN2[m.ty.elem]
    if m.ty.elem == "float32":
        return e.fma(high, f + (e.fma(low, rest) - half))
    return e * high - ((half - e.fma(low, rest)) - f)


def _log_parts(m: Val) -> tuple[Val, Val, Val]:
    """f, f^2/2 and the small rest of log(m) = f - f^2/2 + rest, f = m - 1."""
    f = m - 1.0
    half = f * f * 0.5
    if m.ty.elem == "float32":
        return f, half, f * f * f * f.poly(tables.LOG)
    s = f / (f + 2.0)
    z = s * s
    return f, half, s * (half + z * z.poly(tables.ATANH))


def _log_specials(x: Val, result: Val) -> Val:
    result = x.same(math.inf).pick(x, result)
    result = x.same(0.0).pick(-math.inf, result)
    return (x >= 0.0).pick(result, math.nan)


def _log(x: Val) -> Val:
    return _log_specials(x, _log_mantissa(*_frexp(x)))


def _log2(x: Val) -> Val:
    m, e = _frexp(x)
    f, half, rest = _log_parts(m)
    # log(m) as a sum whose first part has few bits: its product with log2(e)'s is exact
    kept = -(1 << (_MANTISSA[x.ty.elem] // 2 + 1))
    high = ((f - half).bits(signed=True) & kept).floats()
    small = ((f - high) - half) + rest
    first, second = _LOG2E_PARTS[x.ty.elem]
    whole = high * first
    part = (small + high).fma(second, small * first)
    total = e + whole
    return _log_specials(x, total + (((e - total) + whole) + part))


def _log1p(x: Val) -> Val:
    whole = x + 1.0
    # what rounding took from 1 + x, to first order
    lost = x - (whole - 1.0)
    result = _log_mantissa(*_frexp(whole)) + lost / whole
    result = whole.same(1.0).pick(x, result)
    return _log_specials(whole, result)


# sine and cosine ----------------------------------------------------------------------------------


def _reduce_huge(x: Val) -> tuple[Val, Val]:
    """x mod pi/2 and the quadrant, x float64 of at least 2^20: by 192 of 2/pi's bits."""
    b = x.b
    # the other lanes are not looked at, but must stay inside the table
    x = (abs(x) >= 2.0**20).pick(x, 2.0**20)
    words = b.alloca(Ty("uint64"), len(tables.TWO_OVER_PI) + 1)
    for place, word in enumerate((0, *tables.TWO_OVER_PI)):
        b.store(words, place, b.const(Ty("uint64"), word))
    bits = x.bits()
    start = ((bits >> 52) & 2047) - (1075 - 62)
    index, shift = start >> 6, start & 63
    found = [Val(b, b.gather(words, (index + k).cast("int64").reg, bits.ty)) for k in range(4)]
    window = [(found[k] << shift) | (found[k + 1] >> (64 - shift)) for k in range(3)]
    m = (bits & ((1 << 52) - 1)) | (1 << 52)
    low = m * window[1]
    middle = low + m.of("umulhi", window[2])
    carry = (middle < low).pick(bits.const(1), 0)
    high = m * window[0] + m.of("umulhi", window[1]) + carry
    # two bits of quadrant, then the fraction, as a signed number
    fraction = (high << 2) | (middle >> 62)
    r = fraction.cast("int64").cast("float64") * 2.0**-64
    r = (r + (middle << 2).cast("float64") * 2.0**-128) * _PIO2[0]
    quadrant = ((high >> 62) + (fraction >> 63)).cast("int64")
    negative = x < 0.0
    r = negative.pick(-r, r)
    r = (abs(x) < math.inf).pick(r, math.nan)
    return r, negative.pick(-quadrant, quadrant)


def _reduce_wide(x: Val) -> tuple[Val, Val]:
    """x mod pi/2 in float64, and the quadrant."""
    n, total = _whole(x, 2.0 / math.pi)
    r = x
    for part in _PIO2_SHORT:
        r = r - n * part
    quadrant = total.bits(signed=True)
    return _unless(abs(x) >= 2.0**20, r, quadrant, lambda: _reduce_huge(x))


def _reduce(x: Val) -> tuple[Val, Val]:
    """r in about [-pi/4, pi/4] and a quadrant (its low bits), where x = r + quadrant * pi/2."""
    if x.ty.elem == "float64":
        return _reduce_wide(x)
    if not x.b.fused:
        return _narrow(x)
    n, total = _whole(x, 2.0 / math.pi)
    r = x
    for part in _PIO2_FUSED:
        r = n.fma(-part, r)
    return _unless(abs(x) >= 1e5, r, total.bits(signed=True), lambda: _narrow(x))


def _narrow(x: Val) -> tuple[Val, Val]:
    r, quadrant = _reduce_wide(x.cast("float64"))
    return r.cast("float32"), quadrant.cast("int32")


def _unless(
    rare: Val, r: Val, quadrant: Val, other: Callable[[], tuple[Val, Val]]
) -> tuple[Val, Val]:
    """(r, quadrant), but `other()` in the rare lanes; skipped when there are none."""
    b = r.b
    with b.if_(b.any(rare.reg)) as branch:
        other_r, other_quadrant = other()
        b.yield_(rare.pick(other_r, r).reg, rare.pick(other_quadrant, quadrant).reg)
    with branch.else_():
        b.yield_(r.reg, quadrant.reg)
    return Val(b, branch.results[0]), Val(b, branch.results[1])


def _sin_cos(r: Val) -> tuple[Val, Val]:
    z = r * r
    sine = (z * r).fma(z.poly(tables.SIN), r)
    cosine = (z * z).fma(z.poly(tables.COS), z.fma(-0.5, 1.0))
    return sine, cosine


def _wave(x: Val, ahead: int) -> Val:
    """sin(x + ahead * pi/2)."""
    r, quadrant = _reduce(x)
    sine, cosine = _sin_cos(r)
    turned = quadrant + ahead if ahead else quadrant
    odd = (turned & 1).same(0)
    flip = (turned & 2) << (8 * x.ty.bytes - 2)
    return (odd.pick(sine, cosine).bits(signed=True) ^ flip).floats()


def _sin(x: Val) -> Val:
    return (abs(x) < 2.0 ** -(_MANTISSA[x.ty.elem] // 2 + 1)).pick(x, _wave(x, 0))


def _cos(x: Val) -> Val:
    return _wave(x, 1)


def _tan(x: Val) -> Val:
    if x.ty.elem == "float32":
        return _tan(x.cast("float64")).cast("float32")
    r, quadrant = _reduce(x)
    sine, cosine = _sin_cos(r)
    even = (quadrant & 1).same(0)
    result = even.pick(sine, -cosine) / even.pick(cosine, sine)
    return (abs(x) < 2.0 ** -(_MANTISSA[x.ty.elem] // 2 + 1)).pick(x, result)


# inverse functions --------------------------------------------------------------------------------


def _asin_parts(x: Val) -> tuple[Val, Val, Val, Val]:
    """Of |x|: whether above 1/2, s and two factors of asin(s) - s, where s = |x| or
    sqrt((1 - |x|) / 2).

    The last parts of pi/2 are added to the small difference, which costs no rounding of the sum."""
    size = abs(x)
    far = size > 0.5
    z = far.pick((1.0 - size) * 0.5, size * size)
    s = far.pick(z.of("sqrt"), size)
    return far, s, s * z, z.poly(tables.ASIN)


def _asin(x: Val) -> Val:
    far, s, cube, slope = _asin_parts(x)
    beyond = s + cube.fma(slope, -0.5 * _low_pio2(x))
    return _copysign(far.pick(beyond.fma(-2.0, _PIO2[0]), cube.fma(slope, s)), x)


def _low_pio2(x: Val) -> float:
    return _PIO2[1] if x.ty.elem == "float64" else math.pi / 2 - 1.57079637050628662109375


def _acos(x: Val) -> Val:
    far, s, cube, slope = _asin_parts(x)
    low = _low_pio2(x)
    near = _PIO2[0] - (_copysign(s, x) + _copysign(cube, x).fma(slope, -low))
    left = (s + cube.fma(slope, -low)).fma(-2.0, math.pi)
    return far.pick((x < 0.0).pick(left, cube.fma(slope, s) * 2.0), near)


def _atan_ratio(y: Val, x: Val) -> Val:
    """atan(y / x) for y >= 0 and x > 0: one division."""
    steep = y > x
    small, large = steep.pick(x, y), steep.pick(y, x)
    bent = small > large * _TAN_PI_8
    t = bent.pick(small - large, small) / bent.pick(small + large, large)
    z = t * t
    low = _low_pio2(y)
    angle = (t * z).fma(z.poly(tables.ATAN), t)
    angle = bent.pick((angle + low * 0.5) + math.pi / 4, angle)
    return steep.pick((low - angle) + math.pi / 2, angle)


def _atan(x: Val) -> Val:
    size = abs(x)
    infinite = size.same(math.inf)
    angle = _atan_ratio(infinite.pick(1.0, size), infinite.pick(x.const(0.0), 1.0))
    return _copysign((size < 2.0 ** -(_MANTISSA[x.ty.elem] // 2 + 1)).pick(size, angle), x)


def _atan2(y: Val, x: Val) -> Val:
    up, right = abs(y), abs(x)
    both = up.same(math.inf) & right.same(math.inf)
    none = up.same(0.0) & right.same(0.0)
    up, right = both.pick(1.0, up), (both | none).pick(1.0, right)
    # neither the sum of two huge numbers nor the quotient of two tiny ones may leave the range
    huge = (up > 2.0**100) | (right > 2.0**100)
    scale = huge.pick(x.const(0.25), 1.0)
    up, right = up * scale, right * scale
    infinite = up.same(math.inf)
    angle = _atan_ratio(infinite.pick(1.0, up), infinite.pick(0.0, right))
    behind = x.bits(signed=True) < 0
    low = 2.0 * _low_pio2(x)
    angle = behind.pick(math.pi - (angle - low), angle)
    unordered = x.of("isnan") | y.of("isnan")
    return unordered.pick(math.nan, _copysign(angle, y))


# the error function -------------------------------------------------------------------------------


def _erf(x: Val) -> Val:
    return _erf_narrow(x) if x.ty.elem == "float32" else _erf_wide(x)


def _erf_narrow(x: Val) -> Val:
    size = (abs(x) > 4.0).pick(4.0, abs(x))
    z = size * size
    ratio = size * z.poly(tables.ERFN) / z.poly(tables.ERFD)
    return _copysign((ratio > 1.0).pick(1.0, ratio), x)


def _erf_wide(x: Val) -> Val:
    size = (abs(x) > 6.0).pick(6.0, abs(x))
    z = size * size
    near = size * z.poly(tables.ERF)
    t = (size - 2.0) / (size + 2.0)
    far = 1.0 - _exp(-z) * t.poly(tables.ERFCX)
    return _copysign((size < 1.0).pick(near, far), x)


# powers -------------------------------------------------------------------------------------------


def _two_product(x: Val, y: Val) -> tuple[Val, Val]:
    """x * y and what its rounding lost (Dekker's where nothing is fused)."""
    product = x * y
    if x.b.fused:
        return product, x.fma(y, -product)
    keep = -(1 << 27)
    xh = (x.bits(signed=True) & keep).floats()
    yh = (y.bits(signed=True) & keep).floats()
    xl, yl = x - xh, y - yh
    return product, ((xh * yh - product) + xh * yl + xl * yh) + xl * yl


def _two_sum(x: Val, y: Val) -> tuple[Val, Val]:
    """x + y and what its rounding lost, |x| >= |y| or x = 0."""
    total = x + y
    return total, y - (total - x)


def _log_pair(x: Val) -> tuple[Val, Val]:
    """log2(x) as the sum of two float64, to about 2^-65 of itself; x positive and finite."""
    m, e = _frexp(x)
    f, g = m - 1.0, m + 1.0
    g_low = m - (g - 1.0)
    s = f / g
    p, p_low = _two_product(s, g)
    s_low = ((f - p) - p_low - s * g_low) / g
    # log(m) = 2 s + 2/3 s^3 + s^5 (…)
    z, z_low = _two_product(s, s)
    z_low = (s * s_low).fma(2.0, z_low)
    cube, cube_low = _two_product(s, z)
    cube_low = cube_low + s * z_low + s_low * z
    third, third_low = _two_product(cube, cube.const(_THIRDS[0]))
    third_low = third_low + cube * _THIRDS[1] + cube_low * _THIRDS[0]
    tail = cube * z * z.poly(tables.ATANH5)
    high, low = _two_sum(s * 2.0, third)
    low = low + (s_low * 2.0 + third_low + tail)
    high, low = _two_sum(high, low)
    # times log2(e), plus the exponent
    p, p_low = _two_product(high, high.const(_LOG2E))
    p_low = p_low + high * _LOG2E_LOW + low * _LOG2E
    total, rest = _two_sum(e, p)
    return total, rest + p_low


def _pow(x: Val, y: Val) -> Val:
    if x.ty.elem == "float32":
        return _pow(x.cast("float64"), y.cast("float64")).cast("float32")
    size = abs(x)
    edge = size.same(0.0) | size.same(math.inf)
    high, low = _log_pair(edge.pick(1.0, size))
    steep = abs(y) > 1e300
    calm = steep.pick(_copysign(y.const(1e300), y), y)
    p, p_low = _two_product(high, calm)
    p_low = p_low + low * calm
    result = _exp2_pair(p, p_low)
    result = edge.pick((size.same(0.0) ^ (y > 0.0)).pick(math.inf, y.const(0.0)), result)
    result = _pow_sign(x, y, result)
    result = ((x.of("isnan")) | y.of("isnan")).pick(math.nan, result)
    return (x.same(1.0) | y.same(0.0)).pick(1.0, result)


def _exp2_pair(high: Val, low: Val) -> Val:
    huge = ~(abs(high) < 1100.0)
    low = huge.pick(0.0, low)
    high = (high > 1100.0).pick(1100.0, high)
    high = (high < -1100.0).pick(-1100.0, high)
    n, total = _whole(high, 1.0, 2 * _bias(high.ty))
    r = (high - n) + low
    return _ldexp(r.fma(r.poly(tables.EXP2), 1.0), total)


def _pow_sign(x: Val, y: Val, result: Val) -> Val:
    """A negative base: NaN unless the power is whole, negative where it is odd."""
    whole = y.of("floor").same(y)
    half = y * 0.5
    odd = whole & ~half.of("floor").same(half)
    below = x.bits(signed=True) < 0
    result = (below & odd).pick(-result, result)
    finite = abs(x) < math.inf
    return ((x < 0.0) & finite & ~whole).pick(math.nan, result)


def _expansion(function: Callable[..., Val]) -> Callable[..., Reg]:
    def expand(b: NestBuilder, *args: Reg) -> Reg:
        return function(*(Val(b, reg) for reg in args)).reg

    return expand


MATH: Final[dict[str, Callable[..., Reg]]] = {
    "exp": _expansion(_exp),
    "exp2": _expansion(_exp2),
    "expm1": _expansion(_expm1),
    "log": _expansion(_log),
    "log2": _expansion(_log2),
    "log1p": _expansion(_log1p),
    "sin": _expansion(_sin),
    "cos": _expansion(_cos),
    "tan": _expansion(_tan),
    "asin": _expansion(_asin),
    "acos": _expansion(_acos),
    "atan": _expansion(_atan),
    "sinh": _expansion(_sinh),
    "cosh": _expansion(_cosh),
    "tanh": _expansion(_tanh),
    "erf": _expansion(_erf),
    "pow": _expansion(_pow),
    "atan2": _expansion(_atan2),
}
"""The expansion of each elementary function: (builder, operands…) -> result."""

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
