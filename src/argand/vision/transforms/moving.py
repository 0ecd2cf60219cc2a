"""Boxes (N, 4) and points (..., 2) moved as the transforms move the images that they are of.

Rotated boxes, (N, 5) or (N, 8), are moved by their corners too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from argand.base.dtype import float32, int64
from argand.base.errors import ArgumentError
from argand.tensor.creation import ones, tensor
from argand.tensor.joining import cat, stack
from argand.tensor.selecting import where
from argand.vision.box_formats import CORNERS, CXCYWH, CXCYWHR, XYWH, XYWHR, XYXY, converted
from argand.vision.transforms import resizing, warping
from argand.vision.transforms.boxes import Canvas, clamped
from argand.vision.transforms.resizing import resized_size, sides_of
from argand.vision.tv_tensors import BoundingBoxFormat, format_of, is_rotated_bounding_format

# -- flips -----------------------------------------------------------------------------------------


def horizontal_flip_keypoints(keypoints: Any, canvas_size: Canvas) -> Any:
    """Points of an image whose left and right are swapped."""
    x, y = keypoints.unbind(-1)
    return stack((canvas_size[1] - 1 - x, y), dim=-1)


def vertical_flip_keypoints(keypoints: Any, canvas_size: Canvas) -> Any:
    """Points of an image whose top and bottom are swapped."""
    x, y = keypoints.unbind(-1)
    return stack((x, canvas_size[0] - 1 - y), dim=-1)


def horizontal_flip_bounding_boxes(bounding_boxes: Any, format: Any, canvas_size: Canvas) -> Any:
    """Boxes of an image whose left and right are swapped.

    >>> from argand.vision.transforms.v2 import functional
    >>> boxes = ag.tensor([[1, 2, 5, 8]])
    >>> functional.horizontal_flip_bounding_boxes(boxes, "XYXY", (10, 10))
    tensor([[5, 2, 9, 8]])
    """
    return _flipped(bounding_boxes, format_of(format), canvas_size[1], 0)


def vertical_flip_bounding_boxes(bounding_boxes: Any, format: Any, canvas_size: Canvas) -> Any:
    """Boxes of an image whose top and bottom are swapped."""
    return _flipped(bounding_boxes, format_of(format), canvas_size[0], 1)


def _flipped(boxes: Any, format: BoundingBoxFormat, length: int, axis: int) -> Any:
    """Boxes mirrored along x (0) or y (1) of an image of that length."""
    columns = list(boxes.unbind(-1))
    if format is XYXY:
        columns[axis], columns[axis + 2] = length - columns[axis + 2], length - columns[axis]
    elif format is XYWH:
        columns[axis] = length - columns[axis] - columns[axis + 2]
    elif format is CXCYWH:
        columns[axis] = length - columns[axis]
    elif format is CORNERS:
        columns[axis::2] = [length - c for c in columns[axis::2]]
        columns = [columns[i] for i in (2, 3, 0, 1, 6, 7, 4, 5)]
    else:
        return _flipped_by_angle(boxes, format, length, axis)
    return stack(columns, dim=-1)


def _flipped_by_angle(boxes: Any, format: BoundingBoxFormat, length: int, axis: int) -> Any:
    """The angle of a flipped box is the opposite one, and its first corner was its second."""
    columns = list(boxes.unbind(-1))
    if format is XYWHR:
        angle = columns[4] * (math.pi / 180)
        columns[0] = columns[0] + columns[2] * angle.cos()
        columns[1] = columns[1] - columns[2] * angle.sin()
    columns[axis] = length - columns[axis]
    columns[4] = -columns[4] + (180 if axis else 0)
    return stack(columns, dim=-1)


# -- size, borders, parts --------------------------------------------------------------------------


def _ratios(canvas: Canvas, new: Canvas) -> list[float]:
    return [new[1] / canvas[1], new[0] / canvas[0]]


def resize_keypoints(
    keypoints: Any, size: Any, canvas_size: Canvas, max_size: int | None = None
) -> tuple[Any, Canvas]:
    """Points of an image at another size, and that size."""
    new = resized_size(canvas_size, size, max_size)
    if new == tuple(canvas_size):
        return keypoints, canvas_size
    return (keypoints * tensor(_ratios(canvas_size, new))).to(keypoints.dtype), new


def resize_bounding_boxes(
    bounding_boxes: Any,
    canvas_size: Canvas,
    size: Any,
    max_size: int | None = None,
    format: Any = XYXY,
    clamping_mode: str | None = "soft",
) -> tuple[Any, Canvas]:
    """Boxes of an image at another size, and that size.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.resize_bounding_boxes(ag.tensor([[1, 2, 5, 8]]), (10, 10), (20, 10))
    (tensor([[ 1,  4,  5, 16]]), (20, 10))
    """
    new = resized_size(canvas_size, size, max_size)
    if new == tuple(canvas_size):
        return bounding_boxes, canvas_size
    ratios, format = _ratios(canvas_size, new), format_of(format)
    if not is_rotated_bounding_format(format):
        return (bounding_boxes * tensor(ratios * 2)).to(bounding_boxes.dtype), new
    corners = rectangles(converted(bounding_boxes, format, CORNERS) * tensor(ratios * 4))
    corners = clamped(corners, CORNERS, new, clamping_mode)
    return converted(corners, CORNERS, format).to(bounding_boxes.dtype), new


def rectangles(corners: Any) -> Any:
    """Parallelograms (N, 8) as the rectangles with the same centre that replace them."""
    floats = corners if corners.is_floating_point() else corners.to(float32)
    x1, y1, x2, y2, x3, y3, x4, y4 = floats.unbind(-1)
    center = ((x1 + x3) / 2, (y1 + y3) / 2)
    across, down = (x2 - x1, y2 - y1), (x4 - x1, y4 - y1)
    long, short = ((u**2 + v**2).sqrt() for u, v in (across, down))
    angle_across, angle_down = ((-v).atan2(u) for u, v in (across, down))
    between = angle_across - angle_down
    lean = between.cos() * where(between > math.pi / 2, -1, 1)
    width = where(long < short, long * between.sin(), long + short * lean)
    height = where(long > short, short * between.sin(), short + long * lean)
    angle = where(short > long, angle_down + math.pi / 2, angle_across)
    found = stack([*center, width, height, angle * (180 / math.pi)], dim=-1)
    return converted(found, CXCYWHR, CORNERS).to(corners.dtype)


def _offset(format: BoundingBoxFormat, left: int, top: int) -> list[int]:
    """What a box's numbers grow by when it moves."""
    if format is CORNERS:
        return [left, top] * 4
    if format is XYXY:
        return [left, top] * 2
    return [left, top, 0, 0, 0][: 5 if is_rotated_bounding_format(format) else 4]


