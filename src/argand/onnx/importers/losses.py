"""Losses."""

from __future__ import annotations

from typing import Any

from argand.onnx.registry import Call, importer
from argand.onnx.values import F, ag
from argand.tensor.core import Tensor


@importer("NegativeLogLikelihoodLoss")
def _nll(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:
    return nll_loss(x, target, weight, ignore_index, reduction)


def nll_loss(x: Any, target: Any, weight: Any, ignored: int | None, reduction: str) -> Any:
    """The weighted mean, sum or whole of -x at the target classes; (N, C, ...) and (N, ...)."""
    places = target.to(ag.int64)
    if ignored is None:
        kept = ag.ones_like(places, dtype=ag.bool)
    else:
        kept = places != ignored
        places = ag.where(kept, places, ag.zeros_like(places))
    taken = -ag.gather(x, 1, places.unsqueeze(1)).squeeze(1)
    factors = kept.to(x.dtype)
    if weight is not None:
        rows = ag.index_select(weight, 0, places.reshape(-1)).reshape(places.shape)
        factors = factors * rows
    loss = ag.where(kept, taken * factors, ag.zeros_like(taken))
    if reduction == "none":
        return loss
    return ag.sum(loss) if reduction == "sum" else ag.sum(loss) / ag.sum(factors)


@importer("SoftmaxCrossEntropyLoss")
def _softmax_cross_entropy(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
    node: Call,
) -> Any:
    logs = F.log_softmax(scores, 1)
    loss = nll_loss(logs, labels, weights, ignore_index, reduction)
    return (loss, logs)[: node.outputs]
