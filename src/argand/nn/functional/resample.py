"""Images at other sizes and places: interpolation, affine grids, sampling at points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional.adaptive import averaged, mixed
from argand.nn.functional.padding import several
from argand.tensor.padding import pad

_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}
_MODES = ("nearest", "nearest-exact", "area", *_LINEAR)


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Images (N, C, H, W), or sequences or volumes, at another `size`, or by `scale_factor` larger.

    A new pixel i stands at (i + 0.5) * old / new - 0.5, or with `align_corners` at
    i * (old - 1) / (new - 1). `mode` is "nearest" (the pixel at floor(i * old / new)),
    "nearest-exact", "linear", "bilinear", "trilinear", "bicubic" (Keys, 1981, with a = -0.75) or
    "area" (the mean of what it covers).

    >>> F.interpolate(ag.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    >>> F.interpolate(ag.tensor([[[1.0, 2.0]]]), scale_factor=2, mode="linear")
    tensor([[[1.0000, 1.2500, 1.7500, 2.0000]]])
    """
    if mode not in _MODES:
        raise ArgumentError(f"interpolate: mode must be one of {', '.join(_MODES)}; got {mode!r}")
    if antialias:
        raise ArgumentError("interpolate: antialias is not supported yet")
    spatial = input.shape[2:]
    if _LINEAR.get(mode, len(spatial)) != len(spatial):
        raise ArgumentError(
            f"interpolate: {describe(input)}: mode {mode!r} is for {_LINEAR[mode]} dimensions "
            f"behind batch and channels, not {len(spatial)}"
        )
    if align_corners is not None and mode not in _LINEAR:
        raise ArgumentError(f"interpolate: align_corners means nothing for mode {mode!r}")
    wanted, scales = _new_sizes(spatial, size, scale_factor, bool(recompute_scale_factor))
    if not (input.dtype.is_inexact or mode.startswith("nearest")):
        return _of_integers(input, size, scale_factor, mode, align_corners, recompute_scale_factor)
    y = input
    for dim, (old, new, scale) in enumerate(zip(spatial, wanted, scales, strict=True), 2):
        if mode.startswith("nearest"):
            y = _nearest(y, dim, old, new, scale, 0.5 if mode == "nearest-exact" else 0.0)
        elif mode == "area":
            y = averaged(y, dim, new)
        else:
            place = _places(old, new, scale, bool(align_corners))
            y = (_cubic if mode == "bicubic" else _linear)(y, dim, place)
    return y


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """`interpolate` by its old name.

    >>> F.upsample(ag.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` with the nearest pixel.

    >>> F.upsample_nearest(ag.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` of images, bilinear and with aligned corners.

    >>> F.upsample_bilinear(ag.tensor([[[[1.0, 2.0]]]]), size=(1, 3)).flatten()
    tensor([1.0000, 1.5000, 2.0000])
    """
    return interpolate(input, size, scale_factor, "bilinear", True)


def _of_integers(input: Any, *args: Any) -> Any:
    """Pixels that are integers: interpolated in float32 and rounded, within the dtype's limits."""
    if input.dtype.kind == "b":
        raise DTypeError("interpolate: not defined for bool; convert with .float()")
    limits = np.iinfo(input.dtype.numpy)
    y = ops.round(interpolate(ops.cast(input, "float32"), *args))
    return ops.cast(ops.clamp(y, limits.min, limits.max), input.dtype)


