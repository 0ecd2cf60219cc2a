"""Boxes as rows of numbers: their areas, overlaps, formats, and which to keep."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.dtype import bool_, float32, float64, int32, int64
from argand.base.errors import ShapeError
from argand.base.shape import shape_text
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import zeros
from argand.tensor.joining import stack
from argand.transform.mode import no_grad
from argand.vision.box_formats import converted
from argand.vision.tv_tensors import BoundingBoxFormat


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The boxes to keep, by falling score: each overlaps every one before it by at most the
    threshold, as intersection over union. Boxes are rows ``(x1, y1, x2, y2)``.

    >>> from argand.vision.ops import nms
    >>> boxes = ag.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    >>> nms(boxes, ag.tensor([0.8, 0.9, 0.7]), 0.5)
    tensor([1, 2])
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise ShapeError(
            "nms: boxes must be (N, 4) and scores (N,), got "
            f"{shape_text(boxes.shape)} and {shape_text(scores.shape)}"
        )
    corners: Any = boxes.detach().numpy()
    values: Any = scores.detach().numpy()
    low, high = corners[:, :2], corners[:, 2:]
    areas = (high - low).prod(axis=1)
    order = np.argsort(-values, kind="stable")
    kept = []
    with np.errstate(divide="ignore", invalid="ignore"):
        while order.size:
            best, order = order[0], order[1:]
            kept.append(int(best))
            sides = np.minimum(high[best], high[order]) - np.maximum(low[best], low[order])
            shared = np.maximum(sides, 0).prod(axis=1)
            overlap = shared / (areas[best] + areas[order] - shared)
            order = order[~(overlap.astype(np.float64) > iou_threshold)]
    return wrap(np.array(kept, np.int64))


_FEW = 4000
"""Boxes with no more numbers than this are told apart by groups by moving these apart."""


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Tensor:
    """`nms` in each group of boxes by itself; `idxs` has the numbers of the groups.

    >>> from argand.vision.ops import batched_nms
    >>> boxes = ag.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11]])
    >>> batched_nms(boxes, ag.tensor([0.8, 0.9]), ag.tensor([0, 1]), 0.5)
    tensor([1, 0])
    """
    if boxes.numel() == 0:
        return zeros(0, dtype=int64)
    if boxes.numel() <= _FEW:
        offsets = idxs.to(boxes.dtype) * (boxes.max() + 1)
        return nms(boxes + offsets.unsqueeze(1), scores, iou_threshold)
    kept: Any = zeros(len(scores), dtype=bool_)
    for group in idxs.unique():
        members = (idxs == group).nonzero().flatten()
        kept[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    chosen = kept.nonzero().flatten()
    found: Tensor = chosen[scores[chosen].sort(descending=True)[1]]
    return found


def remove_small_boxes(boxes: Any, min_size: float) -> Tensor:
    """The numbers of the boxes that are at least that wide and high.

    >>> from argand.vision.ops import remove_small_boxes
    >>> remove_small_boxes(ag.tensor([[0.0, 0, 1, 9], [0, 0, 5, 5]]), 3)
    tensor([1])
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    found: Tensor = (sides >= min_size).all(dim=-1).nonzero().flatten()
    return found


def clip_boxes_to_image(boxes: Any, size: tuple[int, int]) -> Any:
    """Boxes cut at the border of an image of that (height, width).

    >>> from argand.vision.ops import clip_boxes_to_image
    >>> clip_boxes_to_image(ag.tensor([[-1.0, 2, 9, 9]]), (5, 6))
    tensor([[0., 2., 6., 5.]])
    """
    height, width = size
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return stack((x, y), dim=-1).reshape(boxes.shape)


_FORMATS = ("xyxy", "xywh", "cxcywh", "xywhr", "cxcywhr", "xyxyxyxy")


def box_convert(boxes: Any, in_fmt: str, out_fmt: str) -> Any:
    """Boxes in another format: "xyxy" corners, "xywh" a corner and sizes, "cxcywh" the centre and
    sizes; and of rotated ones, with an angle in degrees, "xywhr", "cxcywhr" and "xyxyxyxy".

    >>> from argand.vision.ops import box_convert
    >>> box_convert(ag.tensor([[1.0, 2, 5, 8]]), "xyxy", "cxcywh")
    tensor([[3., 5., 4., 6.]])
    """
    if in_fmt not in _FORMATS or out_fmt not in _FORMATS:
        raise ValueError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    if in_fmt == out_fmt:
        return boxes.clone()
    if (in_fmt in _FORMATS[3:]) != (out_fmt in _FORMATS[3:]):
        raise NotImplementedError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    whole = not boxes.is_floating_point()
    if whole and {in_fmt, out_fmt} == {"cxcywhr", "xyxyxyxy"}:
        return box_convert(box_convert(boxes, in_fmt, "xywhr"), "xywhr", out_fmt)
    floats = boxes if boxes.is_floating_point() or in_fmt in _FORMATS[3:] else boxes.to(float64)
    found = converted(floats, *(BoundingBoxFormat[f.upper()] for f in (in_fmt, out_fmt)))
    if not boxes.is_floating_point() and in_fmt in _FORMATS[:3]:
        halves = "cxcywh" in (in_fmt, out_fmt)
        return found.to(float32) if halves else found.to(boxes.dtype)
    return found if boxes.is_floating_point() else found.round().to(boxes.dtype)


