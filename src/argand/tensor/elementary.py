"""Elementwise functions that are compositions, and comparisons of whole tensors."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from argand.base.dtype import as_dtype, get_default_dtype
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import same_shape
from argand.ir.elementwise import common_dtype, is_number_one, rounded_once
from argand.ir.op import describe, ops
from argand.tensor.core import wrap
from argand.tensor.operands import check_tensors
from argand.transform.mode import no_grad


def clamp_min(input: Any, min: Any) -> Any:
    """max(x, min), element by element: `clamp` with a lower bound only, a number or a tensor.

    >>> ag.clamp_min(ag.tensor([-2.0, 0.5, 3.0]), 0)
    tensor([0.0000, 0.5000, 3.0000])
    """
    return ops.clamp(input, min, None)


def clamp_max(input: Any, max: Any) -> Any:
    """min(x, max), element by element: `clamp` with an upper bound only, a number or a tensor.

    >>> ag.clamp_max(ag.tensor([-2.0, 0.5, 3.0]), 1)
    tensor([-2.0000,  0.5000,  1.0000])
    """
    return ops.clamp(input, None, max)


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value * tensor1 * tensor2, element by element, with broadcasting.

    `value` is a number. Follows `torch.addcmul`.

    >>> ag.addcmul(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0]), ag.tensor([5.0, 6.0]), value=0.1)
    tensor([2.5000, 4.4000])
    """
    return _added(input, ops.mul, tensor1, tensor2, value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """input + value * tensor1 / tensor2, element by element, with broadcasting.

    `value` is a number. Integers are divided as floats (PyTorch refuses them).

    >>> ag.addcdiv(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0]), ag.tensor([2.0, 5.0]), value=10)
    tensor([16., 10.])
    """
    return _added(input, ops.div, tensor1, tensor2, value)


def _added(input: Any, combine: Any, tensor1: Any, tensor2: Any, value: Any) -> Any:
    """input + value * combine(tensor1, tensor2), of 16-bit floats rounded once."""
    check_tensors(f"addc{combine.name}", input, tensor1, tensor2)

    def formula(input: Any, tensor1: Any, tensor2: Any) -> Any:
        part = combine(tensor1, tensor2)
        return ops.add(input, part if is_number_one(value) else ops.mul(part, value))

    return rounded_once(formula, input, tensor1, tensor2)


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha * input: `sub` the other way round.

    >>> ag.rsub(ag.tensor([1.0, 2.0]), 10)
    tensor([9., 8.])
    """
    check_tensors("rsub", input)
    return ops.sub(other, input, alpha=alpha)


def frac(input: Any) -> Any:
    """x - trunc(x): the fraction of each element, with its sign.

    >>> ag.frac(ag.tensor([-1.25, 2.5, 3.0]))
    tensor([-0.2500,  0.5000,  0.0000])
    """
    return ops.sub(input, ops.trunc(input))


def round(input: Any, *, decimals: int = 0) -> Any:
    """The nearest multiple of 10 ** -decimals, halves to the even one, as Python's `round`.

    Without `decimals` integers stay as they are; with them the result is a float. The gradient is
    0.

    >>> ag.round(ag.tensor([0.5, 1.5, -2.6]))
    tensor([ 0.,  2., -3.])
    >>> ag.round(ag.tensor([1234.5678]), decimals=2)
    tensor([1234.5699])
    """
    if not decimals:
        return ops.round(input)
    scale = 10.0**decimals
    return rounded_once(lambda x: ops.div(ops.round(ops.mul(x, scale)), scale), input)


def nan_to_num(
    input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """x with NaN replaced by `nan` and the infinities by `posinf` and `neginf`.

    These are, unless given, the largest and the lowest finite number of the dtype. Integers are
    returned as they are. Follows `torch.nan_to_num`.

    >>> ag.nan_to_num(ag.tensor([1.0, ag.nan, ag.inf]), posinf=100)
    tensor([  1.,   0., 100.])
    """
    if not input.dtype.is_floating_point:
        return input
    limits = finfo(input.dtype)
    x = ops.where(ops.isnan(input), float(nan), input)
    x = ops.where(ops.eq(input, math.inf), limits.max if posinf is None else posinf, x)
    return ops.where(ops.eq(input, -math.inf), limits.min if neginf is None else neginf, x)


def logit(input: Any, eps: float | None = None) -> Any:
    """ln(x / (1 - x)), the inverse of `sigmoid`; with `eps`, x is first kept within [eps, 1 - eps].

    Without it 0 gives minus infinity, 1 infinity, and a number outside of [0, 1] NaN.

    >>> ag.logit(ag.tensor([0.0, 0.5, 0.9]))
    tensor([  -inf, 0.0000, 2.1972])
    >>> ag.logit(ag.tensor([0.0, 0.5, 0.9]), eps=0.1)
    tensor([-2.1972,  0.0000,  2.1972])
    """
    x = input if input.dtype.is_inexact else ops.cast(input, get_default_dtype())

    def formula(x: Any) -> Any:
        if eps is None:  # the gradient outside is NaN, too
            within = ops.logical_and(ops.ge(x, 0), ops.le(x, 1))
            x = ops.mul(x, ops.where(within, ops.full((), 1, x.dtype), math.nan))
        else:
            x = ops.clamp(ops.clamp(x, None, 1 - eps), eps, None)
        return ops.sub(ops.log(x), ops.log1p(ops.neg(x)))

    return rounded_once(formula, x)


def hypot(input: Any, other: Any) -> Any:
    """sqrt(input^2 + other^2), the hypotenuse of a right triangle; neither overflows nor vanishes.

    >>> ag.hypot(ag.tensor([3.0, 3e30]), ag.tensor([4.0, 4e30]))
    tensor([5.0000e+00, 5.0000e+30])
    """
    check_tensors("hypot", input, other)
    return rounded_once(_hypot, input, other)


def _hypot(input: Any, other: Any) -> Any:
    dtype = common_dtype(input, other)
    input, other = ops.cast(input, dtype), ops.cast(other, dtype)
    with no_grad():  # the result doesn't depend on the unit; the squares would overflow without
        unit = ops.maximum(ops.abs(input), ops.abs(other))
        unit = ops.where(ops.logical_and(ops.gt(unit, 0), ops.lt(unit, math.inf)), unit, 1)
    x, y = ops.div(input, unit), ops.div(other, unit)
    found = ops.mul(ops.sqrt(ops.add(ops.square(x), ops.square(y))), unit)
    infinite = ops.logical_or(*(ops.eq(ops.abs(v), math.inf) for v in (input, other)))
    return ops.where(infinite, math.inf, found)  # beside NaN too, as in C


def sinc(input: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0: the normalised sinc, as NumPy's and PyTorch's.

    >>> ag.sinc(ag.tensor([0.0, 0.5, 1.5]))
    tensor([ 1.0000,  0.6366, -0.2122])
    """
    return rounded_once(_sinc, input)


def _sinc(input: Any) -> Any:
    x = ops.mul(input, math.pi)
    zero = ops.eq(x, 0)
    safe = ops.where(zero, 1.0, x)
    return ops.where(zero, 1.0, ops.div(ops.sin(safe), safe))


def deg2rad(input: Any) -> Any:
    """x * pi / 180: degrees as radians.

    >>> ag.deg2rad(ag.tensor([0.0, 90.0, 180.0]))
    tensor([0.0000, 1.5708, 3.1416])
    """
    return ops.mul(_real_only("deg2rad", input), math.pi / 180)


def _real_only(name: str, x: Any) -> Any:
    if x.dtype.is_complex:
        raise DTypeError(f"{name}: not defined for {x.dtype.name}")
    return x


def rad2deg(input: Any) -> Any:
    """x * 180 / pi: radians as degrees.

    >>> ag.rad2deg(ag.tensor([0.0, 1.0, 3.1]))
    tensor([  0.0000,  57.2958, 177.6169])
    """
    return ops.mul(_real_only("rad2deg", input), 180 / math.pi)


def logaddexp(input: Any, other: Any) -> Any:
    """ln(exp(input) + exp(other)) without overflow: the sum of numbers given by their logarithms.

    Minus infinity is the logarithm of 0. See `logsumexp` for the sum along a dimension.

    >>> ag.logaddexp(ag.tensor([0.0, 1000.0]), ag.tensor([0.0, 1000.0]))
    tensor([6.9315e-01, 1.0007e+03])
    """
    check_tensors("logaddexp", input, other)
    return rounded_once(_logaddexp, input, other)


def _logaddexp(input: Any, other: Any) -> Any:
    if input.dtype.is_complex or other.dtype.is_complex:
        first = ops.ge(*map(_real, (input, other)))
        high, low = ops.where(first, input, other), ops.where(first, other, input)
        apart = ops.sub(low, high)
    else:
        dtype = common_dtype(input, other)
        input, other = ops.cast(input, dtype), ops.cast(other, dtype)
        high = ops.maximum(input, other)
        apart = ops.neg(ops.abs(ops.sub(input, other)))
    same = ops.eq(input, other)  # also two equal infinities, whose difference is NaN
    return ops.add(high, ops.log1p(ops.exp(ops.where(same, 0.0, apart))))


def _real(x: Any) -> Any:
    return ops.real(x) if x.dtype.is_complex else x


def heaviside(input: Any, values: Any) -> Any:
    """0 where input < 0, `values` where it is 0, 1 above: the Heaviside step function.

    `values` is a tensor that broadcasts.

    >>> ag.heaviside(ag.tensor([-1.5, 0.0, 2.0]), ag.tensor([0.5]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    check_tensors("heaviside", input, values)
    if input.dtype is not values.dtype:
        raise DTypeError(f"heaviside: {describe(input, values)}: expected one dtype")
    step = ops.cast(ops.gt(input, 0), input.dtype)
    return ops.where(ops.eq(input, 0), values, step)


def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, weight * x elsewhere: a ReLU with a slope that is learned.

    `weight` has one element, or one for each channel, which is dimension 1 of `input`. Source: He
    et al. 2015.

    >>> ag.prelu(ag.tensor([-2.0, 3.0]), ag.tensor([0.25]))
    tensor([-0.5000,  3.0000])
    """
    if weight.numel() == 1:
        weight = ops.reshape(weight, ())
    elif input.ndim > 1:
        weight = ops.reshape(weight, (1, weight.shape[0], *(1,) * (input.ndim - 2)))
    elif not input.ndim:
        raise ShapeError(f"prelu: {describe(input, weight)}: one number takes one slope")
    return ops.where(ops.gt(input, 0), input, ops.mul(input, weight))


def isneginf(input: Any) -> Any:
    """Whether each element is minus infinity, as booleans.

    >>> ag.isneginf(ag.tensor([-ag.inf, 0.0, ag.inf]))
    tensor([ True, False, False])
    """
    return ops.eq(input, -math.inf)


def isposinf(input: Any) -> Any:
    """Whether each element is plus infinity, as booleans.

    >>> ag.isposinf(ag.tensor([-ag.inf, 0.0, ag.inf]))
    tensor([False, False,  True])
    """
    return ops.eq(input, math.inf)


def isreal(input: Any) -> Any:
    """Whether each element's imaginary part is 0, as booleans; true for all of a real dtype.

    >>> ag.isreal(ag.tensor([1 + 0j, 2j]))
    tensor([ True, False])
    """
    if not input.dtype.is_complex:
        return ops.full(tuple(input.shape), True, "bool")
    return ops.eq(wrap(input.numpy_array().imag), 0)


# -- whole tensors ---------------------------------------------------------------------------------


def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """|input - other| <= atol + rtol * |other|, element by element, as booleans.

    Equal infinities are close; NaNs are not, unless `equal_nan`. Raises DTypeError where the dtypes
    differ. Follows `torch.isclose`.

    >>> ag.isclose(ag.tensor([1.0, 1e6]), ag.tensor([1.001, 1e6 + 1]))
    tensor([False,  True])
    """
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise ArgumentError(f"isclose: {name} must not be below 0, got {value}")
    if input.dtype is not other.dtype:
        raise DTypeError(f"isclose: dtypes {input.dtype.name} and {other.dtype.name} differ")
    close = ops.eq(input, other)
    if input.dtype.is_inexact:
        size = _magnitude(other)
        near = ops.le(_magnitude(ops.sub(input, other)), ops.add(ops.mul(size, rtol), atol))
        close = ops.logical_or(close, ops.logical_and(near, ops.isfinite(size)))
        if equal_nan:
            both = ops.logical_and(ops.isnan(_magnitude(input)), ops.isnan(size))
            close = ops.logical_or(close, both)
    elif input.dtype.kind in "iu":
        ends = (ops.cast(f(input, other), "int64") for f in (ops.maximum, ops.minimum))
        gap = ops.cast(ops.cast(ops.sub(*ends), "uint64"), "float64")  # it wraps to what it is
        allowed = ops.add(ops.mul(ops.abs(ops.cast(other, "float64")), rtol), atol)
        close = ops.le(gap, allowed)
    return close


def _magnitude(x: Any) -> Any:
    if not x.dtype.is_complex:
        return ops.abs(x)
    array = x.numpy_array()
    return hypot(wrap(array.real), wrap(array.imag))


def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether |input - other| <= atol + rtol * |other| for all elements: `isclose` as one truth.

    True of empty tensors.

    >>> ag.allclose(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 2.0 + 1e-6]))
    True
    """
    return bool(ops.all(isclose(input, other, rtol, atol, equal_nan)))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and elements, as one truth; dtypes may differ.

    NaN equals nothing. Follows `torch.equal`; element by element compares `eq`.

    >>> ag.equal(ag.tensor([1, 2]), ag.tensor([1.0, 2.0]))
    True
    """
    if not same_shape(tuple(input.shape), tuple(other.shape)):
        return False
    return bool(ops.all(ops.eq(input, other)))