def _new_sizes(
    old: Sequence[Any], size: Any, scale_factor: Any, recompute: bool
) -> tuple[Sequence[Any], Sequence[float]]:
    """The new sizes, and by how much a step in the new image is longer in the old one."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: give either size or scale_factor")
    count = len(old)
    if size is not None:
        wanted = several(size, count, "size")
        return wanted, [o / n for o, n in zip(old, wanted, strict=True)]
    factors = scale_factor if isinstance(scale_factor, list | tuple) else [scale_factor] * count
    wanted = tuple(math.floor(o * f) for o, f in zip(old, factors, strict=True))
    if recompute:
        return wanted, [o / n for o, n in zip(old, wanted, strict=True)]
    return wanted, [1 / f for f in factors]


def _nearest(x: Any, dim: int, old: Any, new: Any, scale: float, middle: float) -> Any:
    i = ops.cast(ops.arange(0, 1, new, "int64"), "float64")
    place = ops.cast(ops.floor(ops.mul(ops.add(i, middle), scale)), "int64")
    return ops.index(x, ops.clamp(place, max=old - 1), dims=(dim,))


def _places(old: Any, new: Any, scale: float, align_corners: bool) -> Any:
    """Where the new pixels stand among the old ones."""
    i = ops.cast(ops.arange(0, 1, new, "int64"), "float64")
    if align_corners:
        return ops.mul(i, (old - 1) / (new - 1) if new > 1 else 0.0)
    return ops.sub(ops.mul(ops.add(i, 0.5), scale), 0.5)


def _distances(place: Any, first: int, count: Any) -> Any:
    """abs(place - j) for j = first, ..., first + count - 1: one row for each place."""
    j = ops.cast(ops.arange(first, 1, count, "int64"), "float64")
    return ops.abs(ops.sub(ops.reshape(place, (*place.shape, 1)), j))


def _linear(x: Any, dim: int, place: Any) -> Any:
    """Every new pixel is a sum of old ones weighted by max(0, 1 - distance)."""
    old = x.shape[dim]
    distance = _distances(ops.clamp(place, 0, old - 1), 0, old)
    return mixed(x, dim, ops.relu(ops.sub(1, distance)))


def _cubic(x: Any, dim: int, place: Any) -> Any:
    """As `_linear`, with Keys' cubic of the distance; beyond the edge the edge goes on."""
    a = -0.75
    reach = 2  # a place is at most half a pixel outside, and the cubic two pixels wide
    sides = [0, 0] * (x.ndim - 1 - dim) + [reach, reach]
    wide = pad(x, sides, "replicate")
    d = _distances(place, -reach, wide.shape[dim])
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weights = ops.where(ops.le(d, 1), near, ops.where(ops.lt(d, 2), far, 0.0))
    return mixed(wide, dim, weights)


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool = False) -> Any:
    """The points (x, y) at which `grid_sample` looks to transform images: (N, H, W, 2) from
    matrices `theta` (N, 2, 3) and the size (N, C, H, W) of the result.

    The corners of the image are at -1 and 1: the middles of the outer pixels with `align_corners`,
    else their outer edges (Jaderberg et al., 2015).

    >>> identity = ag.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> F.affine_grid(identity, (1, 1, 1, 2))
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    if len(size) != 4 or tuple(theta.shape[1:]) != (2, 3):
        raise ShapeError(
            f"affine_grid: {describe(theta)} and size {tuple(size)}: expected theta (N, 2, 3) and "
            "size (N, C, H, W)"
        )
    n, _, h, w = size
    x = ops.reshape(_ends(w, align_corners, theta.dtype), (1, w))
    y = ops.reshape(_ends(h, align_corners, theta.dtype), (h, 1))
    one = ops.full((h, w), 1.0, theta.dtype)
    points = [ops.reshape(ops.mul(p, one), (h * w, 1)) for p in (x, y, one)]
    grid = ops.matmul(ops.cat(*points, dim=1), ops.permute(theta, (0, 2, 1)))
    return ops.reshape(grid, (n, h, w, 2))


def _ends(count: int, align_corners: bool, dtype: Any) -> Any:
    """`count` pixels' middles between -1 and 1."""
    i = ops.cast(ops.arange(0, 1, count, "int64"), dtype)
    if align_corners:
        return ops.sub(ops.mul(i, 2 / (count - 1)), 1) if count > 1 else ops.mul(i, 0.0)
    return ops.sub(ops.mul(ops.add(i, 0.5), 2 / count), 1)


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """Images (N, C, H, W) looked at in the points `grid` (N, H', W', 2) of (x, y) in [-1, 1].

    Between pixels `mode` "bilinear" mixes the four around, "nearest" takes the nearest. Outside
    there are zeros, or with `padding_mode` "border" the edge, or "reflection" the mirrored image.
    As `torch.nn.functional.grid_sample`; see `affine_grid` for `align_corners`.

    >>> image = ag.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> F.grid_sample(image, ag.tensor([[[[0.0, 0.0], [0.5, 0.5]]]]), align_corners=False)
    tensor([[[[2.5000, 4.0000]]]])
    """
    if input.ndim != 4 or grid.ndim != 4 or grid.shape[-1] != 2:
        raise ShapeError(
            f"grid_sample: {describe(input, grid)}: expected (N, C, H, W) and (N, H', W', 2)"
        )
    if mode not in ("bilinear", "nearest"):
        raise ArgumentError(f"grid_sample: mode must be 'bilinear' or 'nearest', got {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            "grid_sample: padding_mode must be 'zeros', 'border' or 'reflection', got "
            f"{padding_mode!r}"
        )
    h, w = input.shape[-2:]
    x, y = (
        _looked_at(ops.index(grid, ops.full((), i, "int64"), dims=(3,)), n, padding_mode, align)
        for i, n, align in ((0, w, bool(align_corners)), (1, h, bool(align_corners)))
    )
    if mode == "nearest":
        return _pixels(input, ops.round(x), ops.round(y))
    left, top = ops.floor(x), ops.floor(y)
    across, down = ops.sub(x, left), ops.sub(y, top)
    total = None
    for dx, wx in ((0, ops.sub(1, across)), (1, across)):
        for dy, wy in ((0, ops.sub(1, down)), (1, down)):
            weight = ops.mul(wx, wy)
            weight = ops.reshape(weight, (weight.shape[0], 1, *weight.shape[1:]))
            part = ops.mul(_pixels(input, ops.add(left, dx), ops.add(top, dy)), weight)
            total = part if total is None else ops.add(total, part)
    return total


