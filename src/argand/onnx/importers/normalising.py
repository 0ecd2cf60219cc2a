"""Normalisations, and dropout."""

from __future__ import annotations

import functools
import operator
from typing import Any

from argand.base.dim import same
from argand.onnx.registry import Call, importer
from argand.onnx.values import F, Host, ag, dtype_of, scalar
from argand.tensor.core import Tensor


def _channels(p: Any, rank: int) -> Any:
    """A vector of one number a channel, to go with an image."""
    return p.reshape([-1] + [1] * (rank - 2))


@importer("BatchNormalization", since=7)
def _batch_norm(
    x: Tensor,
    scale: Tensor,
    b: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
    node: Call,
) -> Any:
    if training_mode:
        return _trained(x, scale, b, mean, var, epsilon, momentum, node)
    made = F.batch_norm(
        x, mean.to(x.dtype), var.to(x.dtype), scale.to(x.dtype), b.to(x.dtype), eps=epsilon
    )
    return (made,) + (None,) * (node.outputs - 1)


@importer("BatchNormalization", since=1)
def _old_batch_norm(
    x: Tensor,
    scale: Tensor,
    b: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    consumed_inputs: Any = None,
    epsilon: float = 1e-5,
    is_test: int = 0,
    momentum: float = 0.9,
    spatial: int = 1,
    node: Call,
) -> Any:
    trained = int(not is_test)
    return _batch_norm(
        x, scale, b, mean, var, epsilon=epsilon, momentum=momentum, training_mode=trained, node=node
    )


def _trained(
    x: Any, scale: Any, b: Any, mean: Any, var: Any, epsilon: float, momentum: float, node: Call
) -> Any:
    """By the batch's own mean and variance, with the running ones as further results."""
    dims = [0, *range(2, x.ndim)]
    wide = x.to(mean.dtype)
    own_mean = ag.mean(wide, dims)
    own_var = ag.var(wide, dims, correction=0)
    made = F.batch_norm(
        wide, own_mean, own_var, scale.to(mean.dtype), b.to(mean.dtype), eps=epsilon
    )
    running = (
        mean * momentum + own_mean * (1 - momentum),
        var * momentum + own_var * (1 - momentum),
    )
    return (made.to(x.dtype), *running)[: node.outputs]


@importer("InstanceNormalization")
def _instance_norm(x: Tensor, scale: Tensor, b: Tensor, *, epsilon: float = 1e-5) -> Any:
    if all(same(size, 1) for size in x.shape[2:]):  # which the layer refuses, as PyTorch's
        shape = (-1, *(1,) * (x.ndim - 2))
        return (x - x) * scale.reshape(shape) + b.reshape(shape)
    return F.instance_norm(x, weight=scale, bias=b, eps=epsilon)


@importer("GroupNormalization", since=21)
def _group_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    *,
    epsilon: float = 1e-5,
    num_groups: int,
    stash_type: int = 1,
) -> Any:
    return F.group_norm(x, num_groups, scale, bias, epsilon)


@importer("GroupNormalization", since=18)
def _group_norm_by_groups(
    x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5, num_groups: int
) -> Any:
    each = x.shape[1] // num_groups
    weights = (p.reshape(-1, 1).expand(num_groups, each).reshape(-1) for p in (scale, bias))
    return F.group_norm(x, num_groups, *weights, epsilon)


@importer("LayerNormalization")
def layer_norm(
    x: Tensor,
    scale: Tensor,
    b: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    node: Call,
) -> Any:
    """Over the axes from `axis` on; mean and 1 / deviation are further results."""
    d = axis % x.ndim
    shape = list(x.shape[d:])
    whole = list(scale.shape) == shape and (b is None or list(b.shape) == shape)
    if whole:
        made = F.layer_norm(x, shape, scale, b, epsilon)
    else:
        made = F.layer_norm(x, shape, None, None, epsilon) * scale
        made = made if b is None else made + b
    if node.outputs == 1:
        return made
    dims = list(range(d, x.ndim))
    wide = x.to(dtype_of(stash_type))
    mean = ag.mean(wide, dims, True)
    deviation = ag.rsqrt(ag.var(wide, dims, correction=0, keepdim=True) + epsilon)
    return (made, mean, deviation)[: node.outputs]


@importer("RMSNormalization")
def _rms_norm(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    shape = list(x.shape[axis % x.ndim :])
    if list(scale.shape) == shape:
        return F.rms_norm(x, shape, scale, epsilon)
    return F.rms_norm(x, shape, None, epsilon) * scale


@importer("LRN")
def _lrn(
    x: Tensor, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int
) -> Any:
    low = (size - 1) // 2
    squares = F.pad(x * x, [0, 0] * (x.ndim - 2) + [low, size - 1 - low])
    n = x.shape[1]
    total = functools.reduce(operator.add, (squares.narrow(1, i, n) for i in range(size)))
    return x / (total * (alpha / size) + bias) ** beta


@importer("LpNormalization")
def _lp_norm(x: Tensor, *, axis: int = -1, p: int = 2) -> Any:
    norm = ag.sum(ag.abs(x), axis, True) if p == 1 else ag.sqrt(ag.sum(x * x, axis, True))
    return ag.where(norm == 0, ag.zeros_like(x), x / norm)


@importer("MeanVarianceNormalization")
def _mean_variance(x: Tensor, *, axes: Any = (0, 2, 3)) -> Any:
    dims = list(axes)
    centred = x - ag.mean(x, dims, True)
    return centred / (ag.sqrt(ag.mean(centred * centred, dims, True)) + 1e-9)


@importer("Dropout", since=12, draws=True)
def _dropout(
    x: Tensor,
    ratio: Host | None = None,
    training_mode: Host | None = None,
    *,
    seed: int = 0,
    node: Call,
) -> Any:
    rate = 0.5 if ratio is None else scalar(ratio)
    if training_mode is None or not scalar(training_mode) or rate == 0:
        mask = ag.ones_like(x, dtype=ag.bool) if node.wants(1) else None
        return (x, mask)[: node.outputs]
    kept = ag.rand(x.shape) >= rate
    return (ag.where(kept, x / (1 - rate), ag.zeros_like(x)), kept)[: node.outputs]


@importer("Dropout", since=7)
def _no_dropout(x: Tensor, *, ratio: float = 0.5, node: Call) -> Any:
    """Before opset 12 there was none but when trained elsewhere."""
    return (x, ag.ones_like(x, dtype=ag.bool) if node.wants(1) else None)[: node.outputs]


@importer("Dropout", since=1)
def _old_dropout(x: Tensor, *, ratio: float = 0.5, is_test: int = 0, node: Call) -> Any:
    return (x, None)[: node.outputs]