# -- areas and overlaps ----------------------------------------------------------------------------


def _upcast(t: Any) -> Any:
    """Wide enough a dtype that areas don't overflow."""
    wide = (float32, float64) if t.is_floating_point() else (int32, int64)
    return t if t.dtype in wide else t.to(wide[0])


def box_area(boxes: Any, fmt: str = "xyxy") -> Any:
    """Width times height of each box.

    >>> from argand.vision.ops import box_area
    >>> box_area(ag.tensor([[1.0, 2, 5, 8]]))
    tensor([24.])
    """
    if fmt not in _FORMATS[:3]:
        raise ValueError(f"Unsupported Bounding Box area for given format {fmt}")
    boxes = _upcast(boxes)
    sides = boxes[..., 2:] - boxes[..., :2] if fmt == "xyxy" else boxes[..., 2:]
    return sides[..., 0] * sides[..., 1]


def _ends(boxes: Any, fmt: str) -> tuple[Any, Any]:
    first, second = boxes[..., :2], boxes[..., 2:]
    if fmt == "xyxy":
        return first, second
    return (first, first + second) if fmt == "xywh" else (first - second / 2, first + second / 2)


def _shared_and_union(boxes1: Any, boxes2: Any, fmt: str) -> tuple[Any, Any]:
    """The areas that all pairs of two lists of boxes share, and cover together."""
    (low1, high1), (low2, high2) = _ends(boxes1, fmt), _ends(boxes2, fmt)
    low = low1.unsqueeze(-2).maximum(low2.unsqueeze(-3))
    high = high1.unsqueeze(-2).minimum(high2.unsqueeze(-3))
    sides = _upcast(high - low).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    areas = box_area(boxes1, fmt).unsqueeze(-1), box_area(boxes2, fmt).unsqueeze(-2)
    return shared, areas[0] + areas[1] - shared


def box_iou(boxes1: Any, boxes2: Any, fmt: str = "xyxy") -> Any:
    """Intersection over union of each of N boxes with each of M: (N, M); of rotated boxes too.

    >>> from argand.vision.ops import box_iou
    >>> box_iou(ag.tensor([[0.0, 0, 2, 2]]), ag.tensor([[1.0, 0, 3, 2], [5, 5, 6, 6]]))
    tensor([[0.3333, 0.0000]])
    """
    if fmt in _FORMATS[3:]:
        return box_iou_rotated(*(box_convert(boxes, fmt, "cxcywhr") for boxes in (boxes1, boxes2)))
    if fmt not in _FORMATS:
        raise ValueError(f"Unsupported format '{fmt}'. Supported formats: {_FORMATS}.")
    shared, union = _shared_and_union(boxes1, boxes2, fmt)
    return shared / union


def _around(boxes1: Any, boxes2: Any) -> Any:
    """The sides of the smallest box around each pair."""
    low = boxes1[..., :2].unsqueeze(-2).minimum(boxes2[..., :2].unsqueeze(-3))
    high = boxes1[..., 2:].unsqueeze(-2).maximum(boxes2[..., 2:].unsqueeze(-3))
    return _upcast(high - low).clamp(min=0)


def generalized_box_iou(boxes1: Any, boxes2: Any) -> Any:
    """IoU less the part of the smallest box around a pair that neither covers: (N, M).
    Rezatofighi et al. (2019).

    >>> from argand.vision.ops import generalized_box_iou
    >>> generalized_box_iou(ag.tensor([[0.0, 0, 1, 1]]), ag.tensor([[1.0, 0, 2, 1], [2, 0, 3, 1]]))
    tensor([[ 0.0000, -0.3333]])
    """
    shared, union = _shared_and_union(boxes1, boxes2, "xyxy")
    sides = _around(boxes1, boxes2)
    whole = sides[..., 0] * sides[..., 1]
    return shared / union - (whole - union) / whole


