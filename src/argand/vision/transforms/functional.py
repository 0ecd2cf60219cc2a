"""`torchvision.transforms.functional`: the older transforms as functions of their numbers.

They take PIL images and tensors (..., C, H, W). Where they compute bytes by another way than the
newer ones, as `resize` does, the results may differ by one.
"""

from __future__ import annotations

from typing import Any

from argand.base.dtype import float32
from argand.tensor.core import Tensor
from argand.vision.pillow import is_pil
from argand.vision.transforms import on_pil
from argand.vision.transforms.colours import (
    adjust_contrast_older,
    adjust_saturation_older,
    adjust_sharpness_older,
    autocontrast_older,
    erase_image,
    rgb_to_grayscale_older,
)
from argand.vision.transforms.conversion import (
    brightest,
    pil_to_tensor,
    to_dtype_image,
    to_pil_image,
    to_tensor,
)
from argand.vision.transforms.dispatch import Functional
from argand.vision.transforms.modes import InterpolationMode
from argand.vision.transforms.resizing import crop_image, resize_by_floats
from argand.vision.transforms.v2 import functional as newer
from argand.vision.transforms.v2.functional import (
    adjust_brightness,
    adjust_gamma,
    adjust_hue,
    center_crop,
    crop,
    elastic_transform,
    equalize,
    five_crop,
    gaussian_blur,
    get_dimensions,
    get_image_num_channels,
    get_image_size,
    hflip,
    invert,
    normalize,
    pad,
    perspective,
    posterize,
    solarize,
    ten_crop,
    vflip,
)
from argand.vision.transforms.warping import affine_older, rotate_older

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "elastic_transform",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]


def _resized_crop(
    image: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A part of an image at another size: `crop`, then `resize`."""
    part = crop_image(image, top, left, height, width)
    return resize_by_floats(part, size, interpolation, antialias=antialias)


resize = Functional("resize", resize_by_floats, on_pil.resize)
resized_crop = Functional("resized_crop", _resized_crop, on_pil.resized_crop)
affine = Functional("affine", affine_older, on_pil.affine_older)
rotate = Functional("rotate", rotate_older, on_pil.rotate)
adjust_contrast = Functional("adjust_contrast", adjust_contrast_older, on_pil.adjust_contrast)
adjust_saturation = Functional(
    "adjust_saturation", adjust_saturation_older, on_pil.adjust_saturation
)
adjust_sharpness = Functional("adjust_sharpness", adjust_sharpness_older, on_pil.adjust_sharpness)
autocontrast = Functional("autocontrast", autocontrast_older, on_pil.autocontrast)
rgb_to_grayscale = Functional("rgb_to_grayscale", rgb_to_grayscale_older, on_pil.rgb_to_grayscale)
erase = Functional("erase", erase_image)

OLDER = {
    getattr(newer, f.__name__): f
    for f in (
        resize,
        resized_crop,
        affine,
        rotate,
        adjust_contrast,
        adjust_saturation,
        adjust_sharpness,
        autocontrast,
        rgb_to_grayscale,
    )
}
"""By the newer function, the older one that computes tensors in another way."""


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A PIL image in gray, in one channel or three equal ones; `rgb_to_grayscale` takes tensors.

    >>> from PIL import Image
    >>> from argand.vision.transforms import functional
    >>> functional.to_grayscale(Image.new("RGB", (2, 2))).mode
    'L'
    """
    if not is_pil(img):
        raise TypeError("Input should be PIL Image")
    return on_pil.rgb_to_grayscale(img, num_output_channels)


def convert_image_dtype(image: Any, dtype: Any = float32) -> Any:
    """A tensor in another dtype, its values in that dtype's range, [0, 1] for floats.

    >>> ag.vision.transforms.functional.convert_image_dtype(ag.ones(1, 1, 1), ag.uint8)
    tensor([[[255]]], dtype=argand.uint8)
    """
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    if dtype.is_floating_point and not image.is_floating_point():
        return image.to(dtype) / brightest(image.dtype)
    return to_dtype_image(image, dtype, scale=True)