def _check_padding_mode(mode: str, what: str) -> None:
    if mode != "constant":
        raise ValueError(f"Padding mode '{mode}' is not supported with {what}")


def pad_keypoints(
    keypoints: Any, canvas_size: Canvas, padding: Any, padding_mode: str = "constant"
) -> tuple[Any, Canvas]:
    """Points of an image with pixels around, and its size."""
    _check_padding_mode(padding_mode, "KeyPoints (supported modes are constant)")
    left, right, top, bottom = sides_of(padding)
    new = (canvas_size[0] + top + bottom, canvas_size[1] + left + right)
    return keypoints + tensor([left, top], dtype=keypoints.dtype), new


def pad_bounding_boxes(
    bounding_boxes: Any,
    format: Any,
    canvas_size: Canvas,
    padding: Any,
    padding_mode: str = "constant",
    clamping_mode: str | None = "soft",
) -> tuple[Any, Canvas]:
    """Boxes of an image with pixels around, and its size."""
    _check_padding_mode(padding_mode, "bounding boxes")
    left, right, top, bottom = sides_of(padding)
    new = (canvas_size[0] + top + bottom, canvas_size[1] + left + right)
    format = format_of(format)
    moved = bounding_boxes + tensor(_offset(format, left, top), dtype=bounding_boxes.dtype)
    return clamped(moved, format, new, clamping_mode), new


