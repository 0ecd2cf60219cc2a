"""Convolution of images (N, C, H, W), and its gradients as ops; what pooling shares with it.

The three convolutions are one trilinear form with a different operand taken out, so each is an
adjoint of the others.  NumPy execution works on strided views of
all windows at once, or on one tap of the window at a time, never on one pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from argand.base.dim import Extent, is_less, same
from argand.base.dtype import compute_dtype, from_numpy
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import shape_text
from argand.ir.elementwise import lifted
from argand.ir.families import Convolution
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ir.translation import UntranslatableError

Prepared = tuple[tuple[Any, ...], dict[str, Any]]
Pair = tuple[Any, Any]


def pair(value: Any, name: str) -> Pair:
    """A parameter for both image dimensions: one int, or two."""
    items = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(items) == 1:
        items = items * 2
    if len(items) != 2:
        raise ArgumentError(f"{name} must be an int or two ints, got {value!r}")
    return items[0], items[1]


# -- convolution ---------------------------------------------------------------------------------


def _conv_params(
    op: str, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> dict[str, Any]:
    params: dict[str, Any] = {
        "stride": pair(stride, f"{op}: stride"),
        "padding": pair(padding, f"{op}: padding"),
        "dilation": pair(dilation, f"{op}: dilation"),
        "groups": int(groups),
    }
    for name, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
        if min(params[name]) < least:
            raise ArgumentError(f"{op}: {name} must be at least {least}, got {params[name]}")
    if groups < 1:
        raise ArgumentError(f"{op}: groups must be at least 1, got {groups}")
    return params


def _geometry(params: dict[str, Any]) -> dict[str, Any]:
    return {k: params[k] for k in ("stride", "padding", "dilation", "groups")}


def onnx_geometry(params: dict[str, Any]) -> dict[str, Any]:
    """The window as attributes of ONNX's convolutions."""
    return {
        "strides": params["stride"],
        "pads": (*params["padding"], *params["padding"]),
        "dilations": params["dilation"],
        "group": params["groups"],
    }


def _of_group(g: Any, x: Any, n: int, groups: int) -> Any:
    """The channels of group n, with channels and batch exchanged."""
    count = x.shape[1] // groups
    if groups > 1:
        x = g.op("Slice", x, g.sizes((n * count,)), g.sizes(((n + 1) * count,)), g.sizes((1,)))
    return g.op("Transpose", x, perm=(1, 0, 2, 3))


def _known(weight: Any) -> Any:
    """The height and the width of a weight's kernels; None where they vary."""
    kernel = weight.shape[2:]
    return kernel if all(isinstance(k, int) for k in kernel) else None


