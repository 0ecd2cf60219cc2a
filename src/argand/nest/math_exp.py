"""Exponentials, hyperbolic functions, logarithms, the error function and powers."""

from __future__ import annotations

import math
from typing import Final

from argand.nest import math_tables as tables
from argand.nest.math_value import (
    MANTISSA,
    VectorValue,
    bits_of,
    copysign,
    exponent_bias,
    scaled,
    whole_part,
)

_LOG2E: Final = 1.4426950408889634
_LOG2E_LOW: Final = 2.0355273740931033e-17
_LOG2E_PARTS: Final = {
    "float32": (1.44287109375, -0.00017605286103659264),
    "float64": (1.4426950407214463, 1.6751713164886512e-10),
}
_THIRDS: Final = (0.6666666666666666, 3.700743415417188e-17)
_LN2: Final = {
    "float32": (0.693115234375, 3.194618329871446e-05),
    "float64": (0.6931471805592082, 7.371002565167799e-13),
}
_EXP_RANGE: Final = {"float32": (-104.0, 90.0), "float64": (-746.0, 711.0)}


# exponentials -------------------------------------------------------------------------------------


def _clamp(x: VectorValue) -> VectorValue:
    """Within what exp can tell apart; a NaN stays."""
    low, high = _EXP_RANGE[x.ty.elem]
    x = (x > high).pick(high, x)
    return (x < low).pick(low, x)


def _exp_parts(x: VectorValue, offset: int) -> tuple[VectorValue, VectorValue]:
    """r and the sum that holds n + offset, where x = n ln(2) + r."""
    high, low = _LN2[x.ty.elem]
    n, total = whole_part(x, _LOG2E, offset)
    return n.fma(-low, n.fma(-high, x)), total


def _exp_scaled(x: VectorValue, extra: int) -> VectorValue:
    r, total = _exp_parts(_clamp(x), 2 * exponent_bias(x.ty) + extra)
    return scaled(r.fma(r.fma(r.poly(tables.EXP), 1.0), 1.0), total)


def exp(x: VectorValue) -> VectorValue:
    """e^x."""
    return _exp_scaled(x, 0)


def exp2(x: VectorValue) -> VectorValue:
    """2^x."""
    low, high = {"float32": (-151.0, 129.0), "float64": (-1076.0, 1025.0)}[x.ty.elem]
    x = (x > high).pick(high, x)
    x = (x < low).pick(low, x)
    n, total = whole_part(x, 1.0, 2 * exponent_bias(x.ty))
    r = x - n
    return scaled(r.fma(r.poly(tables.EXP2), 1.0), total)


def _expm1_scaled(x: VectorValue, extra: int) -> VectorValue:
    """(exp(x) - 1) * 2^extra. With an extra of -3 no power on the way overflows."""
    elem = x.ty.elem
    high = _EXP_RANGE[elem][1]
    x = (x > high).pick(high, x)
    x = (x < -45.0).pick(-45.0, x)
    (log_high, log_low), offset = _LN2[elem], exponent_bias(x.ty) + extra
    n, total = whole_part(x, _LOG2E, offset)
    near = n.fma(-log_high, x)
    r = n.fma(-log_low, near)
    # what rounding took from r, and takes from the sum of power * r: they show where powers cancel
    lost = n.fma(-log_low, near - r)
    power = (total.bits() << MANTISSA[elem]).floats()
    above = power - 2.0**extra
    whole = power.fma(r, above)
    part = power.fma(r, above - whole)
    rest = r.fma(r.fma(r.poly(tables.EXPM1), lost), lost)
    return whole + power.fma(rest, part)


def expm1(x: VectorValue) -> VectorValue:
    """e^x - 1."""
    # an eighth of it is finite wherever it is needed
    result = _expm1_scaled(x, -3) * 8.0
    return (abs(x) < 2.0 ** -(MANTISSA[x.ty.elem] + 2)).pick(x, result)


def tanh(x: VectorValue) -> VectorValue:
    """The hyperbolic tangent of x."""
    if x.ty.elem == "float32":
        return _tanh_narrow(x)
    half = _expm1_scaled(abs(x) * -2.0, -1)
    rest = half + 1.0
    result = half / rest
    # what rounding took from the divisor, to first order; 1 / rest = 1 - result
    lost = half - (rest - 1.0)
    return copysign(result - result * lost * (1.0 - result), x)


