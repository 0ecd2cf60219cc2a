"""Elementwise activations, each with PyTorch's formula, defaults and gradient at its kinks."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from argand.base.dtype import float64
from argand.base.errors import ArgumentError, DTypeError
from argand.ir.elementwise import Elementwise, is_number, lifted
from argand.ir.op import Literal, ops
from argand.ir.samples import ErrorSample, Sample, T, Uniform

_AWAY_FROM_KINKS = (
    Sample(T((2, 3), 0.1, 0.9)),
    Sample(T((4,), -0.9, -0.1)),
    Sample(T((3,), 1.1, 3.0)),
    Sample(T(())),
    Sample(T((0, 2))),
)


class _Activation(Elementwise):
    """A function of floats."""

    abstract = True
    kinds = "f"
    wide_numbers = True


def _is_attribute(number: Any, x: Any) -> bool:
    """Whether an operand can be an attribute of ONNX's operator, which is a float32."""
    if not isinstance(number, Literal):
        return False
    return x.dtype is not float64 or float(np.float32(number.value)) == number.value


class Sigmoid(_Activation):
    """1 / (1 + exp(-x)), in [0, 1]; the gradient is y * (1 - y). Integers are computed as floats.

    >>> ag.sigmoid(ag.tensor([0.0, 2.0, -100.0]))
    tensor([0.5000, 0.8808, 0.0000])
    """

    samples = Uniform(-6, 6)
    kinds = "buifc"
    promotion = "float"
    onnx_name = "Sigmoid"

    def body(b: Any, x: Any) -> Any:
        return b.sigmoid(x)

    def partials(b: Any, g: Any, y: Any, x: Any) -> Any:
        return [g * b.conj(y * (1 - y))]


class Relu(Elementwise):
    """max(x, 0), the rectified linear unit; the gradient is 1 above 0, and 0 at 0 and below.

    NaN stays NaN. Raises DTypeError for booleans.

    >>> ag.relu(ag.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """

    samples = _AWAY_FROM_KINKS
    dtypes = ("float32", "float64", "int64")
    error_samples = (ErrorSample(TypeError, "not defined for bool", T((2,), dtype="bool")),)
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.max(x, 0)

    def partials(b: Any, g: Any, y: Any, x: Any) -> Any:
        return [b.where(b.le(y, 0), 0, g)]

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        floats = inputs[0].dtype.is_floating_point
        return g.op("Relu", *inputs) if floats else super().onnx(g, inputs, params)


class Relu6(Elementwise):
    """min(max(x, 0), 6); its gradient at 0 and at 6 is 0."""

    samples = (*_AWAY_FROM_KINKS, Sample(T((3,), 6.2, 9.0)))
    kinds = "uif"

    def body(b: Any, x: Any) -> Any:
        return b.min(b.max(x, 0), 6)

    def partials(b: Any, g: Any, y: Any, x: Any) -> Any:
        return [b.where(b.gt(y, 0) & b.lt(y, 6), g, 0)]

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,) = inputs
        if x.dtype is float64:
            return super().onnx(g, inputs, params)
        return g.op("Clip", x, g.constant(0, x.dtype), g.constant(6, x.dtype))


class Hardtanh(Elementwise):
    """x kept within [min_val, max_val]; its gradient at the bounds is 0."""

    samples = (*_AWAY_FROM_KINKS, Sample(T((5,)), -0.05, 0.07))
    kinds = "uif"
    checks_range = True
    defaults: ClassVar[dict[str, Any]] = {"min_val": -1.0, "max_val": 1.0}

    def body(b: Any, x: Any, min_val: Any, max_val: Any) -> Any:
        return b.min(b.max(x, min_val), max_val)

    def partials(b: Any, g: Any, y: Any, x: Any, min_val: Any, max_val: Any) -> Any:
        return [b.where(b.gt(x, min_val) & b.lt(x, max_val), g, 0), None, None]

    def apply(self, x: Any, min_val: Any = -1.0, max_val: Any = 1.0) -> Any:
        x = lifted(x)
        if x.dtype.kind in "ui" and is_number(min_val) and is_number(max_val):
            min_val, max_val = int(min_val), int(max_val)
            if x.dtype.kind == "u" and min(min_val, max_val) < 0:
                raise DTypeError(f"hardtanh: {x.dtype.name} has no numbers below 0, got {min_val}")
        return super().apply(x, min_val, max_val)


