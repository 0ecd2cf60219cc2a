"""Images at other sizes: interpolation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim, is_less, same
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import shape_text
from argand.ir.op import describe, ops
from argand.nn.functional import single
from argand.nn.functional.adaptive import averaged, mixed
from argand.nn.functional.padding import several
from argand.tensor.strides import as_image

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

    A new pixel i is at (i + 0.5) * old / new - 0.5, or with `align_corners` at
    i * (old - 1) / (new - 1). `mode` is "nearest" (the pixel at floor(i * old / new)),
    "nearest-exact", "linear", "bilinear", "trilinear", "bicubic" (Keys, 1981, with a = -0.75) or
    "area" (the mean of what it covers). A dimension whose size stays is copied, whatever the factor
    (but for "nearest-exact", "bicubic" of floats, and "nearest" of sequences and volumes). uint8
    images are mixed in fixed point. Where the image becomes smaller, `antialias` mixes all pixels
    that a new one covers (with a = -0.5, as Pillow).

    >>> F.interpolate(ag.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    >>> F.interpolate(ag.tensor([[[1.0, 2.0]]]), scale_factor=2, mode="linear")
    tensor([[[1.0000, 1.2500, 1.7500, 2.0000]]])
    """
    if mode not in _MODES:
        raise ArgumentError(f"interpolate: mode must be one of {', '.join(_MODES)}; got {mode!r}")
    spatial = input.shape[2:]
    if not 1 <= len(spatial) <= 3:
        raise NotImplementedError(
            f"interpolate: {describe(input)}: it is for 3, 4 or 5 dimensions: images (N, C, H, W), "
            "sequences (N, C, L) or volumes (N, C, D, H, W)"
        )
    if antialias and not (mode in ("bilinear", "bicubic") and len(spatial) == 2):
        raise ArgumentError("interpolate: antialias is for images, bilinear or bicubic")
    if _LINEAR.get(mode, len(spatial)) != len(spatial):
        raise ArgumentError(
            f"interpolate: {describe(input)}: mode {mode!r} is for {_LINEAR[mode]} dimensions "
            f"behind batch and channels, not {len(spatial)}"
        )
    if align_corners is not None and mode not in _LINEAR:
        raise ArgumentError(f"interpolate: align_corners means nothing for mode {mode!r}")
    wanted, scales = _new_sizes(input, size, scale_factor, bool(recompute_scale_factor))
    if not antialias:
        factors = None
        if size is None and not recompute_scale_factor:
            factors = several_factors(scale_factor, len(spatial))
        kept = single.resized(input, wanted, factors, mode, bool(align_corners))
        if kept is not None:
            return kept
    if size is None and _copies(mode, len(spatial), antialias, input.dtype.name):
        scales = [1.0 if n == o else s for o, n, s in zip(spatial, wanted, scales, strict=True)]
    weights = partial(_weights, mode, bool(align_corners), antialias)
    axes = [*zip(spatial, wanted, scales, strict=True)]
    if input.dtype.name == "uint8" and mode in ("bilinear", "bicubic"):
        few = partial(_few_weights, mode, bool(align_corners), antialias)
        return _of_bytes(_of_bytes(input, 3, *few(*axes[1])), 2, *few(*axes[0]))
    if not (input.dtype.is_inexact or mode.startswith("nearest")):
        options = (mode, align_corners, recompute_scale_factor, antialias)
        return _of_integers(input, size, scale_factor, *options)
    y = input
    if mode.startswith("nearest") and all(_times(*axis, mode) for axis in axes):
        return as_image(_repeated(y, [new // old for old, new, _ in axes]), input)
    for dim, (old, new, scale) in enumerate(axes, 2):
        if mode.startswith("nearest"):
            y = _nearest(y, dim, old, new, scale, _MIDDLES[mode])
        elif mode == "area":
            y = averaged(y, dim, new)
        else:
            y = mixed(y, dim, weights(old, new, scale))
    return as_image(y, input)


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


def _of_bytes(x: Any, dim: int, places: Any, weights: Any) -> Any:
    """Bytes mixed along a dimension in fixed point, as PyTorch and Pillow do: the weights as
    integers of 16 bits, in units of the smallest power of two that they allow."""
    bits = ops.sub(ops.ceil(ops.log2(ops.div(2.0**15 - 0.5, ops.amax(weights)))), 1)
    bits = ops.reshape(ops.minimum(bits, 22.0), (1,))
    units = ops.mul(weights, ops.round(ops.exp2(bits)))
    whole = ops.trunc(ops.add(units, ops.mul(ops.sign(weights), 0.5)))
    places, whole = (ops.contiguous(ops.permute(m, (1, 0))) for m in (places, whole))
    return ops.mix_bytes(x, places, ops.cast(whole, "int32"), ops.cast(bits, "int32"), dim)


def several_factors(scale_factor: Any, count: int) -> Sequence[float]:
    """A factor for each dimension."""
    return scale_factor if isinstance(scale_factor, list | tuple) else [scale_factor] * count


def _new_sizes(
    input: Any, size: Any, scale_factor: Any, recompute: bool
) -> tuple[Sequence[Any], Sequence[float]]:
    """The new sizes, and by how much a step in the new image is longer in the old one."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: give either size or scale_factor")
    old = input.shape[2:]
    if size is not None and recompute:
        raise ArgumentError("interpolate: recompute_scale_factor means nothing with a size")
    factors: list[Any] = []
    if size is not None:
        wanted = several(size, len(old), "size")
    else:
        given = several_factors(scale_factor, len(old))
        factors = [int(f) if f == math.floor(f) else f for f in given]  # keeps symbolic sizes so
        wanted = tuple(math.floor(o * f) for o, f in zip(old, factors, strict=True))
    if any(is_less(n, 1) for n in (*old, *wanted)):
        raise ShapeError(
            f"interpolate: {describe(input)}: neither it nor the result, of {shape_text(wanted)}, "
            "may be empty"
        )
    if size is not None or recompute:
        return wanted, [o / n for o, n in zip(old, wanted, strict=True)]
    return wanted, [1 / f for f in factors]


def _copies(mode: str, rank: int, antialias: bool, dtype: str) -> bool:
    """Whether PyTorch leaves a dimension of unchanged size as it is, whatever the factor."""
    if mode == "nearest":
        return rank == 2
    return antialias or mode.endswith("linear") or (mode == "bicubic" and dtype == "uint8")


_MIDDLES = {"nearest": 0.0, "nearest-exact": 0.5}


def _times(old: Any, new: Any, scale: float, mode: str) -> bool:
    """Whether every pixel comes the same number of times, so that nothing has to be looked up."""
    if isinstance(old, Dim) or isinstance(new, Dim):
        return same(new, old * round(1 / scale)) and 1 / round(1 / scale) == scale
    if not (isinstance(old, int) and isinstance(new, int) and old and new % old == 0):
        return False
    places = np.floor((np.arange(new) + _MIDDLES[mode]) * scale)
    return bool((places == np.arange(new) // (new // old)).all())


def _repeated(x: Any, times: Sequence[int]) -> Any:
    """x[n, c, i, j] -> y[n, c, 2 i + a, 2 j + b], for `times` of 2."""
    lead = tuple(x.shape[:2])
    apart: list[int] = []
    wide: list[int] = []
    for size, k in zip(x.shape[2:], times, strict=True):
        apart += [size, 1]
        wide += [size, k]
    found = ops.expand(ops.reshape(x, (*lead, *apart)), (*lead, *wide))
    return ops.reshape(
        found, (*lead, *(size * k for size, k in zip(x.shape[2:], times, strict=True)))
    )


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


def _step(old: Any, new: Any, scale: float, align_corners: bool) -> float:
    """How far a step in the new image is in the old one."""
    if not align_corners:
        return scale
    return float((old - 1) / (new - 1)) if new > 1 else 0.0


def _weights(
    mode: str, align_corners: bool, antialias: bool, old: Any, new: Any, scale: float
) -> Any:
    """How much of the old pixels (columns) is in each new one (rows)."""
    j = ops.arange(0, 1, old, "int64")
    return _weights_of(j, _form(mode, align_corners, antialias, old, new, scale), old)


def _few_weights(
    mode: str, align_corners: bool, antialias: bool, old: Any, new: Any, scale: float
) -> tuple[Any, Any]:
    """For each new pixel (rows) the places of old ones, and how much of them is in it: of no more
    than can be in any."""
    form = _form(mode, align_corners, antialias, old, new, scale)
    count = old
    if isinstance(old, int) and isinstance(new, int):
        count = min(old, math.ceil(2 * form.reach) + 1)
    first = ops.clamp(ops.floor(form.first), 0.0, float(old - count))
    first = ops.reshape(ops.cast(first, "int64"), (*first.shape, 1))
    places = ops.add(first, ops.arange(0, 1, count, "int64"))
    return places, _weights_of(places, form, old)


class _Form(NamedTuple):
    """How new pixels are mixed: `mode` is that of the cubic or of the straight line; old pixels
    count up to `reach` from `place`, from `first` on; `widest` old ones are as one."""

    mode: str
    smooth: bool
    place: Any
    first: Any
    reach: float
    widest: float


def _form(mode: str, align_corners: bool, smooth: bool, old: Any, new: Any, scale: float) -> _Form:
    reach = 2.0 if mode == "bicubic" else 1.0
    if not smooth:
        place = _places(old, new, scale, align_corners)
        place = place if mode == "bicubic" else ops.clamp(place, 0, old - 1)
        return _Form(mode, smooth, place, ops.sub(place, reach - 1), reach, 1.0)
    scale = _step(old, new, scale, align_corners)
    widest = max(scale, 1.0) if isinstance(scale, float | int) else ops.maximum(scale, 1.0)
    i = ops.cast(ops.arange(0, 1, new, "int64"), "float64")
    centre = ops.mul(ops.add(i, 0.5), scale)
    first = _truncated(ops.add(ops.sub(centre, reach * widest), 0.5))
    return _Form(mode, smooth, centre, first, reach * widest, widest)


def _weights_of(j: Any, form: _Form, old: Any) -> Any:
    """How much of the old pixels j is in each new one."""
    place, j = ops.reshape(form.place, (*form.place.shape, 1)), ops.cast(j, "float64")
    if form.smooth:
        return _smooth(j, place, form, old)
    if form.mode == "bicubic":
        return _cubic(j, place, old)
    return ops.relu(ops.sub(1.0, ops.abs(ops.sub(place, j))))


def _smooth(j: Any, centre: Any, form: _Form, old: Any) -> Any:
    """Every new pixel is a mean of all the old ones that it covers."""
    first = ops.clamp(_truncated(ops.add(ops.sub(centre, form.reach), 0.5)), min=0.0)
    last = ops.clamp(_truncated(ops.add(ops.add(centre, form.reach), 0.5)), max=old)
    d = ops.div(ops.abs(ops.add(ops.sub(j, centre), 0.5)), form.widest)
    weights = _keys(d, -0.5) if form.mode == "bicubic" else ops.relu(ops.sub(1, d))
    inside = ops.logical_and(ops.ge(j, first), ops.lt(j, last))
    weights = ops.where(inside, weights, 0.0)
    return ops.div(weights, ops.sum(weights, 1, True))


def _truncated(x: Any) -> Any:
    return ops.cast(ops.cast(x, "int64"), "float64")


def _cubic(j: Any, place: Any, old: Any) -> Any:
    """A sum of old pixels, by Keys' cubic of the distance; beyond the edge the edge goes on."""
    reach = 2  # a place is at most half a pixel outside, and the cubic two pixels wide

    def beyond(first: Any) -> Any:
        outside = ops.arange(first, 1, reach, "int64")
        return ops.sum(_keys(ops.abs(ops.sub(place, outside)), -0.75), 1, True)

    inside = _keys(ops.abs(ops.sub(place, j)), -0.75)
    edges = (
        ops.where(ops.eq(j, 0), beyond(-reach), 0.0),
        ops.where(ops.eq(j, old - 1), beyond(old), 0.0),
    )
    return ops.add(inside, ops.add(*edges))


def _keys(d: Any, a: float) -> Any:
    """Keys' cubic of a distance (1981)."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return ops.where(ops.le(d, 1), near, ops.where(ops.lt(d, 2), far, 0.0))
