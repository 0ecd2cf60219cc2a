"""Losses of detectors."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import float32, float64
from argand.nn import functional as F
from argand.tensor.selecting import where
from argand.transform.mode import no_grad


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction != "mean":
        raise ValueError(
            f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: "
            "'none', 'mean', 'sum'"
        )
    return loss.mean() if loss.numel() > 0 else 0.0 * loss.sum()


def _floats(boxes: Any) -> Any:
    return boxes if boxes.dtype in (float32, float64) else boxes.to(float32)


def _shared_and_union(boxes1: Any, boxes2: Any) -> tuple[Any, Any]:
    """The areas that each pair shares, and covers together."""
    sides = boxes1[..., 2:].minimum(boxes2[..., 2:]) - boxes1[..., :2].maximum(boxes2[..., :2])
    shared = where((sides > 0).all(-1), sides[..., 0] * sides[..., 1], 0.0)
    areas = [(b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (boxes1, boxes2)]
    return shared, areas[0] + areas[1] - shared


def _around(boxes1: Any, boxes2: Any) -> Any:
    return boxes1[..., 2:].maximum(boxes2[..., 2:]) - boxes1[..., :2].minimum(boxes2[..., :2])


def generalized_box_iou_loss(
    boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7
) -> Any:
    """1 less the generalized IoU of each pair of boxes (x1, y1, x2, y2). Rezatofighi et al. (2019).

    >>> from argand.vision.ops import generalized_box_iou_loss
    >>> generalized_box_iou_loss(ag.tensor([[0.0, 0, 1, 1]]), ag.tensor([[2.0, 0, 3, 1]]))
    tensor([1.3333])
    """
    boxes1, boxes2 = _floats(boxes1), _floats(boxes2)
    shared, union = _shared_and_union(boxes1, boxes2)
    sides = _around(boxes1, boxes2)
    whole = sides[..., 0] * sides[..., 1]
    found = shared / (union + eps) - (whole - union) / (whole + eps)
    return _reduced(1 - found, reduction)


def _distance_loss(boxes1: Any, boxes2: Any, eps: float) -> tuple[Any, Any]:
    shared, union = _shared_and_union(boxes1, boxes2)
    overlap = shared / (union + eps)
    diagonal = (_around(boxes1, boxes2) ** 2).sum(-1) + eps
    center1, center2 = ((b[..., :2] + b[..., 2:]) / 2 for b in (boxes1, boxes2))
    return 1 - overlap + ((center1 - center2) ** 2).sum(-1) / diagonal, overlap


def distance_box_iou_loss(
    boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7
) -> Any:
    """1 less the IoU, plus the squared distance of the centres over that of the corners of the
    smallest box around, of each pair of boxes. Zheng et al. (2020).

    >>> from argand.vision.ops import distance_box_iou_loss
    >>> distance_box_iou_loss(ag.tensor([[0.0, 0, 1, 1]]), ag.tensor([[1.0, 0, 2, 1]]))
    tensor([1.2000])
    """
    loss, _ = _distance_loss(_floats(boxes1), _floats(boxes2), eps)
    return _reduced(loss, reduction)


def complete_box_iou_loss(
    boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7
) -> Any:
    """`distance_box_iou_loss` plus a term for the difference of proportions. Zheng et al. (2020).

    >>> from argand.vision.ops import complete_box_iou_loss
    >>> complete_box_iou_loss(ag.tensor([[0.0, 0, 1, 1]]), ag.tensor([[1.0, 0, 2, 1]]))
    tensor([1.2000])
    """
    boxes1, boxes2 = _floats(boxes1), _floats(boxes2)
    loss, overlap = _distance_loss(boxes1, boxes2, 1e-7)
    angles = [((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1])).atan() for b in (boxes1, boxes2)]
    shape = 4 / math.pi**2 * (angles[1] - angles[0]) ** 2
    with no_grad():
        weight = shape / (1 - overlap + shape + eps)
    return _reduced(loss + weight * shape, reduction)


def sigmoid_focal_loss(
    inputs: Any, targets: Any, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Any:
    """``-a (1 - p)^gamma log p``, where p is the chance that the logit gives to the target (0 or 1)
    and a is `alpha` for 1, ``1 - alpha`` for 0; -1 for none. Lin et al. (2017).

    >>> from argand.vision.ops import sigmoid_focal_loss
    >>> sigmoid_focal_loss(ag.zeros(1), ag.ones(1))
    tensor([0.0433])
    """
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(
            f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        )
    chance = inputs.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    right = chance * targets + (1 - chance) * (1 - targets)
    loss = entropy * (1 - right) ** gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return _reduced(loss, reduction)
