"""Max and average pooling of images (N, C, H, W), and their gradients as ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dim import Extent, is_less, same
from argand.base.dtype import int64
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import shape_text
from argand.ir.elementwise import lifted
from argand.ir.families import Pool
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ir.translation import UntranslatableError
from argand.ops.gather import add_at
from argand.ops.reduce import check_ordered
from argand.ops.window import Pair, Prepared, folded, padded, pair, wide, windows


def _pool_params(
    op: str,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> dict[str, Any]:
    kernel = pair(kernel_size, f"{op}: kernel_size")
    params: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": kernel if stride is None else pair(stride, f"{op}: stride"),
        "padding": pair(padding, f"{op}: padding"),
        "dilation": pair(dilation, f"{op}: dilation"),
        "ceil_mode": bool(ceil_mode),
    }
    geometry: Any = zip(
        kernel, params["stride"], params["padding"], params["dilation"], strict=True
    )
    for k, s, p, d in geometry:
        if k < 1 or s < 1 or d < 1:
            raise ArgumentError(f"{op}: kernel_size, stride and dilation must be at least 1")
        if p < 0 or 2 * p > d * (k - 1) + 1:
            raise ArgumentError(
                f"{op}: padding {p} must be at most half of the kernel size {k} (dilation {d})"
            )
    return params


def window_count(ceil_mode: bool, size: Any, k: int, stride: int, pad: int, dil: int) -> Any:
    """How many windows fit along a dimension; None where it is too short for one."""
    room = size + 2 * pad - dil * (k - 1) - 1
    if is_less(room, 0):
        return None
    if not ceil_mode:
        return room // stride + 1
    count = (room + stride - 1) // stride + 1
    return count - 1 if (count - 1) * stride >= size + pad else count


def pool_output(op: str, size: Any, params: dict[str, Any]) -> Any:
    """The output's sizes: for images its height and width."""
    names = ("kernel_size", "stride", "padding", "dilation")
    found: list[Extent] = []
    for s, *window in zip(size, *(params.get(n, (1,) * len(size)) for n in names), strict=True):
        count = window_count(params["ceil_mode"], s, *window)
        if count is None:
            raise ShapeError(
                f"{op}: the window {params['kernel_size']} is larger than the image "
                f"{shape_text(size)} with padding {params['padding']}"
            )
        found.append(count)
    return tuple(found)


def _excess(size: Any, out: Any, params: dict[str, Any]) -> Pair:
    """How far the last windows reach beyond the padded image (with `ceil_mode`)."""
    names = ("kernel_size", "stride", "padding", "dilation")
    found = [
        max(0, (o - 1) * stride + dil * (k - 1) + 1 - (s + 2 * pad))
        for s, o, k, stride, pad, dil in zip(
            size, out, *(params.get(n, (1, 1)) for n in names), strict=True
        )
    ]
    return found[0], found[1]


def _onnx_window(x: Any, params: dict[str, Any]) -> dict[str, Any]:
    """The window as attributes of ONNX's pools. Where the image's size is known, windows that reach
    beyond the padding get more of it instead of `ceil_mode`, whose meaning has changed."""
    found: dict[str, Any] = {"kernel_shape": params["kernel_size"], "strides": params["stride"]}
    padding, size = params["padding"], x.shape[2:]
    if not params["ceil_mode"]:
        return {**found, "pads": (*padding, *padding)}
    if not all(isinstance(s, int) for s in size):
        return {**found, "pads": (*padding, *padding), "ceil_mode": 1}
    more = _excess(size, pool_output("pool", size, params), params)
    return {**found, "pads": (*padding, *(p + e for p, e in zip(padding, more, strict=True)))}


def _check_numbers(op: str, x: Any) -> None:
    if x.dtype.kind == "b":
        raise DTypeError(f"{op}: not defined for bool")


def _check_image(op: str, x: TensorType) -> None:
    if len(x.shape) != 4:
        raise ShapeError(f"{op}: expected an image (N, C, H, W) or (C, H, W), got {describe(x)}")


