"""Sine, cosine, tangent and their inverses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from argand.nest import math_tables as tables
from argand.nest.builder import Ty
from argand.nest.math_value import MANTISSA, VectorValue, copysign, whole_part

_TAN_PI_8: Final = 0.41421356237309503
_PIO2: Final = (1.5707963267948966, 6.123233995736766e-17)
_PIO2_FUSED: Final = (1.570796251296997, 7.549789415861596e-08, 5.390302529957765e-15)
_PIO2_SHORT: Final = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)


# sine and cosine ----------------------------------------------------------------------------------


def _reduce_huge(x: VectorValue) -> tuple[VectorValue, VectorValue]:
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
    found = [
        VectorValue(b, b.gather(words, (index + k).cast("int64").reg, bits.ty)) for k in range(4)
    ]
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


def _reduce_wide(x: VectorValue) -> tuple[VectorValue, VectorValue]:
    """x mod pi/2 in float64, and the quadrant."""
    n, total = whole_part(x, 2.0 / math.pi)
    r = x
    for part in _PIO2_SHORT:
        r = r - n * part
    quadrant = total.bits(signed=True)
    return _unless(abs(x) >= 2.0**20, r, quadrant, lambda: _reduce_huge(x))


def _reduce(x: VectorValue) -> tuple[VectorValue, VectorValue]:
    """r in about [-pi/4, pi/4] and a quadrant (its low bits), where x = r + quadrant * pi/2."""
    if x.ty.elem == "float64":
        return _reduce_wide(x)
    if not x.b.fused:
        return _narrow(x)
    n, total = whole_part(x, 2.0 / math.pi)
    r = x
    for part in _PIO2_FUSED:
        r = n.fma(-part, r)
    return _unless(abs(x) >= 1e5, r, total.bits(signed=True), lambda: _narrow(x))


def _narrow(x: VectorValue) -> tuple[VectorValue, VectorValue]:
    r, quadrant = _reduce_wide(x.cast("float64"))
    return r.cast("float32"), quadrant.cast("int32")


def _unless(
    rare: VectorValue,
    r: VectorValue,
    quadrant: VectorValue,
    other: Callable[[], tuple[VectorValue, VectorValue]],
) -> tuple[VectorValue, VectorValue]:
    """(r, quadrant), but `other()` in the rare lanes; skipped when there are none."""
    b = r.b
    with b.if_(b.any(rare.reg)) as branch:
        other_r, other_quadrant = other()
        b.yield_(rare.pick(other_r, r).reg, rare.pick(other_quadrant, quadrant).reg)
    with branch.else_():
        b.yield_(r.reg, quadrant.reg)
    return VectorValue(b, branch.results[0]), VectorValue(b, branch.results[1])


def _sin_cos(r: VectorValue) -> tuple[VectorValue, VectorValue]:
    z = r * r
    sine = (z * r).fma(z.poly(tables.SIN), r)
    cosine = (z * z).fma(z.poly(tables.COS), z.fma(-0.5, 1.0))
    return sine, cosine


def _wave(x: VectorValue, ahead: int) -> VectorValue:
    """sin(x + ahead * pi/2)."""
    r, quadrant = _reduce(x)
    sine, cosine = _sin_cos(r)
    shifted = quadrant + ahead if ahead else quadrant
    odd = (shifted & 1).same(0)
    flip = (shifted & 2) << (8 * x.ty.bytes - 2)
    return (odd.pick(sine, cosine).bits(signed=True) ^ flip).floats()


def sin(x: VectorValue) -> VectorValue:
    """The sine of x."""
    return (abs(x) < 2.0 ** -(MANTISSA[x.ty.elem] // 2 + 1)).pick(x, _wave(x, 0))


def cos(x: VectorValue) -> VectorValue:
    """The cosine of x."""
    return _wave(x, 1)


def tan(x: VectorValue) -> VectorValue:
    """The tangent of x; float32 is computed in float64."""
    if x.ty.elem == "float32":
        return tan(x.cast("float64")).cast("float32")
    r, quadrant = _reduce(x)
    sine, cosine = _sin_cos(r)
    even = (quadrant & 1).same(0)
    result = even.pick(sine, -cosine) / even.pick(cosine, sine)
    return (abs(x) < 2.0 ** -(MANTISSA[x.ty.elem] // 2 + 1)).pick(x, result)


# inverse functions --------------------------------------------------------------------------------


def _asin_parts(x: VectorValue) -> tuple[VectorValue, VectorValue, VectorValue, VectorValue]:
    """Of |x|: whether above 1/2, s and two factors of asin(s) - s, where s = |x| or
    sqrt((1 - |x|) / 2).

    The last parts of pi/2 are added to the small difference, which costs no rounding of the sum."""
    size = abs(x)
    far = size > 0.5
    z = far.pick((1.0 - size) * 0.5, size * size)
    s = far.pick(z.of("sqrt"), size)
    return far, s, s * z, z.poly(tables.ASIN)


def asin(x: VectorValue) -> VectorValue:
    """The arcsine of x."""
    far, s, cube, slope = _asin_parts(x)
    beyond = s + cube.fma(slope, -0.5 * _low_pio2(x))
    return copysign(far.pick(beyond.fma(-2.0, _PIO2[0]), cube.fma(slope, s)), x)


def _low_pio2(x: VectorValue) -> float:
    return _PIO2[1] if x.ty.elem == "float64" else math.pi / 2 - 1.57079637050628662109375


def acos(x: VectorValue) -> VectorValue:
    """The arccosine of x."""
    far, s, cube, slope = _asin_parts(x)
    low = _low_pio2(x)
    near = _PIO2[0] - (copysign(s, x) + copysign(cube, x).fma(slope, -low))
    left = (s + cube.fma(slope, -low)).fma(-2.0, math.pi)
    return far.pick((x < 0.0).pick(left, cube.fma(slope, s) * 2.0), near)


def _atan_ratio(y: VectorValue, x: VectorValue) -> VectorValue:
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


def atan(x: VectorValue) -> VectorValue:
    """The arctangent of x."""
    size = abs(x)
    infinite = size.same(math.inf)
    angle = _atan_ratio(infinite.pick(1.0, size), infinite.pick(x.const(0.0), 1.0))
    return copysign((size < 2.0 ** -(MANTISSA[x.ty.elem] // 2 + 1)).pick(size, angle), x)


def atan2(y: VectorValue, x: VectorValue) -> VectorValue:
    """The angle of the point (x, y), in the quadrant that their signs give."""
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
    return unordered.pick(math.nan, copysign(angle, y))
