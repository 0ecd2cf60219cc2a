"""What the transforms do with PIL images: Pillow's own operations, with the transforms' names."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from argand.vision.pillow import channels, from_pixels, pillow, pixels
from argand.vision.transforms import colours, resizing, warping
from argand.vision.transforms.conversion import pil_to_tensor, to_pil_image
from argand.vision.transforms.modes import PIL_MODES, InterpolationMode, mode_of


def by_tensor(kernel: Any) -> Any:
    """A kernel of tensors for PIL images: there and back, in the image's own mode."""

    def on_image(image: Any, *args: Any, **kwargs: Any) -> Any:
        return to_pil_image(kernel(pil_to_tensor(image), *args, **kwargs), mode=image.mode)

    return on_image


def _colour(fill: Any, image: Any) -> Any:
    """A filling as Pillow takes it: a number, or one for each channel."""
    count = channels(image)
    fill = 0 if fill is None else fill
    if isinstance(fill, int | float) and count > 1:
        fill = [fill] * count
    if isinstance(fill, list | tuple):
        fill = list(fill) * count if len(fill) == 1 else list(fill)
        if len(fill) != count:
            raise ValueError(
                "The number of elements in 'fill' does not match the number of channels of the "
                f"image ({len(fill)} != {count})"
            )
        return tuple(fill) if image.mode == "F" else tuple(int(v) for v in fill)
    return fill if image.mode == "F" else int(fill)


# -- size and place --------------------------------------------------------------------------------


def horizontal_flip(image: Any) -> Any:
    """`horizontal_flip_image` for a PIL image, by Pillow."""
    return image.transpose(pillow().Transpose.FLIP_LEFT_RIGHT)


def vertical_flip(image: Any) -> Any:
    """`vertical_flip_image` for a PIL image, by Pillow."""
    return image.transpose(pillow().Transpose.FLIP_TOP_BOTTOM)


def resize(
    image: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: Any = None,
    antialias: Any = True,
) -> Any:
    """`resize_image` for a PIL image, by Pillow."""
    new = resizing.resized_size((image.height, image.width), size, max_size)
    if new == (image.height, image.width):
        return image
    return image.resize(new[::-1], PIL_MODES[mode_of(interpolation)])


