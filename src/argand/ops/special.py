"""Special functions with formulas of their own, computed in float64 whatever the dtype.

Each is within a few units in the last place of the larger of its result and 1;
tests/ops/test_special.py holds them to it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from argand.base.dtype import float64
from argand.ir.elementwise import Elementwise
from argand.ir.op import ops
from argand.ir.samples import Sample, T, Uniform
from argand.ops import special_tables as tables

_LOG_2_PI = 0.9189385332046727  # log(2 pi) / 2
_ROOT_HALF = math.sqrt(0.5)
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def _wide(formula: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A body that computes in float64 and rounds once."""

    @functools.wraps(formula)
    def body(b: Any, x: Any) -> Any:
        return b.cast(formula(b, b.cast(x, float64)), x.dtype)

    return body


class _Special(Elementwise):
    """A function of one number, with a derivative that is another one."""

    abstract = True
    required: ClassVar[tuple[str, ...]] = ("samples", "body", "slope")
    promotion = "float"
    kinds = "buif"
    reads_result: ClassVar[bool] = False
    slope: ClassVar[Any] = None

    def adjoint_for(
        self,
        wants: Sequence[bool],
        grads: Sequence[Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        params: dict[str, Any],
    ) -> Sequence[Any]:
        return [ops.mul(grads[0], type(self).slope(inputs[0], outputs[0]))]

    def saves(self, params: dict[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
        return (0,), (0,) if self.reads_result else ()

    def saves_for(
        self, wants: Sequence[bool], params: dict[str, Any]
    ) -> tuple[Sequence[int], Sequence[int]]:
        return self.saves(params)

    def derive(self, part: str) -> None:
        return None


def _poly(b: Any, x: Any, table: Sequence[float]) -> Any:
    total: Any = b.const(table[-1], float64)
    for coefficient in reversed(table[:-1]):
        total = b.fma(total, x, coefficient)
    return total


# the error function's relatives -------------------------------------------------------------------


def _exp_square(b: Any, x: Any, sign: float) -> Any:
    """exp(sign * x * x), x up to 30: the square of x rounded to sixteenths is exact."""
    near = b.round(x * 16) * 0.0625
    return b.exp(near * near * sign) * b.exp((x - near) * (x + near) * sign)


def _erfcx_above(b: Any, x: Any) -> Any:
    """exp(x^2) erfc(x) of x >= 0."""
    bounded = b.min(x, 1e300)
    return _poly(b, (bounded - 4) / (bounded + 4), tables.ERFCX) / (1 + 2 * x)


def _erfc(b: Any, x: Any) -> Any:
    size = abs(x)
    far = _exp_square(b, b.min(size, 30), -1) * _erfcx_above(b, size)
    return b.where(b.lt(size, 0.5), 1 - b.erf(x), b.where(b.lt(x, 0), 2 - far, far))


class Erfc(_Special):
    """1 - erf(x), accurate where erf(x) is close to 1.

    >>> ag.erfc(ag.tensor([0.0, 1.0, 5.0]))
    tensor([1.0000e+00, 1.5730e-01, 1.5375e-12])
    """

    samples = Uniform(-3, 4)
    body = _wide(_erfc)

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.mul(ops.exp(ops.neg(ops.square(x))), -_TWO_OVER_ROOT_PI)


class Erfcx(_Special):
    """exp(x^2) * erfc(x), the scaled complementary error function.

    >>> ag.special.erfcx(ag.tensor([0.0, 1.0, 1e6]))
    tensor([1.0000e+00, 4.2758e-01, 5.6419e-07])
    """

    samples = Uniform(-1, 5)
    reads_result = True

    @_wide
    def body(b: Any, x: Any) -> Any:
        above = _erfcx_above(b, abs(x))
        power = _exp_square(b, b.min(abs(x), 30), 1)
        found = b.where(b.lt(x, 0), 2 * power - above, above)
        return b.where(b.lt(abs(x), 0.5), power * (1 - b.erf(x)), found)

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.sub(ops.mul(ops.mul(x, y), 2), _TWO_OVER_ROOT_PI)


class Ndtr(_Special):
    """The normal distribution function: the area under the bell curve below x, in [0, 1].

    >>> ag.special.ndtr(ag.tensor([-1.0, 0.0, 1.0]))
    tensor([0.1587, 0.5000, 0.8413])
    """

    samples = Uniform(-4, 4)

    @_wide
    def body(b: Any, x: Any) -> Any:
        return _erfc(b, x * -_ROOT_HALF) * 0.5

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.mul(ops.exp(ops.mul(ops.square(x), -0.5)), 1 / math.sqrt(2 * math.pi))


class LogNdtr(_Special):
    """ln(ndtr(x)), accurate far below 0 where ndtr(x) vanishes.

    >>> ag.special.log_ndtr(ag.tensor([-100.0, 0.0, 3.0]))
    tensor([-5.0055e+03, -6.9315e-01, -1.3508e-03])
    """

    samples = Uniform(-6, 4)

    @_wide
    def body(b: Any, x: Any) -> Any:
        below = b.log(_erfcx_above(b, abs(x) * _ROOT_HALF) * 0.5) - x * x * 0.5
        return b.where(b.lt(x, -1), below, b.log1p(_erfc(b, x * _ROOT_HALF) * -0.5))

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.div(math.sqrt(2 / math.pi), ops.erfcx(ops.mul(x, -_ROOT_HALF)))


def _erfinv_ratio(b: Any, w: Any) -> Any:
    """erfinv(x) / x, where w = -log(1 - x * x)."""
    s = b.sqrt(w)
    inverse = 1 / b.max(s, 1)
    near = _poly(b, w - 3.125, tables.ERFINV_NEAR)
    far = _poly(b, s - 3.25, tables.ERFINV_FAR)
    tail = s * _poly(b, inverse - 0.175, tables.ERFINV_TAIL)
    end = s * _poly(b, inverse - 0.068, tables.ERFINV_END)
    beyond = b.where(b.lt(s, 10), tail, end)
    return b.where(b.lt(w, 6.25), near, b.where(b.lt(s, 4), far, beyond))


class Erfinv(_Special):
    """The number whose error function is x: infinite at -1 and 1, NaN beyond.

    >>> ag.erfinv(ag.tensor([0.0, 0.5, -1.0]))
    tensor([0.0000, 0.4769,   -inf])
    """

    samples = Uniform(-0.9, 0.9)
    reads_result = True

    @_wide
    def body(b: Any, x: Any) -> Any:
        return x * _erfinv_ratio(b, -b.log((1 - x) * (1 + x)))

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.mul(ops.exp(ops.square(y)), 1 / _TWO_OVER_ROOT_PI)


class Ndtri(_Special):
    """The number below which the area under the bell curve is x: infinite at 0 and 1, NaN beyond.

    >>> ag.special.ndtri(ag.tensor([0.5, 0.975, 0.0]))
    tensor([0.0000, 1.9600,   -inf])
    """

    samples = Uniform(0.05, 0.95)
    reads_result = True

    @_wide
    def body(b: Any, x: Any) -> Any:
        ratio = _erfinv_ratio(b, -b.log(x * 4 * (1 - x)))
        return (2 * x - 1) * math.sqrt(2) * ratio

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.mul(ops.exp(ops.mul(ops.square(y), 0.5)), math.sqrt(2 * math.pi))


# the gamma function's logarithm -------------------------------------------------------------------


def _lgamma_above(b: Any, x: Any) -> Any:
    """log(gamma(x)) of x > 0: a polynomial around its zeros, to which others are brought by
    gamma(x + 1) = x gamma(x); Stirling's series from 8 on."""
    small = b.lt(x, 0.75)
    z, product = b.where(small, x + 1, x), 1.0
    for _ in range(6):
        over = b.ge(z, 2.5)
        product = b.where(over, product * (z - 1), product)
        z = b.where(over, z - 1, z)
    base = b.where(small, x, z - 1) * (z - 2) * _poly(b, z - 1.625, tables.LGAMMA)
    log = b.log(b.where(small, x, product))
    near = base + b.where(small, -log, log)
    inverse = 1 / x
    series = inverse * _poly(b, inverse * inverse, tables.STIRLING)
    far = (x - 0.5) * (b.log(x) - 1) + (_LOG_2_PI - 0.5) + series
    return b.where(b.lt(x, 8), near, far)


class Lgamma(_Special):
    """ln(|gamma(x)|), infinite at 0 and the negative whole numbers; its gradient is `digamma`.

    Where x is whole, gamma(x) is (x - 1)!.

    >>> ag.lgamma(ag.tensor([1.0, 5.0, -1.0]))
    tensor([0.0000, 3.1781,    inf])
    """

    samples = Uniform(0.3, 9)

    @_wide
    def body(b: Any, x: Any) -> Any:
        size = abs(x)
        above, log = _lgamma_above(b, size), b.log(size)
        part = size - b.floor(size)
        sine = b.sin(math.pi * b.min(part, 1 - part))
        below = b.log(math.pi / sine) - log - above
        below = b.where(b.lt(size, 1e-17), -log, below)
        return b.where(b.isinf(x), math.inf, b.where(b.gt(x, 0), above, below))

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.digamma(x)


class Digamma(_Special):
    """The derivative of `lgamma`: infinite at 0, NaN at the negative whole numbers.

    >>> ag.digamma(ag.tensor([1.0, 2.0, 0.0]))
    tensor([-0.5772,  0.4228,    -inf])
    """

    samples = Uniform(0.3, 9)

    @_wide
    def body(b: Any, x: Any) -> Any:
        z, less = b.where(b.lt(x, 0), 1 - x, x), 0.0
        for _ in range(10):
            low = b.lt(z, 10)
            less = b.where(low, less + 1 / z, less)
            z = b.where(low, z + 1, z)
        inverse = 1 / z
        square = inverse * inverse
        found = b.log(z) - 0.5 * inverse - square * _poly(b, square, tables.DIGAMMA) - less
        part = x - b.round(x)
        below = b.where(b.eq(part, 0), math.nan, found - math.pi / b.tan(math.pi * part))
        found = b.where(b.lt(x, 0), below, found)
        return b.where(b.eq(x, 0), b.copysign(math.inf, -x), found)

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.trigamma(x)


class Trigamma(_Special):
    """The derivative of `digamma`, which is `polygamma` of the order 1."""

    samples = Uniform(0.3, 9)

    @_wide
    def body(b: Any, x: Any) -> Any:
        below = b.lt(x, 0.5)
        z, more = b.where(below, 1 - x, x), 0.0
        for _ in range(10):
            low = b.lt(z, 10)
            more = b.where(low, more + 1 / (z * z), more)
            z = b.where(low, z + 1, z)
        inverse = 1 / z
        square = inverse * inverse
        series = inverse * square * _poly(b, square, tables.TRIGAMMA)
        found = inverse + 0.5 * square + series + more
        sine = b.sin(math.pi * (x - b.round(x))) * (1 / math.pi)
        return b.where(below, 1 / (sine * sine) - found, found)

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.mul(ops.zeta(3.0, x), -2)


# modified Bessel functions ------------------------------------------------------------------------


def _i0_parts(b: Any, x: Any) -> tuple[Any, Any]:
    """I0(x) of |x| below 8, and exp(-|x|) I0(x) of others."""
    return _bessel_parts(b, x, tables.I0_NEAR, tables.I0_FAR)


def _i1_parts(b: Any, x: Any) -> tuple[Any, Any]:
    """I1(x) of |x| below 8, and exp(-|x|) I1(x) of others."""
    near, far = _bessel_parts(b, x, tables.I1_NEAR, tables.I1_FAR)
    return near * x * 0.5, b.copysign(far, x)


def _bessel_parts(b: Any, x: Any, near: Any, far: Any) -> tuple[Any, Any]:
    low, high = b.min(abs(x), 8), b.max(abs(x), 8)
    return _poly(b, low * low * 0.25, near), _poly(b, 8 / high - 0.5, far) / b.sqrt(high)


def _whole(b: Any, x: Any, parts: tuple[Any, Any]) -> Any:
    near, far = parts
    half = b.exp(abs(x) * 0.5)  # its square may be too large where the result isn't
    beyond = b.where(b.isinf(half), b.copysign(half, far), far * half * half)
    return b.where(b.lt(abs(x), 8), near, beyond)


def _scaled(b: Any, x: Any, parts: tuple[Any, Any]) -> Any:
    near, far = parts
    return b.where(b.lt(abs(x), 8), near * b.exp(-abs(x)), far)


class _Bessel(_Special):
    """A modified Bessel function of the first kind."""

    abstract = True
    samples: ClassVar[Any] = (Sample(T((2, 3), -7, 7)), Sample(T((4,), 8.5, 12)), Sample(T(())))


class I0(_Bessel):
    """The modified Bessel function of the first kind and order 0.

    >>> ag.i0(ag.tensor([0.0, 1.0, -3.0]))
    tensor([1.0000, 1.2661, 4.8808])
    """

    @_wide
    def body(b: Any, x: Any) -> Any:
        return _whole(b, x, _i0_parts(b, x))

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.i1(x)


class I0e(_Bessel):
    """exp(-|x|) * i0(x), which doesn't overflow.

    >>> ag.special.i0e(ag.tensor([0.0, 1.0, 1000.0]))
    tensor([1.0000, 0.4658, 0.0126])
    """

    reads_result = True

    @_wide
    def body(b: Any, x: Any) -> Any:
        return _scaled(b, x, _i0_parts(b, x))

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.sub(ops.i1e(x), ops.mul(ops.sign(x), y))


class I1(_Bessel):
    """The modified Bessel function of the first kind and order 1.

    >>> ag.special.i1(ag.tensor([0.0, 1.0, -3.0]))
    tensor([ 0.0000,  0.5652, -3.9534])
    """

    reads_result = True

    @_wide
    def body(b: Any, x: Any) -> Any:
        return _whole(b, x, _i1_parts(b, x))

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.sub(ops.i0(x), _over(y, x))


class I1e(_Bessel):
    """exp(-|x|) * i1(x), which doesn't overflow.

    >>> ag.special.i1e(ag.tensor([0.0, 1.0, 1000.0]))
    tensor([0.0000, 0.2079, 0.0126])
    """

    reads_result = True

    @_wide
    def body(b: Any, x: Any) -> Any:
        return _scaled(b, x, _i1_parts(b, x))

    @staticmethod
    def slope(x: Any, y: Any) -> Any:
        return ops.sub(ops.sub(ops.i0e(x), ops.mul(ops.sign(x), y)), _over(y, x))


def _over(y: Any, x: Any) -> Any:
    """y / x, and 1/2 at 0, which is the limit of I1(x) / x."""
    zero = ops.eq(x, 0)
    return ops.where(zero, 0.5, ops.div(y, ops.where(zero, 1.0, x)))


# entropies ----------------------------------------------------------------------------------------


class Entr(Elementwise):
    """-x * ln(x): a term of an entropy; 0 at 0, minus infinity below.

    >>> ag.special.entr(ag.tensor([0.0, 0.5, -1.0]))
    tensor([0.0000, 0.3466,   -inf])
    """

    samples = Uniform(0.2, 4)
    promotion = "float"
    kinds = "buif"

    def body(b: Any, x: Any) -> Any:
        edge = b.where(b.eq(x, 0), 0.0, b.where(b.lt(x, 0), -math.inf, x))
        return b.where(b.gt(x, 0), -x * b.log(x), edge)

    def partials(b: Any, g: Any, y: Any, x: Any) -> Any:
        return [-g * (b.log(x) + 1)]


class _LogProduct(Elementwise):
    """A number times a logarithm, 0 where the number is 0 and the logarithm isn't of a NaN."""

    abstract = True
    promotion = "float"
    kinds = "buif"
    samples: ClassVar[Any] = (
        Sample(T((2, 3)), T((2, 3), 0.3, 3.0)),
        Sample(T((3, 1)), T((4,), 0.3, 3.0)),
        Sample(1.5, T((3,), 0.3, 3.0)),
        Sample(T((3,)), 2.5),
        Sample(T(()), T((), 0.3, 3.0)),
        Sample(T((0,)), T((0,))),
    )


class Xlogy(_LogProduct):
    """input * ln(other), and 0 where input is 0, even at other = 0; NaN where other is NaN.

    The terms of an entropy. Either may be a number. Follows `torch.xlogy`.

    >>> ag.xlogy(ag.tensor([0.0, 2.0]), ag.tensor([0.0, 10.0]))
    tensor([0.0000, 4.6052])
    """

    def body(b: Any, input: Any, other: Any) -> Any:
        none = b.eq(input, 0) & ~b.isnan(other)
        return b.where(none, 0.0, input * b.log(other))

    def partials(b: Any, g: Any, y: Any, input: Any, other: Any) -> Any:
        none = b.eq(input, 0) & b.le(other, 0)
        return [b.where(none, 0.0, g * b.log(other)), g * input / other]


class Xlog1py(_LogProduct):
    """input * ln(1 + other), and 0 where input is 0, even at other = -1; NaN where other is NaN.

    Either may be a number. Follows `torch.special.xlog1py`.

    >>> ag.special.xlog1py(ag.tensor([0.0, 2.0]), ag.tensor([-1.0, 9.0]))
    tensor([0.0000, 4.6052])
    """

    def body(b: Any, input: Any, other: Any) -> Any:
        none = b.eq(input, 0) & ~b.isnan(other)
        return b.where(none, 0.0, input * b.log1p(other))

    def partials(b: Any, g: Any, y: Any, input: Any, other: Any) -> Any:
        none = b.eq(input, 0) & b.le(other, -1)
        return [b.where(none, 0.0, g * b.log1p(other)), g * input / (other + 1)]
