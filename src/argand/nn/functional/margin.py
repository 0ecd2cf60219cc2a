"""Losses that compare: distances and similarities of pairs, margins between classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

from argand.base.domains import check_numbers
from argand.base.dtype import get_default_dtype
from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional.activation import logsigmoid
from argand.nn.functional.loss import cosine_similarity
from argand.nn.functional.reduction import check_reduction, reduced, reduction_of
from argand.tensor.creation import tensor
from argand.tensor.reducing import vector_norm


def _above(x: Any) -> Any:
    """max(x, 0)."""
    return ops.relu(x)


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The p-norm of x1 - x2 + eps along the last dimension.

    >>> F.pairwise_distance(ag.tensor([[3.0, 0.0]]), ag.tensor([[0.0, 4.0]]))
    tensor([5.])
    """
    return vector_norm(ops.add(ops.sub(x1, x2), eps), p, -1, keepdim)


def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm of the difference of each pair of rows (N, M), as (N * (N - 1) / 2,).

    >>> F.pdist(ag.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.0000, 1.0000, 4.2426])
    """
    if input.ndim != 2 or not input.dtype.is_floating_point:
        raise ShapeError(f"pdist: {describe(input)}: expected rows (N, M) of floats")
    check_numbers("[0, inf]", p=p)
    rows = int(input.shape[0])
    first, second = ([pair[i] for pair in combinations(range(rows), 2)] for i in (0, 1))
    left, right = (ops.index(input, tensor(i, dtype="int64"), dims=(0,)) for i in (first, second))
    return vector_norm(ops.sub(left, right), p, -1)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, -target * (input1 - input2) + margin): the first should rank higher where the target
    is 1, lower where it is -1.

    >>> F.margin_ranking_loss(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 1.0]), ag.tensor([1, 1]))
    tensor(1.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    losses = _above(ops.add(ops.mul(ops.neg(target), ops.sub(input1, input2)), margin))
    return reduced(losses, reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """input where the target is 1, max(0, margin - input) where it is -1.

    >>> F.hinge_embedding_loss(ag.tensor([0.3, 0.3]), ag.tensor([1, -1]), reduction="none")
    tensor([0.3000, 0.7000])
    """
    reduction = reduction_of(reduction, size_average, reduce)
    far = _above(ops.sub(margin, input))
    losses = ops.where(ops.eq(target, 1), input, ops.where(ops.eq(target, -1), far, input + far))
    return reduced(losses, reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1.

    >>> a, b = ag.tensor([[1.0, 0.0]]), ag.tensor([[1.0, 1.0]])
    >>> F.cosine_embedding_loss(a, b, ag.tensor([1]))
    tensor(0.2929)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    first, second = (
        x if x.dtype.is_inexact else ops.cast(x, get_default_dtype()) for x in (input1, input2)
    )
    cosine = cosine_similarity(first, second, -1)
    losses = ops.where(ops.eq(target, 1), ops.sub(1, cosine), _above(ops.sub(cosine, margin)))
    return reduced(losses, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) with `pairwise_distance`.

    With `swap` the nearer of anchor and positive is held against the negative (Balntas et al.,
    2016).

    >>> F.triplet_margin_loss(ag.zeros(1, 2), ag.zeros(1, 2), ag.tensor([[0.6, 0.0]]))
    tensor(0.4000)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_numbers("(0, inf)", margin=margin)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(_above(ops.add(ops.sub(near, far), margin)), reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_loss` with a distance of your own, `pairwise_distance` unless given.

    >>> far = lambda a, b: (a - b).abs().sum(-1)
    >>> x = ag.zeros(1, 2)
    >>> F.triplet_margin_with_distance_loss(x, x, x + 0.25, distance_function=far)
    tensor(0.5000)
    """
    check_reduction(reduction)
    check_numbers("(0, inf)", margin=margin)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced(_above(ops.add(ops.sub(near, far), margin)), reduction)


