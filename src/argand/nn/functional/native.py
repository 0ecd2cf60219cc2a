"""What PyTorch has beside `nn.functional`: norms with the statistics that they divide by, and norms
and lookups with another order of arguments."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import compute_dtype
from argand.base.errors import ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional import lookup, norm
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


# -- another order of arguments --------------------------------------------------------------------


def embedding(
    weight: Any,
    indices: Any,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of `weight` (V, D) that `indices` name: `F.embedding` with the weight first.

    The row `padding_idx` gets no gradient; -1 is none. Follows `torch.embedding`.

    >>> ag.embedding(ag.tensor([[1.0], [2.0]]), ag.tensor([1, 0, 1])).flatten()
    tensor([2., 1., 2.])
    """
    none = None if padding_idx == -1 else padding_idx
    return lookup.embedding(indices, weight, none, None, 2.0, scale_grad_by_freq, sparse)


def batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Any:
    """`F.batch_norm` with the weight and bias first; `cudnn_enabled` has no effect here.

    >>> x, one, zero = ag.tensor([[3.0], [5.0]]), ag.ones(1), ag.zeros(1)
    >>> ag.batch_norm(x, one, zero, zero.clone(), one.clone(), True, 0.1, 1e-9, False).flatten()
    tensor([-1.,  1.])
    """
    return norm.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Any:
    """`F.instance_norm` with the weight and bias first; `cudnn_enabled` has no effect here.

    >>> x = ag.tensor([[[3.0, 5.0]]])
    >>> ag.instance_norm(x, None, None, None, None, True, 0.1, 0.0, False).flatten()
    tensor([-1.,  1.])
    """
    given = (running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    return norm.instance_norm(input, *given)