class MaxPool2d(Pool):
    """The largest element of each window; padding counts as minus infinity, NaN as largest.

    As `torch.nn.functional.max_pool2d`. A hidden second output holds its position in the H * W
    plane, int64.
    """

    samples = (
        Sample(T((2, 3, 6, 6), distinct=True), 2),
        Sample(T((1, 2, 7, 5), distinct=True), 3, 2, 1),
        Sample(T((1, 1, 7, 7), distinct=True), (2, 3), (1, 2), 0, (2, 1)),
        Sample(T((1, 1, 5, 6), distinct=True), 2, 2, ceil_mode=True),
        Sample(T((0, 1, 4, 4)), 2),
    )
    error_samples = (
        ErrorSample(RuntimeError, "is larger than the image", T((1, 1, 2, 2)), 3),
        ErrorSample(RuntimeError, "at most half of the kernel", T((1, 1, 4, 4)), 2, 2, 2),
        ErrorSample(RuntimeError, "expected an image", T((4, 4)), 2),
        ErrorSample(TypeError, "not defined for bool", T((1, 1, 4, 4), dtype="bool"), 2),
        ErrorSample(TypeError, "not defined for complex", T((1, 1, 4, 4), dtype="complex64"), 2),
    )

    def apply(
        self,
        x: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        return _batched(super().apply, x, kernel_size, stride, padding, dilation, ceil_mode)

    def prepare(self, x: Any, *args: Any, **named: Any) -> Prepared:
        check_ordered(self.name, x.dtype)
        _check_numbers(self.name, x)
        return (x,), _pool_params(self.name, *args, **named)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        _check_image(self.name, x)
        shape = (*x.shape[:2], *pool_output(self.name, x.shape[2:], params))
        return TensorType(x.dtype, shape), TensorType(int64, shape)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (x,) = arrays
        (kh, kw), (sh, sw) = params["kernel_size"], params["stride"]
        (ph, pw), (dh, dw) = params["padding"], params["dilation"]
        oh, ow = pool_output(self.name, x.shape[2:], params)
        least = -np.inf if x.dtype.kind not in "iu" else np.iinfo(x.dtype).min
        more = _excess(x.shape[2:], (oh, ow), params)
        image = padded(x, (ph, pw), least, more)
        view = windows(image, (kh, kw), (sh, sw), (dh, dw))[:, :, :oh, :ow]
        flat = view.reshape(*view.shape[:4], kh * kw)
        inside = windows(
            padded(np.ones((1, 1, *x.shape[2:]), bool), (ph, pw), False, more),
            (kh, kw),
            (sh, sw),
            (dh, dw),
        )[:, :, :oh, :ow].reshape(1, 1, oh, ow, kh * kw)
        tap = _argmax_inside(flat, inside)
        y = np.take_along_axis(flat, tap[..., None], -1)[..., 0]
        row = np.arange(oh)[:, None] * sh - ph + tap // kw * dh
        column = np.arange(ow) * sw - pw + tap % kw * dw
        return y, row * x.shape[3] + column

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,), (height, width) = inputs, inputs[0].shape[2:]
        geometry = _onnx_window(x, params)
        y, index = g.op("MaxPool", x, **geometry, dilations=params["dilation"], outputs=2)
        return y, g.op("Mod", index, g.size(height * width))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.max_pool2d_grad(grads[0], outputs[1], size=inputs[0].shape[2:], **params)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (1,)


def _argmax_inside(flat: Any, inside: Any) -> Any:
    """The first largest tap of each window that is not padding, even when all are -inf."""
    tap = np.argmax(flat, -1)
    ok = np.take_along_axis(np.broadcast_to(inside, flat.shape), tap[..., None], -1)[..., 0]
    return np.where(ok, tap, np.argmax(inside, -1))


def _batched(call: Any, x: Any, *args: Any) -> Any:
    """Call an op on images with a batch dimension added to a single one (C, H, W)."""
    x = lifted(x)
    if len(x.shape) != 3:
        return call(x, *args)
    y = call(ops.reshape(x, (1, *x.shape)), *args)
    return ops.reshape(y, y.shape[1:])


