"""Elementwise arithmetic. Integers wrap; float NaN and infinity pass through as in NumPy."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from argand.base.conversion import converted
from argand.base.dim import Dim
from argand.base.dtype import DType, as_dtype, bool_
from argand.base.errors import DTypeError
from argand.ir import scalar
from argand.ir.elementwise import (
    Elementwise,
    common_dtype,
    is_number,
    is_number_one,
    lifted,
    rounded_once,
)
from argand.ir.op import Literal, TensorType, ops
from argand.ir.primitives import power, sign
from argand.ir.samples import ErrorSample, Sample, T, Uniform
from argand.ir.scalar import Expr


class Add(Elementwise):
    """x + alpha * y, element by element; the shapes broadcast and the dtypes are promoted.

    Two boolean tensors give their disjunction. `alpha` is a number, 1 unless given. Follows
    `torch.add`.

    >>> ag.add(ag.tensor([1.0, 2.0]), ag.tensor([[10.0], [20.0]]))
    tensor([[11., 12.],
            [21., 22.]])
    >>> ag.tensor([1, 2]).add(3, alpha=10)
    tensor([31, 32])
    """

    samples = Uniform(-3, 3)
    error_samples = (
        ErrorSample(RuntimeError, "add: shapes (2, 3) and (4,)", T((2, 3)), T((4,))),
        ErrorSample(
            RuntimeError,
            "-1 doesn't fit into uint8, which holds 0 to 255",
            T((2,), 0, 3, "uint8"),
            -1,
        ),
    )
    dtypes = ("float32", "float64", "int64", "bool", "complex64")
    ufunc = np.add
    takes_numbers = True
    swapped = "add"

    def body(b: Any, x: Any, y: Any) -> Any:
        return x + y

    def neutral(self, dtype: DType) -> Any:
        return {"i": 0, "u": 0, "f": -0.0}.get(dtype.kind)

    def apply(self, x: Any, y: Any, *, alpha: Any = 1) -> Any:
        if is_number_one(alpha):
            return super().apply(x, y)
        return rounded_once(lambda x, y: ops.add(x, _scaled("add", x, y, alpha)), x, y)


class Sub(Elementwise):
    """x - alpha * y, element by element; the shapes broadcast and the dtypes are promoted.

    Unsigned integers wrap around. Raises DTypeError for a boolean: use `logical_xor` of two,
    `logical_not` for 1 - x. Follows `torch.sub`.

    >>> ag.sub(ag.tensor([5.0, 7.0]), ag.tensor([1.0, 2.0]), alpha=2)
    tensor([3., 3.])
    """

    samples = Uniform(-3, 3)
    error_samples = (
        ErrorSample(TypeError, "not defined for bool", T((2,), dtype="bool"), True),
        ErrorSample(TypeError, "not defined for bool", T((2,)), T((2,), dtype="bool")),
    )
    dtypes = ("float32", "float64", "int64", "complex64")
    kinds = "uifc"
    ufunc = np.subtract
    takes_numbers = True

    def body(b: Any, x: Any, y: Any) -> Any:
        return x - y

    def neutral(self, dtype: DType) -> Any:
        return 0

    def apply(self, x: Any, y: Any, *, alpha: Any = 1) -> Any:
        for operand in (x, y):
            if isinstance(operand, bool) or getattr(operand, "dtype", None) is bool_:
                raise DTypeError(
                    "sub: not defined for bool; use logical_not for 1 - x, logical_xor for x - y"
                )
        if is_number_one(alpha):
            return super().apply(x, y)
        return rounded_once(lambda x, y: ops.sub(x, _scaled("sub", x, y, alpha)), x, y)


def _scaled(op: str, x: Any, y: Any, alpha: Any) -> Any:
    """alpha * y, computed in the dtype of x + y."""
    dtype = common_dtype(x, y)
    if isinstance(alpha, float | complex) and not dtype.is_inexact:
        raise DTypeError(f"{op}: alpha must be a whole number beside {dtype.name}, got {alpha!r}")
    if is_number(alpha) and is_number(y):
        return bool(alpha * y) if dtype is bool_ else alpha * y
    if dtype is bool_ and is_number(alpha):
        alpha = bool(alpha)
    return ops.mul(y if is_number(y) else ops.cast(y, dtype), alpha)


class Mul(Elementwise):
    """x * y, element by element; the shapes broadcast and the dtypes are promoted.

    Two boolean tensors give their conjunction. Follows `torch.mul`.

    >>> ag.mul(ag.tensor([[1.0], [2.0]]), ag.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64", "bool", "complex64")
    ufunc = np.multiply
    takes_numbers = True
    swapped = "mul"
    wide_numbers = True

    def body(b: Any, x: Any, y: Any) -> Any:
        return x * y

    def neutral(self, dtype: DType) -> Any:
        return 1


class Pow(Elementwise):
    """x ** y, element by element; either may be a Python number.

    0 ** 0 is 1; a negative number to a fractional power is NaN. Raises DTypeError for an integer
    tensor to a negative number, whose result would be no integer; to a tensor's negative elements
    the result is rounded towards 0. The powers 2, 1/2, -1/2 and -1 of
    floats are `square`, `sqrt`, `rsqrt` and `reciprocal`, and differentiated so. Follows
    `torch.pow`.

    >>> ag.pow(ag.tensor([1.0, 2.0, 3.0]), 3)
    tensor([ 1.,  8., 27.])
    >>> ag.pow(2, ag.tensor([1, 2, 3]))
    tensor([2, 4, 8])
    """

    samples = (
        Sample(T((2, 3), 0.3, 3.0), T((2, 3))),
        Sample(T((3,), 0.3, 3.0), 2.5),
        Sample(T((3,), 0.3, 3.0), 2),
        Sample(T((3,), 0.3, 3.0), -1),
        Sample(T((3,), 0.3, 3.0), 3),
        Sample(2.0, T((2, 3))),
        Sample(T((), 0.3, 3.0), T(())),
        Sample(T((0,), 0.3, 3.0), 3.0),
    )
    error_samples = (
        ErrorSample(RuntimeError, "negative power", T((2,), 1, 4, "int64"), -1),
        ErrorSample(
            TypeError, "not defined for bool", T((2,), dtype="bool"), T((2,), dtype="bool")
        ),
    )
    tolerance = {"float32": 1e-5}
    kinds = "uifc"
    ufunc = staticmethod(power)

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.pow(x, y)

    def neutral(self, dtype: DType) -> Any:
        return 1

    def apply(self, x: Any, y: Any) -> Any:
        if is_number(y) and not is_number(x):
            x = lifted(x)
            known = x.dtype.is_inexact and not isinstance(y, Dim)
            shorter = _POWERS.get(y) if known else None
            if shorter is not None:
                return getattr(ops, shorter)(x)
            if not x.dtype.is_inexact and isinstance(y, int) and y < 0:
                raise DTypeError("pow: integers can't be raised to a negative power; use floats")
            if x.dtype is bool_ and isinstance(y, bool):
                return ops.logical_or(x, not y)
        return super().apply(x, y)


_POWERS: dict[float, str] = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}


