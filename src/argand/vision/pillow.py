"""Pillow, which is loaded when an image first needs it."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from argand.base.errors import missing_extra


def pillow(module: str = "Image", why: str = "reading and drawing images") -> Any:
    """A module of Pillow, such as `PIL.Image`.

    Raises MissingExtraError, which says how to install it, where it isn't there.
    """
    try:
        return importlib.import_module(f"PIL.{module}")
    except ImportError as e:
        raise missing_extra("pillow", "vision", why) from e


def is_pil(x: Any) -> bool:
    """Whether `x` is an image of Pillow's; it doesn't load Pillow."""
    loaded = sys.modules.get("PIL.Image")
    return loaded is not None and isinstance(x, loaded.Image)


def channels(image: Any) -> int:
    """The number of channels of a PIL image."""
    return len(image.getbands())


def pixels(image: Any) -> np.ndarray:
    """The pixels of a PIL image as an array (H, W, C) that may be written."""
    width, height = image.size
    return np.array(image, copy=True).reshape(height, width, channels(image))


def from_pixels(array: np.ndarray, mode: str) -> Any:
    """A PIL image of that mode with the pixels of an array (H, W) or (H, W, C)."""
    size = (array.shape[1], array.shape[0])
    return pillow().frombytes(mode, size, np.ascontiguousarray(array).tobytes())