def crop(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """`crop_image` for a PIL image, by Pillow."""
    return image.crop((left, top, left + width, top + height))


def center_crop(image: Any, output_size: Any) -> Any:
    """`center_crop_image` for a PIL image, by Pillow."""
    size = resizing.two_numbers(output_size)
    padding = resizing.center_padding(size, (image.height, image.width))
    if any(padding):
        image = pad(image, padding, 0)
    top, left = resizing.center_anchor(size, (image.height, image.width))
    return image if size == (image.height, image.width) else crop(image, top, left, *size)


def resized_crop(
    image: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: Any = True,
) -> Any:
    """`resized_crop_image` for a PIL image, by Pillow."""
    return resize(crop(image, top, left, height, width), size, interpolation)


def five_crop(image: Any, size: Any) -> tuple[Any, ...]:
    """`five_crop_image` for a PIL image, by Pillow."""
    canvas = (image.height, image.width)
    height, width = resizing.check_five_crop(size, canvas)
    places = resizing.corners(height, width, *canvas)
    return tuple(crop(image, top, left, height, width) for top, left in places)


def ten_crop(image: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`ten_crop_image` for a PIL image, by Pillow."""
    modes = pillow().Transpose
    flip = modes.FLIP_TOP_BOTTOM if vertical_flip else modes.FLIP_LEFT_RIGHT
    return five_crop(image, size) + five_crop(image.transpose(flip), size)


def pad(image: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """`pad_image` for a PIL image, by Pillow."""
    left, right, top, bottom = resizing.sides_of(padding)
    if padding_mode not in resizing.PADDING_MODES:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    palette = image.getpalette() if image.mode == "P" else None
    if padding_mode == "constant":
        expand = pillow("ImageOps").expand
        found = expand(image, (left, top, right, bottom), fill=_colour(fill, image))
    else:
        cut = [max(-side, 0) for side in (left, top, right, bottom)]
        if any(cut):
            image = image.crop((cut[0], cut[1], image.width - cut[2], image.height - cut[3]))
        sides = ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0))
        array = np.asarray(image)
        found = pillow().fromarray(np.pad(array, sides[: array.ndim], padding_mode))  # type: ignore[call-overload]
    if palette is not None:
        found.putpalette(palette)
    return found


# -- maps ------------------------------------------------------------------------------------------


def affine(
    image: Any,
    angle: Any,
    translate: Any,
    scale: Any,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """`affine_image` for a PIL image, by Pillow."""
    matrix = _matrix(image, warping.affine_matrix, angle, translate, scale, shear, center)
    return _transformed(image, pillow().Transform.AFFINE, matrix, interpolation, fill)


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
    """`affine_older` for a PIL image, by Pillow."""
    matrix = _matrix(image, warping.affine_matrix_older, angle, translate, scale, shear, center)
    return _transformed(image, pillow().Transform.AFFINE, matrix, interpolation, fill)


def _matrix(
    image: Any, matrix_of: Any, angle: Any, translate: Any, scale: Any, shear: Any, center: Any
) -> Any:
    checked = warping.affine_arguments(angle, translate, scale, shear, center)
    middle = checked[3] or [image.width * 0.5, image.height * 0.5]
    return matrix_of(middle, checked[0], checked[1], scale, checked[2])


def perspective(
    image: Any,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
    coefficients: Any = None,
) -> Any:
    """`perspective_image` for a PIL image, by Pillow."""
    numbers = warping.perspective_coefficients(startpoints, endpoints, coefficients)
    return _transformed(image, pillow().Transform.PERSPECTIVE, numbers, interpolation, fill)


def _transformed(image: Any, method: Any, numbers: Any, interpolation: Any, fill: Any) -> Any:
    mode = PIL_MODES[mode_of(interpolation)]
    return image.transform(image.size, method, numbers, mode, fillcolor=_colour(fill, image))


def rotate(
    image: Any,
    angle: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """`rotate_image` for a PIL image, by Pillow."""
    mode = PIL_MODES[mode_of(interpolation)]
    return image.rotate(angle, mode, expand, center, fillcolor=_colour(fill, image))


elastic = by_tensor(warping.elastic_image)


# -- colours ---------------------------------------------------------------------------------------


def rgb_to_grayscale(image: Any, num_output_channels: int = 1) -> Any:
    """`rgb_to_grayscale_image` for a PIL image, by Pillow."""
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}.")
    gray = image.convert("L")
    if num_output_channels == 1:
        return gray
    return pillow().merge("RGB", (gray, gray, gray))


def grayscale_to_rgb(image: Any) -> Any:
    """`grayscale_to_rgb_image` for a PIL image, by Pillow."""
    return image.convert("RGB")


def adjust_brightness(image: Any, brightness_factor: float) -> Any:
    """`adjust_brightness_image` for a PIL image, by Pillow."""
    return pillow("ImageEnhance").Brightness(image).enhance(brightness_factor)


def adjust_contrast(image: Any, contrast_factor: float) -> Any:
    """`adjust_contrast_image` for a PIL image, by Pillow."""
    return pillow("ImageEnhance").Contrast(image).enhance(contrast_factor)


def adjust_saturation(image: Any, saturation_factor: float) -> Any:
    """`adjust_saturation_image` for a PIL image, by Pillow."""
    return pillow("ImageEnhance").Color(image).enhance(saturation_factor)


def adjust_sharpness(image: Any, sharpness_factor: float) -> Any:
    """`adjust_sharpness_image` for a PIL image, by Pillow."""
    return pillow("ImageEnhance").Sharpness(image).enhance(sharpness_factor)


def adjust_hue(image: Any, hue_factor: float) -> Any:
    """`adjust_hue_image` for a PIL image, by Pillow."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if image.mode in ("L", "1", "I", "F"):
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = pixels(hue)[..., 0] + np.uint8(int(hue_factor * 255) % 256)
    parts = (from_pixels(turned, "L"), saturation, value)
    return pillow().merge("HSV", parts).convert(image.mode)


def adjust_gamma(image: Any, gamma: float, gain: float = 1.0) -> Any:
    """`adjust_gamma_image` for a PIL image, by Pillow."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    table = [int((255 + 1 - 1e-3) * gain * pow(value / 255.0, gamma)) for value in range(256)]
    return image.convert("RGB").point(table * 3).convert(image.mode)


def invert(image: Any) -> Any:
    """`invert_image` for a PIL image, by Pillow."""
    return pillow("ImageOps").invert(image)


def posterize(image: Any, bits: int) -> Any:
    """`posterize_image` for a PIL image, by Pillow."""
    return pillow("ImageOps").posterize(image, bits)


def solarize(image: Any, threshold: float) -> Any:
    """`solarize_image` for a PIL image, by Pillow."""
    return pillow("ImageOps").solarize(image, threshold)


def autocontrast(image: Any) -> Any:
    """`autocontrast_image` for a PIL image, by Pillow."""
    return pillow("ImageOps").autocontrast(image)


def equalize(image: Any) -> Any:
    """`equalize_image` for a PIL image, by Pillow."""
    return pillow("ImageOps").equalize(image)


permute_channels = by_tensor(colours.permute_channels_image)
gaussian_blur = by_tensor(colours.gaussian_blur_image)
erase = by_tensor(colours.erase_image)


def gaussian_noise(image: Any, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> Any:
    """`gaussian_noise_image` for a PIL image, by Pillow."""
    raise ValueError("Gaussian Noise is not implemented for PIL images.")


def jpeg(image: Any, quality: int) -> Any:
    """What is left of an image that was written as JPEG."""
    written = io.BytesIO()
    image.save(written, format="JPEG", quality=quality)
    return pillow().open(written).copy()
