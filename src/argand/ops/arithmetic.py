"""Elementwise arithmetic. Integers wrap; float NaN and infinity pass through as in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import DType, as_dtype
from argand.base.errors import DTypeError
from argand.ir import scalar
from argand.ir.elementwise import Elementwise, is_number, lifted
from argand.ir.op import Literal, TensorType, ops
from argand.ir.samples import ErrorSample, Sample, T, Uniform
from argand.ir.scalar import Expr


class Add(Elementwise):
    """x + y, with broadcasting; `alpha` multiplies y. On booleans it is their disjunction."""

    samples = Uniform(-3, 3)
    error_samples = (
        ErrorSample(RuntimeError, "add: shapes (2, 3) and (4,)", T((2, 3)), T((4,))),
        ErrorSample(TypeError, "expected a Tensor, got only numbers", 1, 2),
    )
    dtypes = ("float32", "float64", "int64", "bool", "complex64")
    ufunc = np.add

    def body(b: Any, x: Any, y: Any) -> Any:
        return x + y

    def __call__(self, x: Any, y: Any, *, alpha: Any = 1) -> Any:
        return super().__call__(x, y if _is_one(alpha) else ops.mul(y, alpha))


class Sub(Elementwise):
    """x - y, with broadcasting; `alpha` multiplies y. DTypeError for two booleans."""

    samples = Uniform(-3, 3)
    error_samples = (
        ErrorSample(TypeError, "sub: not defined for bool", T((2,), dtype="bool"), True),
    )
    dtypes = ("float32", "float64", "int64", "complex64")
    kinds = "uifc"
    ufunc = np.subtract

    def body(b: Any, x: Any, y: Any) -> Any:
        return x - y

    def __call__(self, x: Any, y: Any, *, alpha: Any = 1) -> Any:
        return super().__call__(x, y if _is_one(alpha) else ops.mul(y, alpha))


def _is_one(alpha: Any) -> bool:
    return is_number(alpha) and alpha == 1


class Mul(Elementwise):
    """x * y, with broadcasting. On booleans it is their conjunction."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64", "bool", "complex64")
    ufunc = np.multiply

    def body(b: Any, x: Any, y: Any) -> Any:
        return x * y


_AWAY_FROM_ZERO = (
    Sample(T((2, 3)), T((2, 3), 0.5, 2.0)),
    Sample(T((3, 1)), T((4,), -2.0, -0.5)),
    Sample(T(()), T((), 0.5, 2.0)),
    Sample(T((0, 3)), T((3,), 0.5, 2.0)),
    Sample(T((5,)), 1.75),
)


class Div(Elementwise):
    """x / y; integers are divided as floats of the default dtype.

    `rounding_mode` "floor" and "trunc" round the quotient, and then integers stay integers.
    """

    samples = (*_AWAY_FROM_ZERO, Sample(2.0, T((2, 3), 0.5, 2.0)))
    error_samples = (ErrorSample(RuntimeError, "div: shapes (2,) and (3,)", T((2,)), T((3,))),)
    dtypes = ("float32", "float64", "int64", "complex64")
    promotion = "float"
    ufunc = np.true_divide

    def body(b: Any, x: Any, y: Any) -> Any:
        return x / y

    def __call__(self, x: Any, y: Any, *, rounding_mode: str | None = None) -> Any:
        if rounding_mode == "floor":
            return ops.floor_divide(x, y)
        if rounding_mode == "trunc":
            return ops.div(ops.sub(x, ops.fmod(x, y)), y, rounding_mode="floor")
        if rounding_mode is not None:
            raise ValueError(
                f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}"
            )
        return super().__call__(x, y)


class FloorDivide(Elementwise):
    """The quotient x / y rounded towards minus infinity. An integer divided by 0 gives 0."""

    samples = _AWAY_FROM_ZERO
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"
    ufunc = np.floor_divide

    def body(b: Any, x: Any, y: Any) -> Any:
        return x // y