def _looked_at(place: Any, size: int, padding_mode: str, align_corners: bool) -> Any:
    """A coordinate in [-1, 1] as one in pixels, brought inside where the padding says so."""
    if align_corners:
        x = ops.mul(ops.add(place, 1), (size - 1) / 2)
    else:
        x = ops.sub(ops.mul(ops.add(place, 1), size / 2), 0.5)
    if padding_mode == "reflection":
        low, span = (0.0, size - 1) if align_corners else (-0.5, size)
        if span == 0:
            return ops.mul(x, 0.0)
        turned = ops.remainder(ops.sub(x, low), 2 * span)
        x = ops.add(ops.sub(span, ops.abs(ops.sub(turned, span))), low)
    return x if padding_mode == "zeros" else ops.clamp(x, 0, size - 1)


def _pixels(input: Any, x: Any, y: Any) -> Any:
    """The pixels (N, C, H', W') at whole coordinates (N, H', W'); zeros outside."""
    n, c, h, w = input.shape
    inside = ops.logical_and(_between(x, w), _between(y, h))
    column = ops.cast(ops.clamp(x, 0, w - 1), "int64")
    row = ops.cast(ops.clamp(y, 0, h - 1), "int64")
    place = ops.reshape(ops.add(ops.mul(row, w), column), (n, 1, math.prod(x.shape[1:])))
    flat = ops.reshape(input, (n, c, h * w))
    found = ops.gather(flat, 2, ops.expand(place, (n, c, place.shape[2])))
    found = ops.reshape(found, (n, c, *x.shape[1:]))
    return ops.where(ops.reshape(inside, (n, 1, *x.shape[1:])), found, 0.0)


def _between(x: Any, size: int) -> Any:
    return ops.logical_and(ops.ge(x, 0), ops.le(x, size - 1))
