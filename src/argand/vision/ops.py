"""What detectors need of boxes: which to keep of those that overlap, and the features inside one.

The functions of `torch.ops.torchvision`, for the library torchvision as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.errors import ShapeError
from argand.base.shape import shape_text
from argand.tensor.core import Tensor
from argand.tensor.creation import tensor, zeros
from argand.tensor.joining import stack


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
    while order.size:
        best, order = order[0], order[1:]
        kept.append(int(best))
        sides = np.minimum(high[best], high[order]) - np.maximum(low[best], low[order])
        shared = np.maximum(sides, 0).prod(axis=1)
        union = areas[best] + areas[order] - shared
        order = order[~(shared > iou_threshold * union)]
    return tensor(kept, dtype="int64")


def roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """The features of images (N, C, H, W) inside boxes, as grids of `pooled_height` x
    `pooled_width`: means of bilinear samples, `sampling_ratio` a cell and direction, or as many as
    a cell has pixels where it isn't positive.

    Boxes are rows ``(number of the image, x1, y1, x2, y2)``, in pixels once `spatial_scale` has
    multiplied them; `aligned` takes half a pixel off.

    >>> from argand.vision.ops import roi_align
    >>> image = ag.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_align(image, ag.tensor([[0.0, 0, 0, 4, 4]]), 1.0, 2, 2, 2, True)
    tensor([[[[ 2.5000,  4.5000],
              [10.5000, 12.5000]]]])
    """
    if rois.ndim != 2 or rois.shape[1] != 5:
        raise ShapeError(f"roi_align: boxes must be (K, 5), got {shape_text(rois.shape)}")
    height, width = int(input.shape[2]), int(input.shape[3])
    found: list[Tensor] = []
    for number, x1, y1, x2, y2 in rois.detach().to("float64").tolist():
        scaled = [v * spatial_scale - 0.5 * aligned for v in (x1, y1, x2, y2)]
        rows, down = _weights(scaled[1], scaled[3], pooled_height, height, sampling_ratio, aligned)
        columns, across = _weights(
            scaled[0], scaled[2], pooled_width, width, sampling_ratio, aligned
        )
        part = input[int(number), :, rows, columns]
        found.append(tensor(down).to(input.dtype) @ part @ tensor(across.T).to(input.dtype))
    if not found:
        return zeros(0, input.shape[1], pooled_height, pooled_width, dtype=input.dtype)
    pooled: Tensor = stack(found)
    return pooled


def _weights(
    start: float, end: float, cells: int, size: int, ratio: int, aligned: bool
) -> tuple[slice, Any]:
    """Along one direction: the pixels that cells have samples between, and their weights."""
    length = end - start if aligned else max(end - start, 1.0)
    count = ratio if ratio > 0 else int(np.ceil(length / cells))
    weights = np.zeros((cells, size))
    if count <= 0:
        return slice(0, 1), weights[:, :1]
    offsets = (np.arange(cells)[:, None] + (np.arange(count) + 0.5) / count) * (length / cells)
    places = start + offsets
    inside = (places >= -1) & (places <= size)
    places = places.clip(0, size - 1)
    before = np.minimum(places.astype(np.int64), size - 1)
    behind = np.minimum(before + 1, size - 1)
    part = places - before
    cell = np.broadcast_to(np.arange(cells)[:, None], places.shape)
    np.add.at(weights, (cell, before), inside * (1 - part) / count)
    np.add.at(weights, (cell, behind), inside * part / count)
    used = np.flatnonzero(weights.any(axis=0))
    span = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
    return span, weights[:, span]


FUNCTIONS = {"nms": nms, "roi_align": roi_align, "_cuda_version": lambda: -1}
"""The ops of torchvision that are here."""
ABSENT = """_deform_conv2d_backward _ps_roi_align_backward _ps_roi_pool_backward
_roi_align_backward _roi_pool_backward box_iou_rotated deform_conv2d ps_roi_align ps_roi_pool qnms
qroi_align roi_pool"""
"""Those that are not."""