class Remainder(Elementwise):
    """x - y * floor(x / y), which has the sign of y, as Python's ``%``."""

    samples = _AWAY_FROM_ZERO
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"
    ufunc = np.remainder

    def body(b: Any, x: Any, y: Any) -> Any:
        return x % y


class Fmod(Elementwise):
    """x - y * trunc(x / y), which has the sign of x, as C's ``fmod``."""

    samples = _AWAY_FROM_ZERO
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"
    ufunc = np.fmod

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.fmod(x, y)


class Pow(Elementwise):
    """x ** y. An integer to a negative integer power is an error.

    The powers 2, 1/2, -1/2 and -1 of floats are `square`, `sqrt`, `rsqrt` and `reciprocal`.
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
        ErrorSample(TypeError, "pow: not defined for bool", T((2,), dtype="bool"), True),
    )
    tolerance = {"float32": 1e-5}
    kinds = "uifc"
    ufunc = np.power

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.pow(x, y)

    def __call__(self, x: Any, y: Any) -> Any:
        if is_number(y) and not is_number(x):
            x = lifted(x)
            shorter = _POWERS.get(y) if x.dtype.is_inexact else None
            if shorter is not None:
                return getattr(ops, shorter)(x)
            if not x.dtype.is_inexact and isinstance(y, int) and y < 0:
                raise DTypeError("pow: integers can't be raised to a negative power; use floats")
        return super().__call__(x, y)


_POWERS: dict[float, str] = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}


class Neg(Elementwise):
    """-x."""

    samples = Uniform(-3, 3)
    error_samples = (ErrorSample(TypeError, "neg: not defined for bool", T((2,), dtype="bool")),)
    dtypes = ("float32", "float64", "int64", "complex64")
    kinds = "uifc"
    ufunc = np.negative

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
    """The absolute value; its gradient at 0 is 0."""

    samples = Sample(T((2, 3), 0.2, 3.0)), Sample(T((4,), -3.0, -0.2)), Sample(T(()))
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"
    ufunc = np.abs

    def body(b: Any, x: Any) -> Any:
        return abs(x)


class Sign(Elementwise):
    """-1, 0 or 1, by the sign of x; its gradient is 0."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"
    ufunc = np.sign

    def body(b: Any, x: Any) -> Any:
        return b.sign(x)


class Square(Elementwise):
    """x * x."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uifc"
    ufunc = np.square

    def body(b: Any, x: Any) -> Any:
        return x * x


class Reciprocal(Elementwise):
    """1 / x; integers are computed as floats."""

    samples = Uniform(0.3, 3)
    promotion = "float"

    def body(b: Any, x: Any) -> Any:
        return b.reciprocal(x)


class Floor(Elementwise):
    """The largest whole number that is at most x; its gradient is 0."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.floor(x) if x.dtype.is_inexact else x


class Ceil(Elementwise):
    """The smallest whole number that is at least x; its gradient is 0."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.ceil(x) if x.dtype.is_inexact else x


class Trunc(Elementwise):
    """x without its fraction; its gradient is 0."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.trunc(x) if x.dtype.is_inexact else x


class Round(Elementwise):
    """The nearest whole number, halves to the even one; its gradient is 0."""

    samples = Uniform(-3, 3)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.round(x) if x.dtype.is_inexact else x


class Maximum(Elementwise):
    """The larger of x and y; NaN if either is. Equal operands share the gradient in halves."""

    samples = (
        Sample(T((2, 3), distinct=True), T((2, 3), distinct=True)),
        Sample(T((3, 1), distinct=True), T((4,), distinct=True)),
        Sample(T((4,), distinct=True), 0.003),
        Sample(T((0,)), T((0,))),
    )
    dtypes = ("float32", "float64", "int64", "bool")
    kinds = "buif"
    ufunc = np.maximum

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.max(x, y)


class Minimum(Elementwise):
    """The smaller of x and y; NaN if either is. Equal operands share the gradient in halves."""

    samples = Maximum.samples
    dtypes = ("float32", "float64", "int64", "bool")
    kinds = "buif"
    ufunc = np.minimum

    def body(b: Any, x: Any, y: Any) -> Any:
        return b.min(x, y)


