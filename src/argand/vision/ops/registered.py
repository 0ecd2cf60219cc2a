"""The functions of `torch.ops.torchvision`, for the library torchvision as it is.

Features inside boxes are sums of an image's pixels with weights, along rows and along columns; so
their gradients are those of two products of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from argand.base.dtype import float64, int32
from argand.base.errors import ShapeError
from argand.base.shape import shape_text
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import tensor, zeros
from argand.tensor.formulas import arange
from argand.tensor.joining import stack
from argand.vision.ops.boxes import box_iou_rotated, nms

Span = tuple[slice, np.ndarray]
"""The pixels along one direction that have weights, and these: a row for each cell."""


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

    >>> from argand.vision.ops.registered import roi_align
    >>> image = ag.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_align(image, ag.tensor([[0.0, 0, 0, 4, 4]]), 1.0, 2, 2, 2, True)
    tensor([[[[ 2.5000,  4.5000],
              [10.5000, 12.5000]]]])
    """

    def weights(start: float, end: float, cells: int, size: int) -> Span:
        low, high = (v * spatial_scale - 0.5 * aligned for v in (start, end))
        return _samples(low, high, cells, size, sampling_ratio, aligned)

    return _pooled("roi_align", input, rois, pooled_height, pooled_width, weights)


def _rows(name: str, rois: Any) -> Iterator[tuple[int, list[float]]]:
    """The number of the image and the numbers of each box."""
    if rois.ndim != 2 or rois.shape[1] != 5:
        raise ShapeError(f"{name}: boxes must be (K, 5), got {shape_text(rois.shape)}")
    for number, *box in rois.detach().to(float64).tolist():
        yield int(number), box


def _pooled(
    name: str, input: Any, rois: Any, height: int, width: int, weights: Callable[..., Span]
) -> Tensor:
    """Weighted sums of the pixels in boxes: (K, C, height, width)."""
    found = []
    for number, (x1, y1, x2, y2) in _rows(name, rois):
        rows, down = weights(y1, y2, height, int(input.shape[2]))
        columns, across = weights(x1, x2, width, int(input.shape[3]))
        part = input[number, :, rows, columns]
        found.append(tensor(down).to(input.dtype) @ part @ tensor(across.T).to(input.dtype))
    if not found:
        return zeros(0, input.shape[1], height, width, dtype=input.dtype)
    pooled: Tensor = stack(found)
    return pooled


def _samples(start: float, end: float, cells: int, size: int, ratio: int, aligned: bool) -> Span:
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
    return _used(weights)


def _used(weights: np.ndarray) -> Span:
    """Weights without the pixels at the ends that have none."""
    used = np.flatnonzero(weights.any(axis=0))
    span = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
    return span, weights[:, span]


# -- the channel of a cell is that of its place ----------------------------------------------------


def ps_roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
) -> tuple[Tensor, Tensor]:
    """`roi_align` where each cell has channels of its own, ``C = channels of the result times
    pooled_height times pooled_width``; and the channel that each element came from.

    >>> from argand.vision.ops.registered import ps_roi_align
    >>> image = ag.arange(4.0).reshape(1, 4, 1, 1).expand(1, 4, 4, 4)
    >>> ps_roi_align(image, ag.tensor([[0.0, 0, 0, 4, 4]]), 1.0, 2, 2, 2)[0].flatten()
    tensor([0., 1., 2., 3.])
    """

    def weights(start: float, end: float, cells: int, size: int) -> Span:
        low, high = start * spatial_scale - 0.5, end * spatial_scale - 0.5
        return _samples(low, high, cells, size, sampling_ratio, True)

    return _by_place("ps_roi_align", input, rois, pooled_height, pooled_width, weights)


