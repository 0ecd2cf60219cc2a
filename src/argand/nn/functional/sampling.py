"""Images and volumes at other places: affine grids, and sampling at points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from argand.base.dtype import compute_dtype
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional import single

_PADDINGS = ("zeros", "border", "reflection")


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """The points (x, y) at which `grid_sample` looks to transform images: (N, H, W, 2) from
    matrices `theta` (N, 2, 3) and the size (N, C, H, W) of the result; for volumes (N, D, H, W, 3)
    from (N, 3, 4) and (N, C, D, H, W).

    The corners of the image are at -1 and 1: the middles of the outer pixels with `align_corners`,
    else their outer edges (Jaderberg et al., 2015).

    >>> identity = ag.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> F.affine_grid(identity, (1, 1, 1, 2))
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    rank = len(size) - 2
    if not theta.dtype.is_floating_point:
        raise DTypeError(f"affine_grid: expected theta of floats, got {theta.dtype.name}")
    if rank not in (2, 3) or tuple(theta.shape) != (size[0], rank, rank + 1):
        raise ShapeError(
            f"affine_grid: {describe(theta)} and size {tuple(size)}: expected theta (N, 2, 3) and "
            "size (N, C, H, W), or (N, 3, 4) and (N, C, D, H, W)"
        )
    if min(size) < 1:
        raise ArgumentError(f"affine_grid: expected a size of positive numbers, got {tuple(size)}")
    spatial = tuple(size[2:])
    one = ops.full(spatial, 1.0, theta.dtype)
    points = []
    for d in reversed(range(rank)):
        ends = _ends(spatial[d], bool(align_corners), theta.dtype)
        shape = [spatial[d] if i == d else 1 for i in range(rank)]
        points.append(ops.mul(ops.reshape(ends, tuple(shape)), one))
    columns = [ops.reshape(p, (math.prod(spatial), 1)) for p in (*points, one)]
    grid = ops.matmul(ops.cat(*columns, dim=1), ops.permute(theta, (0, 2, 1)))
    return ops.reshape(grid, (size[0], *spatial, rank))


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
    """Images (N, C, H, W) looked at in the points `grid` (N, H', W', 2) of (x, y) in [-1, 1], or
    volumes (N, C, D, H, W) in the points (N, D', H', W', 3) of (x, y, z).

    Between pixels `mode` "bilinear" mixes the ones around, "bicubic" (of images) the 16 around
    (Keys, 1981, with a = -0.75), "nearest" takes the nearest. Outside there are zeros, or with
    `padding_mode` "border" the edge, or "reflection" the mirrored image. As
    `torch.nn.functional.grid_sample`; see `affine_grid` for `align_corners`.

    >>> image = ag.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> F.grid_sample(image, ag.tensor([[[[0.0, 0.0], [0.5, 0.5]]]]), align_corners=False)
    tensor([[[[2.5000, 4.0000]]]])
    """
    rank, align = input.ndim - 2, bool(align_corners)
    _check_samples(input, grid, mode, padding_mode)
    kept = single.grid_sample(input, grid, mode, padding_mode, align)
    if kept is not None:
        return kept
    wide = compute_dtype(input.dtype)
    if wide is not input.dtype:
        image, points = ops.cast(input, wide), ops.cast(grid, wide)
        found = grid_sample(image, points, mode, padding_mode, align_corners)
        return ops.cast(found, input.dtype)
    sizes = tuple(input.shape[2:])
    given = [
        ops.index(grid, ops.full((), rank - 1 - d, "int64"), dims=(rank + 1,)) for d in range(rank)
    ]
    places = [_in_pixels(x, n, align) for x, n in zip(given, sizes, strict=True)]

    def brought(d: int, x: Any) -> Any:
        return _inside(x, sizes[d], padding_mode, align)

    if mode == "bicubic":
        taps = [_cubic_taps(x) for x in places]
        taps = [[(brought(d, x), w) for x, w in pairs] for d, pairs in enumerate(taps)]
        return _mixture(input, taps)
    places = [brought(d, x) for d, x in enumerate(places)]
    if mode == "nearest":
        return _pixels(input, [ops.round(x) for x in places])
    return _mixture(input, [_linear_taps(x) for x in places])


def _check_samples(input: Any, grid: Any, mode: str, padding_mode: str) -> None:
    rank = input.ndim - 2
    fits = grid.ndim == input.ndim and grid.shape[-1] == rank and grid.shape[0] == input.shape[0]
    if rank not in (2, 3) or not fits:
        raise ShapeError(
            f"grid_sample: {describe(input, grid)}: expected (N, C, H, W) and (N, H', W', 2), or "
            "(N, C, D, H, W) and (N, D', H', W', 3)"
        )
    if any(n == 0 for n in input.shape[2:]):
        raise ShapeError(f"grid_sample: {describe(input)}: the images are empty")
    if input.dtype is not grid.dtype:
        raise DTypeError(f"grid_sample: {describe(input, grid)}: expected one dtype")
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ArgumentError(
            f"grid_sample: mode must be 'bilinear', 'nearest' or 'bicubic', got {mode!r}"
        )
    if mode == "bicubic" and rank == 3:
        raise ArgumentError("grid_sample: mode 'bicubic' is for images, not volumes")
    if padding_mode not in _PADDINGS:
        choices = ", ".join(map(repr, _PADDINGS))
        raise ArgumentError(
            f"grid_sample: padding_mode must be one of {choices}, got {padding_mode!r}"
        )


