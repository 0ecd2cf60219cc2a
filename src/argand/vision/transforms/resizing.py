"""Images at another size or with other borders: tensors (..., C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np

from argand.base.dtype import float32, float64, uint8
from argand.nn import functional as F
from argand.tensor.core import wrap
from argand.tensor.creation import tensor
from argand.vision.transforms.modes import InterpolationMode, mode_of

_NEAREST = (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT)


def horizontal_flip_image(image: Any) -> Any:
    """Left and right swapped.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.horizontal_flip_image(ag.arange(3).reshape(1, 1, 3))
    tensor([[[2, 1, 0]]])
    """
    return image.flip(-1)


def vertical_flip_image(image: Any) -> Any:
    """Top and bottom swapped."""
    return image.flip(-2)


# -- another size ----------------------------------------------------------------------------------


def resized_size(canvas: Sequence[int], size: Any, max_size: int | None = None) -> tuple[int, int]:
    """The height and width after `resize`: `size` as (h, w), or one number for the shorter side,
    the longer then at most `max_size`; None makes the longer side `max_size`."""
    h, w = canvas
    if size is not None and not isinstance(size, int) and len(size) == 2:
        if max_size is not None:
            raise ValueError(
                "max_size should only be passed if size is None or specifies the length of the "
                "smaller edge, i.e. size should be an int or a sequence of length 1 in torchscript "
                "mode."
            )
        return int(size[0]), int(size[1])
    short, long = min(h, w), max(h, w)
    if size is None:
        if not isinstance(max_size, int):
            raise ValueError(
                f"max_size must be an integer when size is None, but got {max_size} instead."
            )
        sides = (int(max_size * short / long), max_size)
    else:
        wanted = size if isinstance(size, int) else size[0]
        sides = (wanted, int(wanted * long / short))
        if max_size is not None:
            if max_size <= wanted:
                raise ValueError(
                    f"max_size = {max_size} must be strictly greater than the requested size for "
                    f"the smaller edge size = {size}"
                )
            if sides[1] > max_size:
                sides = (int(max_size * sides[0] / sides[1]), max_size)
    return (sides[1], sides[0]) if w <= h else sides


def resize_image(
    image: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Images at another size: (h, w), or one number for the shorter side. See `F.interpolate`.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.resize_image(ag.ones(3, 8, 12), 4).shape
    argand.Size([3, 4, 6])
    """
    return _resized(image, size, mode_of(interpolation), max_size, antialias, (uint8,))