def conv_output(op: str, size: Any, kernel: Any, params: dict[str, Any]) -> Pair:
    """The output's height and width."""
    found: list[Extent] = []
    for s, k, stride, pad, dil in zip(
        size, kernel, params["stride"], params["padding"], params["dilation"], strict=True
    ):
        if is_less(k, 1, trusted=True):
            raise ShapeError(f"{op}: the window {shape_text(kernel)} is empty")
        room = s + 2 * pad - dil * (k - 1)
        if is_less(room, 1):
            raise ShapeError(
                f"{op}: the window {shape_text(kernel)} with dilation {params['dilation']} "
                f"is larger than the image {shape_text(size)} with padding {params['padding']}"
            )
        found.append((room - 1) // stride + 1)
    return found[0], found[1]


def padded(x: Any, padding: Any, value: Any = 0, more: Pair = (0, 0)) -> Any:
    """Images (N, C, H, W) surrounded by `value`, with `more` rows and columns after the end."""
    (ph, pw), (mh, mw) = padding, more
    if not (ph or pw or mh or mw):
        return x
    widths = ((0, 0), (0, 0), (ph, ph + mh), (pw, pw + mw))
    return np.pad(x, widths, constant_values=value)


def windows(x: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """All windows as a view: (N, C, OH, OW, KH, KW)."""
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view = sliding_window_view(x, reach, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _patches(x: Any, kernel: Any, out: Any, params: dict[str, Any]) -> Any:
    """The windows as matrices: (groups, N * OH * OW, C / groups * KH * KW)."""
    n, c = x.shape[:2]
    groups = params["groups"]
    view = windows(padded(x, params["padding"]), kernel, params["stride"], params["dilation"])
    view = view[:, :, : out[0], : out[1]]
    split = view.reshape(n, groups, c // groups, *view.shape[2:])
    rows = split.transpose(1, 0, 3, 4, 2, 5, 6)
    return rows.reshape(groups, n * out[0] * out[1], c // groups * kernel[0] * kernel[1])


def _rows(g: Any, groups: int) -> Any:
    """An output (N, O, OH, OW) as matrices (groups, N * OH * OW, O / groups)."""
    n, o, h, w = g.shape
    split = g.reshape(n, groups, o // groups, h, w).transpose(1, 0, 3, 4, 2)
    return split.reshape(groups, n * h * w, o // groups)


def wide(x: Any) -> Any:
    """16-bit floats are computed in float32."""
    return x.astype(compute_dtype(from_numpy(x.dtype)).numpy, copy=False)


class _Conv(Convolution):
    """A convolution or one of its gradients."""

    abstract = True
    tolerance = {"float32": 5e-5}


_CONVOLUTIONS: tuple[Any, ...] = (
    (2, 3, 5, 6, 4, 3, 3, {"padding": 1}),
    (1, 2, 7, 6, 3, 3, 2, {"stride": (2, 1), "padding": (0, 1)}),
    (2, 4, 6, 6, 6, 2, 3, {"groups": 2, "dilation": (2, 1)}),
    (1, 3, 4, 4, 3, 1, 1, {"groups": 3, "stride": 2}),
    (0, 2, 4, 4, 3, 3, 3, {}),
)


class Conv2d(_Conv):
    """Cross-correlation of images x (N, C, H, W) with kernels w (O, C / groups, KH, KW).

    y[n, o, i, j] = sum over c, p, q of w[o, c, p, q] * x[n, c', i * s + p * d - pad, ...], as
    `torch.nn.functional.conv2d` without bias. `padding` may be "valid" or (stride 1) "same".
    """

    samples = (
        *(
            Sample(T((n, c, h, w)), T((o, c // kw.get("groups", 1), kh, kwd)), **kw)
            for n, c, h, w, o, kh, kwd, kw in _CONVOLUTIONS
        ),
        Sample(T((1, 2, 5, 5)), T((2, 2, 2, 2)), padding="same"),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "conv2d: f32(1, 3, 8, 8) and f32(4, 2, 3, 3): the weight takes 2 channels",
            T((1, 3, 8, 8), dtype="float32"),
            T((4, 2, 3, 3), dtype="float32"),
        ),
        ErrorSample(RuntimeError, "is larger than the image", T((1, 1, 2, 2)), T((1, 1, 3, 3))),
        ErrorSample(RuntimeError, "stride must be", T((1, 1, 4, 4)), T((1, 1, 3, 3)), stride=0),
    )

    roles = ("image", "weight", "result")

    def apply(
        self,
        x: Any,
        w: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        x, w = lifted(x), lifted(w)
        if x.dtype.is_complex and w.dtype is x.dtype:
            return _by_parts(self, x, w, stride, padding, dilation, groups)
        if len(x.shape) == 3:
            y = self(ops.reshape(x, (1, *x.shape)), w, stride, padding, dilation, groups)
            return ops.reshape(y, y.shape[1:])
        if isinstance(padding, str):
            x, padding = _named_padding(x, w, padding, pair(stride, "stride"), dilation)
        return super().apply(x, w, stride, padding, dilation, groups)

    def prepare(self, x: Any, w: Any, *window: Any, **named: Any) -> Prepared:
        _check_dtypes(self.name, x, w)
        return (x, w), _conv_params(self.name, *window, **named)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        x, w = inputs
        if len(x.shape) != 4 or len(w.shape) != 4:
            raise ShapeError(f"conv2d: {describe(x, w)}: both must have 4 dimensions")
        groups, takes = params["groups"], w.shape[1] * params["groups"]
        if not same(takes, x.shape[1]) and takes != x.shape[1]:
            raise ShapeError(
                f"conv2d: {describe(x, w)}: the weight takes {takes} channels "
                f"(groups={groups}), the image has {x.shape[1]}"
            )
        if w.shape[0] % groups:
            raise ShapeError(f"conv2d: {w.shape[0]} output channels in groups={groups}")
        out = conv_output(self.name, x.shape[2:], w.shape[2:], params)
        return (TensorType(x.dtype, (x.shape[0], w.shape[0], *out)),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        x, w = arrays
        groups, o = params["groups"], w.shape[0]
        out = conv_output(self.name, x.shape[2:], w.shape[2:], params)
        rows = _patches(wide(x), w.shape[2:], out, params)
        kernels = wide(w).reshape(groups, o // groups, -1).transpose(0, 2, 1)
        y = np.matmul(rows, kernels).reshape(groups, x.shape[0], *out, o // groups)
        y = y.transpose(1, 0, 4, 2, 3).reshape(x.shape[0], o, *out)
        return y.astype(x.dtype, copy=False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("Conv", *inputs, **onnx_geometry(params), kernel_shape=_known(inputs[1]))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return self.adjoint_for((True, True), grads, inputs, outputs, params)

    def adjoint_for(
        self, wants: Any, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]
    ) -> Any:
        (g,), (x, w), p = grads, inputs, _geometry(params)
        return [
            ops.conv2d_input_grad(g, w, size=x.shape[2:], **p) if wants[0] else None,
            ops.conv2d_weight_grad(g, x, kernel=w.shape[2:], **p) if wants[1] else None,
        ]

    def saves_for(self, wants: Any, params: dict[str, Any]) -> Any:
        return [i for i in (0, 1) if wants[1 - i]], ()


def _by_parts(op: Any, x: Any, w: Any, *window: Any, **named: Any) -> Any:
    """The product of complex operands by four of their real and imaginary parts."""
    (a, b), (c, d) = ((ops.real(v), ops.imag(v)) for v in (x, w))
    real = ops.sub(op(a, c, *window, **named), op(b, d, *window, **named))
    return ops.complex(real, ops.add(op(a, d, *window, **named), op(b, c, *window, **named)))


def _check_dtypes(op: str, x: TensorType, w: TensorType) -> None:
    if x.dtype is not w.dtype or not x.dtype.is_floating_point:
        raise DTypeError(f"{op}: {describe(x, w)}: both must have one floating-point dtype")


def _named_padding(x: Any, w: Any, padding: str, stride: Pair, dilation: Any) -> tuple[Any, Pair]:
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        raise ArgumentError(f"conv2d: padding must be 'valid', 'same' or ints, got {padding!r}")
    if stride != (1, 1):
        raise ArgumentError(f"conv2d: padding 'same' needs stride 1, got {stride}")
    total = [d * (k - 1) for k, d in zip(w.shape[2:], pair(dilation, "dilation"), strict=True)]
    if any(t % 2 for t in total):
        x = ops.pad(x, ((0, 0), (0, 0), (0, total[0] % 2), (0, total[1] % 2)), 0)
    return x, (total[0] // 2, total[1] // 2)


def _out_size(n: Any, params: dict[str, Any], k: Any) -> tuple[int, int]:
    h, w = conv_output("conv2d", n, k, params)
    return h, w


def _gradient_samples(kind: str) -> tuple[Sample, ...]:
    samples = []
    for n, c, h, w, o, kh, kw, extra in _CONVOLUTIONS:
        params = _conv_params("conv2d", **extra)
        oh, ow = _out_size((h, w), params, (kh, kw))
        g = T((n, o, oh, ow))
        if kind == "size":
            samples.append(Sample(g, T((o, c // params["groups"], kh, kw)), size=(h, w), **params))
        else:
            samples.append(Sample(g, T((n, c, h, w)), kernel=(kh, kw), **params))
    return tuple(samples)


class Conv2dInputGrad(_Conv):
    """The adjoint of `conv2d` for its image of height and width `size`, from g and the kernels.

    As `torch.nn.functional.conv_transpose2d` of g.
    """

    samples = _gradient_samples("size")
    error_samples = (
        ErrorSample(
            RuntimeError,
            "conv2d_input_grad: f32(1, 1, 3, 3) doesn't fit",
            T((1, 1, 3, 3), dtype="float32"),
            T((1, 1, 3, 3), dtype="float32"),
            size=(4, 4),
        ),
    )

    roles = ("result", "weight", "image")

    def apply(self, g: Any, w: Any, *window: Any, **named: Any) -> Any:
        g, w = lifted(g), lifted(w)
        if g.dtype.is_complex and w.dtype is g.dtype:
            return _by_parts(self, g, w, *window, **named)
        return super().apply(g, w, *window, **named)

    def prepare(self, g: Any, w: Any, size: Any, *window: Any, **named: Any) -> Prepared:
        params = _conv_params(self.name, *window, **named)
        if any(is_less(s, 1, trusted=True) for s in size):
            raise ShapeError(f"{self.name}: the image would have the size {shape_text(size)}")
        g, w = lifted(g), lifted(w)
        _check_dtypes(self.name, g, w)
        return (g, w), {"size": tuple(size), **params}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        g, w = inputs
        _check_gradient(self.name, g, params["size"], w.shape[2:], params)
        channels = w.shape[1] * params["groups"]
        return (TensorType(g.dtype, (g.shape[0], channels, *params["size"])),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        g, w = arrays
        groups, size, kernel = params["groups"], params["size"], w.shape[2:]
        o, c = w.shape[:2]
        n, _, oh, ow = g.shape
        kernels = wide(w).reshape(groups, o // groups, -1)
        taps = np.matmul(_rows(wide(g), groups), kernels)
        taps = taps.reshape(groups, n, oh, ow, c, *kernel).transpose(1, 0, 4, 5, 6, 2, 3)
        taps = taps.reshape(n, groups * c, *kernel, oh, ow)
        return folded(taps, size, params).astype(g.dtype, copy=False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (grad, w), size = inputs, params["size"]
        room = [
            n - ((o - 1) * s - 2 * p + d * (k - 1) + 1)
            for n, o, s, p, d, k in zip(
                size,
                grad.shape[2:],
                params["stride"],
                params["padding"],
                params["dilation"],
                w.shape[2:],
                strict=True,
            )
        ]
        if not all(isinstance(r, int) for r in room):
            raise UntranslatableError(
                "how far its result reaches beyond the last window depends on the sizes; fix them"
            )
        return g.op("ConvTranspose", grad, w, **onnx_geometry(params), output_padding=room)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (ct,), (g, w), p = grads, inputs, _geometry(params)
        return [
            ops.conv2d(ct, w, **p),
            ops.conv2d_weight_grad(g, ct, kernel=w.shape[2:], **p),
        ]


def _check_gradient(op: str, g: TensorType, size: Any, kernel: Any, params: Any) -> None:
    out = conv_output(op, size, kernel, params)
    if len(g.shape) != 4 or not all(map(same, g.shape[2:], out)):
        raise ShapeError(
            f"{op}: {describe(g)} doesn't fit an image {shape_text(size)} and a window "
            f"{shape_text(kernel)}, which give {shape_text(out)}"
        )


def folded(taps: Any, size: Any, params: dict[str, Any]) -> Any:
    """Sum of windows: (N, C, KH, KW, OH, OW) added at their places in an image of `size`."""
    n, c, kh, kw, oh, ow = taps.shape
    (sh, sw), (ph, pw), (dh, dw) = params["stride"], params["padding"], params["dilation"]
    height = max(size[0] + 2 * ph, (oh - 1) * sh + (kh - 1) * dh + 1)
    width = max(size[1] + 2 * pw, (ow - 1) * sw + (kw - 1) * dw + 1)
    image = np.zeros((n, c, height, width), taps.dtype)
    for p in range(kh):
        for q in range(kw):
            top, left = p * dh, q * dw
            rows = slice(top, top + sh * (oh - 1) + 1, sh)
            image[:, :, rows, left : left + sw * (ow - 1) + 1 : sw] += taps[:, :, p, q]
    return image[:, :, ph : ph + size[0], pw : pw + size[1]]


class Conv2dWeightGrad(_Conv):
    """The adjoint of `conv2d` for kernels of height and width `kernel`, from g and the image."""

    samples = _gradient_samples("kernel")
    error_samples = (
        ErrorSample(
            RuntimeError,
            "f32(1, 1, 3, 3) doesn't fit",
            T((1, 1, 3, 3), dtype="float32"),
            T((1, 1, 4, 4), dtype="float32"),
            kernel=(3, 3),
        ),
    )

    roles = ("result", "image", "weight")

    def prepare(self, g: Any, x: Any, kernel: Any, *window: Any, **named: Any) -> Prepared:
        params = _conv_params(self.name, *window, **named)
        g, x = lifted(g), lifted(x)
        _check_dtypes(self.name, g, x)
        return (g, x), {"kernel": tuple(kernel), **params}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        g, x = inputs
        _check_gradient(self.name, g, x.shape[2:], params["kernel"], params)
        channels = x.shape[1] // params["groups"]
        return (TensorType(g.dtype, (g.shape[1], channels, *params["kernel"])),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        g, x = arrays
        groups, kernel = params["groups"], params["kernel"]
        rows = _patches(wide(x), kernel, g.shape[2:], params)
        gw = np.matmul(_rows(wide(g), groups).transpose(0, 2, 1), rows)
        shape = (g.shape[1], x.shape[1] // groups, *kernel)
        return gw.reshape(shape).astype(g.dtype, copy=False)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        (grad, x), groups = inputs, params["groups"]
        geometry = {**onnx_geometry(params), "group": 1}
        geometry["strides"], geometry["dilations"] = geometry["dilations"], geometry["strides"]
        parts = [[_of_group(g, v, n, groups) for v in (x, grad)] for n in range(groups)]
        found = [g.op("Conv", image, weight, **geometry) for image, weight in parts]
        y = found[0] if groups == 1 else g.op("Concat", *found, axis=1)
        y = g.op("Slice", y, g.sizes((0, 0)), g.sizes(params["kernel"]), g.sizes((2, 3)))
        return g.op("Transpose", y, perm=(1, 0, 2, 3))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (ct,), (g, x), p = grads, inputs, _geometry(params)
        return [
            ops.conv2d(x, ct, **p),
            ops.conv2d_input_grad(g, ct, size=x.shape[2:], **p),
        ]
