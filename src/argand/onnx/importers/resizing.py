"""Resize and Upsample: an image at other sizes, by every rule that ONNX has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ShapeError
from argand.onnx.registry import importer
from argand.onnx.values import F, Host, ag, int_list
from argand.tensor.core import Tensor

Array = np.ndarray[Any, Any]


class _Rule(NamedTuple):
    """The attributes of Resize."""

    mode: str
    transformation: str
    nearest: str
    cubic: float
    exclude_outside: bool
    extrapolation: float
    antialias: bool


@importer("Resize", since=11)
def _resize(
    x: Tensor,
    roi: Host | None = None,
    scales: Host | None = None,
    sizes: Host | None = None,
    *,
    antialias: int = 0,
    axes: Any = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Any:
    rule = _Rule(
        mode,
        coordinate_transformation_mode,
        nearest_mode,
        cubic_coeff_a,
        bool(exclude_outside),
        extrapolation_value,
        bool(antialias),
    )
    dims = list(range(x.ndim)) if axes is None else [a % x.ndim for a in axes]
    if sizes is not None and sizes.size:
        wanted, factors = _by_sizes(x, dims, int_list(sizes), keep_aspect_ratio_policy)
    elif scales is not None and scales.size:
        wanted = [_scaled(x.shape[d], float(s)) for d, s in zip(dims, scales, strict=True)]
        factors = [float(s) for s in scales]
    else:
        raise ShapeError("Resize: neither scales nor sizes are given")
    crop = _crop(roi, len(dims)) if rule.transformation == "tf_crop_and_resize" else None
    return resized(x, dims, wanted, factors, rule, crop)


@importer("Resize", since=10)
@importer("Upsample", since=7)
def _upsample(x: Tensor, scales: Host, *, mode: str = "nearest") -> Any:
    rule = _Rule(mode, "asymmetric", "floor", -0.75, False, 0.0, False)
    factors = [float(s) for s in scales]
    wanted = [_scaled(n, s) for n, s in zip(x.shape, factors, strict=True)]
    return resized(x, list(range(x.ndim)), wanted, factors, rule, None)


@importer("Upsample", since=1)
def _old_upsample(
    x: Tensor, *, height_scale: float, width_scale: float, mode: str = "nearest"
) -> Any:
    scales = np.array([1, 1, height_scale, width_scale], np.float32)
    return _upsample(x, scales, mode="linear" if mode == "bilinear" else mode)


def _scaled(n: Any, scale: float) -> Any:
    """floor(n * scale)."""
    if not 0 < scale < math.inf:
        raise ShapeError(f"a scale must be a positive number, got {scale}")
    if isinstance(n, Dim):
        from fractions import Fraction

        exact = Fraction(scale).limit_denominator(1 << 16)
        return n * exact.numerator // exact.denominator
    return math.floor(n * scale)


def _by_sizes(
    x: Any, dims: list[int], wanted: list[Any], policy: str
) -> tuple[list[Any], list[float | None]]:
    """Sizes and scales where sizes are given; a scale is None where it isn't a number yet."""
    known = [x.shape[d] for d in dims]
    factors: list[float | None] = [
        None if isinstance(n, Dim) or isinstance(w, Dim) else w / n
        for n, w in zip(known, wanted, strict=True)
    ]
    if policy == "stretch":
        return wanted, factors
    choose = min if policy == "not_larger" else max
    scale = choose(f for f in factors if f is not None)
    return [int(scale * n + 0.5) for n in known], [scale] * len(dims)


def _crop(roi: Host | None, n: int) -> list[tuple[float, float]]:
    if roi is None or roi.size != 2 * n:
        raise ShapeError("Resize: tf_crop_and_resize needs a roi of a start and an end an axis")
    return [(float(roi[i]), float(roi[n + i])) for i in range(n)]


def resized(
    x: Any,
    dims: list[int],
    wanted: list[Any],
    factors: Sequence[float | None],
    rule: _Rule,
    crop: list[tuple[float, float]] | None,
) -> Any:
    """An image with new sizes along some axes."""
    found = _by_interpolate(x, dims, wanted, factors, rule)
    if found is not None:
        return found
    dtype = x.dtype
    if rule.mode != "nearest" and not dtype.is_floating_point:
        x = x.to(ag.float32)
    outside = []
    for i, d in enumerate(dims):
        factor, n, size = factors[i], x.shape[d], int(wanted[i])
        if factor is None:
            n, factor = int(n), size / int(n)
        if size == n and factor == 1.0 and crop is None:
            continue
        at = _places(n, size, factor, rule.transformation, crop[i] if crop else (0.0, 1.0))
        x = _along(x, d, at, factor, rule)
        outside.append((d, (at < 0) | (at > n - 1)))
    if crop is not None:
        x = _filled(x, outside, rule.extrapolation)
    return x.to(dtype)


