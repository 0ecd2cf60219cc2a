"""Images turned, sheared, seen from the side or bent: tensors (..., C, H, W).

Each says where a pixel of the result comes from, as a grid of places in [-1, 1], and samples there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np

from argand.base.dtype import float16, float32
from argand.nn import functional as F
from argand.tensor.core import Tensor
from argand.tensor.creation import ones, tensor
from argand.tensor.formulas import arange, linspace
from argand.tensor.joining import cat, stack
from argand.vision.transforms.modes import InterpolationMode, mode_of

Matrix = list[float]


def _sampled(image: Any, grid: Any, mode: InterpolationMode, fill: Any) -> Any:
    """The image at the places of a grid (1, h, w, 2); what lies outside is `fill`, or 0."""
    _check_sampling(image, mode, fill)
    shape = (*image.shape[:-2], *grid.shape[1:3])
    if image.numel() == 0:
        return image.reshape(shape)
    batch = image.reshape(-1, *image.shape[-3:]).to(grid.dtype)
    grid = grid.expand(batch.shape[0], -1, -1, -1)
    if fill is not None:
        inside = ones(batch.shape[0], 1, *batch.shape[-2:], dtype=grid.dtype)
        batch = cat((batch, inside), dim=1)
    found = F.grid_sample(batch, grid, mode=mode.value, padding_mode="zeros", align_corners=False)
    if fill is not None:
        found = _filled(found[:, :-1], found[:, -1:], fill, mode)
    if image.dtype != grid.dtype:
        found = found.round().to(image.dtype)
    return found.reshape(shape)


def _filled(found: Any, inside: Any, fill: Any, mode: InterpolationMode) -> Any:
    """What was sampled where it is `inside`, and the filling's colours elsewhere."""
    listed = fill if isinstance(fill, tuple | list) else [float(fill)]
    colours = tensor([float(v) for v in listed], dtype=found.dtype).reshape(1, -1, 1, 1)
    if mode is InterpolationMode.NEAREST:
        return found.where(inside >= 0.5, colours)
    return (found - colours) * inside + colours


def _check_sampling(image: Any, mode: InterpolationMode, fill: Any) -> None:
    if fill is not None and not isinstance(fill, int | float | tuple | list):
        raise ValueError("Argument fill should be either int, float, tuple or list")
    channels = image.shape[-3]
    if isinstance(fill, tuple | list) and len(fill) > 1 and len(fill) != channels:
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(fill)} != {channels})"
        )
    if mode not in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
        raise ValueError(f"Interpolation mode '{mode.value}' is unsupported with Tensor input")


def _float_dtype(image: Any) -> Any:
    return image.dtype if image.is_floating_point() else float32


# -- affine maps -----------------------------------------------------------------------------------


def affine_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
    inverted: bool = True,
) -> Matrix:
    """The 2 x 3 matrix, row by row, of ``T C R S Sh C^-1``: about the centre C a shear, a scale and
    a rotation, then a translation T; angles in degrees. Or its inverse, which says where a pixel of
    the result comes from."""
    rotation, shear_x, shear_y = (math.radians(v) for v in (angle, shear[0], shear[1]))
    (cx, cy), (tx, ty) = center, translate
    a = math.cos(rotation - shear_y) / math.cos(shear_y)
    b = -(a * math.tan(shear_x) + math.sin(rotation))
    c = math.sin(rotation - shear_y) / math.cos(shear_y)
    d = math.cos(rotation) - c * math.tan(shear_x)
    if inverted:
        p, q, r, s = d / scale, -b / scale, -c / scale, a / scale
        return [p, q, cx - p * (cx + tx) - q * (cy + ty), r, s, cy - r * (cx + tx) - s * (cy + ty)]
    p, q, r, s = a * scale, b * scale, c * scale, d * scale
    return [p, q, cx + tx - p * cx - q * cy, r, s, cy + ty - r * cx - s * cy]


