"""Boxes (N, 4), or (N, 5) and (N, 8) of rotated ones, and points (..., 2): their formats, and what
of them lies in the image.

Rotated boxes are not cut at the border of the image: their `clamping_mode` must be None.
"""

from __future__ import annotations

from typing import Any

from argand.base.dtype import float32
from argand.base.errors import ArgumentError
from argand.tensor.core import Tensor
from argand.tensor.joining import stack
from argand.vision import tv_tensors
from argand.vision.box_formats import CORNERS, XYXY, converted
from argand.vision.tv_tensors import BoundingBoxFormat, format_of, is_rotated_bounding_format

Canvas = tuple[int, int]


def _is_plain(x: Any) -> bool:
    return isinstance(x, Tensor) and not isinstance(x, tv_tensors.TVTensor)


# -- formats ---------------------------------------------------------------------------------------


def convert_bounding_box_format(
    inpt: Any, old_format: Any = None, new_format: Any = None, inplace: bool = False
) -> Any:
    """Boxes in another format; `old_format` for plain tensors only, `tv_tensors.BoundingBoxes` know
    theirs.

    >>> from argand.vision.transforms.v2 import functional
    >>> boxes = ag.tensor([[1, 2, 5, 8]])
    >>> functional.convert_bounding_box_format(boxes, "XYXY", "CXCYWH")
    tensor([[3, 5, 4, 6]])
    """
    if new_format is None:
        raise TypeError("convert_bounding_box_format() missing 1 required argument: 'new_format'")
    if isinstance(inpt, tv_tensors.BoundingBoxes):
        if old_format is not None:
            raise ValueError("For bounding box tv_tensor inputs, `old_format` must not be passed.")
        found = converted(inpt.as_subclass(Tensor), inpt.format, format_of(new_format))
        return tv_tensors.wrap(found, like=inpt, format=new_format)
    if not _is_plain(inpt):
        raise TypeError(
            "Input can either be a plain tensor or a bounding box tv_tensor, but got "
            f"{type(inpt)} instead."
        )
    if old_format is None:
        raise ValueError("For pure tensor inputs, `old_format` has to be passed.")
    found = converted(inpt, format_of(old_format), format_of(new_format))
    if inplace and found.shape == inpt.shape and found is not inpt:
        return inpt.copy_(found)
    return found


# -- the border of the image -----------------------------------------------------------------------


def clamped(boxes: Any, format: BoundingBoxFormat, canvas: Canvas, mode: str | None) -> Any:
    """Boxes cut at the border of the image."""
    if mode is None:
        return boxes.clone()
    if is_rotated_bounding_format(format):
        raise ArgumentError(
            f"rotated boxes ({format.value}) can't be cut at the border of the image: give them "
            "clamping_mode=None"
        )
    floats = boxes if boxes.is_floating_point() else boxes.to(float32)
    corners = converted(floats, format, XYXY)
    height, width = canvas
    x, y = corners[..., 0::2].clamp(0, width), corners[..., 1::2].clamp(0, height)
    cut = stack((x, y), dim=-1).reshape(corners.shape)
    return converted(cut, XYXY, format).to(boxes.dtype)


def clamp_bounding_boxes(
    inpt: Any, format: Any = None, canvas_size: Any = None, clamping_mode: Any = "auto"
) -> Any:
    """Boxes cut at the border of the image; `format` and `canvas_size` for plain tensors only.

    >>> from argand.vision import tv_tensors
    >>> from argand.vision.transforms.v2 import functional
    >>> boxes = tv_tensors.BoundingBoxes([[-1, 2, 9, 9]], format="XYXY", canvas_size=(5, 6))
    >>> functional.clamp_bounding_boxes(boxes).tolist()
    [[0, 2, 6, 5]]
    """
    if clamping_mode not in (None, "soft", "hard", "auto"):
        raise ValueError(f"clamping_mode must be soft, hard, auto or None, got {clamping_mode}")
    if isinstance(inpt, tv_tensors.BoundingBoxes):
        if format is not None or canvas_size is not None:
            raise ValueError(
                "For bounding box tv_tensor inputs, `format` and `canvas_size` must not be passed."
            )
        mode = inpt.clamping_mode if clamping_mode == "auto" else clamping_mode
        found = clamped(inpt.as_subclass(Tensor), inpt.format, inpt.canvas_size, mode)
        return tv_tensors.wrap(found, like=inpt)
    if not _is_plain(inpt):
        raise TypeError(
            "Input can either be a plain tensor or a bounding box tv_tensor, but got "
            f"{type(inpt)} instead."
        )
    if format is None or canvas_size is None or clamping_mode == "auto":
        raise ValueError(
            "For pure tensor inputs, `format`, `canvas_size` and `clamping_mode` have to be passed."
        )
    return clamped(inpt, format_of(format), canvas_size, clamping_mode)


