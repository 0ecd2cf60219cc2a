"""Convolutions, and images put together from patches."""

from __future__ import annotations

from typing import Any

from argand.onnx.importers.windows import Window, padded, window
from argand.onnx.registry import importer
from argand.onnx.values import F, Host, ag, int_list
from argand.tensor.core import Tensor

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@importer("Conv")
def conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """A convolution; the kernel's sizes are those of the weight."""
    at = window(x.shape[2:], w.shape[2:], auto_pad, pads, strides, dilations)
    return convolved(x, w, b, at, group)


def convolved(x: Any, w: Any, b: Any, at: Window, group: int, fill: Any = 0) -> Any:
    """The convolution of a window."""
    if at.symmetric and not fill:
        pads: Any = at.begin
    else:
        x, pads = padded(x, at.begin, at.end, fill), 0
    function = _CONV[len(at.kernel)]
    return function(x, w, b, at.strides, pads, at.dilations, group)


@importer("ConvTranspose")
def _conv_transpose(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    output_padding: Any = None,
    output_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    n = x.ndim - 2
    steps = tuple(strides or (1,) * n)
    holes = tuple(dilations or (1,) * n)
    extra = list(output_padding or (0,) * n)
    kernel = w.shape[2:]
    full = [
        (size - 1) * s + (k - 1) * d + 1
        for size, s, k, d in zip(x.shape[2:], steps, kernel, holes, strict=True)
    ]
    begin, end = list((pads or (0,) * 2 * n)[:n]), list((pads or (0,) * 2 * n)[n:])
    if output_shape is not None or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = output_shape or [s * t for s, t in zip(x.shape[2:], steps, strict=True)]
        for i, (have, want) in enumerate(zip(full, wanted[-n:], strict=True)):
            total = have + extra[i] - want
            if total < 0:
                extra[i], total = extra[i] - total, 0
            half = total // 2
            low = total - half if auto_pad == "SAME_LOWER" else half
            begin[i], end[i] = low, total - low
    made = _TRANSPOSED[n](x, w, None, steps, 0, 0, group, holes)
    made = padded(made, [-p for p in begin], [e - p for e, p in zip(extra, end, strict=True)])
    return made if b is None else made + b.reshape([-1] + [1] * n)


@importer("Col2Im")
def _col2im(
    x: Tensor,
    image_shape: Host,
    block_shape: Host,
    *,
    dilations: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    image, block = int_list(image_shape), int_list(block_shape)
    n = len(image)
    steps, holes = list(strides or (1,) * n), list(dilations or (1,) * n)
    edges = list(pads or (0,) * 2 * n)
    wide = [s + edges[i] + edges[n + i] for i, s in enumerate(image)]
    places, flat = _patches(wide, block, steps, holes)
    batch, channels = x.shape[0], x.shape[1] // places.shape[0]
    values = x.reshape(batch * channels, -1)
    made = ag.zeros(batch * channels, flat, dtype=x.dtype)
    made = ag.index_add(made, 1, places.reshape(-1), values)
    made = made.reshape(batch, channels, *wide)
    return padded(made, [-p for p in edges[:n]], [-p for p in edges[n:]])


def _patches(
    sizes: list[int], block: list[int], steps: list[int], holes: list[int]
) -> tuple[Any, int]:
    """The flat place in an image of each element of each patch, (block, patches), and how many
    elements the image has."""
    n = len(sizes)
    counts = [
        (s - (b - 1) * d - 1) // t + 1
        for s, b, d, t in zip(sizes, block, holes, steps, strict=True)
    ]
    places: Any = ag.zeros([1] * 2 * n, dtype=ag.int64)
    stride = 1
    for i in reversed(range(n)):
        inner, outer = [1] * 2 * n, [1] * 2 * n
        inner[i], outer[n + i] = block[i], counts[i]
        at = ag.arange(block[i]).reshape(inner) * holes[i]
        places = places + (at + ag.arange(counts[i]).reshape(outer) * steps[i]) * stride
        stride *= sizes[i]
    rows = 1
    for b in block:
        rows *= b
    return places.reshape(rows, -1), stride


@importer("DeformConv")
def _deform_conv(
    x: Tensor,
    w: Tensor,
    offset: Tensor,
    b: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    offset_group: int = 1,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    at = window(x.shape[2:], w.shape[2:], "NOTSET", pads, strides, dilations)
    n, c = x.shape[:2]
    kh, kw = at.kernel
    oh, ow = offset.shape[-2:]
    moves = offset.reshape(n, offset_group, kh, kw, 2, oh, ow)
    rows = _grid(0, oh, kh, at) + moves[:, :, :, :, 0]
    columns = _grid(1, ow, kw, at) + moves[:, :, :, :, 1]
    images = x.reshape(n * offset_group, c // offset_group, *x.shape[2:])
    points = _normalised(rows, columns, x.shape[2:]).reshape(n * offset_group, kh * kw * oh, ow, 2)
    taken = F.grid_sample(images, points, "bilinear", "zeros", align_corners=True)
    taken = taken.reshape(n, offset_group, c // offset_group, kh * kw, oh, ow)
    if mask is not None:
        taken = taken * mask.reshape(n, offset_group, 1, kh * kw, oh, ow)
    taken = taken.reshape(n, group, (c // group) * kh * kw, oh * ow)
    weights = w.reshape(group, w.shape[0] // group, -1)
    made = ag.matmul(weights, taken).reshape(n, -1, oh, ow)
    return made if b is None else made + b.reshape(-1, 1, 1)


def _grid(axis: int, count: Any, kernel: int, at: Window) -> Any:
    """Where the elements of the patches lie along an axis, without an offset."""
    starts = ag.arange(count) * at.strides[axis] - at.begin[axis]
    taps = ag.arange(kernel) * at.dilations[axis]
    if axis == 0:
        return (taps.reshape(-1, 1, 1, 1) + starts.reshape(-1, 1)).to(ag.float32)
    return (taps.reshape(1, -1, 1, 1) + starts.reshape(1, 1, 1, -1)).to(ag.float32)


def _normalised(rows: Any, columns: Any, sizes: Any) -> Any:
    """Places in elements as those from -1 to 1 that grid_sample takes."""
    h, w = (max(s - 1, 1) for s in sizes)
    rows, columns = ag.broadcast_tensors(rows, columns)
    return ag.stack([columns * 2 / w - 1, rows * 2 / h - 1], -1)
