"""Losses."""

from __future__ import annotations

from typing import Any

from argand.base.dim import same
from argand.base.domains import check_numbers
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import broadcast_shapes
from argand.ir.op import describe, ops
from argand.nn.functional.reduction import check_reduction, reduced, reduction_of
from argand.tensor.reducing import vector_norm
from argand.tensor.switches import result_type


def _weighted(op: Any, input: Any, target: Any, weight: Any, reduction: str, **params: Any) -> Any:
    """A loss of equal shapes; `weight` multiplies the elements."""
    if weight is None:
        return op(input, target, reduction=reduction, **params)
    return reduced(ops.mul(op(input, target, reduction="none", **params), weight), reduction)


def _averaged(op: Any, input: Any, target: Any, weight: Any, reduction: str) -> Any:
    """As `_weighted`, whose mean is the weighted one."""
    if weight is None or reduction != "mean":
        return _weighted(op, input, target, weight, reduction)
    losses = op(input, target, reduction="none")
    weights = ops.expand(weight, tuple(losses.shape))
    return ops.div(ops.sum(ops.mul(losses, weights)), ops.sum(weights))


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log(softmax(input)[target]), over the classes C: dimension 1, or 0 for one sample.

    `input` holds logits (N, C, ...); `target` is class numbers (N, ...) of an integer dtype, or
    probabilities in the shape of the input. A number that is `ignore_index` counts for nothing; any
    other outside [0, C) is an IndexError. `weight` (C,) is one for each class; the mean then
    divides by the sum of the targets' weights. `label_smoothing` e mixes in e times the even
    distribution (Szegedy et al., 2015). `reduction`: "mean", "sum" or "none".

    >>> F.cross_entropy(ag.tensor([[0.0, 0.0], [0.0, 2.0]]), ag.tensor([0, 1]), reduction="none")
    tensor([0.6931, 0.1269])
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _check_classes("cross_entropy", input, weight)
    if target.dtype.is_inexact and ignore_index >= 0:
        raise ArgumentError("cross_entropy: ignore_index means nothing for probabilities")
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


def _check_classes(op: str, input: Any, weight: Any) -> None:
    """Raise unless there is a weight for each class, in the dtype of the input."""
    if weight is None:
        return
    if weight.dtype is not input.dtype:
        raise DTypeError(f"{op}: {describe(input, weight)}: expected one dtype")
    classes = input.shape[0 if input.ndim == 1 else 1] if input.ndim else 1
    if weight.ndim != 1 or not same(weight.shape[0], classes):
        raise ShapeError(f"{op}: {describe(input, weight)}: expected a weight for each class")


