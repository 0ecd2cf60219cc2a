"""Normalisation."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dim import Dim, is_equal
from argand.base.dtype import compute_dtype
from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import same_shape
from argand.ir.op import describe, ops
from argand.nn.functional import single
from argand.tensor.elementary import finfo
from argand.tensor.inplace import assign
from argand.tensor.outputs import written
from argand.tensor.reducing import vector_norm
from argand.tensor.strides import as_image, row_major
from argand.transform.mode import no_grad


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, with the mean and the (biased) variance over
    the last dimensions, `normalized_shape` (Ba et al., 2016). `weight` and `bias` have that shape.

    >>> F.layer_norm(ag.tensor([[1.0, 2.0, 3.0]]), 3)
    tensor([[-1.2247,  0.0000,  1.2247]])
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return ops.layer_norm(input, shape, weight, bias, float(eps))


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """x / sqrt(mean(x ** 2) + eps) * weight over the last dimensions, `normalized_shape` (Zhang and
    Sennrich, 2019). `eps` is the dtype's machine epsilon unless given.

    >>> F.rms_norm(ag.tensor([3.0, 4.0]), 2)
    tensor([0.8485, 1.1314])
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or not same_shape(tuple(input.shape[-len(shape) :]), shape):
        raise ShapeError(
            f"rms_norm: {describe(input)}: normalized_shape {shape} is not the shape of its last "
            "dimensions"
        )
    if weight is not None and not same_shape(tuple(weight.shape), shape):
        raise ShapeError(f"rms_norm: {describe(weight)}: the weight's shape must be {shape}")
    dims = tuple(range(-len(shape), 0))
    small = _machine_epsilon(input) if eps is None else eps
    kept = single.rms_norm(input, shape, weight, small)
    if kept is not None:
        return kept
    wide = ops.cast(input, compute_dtype(input.dtype))
    mean = ops.mean(ops.square(wide), dims, True)
    y = ops.cast(ops.mul(wide, ops.rsqrt(ops.add(mean, small))), input.dtype)
    return row_major(y if weight is None else ops.mul(y, weight))