def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The sum over targets j and other classes i of max(0, 1 - input[j] + input[i]), divided by the
    number of classes. A row of `target` holds class numbers up to the first -1.

    >>> F.multilabel_margin_loss(ag.tensor([0.1, 0.2, 0.4, 0.8]), ag.tensor([3, 0, -1, 1]))
    tensor(0.8500)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if tuple(input.shape) != tuple(target.shape) or input.ndim > 2:
        raise ShapeError(
            f"multilabel_margin_loss: {describe(input, target)}: expected two of one shape, (N, C) "
            "or (C,)"
        )
    shape = (1, input.numel()) if input.ndim < 2 else tuple(input.shape)
    x, labels = ops.reshape(input, shape), ops.reshape(target, shape)
    ended = ops.gt(ops.cumsum(ops.cast(ops.lt(labels, 0), "int64"), 1), 0)
    valid = ops.logical_not(ended)
    index = ops.where(valid, labels, 0)
    counts = ops.full(shape, 0, "int64")
    is_target = ops.gt(ops.scatter_add(counts, 1, index, ops.cast(valid, "int64")), 0)
    chosen = ops.reshape(ops.gather(x, 1, index), (*shape, 1))
    gaps = _above(ops.add(ops.sub(1.0, chosen), ops.reshape(x, (shape[0], 1, shape[1]))))
    counted = ops.logical_and(
        ops.reshape(valid, (*shape, 1)),
        ops.reshape(ops.logical_not(is_target), (shape[0], 1, shape[1])),
    )
    losses = ops.div(ops.sum(ops.where(counted, gaps, 0.0), (1, 2)), shape[1])
    return reduced(losses if input.ndim == 2 else ops.reshape(losses, ()), reduction)


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """log(1 + exp(-target * input)), for targets 1 and -1.

    >>> F.soft_margin_loss(ag.tensor([0.0, 2.0]), ag.tensor([1, 1]), reduction="none")
    tensor([0.6931, 0.1269])
    """
    reduction = reduction_of(reduction, size_average, reduce)
    return reduced(ops.neg(logsigmoid(ops.mul(target, input))), reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The mean over the classes (the last dimension) of binary cross-entropy with logits.

    >>> F.multilabel_soft_margin_loss(ag.tensor([[0.0, 2.0]]), ag.tensor([[1.0, 0.0]]))
    tensor(1.4100)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    yes = ops.mul(target, logsigmoid(input))
    no = ops.mul(ops.sub(1, target), logsigmoid(ops.neg(input)))
    losses = ops.neg(ops.add(yes, no))
    if weight is not None:
        losses = ops.mul(losses, weight)
    return reduced(ops.mean(losses, -1), reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The mean over the classes j of max(0, margin - input[target] + input[j]) ** p, j != target.

    >>> F.multi_margin_loss(ag.tensor([[0.1, 0.2, 0.4]]), ag.tensor([2]))
    tensor(0.5000)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss: p must be 1 or 2, got {p}")
    if not input.ndim:
        input, target = ops.reshape(input, (1,)), ops.reshape(target, ())
    elif input.ndim == 1 and target.ndim == 1:
        target = ops.reshape(target, ())
    column = ops.reshape(target, (*target.shape, 1))
    gap = _above(ops.add(ops.sub(input, ops.gather(input, -1, column)), margin))
    losses = gap if p == 1 else ops.square(gap)
    if weight is not None:
        losses = ops.mul(losses, ops.index(weight, column, dims=(0,)))
    classes = ops.arange(0, 1, input.shape[-1], "int64")
    others = ops.where(ops.eq(column, classes), 0.0, losses)
    return reduced(ops.mean(others, -1), reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """exp(input) - target * input for the logarithm of a Poisson mean, or without `log_input`
    input - target * log(input + eps); `full` adds Stirling's approximation of log(target!).

    >>> F.poisson_nll_loss(ag.tensor([0.0, 1.0]), ag.tensor([1.0, 2.0]), reduction="none")
    tensor([1.0000, 0.7183])
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if log_input:
        losses = ops.sub(ops.exp(input), ops.mul(target, input))
    else:
        losses = ops.sub(input, ops.mul(target, ops.log(ops.add(input, eps))))
    if full:
        count = ops.maximum(target, 1.0)
        half = ops.mul(ops.log(ops.mul(count, 2 * math.pi)), 0.5)
        stirling = ops.add(ops.sub(ops.mul(count, ops.log(count)), count), half)
        losses = ops.add(losses, ops.where(ops.gt(target, 1), stirling, 0.0))
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """0.5 * (log(v) + (input - target) ** 2 / v) with v = max(var, eps), which gets its gradient
    as if it were not clamped; `full` adds 0.5 * log(2 * pi) (Nix and Weigend, 1994).

    >>> F.gaussian_nll_loss(ag.tensor([1.0]), ag.tensor([3.0]), ag.tensor([4.0]))
    tensor(1.1931)
    """
    check_reduction(reduction)
    if var.ndim == input.ndim - 1 and tuple(var.shape) == tuple(input.shape[:-1]):
        var = ops.reshape(var, (*var.shape, 1))  # one variance for each row, as in PyTorch
    low = ops.sub(ops.clamp(var, min=eps), var).detach()
    v = ops.add(var, low)
    losses = ops.mul(ops.add(ops.log(v), ops.div(ops.square(ops.sub(input, target)), v)), 0.5)
    if full:
        losses = ops.add(losses, 0.5 * math.log(2 * math.pi))
    return reduced(losses, reduction)
