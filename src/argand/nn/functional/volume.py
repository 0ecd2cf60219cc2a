"""Convolution and pooling of volumes (N, C, D, H, W), made of those of images."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ShapeError
from argand.base.shape import shape_text
from argand.ir.op import describe, ops
from argand.nn.functional.window import avg_pool2d, conv2d, max_pool2d, pad, several


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation of volumes (N, C, D, H, W), or one (C, D, H, W), with a `weight`
    (O, C / groups, kd, kh, kw), plus `bias`; the arguments are those of `conv2d`.

    The slices that a window sees along the depth become channels of an image, so it is one
    convolution of N * D' images.

    >>> F.conv3d(ag.ones(1, 1, 3, 3, 3), ag.ones(1, 1, 2, 3, 3)).flatten()
    tensor([18., 18.])
    """
    if len(input.shape) not in (4, 5) or len(weight.shape) != 5:
        raise ShapeError(
            f"conv3d: {describe(input, weight)}: expected volumes (N, C, D, H, W) or (C, D, H, W) "
            "and a weight (O, C / groups, kd, kh, kw)"
        )
    batch = ops.reshape(input, (1, *input.shape)) if input.ndim == 4 else input
    kernel, steps = weight.shape[2:], several(dilation, 3, "dilation")
    sd, *strides = several(stride, 3, "stride")
    (front, back), sides = _padding(padding, kernel, steps)
    x = pad(batch, (0, 0, 0, 0, front, back))
    n, c, depth, height, width = x.shape
    count = (depth - steps[0] * (kernel[0] - 1) - 1) // sd + 1
    if count < 1:
        raise ShapeError(
            f"conv3d: {describe(input, weight)}: the window is deeper than the padded volume"
        )
    slices = []
    for i in range(int(kernel[0])):
        first = i * steps[0]
        stop = (n, c, first + sd * (count - 1) + 1, height, width)
        part = ops.slice(x, (0, 0, first, 0, 0), stop, (1, 1, sd, 1, 1))
        slices.append(ops.reshape(part, (n, c, 1, count, height, width)))
    stacked = ops.permute(ops.cat(*slices, dim=2), (0, 3, 1, 2, 4, 5))
    images = ops.reshape(stacked, (n * count, c * kernel[0], height, width))
    o, per_group = weight.shape[:2]
    flat = ops.reshape(weight, (o, per_group * kernel[0], *kernel[1:]))
    y = conv2d(images, flat, bias, tuple(strides), sides, steps[1:], groups)
    y = ops.permute(ops.reshape(y, (n, count, *y.shape[1:])), (0, 2, 1, 3, 4))
    return ops.reshape(y, y.shape[1:]) if input.ndim == 4 else y


def _padding(padding: Any, kernel: Any, steps: Any) -> tuple[tuple[int, int], Any]:
    """What to add in front and behind, and the padding of the images."""
    if isinstance(padding, str):
        total = steps[0] * (kernel[0] - 1) if padding == "same" else 0
        return (total // 2, total - total // 2), padding
    depth, *sides = several(padding, 3, "padding")
    return (depth, depth), tuple(sides)


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest value of each window of volumes (N, C, D, H, W) or (C, D, H, W); padding never
    wins. The arguments are those of `max_pool2d`.

    >>> F.max_pool3d(ag.arange(8.0).reshape(1, 1, 2, 2, 2), 2).item()
    7.0
    """
    given = [(kernel_size, "kernel_size"), (kernel_size if stride is None else stride, "stride")]
    given += [(padding, "padding"), (dilation, "dilation")]
    return _pooled(max_pool2d, "max_pool3d", input, given, ceil_mode)


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of volumes (N, C, D, H, W) or (C, D, H, W). The arguments are those
    of `avg_pool2d`.

    >>> F.avg_pool3d(ag.arange(8.0).reshape(1, 1, 2, 2, 2), 2).item()
    3.5
    """
    given = [(kernel_size, "kernel_size"), (kernel_size if stride is None else stride, "stride")]
    given += [(padding, "padding")]
    return _pooled(avg_pool2d, "avg_pool3d", input, given, ceil_mode, count_include_pad)


def _pooled(pool: Any, op: str, input: Any, given: list[tuple[Any, str]], *rest: Any) -> Any:
    """Pool the slices as images, then along the depth: a window is the product of both."""
    if len(input.shape) not in (4, 5):
        raise ShapeError(f"{op}: expected volumes (N, C, D, H, W), got {shape_text(input.shape)}")
    triples = [several(value, 3, name) for value, name in given]
    *lead, depth, height, width = input.shape
    n, c = lead if len(lead) == 2 else (1, lead[0])
    y = ops.reshape(input, (n, c * depth, height, width))
    y = pool(y, *[t[1:] for t in triples], *rest)
    height, width = y.shape[2:]
    y = ops.reshape(y, (n, c, depth, height * width))
    still = (1, 1, 0, 1)  # a window of one element: kernel, stride, padding, dilation
    y = pool(y, *[(t[0], s) for t, s in zip(triples, still, strict=False)], *rest)
    return ops.reshape(y, (*lead, y.shape[2], height, width))