class Clamp(Elementwise):
    """min(max(x, min), max): x kept between two bounds, either of which may be None.

    The gradient goes to x where it lies within the bounds (both included), else to the bound.
    """

    samples = (
        Sample(T((2, 3)), -0.7, 1.1),
        Sample(T((4,)), min=-0.5),
        Sample(T((4,)), max=0.5),
        Sample(T((2, 3)), T((3,), -1.0, -0.5), T((2, 1), 0.4, 1.0)),
        Sample(T(()), 0.1, 0.2),
        Sample(T((0,)), -1.0, 1.0),
    )
    error_samples = (ErrorSample(ValueError, "clamp: give min, max or both", T((2,))),)
    dtypes = ("float32", "float64", "int64")
    kinds = "uif"

    def body(b: Any, x: Any, min: Any, max: Any) -> Any:
        return b.min(b.max(x, min), max)

    def partials(b: Any, g: Any, y: Any, x: Any, min: Any, max: Any) -> Any:
        inside = b.ge(x, min) & b.le(x, max)
        to_min = b.where(b.lt(x, min) & b.lt(min, max), g, 0)
        to_max = b.where(b.gt(x, max) | b.lt(max, min), g, 0)
        return [b.where(inside, g, 0), to_min, to_max]

    def __call__(self, x: Any, min: Any = None, max: Any = None) -> Any:
        if min is None and max is None:
            raise ValueError("clamp: give min, max or both")
        dtype = lifted(x).dtype
        if not dtype.is_inexact and any(_is_float(v) for v in (min, max)):
            x = ops.cast(x, "float32")
            dtype = x.dtype
        low, high = _limits(dtype)
        return super().__call__(x, low if min is None else min, high if max is None else max)


def _is_float(v: Any) -> bool:
    return isinstance(v, float) or getattr(getattr(v, "dtype", None), "kind", "") == "f"


def _limits(dtype: DType) -> tuple[Any, Any]:
    if dtype.is_inexact:
        return -float("inf"), float("inf")
    if dtype.kind == "b":
        return False, True
    info = np.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


class Lerp(Elementwise):
    """start + weight * (end - start); for weights of 1/2 and more computed from the end."""

    samples = (
        Sample(T((2, 3)), T((2, 3)), 0.3),
        Sample(T((2, 3)), T((3,)), T((2, 1), 0.6, 0.9)),
        Sample(T(()), T(()), 0.5),
        Sample(T((0,)), T((0,)), 0.5),
    )
    kinds = "f"

    def body(b: Any, start: Any, end: Any, weight: Any) -> Any:
        span = end - start
        return b.where(b.lt(weight, 0.5), start + weight * span, end - span * (1 - weight))


class Cast(Elementwise):
    """x converted to `dtype`. Floats lose their fraction on the way to integers."""

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

    def __call__(self, x: Any, dtype: Any) -> Any:
        x = lifted(x)
        return x if x.dtype is as_dtype(dtype) else super().__call__(x, dtype)

    def prepare(self, x: Any, dtype: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (lifted(x),), {"dtype": as_dtype(dtype)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(params["dtype"], inputs[0].shape),)

    def node_expression(self, inputs: Any, params: dict[str, Any]) -> Expr:
        return scalar.cast(scalar.scalar_input(0, inputs[0].dtype), params["dtype"])

    def run(self, *arrays: Any, **params: Any) -> Any:
        x = np.asarray(arrays[0])
        dtype = params["dtype"]
        if np.iscomplexobj(x) and not dtype.is_complex:
            x = x.real
        with np.errstate(all="ignore"):
            return x.astype(dtype.numpy)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        source = inputs[0].dtype
        if isinstance(inputs[0], Literal) or not source.is_inexact:
            return [None]
        return [ops.cast(grads[0], source)] if grads[0].dtype.is_inexact else [None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()

    def derive(self, part: str) -> None:
        return None