def _machine_epsilon(x: Any) -> float:
    return float(finfo(x.dtype).eps)


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
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel, dimension 1 (Ioffe and
    Szegedy, 2015).

    In training the statistics are the batch's (the biased variance), and the running ones, if
    given, are moved in place: running = (1 - momentum) * running + momentum * batch, with the
    variance over n - 1. In evaluation the statistics are the running ones. Raises ShapeError in
    training when there is one value a channel.

    >>> x = ag.tensor([[1.0], [3.0]])
    >>> F.batch_norm(x, ag.zeros(1), ag.ones(1), training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    if eps <= 0:
        raise ArgumentError(f"batch_norm: eps must be positive, got {eps}")
    return batch_normalised(input, running_mean, running_var, weight, bias, training, momentum, eps)


def batch_normalised(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: Any,
    eps: float,
) -> Any:
    """`batch_norm` with any eps."""
    if input.ndim == 1 and is_equal(input.shape[0], 0):  # no channel to normalise, as in PyTorch
        return ops.mul(input, 1)
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: evaluation needs running_mean and running_var")
        y = _normalized_by(input, running_mean, running_var, weight, bias, eps)
        return as_image(y, input)
    count = math.prod(input.shape[:1]) * math.prod(input.shape[2:])
    if is_equal(count, 1):
        raise ShapeError(
            f"batch_norm: expected more than 1 value per channel in training, got {describe(input)}"
        )
    y, mean, var = ops.batch_norm(input, weight, bias, float(eps))
    # An empty batch says nothing about the statistics.
    if running_mean is not None and running_var is not None and not is_equal(count, 0):
        with no_grad():
            _move_towards(running_mean, mean.detach(), momentum)
            _move_towards(running_var, _unbiased(var.detach(), count), momentum)
    return as_image(y, input)


def _normalized_by(x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Any:
    """x * scale + shift, with one scale and shift for each channel; 16-bit floats in float32."""
    kept = single.batch_norm(x, mean, var, weight, bias, eps)
    if kept is not None:
        return kept
    dtype = x.dtype
    wide = compute_dtype(dtype)
    if wide is not dtype:
        given = (x, mean, var, weight, bias)
        x, mean, var, weight, bias = (None if v is None else ops.cast(v, wide) for v in given)
    scale = ops.rsqrt(ops.add(var, eps))
    if weight is not None:
        scale = ops.mul(scale, weight)
    shift = ops.neg(ops.mul(mean, scale))
    if bias is not None:
        shift = ops.add(shift, bias)
    shape = (x.shape[1], *(1,) * (x.ndim - 2))
    y = ops.add(ops.mul(x, ops.reshape(scale, shape)), ops.reshape(shift, shape))
    return y if wide is dtype else ops.cast(y, dtype)


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
    """(x - mean) / sqrt(var + eps) * weight + bias, each channel of each sample on its own (Ulyanov
    et al., 2016).

    Running statistics, if given, are moved in place towards the means over the batch of the means
    and (unbiased) variances; without `use_input_stats` they are what normalises.

    >>> F.instance_norm(ag.tensor([[[1.0, 3.0], [0.0, 10.0]]]))
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ArgumentError(
                "instance_norm: without use_input_stats it needs running_mean and running_var"
            )
        y = _normalized_by(input, running_mean, running_var, weight, bias, eps)
        return row_major(y)
    count = math.prod(input.shape[2:])
    if is_equal(count, 1):
        raise ShapeError(
            f"instance_norm: {describe(input)}: expected more than 1 spatial element in training"
        )
    if running_mean is not None and running_var is not None:
        with no_grad():
            flat = ops.reshape(input.detach(), (*input.shape[:2], count))
            mean = ops.mean(flat, -1, True)
            var = ops.mean(ops.square(ops.sub(flat, mean)), (0, 2))
            _move_towards(running_mean, ops.mean(mean, (0, 2)), momentum)
            _move_towards(running_var, _unbiased(var, count), momentum)
    return row_major(group_norm(input, int(input.shape[1]), weight, bias, eps))


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, the channels (dimension 1) of each sample in
    `num_groups` groups that are normalised together (Wu and He, 2018). `weight` and `bias` have one
    element for each channel. Raises ShapeError when the groups don't divide the channels.

    >>> F.group_norm(ag.tensor([[1.0, 3.0, 0.0, 10.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    n, c = input.shape[:2]
    if c % num_groups:
        raise ShapeError(f"group_norm: {c} channels can't be divided into {num_groups} groups")
    kept = single.group_norm(input, num_groups, weight, bias, eps)
    if kept is not None:
        return kept
    rest = math.prod(input.shape[2:])
    grouped = ops.reshape(input, (n, num_groups, c // num_groups * rest))
    y = layer_norm(grouped, (grouped.shape[2],), eps=eps)
    y = ops.reshape(y, input.shape)
    shape = (c, *(1,) * (input.ndim - 2))
    if weight is not None:
        y = ops.mul(y, ops.reshape(weight, shape))
    return as_image(y if bias is None else ops.add(y, ops.reshape(bias, shape)), input)


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """x / max(norm(x, p), eps) along `dim`, written into `out` if that is given.

    >>> F.normalize(ag.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    wide = ops.cast(input, compute_dtype(input.dtype))
    size = ops.clamp(vector_norm(wide, p, dim, True), min=eps)
    found = ops.cast(ops.div(wide, size), input.dtype)
    return found if out is None else written(out, found)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """x / (k + alpha * mean(x ** 2 over `size` neighbouring channels)) ** beta, for (N, C, ...)
    (Krizhevsky et al., 2012).

    >>> F.local_response_norm(ag.ones(1, 2, 3), 2, alpha=6.0).flatten()
    tensor([0.3536, 0.3536, 0.3536, 0.2324, 0.2324, 0.2324])
    """
    if len(input.shape) < 3:
        raise ShapeError(f"local_response_norm: {describe(input)}: expected (N, C, ...)")
    if any(is_equal(n, 0) for n in input.shape):
        return input
    n, c, *spatial = input.shape
    flat = ops.reshape(ops.square(input), (n, c, math.prod(spatial)))
    wide = ops.pad(flat, ((0, 0), (size // 2, (size - 1) // 2), (0, 0)), 0)
    total = None
    for i in range(size):
        part = ops.slice(wide, (0, i, 0), (n, c + i, flat.shape[2]), (1, 1, 1))
        total = part if total is None else ops.add(total, part)
    rounding = None if input.dtype.is_inexact else "trunc"
    mean = ops.reshape(ops.div(total, size, rounding_mode=rounding), tuple(input.shape))
    return ops.div(input, ops.pow(ops.add(ops.mul(mean, alpha), k), beta))
