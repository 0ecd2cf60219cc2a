"""Losses of what a linear layer gives, and convolutions of sequences that start with time."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.base.notices import no_effect
from argand.ir.op import describe, ops
from argand.nn.functional.loss import cross_entropy
from argand.nn.functional.mixing import linear
from argand.nn.functional.window import conv1d


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``.

    `input` is (N, F) or (F,), `linear_weight` (C, ..., F) and `linear_bias` (C, ...): the logits
    are (N, C, ...). `options` say in PyTorch how much memory is used; here they have no effect.

    >>> x, w = ag.ones(2, 3), ag.zeros(4, 3)
    >>> F.linear_cross_entropy(x, w, ag.tensor([0, 3])).exp()
    tensor(4.)
    """
    no_effect("linear_cross_entropy", "the logits are computed as a whole", options=(options, None))
    if input.ndim not in (1, 2) or linear_weight.ndim < 2:
        raise ShapeError(
            f"linear_cross_entropy: {describe(input, linear_weight)}: expected (N, F) or (F,), and "
            "weights (C, ..., F)"
        )
    features, shape = linear_weight.shape[-1], tuple(linear_weight.shape[:-1])
    if input.shape[-1] != features or (input.ndim == 1 and len(shape) > 1):
        raise ShapeError(
            f"linear_cross_entropy: {describe(input, linear_weight)}: expected as many features in "
            "both, and a batch where there are several dimensions of classes"
        )
    if linear_bias is not None and tuple(linear_bias.shape) != shape:
        raise ShapeError(
            f"linear_cross_entropy: {describe(linear_bias)}: expected a bias of shape {shape}"
        )
    logits_shape = (*input.shape[:-1], *shape)
    if tuple(target.shape) == logits_shape and ignore_index is not None:
        raise ArgumentError(
            "linear_cross_entropy: ignore_index means nothing for a target of probabilities"
        )
    flat = math.prod(shape)
    bias = None if linear_bias is None else ops.reshape(linear_bias, (flat,))
    logits = linear(input, ops.reshape(linear_weight, (flat, features)), bias)
    return cross_entropy(
        ops.reshape(logits, logits_shape),
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """`conv1d` of sequences (time, N, C) with a weight (k, C, out).

    >>> F.conv_tbc(ag.ones(4, 1, 2), ag.ones(3, 2, 1), ag.zeros(1)).flatten()
    tensor([6., 6.])
    """
    if input.ndim != 3 or weight.ndim != 3:
        raise ShapeError(
            f"conv_tbc: {describe(input, weight)}: expected (time, N, C) and a weight (k, C, out)"
        )
    x, w = ops.permute(input, (1, 2, 0)), ops.permute(weight, (2, 1, 0))
    return ops.permute(conv1d(x, w, bias, padding=pad), (2, 0, 1))