def _tanh_narrow(x: VectorValue) -> VectorValue:
    """h / (h + 2), h = exp(2 |x|) - 1: never above 1, and exactly x / 1 where x is tiny."""
    twice = abs(x + x)
    twice = (twice > 20.0).pick(20.0, twice)
    r, total = _exp_parts(twice, exponent_bias(x.ty))
    power = (total.bits() << MANTISSA["float32"]).floats()
    h = power.fma((r * r).fma(r.poly(tables.EXP), r), power - 1.0)
    return (((h / (h + 2.0)).bits()) | (x.bits() & (1 << 31))).floats()


def sinh(x: VectorValue) -> VectorValue:
    """The hyperbolic sine of x.

    With h = (exp(x) - 1) / 2: h + h / (2 h + 1); where h is small, 2 h less a small part.
    """
    size = abs(x)
    half = _expm1_scaled(size, -3) * 4.0
    twice = half * 2.0
    ratio = half / (twice + 1.0)
    result = (size < 0.5).pick(twice.fma(-ratio, twice), half + ratio)
    result = half.same(math.inf).pick(half, result)
    return copysign((size < 2.0 ** -(MANTISSA[x.ty.elem] // 2)).pick(size, result), x)


def cosh(x: VectorValue) -> VectorValue:
    """The hyperbolic cosine of x: with h = e^|x| / 2, h + 1 / (4 h)."""
    half = _exp_scaled(abs(x), -1)
    return half + 0.25 / half


# logarithms ---------------------------------------------------------------------------------------


def _frexp(x: VectorValue) -> tuple[VectorValue, VectorValue]:
    """m in [sqrt(1/2), sqrt(2)) and e as a float, where x = m * 2^e, x positive."""
    elem, mantissa = x.ty.elem, MANTISSA[x.ty.elem]
    bias = (1 << (8 * x.ty.bytes - 2 - mantissa)) - 1
    up = mantissa + 2
    tiny = x < 2.0 ** (1 - bias)
    bits = tiny.pick(x * 2.0**up, x).bits()
    start = bits_of(elem, math.sqrt(0.5))
    exponent = (bits - (start - (bias << mantissa))) >> mantissa
    m = (bits - ((exponent - bias) << mantissa)).floats()
    # an integer in the low bits of 2^mantissa is a float without a conversion
    e = (exponent | bits_of(elem, 2.0**mantissa)).floats() - tiny.pick(
        x.const(2.0**mantissa + bias + up), 2.0**mantissa + bias
    )
    return m, e


def _log_mantissa(m: VectorValue, e: VectorValue) -> VectorValue:
    """log(m) + e * ln(2)."""
    f, half, rest = _log_parts(m)
    high, low = _LN2[m.ty.elem]
    if m.ty.elem == "float32":
        return e.fma(high, f + (e.fma(low, rest) - half))
    return e * high - ((half - e.fma(low, rest)) - f)


def _log_parts(m: VectorValue) -> tuple[VectorValue, VectorValue, VectorValue]:
    """f, f^2/2 and the small rest of log(m) = f - f^2/2 + rest, f = m - 1."""
    f = m - 1.0
    half = f * f * 0.5
    if m.ty.elem == "float32":
        return f, half, f * f * f * f.poly(tables.LOG)
    s = f / (f + 2.0)
    z = s * s
    return f, half, s * (half + z * z.poly(tables.ATANH))


def _log_specials(x: VectorValue, result: VectorValue) -> VectorValue:
    result = x.same(math.inf).pick(x, result)
    result = x.same(0.0).pick(-math.inf, result)
    return (x >= 0.0).pick(result, math.nan)


def log(x: VectorValue) -> VectorValue:
    """The natural logarithm of x."""
    return _log_specials(x, _log_mantissa(*_frexp(x)))


def log2(x: VectorValue) -> VectorValue:
    """The logarithm of x to base 2."""
    m, e = _frexp(x)
    f, half, rest = _log_parts(m)
    # log(m) as a sum whose first part has few bits: its product with log2(e)'s is exact
    kept = -(1 << (MANTISSA[x.ty.elem] // 2 + 1))
    high = ((f - half).bits(signed=True) & kept).floats()
    small = ((f - high) - half) + rest
    first, second = _LOG2E_PARTS[x.ty.elem]
    whole = high * first
    part = (small + high).fma(second, small * first)
    total = e + whole
    return _log_specials(x, total + (((e - total) + whole) + part))


def log1p(x: VectorValue) -> VectorValue:
    """The natural logarithm of 1 + x."""
    whole = x + 1.0
    # what rounding took from 1 + x, to first order
    lost = x - (whole - 1.0)
    result = _log_mantissa(*_frexp(whole)) + lost / whole
    result = whole.same(1.0).pick(x, result)
    return _log_specials(whole, result)


# the error function -------------------------------------------------------------------------------


def erf(x: VectorValue) -> VectorValue:
    """The error function of x."""
    return _erf_narrow(x) if x.ty.elem == "float32" else _erf_wide(x)


def _erf_narrow(x: VectorValue) -> VectorValue:
    size = (abs(x) > 4.0).pick(4.0, abs(x))
    z = size * size
    ratio = size * z.poly(tables.ERFN) / z.poly(tables.ERFD)
    return copysign((ratio > 1.0).pick(1.0, ratio), x)


def _erf_wide(x: VectorValue) -> VectorValue:
    size = (abs(x) > 6.0).pick(6.0, abs(x))
    z = size * size
    near = size * z.poly(tables.ERF)
    t = (size - 2.0) / (size + 2.0)
    far = 1.0 - exp(-z) * t.poly(tables.ERFCX)
    return copysign((size < 1.0).pick(near, far), x)


# powers -------------------------------------------------------------------------------------------


def _two_product(x: VectorValue, y: VectorValue) -> tuple[VectorValue, VectorValue]:
    """x * y and what its rounding lost (Dekker's where nothing is fused)."""
    product = x * y
    if x.b.fused:
        return product, x.fma(y, -product)
    keep = -(1 << 27)
    xh = (x.bits(signed=True) & keep).floats()
    yh = (y.bits(signed=True) & keep).floats()
    xl, yl = x - xh, y - yh
    return product, ((xh * yh - product) + xh * yl + xl * yh) + xl * yl


def _two_sum(x: VectorValue, y: VectorValue) -> tuple[VectorValue, VectorValue]:
    """x + y and what its rounding lost, |x| >= |y| or x = 0."""
    total = x + y
    return total, y - (total - x)


def _log_pair(x: VectorValue) -> tuple[VectorValue, VectorValue]:
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


def pow(x: VectorValue, y: VectorValue) -> VectorValue:
    """x^y; float32 is computed in float64."""
    if x.ty.elem == "float32":
        return pow(x.cast("float64"), y.cast("float64")).cast("float32")
    size = abs(x)
    edge = size.same(0.0) | size.same(math.inf)
    high, low = _log_pair(edge.pick(1.0, size))
    steep = abs(y) > 1e300
    calm = steep.pick(copysign(y.const(1e300), y), y)
    p, p_low = _two_product(high, calm)
    p_low = p_low + low * calm
    result = _exp2_pair(p, p_low)
    result = edge.pick((size.same(0.0) ^ (y > 0.0)).pick(math.inf, y.const(0.0)), result)
    result = _pow_sign(x, y, result)
    result = ((x.of("isnan")) | y.of("isnan")).pick(math.nan, result)
    return (x.same(1.0) | y.same(0.0)).pick(1.0, result)


def _exp2_pair(high: VectorValue, low: VectorValue) -> VectorValue:
    huge = ~(abs(high) < 1100.0)
    low = huge.pick(0.0, low)
    high = (high > 1100.0).pick(1100.0, high)
    high = (high < -1100.0).pick(-1100.0, high)
    n, total = whole_part(high, 1.0, 2 * exponent_bias(high.ty))
    r = (high - n) + low
    return scaled(r.fma(r.poly(tables.EXP2), 1.0), total)


def _pow_sign(x: VectorValue, y: VectorValue, result: VectorValue) -> VectorValue:
    """A negative base: NaN unless the power is whole, negative where it is odd."""
    whole = y.of("floor").same(y)
    half = y * 0.5
    odd = whole & ~half.of("floor").same(half)
    below = x.bits(signed=True) < 0
    result = (below & odd).pick(-result, result)
    finite = abs(x) < math.inf
    return ((x < 0.0) & finite & ~whole).pick(math.nan, result)
