"""How pixels between pixels are found."""

from __future__ import annotations

from enum import Enum
from typing import Any


class InterpolationMode(Enum):
    """How the value between pixels is found; box, hamming and lanczos are for PIL images only.

    >>> ag.vision.transforms.InterpolationMode("bilinear").name
    'BILINEAR'
    """

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's numbers of them.
PIL_MODES = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}
_BY_NUMBER = {number: m for m, number in PIL_MODES.items() if m.name != "NEAREST_EXACT"}


def mode_of(interpolation: Any) -> InterpolationMode:
    """A mode by itself, by its name, or by Pillow's number."""
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    if isinstance(interpolation, str):
        names = [m.value for m in InterpolationMode]
        if interpolation not in names:
            raise ValueError(
                f"Invalid interpolation mode: '{interpolation}'. Supported string values are: "
                f"{names}."
            )
        return InterpolationMode(interpolation)
    if isinstance(interpolation, int) and interpolation in _BY_NUMBER:
        return _BY_NUMBER[interpolation]
    raise ValueError(
        "Argument interpolation should be an `InterpolationMode` or a corresponding Pillow integer "
        f"constant, but got {interpolation}."
    )