class Neg(Elementwise):
    """-x. Unsigned integers wrap around; DTypeError for booleans, whose negation is `logical_not`.

    >>> ag.neg(ag.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """

    samples = Uniform(-3, 3)
    error_samples = (ErrorSample(TypeError, "not defined for bool", T((2,), dtype="bool")),)
    dtypes = ("float32", "float64", "int64", "complex64")
    kinds = "uifc"
    ufunc = np.negative
    involution = True

    def body(b: Any, x: Any) -> Any:
        return -x


class Conj(Elementwise):
    """The complex conjugate; of a real number itself."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "complex64")
    kinds = "uifc"
    ufunc = np.conj

    def body(b: Any, x: Any) -> Any:
        return b.conj(x)


class Abs(Elementwise):
    """|x|, which is real for complex x; the gradient is sign(x), for complex x x / |x|, 0 at 0.

    The most negative integer, which has no positive twin, stays itself.

    >>> ag.abs(ag.tensor([-1.5, 0.0, 2.0]))
    tensor([1.5000, 0.0000, 2.0000])
    """

    samples = Sample(T((2, 3), 0.2, 3.0)), Sample(T((4,), -3.0, -0.2)), Sample(T(()))
    dtypes = ("float32", "float64", "int64")
    kinds = "uifsc"
    ufunc = np.abs

    def body(b: Any, x: Any) -> Any:
        return abs(x)

    def result_dtype(self, dtype: DType) -> DType:
        return dtype.to_real()

    def adjoint_for(
        self, wants: Any, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]
    ) -> Any:
        (x,) = inputs
        if not x.dtype.is_complex:
            return super().adjoint_for(wants, grads, inputs, outputs, params)
        size = ops.abs(x)
        return [ops.mul(grads[0], ops.div(x, ops.where(ops.eq(size, 0), 1.0, size)))]


class Sign(Elementwise):
    """-1, 0 or 1 by the sign of x, in its dtype; the gradient is 0. Booleans stay as they are.

    NaN stays NaN, as in NumPy (PyTorch gives 0).

    >>> ag.sign(ag.tensor([-3.0, 0.0, 0.5]))
    tensor([-1.,  0.,  1.])
    """

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64", "bool")
    kinds = "buif"
    ufunc = staticmethod(sign)

    def body(b: Any, x: Any) -> Any:
        return x if x.dtype.kind == "b" else b.sign(x)


class Square(Elementwise):
    """x * x, in the dtype of x, int64 of booleans; integers that overflow wrap around.

    >>> ag.square(ag.tensor([-3.0, 1.5]))
    tensor([9.0000, 2.2500])
    """

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "buifc"
    ufunc = np.square

    def body(b: Any, x: Any) -> Any:
        return x * x

    def apply(self, x: Any) -> Any:
        x = lifted(x)
        return super().apply(ops.cast(x, "int64") if x.dtype.kind == "b" else x)


class Reciprocal(Elementwise):
    """1 / x; integers are computed as floats of the default dtype, and 0 gives infinity.

    >>> ag.reciprocal(ag.tensor([4, 2, 0]))
    tensor([0.2500, 0.5000,    inf])
    """

    samples = Uniform(0.3, 3)
    promotion = "float"

    def body(b: Any, x: Any) -> Any:
        return b.reciprocal(x)


class Maximum(Elementwise):
    """The larger of x and y, element by element; NaN where either is.

    The gradient goes to the larger operand, to equal ones in halves. Of a number and a tensor:
    `clamp`. Follows `torch.maximum`.

    >>> ag.maximum(ag.tensor([1.0, 5.0]), ag.tensor([3.0, 2.0]))
    tensor([3., 5.])
    """

    tensors = 2
    samples = (
        Sample(T((2, 3), distinct=True), T((2, 3), distinct=True)),
        Sample(T((3, 1), distinct=True), T((4,), distinct=True)),
        Sample(T((4,), distinct=True), 0.003),
        Sample(T((0,)), T((0,))),
    )
    dtypes = ("float32", "float64", "int64", "bool")
    kinds = "buif"
    ufunc = np.maximum
    swapped = "maximum"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.max(x, y)


class Minimum(Elementwise):
    """The smaller of x and y, element by element; NaN where either is.

    The gradient goes to the smaller operand, to equal ones in halves. Of a number and a tensor:
    `clamp`. Follows `torch.minimum`.

    >>> ag.minimum(ag.tensor([1.0, 5.0]), ag.tensor([3.0, 2.0]))
    tensor([1., 2.])
    """

    tensors = 2
    samples = Maximum.samples
    dtypes = ("float32", "float64", "int64", "bool")
    kinds = "buif"
    ufunc = np.minimum
    swapped = "minimum"

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.min(x, y)


class _Number(Elementwise):
    """The one of two operands that is a number, or the one that wins; to a tie goes `input`."""

    tensors = 2
    abstract = True
    samples: ClassVar[Any] = Maximum.samples
    dtypes = ("float32", "float64", "int64", "bool")
    kinds = "buif"


class Fmax(_Number):
    """The larger of x and y, element by element; where one is NaN, the other.

    The gradient goes to the larger operand, to the first of equal ones. Follows `torch.fmax`.

    >>> ag.fmax(ag.tensor([1.0, ag.nan]), ag.tensor([3.0, 2.0]))
    tensor([3., 2.])
    """

    ufunc = np.fmax

    def body(b: Any, input: Any, other: Any) -> Any:
        if not input.dtype.is_inexact:
            return b.max(input, other)
        return b.where(b.isnan(input), other, b.where(b.isnan(other), input, b.max(input, other)))

    def partials(b: Any, g: Any, y: Any, input: Any, other: Any) -> Any:
        first = b.ge(input, other) | b.isnan(other)
        return [b.where(first, g, 0), b.where(first, 0, g)]


class Fmin(_Number):
    """The smaller of x and y, element by element; where one is NaN, the other.

    The gradient goes to the smaller operand, to the first of equal ones. Follows `torch.fmin`.

    >>> ag.fmin(ag.tensor([1.0, ag.nan]), ag.tensor([3.0, 2.0]))
    tensor([1., 2.])
    """

    ufunc = np.fmin

    def body(b: Any, input: Any, other: Any) -> Any:
        if not input.dtype.is_inexact:
            return b.min(input, other)
        return b.where(b.isnan(input), other, b.where(b.isnan(other), input, b.min(input, other)))

    def partials(b: Any, g: Any, y: Any, input: Any, other: Any) -> Any:
        first = b.le(input, other) | b.isnan(other)
        return [b.where(first, g, 0), b.where(first, 0, g)]


class Gcd(Elementwise):
    """The greatest common divisor of two integers, from 0 on; NumPy computes it.

    Raises DTypeError unless both are integers.

    >>> ag.gcd(ag.tensor([12, -18, 0]), ag.tensor(8))
    tensor([4, 2, 8])
    """

    tensors = 2
    samples = Uniform(0, 60, integers=True)
    dtypes = ("int64", "int32")
    kinds = "ui"
    differentiable = False
    ufunc = np.gcd

    def body(b: Any, input: Any, other: Any) -> Any:
        return b.gcd(input, other)


class Clamp(Elementwise):
    """min(max(x, min), max): x kept between two bounds, of which one may be None.

    The bounds are numbers or tensors that broadcast; where min > max the result is max. NaN stays
    NaN. The gradient goes to x where it is within the bounds (both included), else to the bound.
    Raises ValueError without any bound. Follows `torch.clamp`.

    >>> ag.clamp(ag.tensor([-2.0, 0.5, 3.0]), -1, 1)
    tensor([-1.0000,  0.5000,  1.0000])
    >>> ag.tensor([-2.0, 0.5, 3.0]).clamp(min=0)
    tensor([0.0000, 0.5000, 3.0000])
    """

    samples = (
        Sample(T((2, 3)), -0.7, 1.1),
        Sample(T((4,)), min=-0.5),
        Sample(T((4,)), max=0.5),
        Sample(T((2, 3)), T((3,), -1.0, -0.5), T((2, 1), 0.4, 1.0)),
        Sample(T(()), 0.1, 0.2),
        Sample(T((0,)), -1.0, 1.0),
    )
    error_samples = (
        ErrorSample(ValueError, "give min, max or both", T((2,))),
        ErrorSample(RuntimeError, "1e+39 doesn't fit into float32", T((2,)), 1e39),
    )
    dtypes = ("float32", "float64", "int64")
    kinds = "buif"
    checks_range = True

    def body(b: Any, x: Any, min: Any, max: Any) -> Any:
        return b.min(b.max(x, min), max)

    def partials(b: Any, g: Any, y: Any, x: Any, min: Any, max: Any) -> Any:
        inside = b.ge(x, min) & b.le(x, max)
        to_min = b.where(b.lt(x, min) & b.lt(min, max), g, 0)
        to_max = b.where(b.gt(x, max) | b.lt(max, min), g, 0)
        return [b.where(inside, g, 0), to_min, to_max]

    def apply(self, x: Any, min: Any = None, max: Any = None) -> Any:
        if min is None and max is None:
            raise ValueError("clamp: give min, max or both")
        given = [v for v in (min, max) if v is not None and not _is_whole(v)]
        low, high = _limits(common_dtype(lifted(x), *given))
        # a bound beyond the range of the dtype bounds nothing
        min = low if min is None or (type(min) is int and min < low) else min
        max = high if max is None or (type(max) is int and max > high) else max
        return super().apply(x, min, max)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        x, *bounds = inputs
        numbers = all(isinstance(b, Literal) for b in bounds)
        # ONNX Runtime's fusion of Relu and Clip stops at 64 bits.
        if not numbers or bounds[0].value > bounds[1].value or x.dtype.name == "float64":
            return super().onnx(g, inputs, params)
        known = [None if math.isinf(b.value) else g.constant(b.value, x.dtype) for b in bounds]
        return g.op("Clip", x, *known)


def _is_whole(v: Any) -> bool:
    return isinstance(v, int) and not isinstance(v, bool)


def _limits(dtype: DType) -> tuple[Any, Any]:
    if dtype.is_inexact:
        return -float("inf"), float("inf")
    if dtype.kind == "b":
        return False, True
    info = np.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


class Lerp(Elementwise):
    """start + weight * (end - start): linear interpolation from `start` (0) to `end` (1).

    `weight` is a number or a tensor that broadcasts; from 1/2 on the sum starts at `end`, so that
    both ends are met exactly. Raises DTypeError where the dtypes differ. Follows `torch.lerp`.

    >>> ag.lerp(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 6.0]), 0.25)
    tensor([1.5000, 3.0000])
    """

    samples = (
        Sample(T((2, 3)), T((2, 3)), 0.3),
        Sample(T((2, 3)), T((3,)), T((2, 1), 0.6, 0.9)),
        Sample(T(()), T(()), 0.5),
        Sample(T((0,)), T((0,)), 0.5),
    )
    error_samples = (
        ErrorSample(TypeError, "expected one dtype", T((2,)), T((2,), dtype="float64"), 0.5),
    )
    tensors = 2
    kinds = "fc"
    wide_numbers = True

    def apply(self, start: Any, end: Any, weight: Any) -> Any:
        given = [lifted(v) for v in (start, end) if not is_number(v)]
        dtypes = {v.dtype for v in given if not getattr(v, "weak", False)}
        if not is_number(weight) and weight.ndim:
            dtypes.add(weight.dtype)
        if len(dtypes) > 1:
            names = ", ".join(sorted(d.name for d in dtypes))
            raise DTypeError(f"lerp: expected one dtype, got {names}; convert with .to(...)")
        return super().apply(start, end, weight)

    def body(b: Any, start: Any, end: Any, weight: Any) -> Any:
        span = end - start
        size = abs(weight) if weight.dtype.is_complex else weight
        return b.where(b.lt(size, 0.5), start + weight * span, end - span * (1 - weight))


class Cast(Elementwise):
    """x converted to `dtype`. Floats lose their fraction on the way to integers.

    Of complex numbers the real part is left; as a boolean a number says whether it isn't 0.
    """

    samples = (
        Sample(T((2, 3)), dtype="float64"),
        Sample(T((2, 3), -5, 5, "int32"), dtype="float32"),
        Sample(T(()), dtype="int64"),
        Sample(T((0, 2)), dtype="bool"),
    )
    error_samples = (ErrorSample(TypeError, "unknown dtype 'flaot32'", T((2,)), "flaot32"),)
    dtypes = ("float32", "float64", "int64", "bool")

    def body(b: Any, x: Any) -> Any:
        return x

    def apply(self, x: Any, dtype: Any) -> Any:
        x = lifted(x)
        return x if x.dtype is as_dtype(dtype) else super().apply(x, dtype)

    def prepare(self, x: Any, dtype: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (lifted(x),), {"dtype": as_dtype(dtype)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(params["dtype"], inputs[0].shape),)

    def node_expression(self, inputs: Any, params: dict[str, Any]) -> Expr:
        return scalar.cast(scalar.scalar_input(0, inputs[0].dtype), params["dtype"])

    def run(self, *arrays: Any, **params: Any) -> Any:
        return converted(arrays[0], params["dtype"])

    def adjoint_for(
        self, wants: Any, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]
    ) -> Any:
        source = inputs[0].dtype
        if isinstance(inputs[0], Literal) or not source.is_inexact:
            return [None]
        return [ops.cast(grads[0], source)] if grads[0].dtype.is_inexact else [None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()

    def derive(self, part: str) -> None:
        return None
