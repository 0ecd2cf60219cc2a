"""Windows over images (N, C, H, W): convolution and pooling, and their gradients as ops.

The three convolutions are one trilinear form with a different operand taken out, so each is an
adjoint of the others. `geometry` helpers give the sizes; NumPy execution works on strided views of
all windows at once, or on one tap of the window at a time, never on one pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from argand.base.dim import Size, same
from argand.base.dtype import compute_dtype, from_numpy, int64
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import shape_text
from argand.ir.elementwise import lifted
from argand.ir.families import Window
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.gather import add_at

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


def _conv_params(op: str, stride: Any, padding: Any, dilation: Any, groups: int) -> dict[str, Any]:
    params = {
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


def conv_output(op: str, size: Any, kernel: Any, params: dict[str, Any]) -> Pair:
    """The output's height and width."""
    found: list[Size] = []
    for s, k, stride, pad, dil in zip(
        size, kernel, params["stride"], params["padding"], params["dilation"], strict=True
    ):
        room = s + 2 * pad - dil * (k - 1)
        if isinstance(room, int) and room < 1:
            raise ShapeError(
                f"{op}: the window {shape_text(kernel)} with dilation {params['dilation']} is larger "
                f"than the image {shape_text(size)} with padding {params['padding']}"
            )
        found.append((room - 1) // stride + 1)
    return found[0], found[1]


def _padded(x: Any, padding: Any, value: Any = 0, more: Pair = (0, 0)) -> Any:
    (ph, pw), (mh, mw) = padding, more
    if not (ph or pw or mh or mw):
        return x
    widths = ((0, 0), (0, 0), (ph, ph + mh), (pw, pw + mw))
    return np.pad(x, widths, constant_values=value)


def _windows(x: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """All windows as a view: (N, C, OH, OW, KH, KW)."""
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view = sliding_window_view(x, reach, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def _patches(x: Any, kernel: Any, out: Any, params: dict[str, Any]) -> Any:
    """The windows as matrices: (groups, N * OH * OW, C / groups * KH * KW)."""
    n, c = x.shape[:2]
    groups = params["groups"]
    view = _windows(_padded(x, params["padding"]), kernel, params["stride"], params["dilation"])
    view = view[:, :, : out[0], : out[1]]
    split = view.reshape(n, groups, c // groups, *view.shape[2:])
    rows = split.transpose(1, 0, 3, 4, 2, 5, 6)
    return rows.reshape(groups, n * out[0] * out[1], c // groups * kernel[0] * kernel[1])


def _rows(g: Any, groups: int) -> Any:
    """An output (N, O, OH, OW) as matrices (groups, N * OH * OW, O / groups)."""
    n, o, h, w = g.shape
    split = g.reshape(n, groups, o // groups, h, w).transpose(1, 0, 3, 4, 2)
    return split.reshape(groups, n * h * w, o // groups)


def _wide(x: Any) -> Any:
    """16-bit floats are computed in float32."""
    return x.astype(compute_dtype(from_numpy(x.dtype)).numpy, copy=False)


class _Conv(Window):
    """A convolution or one of its gradients."""

    abstract = True
    tolerance = {"float32": 5e-5}


_CONVOLUTIONS = (
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

    samples = tuple(
        Sample(T((n, c, h, w)), T((o, c // kw.get("groups", 1), kh, kwd)), **kw)
        for n, c, h, w, o, kh, kwd, kw in _CONVOLUTIONS
    ) + (Sample(T((1, 2, 5, 5)), T((2, 2, 2, 2)), padding="same"),)
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

    def __call__(
        self,
        x: Any,
        w: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        x, w = lifted(x), lifted(w)
        if len(x.shape) == 3:
            y = self(ops.reshape(x, (1, *x.shape)), w, stride, padding, dilation, groups)
            return ops.reshape(y, y.shape[1:])
        if isinstance(padding, str):
            x, padding = _named_padding(x, w, padding, pair(stride, "stride"), dilation)
        return super().__call__(x, w, stride, padding, dilation, groups)

    def prepare(
        self, x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int
    ) -> Prepared:
        return (x, w), _conv_params(self.name, stride, padding, dilation, groups)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        x, w = inputs
        if len(x.shape) != 4 or len(w.shape) != 4:
            raise ShapeError(f"conv2d: {describe(x, w)}: both must have 4 dimensions")
        if x.dtype is not w.dtype or not x.dtype.is_floating_point:
            raise DTypeError(f"conv2d: {describe(x, w)}: both must have one floating-point dtype")
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
        rows = _patches(_wide(x), w.shape[2:], out, params)
        kernels = _wide(w).reshape(groups, o // groups, -1).transpose(0, 2, 1)
        y = np.matmul(rows, kernels).reshape(groups, x.shape[0], *out, o // groups)
        y = y.transpose(1, 0, 4, 2, 3).reshape(x.shape[0], o, *out)
        return y.astype(x.dtype, copy=False)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), (x, w), p = grads, inputs, _geometry(params)
        return [
            ops.conv2d_input_grad(g, w, size=x.shape[2:], **p),
            ops.conv2d_weight_grad(g, x, kernel=w.shape[2:], **p),
        ]


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
        params = _conv_params("conv2d", *_defaults(extra))
        oh, ow = _out_size((h, w), params, (kh, kw))
        g = T((n, o, oh, ow))
        if kind == "size":
            samples.append(Sample(g, T((o, c // params["groups"], kh, kw)), size=(h, w), **params))
        else:
            samples.append(Sample(g, T((n, c, h, w)), kernel=(kh, kw), **params))
    return tuple(samples)


def _defaults(extra: Any) -> tuple[Any, Any, Any, int]:
    return (
        extra.get("stride", 1),
        extra.get("padding", 0),
        extra.get("dilation", 1),
        extra.get("groups", 1),
    )


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

    def prepare(
        self,
        g: Any,
        w: Any,
        size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Prepared:
        params = _conv_params(self.name, stride, padding, dilation, groups)
        return (lifted(g), lifted(w)), {"size": tuple(size), **params}

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
        kernels = _wide(w).reshape(groups, o // groups, -1)
        taps = np.matmul(_rows(_wide(g), groups), kernels)
        taps = taps.reshape(groups, n, oh, ow, c, *kernel).transpose(1, 0, 4, 5, 6, 2, 3)
        taps = taps.reshape(n, groups * c, *kernel, oh, ow)
        return _folded(taps, size, params).astype(g.dtype, copy=False)

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


def _folded(taps: Any, size: Any, params: dict[str, Any]) -> Any:
    """Sum of windows: (N, C, KH, KW, OH, OW) added where they lie in an image of `size`."""
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
    """The adjoint of `conv2d` for its kernels of height and width `kernel`, from g and the image."""

    samples = _gradient_samples("kernel")
    error_samples = (
        ErrorSample(
            RuntimeError,
            "conv2d_weight_grad: f32(1, 1, 3, 3) doesn't fit",
            T((1, 1, 3, 3), dtype="float32"),
            T((1, 1, 4, 4), dtype="float32"),
            kernel=(3, 3),
        ),
    )

    def prepare(
        self,
        g: Any,
        x: Any,
        kernel: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Prepared:
        params = _conv_params(self.name, stride, padding, dilation, groups)
        return (lifted(g), lifted(x)), {"kernel": tuple(kernel), **params}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        g, x = inputs
        _check_gradient(self.name, g, x.shape[2:], params["kernel"], params)
        channels = x.shape[1] // params["groups"]
        return (TensorType(g.dtype, (g.shape[1], channels, *params["kernel"])),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        g, x = arrays
        groups, kernel = params["groups"], params["kernel"]
        rows = _patches(_wide(x), kernel, g.shape[2:], params)
        gw = np.matmul(_rows(_wide(g), groups).transpose(0, 2, 1), rows)
        shape = (g.shape[1], x.shape[1] // groups, *kernel)
        return gw.reshape(shape).astype(g.dtype, copy=False)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (ct,), (g, x), p = grads, inputs, _geometry(params)
        return [
            ops.conv2d(x, ct, **p),
            ops.conv2d_input_grad(g, ct, size=x.shape[2:], **p),
        ]


# -- pooling -------------------------------------------------------------------------------------


def _pool_params(
    op: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> dict[str, Any]:
    kernel = pair(kernel_size, f"{op}: kernel_size")
    params = {
        "kernel_size": kernel,
        "stride": kernel if stride is None else pair(stride, f"{op}: stride"),
        "padding": pair(padding, f"{op}: padding"),
        "dilation": pair(dilation, f"{op}: dilation"),
        "ceil_mode": bool(ceil_mode),
    }
    for k, s, p, d in zip(
        kernel, *(params[n] for n in ("stride", "padding", "dilation")), strict=True
    ):
        if k < 1 or s < 1 or d < 1:
            raise ArgumentError(f"{op}: kernel_size, stride and dilation must be at least 1")
        if p < 0 or 2 * p > d * (k - 1) + 1:
            raise ArgumentError(
                f"{op}: padding {p} must be at most half of the kernel size {k} (dilation {d})"
            )
    return params


def pool_output(op: str, size: Any, params: dict[str, Any]) -> Pair:
    """The output's height and width."""
    found: list[Size] = []
    names = ("kernel_size", "stride", "padding", "dilation")
    for s, k, stride, pad, dil in zip(size, *(params.get(n, (1, 1)) for n in names), strict=True):
        room = s + 2 * pad - dil * (k - 1) - 1
        if isinstance(room, int) and room < 0:
            raise ShapeError(
                f"{op}: the window {params['kernel_size']} is larger than the image "
                f"{shape_text(size)} with padding {params['padding']}"
            )
        if params["ceil_mode"]:
            count = (room + stride - 1) // stride + 1
            count = count - 1 if (count - 1) * stride >= s + pad else count
        else:
            count = room // stride + 1
        found.append(count)
    return found[0], found[1]


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


class _Pool(Window):
    """An op on windows of single channels."""

    abstract = True


def _check_image(op: str, x: TensorType) -> None:
    if len(x.shape) != 4:
        raise ShapeError(f"{op}: expected an image (N, C, H, W) or (C, H, W), got {describe(x)}")


class MaxPool2d(_Pool):
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
    )

    def __call__(
        self,
        x: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        return _batched(super().__call__, x, kernel_size, stride, padding, dilation, ceil_mode)

    def prepare(self, x: Any, *args: Any) -> Prepared:
        return (x,), _pool_params(self.name, *args)

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
        image = _padded(x, (ph, pw), least, more)
        view = _windows(image, (kh, kw), (sh, sw), (dh, dw))[:, :, :oh, :ow]
        flat = view.reshape(*view.shape[:4], kh * kw)
        inside = _windows(
            _padded(np.ones((1, 1, *x.shape[2:]), bool), (ph, pw), False, more),
            (kh, kw),
            (sh, sw),
            (dh, dw),
        )[:, :, :oh, :ow].reshape(1, 1, oh, ow, kh * kw)
        tap = _argmax_inside(flat, inside)
        y = np.take_along_axis(flat, tap[..., None], -1)[..., 0]
        row = np.arange(oh)[:, None] * sh - ph + tap // kw * dh
        column = np.arange(ow) * sw - pw + tap % kw * dw
        return y, row * x.shape[3] + column

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


class MaxPool2dGrad(_Pool):
    """The adjoint of `max_pool2d`: g added at the positions of the largest elements.

    `index` is the hidden output of `max_pool2d`; the window's parameters are the same.
    """

    samples = (
        Sample(T((2, 1, 2, 3)), T((2, 1, 2, 3), 0, 23, "int64"), size=(4, 6), kernel_size=2),
        Sample(T((0, 1, 2, 2)), T((0, 1, 2, 2), 0, 15, "int64"), size=(4, 4), kernel_size=2),
    )

    def prepare(
        self,
        g: Any,
        index: Any,
        size: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Prepared:
        params = _pool_params(self.name, kernel_size, stride, padding, dilation, ceil_mode)
        return (lifted(g), lifted(index)), {"size": tuple(size), **params}

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

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (ct,), (g, index) = grads, inputs
        n, c, h, w = g.shape
        height, width = params["size"]
        plane = ops.reshape(ct, (n, c, height * width))
        picked = ops.gather(plane, 2, ops.reshape(index, (n, c, h * w)))
        return [ops.reshape(picked, g.shape), None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (1,), ()


class AvgPool2d(_Pool):
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
    )

    def __call__(
        self,
        x: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Any:
        call = super().__call__
        return _batched(call, x, kernel_size, stride, padding, ceil_mode, count_include_pad)

    def prepare(self, x: Any, *args: Any) -> Prepared:
        return (x,), _average_params(self.name, *args)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (x,) = inputs
        _check_image(self.name, x)
        shape = (*x.shape[:2], *pool_output(self.name, x.shape[2:], params))
        return (TensorType(x.dtype, shape),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        x = _wide(arrays[0])
        size, out = x.shape[2:], pool_output(self.name, x.shape[2:], params)
        image = _padded(x, params["padding"], 0, _excess(size, out, params))
        view = _windows(image, params["kernel_size"], params["stride"], (1, 1))
        total = view[:, :, : out[0], : out[1]].sum(axis=(4, 5))
        return (total / _counts(size, out, params)).astype(arrays[0].dtype, copy=False)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [ops.avg_pool2d_grad(grads[0], size=inputs[0].shape[2:], **params)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


def _average_params(
    op: str, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool
) -> dict[str, Any]:
    params = _pool_params(op, kernel_size, stride, padding, 1, ceil_mode)
    del params["dilation"]
    return {**params, "count_include_pad": bool(count_include_pad)}


def _counts(size: Any, out: Any, params: dict[str, Any]) -> np.ndarray:
    """By how much each window's sum is divided: (OH, OW)."""
    counts = []
    for s, o, k, stride, pad in zip(
        size, out, params["kernel_size"], params["stride"], params["padding"], strict=True
    ):
        start = np.arange(o) * stride - pad
        stop = np.minimum(start + k, s + pad)
        if not params["count_include_pad"]:
            start, stop = np.maximum(start, 0), np.minimum(stop, s)
        counts.append(stop - start)
    return counts[0][:, None] * counts[1]


class AvgPool2dGrad(_Pool):
    """The adjoint of `avg_pool2d` for an image of height and width `size`."""

    samples = (
        Sample(T((2, 1, 3, 3)), size=(6, 7), kernel_size=2),
        Sample(T((1, 2, 4, 3)), (7, 5), 3, 2, 1, count_include_pad=False),
        Sample(T((0, 1, 2, 2)), size=(4, 4), kernel_size=2),
    )

    def prepare(
        self,
        g: Any,
        size: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Prepared:
        params = _average_params(
            self.name, kernel_size, stride, padding, ceil_mode, count_include_pad
        )
        return (lifted(g),), {"size": tuple(size), **params}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (g,), size = inputs, params["size"]
        out = pool_output(self.name, size, params)
        if len(g.shape) != 4 or not all(map(same, g.shape[2:], out)):
            raise ShapeError(f"{self.name}: {describe(g)} doesn't fit an image {shape_text(size)}")
        return (TensorType(g.dtype, (*g.shape[:2], *size)),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        g = _wide(arrays[0])
        share = g / _counts(params["size"], g.shape[2:], params).astype(g.dtype)
        kernel = params["kernel_size"]
        taps = np.broadcast_to(share[:, :, None, None], (*g.shape[:2], *kernel, *g.shape[2:]))
        image = _folded(taps, params["size"], {**params, "dilation": (1, 1)})
        return image.astype(arrays[0].dtype, copy=False)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        rest = {k: v for k, v in params.items() if k != "size"}
        return [ops.avg_pool2d(grads[0], **rest)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()