def affine_matrix_older(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> Matrix:
    """The inverse of `affine_matrix`, rounded in the order of the older transforms: a last bit can
    choose another pixel."""
    rotation, shear_x, shear_y = (math.radians(v) for v in (angle, shear[0], shear[1]))
    (cx, cy), (tx, ty) = center, translate
    turned = rotation - shear_y
    a = math.cos(turned) / math.cos(shear_y)
    b = -math.cos(turned) * math.tan(shear_x) / math.cos(shear_y) - math.sin(rotation)
    c = math.sin(turned) / math.cos(shear_y)
    d = -math.sin(turned) * math.tan(shear_x) / math.cos(shear_y) + math.cos(rotation)
    p, q, r, s = d / scale, -b / scale, -c / scale, a / scale
    x = p * (-cx - tx) + q * (-cy - ty) + cx
    y = r * (-cx - tx) + s * (-cy - ty) + cy
    return [p, q, x, r, s, y]


def affine_arguments(
    angle: Any, translate: Any, scale: Any, shear: Any, center: Any
) -> tuple[float, list[float], list[float], list[float] | None]:
    """The checked angle, translation, shear and centre."""
    if not isinstance(angle, int | float):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, list | tuple):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, Number | list | tuple):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    shears: Any = [shear, 0.0] if isinstance(shear, Number) else list(shear)
    shears = shears * 2 if len(shears) == 1 else shears
    if len(shears) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shears}")
    if center is not None and not isinstance(center, list | tuple):
        raise TypeError("Argument center should be a sequence")
    middle = None if center is None else [float(c) for c in center]
    return float(angle), list(translate), shears, middle


def turned_size(matrix: Matrix, width: int, height: int) -> tuple[int, int]:
    """The width and height of the box around an image under a map; computed in float32, as
    torchvision's."""
    points = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]], np.float32)
    points = points * np.array([0.5 * width, 0.5 * height], np.float32)
    rows = np.array(matrix, np.float32).reshape(2, 3)
    halves = np.array([0.5 * width, 0.5 * height], np.float32)
    placed = points @ rows[:, :2].T + rows[:, 2]
    low, high = placed.min(axis=0) + halves, placed.max(axis=0) + halves
    fine, coarse = np.float32(1e4), np.float32(1e-4)  # nothing for errors of rounding
    ends = np.ceil(np.trunc(high * fine) * coarse)
    starts = np.floor(np.trunc(low * fine) * coarse)
    size = ends - starts
    return int(size[0]), int(size[1])


def _affine_grid(matrix: Matrix, dtype: Any, size: Sequence[int], new: Sequence[int]) -> Any:
    """Where the pixels of a (w, h) = `new` image come from in one of `size`."""
    theta = tensor(matrix, dtype=dtype).reshape(2, 3)
    theta = theta.T / tensor([0.5 * size[0], 0.5 * size[1]], dtype=dtype)
    return (_places(new, dtype, centred=True) @ theta).reshape(1, new[1], new[0], 2)


def _places(size: Sequence[int], dtype: Any, centred: bool) -> Any:
    """The centres (x, y, 1) of the pixels of a (w, h) image, row by row, from its middle or its
    corner."""
    w, h = size
    x, y = (arange(n, dtype=float32) + (0.5 * (1 - n) if centred else 0.5) for n in (w, h))
    grid = stack([x.expand(h, w), y.unsqueeze(-1).expand(h, w), ones(h, w)], dim=-1)
    return grid.reshape(h * w, 3).to(dtype)