class MaxPool2dGrad(Pool):
    """The adjoint of `max_pool2d`: g added at the positions of the largest elements.

    `index` is the hidden output of `max_pool2d`; the window's parameters are the same.
    """

    samples = (
        Sample(T((2, 3, 1, 1)), T((2, 3, 1, 1), 0, 5, "int64"), size=(2, 3), kernel_size=(2, 3)),
        Sample(T((0, 1, 2, 2)), T((0, 1, 2, 2), 0, 15, "int64"), size=(4, 4), kernel_size=2),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "both must have one 4-d shape",
            T((1, 1, 2, 2)),
            T((1, 1, 2, 1), 0, 3, "int64"),
            size=(4, 4),
            kernel_size=2,
        ),
    )

    def prepare(self, g: Any, index: Any, size: Any, *window: Any, **named: Any) -> Prepared:
        params = _pool_params(self.name, *window, **named)
        g = lifted(g)
        check_ordered(self.name, g.dtype)
        _check_numbers(self.name, g)
        return (g, lifted(index)), {"size": tuple(size), **params}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        g, index = inputs
        if len(g.shape) != 4 or not all(map(same, g.shape, index.shape)):
            raise ShapeError(f"{self.name}: {describe(g, index)}: both must have one 4-d shape")
        return (TensorType(g.dtype, (*g.shape[:2], *params["size"])),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        g, index = arrays
        n, c = g.shape[:2]
        height, width = params["size"]
        plane = np.zeros((n, c, height * width), g.dtype)
        batch, channel = np.ogrid[:n, :c]
        flat = index.reshape(n, c, index.shape[2] * index.shape[3])
        add_at(plane, (batch[..., None], channel[..., None], flat), g.reshape(flat.shape))
        return plane.reshape(n, c, height, width)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        grad, index = inputs
        (n, c), (height, width) = grad.shape[:2], params["size"]
        count = grad.shape[2] * grad.shape[3]
        plane = g.op("Expand", g.constant(0, grad.dtype), g.sizes((n, c, height * width)))
        flat, places = (g.reshape(v, (n, c, count)) for v in (grad, index))
        y = g.op("ScatterElements", plane, places, flat, axis=2, reduction="add")
        return g.reshape(y, (n, c, height, width))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (ct,), (g, index) = grads, inputs
        n, c, h, w = g.shape
        height, width = params["size"]
        plane = ops.reshape(ct, (n, c, height * width))
        picked = ops.gather(plane, 2, ops.reshape(index, (n, c, h * w)))
        return [ops.reshape(picked, g.shape), None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (1,), ()


class AvgPool2d(Pool):
    """The mean of each window, as `torch.nn.functional.avg_pool2d`.

    Padding counts as zeros, or not at all where `count_include_pad` is False.
    """

    samples = (
        Sample(T((2, 3, 6, 6)), 2),
        Sample(T((1, 2, 7, 5)), 3, 2, 1),
        Sample(T((1, 2, 7, 5)), 3, 2, 1, False, False),
        Sample(T((1, 1, 5, 6)), 2, (2, 3), 0, True),
        Sample(T((1, 1, 6, 7)), 3, 2, 1, True),
        Sample(T((0, 1, 4, 4)), 2),
    )
    error_samples = (
        ErrorSample(RuntimeError, "is larger than the image", T((1, 1, 2, 2)), 3),
        ErrorSample(RuntimeError, "expected an image", T((4, 4)), 2),
        ErrorSample(TypeError, "not defined for bool", T((1, 1, 4, 4), dtype="bool"), 2),
    )

    def apply(
        self,
        x: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Any:
        call = super().apply
        return _batched(call, x, kernel_size, stride, padding, ceil_mode, count_include_pad)

    def prepare(self, x: Any, *args: Any, **named: Any) -> Prepared:
        _check_numbers(self.name, x)
        return (x,), _average_params(self.name, *args, **named)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        _check_image(self.name, x)
        shape = (*x.shape[:2], *pool_output(self.name, x.shape[2:], params))
        return (TensorType(x.dtype, shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        x = wide(arrays[0])
        size, out = x.shape[2:], pool_output(self.name, x.shape[2:], params)
        image = padded(x, params["padding"], 0, _excess(size, out, params))
        view = windows(image, params["kernel_size"], params["stride"], (1, 1))
        total = view[:, :, : out[0], : out[1]].sum(axis=(4, 5))
        return (total / _counts(size, out, params)).astype(arrays[0].dtype, copy=False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (x,) = inputs
        geometry = _onnx_window(x, params)
        counted = int(params["count_include_pad"])
        beyond = geometry["pads"][2:] != params["padding"]
        if not beyond:
            return g.op("AveragePool", x, **geometry, count_include_pad=counted)
        y = g.op("AveragePool", x, **geometry, count_include_pad=1)  # of all that windows reach
        out = pool_output(self.name, x.shape[2:], params)
        kh, kw = params["kernel_size"]
        share = kh * kw / _counts(x.shape[2:], out, params)
        return g.op("Mul", y, share.astype(x.dtype.numpy))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.avg_pool2d_grad(grads[0], size=inputs[0].shape[2:], **params)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


def _average_params(
    op: str,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> dict[str, Any]:
    params = _pool_params(op, kernel_size, stride, padding, ceil_mode=ceil_mode)
    del params["dilation"]
    return {**params, "count_include_pad": bool(count_include_pad)}


def _counts(size: Any, out: Any, params: dict[str, Any]) -> Any:
    """By how much each window's sum is divided: (OH, OW)."""
    counts: list[Any] = []
    for s, o, k, stride, pad in zip(
        size, out, params["kernel_size"], params["stride"], params["padding"], strict=True
    ):
        start = np.arange(o) * stride - pad
        stop = np.minimum(start + k, s + pad)
        if not params["count_include_pad"]:
            start, stop = np.maximum(start, 0), np.minimum(stop, s)
        counts.append(stop - start)
    return counts[0][:, None] * counts[1]


class AvgPool2dGrad(Pool):
    """The adjoint of `avg_pool2d` for an image of height and width `size`."""

    samples = (
        Sample(T((2, 1, 3, 3)), size=(6, 7), kernel_size=2),
        Sample(T((1, 2, 4, 3)), (7, 5), 3, 2, 1, count_include_pad=False),
        Sample(T((0, 1, 2, 2)), size=(4, 4), kernel_size=2),
    )
    error_samples = (
        ErrorSample(
            RuntimeError, "doesn't fit an image (4, 4)", T((1, 1, 3, 3)), (4, 4), kernel_size=2
        ),
        ErrorSample(TypeError, "not defined for int64", T((1, 1, 2, 2), dtype="int64"), (4, 4), 2),
    )

    def prepare(self, g: Any, size: Any, *window: Any, **named: Any) -> Prepared:
        params = _average_params(self.name, *window, **named)
        g = lifted(g)
        if not g.dtype.is_inexact:
            raise DTypeError(f"{self.name}: not defined for {g.dtype.name}")
        return (g,), {"size": tuple(size), **params}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (g,), size = inputs, params["size"]
        out = pool_output(self.name, size, params)
        if len(g.shape) != 4 or not all(map(same, g.shape[2:], out)):
            raise ShapeError(f"{self.name}: {describe(g)} doesn't fit an image {shape_text(size)}")
        return (TensorType(g.dtype, (*g.shape[:2], *size)),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        g = wide(arrays[0])
        share = g / _counts(params["size"], g.shape[2:], params).astype(g.dtype)
        kernel = params["kernel_size"]
        taps = np.broadcast_to(share[:, :, None, None], (*g.shape[:2], *kernel, *g.shape[2:]))
        image = folded(taps, params["size"], {**params, "dilation": (1, 1)})
        return image.astype(arrays[0].dtype, copy=False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (grad,), size = inputs, params["size"]
        (n, c), out, kernel = grad.shape[:2], grad.shape[2:], params["kernel_size"]
        if not all(isinstance(s, int) for s in (*size, *out)):
            raise UntranslatableError("its image's size must be known; fix it")
        share = (1 / _counts(size, out, params)).astype(grad.dtype.numpy)
        planes = g.reshape(g.op("Mul", grad, share), (n * c, 1, *out))
        pads, room = [], []
        parts = zip(size, out, kernel, params["stride"], params["padding"], strict=True)
        for s, o, k, step, pad in parts:
            beyond = (o - 1) * step + k - 2 * pad - s
            pads.append((pad, pad + max(beyond, 0)))
            room.append(max(-beyond, 0))
        before, after = zip(*pads, strict=True)
        geometry = {"strides": params["stride"], "pads": (*before, *after), "output_padding": room}
        ones = np.ones((1, 1, *kernel), grad.dtype.numpy)
        return g.reshape(g.op("ConvTranspose", planes, ones, **geometry), (n, c, *size))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        rest = {k: v for k, v in params.items() if k != "size"}
        return [ops.avg_pool2d(grads[0], **rest)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()
