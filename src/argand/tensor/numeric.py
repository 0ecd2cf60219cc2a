"""Signs, exponents, angles and conjugates of numbers, as compositions of ops."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from argand.base.dtype import DType, as_dtype, get_default_dtype
from argand.base.errors import CallError, DTypeError, ShapeError
from argand.ir.elementwise import is_number
from argand.ir.op import describe, ops
from argand.tensor.operands import check_tensors


def positive(input: Any) -> Any:
    """+x: the tensor itself. Raises DTypeError for booleans.

    >>> ag.positive(ag.tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """
    if input.dtype.kind == "b":
        raise DTypeError("positive: not defined for bool")
    return input


def sgn(input: Any) -> Any:
    """x / |x|, and 0 at 0: the direction of a complex number, the sign of a real one.

    >>> ag.sgn(ag.tensor([3 + 4j, 0j])), ag.sgn(ag.tensor([-2.0, 0.0]))
    (tensor([0.6000+0.8000j, 0.0000+0.0000j]), tensor([-1.,  0.]))
    """
    if not input.dtype.is_complex:
        return ops.sign(input) if input.dtype.kind != "b" else input
    zero = ops.eq(input, 0)
    safe = ops.where(zero, 1.0, input)
    return ops.where(zero, 0.0, ops.div(safe, ops.abs(safe)))


def angle(input: Any) -> Any:
    """The angle of a complex number in radians, in [-pi, pi]; of a real one 0, or pi below 0.

    NaN stays NaN. The gradient at 0 is 0. Follows `torch.angle`.

    >>> ag.angle(ag.tensor([1 + 1j, -1 + 0j])), ag.angle(ag.tensor([2.0, -3.0]))
    (tensor([0.7854, 3.1416]), tensor([0.0000, 3.1416]))
    """
    if input.dtype.is_complex:
        real, imag = ops.real(input), ops.imag(input)
        zero = ops.eq(input, 0)
        found = ops.atan2(ops.where(zero, 0.0, imag), ops.where(zero, 1.0, real))
        at_zero = ops.where(ops.signbit(real), ops.copysign(math.pi, imag), imag)
        return ops.where(zero, at_zero, found)
    below = ops.where(ops.lt(input, 0), math.pi, 0.0)
    if not input.dtype.is_inexact:
        return below
    found = ops.mul(ops.sign(input), 0.0)  # a gradient of 0, and NaN where there is one
    return ops.add(ops.cast(below, input.dtype), found)


def conj(input: Any) -> Any:
    """The complex conjugate of each element; of a real dtype the tensor itself.

    A new tensor, not a view as in PyTorch.

    >>> ag.conj(ag.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return ops.conj(input) if input.dtype.is_complex else input


def conj_physical(input: Any) -> Any:
    """The complex conjugate of each element, in memory of its own: as `conj` here.

    >>> ag.conj_physical(ag.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return conj(input)


def resolve_conj(input: Any) -> Any:
    """The tensor itself: no conjugate is left to be computed later.

    >>> ag.resolve_conj(ag.tensor([1 + 2j]).conj())
    tensor([1.-2.j])
    """
    return input


def resolve_neg(input: Any) -> Any:
    """The tensor itself: no negation is left to be computed later.

    >>> ag.resolve_neg(ag.tensor([1.0]))
    tensor([1.])
    """
    return input


def is_conj(input: Any) -> bool:
    """False: a conjugate is computed at once.

    >>> ag.is_conj(ag.tensor([1j]).conj())
    False
    """
    return False


def is_neg(input: Any) -> bool:
    """False: a negation is computed at once.

    >>> ag.is_neg(-ag.tensor([1.0]))
    False
    """
    return False


def is_inference(input: Any) -> bool:
    """False: tensors made under `inference_mode` are like any others.

    >>> ag.is_inference(ag.tensor([1.0]))
    False
    """
    return False


def polar(abs: Any, angle: Any) -> Any:
    """abs * (cos(angle) + i sin(angle)): complex numbers by their size and their angle in radians.

    Raises DTypeError unless both are float32 or both float64. Follows `torch.polar`.

    >>> ag.polar(ag.tensor([1.0, 2.0]), ag.tensor([0.0, ag.pi / 2])).real
    tensor([ 1.0000e+00, -8.7423e-08])
    """
    if abs.dtype is not angle.dtype or abs.dtype.name not in ("float32", "float64"):
        raise DTypeError(f"polar: {describe(abs, angle)}: expected floats of one dtype")
    real, imag = ops.mul(abs, ops.cos(angle)), ops.mul(abs, ops.sin(angle))
    return ops.complex(real, imag)


def view_as_real(input: Any) -> Any:
    """Complex numbers (...) as their real and imaginary parts (..., 2), a view of their memory.

    Raises DTypeError for a real dtype. Follows `torch.view_as_real`.

    >>> ag.view_as_real(ag.tensor([1 + 2j, 3 - 1j]))
    tensor([[ 1.,  2.],
            [ 3., -1.]])
    """
    return ops.view_as_real(input)


def view_as_complex(input: Any) -> Any:
    """Pairs (..., 2) of real and imaginary parts as complex numbers (...), a view of their memory.

    Raises DTypeError unless float32 or float64, and ShapeError for another last size or a last
    dimension that isn't contiguous. Follows `torch.view_as_complex`.

    >>> ag.view_as_complex(ag.tensor([[1.0, 2.0], [3.0, -1.0]]))
    tensor([1.+2.j, 3.-1.j])
    """
    last = input.stride()[-1] if input.ndim else 1
    if last != 1 and input.numel():
        raise ShapeError(
            f"view_as_complex: {describe(input)}: the last dimension must be contiguous, got "
            f"stride {last}; call contiguous() first"
        )
    return ops.view_as_complex(input)


def ldexp(input: Any, other: Any) -> Any:
    """input * 2 ** other, element by element; integers are computed as floats.

    >>> ag.ldexp(ag.tensor([1.0, 3.0]), ag.tensor([4, -1]))
    tensor([16.0000,  1.5000])
    """
    check_tensors("ldexp", input, other)
    exponent = other if other.dtype.is_inexact else ops.cast(other, _exponents_of(input))
    return ops.mul(input, ops.exp2(exponent))


def _exponents_of(x: Any) -> DType:
    """The floats in which whole exponents of two are computed for x."""
    return x.dtype.to_real() if x.dtype.is_inexact else get_default_dtype()


class Frexp(NamedTuple):
    """(mantissa, exponent) of x = mantissa * 2 ** exponent: what `frexp` returns.

    >>> ag.frexp(ag.tensor([8.0])).exponent
    tensor([4], dtype=argand.int32)
    """

    mantissa: Any
    exponent: Any


def frexp(input: Any) -> Frexp:
    """(mantissa, exponent) of x = mantissa * 2 ** exponent with 1/2 <= |mantissa| < 1.

    The exponents are int32. 0, infinities and NaN are their own mantissa. Raises DTypeError for
    other than floats. Follows `torch.frexp`.

    >>> ag.frexp(ag.tensor([8.0, -3.0]))
    Frexp(mantissa=tensor([ 0.5000, -0.7500]), exponent=tensor([4, 2], dtype=argand.int32))
    """
    exponent = ops.exponent(input)
    # by two factors: one alone might leave the range
    half = ops.floor(ops.mul(exponent, 0.5))
    first = ops.mul(input, ops.exp2(ops.neg(half)))
    return Frexp(
        ops.mul(first, ops.exp2(ops.sub(half, exponent))),
        ops.cast(exponent, "int32"),
    )


def float_power(input: Any, exponent: Any) -> Any:
    """input ** exponent in float64, or in complex128 where either is complex.

    Either may be a number. Follows `torch.float_power`.

    >>> ag.float_power(ag.tensor([2, 3]), -1)
    tensor([0.5000, 0.3333], dtype=argand.float64)
    """
    if is_number(input) and is_number(exponent):
        raise CallError("float_power: expected a Tensor, got only numbers")
    values = (input, exponent)
    complex_ = any(_is_complex(v) for v in values)
    dtype = as_dtype("complex128" if complex_ else "float64")
    base, power = (v if is_number(v) else ops.cast(v, dtype) for v in values)
    if is_number(base):
        base = ops.full((), base, dtype)
    if is_number(power):
        power = (complex if complex_ else float)(power)
    return ops.pow(base, power)


def _is_complex(v: Any) -> bool:
    return isinstance(v, complex) if is_number(v) else bool(v.dtype.is_complex)


def logaddexp2(input: Any, other: Any) -> Any:
    """log2(2 ** input + 2 ** other) without overflow: `logaddexp` to the base 2.

    >>> ag.logaddexp2(ag.tensor([0.0, 100.0]), ag.tensor([0.0, 100.0]))
    tensor([  1., 101.])
    """
    check_tensors("logaddexp2", input, other)
    high = ops.maximum(input, other)
    apart = ops.neg(ops.abs(ops.sub(input, other)))
    same = ops.eq(input, other)  # also two equal infinities, whose difference is NaN
    sum_ = ops.log1p(ops.exp2(ops.where(same, 0.0, apart)))
    return ops.add(high, ops.mul(sum_, 1 / math.log(2)))


def lcm(input: Any, other: Any) -> Any:
    """The least common multiple of two integers, from 0 on; 0 where either is 0.

    Raises DTypeError unless both are integers; a result beyond their dtype wraps around.

    >>> ag.lcm(ag.tensor([4, -6, 0]), ag.tensor(6))
    tensor([12,  6,  0])
    """
    check_tensors("lcm", input, other)
    divisor = ops.gcd(input, other)
    whole = ops.div(input, ops.where(ops.eq(divisor, 0), 1, divisor), rounding_mode="trunc")
    return ops.abs(ops.mul(whole, other))