def _by_interpolate(
    x: Any, dims: list[int], wanted: list[Any], factors: Sequence[Any], rule: _Rule
) -> Any:
    """By the op for images, where it computes the same; None where not."""
    if rule.antialias or rule.exclude_outside or not x.dtype.is_floating_point or x.ndim < 3:
        return None
    spatial = dict(zip(dims, zip(wanted, factors, strict=True), strict=True))
    for d in range(2):
        size, factor = spatial.pop(d, (None, 1.0))
        if size is not None and factor != 1.0 and not _same(size, x.shape[d]):
            return None
    if len(spatial) != x.ndim - 2:
        return None
    target = [spatial[d][0] for d in range(2, x.ndim)]
    exact = all(
        f is None or isinstance(x.shape[d], Dim) or x.shape[d] * f == s
        for d, (s, f) in spatial.items()
    )
    halves = rule.transformation in ("half_pixel", "pytorch_half_pixel")
    small = any(not isinstance(s, Dim) and s <= 1 for s in target)
    names = {1: "linear", 2: "bilinear", 3: "trilinear"}
    if rule.mode == "nearest":
        whole = all(f is not None and float(f).is_integer() and f >= 1 for _, f in spatial.values())
        floors = rule.transformation == "asymmetric" and rule.nearest == "floor"
        if whole and (floors or (halves and rule.nearest.startswith("round"))):
            times = [float(spatial[d][1]) for d in range(2, x.ndim)]
            return F.interpolate(x, scale_factor=times, mode="nearest")
        return None
    if not exact or small:
        return None
    if rule.mode == "linear" and halves:
        return F.interpolate(x, size=target, mode=names[x.ndim - 2], align_corners=False)
    if rule.mode == "linear" and rule.transformation == "align_corners":
        return F.interpolate(x, size=target, mode=names[x.ndim - 2], align_corners=True)
    if rule.mode == "cubic" and x.ndim == 4 and halves and rule.cubic == -0.75:
        return F.interpolate(x, size=target, mode="bicubic", align_corners=False)
    return None


def _same(a: Any, b: Any) -> bool:
    return isinstance(a, Dim) is isinstance(b, Dim) and str(a) == str(b)


# -- one axis --------------------------------------------------------------------------------------


def _places(
    n: int, size: int, scale: float, transformation: str, crop: tuple[float, float]
) -> Array:
    """Where the new elements lie among the old."""
    at = np.arange(size, dtype=np.float64)
    length = scale * n
    start, end = crop
    match transformation:
        case "align_corners":
            return np.zeros(size) if length == 1 else at * (n - 1) / (length - 1)
        case "asymmetric":
            return at / scale
        case "tf_crop_and_resize":
            if length == 1:
                return at + (end - start) * (n - 1) / 2 + start * (n - 1)
            return at * (end - start) * (n - 1) / (length - 1) + start * (n - 1)
        case "pytorch_half_pixel":
            return np.full(size, -0.5) if length == 1 else (at + 0.5) / scale - 0.5
        case "half_pixel":
            return (at + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            offset = n / 2 * (1 - int(length) / length)
            return offset + (at + 0.5) / scale - 0.5
    raise ShapeError(f"Resize: unknown coordinate_transformation_mode {transformation!r}")


def _along(x: Any, d: int, at: Array, scale: float, rule: _Rule) -> Any:
    """The new elements along an axis: weighted sums of their neighbours."""
    if rule.mode == "nearest":
        places = np.clip(_NEAREST[rule.nearest](at), 0, x.shape[d] - 1)
        return ag.index_select(x, d, ag.tensor(places.astype(np.int64)))
    places, weights = _taps(at, scale, rule)
    n = x.shape[d]
    if rule.exclude_outside:
        weights = np.where((places < 0) | (places >= n), 0, weights)
        weights = weights / weights.sum(1, keepdims=True)
    matrix = np.zeros((len(at), n))
    np.add.at(matrix, (np.arange(len(at))[:, None], np.clip(places, 0, n - 1)), weights)
    moved = ag.matmul(x.movedim(d, -1), ag.tensor(matrix.T).to(x.dtype))
    return moved.movedim(-1, d)


_NEAREST: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _taps(at: Array, scale: float, rule: _Rule) -> tuple[Array, Array]:
    """The neighbours of each place, and their weights: (places, taps) each."""
    reach = 1 if rule.mode == "linear" else 2
    kernel = _linear if rule.mode == "linear" else _cubic
    stretch = min(scale, 1.0) if rule.antialias else 1.0
    low = np.ceil(at) - 1
    first = math.floor(-reach / stretch) + 1
    offsets = np.arange(first, 2 - first)
    distances = (offsets - (at - low)[:, None]) * stretch
    weights = kernel(distances, rule.cubic)
    if rule.antialias:
        weights = weights / weights.sum(1, keepdims=True)
    return (low[:, None] + offsets).astype(np.int64), weights


def _linear(t: Array, a: float) -> Array:
    found: Array = np.clip(1 - np.abs(t), 0, 1)
    return found


def _cubic(t: Array, a: float) -> Array:
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    found: Array = np.where(t <= 1, near, np.where(t < 2, far, 0.0))
    return found


def _filled(x: Any, outside: list[tuple[int, Array]], value: float) -> Any:
    """A number where a new element lies outside of the old ones along any axis."""
    for d, away in outside:
        shape = [1] * x.ndim
        shape[d] = len(away)
        mask = ag.tensor(away).reshape(shape)
        x = ag.where(mask, ag.full_like(x, value), x)
    return x
