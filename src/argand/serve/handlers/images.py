"""Images from bytes, decoded by Pillow, as a model's input has them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, FormatError
from argand.export.card import Image, default_image, inputs_described
from argand.vision.pillow import pillow

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def image_of_input(card: Mapping[str, Any], name: str, shape: Sequence[Any]) -> Image:
    """How an input takes images: as the card says, else by its sizes; ArgumentError where its
    shape is no image's."""
    described = inputs_described(card).get(name)
    if isinstance(described, Image):
        return described
    if not may_be_image(shape):
        sizes = ", ".join(map(str, shape))
        raise ArgumentError(
            f"{name}({sizes}) takes no image of 1 or 3 channels, height and width; the field "
            f"inputs.{name} of the model card may say what it takes: ag.export.card.image(...)"
        )
    return replace(default_image(card), channels=shape[-3])


def may_be_image(shape: Sequence[Any]) -> bool:
    """Whether an input's sizes are those of an image."""
    return len(shape) in (3, 4) and shape[-3] in (1, 3)


def array_of_image(
    data: bytes, how: Image, shape: Sequence[Any] | None, dtype: np.dtype | None
) -> np.ndarray:
    """The pixels of one image in the layout and dtype of an input, without rows.

    FormatError where the bytes are no image that may be decoded; memory is bounded by the card's
    `max_pixels`.
    """
    pixels = _sized(_decoded(data, how), how, _size(how, shape))
    found = pixels.reshape(*pixels.shape[:2], how.channels)
    if dtype is None or dtype.kind not in "ui":
        scaled = found.astype(np.float32) / np.float32(how.scale)
        found = (scaled - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
        found = found.astype(dtype or np.float32, copy=False)
    if how.layout == "NCHW":
        found = found.transpose(2, 0, 1)
    return np.ascontiguousarray(found)


def _decoded(data: bytes, how: Image) -> Any:
    """The image; its size is known before anything is decoded."""
    library = pillow()
    try:
        image = library.open(io.BytesIO(data), formats=FORMATS)
        count = image.width * image.height
        if count > how.max_pixels:
            raise FormatError(
                f"an image of {image.width} x {image.height} pixels, the model takes up to "
                f"{how.max_pixels} (max_pixels of its card)"
            )
        return _in_bytes(image).convert(_MODES[how.channels])
    except FormatError:
        raise
    except library.UnidentifiedImageError:
        raise FormatError(f"no image of the formats {', '.join(FORMATS)}") from None
    except Exception as e:  # decoders raise many kinds
        raise FormatError(f"no image that can be read: {e!s:.200}") from None


def _in_bytes(image: Any) -> Any:
    """An image of 8 bits a pixel and channel; of more, Pillow would cut off what is above 255."""
    if image.mode.startswith("I;16"):
        pixels = np.asarray(image).astype(np.uint32)
        return pillow().fromarray(((pixels + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise FormatError("an image of 32 bits a pixel, the model takes up to 16")
    return image


def _size(how: Image, shape: Sequence[Any] | None) -> tuple[int | None, int | None]:
    """Height and width to make: the card's, else the input's where they are numbers."""
    if how.size is not None:
        return how.size[0], how.size[1]
    if shape is None or len(shape) < 3:
        return None, None
    sizes = shape[-2:] if how.layout == "NCHW" else shape[-3:-1]
    height, width = (s if type(s) is int else None for s in sizes)
    return height, width


def _sized(image: Any, how: Image, size: tuple[int | None, int | None]) -> np.ndarray:
    """The pixels, resized and cut."""
    resample = pillow().Resampling[how.interpolation.upper()]
    height, width = size[0] or image.height, size[1] or image.width
    if how.resize is not None:  # as torchvision's Resize and CenterCrop
        short = min(image.size)
        wide, high = (how.resize if s == short else how.resize * s // short for s in image.size)
        if wide * high > how.max_pixels:
            raise FormatError(f"resized, the image has {wide} x {high} pixels, too many")
        image = image.resize((wide, high), resample)
        left, top = round((wide - width) / 2), round((high - height) / 2)
        if size != (None, None):
            image = image.crop((left, top, left + width, top + height))
    elif image.size != (width, height):
        image = image.resize((width, height), resample)
    return np.asarray(image)


__all__ = ["array_of_image", "image_of_input", "may_be_image"]