def is_signed(input: Any) -> bool:
    """Whether the dtype has negative numbers.

    >>> ag.is_signed(ag.tensor([1])), ag.is_signed(ag.tensor([1], dtype=ag.uint8))
    (True, False)
    """
    return input.dtype.kind not in "bu"


def is_same_size(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape.

    >>> ag.is_same_size(ag.ones(2, 3), ag.ones(3, 2))
    False
    """
    return tuple(input.shape) == tuple(other.shape)


def is_floating_point(input: Any) -> bool:
    """Whether the dtype is float16, bfloat16, float32 or float64.

    >>> ag.is_floating_point(ag.tensor([1.5])), ag.is_floating_point(ag.tensor([1]))
    (True, False)
    """
    return bool(input.dtype.is_floating_point)


def is_complex(input: Any) -> bool:
    """Whether the dtype is complex64 or complex128.

    >>> ag.is_complex(ag.tensor([1j])), ag.is_complex(ag.tensor([1.0]))
    (True, False)
    """
    return bool(input.dtype.is_complex)


def is_nonzero(input: Any) -> bool:
    """Whether the only element is not 0; RuntimeError when there are more, or none.

    >>> ag.is_nonzero(ag.tensor([0.5]))
    True
    """
    return bool(input)


class finfo:  # noqa: N801  # PyTorch's name
    """The limits of a floating-point dtype (the default one unless given), as Python numbers.

    Attributes: `eps` (the distance from 1 to the next number), `max`, `min` (= -max), `tiny` =
    `smallest_normal`, `resolution` (10 to minus the number of exact decimal digits), `bits`,
    `dtype` (the name of the real dtype). Raises TypeError for other dtypes. Follows `torch.finfo`.

    >>> ag.finfo(ag.float32).eps == 2**-23
    True
    """

    def __init__(self, dtype: Any = None) -> None:
        given = get_default_dtype() if dtype is None else as_dtype(dtype)
        if not given.is_inexact:
            raise TypeError(f"finfo: {given.name} is not a floating-point dtype; use iinfo")
        self.dtype = given.to_real().name
        info: Any = ml_dtypes.finfo(given.numpy)  # type: ignore[no-untyped-call]  # untyped
        self.bits = int(info.bits)
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 1.0 if given.kind == "s" else float(info.resolution)

    def __repr__(self) -> str:
        return f"finfo(dtype={self.dtype}, eps={self.eps:g}, max={self.max:g})"


class iinfo:  # noqa: N801  # PyTorch's name
    """The limits of an integer dtype, as Python integers: `min`, `max`, `bits`, `dtype`.

    Raises TypeError for other dtypes, booleans included. Follows `torch.iinfo`.

    >>> ag.iinfo(ag.int8).min, ag.iinfo(ag.int8).max
    (-128, 127)
    """

    def __init__(self, dtype: Any) -> None:
        given = as_dtype(dtype)
        if given.kind not in "iu":
            raise TypeError(f"iinfo: {given.name} is not an integer dtype; use finfo")
        self.dtype = given.name
        info = np.iinfo(given.numpy)
        self.bits, self.max, self.min = int(info.bits), int(info.max), int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(dtype={self.dtype}, min={self.min}, max={self.max})"
