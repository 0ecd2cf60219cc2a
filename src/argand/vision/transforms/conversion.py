"""From PIL images and arrays to tensors and back, and from one dtype of pixels to another."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from argand.base.dtype import (
    DType,
    float32,
    float64,
    get_default_dtype,
    int32,
    int64,
    uint8,
    uint16,
)
from argand.tensor.core import Tensor, wrap
from argand.vision import tv_tensors
from argand.vision.pillow import from_pixels, is_pil, pixels

_WIDE = "I;16" if sys.byteorder == "little" else "I;16B"
_VALUE_BITS = {"uint8": 8, "int8": 7, "int16": 15, "uint16": 16, "int32": 31, "int64": 63}


def value_bits(dtype: DType) -> int:
    """How many bits of an integer dtype hold a pixel's value."""
    if dtype.name not in _VALUE_BITS:
        raise TypeError(
            f"Number of value bits is only defined for integer dtypes, but got {dtype}."
        )
    return _VALUE_BITS[dtype.name]


def brightest(dtype: DType) -> int:
    """The greatest value of a pixel: 1 for floats."""
    return (1 << _VALUE_BITS[dtype.name]) - 1 if dtype.name in _VALUE_BITS else 1


def pil_to_tensor(pic: Any) -> Tensor:
    """The pixels of a PIL image as a tensor (C, H, W) of its own dtype, unscaled.

    >>> from PIL import Image
    >>> ag.vision.transforms.functional.pil_to_tensor(Image.new("RGB", (3, 2), (1, 2, 3)))[:, 0, 0]
    tensor([1, 2, 3], dtype=argand.uint8)
    """
    if not is_pil(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    found: Tensor = wrap(pixels(pic)).permute(2, 0, 1)
    return found


def to_tensor(pic: Any) -> Tensor:
    """A PIL image, or an array (H, W) or (H, W, C), as a tensor (C, H, W); bytes become floats of
    the default dtype in [0, 1].

    >>> ag.vision.transforms.functional.to_tensor(np.full((1, 2), 51, np.uint8))
    tensor([[[0.2000, 0.2000]]])
    """
    if not is_pil(pic) and not isinstance(pic, np.ndarray):
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        planes = pic[None] if pic.ndim == 2 else pic.transpose(2, 0, 1)
    else:
        planes = pixels(pic).transpose(2, 0, 1)
        if pic.mode == "1":
            planes = planes * np.uint8(255)
        elif pic.mode == _WIDE:
            planes = planes.view(np.int16)
    made = wrap(np.array(planes, order="C"))
    return made.to(get_default_dtype()).div(255) if planes.dtype == np.uint8 else made


# Modes that a number of channels may have, and the one that bytes have if none is asked for.
_MODES = {
    2: (("LA",), "LA"),
    3: (("RGB", "YCbCr", "HSV"), "RGB"),
    4: (("RGBA", "CMYK", "RGBX"), "RGBA"),
}
_GRAY = {"uint8": "L", "int16": _WIDE, "int32": "I", "float32": "F"}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), as a PIL image; floats in
    [0, 1] become bytes, but for the mode "F".

    Raises TypeError for what is neither, ValueError for other shapes or a mode that doesn't fit.

    >>> ag.vision.transforms.functional.to_pil_image(ag.zeros(3, 2, 4)).size
    (4, 2)
    """
    array = _channels_last(pic)
    if np.issubdtype(array.dtype, np.floating) and mode != "F":
        # bytes of floats wrap around, as torchvision's do
        array = (array * 255).astype(np.int64).astype(np.uint8)
    count = array.shape[2]
    if count == 1:
        expected = _GRAY.get(array.dtype.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {array.dtype}. Should be "
                f"{expected}"
            )
        mode = expected
    else:
        fitting, usual = _MODES[count]
        if mode is not None and mode not in fitting:
            raise ValueError(f"Only modes {list(fitting)} are supported for {count}D inputs")
        if mode is None and array.dtype == np.uint8:
            mode = usual
    if mode is None:
        raise TypeError(f"Input type {array.dtype} is not supported")
    return from_pixels(array, mode)


def _channels_last(pic: Any) -> np.ndarray:
    if isinstance(pic, Tensor):
        plain: Any = pic.as_subclass(Tensor).detach()
        array: np.ndarray = (plain.permute(1, 2, 0) if plain.ndim == 3 else plain).numpy()
    elif isinstance(pic, np.ndarray):
        array = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    if not 1 <= array.shape[2] <= 4:
        raise ValueError(f"pic should not have > 4 channels. Got {array.shape[2]} channels.")
    return array


def to_image(inpt: Any) -> Any:
    """A tensor, an array (H, W, C) or (H, W), or a PIL image as `tv_tensors.Image`, unscaled.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.to_image(np.zeros((2, 4, 3), np.uint8)).shape
    argand.Size([3, 2, 4])
    """
    if isinstance(inpt, np.ndarray):
        inpt = wrap(np.ascontiguousarray(np.atleast_3d(inpt).transpose(2, 0, 1)))
    elif is_pil(inpt):
        inpt = pil_to_tensor(inpt)
    elif not isinstance(inpt, Tensor):
        raise TypeError(
            "Input can either be a pure Tensor, a numpy array, or a PIL image, but got "
            f"{type(inpt)} instead."
        )
    return tv_tensors.Image(inpt)


def to_dtype_image(image: Any, dtype: Any = float32, scale: bool = False) -> Any:
    """An image in another dtype; with `scale`, its values go from the range of one dtype ([0, 1]
    for floats) to that of the other.

    Raises RuntimeError where floats can't tell the integers of the dtype apart.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.to_dtype_image(ag.tensor([[[0, 255]]], dtype=ag.uint8), ag.float32, scale=True)
    tensor([[[0., 1.]]])
    """
    if image.dtype == dtype:
        return image
    if not scale:
        return image.to(dtype)
    if image.is_floating_point():
        return _scaled_from_floats(image, dtype)
    if dtype.is_floating_point:
        return image.to(dtype) * (1.0 / brightest(image.dtype))
    shift = value_bits(dtype) - value_bits(image.dtype)
    if shift < 0:
        if image.dtype is uint16:
            return (image / 2**-shift).to(dtype)
        return (image >> -shift).to(dtype)
    return image.to(dtype) * 2**shift if dtype is uint16 else image.to(dtype) << shift


def _scaled_from_floats(image: Any, dtype: Any) -> Any:
    if dtype.is_floating_point:
        return image.to(dtype)
    if (image.dtype is float32 and dtype in (int32, int64)) or (
        image.dtype is float64 and dtype is int64
    ):
        raise RuntimeError(
            f"The conversion from {image.dtype} to {dtype} cannot be performed safely."
        )
    # just below the next integer, so that every integer gets an equal share of [0, 1]
    return (image * (brightest(dtype) + 1.0 - 1e-3)).to(dtype)


def convert_image_dtype(image: Any, dtype: Any = float32) -> Any:
    """An image in another dtype, its values in that dtype's range: `to_dtype` with ``scale=True``.

    >>> ag.vision.transforms.functional.convert_image_dtype(ag.ones(1, 1, 1), ag.uint8)
    tensor([[[255]]], dtype=argand.uint8)
    """
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    return to_dtype_image(image, dtype, scale=True)


__all__ = [
    "brightest",
    "convert_image_dtype",
    "pil_to_tensor",
    "to_dtype_image",
    "to_image",
    "to_pil_image",
    "to_tensor",
    "uint8",
    "value_bits",
]