def crop_keypoints(
    keypoints: Any, top: int, left: int, height: int, width: int
) -> tuple[Any, Canvas]:
    """Points of a part of an image, and its size."""
    return keypoints - tensor([left, top], dtype=keypoints.dtype), (height, width)


def crop_bounding_boxes(
    bounding_boxes: Any,
    format: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    clamping_mode: str | None = "soft",
) -> tuple[Any, Canvas]:
    """Boxes of a part of an image, and its size.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.crop_bounding_boxes(ag.tensor([[1, 2, 5, 8]]), "XYXY", 3, 0, 4, 4)
    (tensor([[1, 0, 4, 4]]), (4, 4))
    """
    format, new = format_of(format), (height, width)
    moved = bounding_boxes - tensor(_offset(format, left, top), dtype=bounding_boxes.dtype)
    if format is CORNERS:
        moved = rectangles(moved)
    return clamped(moved, format, new, clamping_mode), new


def center_crop_keypoints(inpt: Any, canvas_size: Canvas, output_size: Any) -> tuple[Any, Canvas]:
    """Points of the middle of an image, and its size."""
    size = resizing.two_numbers(output_size)
    return crop_keypoints(inpt, *resizing.center_anchor(size, canvas_size), *size)


def center_crop_bounding_boxes(
    bounding_boxes: Any,
    format: Any,
    canvas_size: Canvas,
    output_size: Any,
    clamping_mode: str | None = "soft",
) -> tuple[Any, Canvas]:
    """Boxes of the middle of an image, and its size."""
    size = resizing.two_numbers(output_size)
    top, left = resizing.center_anchor(size, canvas_size)
    return crop_bounding_boxes(bounding_boxes, format, top, left, *size, clamping_mode)


def resized_crop_keypoints(
    keypoints: Any, top: int, left: int, height: int, width: int, size: Any
) -> tuple[Any, Canvas]:
    """Points of a part of an image at another size, and that size."""
    found, canvas = crop_keypoints(keypoints, top, left, height, width)
    return resize_keypoints(found, size, canvas)


def resized_crop_bounding_boxes(
    bounding_boxes: Any,
    format: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    clamping_mode: str | None = "soft",
) -> tuple[Any, Canvas]:
    """Boxes of a part of an image at another size, and that size."""
    part, canvas = crop_bounding_boxes(
        bounding_boxes, format, top, left, height, width, clamping_mode
    )
    return resize_bounding_boxes(part, canvas, size, format=format, clamping_mode=clamping_mode)


# -- maps ------------------------------------------------------------------------------------------


def _mapped(points: Any, matrix: Sequence[float]) -> Any:
    """Points (K, 2) under a 2 x 3 matrix."""
    rows = tensor(matrix, dtype=points.dtype).reshape(2, 3)
    return cat((points, ones(len(points), 1, dtype=points.dtype)), dim=-1) @ rows.T


def _boxes_by_points(boxes: Any, format: BoundingBoxFormat, move: Any) -> Any:
    """The boxes (XYXY, or corners of rotated ones) around the moved corners of boxes."""
    floats = boxes if boxes.is_floating_point() else boxes.to(float32)
    if is_rotated_bounding_format(format):
        corners = converted(floats, format, CORNERS)
        return rectangles(move(corners.reshape(-1, 2)).reshape(-1, 8))
    around = converted(floats, format, XYXY).reshape(-1, 4)
    points = around[:, tensor([0, 1, 2, 1, 2, 3, 0, 3])].reshape(-1, 2)
    moved = move(points).reshape(-1, 4, 2)
    return cat((moved.amin(dim=1), moved.amax(dim=1)), dim=1)


def _finished(found: Any, boxes: Any, format: BoundingBoxFormat, canvas: Canvas, mode: Any) -> Any:
    """Moved boxes, cut and in the format and dtype that they had."""
    middle = CORNERS if is_rotated_bounding_format(format) else XYXY
    cut = clamped(found, middle, canvas, mode)
    return converted(cut, middle, format).to(boxes.dtype).reshape(boxes.shape)