def distance_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """IoU less the squared distance of the centres over that of the corners of the smallest box
    around a pair: (N, M). Zheng et al. (2020).

    >>> from argand.vision.ops import distance_box_iou
    >>> distance_box_iou(ag.tensor([[0.0, 0, 1, 1]]), ag.tensor([[0.0, 0, 1, 1]]))
    tensor([[1.]])
    """
    boxes1, boxes2 = _upcast(boxes1), _upcast(boxes2)
    diagonal = (_around(boxes1, boxes2) ** 2).sum(-1) + eps
    center1, center2 = ((b[..., :2] + b[..., 2:]) / 2 for b in (boxes1, boxes2))
    apart = ((center1.unsqueeze(-2) - center2.unsqueeze(-3)) ** 2).sum(-1)
    return box_iou(boxes1, boxes2) - apart / diagonal


def complete_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """`distance_box_iou` less a term for the difference of proportions: (N, M). Zheng et al.
    (2020).

    >>> from argand.vision.ops import complete_box_iou
    >>> complete_box_iou(ag.tensor([[0.0, 0, 1, 1]]), ag.tensor([[0.0, 0, 1, 1]]))
    tensor([[1.]])
    """
    boxes1, boxes2 = _upcast(boxes1), _upcast(boxes2)
    angle1, angle2 = (
        ((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1])).atan() for b in (boxes1, boxes2)
    )
    shape = 4 / math.pi**2 * (angle1.unsqueeze(-1) - angle2.unsqueeze(-2)) ** 2
    with no_grad():
        weight = shape / (1 - box_iou(boxes1, boxes2) + shape + eps)
    return distance_box_iou(boxes1, boxes2, eps) - weight * shape


def masks_to_boxes(masks: Any) -> Any:
    """The box around what is not 0 in each of N masks (N, H, W): (N, 4), floats.

    >>> from argand.vision.ops import masks_to_boxes
    >>> masks_to_boxes(ag.tensor([[[0, 0, 0], [0, 1, 1]]]))
    tensor([[1., 1., 2., 1.]])
    """
    if masks.numel() == 0:
        return zeros(0, 4)
    found = masks != 0
    ends = []
    for used in (found.any(dim=1), found.any(dim=2)):  # columns, then rows
        numbers = used.to(int64)
        last = used.shape[1] - 1 - numbers.flip(1).argmax(dim=1)
        ends.append((numbers.argmax(dim=1), last))
    (x1, x2), (y1, y2) = ends
    boxes = stack((x1, y1, x2, y2), dim=1).to(float32)
    return boxes.masked_fill(~found.flatten(1).any(dim=1).unsqueeze(1), 0.0)


# -- rotated boxes ---------------------------------------------------------------------------------


def box_iou_rotated(boxes1: Any, boxes2: Any) -> Any:
    """IoU of each of N rotated boxes (cx, cy, w, h, degrees) with each of M: (N, M), without
    gradients.

    >>> from argand.vision.ops.boxes import box_iou_rotated
    >>> square, diamond = ag.tensor([[0.0, 0, 2, 2, 0]]), ag.tensor([[0.0, 0, 2, 2, 90]])
    >>> box_iou_rotated(square, diamond)
    tensor([[1.]])
    """
    firsts, seconds = (b.detach().to(float64).numpy() for b in (boxes1, boxes2))
    found = np.zeros((len(firsts), len(seconds)))
    for i, j in np.ndindex(*found.shape):
        area1, area2 = firsts[i, 2] * firsts[i, 3], seconds[j, 2] * seconds[j, 3]
        if area1 >= 1e-14 and area2 >= 1e-14:
            shared = _area(_cut(_corners(firsts[i]), _corners(seconds[j])))
            found[i, j] = shared / (area1 + area2 - shared)
    return wrap(found).to(float32 if boxes1.dtype != float64 else float64)


def _corners(box: np.ndarray) -> list[np.ndarray]:
    center, (w, h), angle = box[:2], box[2:4] / 2, math.radians(box[4])
    across = np.array([math.cos(angle), -math.sin(angle)]) * w
    down = np.array([math.sin(angle), math.cos(angle)]) * h
    return [
        center - across - down,
        center + across - down,
        center + across + down,
        center - across + down,
    ]


def _cut(polygon: list[np.ndarray], window: list[np.ndarray]) -> list[np.ndarray]:
    """What of a polygon lies in a convex one, edge by edge (Sutherland and Hodgman 1974)."""
    for start, end in zip(window, window[1:] + window[:1], strict=True):
        edge = end - start
        sides = [edge[0] * (p[1] - start[1]) - edge[1] * (p[0] - start[0]) for p in polygon]
        kept: list[np.ndarray] = []
        for i, p in enumerate(polygon):
            before, here = sides[i - 1], sides[i]
            if (before < 0) != (here < 0):
                kept.append(polygon[i - 1] + (p - polygon[i - 1]) * (before / (before - here)))
            if here >= 0:
                kept.append(p)
        polygon = kept
    return polygon


def _area(polygon: list[np.ndarray]) -> float:
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return float(abs(sum(p[0] * q[1] - q[0] * p[1] for p, q in pairs))) / 2