def ps_roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    """The means of the pixels of each cell of boxes that are rounded to pixels, where each cell has
    channels of its own; and the channel that each element came from. As in torchvision the last
    row and column of the image don't count.

    >>> from argand.vision.ops.registered import ps_roi_pool
    >>> image = ag.arange(4.0).reshape(1, 4, 1, 1).expand(1, 4, 4, 4)
    >>> ps_roi_pool(image, ag.tensor([[0.0, 0, 0, 4, 4]]), 1.0, 2, 2)[0].flatten()
    tensor([0., 1., 2., 3.])
    """

    def weights(start: float, end: float, cells: int, size: int) -> Span:
        low, high = _rounded(start, spatial_scale), _rounded(end, spatial_scale)
        found = np.zeros((cells, size))
        for cell, (first, last) in enumerate(_cells(low, max(high - low, 1), cells, size - 1)):
            found[cell, first:last] = 1.0 / max(last - first, 1)
        return _used(found)

    return _by_place("ps_roi_pool", input, rois, pooled_height, pooled_width, weights)


def _by_place(
    name: str, input: Any, rois: Any, height: int, width: int, weights: Callable[..., Span]
) -> tuple[Tensor, Tensor]:
    cells, channels = height * width, int(input.shape[1])
    if channels % cells:
        raise ShapeError(
            f"{name}: the number of channels, {channels}, must be a multiple of pooled_height "
            f"times pooled_width, {cells}"
        )
    pooled: Any = _pooled(name, input, rois, height, width, weights)
    own = arange(cells)
    found = pooled.reshape(-1, channels // cells, cells, cells)[:, :, own, own]
    mapping = arange(channels, dtype=int32).reshape(1, -1, height, width)
    return found.reshape(-1, *mapping.shape[1:]), mapping.repeat(len(rois), 1, 1, 1)


def _rounded(value: float, scale: float) -> int:
    """The nearest pixel in float32, halves away from 0."""
    scaled = float(np.float32(value) * np.float32(scale))
    return int(np.copysign(np.floor(abs(scaled) + 0.5), scaled))


def _cells(start: int, length: int, cells: int, size: int) -> list[tuple[int, int]]:
    """The first pixel of each cell and the one behind its last, as float32 finds them."""
    step, found = np.float32(length) / np.float32(cells), []
    for cell in range(cells):
        low, high = np.float32(cell) * step, np.float32(cell + 1) * step
        ends = (int(np.floor(low)) + start, int(np.ceil(high)) + start)
        first, last = (min(max(end, 0), size) for end in ends)
        found.append((first, last))
    return found


def roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    """The greatest pixel of each cell of boxes that are rounded to pixels, and its place in the
    image (-1 and a pixel of 0 where a cell is empty).

    >>> from argand.vision.ops.registered import roi_pool
    >>> image = ag.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_pool(image, ag.tensor([[0.0, 0, 0, 3, 3]]), 1.0, 2, 2)[0]
    tensor([[[[ 5.,  7.],
              [13., 15.]]]])
    """
    count, channels, height, width = map(int, input.shape)
    images: Any = input.detach().numpy()
    boxes = list(_rows("roi_pool", rois))
    places = np.full((len(boxes), channels, pooled_height, pooled_width), -1, np.int64)
    for k, (number, box) in enumerate(boxes):
        x1, y1, x2, y2 = (_rounded(v, spatial_scale) for v in box)
        rows = _cells(y1, max(y2 - y1 + 1, 1), pooled_height, height)
        columns = _cells(x1, max(x2 - x1 + 1, 1), pooled_width, width)
        for i, j in np.ndindex(pooled_height, pooled_width):
            (top, bottom), (left, right) = rows[i], columns[j]
            if bottom > top and right > left:
                part = images[number, :, top:bottom, left:right].reshape(channels, -1)
                row, column = np.divmod(part.argmax(axis=1), right - left)
                places[k, :, i, j] = (row + top) * width + column + left
    numbers = wrap(np.array([n for n, _ in boxes], np.int64)).reshape(-1, 1, 1, 1)
    chosen = input.reshape(count, channels, -1)[
        numbers, arange(channels).reshape(-1, 1, 1), wrap(places.clip(0))
    ]
    return chosen.masked_fill(wrap(places < 0), 0.0), wrap(places.astype(np.int32))


# -- convolution at places that are computed -------------------------------------------------------


def deform_conv2d(
    input: Any,
    weight: Any,
    offset: Any,
    mask: Any,
    bias: Any,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    groups: int,
    offset_groups: int,
    use_mask: bool,
) -> Any:
    """A convolution that reads each pixel of its window at a place that `offset` moves it to, by
    bilinear interpolation, times `mask`; see `argand.vision.ops.deform_conv2d`."""
    batch, channels, height, width = map(int, input.shape)
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    grid = _window_grid(
        (height, width), kernel, (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w)
    )
    taps, out = kernel[0] * kernel[1], grid[0].shape[1:]
    expected = (batch, 2 * offset_groups * taps, *out)
    if tuple(offset.shape) != expected:
        raise ShapeError(
            f"deform_conv2d: offset must be {shape_text(expected)}, got {shape_text(offset.shape)}"
        )
    moves = offset.reshape(batch, offset_groups, taps, 2, *out)
    y, x = (wrap(g).to(input.dtype) + moves[:, :, :, i] for i, g in enumerate(grid))
    images = input.reshape(batch * offset_groups, channels // offset_groups, height * width)
    read = _bilinear(
        images, y.reshape(len(images), -1), x.reshape(len(images), -1), (height, width)
    )
    read = read.reshape(batch, offset_groups, channels // offset_groups, taps, *out)
    if use_mask:
        read = read * mask.reshape(batch, offset_groups, 1, taps, *out)
    columns = read.reshape(batch, groups, channels // groups * taps, out[0] * out[1])
    rows = weight.reshape(groups, weight.shape[0] // groups, -1)
    found = (rows @ columns).reshape(batch, weight.shape[0], *out)
    return found + bias.reshape(-1, 1, 1)


def _window_grid(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> list[np.ndarray]:
    """The rows and the columns that a convolution reads: (taps, height, width) each."""
    counts, lines = [], []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        count = (n + 2 * p - d * (k - 1) - 1) // s + 1
        if count < 1:
            raise ShapeError(f"deform_conv2d: an image of {size} is too small for the window")
        counts.append(count)
        lines.append(np.arange(k)[:, None] * d + np.arange(count) * s - p)
    shape = (*kernel, *counts)
    y, x = lines[0][:, None, :, None], lines[1][None, :, None, :]
    return [np.broadcast_to(v, shape).reshape(-1, *counts).astype(np.float64) for v in (y, x)]


def _bilinear(images: Any, y: Any, x: Any, size: tuple[int, int]) -> Any:
    """The values of images (B, C, H W) at places (B, P) between pixels: (B, C, P); 0 outside."""
    height, width = size
    top, left = y.detach().floor(), x.detach().floor()
    below, right = y - top, x - left
    total: Any = 0
    for row, down in ((top, 1 - below), (top + 1, below)):
        for column, across in ((left, 1 - right), (left + 1, right)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            index = place.to("int64").unsqueeze(1).expand(-1, images.shape[1], -1)
            weight = (down * across).masked_fill(~inside, 0.0).unsqueeze(1)
            total = total + images.gather(2, index) * weight
    return total


FUNCTIONS = {
    "_cuda_version": lambda: -1,
    "box_iou_rotated": box_iou_rotated,
    "deform_conv2d": deform_conv2d,
    "nms": nms,
    "ps_roi_align": ps_roi_align,
    "ps_roi_pool": ps_roi_pool,
    "roi_align": roi_align,
    "roi_pool": roi_pool,
}
"""The ops of torchvision that are here."""
ABSENT = """_deform_conv2d_backward _ps_roi_align_backward _ps_roi_pool_backward
_roi_align_backward _roi_pool_backward qnms qroi_align"""
"""Those that are not: gradients, which the others have, and numbers of 8 bits with a scale."""
