"""Two-dimensional convolution and both of its gradients, as contractions.

Strides are passed for the axes in PyTorch's order - images (N, C, H, W), weights (O, I, KH, KW) -
so any memory layout is right; channels-last images with weights laid out (KH, KW, I, O) are fast:
the image is read in place through row pointers, with no columns and no padded copy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

from argand.kernels.contraction.spec import Bound, Contraction, ContractionAxis, Operand
from argand.nest.builder import IntOrReg, NestBuilder, Reg

__all__ = [
    "ConvEpilogue",
    "ConvolutionWindow",
    "Tensor4",
    "forward",
    "input_gradient",
    "weight_gradient",
]

ConvEpilogue = Callable[[NestBuilder, Mapping[str, Reg], Reg, Reg | None], None]
"""epilogue(b, index, value, mask); `index` has "n", "c", "h", "w" of an image, the lanes along c,
or "o", "i", "kh", "kw" of a weight, the lanes along o; channels are counted across all groups ("i"
within one)."""


@dataclasses.dataclass(frozen=True)
class Tensor4:
    """Memory with four strides (elements): (N, C, H, W) of an image, (O, I, KH, KW) of a weight."""

    ptr: Reg
    elem: str
    strides: tuple[IntOrReg, IntOrReg, IntOrReg, IntOrReg]
    panels: tuple[int, IntOrReg] | None = None
    """of a weight whose output channels are in panels: channels of one, elements from one to the
    next"""


@dataclasses.dataclass(frozen=True)
class ConvolutionWindow:
    """The sizes of a convolution. Channels are per group; pairs are (vertical, horizontal)."""

    images: IntOrReg
    in_channels: IntOrReg
    in_size: tuple[IntOrReg, IntOrReg]
    out_channels: IntOrReg
    out_size: tuple[IntOrReg, IntOrReg]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: IntOrReg = 1


class _Axes:
    """The axes that the three contractions share."""

    def __init__(self, w: ConvolutionWindow) -> None:
        self.group = ContractionAxis("group", w.groups)
        self.image = ContractionAxis("image", w.images)
        self.i = ContractionAxis("i", w.in_channels)
        self.o = ContractionAxis("o", w.out_channels)
        self.kernel = tuple(
            ContractionAxis(n, e) for n, e in zip(("kh", "kw"), w.kernel, strict=True)
        )
        self.out = tuple(
            ContractionAxis(n, e) for n, e in zip(("oy", "ox"), w.out_size, strict=True)
        )

    @property
    def batch(self) -> tuple[ContractionAxis, ...]:
        return (self.group,)


def _times(b: NestBuilder, x: IntOrReg, y: IntOrReg) -> IntOrReg:
    return x * y if isinstance(x, int) and isinstance(y, int) else b.mul(x, y)


def _input(b: NestBuilder, w: ConvolutionWindow, x: Tensor4, axes: _Axes) -> Operand:
    """The image under the window: at out * stride + kernel * dilation - padding."""
    strides: dict[ContractionAxis, IntOrReg] = {
        axes.image: x.strides[0],
        axes.i: x.strides[1],
        axes.group: _times(b, w.in_channels, x.strides[1]),
    }
    offset = b.i64(0)
    bounds = []
    for d in range(2):
        pitch = x.strides[2 + d]
        out, kernel = axes.out[d], axes.kernel[d]
        strides[out] = _times(b, w.stride[d], pitch)
        strides[kernel] = _times(b, w.dilation[d], pitch)
        offset = b.sub(offset, b.mul(w.padding[d], pitch))
        if w.padding[d]:
            terms: dict[ContractionAxis, IntOrReg] = {out: w.stride[d], kernel: w.dilation[d]}
            bounds.append(Bound(terms, -w.padding[d], w.in_size[d]))
    return Operand(x.ptr, x.elem, strides, offset, tuple(bounds))


def _output(b: NestBuilder, w: ConvolutionWindow, y: Tensor4, axes: _Axes) -> Operand:
    strides: dict[ContractionAxis, IntOrReg] = {
        axes.image: y.strides[0],
        axes.o: y.strides[1],
        axes.group: _times(b, w.out_channels, y.strides[1]),
        axes.out[0]: y.strides[2],
        axes.out[1]: y.strides[3],
    }
    return Operand(y.ptr, y.elem, strides)


def _weight(b: NestBuilder, w: ConvolutionWindow, weight: Tensor4, axes: _Axes) -> Operand:
    strides: dict[ContractionAxis, IntOrReg] = {
        axes.o: weight.strides[0],
        axes.group: _times(b, w.out_channels, weight.strides[0]),
        axes.i: weight.strides[1],
        axes.kernel[0]: weight.strides[2],
        axes.kernel[1]: weight.strides[3],
    }
    return Operand(weight.ptr, weight.elem, strides)


def forward(
    b: NestBuilder,
    w: ConvolutionWindow,
    x: Tensor4,
    weight: Tensor4,
    acc: str,
    epilogue: ConvEpilogue,
) -> Contraction:
    """y[n, o, oy, ox] = sum over (kh, kw, i) of x under the window times the weight."""
    axes = _Axes(w)
    operand = _weight(b, w, weight, axes)
    columns: tuple[ContractionAxis, ...] = (axes.o,)
    if weight.panels is not None:
        operand, columns = _in_panels(operand, w, weight, axes)

    def finish(
        b: NestBuilder, index: Mapping[ContractionAxis, Reg], value: Reg, mask: Reg | None
    ) -> None:
        channel = b.i64(0)
        for axis in columns:
            channel = b.affine(index[axis], (channel, axis.extent))
        named = {
            "n": index[axes.image],
            "c": b.affine(channel, (index[axes.group], w.out_channels)),
            "h": index[axes.out[0]],
            "w": index[axes.out[1]],
        }
        epilogue(b, named, value, mask)

    return Contraction(
        a=_input(b, w, x, axes),
        b=operand,
        batch=axes.batch,
        m=(axes.image, *axes.out),
        n=columns,
        k=(*axes.kernel, axes.i),
        epilogue=finish,
        acc=acc,
        across=axes.group,
    )


def _in_panels(
    operand: Operand, w: ConvolutionWindow, weight: Tensor4, axes: _Axes
) -> tuple[Operand, tuple[ContractionAxis, ...]]:
    """The weight with an axis for its panels, and the axes of the output channels."""
    assert weight.panels is not None and isinstance(w.out_channels, int)
    width, apart = weight.panels
    panel, o = ContractionAxis("panel", w.out_channels // width), ContractionAxis("o", width)
    strides = {**operand.strides, panel: apart, o: operand.stride(axes.o)}
    return dataclasses.replace(operand, strides=strides), (panel, o)


def weight_gradient(
    b: NestBuilder, w: ConvolutionWindow, x: Tensor4, dy: Tensor4, acc: str, epilogue: ConvEpilogue
) -> Contraction:
    """dw[o, i, kh, kw] = sum over (n, oy, ox) of x under the window times dy."""
    axes = _Axes(w)

    def finish(
        b: NestBuilder, index: Mapping[ContractionAxis, Reg], value: Reg, mask: Reg | None
    ) -> None:
        named = {
            "o": b.affine(index[axes.o], (index[axes.group], w.out_channels)),
            "i": index[axes.i],
            "kh": index[axes.kernel[0]],
            "kw": index[axes.kernel[1]],
        }
        epilogue(b, named, value, mask)

    return Contraction(
        a=_input(b, w, x, axes),
        b=_output(b, w, dy, axes),
        batch=axes.batch,
        m=(*axes.kernel, axes.i),
        n=(axes.o,),
        k=(axes.image, *axes.out),
        epilogue=finish,
        acc=acc,
        long_k=True,
        across=axes.group,
    )


def input_gradient(
    b: NestBuilder,
    w: ConvolutionWindow,
    dy: Tensor4,
    weight: Tensor4,
    acc: str,
    epilogue: ConvEpilogue,
) -> list[Contraction]:
    """dx[n, i, y, x] = sum over (kh, kw, o) of dy where its window covers the pixel, times the
    weight.

    With a stride, pixels whose (y, x) have the same remainders see the same taps: one contraction
    for each pair of remainders, together they cover the image.
    """
    return [
        _phase(b, w, dy, weight, acc, epilogue, (ry, rx))
        for ry in range(w.stride[0])
        for rx in range(w.stride[1])
    ]


def _phase(
    b: NestBuilder,
    w: ConvolutionWindow,
    dy: Tensor4,
    weight: Tensor4,
    acc: str,
    epilogue: ConvEpilogue,
    remainder: tuple[int, int],
) -> Contraction:
    """The pixels y = stride * y' + remainder. A tap t reaches them from the output row
    (y + padding - t * dilation) / stride, for every `step`-th t from `first` on."""
    axes = _Axes(w)
    out, grad = _output(b, w, dy, axes), _weight(b, w, weight, axes)
    pixels, taps = [], []
    strides, weights = dict(out.strides), dict(grad.strides)
    offset, weight_offset = b.i64(0), b.i64(0)
    bounds = []
    for d in range(2):
        stride, dilation, rest = w.stride[d], w.dilation[d], remainder[d]
        step = stride // math.gcd(stride, dilation)
        reach = (t for t in range(step) if (rest + w.padding[d] - t * dilation) % stride == 0)
        first = next(reach, w.kernel[d])
        count = max(0, -(-(w.kernel[d] - first) // step))
        size = w.in_size[d]
        whole: IntOrReg
        if isinstance(size, int):
            whole = -(-(size - rest) // stride)
        else:
            whole = b.div(b.add(size, stride - 1 - rest), stride)
        pixel, tap = ContractionAxis("yx"[d], whole), ContractionAxis(("th", "tw")[d], count)
        back = step * dilation // stride
        start = (rest + w.padding[d] - first * dilation) // stride
        pitch = dy.strides[2 + d]
        strides |= {pixel: pitch, tap: _times(b, -back, pitch)}
        offset = b.add(offset, b.mul(start, pitch))
        weights[tap] = _times(b, step, weight.strides[2 + d])
        weight_offset = b.add(weight_offset, b.mul(first, weight.strides[2 + d]))
        if w.kernel[d] > 1 or w.padding[d]:
            bounds.append(Bound({pixel: 1, tap: -back}, start, w.out_size[d]))
        pixels.append(pixel)
        taps.append(tap)

    def finish(
        b: NestBuilder, index: Mapping[ContractionAxis, Reg], value: Reg, mask: Reg | None
    ) -> None:
        h, x = (
            b.affine(rest, (index[pixel], stride))
            for rest, pixel, stride in zip(remainder, pixels, w.stride, strict=True)
        )
        c = b.affine(index[axes.i], (index[axes.group], w.in_channels))
        epilogue(b, {"n": index[axes.image], "c": c, "h": h, "w": x}, value, mask)

    for axis in (*axes.out, *axes.kernel):
        strides.pop(axis, None)
        weights.pop(axis, None)
    return Contraction(
        a=dataclasses.replace(out, strides=strides, offset=offset, bounds=tuple(bounds)),
        b=dataclasses.replace(grad, strides=weights, offset=weight_offset),
        batch=axes.batch,
        m=(axes.image, *pixels),
        n=(axes.i,),
        k=(*taps, axes.o),
        epilogue=finish,
        acc=acc,
        across=axes.group,
    )