def affine_image(
    image: Any,
    angle: Any,
    translate: Any,
    scale: Any,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """An image turned clockwise by an angle in degrees, moved by (right, down) pixels, scaled and
    sheared, about its centre.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.affine_image(ag.arange(3.0).reshape(1, 1, 3), 0, [1, 0], 1, [0, 0])
    tensor([[[0., 0., 1.]]])
    """
    angle, translate, shear, center = affine_arguments(angle, translate, scale, shear, center)
    matrix = affine_matrix(_from_middle(image, center), angle, translate, scale, shear)
    return _mapped(image, matrix, interpolation, fill)


def affine_older(
    image: Any,
    angle: Any,
    translate: Any,
    scale: Any,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """`affine_image` as the older transforms round it."""
    angle, translate, shear, center = affine_arguments(angle, translate, scale, shear, center)
    matrix = affine_matrix_older(_from_middle(image, center), angle, translate, scale, shear)
    return _mapped(image, matrix, interpolation, fill)


def _mapped(image: Any, matrix: Matrix, interpolation: Any, fill: Any) -> Any:
    size = (image.shape[-1], image.shape[-2])
    grid = _affine_grid(matrix, _float_dtype(image), size, size)
    return _sampled(image, grid, mode_of(interpolation), fill)


def _from_middle(image: Any, center: Any) -> list[float]:
    if center is None:
        return [0.0, 0.0]
    height, width = image.shape[-2:]
    return [center[0] - width * 0.5, center[1] - height * 0.5]


def rotate_image(
    image: Any,
    angle: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """An image turned counter-clockwise by an angle in degrees, about its centre or another place
    (x, y); `expand` makes room for its corners.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.rotate_image(ag.arange(4).reshape(1, 2, 2), 90)
    tensor([[[1, 3],
             [0, 2]]])
    """
    angle = angle % 360
    height, width = image.shape[-2:]
    quarters, rest = divmod(angle, 90)
    if center is None and rest == 0 and (quarters in (0, 2) or expand or height == width):
        return image.rot90(int(quarters), (-2, -1)) if quarters else image.clone()
    return _turned(image, affine_matrix, angle, interpolation, expand, center, fill)


def rotate_older(
    image: Any,
    angle: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """`rotate_image` as the older transforms do it: every angle by sampling."""
    return _turned(image, affine_matrix_older, angle, interpolation, expand, center, fill)


def _turned(
    image: Any, matrix_of: Any, angle: Any, interpolation: Any, expand: bool, center: Any, fill: Any
) -> Any:
    height, width = image.shape[-2:]
    matrix = matrix_of(_from_middle(image, center), -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    new = turned_size(matrix, width, height) if expand else (width, height)
    grid = _affine_grid(matrix, _float_dtype(image), (width, height), new)
    return _sampled(image, grid, mode_of(interpolation), fill)


# -- perspective -----------------------------------------------------------------------------------


def perspective_coefficients(startpoints: Any, endpoints: Any, given: Any = None) -> Matrix:
    """The eight numbers a to h with which a place (x, y) of the result comes from
    ``((ax + by + c) / (gx + hy + 1), (dx + ey + f) / (gx + hy + 1))``, where `startpoints` come to
    `endpoints`."""
    if given is not None:
        if startpoints is not None and endpoints is not None:
            raise ValueError(
                "The startpoints/endpoints and the coefficients shouldn't be defined concurrently."
            )
        if len(given) != 8:
            raise ValueError("Argument coefficients should have 8 float values")
        return list(given)
    if startpoints is None or endpoints is None:
        raise ValueError(
            "Either the startpoints/endpoints or the coefficients must have non `None` values."
        )
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and "
            f"{len(endpoints)} endpoints."
        )
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    places = np.array(startpoints, np.float64).reshape(8)
    solution = np.linalg.lstsq(np.array(rows, np.float64), places, rcond=None)[0]
    found: Matrix = solution.astype(np.float32).tolist()
    return found


def perspective_image(
    image: Any,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
    coefficients: Any = None,
) -> Any:
    """An image whose four corners `startpoints` (each (x, y)) are moved to `endpoints`, as seen
    from elsewhere.

    >>> from argand.vision.transforms.v2 import functional
    >>> corners = [[0, 0], [3, 0], [3, 3], [0, 3]]
    >>> functional.perspective_image(ag.ones(1, 4, 4), corners, corners).shape
    argand.Size([1, 4, 4])
    """
    numbers = perspective_coefficients(startpoints, endpoints, coefficients)
    dtype, (h, w) = _float_dtype(image), image.shape[-2:]
    places = _places((w, h), dtype, centred=False)
    above = tensor(numbers[:6], dtype=dtype).reshape(2, 3).T
    above = above / tensor([0.5 * w, 0.5 * h], dtype=dtype)
    below = tensor([[*numbers[6:], 1.0]] * 2, dtype=dtype).T
    grid = ((places @ above) / (places @ below) - 1.0).reshape(1, h, w, 2)
    return _sampled(image, grid, mode_of(interpolation), fill)


# -- elastic ---------------------------------------------------------------------------------------


def identity_grid(size: Sequence[int], dtype: Any) -> Any:
    """The places (1, h, w, 2) that an image has itself."""
    x, y = (linspace((1 - n) / n, (n - 1) / n, n, dtype=dtype) for n in (size[1], size[0]))
    h, w = size
    return stack([x.expand(h, w), y.unsqueeze(-1).expand(h, w)], dim=-1).unsqueeze(0)


def check_displacement(displacement: Any, size: Sequence[int]) -> None:
    """Refuse what is no tensor (1, h, w, 2)."""
    if not isinstance(displacement, Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    expected = (1, size[0], size[1], 2)
    if tuple(displacement.shape) != expected:
        raise ValueError(
            f"Argument displacement shape should be {expected}, but given "
            f"{tuple(displacement.shape)}"
        )


def elastic_image(
    image: Any,
    displacement: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """An image bent: each pixel comes from its place plus a displacement (1, H, W, 2), where the
    whole image is [-1, 1].

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.elastic_image(ag.ones(1, 2, 2), ag.zeros(1, 2, 2, 2))
    tensor([[[1., 1.],
             [1., 1.]]])
    """
    size = image.shape[-2:]
    check_displacement(displacement, size)
    half = image.dtype is float16
    dtype = float32 if half else _float_dtype(image)
    grid = identity_grid(size, dtype) + displacement.to(dtype)
    found = _sampled(image.to(float32) if half else image, grid, mode_of(interpolation), fill)
    return found.to(image.dtype)
