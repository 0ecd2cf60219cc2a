"""References of convolution and pooling, one multiplication or comparison at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

Place = tuple[int, ...]


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _taps(
    size: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any
) -> Iterator[tuple[Place, Place, Place]]:
    """Every output place, the taps of its window, and where in the image of `size` each reads."""
    for i, j, p, q in np.ndindex(*out, *kernel):
        y = i * stride[0] - padding[0] + p * dilation[0]
        x = j * stride[1] - padding[1] + q * dilation[1]
        if 0 <= y < size[0] and 0 <= x < size[1]:
            yield (i, j), (p, q), (y, x)


def _convolution(
    images: Any, outputs: Any, kernels: Any, dilation: Any, groups: int, params: Any
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]]:
    """The places in output, image and kernels of every product of a convolution."""
    n, o, *out = outputs
    taps = list(_taps(images[2:], out, kernels[2:], *map(_pair, params), _pair(dilation)))
    for b, k, c in np.ndindex(n, o, kernels[1]):
        channel = k // (o // groups) * kernels[1] + c
        for place, tap, source in taps:
            yield (b, k, *place), (b, channel, *source), (k, c, *tap)


def conv2d_input_grad(
    g: Any, w: Any, size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Each product of `conv2d` sends its output's cotangent, times the kernel, to the image."""
    dx = np.zeros((g.shape[0], w.shape[1] * groups, *size), np.result_type(g, w))
    walk = _convolution(dx.shape, g.shape, w.shape, dilation, groups, (stride, padding))
    for output, image, kernel in walk:
        dx[image] += g[output] * w[kernel]
    return dx


def conv2d_weight_grad(
    g: Any,
    x: Any,
    kernel: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Each product of `conv2d` sends its output's cotangent, times the image, to the kernel."""
    dw = np.zeros((g.shape[1], x.shape[1] // groups, *kernel))
    walk = _convolution(x.shape, g.shape, dw.shape, dilation, groups, (stride, padding))
    for output, image, place in walk:
        dw[place] += g[output] * x[image]
    return dw


def _pooled(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> int:
    """How many windows fit; with `ceil` the last may reach over the end but not start there."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil:
        return room // stride + 1
    count = math.ceil(room / stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def _windows(
    size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
) -> tuple[tuple[int, int], dict[Place, list[Place]]]:
    """The output's size, and the places of the image in each window."""
    kernel, padding, dilation = _pair(kernel), _pair(padding), _pair(dilation)
    stride = kernel if stride is None else _pair(stride)
    h, w = (
        _pooled(*sizes, ceil) for sizes in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    windows: dict[Place, list[Place]] = {place: [] for place in np.ndindex(h, w)}
    for place, _, source in _taps(size, (h, w), kernel, stride, padding, dilation):
        windows[place].append(source)
    return (h, w), windows


def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest of each window, and where in the plane the first of them lies."""
    out, windows = _windows(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y = np.zeros((*x.shape[:2], *out), x.dtype)
    index = np.zeros(y.shape, np.int64)
    for n, c in np.ndindex(*x.shape[:2]):
        for place, sources in windows.items():
            best = max(sources, key=lambda s, plane=x[n, c]: plane[s])
            y[(n, c, *place)] = x[(n, c, *best)]
            index[(n, c, *place)] = best[0] * x.shape[3] + best[1]
    return y, index


def max_pool2d_grad(g: Any, index: Any, size: Any, *_: Any, **__: Any) -> Any:
    """Each cotangent goes to the place that `index` names."""
    dx = np.zeros((*g.shape[:2], size[0] * size[1]), g.dtype)
    for place in np.ndindex(g.shape):
        dx[(*place[:2], index[place])] += g[place]
    return dx.reshape(*g.shape[:2], *size)


def _shares(
    size: Any, kernel: Any, stride: Any, padding: Any, ceil: bool, include: bool
) -> tuple[tuple[int, int], dict[Place, tuple[list[Place], int]]]:
    """The places of each window, and by how much its sum is divided: the window's size, or that of
    its part in the padded image, or (`include` False) in the image itself."""
    out, windows = _windows(size, kernel, stride, padding, 1, ceil)
    k, p = _pair(kernel), _pair(padding)
    s = k if stride is None else _pair(stride)
    shares = {}
    for (i, j), places in windows.items():
        rows = min(i * s[0] + k[0], size[0] + 2 * p[0]) - i * s[0]
        columns = min(j * s[1] + k[1], size[1] + 2 * p[1]) - j * s[1]
        shares[i, j] = (places, rows * columns if include else len(places))
    return out, shares


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window; of integers rounded towards 0."""
    args = (kernel_size, stride, padding, ceil_mode, count_include_pad)
    out, shares = _shares(x.shape[2:], *args)
    y = np.zeros((*x.shape[:2], *out), x.dtype)
    for n, c in np.ndindex(*x.shape[:2]):
        for place, (sources, count) in shares.items():
            total = sum(x[(n, c, *s)].item() for s in sources)
            y[(n, c, *place)] = total / count
    return y


def avg_pool2d_grad(
    g: Any,
    size: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Each cotangent is shared among the places of its window."""
    _, shares = _shares(size, kernel_size, stride, padding, ceil_mode, count_include_pad)
    dx = np.zeros((*g.shape[:2], *size), g.dtype)
    for n, c in np.ndindex(*g.shape[:2]):
        for place, (sources, count) in shares.items():
            for source in sources:
                dx[(n, c, *source)] += g[(n, c, *place)] / count
    return dx


# -- Winograd --------------------------------------------------------------------------------------

_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])


def winograd_weight(w: Any) -> Any:
    """G w G^T of each kernel."""
    u = np.einsum("ip,ocpq,jq->ijco", _G, w, _G)
    return u.reshape(16, w.shape[1], w.shape[0])


def winograd_pixels(x: Any, u: Any, padding: Any = 0) -> Any:
    """A^T (u * (B^T d B)) A of one tile after the other."""
    (ph, pw), (n, _, h, w) = _pair(padding), x.shape
    ty, tx = -(-(h + 2 * ph - 2) // 2), -(-(w + 2 * pw - 2) // 2)
    image = np.zeros((n, x.shape[1], 2 * ty + 2, 2 * tx + 2), x.dtype)
    image[:, :, ph : ph + h, pw : pw + w] = x
    y = np.zeros((n, 2 * ty, 2 * tx, u.shape[2]), np.result_type(x, u))
    grid = u.reshape(4, 4, *u.shape[1:])
    for b, i, j in np.ndindex(n, ty, tx):
        d = image[b, :, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4]
        m = np.einsum("ip,cpq,jq,ijco->ijo", _B, d, _B, grid)
        y[b, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = np.einsum("ip,pqo,jq->ijo", _A, m, _A)
    return y


def winograd_conv2d(x: Any, w: Any, u: Any, padding: Any = 0) -> Any:
    """The pixels, without those that only complete a tile; of no image here one is a peak."""
    y = winograd_pixels(x, u, padding)
    ph, pw = _pair(padding)
    h, width = x.shape[2] + 2 * ph - 2, x.shape[3] + 2 * pw - 2
    return y[:, :h, :width].transpose(0, 3, 1, 2)


def conv2d_unless(done: Any, y: Any, x: Any, w: Any, padding: Any = 0) -> Any:
    """Products of windows where y isn't to be taken."""
    found = np.array(y)
    walk = _convolution(x.shape, y.shape, w.shape, 1, 1, (1, padding))
    found[~done] = 0
    for output, image, kernel in walk:
        if not done[output[0]]:
            found[output] += x[image] * w[kernel]
    return found