def _linear_taps(x: Any) -> list[tuple[Any, Any]]:
    """The pixels on both sides of a place, each with its weight."""
    left = ops.floor(x)
    share = ops.sub(x, left)
    return [(left, ops.sub(1, share)), (ops.add(left, 1), share)]


def _cubic_taps(x: Any) -> list[tuple[Any, Any]]:
    """The four pixels around a place, each with the weight of Keys' cubic."""
    a, left = -0.75, ops.floor(x)
    t = ops.sub(x, left)
    found = []
    for step in (-1, 0, 1, 2):
        d = ops.add(t, 1) if step == -1 else t if step == 0 else ops.sub(step, t)
        if step in (0, 1):
            weight = ((a + 2) * d - (a + 3)) * d * d + 1
        else:
            weight = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        found.append((ops.add(left, step), weight))
    return found


def _mixture(input: Any, taps: Sequence[Sequence[tuple[Any, Any]]]) -> Any:
    """The sum of the pixels of every combination of taps, by the products of their weights."""
    total = None
    for chosen in product(*taps):
        weight = None
        for _, w in chosen:
            weight = w if weight is None else ops.mul(weight, w)
        weight = ops.reshape(weight, (weight.shape[0], 1, *weight.shape[1:]))  # type: ignore[union-attr]
        part = ops.mul(_pixels(input, [x for x, _ in chosen]), weight)
        total = part if total is None else ops.add(total, part)
    return total


def _in_pixels(place: Any, size: int, align_corners: bool) -> Any:
    """A coordinate in [-1, 1] as one in pixels."""
    if align_corners:
        return ops.mul(ops.add(place, 1), (size - 1) / 2)
    return ops.sub(ops.mul(ops.add(place, 1), size / 2), 0.5)


def _inside(x: Any, size: int, padding_mode: str, align_corners: bool) -> Any:
    """A coordinate in pixels, brought into the image where the padding says so."""
    if padding_mode == "reflection":
        low, span = (0.0, size - 1) if align_corners else (-0.5, size)
        if span == 0:
            return ops.mul(x, 0.0)
        turned = ops.remainder(ops.sub(x, low), 2 * span)
        x = ops.add(ops.sub(span, ops.abs(ops.sub(turned, span))), low)
    if padding_mode == "zeros":
        return x
    # unlike clamp, without a gradient on the edge itself; NaN is the first pixel
    below = ops.where(ops.lt(x, size - 1), x, float(size - 1))
    return ops.where(ops.gt(x, 0), below, 0.0)


def _pixels(input: Any, places: Sequence[Any]) -> Any:
    """The pixels (N, C, ...) at whole coordinates (N, ...), one for each dimension; zeros
    outside."""
    n, c, *sizes = input.shape
    shape = tuple(places[0].shape[1:])
    inside, place = None, None
    for x, size in zip(places, sizes, strict=True):
        here = ops.logical_and(ops.ge(x, 0), ops.le(x, size - 1))
        inside = here if inside is None else ops.logical_and(inside, here)
        whole = ops.cast(ops.where(here, x, 0.0), "int64")
        place = whole if place is None else ops.add(ops.mul(place, size), whole)
    flat = ops.reshape(input, (n, c, math.prod(sizes)))
    index = ops.reshape(place, (n, 1, math.prod(shape)))
    found = ops.gather(flat, 2, ops.expand(index, (n, c, index.shape[2])))
    found = ops.reshape(found, (n, c, *shape))
    return ops.where(ops.reshape(inside, (n, 1, *shape)), found, 0.0)


_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def grid_sampler(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """`grid_sample` with its modes by number: 0 "bilinear", 1 "nearest", 2 "bicubic"; 0 "zeros",
    1 "border", 2 "reflection". As `torch.grid_sampler`.

    >>> ag.grid_sampler(ag.ones(1, 1, 2, 2), ag.zeros(1, 1, 1, 2), 0, 0, False)
    tensor([[[[1.]]]])
    """
    for name, value in (("interpolation_mode", interpolation_mode), ("padding_mode", padding_mode)):
        if value not in (0, 1, 2):
            raise ArgumentError(f"grid_sampler: {name} must be 0, 1 or 2, got {value!r}")
    modes = _MODES[interpolation_mode], _PADDINGS[padding_mode]
    return grid_sample(input, grid, *modes, bool(align_corners))


def grid_sampler_2d(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """`grid_sampler` of images (N, C, H, W). As `torch.grid_sampler_2d`.

    >>> ag.grid_sampler_2d(ag.ones(1, 1, 2, 2), ag.zeros(1, 1, 1, 2), 0, 0, False)
    tensor([[[[1.]]]])
    """
    return _sampled(
        "grid_sampler_2d", 4, input, grid, interpolation_mode, padding_mode, align_corners
    )


def grid_sampler_3d(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """`grid_sampler` of volumes (N, C, D, H, W). As `torch.grid_sampler_3d`.

    >>> ag.grid_sampler_3d(ag.ones(1, 1, 2, 2, 2), ag.zeros(1, 1, 1, 1, 3), 0, 0, False)
    tensor([[[[[1.]]]]])
    """
    return _sampled(
        "grid_sampler_3d", 5, input, grid, interpolation_mode, padding_mode, align_corners
    )


def _sampled(name: str, rank: int, input: Any, grid: Any, *modes: Any) -> Any:
    if input.ndim != rank:
        raise ShapeError(f"{name}: expected an input of {rank} dimensions, got {describe(input)}")
    return grid_sampler(input, grid, *modes)