class LeakyRelu(_Activation):
    """x above 0, negative_slope * x elsewhere."""

    samples = (*_AWAY_FROM_KINKS, Sample(T((2, 3), -2.0, -0.1), 0.2))
    defaults: ClassVar[dict[str, Any]] = {"negative_slope": 0.01}

    def body(b: Any, x: Any, negative_slope: Any) -> Any:
        return b.where(b.gt(x, 0), x, x * negative_slope)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        x, slope = inputs
        if not _is_attribute(slope, x):
            return super().onnx(g, inputs, params)
        return g.op("LeakyRelu", x, alpha=slope.value)


class Elu(_Activation):
    """x above 0, alpha * (exp(x) - 1) elsewhere."""

    samples = (*_AWAY_FROM_KINKS, Sample(T((2, 3), -2.0, -0.1), 0.5))
    defaults: ClassVar[dict[str, Any]] = {"alpha": 1.0}

    def body(b: Any, x: Any, alpha: Any) -> Any:
        return b.where(b.gt(x, 0), x, alpha * b.expm1(b.where(b.gt(x, 0), 0, x)))

    def partials(b: Any, g: Any, y: Any, x: Any, alpha: Any) -> Any:
        # exp of what isn't chosen must not overflow, or 0 * inf is NaN
        below = b.where(b.gt(x, 0), 0, x)
        to_x = b.where(b.gt(x, 0), g, g * alpha * b.exp(below))
        return [to_x, b.where(b.gt(x, 0), 0, g * b.expm1(below))]

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        x, alpha = inputs
        if not _is_attribute(alpha, x):
            return super().onnx(g, inputs, params)
        return g.op("Elu", x, alpha=alpha.value)


class Softplus(_Activation):
    """log(1 + exp(beta * x)) / beta, without overflow; x itself where beta * x > threshold."""

    samples = (Sample(T((2, 3), -5.0, 5.0)), Sample(T((4,), -3.0, 3.0), 2.0, 30.0), Sample(T(())))
    defaults: ClassVar[dict[str, Any]] = {"beta": 1.0, "threshold": 20.0}

    def body(b: Any, x: Any, beta: Any, threshold: Any) -> Any:
        z = x * beta
        soft = b.max(z, 0) + b.log1p(b.exp(-abs(z)))
        return b.where(b.gt(z, threshold), x, soft / beta)

    def partials(b: Any, g: Any, y: Any, x: Any, beta: Any, threshold: Any) -> Any:
        z = x * beta
        return [b.where(b.gt(z, threshold), g, g * b.sigmoid(z)), None, None]

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        x, *numbers = inputs
        if not all(isinstance(n, Literal) for n in numbers) or numbers[0].value != 1:
            return super().onnx(g, inputs, params)
        soft = g.op("Softplus", x)
        if numbers[1].value >= 20:  # they differ by less than the last digit of float32
            return soft
        return g.op("Where", g.op("Greater", x, g.cast(numbers[1], x.dtype)), x, soft)


class Silu(_Activation):
    """x * sigmoid(x), also known as swish."""

    samples = Uniform(-5, 5)

    def body(b: Any, x: Any) -> Any:
        return x * b.sigmoid(x)

    def partials(b: Any, g: Any, y: Any, x: Any) -> Any:
        s = b.sigmoid(x)
        return [g * (s * (1 + x * (1 - s)))]

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("Mul", inputs[0], g.op("Sigmoid", inputs[0]))


class Gelu(_Activation):
    """x * Phi(x), with Phi the normal distribution function; exact by erf, or "tanh"."""

    samples = Uniform(-4, 4)
    error_samples = (ErrorSample(RuntimeError, "approximate must be", T((2,)), "sigmoid"),)

    def body(b: Any, x: Any) -> Any:
        return 0.5 * x * (1 + b.erf(x * math.sqrt(0.5)))

    def apply(self, x: Any, approximate: str = "none") -> Any:
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
        return ops.gelu_tanh(x) if approximate == "tanh" else super().apply(x)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        if g.opset < 20 or inputs[0].dtype is float64:
            return super().onnx(g, inputs, params)
        return g.op("Gelu", *inputs)


class GeluTanh(_Activation):
    """0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))."""

    samples = Uniform(-4, 4)

    def body(b: Any, x: Any) -> Any:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1 + b.tanh(inner))

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        if g.opset < 20 or inputs[0].dtype is float64:
            return super().onnx(g, inputs, params)
        return g.op("Gelu", *inputs, approximate="tanh")
