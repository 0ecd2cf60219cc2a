"""Norms with the statistics that they divide by, under PyTorch's names for them."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import compute_dtype
from argand.base.errors import ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional.norm import batch_normalised, group_norm, layer_norm


def _statistics(x: Any, dims: tuple[int, ...], eps: float, keepdim: bool) -> tuple[Any, Any]:
    """The mean and 1 / sqrt(var + eps) along dimensions."""
    wide = ops.cast(x, compute_dtype(x.dtype))
    mean = ops.mean(wide, dims, keepdim)
    rstd = ops.rsqrt(ops.add(ops.var(wide, dims, correction=0, keepdim=keepdim), eps))
    return ops.cast(mean, x.dtype), ops.cast(rstd, x.dtype)


def native_layer_norm(
    input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> tuple[Any, Any, Any]:
    """(y, mean, rstd): `F.layer_norm`, and the mean and 1 / sqrt(var + eps) of each row.

    No gradient flows through the last two. Follows `torch.native_layer_norm`.

    >>> ag.native_layer_norm(ag.tensor([[1.0, 3.0]]), (2,), None, None, 0.0)
    (tensor([[-1.,  1.]]), tensor([[2.]]), tensor([[1.]]))
    """
    found = layer_norm(input, normalized_shape, weight, bias, eps)
    rank = len(normalized_shape)
    dims = tuple(range(input.ndim - rank, input.ndim))
    return found, *_statistics(input.detach(), dims, eps, True)


def native_group_norm(
    input: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Any, Any, Any]:
    """(y, mean, rstd): `F.group_norm`, and the mean and 1 / sqrt(var + eps) of each group.

    `N`, `C` and `HxW` are the numbers of images, channels and elements of a channel; ShapeError
    where the input has others. Follows `torch.native_group_norm`.

    >>> ag.native_group_norm(ag.tensor([[1.0, 3.0]]), None, None, 1, 2, 1, 1, 0.0)
    (tensor([[-1.,  1.]]), tensor([[2.]]), tensor([[1.]]))
    """
    if (N, C, HxW) != (*input.shape[:2], math.prod(input.shape[2:])):
        raise ShapeError(
            f"native_group_norm: {describe(input)}: it doesn't have N = {N}, C = {C}, HxW = {HxW}"
        )
    found = group_norm(input, group, weight, bias, eps)
    grouped = ops.reshape(input, (N, group, C // group * HxW))
    return found, *_statistics(grouped, (2,), eps, False)


def native_batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Any, Any, Any]:
    """(y, mean, rstd): `F.batch_norm`, and in training the mean and 1 / sqrt(var + eps) of each
    channel.

    In evaluation these two are empty. No gradient flows through them. Follows
    `torch.native_batch_norm`.

    >>> ag.native_batch_norm(ag.tensor([[1.0], [3.0]]), None, None, None, None, True, 0.1, 0.0)[1:]
    (tensor([2.]), tensor([1.]))
    """
    found = batch_normalised(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )
    if not training:
        empty = ops.full((0,), 0, running_mean.dtype)
        return found, empty, empty
    dims = (0, *range(2, input.ndim))
    return found, *_statistics(input.detach(), dims, eps, False)