class _Affine:
    """An affine map of an image of that size, and the size of the image that it gives."""

    def __init__(self, canvas: Canvas, options: Any, center: Any, expand: bool = False) -> None:
        angle, translate, scale, shear = options
        angle, translate, shear, center = warping.affine_arguments(
            angle, translate, scale, shear, center
        )
        height, width = canvas
        middle = [width * 0.5, height * 0.5] if center is None else center
        numbers = (middle, angle, translate, scale, shear)
        self.matrix = warping.affine_matrix(*numbers, inverted=False)
        self.canvas, self.expand = canvas, expand
        if expand:
            size = warping.turned_size(warping.affine_matrix(*numbers), width, height)
            self.new = (size[1], size[0])
        else:
            self.new = canvas

    def __call__(self, points: Any) -> Any:
        return _mapped(points, self.matrix)

    def start(self, dtype: Any) -> Any:
        """What of the moved image is furthest to the left, and to the top."""
        height, width = map(float, self.canvas)
        corners = tensor([[0.0, 0.0], [0.0, height], [width, height], [width, 0.0]], dtype=dtype)
        return self(corners).amin(dim=0)

    def points(self, keypoints: Any) -> tuple[Any, Canvas]:
        """Points moved, and the size."""
        if keypoints.numel() == 0:
            return keypoints, self.canvas
        floats = keypoints if keypoints.is_floating_point() else keypoints.to(float32)
        moved = self(floats.reshape(-1, 2))
        if self.expand:
            moved = moved - self.start(moved.dtype)
        return moved.reshape(keypoints.shape).to(keypoints.dtype), self.new

    def boxes(self, boxes: Any, format: Any, mode: str | None) -> tuple[Any, Canvas]:
        """Boxes moved, and the size."""
        if boxes.numel() == 0:
            return boxes, self.canvas
        format = format_of(format)
        moved = _boxes_by_points(boxes, format, self)
        if self.expand:
            moved = moved - self.start(moved.dtype).repeat(moved.shape[-1] // 2)
        return _finished(moved, boxes, format, self.new, mode), self.new


def affine_keypoints(
    keypoints: Any,
    canvas_size: Canvas,
    angle: Any,
    translate: Any,
    scale: Any,
    shear: Any,
    center: Any = None,
) -> tuple[Any, Canvas]:
    """Points of an image under `affine`, and its size."""
    return _Affine(canvas_size, (angle, translate, scale, shear), center).points(keypoints)


def affine_bounding_boxes(
    bounding_boxes: Any,
    format: Any,
    canvas_size: Canvas,
    angle: Any,
    translate: Any,
    scale: Any,
    shear: Any,
    center: Any = None,
    clamping_mode: str | None = "soft",
) -> Any:
    """Boxes around the moved corners of boxes of an image under `affine`.

    >>> from argand.vision.transforms.v2 import functional
    >>> boxes = ag.tensor([[1, 2, 5, 8]])
    >>> functional.affine_bounding_boxes(boxes, "XYXY", (10, 10), 0, [1, 1], 1, [0, 0])
    tensor([[2, 3, 6, 9]])
    """
    made = _Affine(canvas_size, (angle, translate, scale, shear), center)
    return made.boxes(bounding_boxes, format, clamping_mode)[0]


def _turn(angle: Any) -> tuple[Any, Any, Any, Any]:
    return -angle, [0.0, 0.0], 1.0, [0.0, 0.0]


def rotate_keypoints(
    keypoints: Any, canvas_size: Canvas, angle: Any, expand: bool = False, center: Any = None
) -> tuple[Any, Canvas]:
    """Points of an image under `rotate`, and its size."""
    return _Affine(canvas_size, _turn(angle), center, expand).points(keypoints)


def rotate_bounding_boxes(
    bounding_boxes: Any,
    format: Any,
    canvas_size: Canvas,
    angle: Any,
    expand: bool = False,
    center: Any = None,
    clamping_mode: str | None = "soft",
) -> tuple[Any, Canvas]:
    """Boxes around the moved corners of boxes of an image under `rotate`, and its size.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.rotate_bounding_boxes(ag.tensor([[1.0, 2, 5, 8]]), "XYXY", (10, 10), 180)
    (tensor([[5., 2., 9., 8.]]), (10, 10))
    """
    made = _Affine(canvas_size, _turn(angle), center, expand)
    return made.boxes(bounding_boxes, format, clamping_mode)


def _perspective(startpoints: Any, endpoints: Any, coefficients: Any) -> Any:
    """The map of points of a perspective."""
    a, b, c, d, e, f, g, h = warping.perspective_coefficients(startpoints, endpoints, coefficients)
    scale = a * e - b * d
    if scale == 0:
        raise RuntimeError(
            f"Provided perspective_coeffs {[a, b, c, d, e, f, g, h]} can not be inverted to "
            f"transform points. Denominator is zero, denom={scale}"
        )
    above = [e - f * h, c * h - b, b * f - c * e, f * g - d, a - c * g, c * d - a * f]
    below = [d * h - e * g, b * g - a * h]
    numbers = [v / scale for v in above + below]

    def move(points: Any) -> Any:
        return _mapped(points, numbers[:6]) / _mapped(points, [*numbers[6:], 1.0] * 2)

    return move


def perspective_keypoints(
    keypoints: Any,
    canvas_size: Canvas,
    startpoints: Any,
    endpoints: Any,
    coefficients: Any = None,
) -> Any:
    """Points of an image under `perspective`."""
    if keypoints.numel() == 0:
        return keypoints
    floats = keypoints if keypoints.is_floating_point() else keypoints.to(float32)
    moved = _perspective(startpoints, endpoints, coefficients)(floats.reshape(-1, 2))
    return moved.to(keypoints.dtype).reshape(keypoints.shape)


def perspective_bounding_boxes(
    bounding_boxes: Any,
    format: Any,
    canvas_size: Canvas,
    startpoints: Any,
    endpoints: Any,
    coefficients: Any = None,
    clamping_mode: str | None = "soft",
) -> Any:
    """Boxes around the moved corners of boxes of an image under `perspective`."""
    if bounding_boxes.numel() == 0:
        return bounding_boxes
    format = format_of(format)
    move = _perspective(startpoints, endpoints, coefficients)
    moved = _boxes_by_points(bounding_boxes, format, move)
    return _finished(moved, bounding_boxes, format, canvas_size, clamping_mode)


def _bent(displacement: Any, canvas: Canvas, dtype: Any) -> Any:
    """The map of points of an elastic transform, each by the displacement at its pixel."""
    warping.check_displacement(displacement, canvas)
    grid = warping.identity_grid(canvas, dtype) - displacement.to(dtype)
    height, width = canvas
    halves = tensor([0.5 * width, 0.5 * height], dtype=dtype)

    def move(points: Any) -> Any:
        x, y = points.to(int64).unbind(-1)
        found = grid[0, y.clamp(0, height - 1), x.clamp(0, width - 1)]
        return (found + 1) * halves - 0.5

    return move


def elastic_keypoints(keypoints: Any, canvas_size: Canvas, displacement: Any) -> Any:
    """Points of an image under `elastic`, nearly: the displacement is that of the old place."""
    dtype = keypoints.dtype if keypoints.is_floating_point() else float32
    move = _bent(displacement, canvas_size, dtype)
    return move(keypoints.reshape(-1, 2)).to(keypoints.dtype).reshape(keypoints.shape)


def elastic_bounding_boxes(
    bounding_boxes: Any,
    format: Any,
    canvas_size: Canvas,
    displacement: Any,
    clamping_mode: str | None = "soft",
) -> Any:
    """Boxes around the moved corners of boxes of an image under `elastic`, nearly."""
    if bounding_boxes.numel() == 0:
        return bounding_boxes
    dtype = bounding_boxes.dtype if bounding_boxes.is_floating_point() else float32
    format = format_of(format)
    if is_rotated_bounding_format(format):
        raise ArgumentError("elastic: rotated boxes can't be bent")
    moved = _boxes_by_points(bounding_boxes, format, _bent(displacement, canvas_size, dtype))
    return _finished(moved, bounding_boxes, format, canvas_size, clamping_mode)
