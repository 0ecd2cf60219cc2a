"""Random numbers with gradients: gamma, and what is made of it."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import float64
from argand.ir.op import ops
from argand.tensor.draws import draw
from argand.tensor.elementary import finfo
from argand.tensor.generators import default_generator
from argand.tensor.random import normal_of, uniform_of
from argand.transform.custom import Function, once_differentiable


class _LogGamma(Function):
    """Logarithms of gamma random numbers; the gradient is the implicit one."""

    @staticmethod
    def forward(ctx: Any, concentration: Any) -> Any:
        y = draw("log_gamma", concentration)
        ctx.save_for_backward(concentration, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Any) -> Any:
        concentration, y = ctx.saved_tensors
        return ops.mul(grad, ops.log_gamma_slope(concentration, y))


def log_gamma(concentration: Any, shape: Any) -> Any:
    """float64 logarithms of gamma random numbers of rate 1, of parameters expanded to a shape."""
    wide = ops.cast(ops.expand(concentration, tuple(shape)), float64)
    return _LogGamma.apply(wide)


def standard_normal(shape: Any, dtype: Any) -> Any:
    """Normal random numbers of mean 0 and variance 1."""
    return normal_of(tuple(shape), dtype)


def uniform(shape: Any, dtype: Any) -> Any:
    """Uniform random numbers in [0, 1)."""
    return uniform_of(tuple(shape), dtype)


def positive_uniform(shape: Any, dtype: Any) -> Any:
    """Uniform random numbers in (0, 1): their logarithms are finite."""
    return ops.clamp(uniform(shape, dtype), finfo(dtype).tiny, None)


def standard_exponential(shape: Any, dtype: Any) -> Any:
    """Exponential random numbers of rate 1."""
    return default_generator.source.exponential(tuple(shape), dtype)


def standard_cauchy(shape: Any, dtype: Any) -> Any:
    """Cauchy random numbers around 0, of scale 1."""
    return default_generator.source.cauchy(tuple(shape), dtype, 0.0, 1.0)
