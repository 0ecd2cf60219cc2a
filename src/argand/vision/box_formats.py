"""The formats of boxes, and boxes in another one.

Rotated boxes have an angle, counter-clockwise in degrees.
"""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import float32
from argand.tensor.joining import cat, stack
from argand.vision.tv_tensors import BoundingBoxFormat, is_rotated_bounding_format

XYXY, XYWH, CXCYWH, XYWHR, CXCYWHR, CORNERS = BoundingBoxFormat


def converted(boxes: Any, old: BoundingBoxFormat, new: BoundingBoxFormat) -> Any:
    """Boxes in another format; whole numbers are rounded down where a centre is between two."""
    if old is new:
        return boxes
    if is_rotated_bounding_format(old) != is_rotated_bounding_format(new):
        raise ValueError("Cannot convert between rotated and unrotated bounding boxes.")
    if (old, new) in _DIRECT:
        return _DIRECT[old, new](boxes)
    middle = XYWHR if is_rotated_bounding_format(old) else XYXY
    return converted(converted(boxes, old, middle), middle, new)


def _halved(x: Any) -> Any:
    return x / 2 if x.is_floating_point() else x.div(2, rounding_mode="floor")


def _xywh_to_cxcywh(boxes: Any) -> Any:
    place, size = boxes[..., :2], boxes[..., 2:]
    return cat((place + _halved(size), size), dim=-1)


def _cxcywh_to_xywh(boxes: Any) -> Any:
    corners = _cxcywh_to_xyxy(boxes)
    if boxes.is_floating_point():
        return cat((corners[..., :2], boxes[..., 2:]), dim=-1)
    return _xyxy_to_xywh(corners)


def _cxcywh_to_xyxy(boxes: Any) -> Any:
    floats = boxes if boxes.is_floating_point() else boxes.to(float32)
    place = floats[..., :2] - floats[..., 2:] / 2
    return cat((place, place + floats[..., 2:]), dim=-1).to(boxes.dtype)


def _xyxy_to_cxcywh(boxes: Any) -> Any:
    size = boxes[..., 2:] - boxes[..., :2]
    return cat((_halved(boxes[..., :2] * 2 + size), size), dim=-1)


def _xywh_to_xyxy(boxes: Any) -> Any:
    return cat((boxes[..., :2], boxes[..., 2:] + boxes[..., :2]), dim=-1)


def _xyxy_to_xywh(boxes: Any) -> Any:
    return cat((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), dim=-1)


def _half_diagonal(boxes: Any) -> tuple[Any, Any]:
    """From the first corner of a rotated box to its centre."""
    w, h, angle = boxes[..., 2] / 2, boxes[..., 3] / 2, boxes[..., 4] * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    return w * cos + h * sin, h * cos - w * sin


def _moved(boxes: Any, sign: int) -> Any:
    x, y = _half_diagonal(boxes)
    place = stack((boxes[..., 0] + sign * x, boxes[..., 1] + sign * y), dim=-1)
    return cat((place, boxes[..., 2:]), dim=-1)


def _xywhr_to_corners(boxes: Any) -> Any:
    x, y, w, h = boxes[..., :4].unbind(-1)
    angle = boxes[..., 4] * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    right, down = (w * cos, -w * sin), (h * sin, h * cos)
    ends = [x, y, x + right[0], y + right[1], x + right[0] + down[0], y + right[1] + down[1]]
    return stack([*ends, x + down[0], y + down[1]], dim=-1)


def _corners_to_xywhr(boxes: Any) -> Any:
    x1, y1, x2, y2, x3, y3 = boxes[..., :6].unbind(-1)
    across, down = (x2 - x1, y2 - y1), (x3 - x2, y3 - y2)
    sizes = [(u**2 + v**2).sqrt() for u, v in (across, down)]
    angle = (-across[1]).atan2(across[0]) / math.pi * 180.0
    return stack([x1, y1, *sizes, angle], dim=-1)


_DIRECT = {
    (XYWH, CXCYWH): _xywh_to_cxcywh,
    (CXCYWH, XYWH): _cxcywh_to_xywh,
    (CXCYWH, XYXY): _cxcywh_to_xyxy,
    (XYXY, CXCYWH): _xyxy_to_cxcywh,
    (XYWH, XYXY): _xywh_to_xyxy,
    (XYXY, XYWH): _xyxy_to_xywh,
    (XYWHR, CXCYWHR): lambda boxes: _moved(boxes, 1),
    (CXCYWHR, XYWHR): lambda boxes: _moved(boxes, -1),
    (XYWHR, CORNERS): _xywhr_to_corners,
    (CORNERS, XYWHR): _corners_to_xywhr,
}