def resize_by_floats(
    image: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """`resize_image` as the older transforms do it: bytes are computed as floats, then rounded."""
    return _resized(image, size, mode_of(interpolation), max_size, antialias, ())


def _resized(
    image: Any,
    size: Any,
    mode: InterpolationMode,
    max_size: int | None,
    antialias: bool | None,
    natively: tuple[Any, ...],
) -> Any:
    smooth = mode not in _NEAREST
    if mode is InterpolationMode.LANCZOS and not antialias:
        raise ValueError("InterpolationMode.LANCZOS requires antialias=True")
    shape, old = image.shape, tuple(image.shape[-2:])
    new = resized_size(old, size, max_size)
    if new == old:
        return image
    wanted = (*shape[:-2], *new)
    if image.numel() == 0:
        return image.reshape(wanted)
    batch = image.reshape(-1, *shape[-3:]) if image.ndim > 2 else image.reshape(1, 1, *shape)
    whole = image.dtype not in (float32, float64, *natively) and (smooth or image.dtype != uint8)
    options = {"align_corners": False, "antialias": bool(antialias)} if smooth else {}
    batch = batch.to(float32) if whole else batch
    found = F.interpolate(batch, new, mode=mode.value, **options)
    if whole:
        found = _as_pixels(found, image.dtype, smooth)
    return found.reshape(wanted)


def _as_pixels(floats: Any, dtype: Any, overshoots: bool) -> Any:
    """Floats, which a cubic may have carried out of range, in the dtype of an image."""
    if overshoots and dtype == uint8:
        floats = floats.clamp(0, 255)
    return floats.to(dtype) if dtype.is_floating_point else floats.round().to(dtype)


# -- parts -----------------------------------------------------------------------------------------


def crop_image(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part of an image from a row and column on; what lies outside of the image is 0.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.crop_image(ag.arange(4).reshape(1, 2, 2), 1, 1, 1, 2)
    tensor([[[3, 0]]])
    """
    h, w = image.shape[-2:]
    bottom, right = top + height, left + width
    inside = image[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= w and bottom <= h:
        return inside
    sides = (
        max(min(right, 0) - left, 0),
        max(right - max(w, left), 0),
        max(min(bottom, 0) - top, 0),
        max(bottom - max(h, top), 0),
    )
    return _padded(inside, sides, 0, "constant")


def two_numbers(size: Any, message: str = "") -> tuple[int, int]:
    """A height and width, of one number or two."""
    if isinstance(size, Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message or "Please provide only two dimensions (h, w) for size.")
    return size[0], size[1]


def center_anchor(size: Sequence[int], canvas: Sequence[int]) -> tuple[int, int]:
    """The top and left of the middle part of that size."""
    return round((canvas[0] - size[0]) / 2.0), round((canvas[1] - size[1]) / 2.0)


def center_padding(size: Sequence[int], canvas: Sequence[int]) -> list[int]:
    """What an image lacks of a size: left, top, right, bottom."""
    rows, columns = (max(s - c, 0) for s, c in zip(size, canvas, strict=True))
    return [columns // 2, rows // 2, (columns + 1) // 2, (rows + 1) // 2]


def center_crop_image(image: Any, output_size: Any) -> Any:
    """The middle of an image, with zeros around where the image is smaller.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.center_crop_image(ag.arange(16).reshape(1, 4, 4), 2).flatten()
    tensor([ 5,  6,  9, 10])
    """
    size = two_numbers(output_size)
    if image.numel() == 0:
        return image.reshape(*image.shape[:-2], *size)
    left, top, right, bottom = center_padding(size, image.shape[-2:])
    if left or top or right or bottom:
        image = F.pad(image, (left, right, top, bottom))
    top, left = center_anchor(size, image.shape[-2:])
    return image[..., top : top + size[0], left : left + size[1]]


def resized_crop_image(
    image: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A part of an image at another size: `crop`, then `resize`.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.resized_crop_image(ag.ones(1, 8, 8), 1, 1, 4, 4, [2, 3]).shape
    argand.Size([1, 2, 3])
    """
    part = crop_image(image, top, left, height, width)
    return resize_image(part, size, interpolation, antialias=antialias)


# -- borders ---------------------------------------------------------------------------------------

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


def sides_of(padding: Any) -> tuple[int, int, int, int]:
    """Left, right, top and bottom of a padding: one number, (left and right, top and bottom), or
    (left, top, right, bottom)."""
    if isinstance(padding, int):
        return padding, padding, padding, padding
    if not isinstance(padding, tuple | list):
        raise TypeError(
            f"`padding` should be an integer or tuple or list of integers, but got {padding}"
        )
    if len(padding) not in (1, 2, 4):
        raise ValueError(
            "Padding must be an int or a 1, 2, or 4 element tuple or list. Found "
            f"{len(padding)}: {padding!r}"
        )
    left, top, right, bottom = tuple(padding) * (4 // len(padding))
    return left, right, top, bottom


def pad_image(image: Any, padding: Any, fill: Any = None, padding_mode: str = "constant") -> Any:
    """Pixels around an image: `fill` (a number, or one for each channel), or the image's own, its
    edge repeated, or mirrored without ("reflect") or with ("symmetric") the edge. A negative
    padding cuts off.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.pad_image(ag.arange(2).reshape(1, 1, 2), [2, 0], padding_mode="symmetric")
    tensor([[[1, 0, 0, 1, 1, 0]]])
    """
    sides = sides_of(padding)
    if padding_mode not in PADDING_MODES:
        raise ValueError(
            "`padding_mode` should be either `'constant'`, `'edge'`, `'reflect'` or "
            f"`'symmetric'`, but got `'{padding_mode}'`."
        )
    fill = 0 if fill is None else fill
    if isinstance(fill, int | float):
        return _padded(image, sides, fill, padding_mode)
    if len(fill) == 1:
        return _padded(image, sides, fill[0], padding_mode)
    if padding_mode != "constant":
        raise ValueError(f"Padding mode '{padding_mode}' is not supported if fill is not scalar")
    colours = tensor(fill).to(image.dtype).reshape(-1, 1, 1)
    within = _padded(image.new_ones(image.shape[-2:]), sides, 0, "constant").bool()
    return _padded(image, sides, 0, "constant").where(within, colours)


def _padded(image: Any, sides: Sequence[int], fill: Any, mode: str) -> Any:
    if mode == "constant":
        value = float(fill) if image.is_floating_point() else int(fill)
        return F.pad(image, tuple(sides), value=value)
    if mode == "symmetric":
        return _mirrored(image, sides)
    batch = image.reshape(-1, *image.shape[-3:])
    floats = batch if image.is_floating_point() else batch.to(float64)
    name = "replicate" if mode == "edge" else mode
    found = F.pad(floats, tuple(sides), mode=name).to(image.dtype)
    return found.reshape(*image.shape[:-2], *found.shape[-2:])


def _mirrored(image: Any, sides: Sequence[int]) -> Any:
    """The edges mirrored with the outermost pixels; the places are those of NumPy's pad."""
    left, right, top, bottom = sides
    columns, rows = (
        np.pad(np.arange(n)[max(-a, 0) : n - max(-b, 0)], (max(a, 0), max(b, 0)), "symmetric")
        for n, a, b in ((image.shape[-1], left, right), (image.shape[-2], top, bottom))
    )
    return image[..., wrap(rows)[:, None], wrap(columns)]


# -- several parts ---------------------------------------------------------------------------------


def five_crop_image(image: Any, size: Any) -> tuple[Any, ...]:
    """The four corners and the middle of an image, as a tuple.

    >>> from argand.vision.transforms.v2 import functional
    >>> [c.item() for c in functional.five_crop_image(ag.arange(9).reshape(1, 3, 3), 1)]
    [0, 2, 6, 8, 4]
    """
    height, width = check_five_crop(size, image.shape[-2:])
    return tuple(
        crop_image(image, top, left, height, width)
        for top, left in corners(height, width, *image.shape[-2:])
    )


def check_five_crop(size: Any, canvas: Sequence[int]) -> tuple[int, int]:
    """The height and width of parts that fit an image."""
    height, width = two_numbers(size)
    if width > canvas[1] or height > canvas[0]:
        raise ValueError(f"Requested crop size {size} is bigger than input size {tuple(canvas)}")
    return height, width


def corners(height: int, width: int, h: int, w: int) -> list[tuple[int, int]]:
    """The top and left of the parts of `five_crop`."""
    bottom, right = h - height, w - width
    return [
        (0, 0),
        (0, right),
        (bottom, 0),
        (bottom, right),
        center_anchor((height, width), (h, w)),
    ]


def ten_crop_image(image: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """The five parts of `five_crop`, and those of the image flipped left to right, or top to
    bottom.

    >>> from argand.vision.transforms.v2 import functional
    >>> len(functional.ten_crop_image(ag.zeros(1, 3, 3), 2))
    10
    """
    flipped = image.flip(-2 if vertical_flip else -1)
    return five_crop_image(image, size) + five_crop_image(flipped, size)
