"""Normalisation."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions `normalized_shape`."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return ops.layer_norm(input, shape, weight, bias, float(eps))


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """x / sqrt(mean(x ** 2) + eps) * weight over the last dimensions `normalized_shape`."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    dims = tuple(range(-len(shape), 0))
    small = _machine_epsilon(input) if eps is None else eps
    mean = ops.mean(ops.square(input), dims, True)
    y = ops.mul(input, ops.rsqrt(ops.add(mean, small)))
    return y if weight is None else ops.mul(y, weight)


def _machine_epsilon(x: Any) -> float:
    bits = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}[x.dtype.name]
    return float(2.0**-bits)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel (dimension 1).

    In training the statistics are the batch's, and the running ones, if given, move by `momentum`
    towards them (the variance with n - 1); otherwise they are the running ones.
    """
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: evaluation needs running_mean and running_var")
        return _normalized_by(input, running_mean, running_var, weight, bias, eps)
    count = math.prod(input.shape[:1]) * math.prod(input.shape[2:])
    if isinstance(count, int) and count == 1:
        raise ShapeError(
            f"batch_norm: expected more than 1 value per channel in training, got {describe(input)}"
        )
    y, mean, var = ops.batch_norm(input, weight, bias, float(eps))
    if running_mean is not None and running_var is not None:
        with no_grad():
            _move_towards(running_mean, mean.detach(), momentum)
            _move_towards(running_var, _unbiased(var.detach(), count), momentum)
    return y


def _normalized_by(x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Any:
    """x * scale + shift, with one scale and shift for each channel."""
    scale = ops.rsqrt(ops.add(var, eps))
    if weight is not None:
        scale = ops.mul(scale, weight)
    shift = ops.neg(ops.mul(mean, scale))
    if bias is not None:
        shift = ops.add(shift, bias)
    shape = (x.shape[1], *(1,) * (x.ndim - 2))
    return ops.add(ops.mul(x, ops.reshape(scale, shape)), ops.reshape(shift, shape))


def _unbiased(var: Any, count: Any) -> Any:
    """The variance with n - 1 in place of n."""
    if isinstance(count, Dim):
        n = ops.full((), count, var.dtype)
        return ops.mul(var, ops.div(n, ops.sub(n, 1)))
    return ops.mul(var, count / (count - 1))


def _move_towards(running: Any, value: Any, momentum: Any) -> None:
    assign(running, ops.add(ops.mul(running, 1 - momentum), ops.mul(value, momentum)))


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel of each sample normalised on its own (running statistics are not supported)."""
    if running_mean is not None or running_var is not None or not use_input_stats:
        raise ArgumentError("instance_norm: running statistics are not supported yet")
    return group_norm(input, int(input.shape[1]), weight, bias, eps)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Groups of channels of each image normalised together, then scaled for each channel."""
    n, c = input.shape[:2]
    if c % num_groups:
        raise ShapeError(f"group_norm: {c} channels can't be divided into {num_groups} groups")
    rest = math.prod(input.shape[2:])
    grouped = ops.reshape(input, (n, num_groups, c // num_groups * rest))
    y = layer_norm(grouped, (grouped.shape[2],), eps=eps)
    y = ops.reshape(y, input.shape)
    shape = (c, *(1,) * (input.ndim - 2))
    if weight is not None:
        y = ops.mul(y, ops.reshape(weight, shape))
    return y if bias is None else ops.add(y, ops.reshape(bias, shape))


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """x / max(norm(x), eps) along `dim`."""
    if p == 2:
        norm = ops.sqrt(ops.sum(ops.square(input), dim, True))
    elif p == 1:
        norm = ops.sum(ops.abs(input), dim, True)
    elif p == math.inf:
        norm = ops.amax(ops.abs(input), dim, True)
    else:
        norm = ops.pow(ops.sum(ops.pow(ops.abs(input), p), dim, True), 1 / p)
    return ops.div(input, ops.clamp(norm, min=eps))