def clamp_keypoints(inpt: Any, canvas_size: Any = None) -> Any:
    """Points moved into the image; `canvas_size` for plain tensors only.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.clamp_keypoints(ag.tensor([[-1, 9]]), canvas_size=(5, 6)).tolist()
    [[0, 4]]
    """
    if isinstance(inpt, tv_tensors.KeyPoints):
        if canvas_size is not None:
            raise ValueError("For keypoints tv_tensor inputs, `canvas_size` must not be passed.")
        plain = clamp_keypoints(inpt.as_subclass(Tensor), inpt.canvas_size)
        return tv_tensors.wrap(plain, like=inpt)
    if not _is_plain(inpt):
        raise TypeError(
            "Input can either be a plain tensor or a keypoints tv_tensor, but got "
            f"{type(inpt)} instead."
        )
    if canvas_size is None:
        raise ValueError("For pure tensor inputs, `canvas_size` has to be passed.")
    height, width = canvas_size
    x, y = inpt[..., 0].clamp(0, width - 1), inpt[..., 1].clamp(0, height - 1)
    return stack((x, y), dim=-1)


# -- what is worth keeping -------------------------------------------------------------------------


def valid_boxes(
    boxes: Any, format: Any, canvas_size: Canvas, min_size: float = 1.0, min_area: float = 1.0
) -> Any:
    """Which boxes lie in the image and are as large as asked for."""
    if is_rotated_bounding_format(format):
        corners = converted(boxes, format_of(format), CORNERS)
        x, y = corners[..., 0::2], corners[..., 1::2]
        width = ((x[:, 0] - x[:, 1]) ** 2 + (y[:, 0] - y[:, 1]) ** 2).sqrt()
        height = ((x[:, 1] - x[:, 2]) ** 2 + (y[:, 1] - y[:, 2]) ** 2).sqrt()
    else:
        corners = converted(boxes, format_of(format), XYXY)
        x, y = corners[..., 0::2], corners[..., 1::2]
        width, height = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    large = (width >= min_size) & (height >= min_size) & (width * height >= min_area)
    inside = (x <= canvas_size[1]).all(-1) & (y <= canvas_size[0]).all(-1)
    return large & inside & (corners >= 0).all(-1)


def sanitize_bounding_boxes(
    bounding_boxes: Any,
    format: Any = None,
    canvas_size: Any = None,
    min_size: float = 1.0,
    min_area: float = 1.0,
) -> tuple[Any, Any]:
    """Without the boxes that are too small or reach beyond the image; and which were kept.

    >>> from argand.vision.transforms.v2 import functional
    >>> boxes = ag.tensor([[0, 0, 4, 4], [2, 2, 2, 9]])
    >>> functional.sanitize_bounding_boxes(boxes, "XYXY", (10, 10))[1].tolist()
    [True, False]
    """
    if isinstance(bounding_boxes, tv_tensors.BoundingBoxes):
        if format is not None or canvas_size is not None:
            raise ValueError(
                "format and canvas_size must be None when bounding_boxes is a "
                f"tv_tensors.BoundingBoxes instance. Got format={format} and canvas_size="
                f"{canvas_size}. Leave those to None or pass bounding_boxes as a pure tensor."
            )
        plain = bounding_boxes.as_subclass(Tensor)
        told = (bounding_boxes.format, bounding_boxes.canvas_size)
        valid = valid_boxes(plain, *told, min_size, min_area)
        return tv_tensors.wrap(plain[valid], like=bounding_boxes), valid
    if not _is_plain(bounding_boxes):
        raise ValueError(
            "bounding_boxes must be a tv_tensors.BoundingBoxes instance or a pure tensor."
        )
    if format is None or canvas_size is None:
        raise ValueError(
            "format and canvas_size cannot be None if bounding_boxes is a pure tensor. Got format="
            f"{format} and canvas_size={canvas_size}. Set those to appropriate values or pass "
            "bounding_boxes as a tv_tensors.BoundingBoxes object."
        )
    valid = valid_boxes(bounding_boxes, format_of(format), canvas_size, min_size, min_area)
    return bounding_boxes[valid], valid


def valid_points(points: Any, canvas_size: Canvas) -> Any:
    """Which points, or groups of points, lie in the image."""
    x, y = points[..., 0], points[..., 1]
    inside = (x >= 0) & (x < canvas_size[1]) & (y >= 0) & (y < canvas_size[0])
    return inside.flatten(1).all(dim=1) if inside.ndim > 1 else inside


def sanitize_keypoints(key_points: Any, canvas_size: Any = None) -> tuple[Any, Any]:
    """Without the points that lie outside of the image; and which were kept.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.sanitize_keypoints(ag.tensor([[0, 0], [9, 2]]), (5, 6))[0].tolist()
    [[0, 0]]
    """
    if isinstance(key_points, tv_tensors.KeyPoints):
        if canvas_size is not None:
            raise ValueError(
                "canvas_size must be None when key_points is a tv_tensors.KeyPoints instance. Got "
                f"canvas_size={canvas_size}. Leave it to None or pass key_points as a pure tensor."
            )
        plain = key_points.as_subclass(Tensor)
        valid = valid_points(plain, key_points.canvas_size)
        return tv_tensors.wrap(plain[valid], like=key_points), valid
    if not _is_plain(key_points):
        raise ValueError("key_points must be a tv_tensors.KeyPoints instance or a pure tensor.")
    if canvas_size is None:
        raise ValueError(
            "canvas_size cannot be None if key_points is a pure tensor. Set it to an appropriate "
            "value or pass key_points as a tv_tensors.KeyPoints object."
        )
    valid = valid_points(key_points, canvas_size)
    return key_points[valid], valid
