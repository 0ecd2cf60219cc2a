"""Functions as the one operator that ONNX has for each, while a model is exported.

Each gives its result, or None where the operator isn't the same, and the function goes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dim import is_less
from argand.base.dtype import compute_dtype, float32
from argand.nn.functional.padding import several, sides_of
from argand.ops.kept import keeps, kept

Found = Any | None


def _pads(sides: Any) -> list[int]:
    """The sides of each dimension as ONNX has them: all fronts, then all backs."""
    return [side for ends in zip(*sides, strict=True) for side in ends]


def _plain(*tensors: Any) -> bool:
    """Whether operands are floats of one dtype."""
    there = [x for x in tensors if x is not None]
    return there[0].dtype.kind == "f" and len({x.dtype for x in there}) == 1


def _is_batch(count: int, input: Any, weight: Any, bias: Any) -> bool:
    """Whether operands are those of a convolution of a batch."""
    fits = input.ndim == weight.ndim == count + 2 and (bias is None or bias.ndim == 1)
    return fits and _plain(input, weight, bias)


# -- convolutions ----------------------------------------------------------------------------------


def conv(count: int, input: Any, weight: Any, bias: Any, window: Any) -> Found:
    """`conv1d`, `conv2d` or `conv3d` of a batch, by Conv."""
    if not keeps() or not _is_batch(count, input, weight, bias):
        return None
    stride, padding, dilation, groups = window
    strides, steps = several(stride, count, "stride"), several(dilation, count, "dilation")
    kernel = tuple(map(int, weight.shape[2:]))
    sides = sides_of(padding, kernel, steps)
    if isinstance(padding, str) and max(strides) > 1:
        return None
    parts = zip(input.shape[2:], kernel, strides, steps, sides, strict=True)
    sizes = [(n + lo + hi - d * (k - 1) - 1) // s + 1 for n, k, s, d, (lo, hi) in parts]
    if weight.shape[1] * groups != input.shape[1] or any(is_less(s, 1) for s in sizes):
        return None  # the function says what is wrong
    attrs = {"strides": strides, "pads": tuple(_pads(sides)), "dilations": steps, "group": groups}
    shape = (input.shape[0], weight.shape[0], *sizes)
    return kept(f"conv{count}d", _conv, (input, weight, bias), [shape], **attrs)[0]


def _conv(g: Any, x: Any, weight: Any, bias: Any, **attrs: Any) -> Any:
    return g.op("Conv", x, weight, bias, kernel_shape=tuple(weight.shape[2:]), **attrs)


def conv_transpose(count: int, input: Any, weight: Any, bias: Any, window: Any) -> Found:
    """`conv_transpose1d`, `2d` or `3d` of a batch, by ConvTranspose."""
    if not keeps() or not _is_batch(count, input, weight, bias):
        return None
    stride, padding, output_padding, groups, dilation = window
    names = ("stride", "padding", "output_padding", "dilation")
    values = (stride, padding, output_padding, dilation)
    strides, pads, extra, steps = (several(v, count, n) for v, n in zip(values, names, strict=True))
    kernel = tuple(map(int, weight.shape[2:]))
    parts = zip(input.shape[2:], kernel, strides, pads, extra, steps, strict=True)
    sizes = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, e, d in parts]
    if weight.shape[0] != input.shape[1] or any(
        e >= s for e, s in zip(extra, strides, strict=True)
    ):
        return None
    shape = (input.shape[0], weight.shape[1] * groups, *sizes)
    attrs: dict[str, Any] = {
        "strides": strides,
        "pads": (*pads, *pads),
        "output_padding": extra,
        "dilations": steps,
        "group": groups,
    }
    operands = (input, weight, bias)
    return kept(f"conv_transpose{count}d", _conv_transpose, operands, [shape], **attrs)[0]


def _conv_transpose(g: Any, x: Any, weight: Any, bias: Any, **attrs: Any) -> Any:
    return g.op("ConvTranspose", x, weight, bias, **attrs)


# -- normalisation ---------------------------------------------------------------------------------


def batch_norm(x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Found:
    """Batch normalisation by running statistics, by BatchNormalization."""
    if not keeps() or x.ndim < 2 or not isinstance(x.shape[1], int) or x.dtype.kind != "f":
        return None
    operands = (x, mean, var, weight, bias)
    return kept("batch_norm", _batch_norm, operands, [x.shape], eps=float(eps))[0]


def _batch_norm(g: Any, x: Any, mean: Any, var: Any, w: Any, b: Any, eps: float) -> Any:
    w, b = _affine(g, x, w, b, mean.dtype)
    return g.op("BatchNormalization", x, w, b, mean, var, epsilon=eps)


def _affine(g: Any, x: Any, w: Any, b: Any, dtype: Any) -> tuple[Any, Any]:
    """A scale and a shift for each channel, 1 and 0 where there are none."""
    one, zero = (np.full(x.shape[1], v, dtype.numpy) for v in (1, 0))
    return (g.cast(one if w is None else w, dtype), g.cast(zero if b is None else b, dtype))


def group_norm(x: Any, groups: int, weight: Any, bias: Any, eps: float) -> Found:
    """Group normalisation, by GroupNormalization or, before opset 21, InstanceNormalization."""
    if not keeps() or x.ndim < 3 or compute_dtype(x.dtype) is not float32:
        return None
    if not isinstance(x.shape[1], int):
        return None
    operands = (x, weight, bias)
    return kept("group_norm", _group_norm, operands, [x.shape], groups=int(groups), eps=eps)[0]


def _group_norm(g: Any, x: Any, weight: Any, bias: Any, groups: int, eps: float) -> Any:
    channels, shape = x.shape[1], x.shape
    w, b = _affine(g, x, weight, bias, x.dtype)
    if groups == channels:
        return g.op("InstanceNormalization", x, w, b, epsilon=eps)
    if g.opset >= 21:
        return g.op("GroupNormalization", x, w, b, num_groups=groups, epsilon=eps)
    ones, zeros = (np.full(groups, v, x.dtype.numpy) for v in (1, 0))
    inner = channels // groups
    for size in shape[2:]:
        inner = inner * size
    rows = g.reshape(x, (shape[0], groups, inner))
    y = g.op("InstanceNormalization", rows, ones, zeros, epsilon=eps)
    y = g.reshape(y._replace(shape=rows.shape), shape)
    column = (channels, *(1,) * (len(shape) - 2))
    if weight is not None:
        y = g.op("Mul", y, g.reshape(w, column))
    return y if bias is None else g.op("Add", y, g.reshape(b, column))


def rms_norm(x: Any, shape: Any, weight: Any, eps: float) -> Found:
    """Normalisation by the root of the mean square, by RMSNormalization from opset 23 on."""
    if not keeps() or compute_dtype(x.dtype) is not float32:
        return None
    if not all(isinstance(s, int) for s in shape):
        return None
    dims = len(shape)
    return kept("rms_norm", _rms_norm, (x, weight), [x.shape], dims=dims, eps=float(eps))[0]


def _rms_norm(g: Any, x: Any, weight: Any, dims: int, eps: float) -> Any:
    if g.opset >= 23:
        ones = np.ones(x.shape[len(x.shape) - dims :], x.dtype.numpy)
        w = ones if weight is None else g.cast(weight, x.dtype)
        return g.op("RMSNormalization", x, w, axis=-dims, epsilon=eps)
    wide = g.cast(x, compute_dtype(x.dtype))
    axes = tuple(range(len(x.shape) - dims, len(x.shape)))
    mean = g.reduce("ReduceMean", g.op("Mul", wide, wide), axes, True)
    root = g.op("Sqrt", g.op("Add", mean, g.constant(eps, wide.dtype)))
    y = g.cast(g.op("Div", wide, root), x.dtype)
    return y if weight is None else g.op("Mul", y, weight)


# -- images ----------------------------------------------------------------------------------------

_RESIZED: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "nearest_mode": "floor"},
    "nearest-exact": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    "linear": {"mode": "linear"},
    "bilinear": {"mode": "linear"},
    "trilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.75},
}


def resized(x: Any, wanted: Any, factors: Any, mode: str, align_corners: bool) -> Found:
    """`interpolate` to the sizes `wanted`, by Resize; `factors` where they were given."""
    if not keeps() or mode not in _RESIZED or not x.dtype.is_floating_point:
        return None
    shape = (*x.shape[:2], *wanted)
    options = {"factors": None if factors is None else tuple(map(float, factors)), "how": mode}
    return kept("interpolate", _resized, (x,), [shape], **options, aligned=align_corners)[0]


def _resized(g: Any, x: Any, factors: Any, how: str, aligned: bool) -> Any:
    attrs = dict(_RESIZED[how])
    aligned_mode = "align_corners" if aligned else "half_pixel"
    attrs["coordinate_transformation_mode"] = "asymmetric" if how == "nearest" else aligned_mode
    shape = g.result_shape
    lined = how == "linear"  # runtimes mix along two or three dimensions, not along one
    image = g.op("Unsqueeze", x, g.sizes((2,))) if lined else x
    if factors is not None:
        scales = [1.0] * (3 if lined else 2) + list(factors)
        y = g.op("Resize", image, None, np.array(scales, np.float32), None, **attrs)
    else:
        sizes = (*shape[:2], *(1,) * lined, *shape[2:])
        y = g.op("Resize", image, None, None, g.sizes(sizes), **attrs)
    return g.op("Squeeze", y, g.sizes((2,))) if lined else y


def grid_sample(x: Any, grid: Any, mode: str, padding_mode: str, aligned: bool) -> Found:
    """`grid_sample`, by GridSample."""
    if not keeps() or not _plain(x, grid) or x.ndim not in (4, 5):
        return None
    shape = (*x.shape[:2], *grid.shape[1:-1])
    options = {"how": mode, "padding_mode": padding_mode, "align_corners": int(aligned)}
    return kept("grid_sample", _grid_sample, (x, grid), [shape], **options)[0]


def _grid_sample(g: Any, x: Any, grid: Any, how: str, **attrs: Any) -> Any:
    names = {"bilinear": "linear", "bicubic": "cubic"} if g.opset >= 20 else {}
    return g.op("GridSample", x, grid, mode=names.get(how, how), **attrs)


# -- recurrent layers ------------------------------------------------------------------------------

# The gates of PyTorch's weights in ONNX's order, of LSTM i f g o in the order i o f g, and so on.
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


def recurrent(
    kind: str, x: Any, states: tuple[Any, ...], weights: Any, activation: str, reverse: bool
) -> Found:
    """One layer in one direction: (outputs, (states)), by LSTM, GRU or RNN."""
    if not keeps() or not _plain(x, *states, *weights):
        return None
    hidden = weights[1].shape[1]
    shapes = [(*x.shape[:2], hidden), *((x.shape[1], hidden),) * len(states)]
    options = {"kind": kind, "activation": activation.capitalize(), "reverse": reverse}
    cell = states[1] if len(states) > 1 else None
    operands = (x, states[0], cell, *weights)
    found = kept(kind.lower(), _recurrent, operands, shapes, **options)
    return found[0], found[1:]


def _recurrent(
    g: Any,
    x: Any,
    h: Any,
    c: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    kind: str,
    activation: str,
    reverse: bool,
) -> Any:
    hidden, order = w_hh.shape[1], _GATES[kind]
    rows = np.concatenate([np.arange(hidden) + n * hidden for n in order]).astype(np.int64)
    first = g.sizes((0,))

    def arranged(v: Any) -> Any:
        return v if len(order) == 1 else g.op("Gather", v, rows, axis=0)

    w, r = (g.op("Unsqueeze", arranged(v), first) for v in (w_ih, w_hh))
    b = None
    if b_ih is not None:
        b = g.op("Unsqueeze", g.op("Concat", arranged(b_ih), arranged(b_hh), axis=0), first)
    attrs: dict[str, Any] = {"hidden_size": hidden, "direction": "reverse" if reverse else None}
    if kind == "GRU":
        attrs["linear_before_reset"] = 1
    if kind == "RNN":
        attrs["activations"] = [activation]
    states = [g.op("Unsqueeze", s, first) for s in (h, c) if s is not None]
    found = g.op(kind, x, w, r, b, None, *states, outputs=1 + len(states), **attrs)
    y = g.op("Squeeze", found[0], g.sizes((1,)))
    return (y, *(g.op("Squeeze", s, first) for s in found[1:]))


__all__ = [
    "batch_norm",
    "conv",
    "conv_transpose",
    "grid_sample",
    "group_norm",
    "recurrent",
    "resized",
    "rms_norm",
]
