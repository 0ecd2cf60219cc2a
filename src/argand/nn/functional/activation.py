"""Activations."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ShapeError
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.inplace import assign


def _in_place(input: Any, y: Any, inplace: bool) -> Any:
    return assign(input, y, "activation") if inplace else y


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0)."""
    return _in_place(input, ops.relu(input), inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)."""
    return _in_place(input, ops.relu6(input), inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x above 0, negative_slope * x elsewhere."""
    return _in_place(input, ops.leaky_relu(input, negative_slope), inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x above 0, alpha * (exp(x) - 1) elsewhere."""
    return _in_place(input, ops.elu(input, alpha), inplace)


def selu(input: Any, inplace: bool = False) -> Any:
    """scale * elu(x, alpha), with the constants of Klambauer et al. (2017)."""
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return _in_place(input, ops.mul(ops.elu(input, alpha), scale), inplace)


def prelu(input: Any, weight: Any) -> Any:
    """x above 0, weight * x elsewhere; one weight, or one for each channel."""
    if weight.shape[0] != 1 and input.ndim > 1:
        weight = ops.reshape(weight, (weight.shape[0], *(1,) * (input.ndim - 2)))
    return ops.where(ops.gt(input, 0), input, ops.mul(input, weight))


def gelu(input: Any, approximate: str = "none") -> Any:
    """x * Phi(x), with Phi the normal distribution function; or its "tanh" approximation."""
    return ops.gelu(input, approximate)


def silu(input: Any, inplace: bool = False) -> Any:
    """x * sigmoid(x)."""
    return _in_place(input, ops.silu(input), inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """x * tanh(softplus(x))."""
    return _in_place(input, ops.mul(input, ops.tanh(ops.softplus(input))), inplace)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold."""
    return ops.softplus(input, beta, threshold)


def softsign(input: Any) -> Any:
    """x / (1 + abs(x))."""
    return ops.div(input, ops.add(ops.abs(input), 1))


def logsigmoid(input: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return ops.neg(ops.softplus(ops.neg(input), 1.0, math.inf))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x kept within [min_val, max_val]."""
    return _in_place(input, ops.hardtanh(input, min_val, max_val), inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6."""
    return _in_place(input, ops.div(ops.relu6(ops.add(input, 3)), 6), inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x * relu6(x + 3) / 6."""
    return _in_place(input, ops.div(ops.mul(input, ops.relu6(ops.add(input, 3))), 6), inplace)


def tanh(input: Any) -> Any:
    """The hyperbolic tangent."""
    return ops.tanh(input)


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return ops.sigmoid(input)


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along `dim`."""
    x = input if dtype is None else ops.cast(input, dtype)
    return ops.softmax(x, _softmax_dim(x) if dim is None else dim)


def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """softmax of -x."""
    return softmax(ops.neg(input), dim, dtype)


def log_softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """log(softmax(x)) along `dim`, computed stably."""
    x = input if dtype is None else ops.cast(input, dtype)
    return ops.log_softmax(x, _softmax_dim(x) if dim is None else dim)


def _softmax_dim(x: Tensor) -> int:
    """PyTorch's choice when no dimension is named."""
    return 0 if x.ndim in (0, 1, 3) else 1


def glu(input: Any, dim: int = -1) -> Any:
    """a * sigmoid(b) for the halves a and b of the input along `dim`."""
    dim = dim % input.ndim
    size = input.shape[dim]
    if size % 2:
        raise ShapeError(f"glu: the size {size} of dimension {dim} must be even")
    one = (1,) * input.ndim
    zero = [0] * input.ndim
    ends = list(input.shape)
    middle, half = list(zero), list(ends)
    middle[dim] = half[dim] = size // 2
    first = ops.slice(input, zero, half, one)
    return ops.mul(first, ops.sigmoid(ops.slice(input, middle, ends, one)))