def _smoothed(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Any:
    """(1 - e) times the loss of the targets, e times that of all classes alike, both weighted."""
    check_numbers("[0, 1]", label_smoothing=smoothing)
    classes = 0 if input.ndim == 1 else 1
    logs = ops.log_softmax(input, classes)
    laid = ops.reshape(weight, (weight.shape[0], *(1,) * (logs.ndim - 1 - classes)))
    kept = ops.ne(target, ignore_index)
    even = ops.where(kept, ops.neg(ops.sum(ops.mul(logs, laid), classes)), 0.0)
    even = ops.mul(even, smoothing / input.shape[classes])
    own = ops.nll_loss(logs, target, weight, ignore_index=ignore_index, reduction="none")
    losses = ops.add(ops.mul(own, 1 - smoothing), even)
    if reduction != "mean":
        return reduced(losses, reduction)
    shares = ops.where(kept, ops.index(weight, ops.where(kept, target, 0), dims=(0,)), 0.0)
    return ops.div(ops.sum(losses), ops.sum(shares))


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-weight[target] * input[target], for log-probabilities (N, C, ...) and class numbers (N,
    ...).

    The mean divides by the sum of the targets' weights. `cross_entropy` takes logits instead.

    >>> F.nll_loss(ag.tensor([[-0.5, -1.0]]), ag.tensor([1]))
    tensor(1.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _check_classes("nll_loss", input, weight)
    return ops.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """(input - target) ** 2, and its mean or sum, as `reduction` says ("mean", "sum" or "none").

    The shapes must be equal or broadcast. `weight` multiplies the elements; the mean is then their
    sum over the sum of the weights.

    >>> F.mse_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]))
    tensor(2.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    return _averaged(ops.mse_loss, input, target, weight, reduction)


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """abs(input - target), and its mean or sum, as `reduction` says; `weight` as in `mse_loss`.

    >>> F.l1_loss(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 4.0]))
    tensor(1.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    return _averaged(ops.l1_loss, input, target, weight, reduction)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """0.5 * d ** 2 / beta where d = abs(input - target) < beta, else d - 0.5 * beta (Girshick,
    2015).

    With beta = 0 it is `l1_loss`.

    >>> F.smooth_l1_loss(ag.tensor([0.5, 3.0]), ag.tensor([0.0, 0.0]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    reduction = reduction_of(reduction, size_average, reduce)
    return _weighted(ops.smooth_l1_loss, input, target, None, reduction, beta=float(beta))


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """0.5 * d ** 2 where d = abs(input - target) < delta, else delta * (d - 0.5 * delta) (Huber,
    1964).

    >>> F.huber_loss(ag.tensor([0.5, 3.0]), ag.tensor([0.0, 0.0]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    check_reduction(reduction)
    return _weighted(ops.huber_loss, input, target, weight, reduction, delta=float(delta))


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-(t * log(p) + (1 - t) * log(1 - p)), for probabilities p in [0, 1] and targets t.

    The logarithms are at least -100, so p of 0 or 1 gives a finite loss, as in PyTorch. For logits
    take `binary_cross_entropy_with_logits`, which is exact there.

    >>> F.binary_cross_entropy(ag.tensor([0.5, 0.9]), ag.tensor([0.0, 1.0]), reduction="none")
    tensor([0.6931, 0.1054])
    """
    reduction = reduction_of(reduction, size_average, reduce)
    return ops.binary_cross_entropy(input, target, weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """`binary_cross_entropy` of sigmoid(input), computed without overflow.

    `weight` multiplies the elements, `pos_weight` the loss of the positives (t * log(p)).

    >>> logits, targets = ag.tensor([0.0, 100.0]), ag.tensor([1.0, 0.0])
    >>> F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    tensor([  0.6931, 100.0000])
    """
    reduction = reduction_of(reduction, size_average, reduce)
    return ops.binary_cross_entropy_with_logits(
        input, target, weight, reduction=reduction, pos_weight=pos_weight
    )


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """target * (log(target) - input), for log-probabilities `input`; 0 where the target is 0.

    With `log_target` the target is given as logarithms too. `reduction="batchmean"` divides the sum
    by the first size, which is the Kullback-Leibler divergence's definition.

    >>> F.kl_div(ag.tensor([[0.5, 0.5]]).log(), ag.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce, ("batchmean",))
    return ops.kl_div(input, target, reduction=reduction, log_target=bool(log_target))


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """sum(x1 * x2) / (max(norm(x1), eps) * max(norm(x2), eps)) along `dim`, in [-1, 1].

    >>> F.cosine_similarity(ag.tensor([1.0, 0.0]), ag.tensor([1.0, 1.0]), dim=0)
    tensor(0.7071)
    """
    check_numbers("[0, inf)", eps=eps)
    shape = broadcast_shapes(tuple(x1.shape), tuple(x2.shape), op="cosine_similarity")
    dtype = result_type(x1, x2)
    if not dtype.is_floating_point:
        raise DTypeError(f"cosine_similarity: expected floating-point tensors, got {dtype.name}")
    first, second = (ops.expand(ops.cast(x, dtype), shape) for x in (x1, x2))
    units = [ops.div(x, ops.clamp(vector_norm(x, 2, dim, True), min=eps)) for x in (first, second)]
    return ops.sum(ops.mul(*units), dim)
