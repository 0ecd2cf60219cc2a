"""Losses."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError, did_you_mean
from argand.ir.op import ops

_REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str, extra: tuple[str, ...] = ()) -> str:
    """The reduction itself; an error that lists the choices otherwise."""
    if reduction not in (*_REDUCTIONS, *extra):
        choices = ", ".join((*_REDUCTIONS, *extra))
        near = did_you_mean(str(reduction), (*_REDUCTIONS, *extra))
        raise ArgumentError(f"reduction must be one of {choices}; got {reduction!r}{near}")
    return reduction


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return ops.mean(losses) if reduction == "mean" else ops.sum(losses)


def _weighted(op: Any, input: Any, target: Any, weight: Any, reduction: str, **params: Any) -> Any:
    """A loss of equal shapes; `weight` multiplies the elements."""
    check_reduction(reduction)
    if weight is None:
        return op(input, target, reduction=reduction, **params)
    return _reduced(ops.mul(op(input, target, reduction="none", **params), weight), reduction)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log(softmax(input)[target]) over the classes (dimension 1, or 0 for one sample).

    The target is class numbers, or probabilities in the shape of the input. `weight` is one for
    each class; the mean then divides by the sum of the targets' weights.

    >>> import argand as ag
    >>> cross_entropy(ag.zeros(2, 4), ag.tensor([1, 3]))
    tensor(1.3863)
    """
    check_reduction(reduction)
    if weight is not None and label_smoothing and not target.dtype.is_inexact:
        return _smoothed(input, target, weight, ignore_index, reduction, label_smoothing)
    return ops.cross_entropy(
        input,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=float(label_smoothing),
    )


def _smoothed(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Any:
    """(1 - e) times the loss of the targets, e times that of all classes alike, both weighted."""
    classes = 0 if input.ndim == 1 else 1
    logs = ops.log_softmax(input, classes)
    laid = ops.reshape(weight, (weight.shape[0], *(1,) * (logs.ndim - 1 - classes)))
    kept = ops.ne(target, ignore_index)
    even = ops.where(kept, ops.neg(ops.sum(ops.mul(logs, laid), classes)), 0.0)
    even = ops.mul(even, smoothing / input.shape[classes])
    own = ops.nll_loss(logs, target, weight, ignore_index=ignore_index, reduction="none")
    losses = ops.add(ops.mul(own, 1 - smoothing), even)
    if reduction != "mean":
        return _reduced(losses, reduction)
    shares = ops.where(kept, ops.index(weight, ops.where(kept, target, 0), dims=(0,)), 0.0)
    return ops.div(ops.sum(losses), ops.sum(shares))


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """-input[target], for log-probabilities over the classes (dimension 1) and class numbers."""
    check_reduction(reduction)
    return ops.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """(input - target) ** 2."""
    return _weighted(ops.mse_loss, input, target, weight, reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """abs(input - target)."""
    return _weighted(ops.l1_loss, input, target, weight, reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """0.5 * d ** 2 / beta where d = abs(input - target) < beta, else d - 0.5 * beta."""
    return _weighted(ops.smooth_l1_loss, input, target, None, reduction, beta=float(beta))


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """0.5 * d ** 2 where d = abs(input - target) < delta, else delta * (d - 0.5 * delta)."""
    return _weighted(ops.huber_loss, input, target, weight, reduction, delta=float(delta))


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """-(t * log(p) + (1 - t) * log(1 - p)), with the logarithms at least -100."""
    check_reduction(reduction)
    return ops.binary_cross_entropy(input, target, weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Binary cross-entropy of sigmoid(input), stable; `pos_weight` multiplies the positives."""
    check_reduction(reduction)
    return ops.binary_cross_entropy_with_logits(
        input, target, weight, reduction=reduction, pos_weight=pos_weight
    )


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """target * (log(target) - input), for log-probabilities `input`; 0 where the target is 0.

    "batchmean" divides the sum by the first size, which is the divergence's definition.
    """
    check_reduction(reduction, ("batchmean",))
    return ops.kl_div(input, target, reduction=reduction, log_target=bool(log_target))


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """sum(x1 * x2) / (max(norm(x1), eps) * max(norm(x2), eps)) along `dim`."""
    if eps < 0:
        raise ArgumentError(f"cosine_similarity: eps must not be negative, got {eps}")
    first = ops.clamp(ops.sqrt(ops.sum(ops.square(x1), dim, True)), min=eps)
    second = ops.clamp(ops.sqrt(ops.sum(ops.square(x2), dim, True)), min=eps)
    return ops.sum(ops.mul(ops.div(x1, first), ops.div(x2, second)), dim)
