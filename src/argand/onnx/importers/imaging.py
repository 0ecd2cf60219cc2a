"""Ops of images and boxes: grids, regions of interest, overlapping boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.onnx.registry import importer
from argand.onnx.values import F, Host, ag, int_list, scalar
from argand.tensor.core import Tensor
from argand.transform.mode import no_grad

_MODES = {"linear": "bilinear", "cubic": "bicubic"}


@importer("GridSample")
def _grid_sample(
    x: Tensor,
    grid: Tensor,
    *,
    align_corners: int = 0,
    mode: str = "linear",
    padding_mode: str = "zeros",
) -> Any:
    return F.grid_sample(x, grid, _MODES.get(mode, mode), padding_mode, bool(align_corners))


@importer("AffineGrid")
def _affine_grid(theta: Tensor, size: Host, *, align_corners: int = 0) -> Any:
    return F.affine_grid(theta, int_list(size), bool(align_corners))


@importer("RoiAlign", since=16)
def _roi_align(
    x: Tensor,
    rois: Tensor,
    batch: Tensor,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Any:
    shift = 0.5 if coordinate_transformation_mode == "half_pixel" else 0.0
    size = (output_height, output_width)
    regions, images = rois.detach().numpy(), batch.numpy()
    made = []
    for region, image in zip(regions, images, strict=True):
        corners = region * spatial_scale - shift
        made.append(_aligned(x[int(image)], corners, size, sampling_ratio, mode, shift == 0))
    return ag.stack(made) if made else ag.zeros(0, x.shape[1], *size, dtype=x.dtype)


@importer("RoiAlign", since=10)
def _old_roi_align(
    x: Tensor,
    rois: Tensor,
    batch: Tensor,
    *,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Any:
    return _roi_align(
        x,
        rois,
        batch,
        coordinate_transformation_mode="output_half_pixel",
        mode=mode,
        output_height=output_height,
        output_width=output_width,
        sampling_ratio=sampling_ratio,
        spatial_scale=spatial_scale,
    )


def _aligned(
    image: Any, corners: Any, size: tuple[int, int], ratio: int, mode: str, at_least_one: bool
) -> Any:
    """Each bin of a region from points between the elements of an image (C, H, W)."""
    x1, y1, x2, y2 = (float(c) for c in corners)
    height, width = y2 - y1, x2 - x1
    if at_least_one:
        height, width = max(height, 1.0), max(width, 1.0)
    rows, row_points = _points(y1, height, size[0], ratio)
    columns, column_points = _points(x1, width, size[1], ratio)
    h, w = image.shape[1:]
    row_parts, column_parts = _between(rows, h), _between(columns, w)
    corners4 = []
    for at_row, row_weight in row_parts:
        picked = ag.index_select(image, 1, ag.tensor(at_row))
        for at_column, column_weight in column_parts:
            taken = ag.index_select(picked, 2, ag.tensor(at_column))
            weight = row_weight[:, None] * column_weight[None, :]
            corners4.append(taken * ag.tensor(weight).to(image.dtype))
    shape = (-1, size[0], row_points, size[1], column_points)
    if mode == "max":  # of the weighted corners, as ONNX has it
        best = ag.amax(ag.stack(corners4), 0)
        return ag.amax(best.reshape(shape), (2, 4))
    total = corners4[0] + corners4[1] + corners4[2] + corners4[3]
    return ag.mean(total.reshape(shape), (2, 4))


def _points(start: float, length: float, bins: int, ratio: int) -> tuple[Any, int]:
    each = length / bins
    count = ratio if ratio > 0 else max(int(np.ceil(each)), 1)
    at = start + (np.arange(bins)[:, None] + (np.arange(count) + 0.5) / count) * each
    return at.reshape(-1), count


def _between(at: Any, n: int) -> list[tuple[Any, Any]]:
    """The two elements beside each place, with their weights; 0 for places far outside."""
    inside = (at >= -1) & (at <= n)
    at = np.clip(at, 0, None)
    low = np.minimum(at.astype(np.int64), n - 1)
    high = np.minimum(low + 1, n - 1)
    far = np.where(low >= n - 1, 0.0, at - low)
    return [(low, np.where(inside, 1 - far, 0)), (high, np.where(inside, far, 0))]


@importer("MaxRoiPool")
def _max_roi_pool(x: Tensor, rois: Tensor, *, pooled_shape: Any, spatial_scale: float = 1.0) -> Any:
    from argand.vision.ops import roi_pool

    return roi_pool(x, rois, tuple(pooled_shape), spatial_scale)


@importer("NonMaxSuppression")
def _non_max_suppression(
    boxes: Tensor,
    scores: Tensor,
    max_output_boxes_per_class: Host | None = None,
    iou_threshold: Host | None = None,
    score_threshold: Host | None = None,
    *,
    center_point_box: int = 0,
) -> Any:
    limit = 0 if max_output_boxes_per_class is None else int(scalar(max_output_boxes_per_class))
    overlap = 0.0 if iou_threshold is None else float(scalar(iou_threshold))
    least = None if score_threshold is None else float(scalar(score_threshold))
    with no_grad():
        all_boxes, all_scores = boxes.detach().numpy(), scores.detach().numpy()
    rows = []
    for b in range(all_scores.shape[0]):
        corners = _corners(all_boxes[b], bool(center_point_box))
        for c in range(all_scores.shape[1]):
            kept = _suppressed(corners, all_scores[b, c], limit, overlap, least)
            rows += [(b, c, k) for k in kept]
    return ag.tensor(np.array(rows, np.int64).reshape(-1, 3))


def _corners(boxes: Any, centred: bool) -> Any:
    if centred:
        middle, half = boxes[:, :2], boxes[:, 2:] / 2
        return np.concatenate([middle - half, middle + half], 1)
    low = np.minimum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, np.maximum(boxes[:, :2], boxes[:, 2:])], 1)


def _suppressed(
    boxes: Any, scores: Any, limit: int, overlap: float, least: float | None
) -> list[int]:
    """The boxes that are kept, by falling score: each overlaps none before it by more."""
    order = np.argsort(-scores, kind="stable")
    if least is not None:
        order = order[scores[order] > least]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept: list[int] = []
    while len(order) and len(kept) < limit:
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        union = areas[best] + areas[order] - shared
        ratio = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        order = order[ratio <= overlap]
    return kept
