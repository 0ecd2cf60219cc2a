"""The colours of images: tensors (..., C, H, W) of bytes, other integers, or floats in [0, 1]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.dtype import float32, float64, int64, uint8
from argand.nn import functional as F
from argand.tensor.core import wrap
from argand.tensor.creation import tensor
from argand.tensor.formulas import linspace
from argand.tensor.joining import stack
from argand.tensor.random import randn_like
from argand.tensor.selecting import where
from argand.vision.transforms.conversion import brightest, to_dtype_image, value_bits

_WEIGHTS = (0.2989, 0.587, 0.114)


def _check_channels(image: Any) -> None:
    if image.shape[-3] not in (1, 3):
        raise TypeError(
            f"Input image tensor permitted channel values are 1 or 3, but found {image.shape[-3]}"
        )


def _check_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


# -- gray ------------------------------------------------------------------------------------------


def _plus(x: Any, y: Any, factor: float, fused: bool) -> Any:
    """``x + factor y``. Of whole numbers, `fused` rounds it once to float32, as torchvision's newer
    transforms do; where the result is cut off, a last bit can make one more or less."""
    if not fused:
        return x + y * factor
    product = y.to(float64) * float(np.float32(factor))
    return (x.to(float64) + product).to(float32)


def _luminance(image: Any, fused: bool = True) -> Any:
    """0.2989 r + 0.587 g + 0.114 b, in floats."""
    red, green, blue = image.unbind(dim=-3)
    a, b, c = _WEIGHTS
    once = fused and not image.is_floating_point()
    found = _plus(_plus(red * a, green, b, once), blue, c, once)
    return found.unsqueeze(-3)


def rgb_to_grayscale_image(image: Any, num_output_channels: int = 1) -> Any:
    """0.2989 r + 0.587 g + 0.114 b, in one channel or three equal ones.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.rgb_to_grayscale_image(ag.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1))
    tensor([[[0.2989]]])
    """
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}.")
    if image.shape[-3] == 1:
        gray = image.clone()
    else:
        gray = _luminance(image).to(image.dtype)
    return gray.expand(*image.shape[:-3], num_output_channels, *image.shape[-2:])


def rgb_to_grayscale_older(image: Any, num_output_channels: int = 1) -> Any:
    """`rgb_to_grayscale_image` as the older transforms round it; a gray image stays as it is."""
    if image.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {image.ndim}"
        )
    _check_channels(image)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if image.shape[-3] == 1:
        return image.clone()
    gray = _luminance(image, False).to(image.dtype)
    return gray.expand(image.shape) if num_output_channels == 3 else gray


def grayscale_to_rgb_image(image: Any) -> Any:
    """Three equal channels of a gray image; one that has three stays as it is.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.grayscale_to_rgb_image(ag.zeros(1, 2, 2)).shape
    argand.Size([3, 2, 2])
    """
    return image if image.shape[-3] >= 3 else rgb_to_grayscale_image(image, 3)


# -- mixtures with another image -------------------------------------------------------------------


def _blend(image: Any, other: Any, ratio: float, fused: bool = True) -> Any:
    """``ratio image + (1 - ratio) other``, within the range of the dtype."""
    once = fused and not image.is_floating_point()
    mixed = _plus(image * float(ratio), other, 1.0 - float(ratio), once)
    return mixed.clamp(0, brightest(image.dtype)).to(image.dtype)


def adjust_brightness_image(image: Any, brightness_factor: float) -> Any:
    """The image times a factor: 0 is black, 1 the image itself.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.adjust_brightness_image(ag.tensor([[[0.25, 0.75]]]), 2)
    tensor([[[0.5000, 1.0000]]])
    """
    _check_factor("brightness_factor", brightness_factor)
    _check_channels(image)
    brighter = image * float(brightness_factor)
    return brighter.clamp(0, brightest(image.dtype)).to(image.dtype)


def adjust_contrast_image(image: Any, contrast_factor: float) -> Any:
    """A mixture with the mean of the gray image: a factor of 0 is that gray, 1 the image itself.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.adjust_contrast_image(ag.tensor([[[0.25, 0.75]]]), 0)
    tensor([[[0.5000, 0.5000]]])
    """
    return _with_contrast(image, contrast_factor, True)


def adjust_contrast_older(image: Any, contrast_factor: float) -> Any:
    """`adjust_contrast_image` as the older transforms round it."""
    return _with_contrast(image, contrast_factor, False)


def _with_contrast(image: Any, factor: float, fused: bool) -> Any:
    _check_factor("contrast_factor", factor)
    _check_channels(image)
    if image.shape[-3] == 3:
        gray = _whole(_luminance(image, fused), image)
    else:
        gray = image if image.is_floating_point() else image.to(float32)
    return _blend(image, gray.mean((-3, -2, -1), keepdim=True), factor, fused)


def _whole(floats: Any, image: Any) -> Any:
    """Floats as an image of that dtype would have them."""
    return floats if image.is_floating_point() else floats.floor()


def adjust_saturation_image(image: Any, saturation_factor: float) -> Any:
    """A mixture with the gray image: a factor of 0 is gray, 1 the image itself.

    >>> from argand.vision.transforms.v2 import functional
    >>> red = ag.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
    >>> functional.adjust_saturation_image(red, 0).flatten()
    tensor([0.2989, 0.2989, 0.2989])
    """
    return _with_saturation(image, saturation_factor, True)


def adjust_saturation_older(image: Any, saturation_factor: float) -> Any:
    """`adjust_saturation_image` as the older transforms round it."""
    return _with_saturation(image, saturation_factor, False)


def _with_saturation(image: Any, factor: float, fused: bool) -> Any:
    _check_factor("saturation_factor", factor)
    _check_channels(image)
    if image.shape[-3] == 1:
        return image
    return _blend(image, _whole(_luminance(image, fused), image), factor, fused)


def adjust_sharpness_image(image: Any, sharpness_factor: float) -> Any:
    """A mixture with the image blurred by weights 1 around a 5: a factor of 0 is blurred, 1 the
    image itself. The outermost pixels stay as they are.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.adjust_sharpness_image(ag.eye(3).reshape(1, 3, 3), 0)[0, 1]
    tensor([0.0000, 0.5385, 0.0000])
    """
    floats, blurred = _blurred(image, sharpness_factor)
    if blurred is None:
        return image
    middle = floats[..., 1:-1, 1:-1]
    mixed = floats.clone()
    once = not image.is_floating_point()
    mixed[..., 1:-1, 1:-1] = _plus(middle, blurred - middle, 1.0 - sharpness_factor, once)
    return mixed.clamp(0, brightest(image.dtype)).to(image.dtype)


def adjust_sharpness_older(image: Any, sharpness_factor: float) -> Any:
    """`adjust_sharpness_image` as the older transforms round it."""
    floats, blurred = _blurred(image, sharpness_factor)
    if blurred is None:
        return image
    other = floats.clone()
    other[..., 1:-1, 1:-1] = blurred
    return _blend(image, other, sharpness_factor, False)


def _blurred(image: Any, factor: float) -> tuple[Any, Any]:
    """An image in floats, and its middle blurred; None where there is none."""
    _check_channels(image)
    _check_factor("sharpness_factor", factor)
    height, width = image.shape[-2:]
    if image.numel() == 0 or height <= 2 or width <= 2:
        return image, None
    floats = image if image.is_floating_point() else image.to(float32)
    weights = tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=floats.dtype) / 13.0
    blurred = _filtered(floats, weights)
    return floats, blurred if image.is_floating_point() else blurred.round()


def _filtered(floats: Any, weights: Any) -> Any:
    """Each channel's weighted sums; the borders, where some would lie outside, are gone."""
    channels = floats.shape[-3]
    batch = floats.reshape(-1, *floats.shape[-3:])
    kernel = weights.expand(channels, 1, *weights.shape)
    found = F.conv2d(batch, kernel, groups=channels)
    return found.reshape(*floats.shape[:-2], *found.shape[-2:])


# -- hue and gamma ---------------------------------------------------------------------------------


def adjust_hue_image(image: Any, hue_factor: float) -> Any:
    """The hue moved round the circle of colours, by a part of it in [-0.5, 0.5].

    >>> from argand.vision.transforms.v2 import functional
    >>> red = ag.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
    >>> functional.adjust_hue_image(red, 0.5).flatten()
    tensor([0., 1., 1.])
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    _check_channels(image)
    if image.shape[-3] == 1 or image.numel() == 0:
        return image
    hue, saturation, value = _hsv(to_dtype_image(image, float32, scale=True))
    turned = _rgb((hue + hue_factor) % 1.0, saturation, value)
    return to_dtype_image(turned, image.dtype, scale=True)


def _hsv(image: Any) -> tuple[Any, Any, Any]:
    """Hue, saturation and value, all in [0, 1]."""
    red, green, _ = image.unbind(dim=-3)
    value = image.amax(dim=-3)
    spread = value - image.amin(dim=-3)
    gray = spread == 0
    saturation = spread / value.masked_fill(gray, 1.0)
    scaled = (value.unsqueeze(-3) - image) / spread.masked_fill(gray, 1.0).unsqueeze(-3)
    r, g, b = scaled.unbind(dim=-3)
    sixths = where(value == red, b - g, where(value == green, r + 2.0 - b, g + 4.0 - r))
    return (sixths * (1.0 / 6.0) + 1.0).fmod(1.0), saturation, value


# Which of value, p, q and t red, green and blue are in each sixth of the circle.
_SIXTHS = np.array([[0, 2, 1, 1, 3, 0], [3, 0, 0, 2, 1, 1], [1, 1, 3, 0, 0, 2]])


def _rgb(hue: Any, saturation: Any, value: Any) -> Any:
    sixth = (hue * 6.0).floor()
    part = hue * 6.0 - sixth
    p = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    q = (value * (1.0 - saturation * part)).clamp(0.0, 1.0)
    t = (value * (1.0 - saturation + saturation * part)).clamp(0.0, 1.0)
    chosen = wrap(_SIXTHS)[:, sixth.to(int64) % 6].moveaxis(0, -3)
    return stack((value, p, q, t), dim=-3).gather(-3, chosen)


def adjust_gamma_image(image: Any, gamma: float, gain: float = 1.0) -> Any:
    """``gain x^gamma`` of values in [0, 1].

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.adjust_gamma_image(ag.tensor([[[0.5]]]), 2)
    tensor([[[0.2500]]])
    """
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    floats = image if image.is_floating_point() else to_dtype_image(image, float32, scale=True)
    found = floats**gamma
    if gain != 1.0:
        found = (found * gain).clamp(0.0, 1.0)
    return to_dtype_image(found, image.dtype, scale=True)


# -- maps of single values -------------------------------------------------------------------------


def invert_image(image: Any) -> Any:
    """The greatest value less the image's.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.invert_image(ag.tensor([[[5]]], dtype=ag.uint8))
    tensor([[[250]]], dtype=argand.uint8)
    """
    if image.is_floating_point():
        return 1.0 - image
    return image ^ ((1 << value_bits(image.dtype)) - 1)


def solarize_image(image: Any, threshold: float) -> Any:
    """Values from the threshold on inverted.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.solarize_image(ag.tensor([[[0.25, 0.75]]]), 0.5)
    tensor([[[0.2500, 0.2500]]])
    """
    if threshold > brightest(image.dtype):
        raise TypeError(
            f"Threshold should be less or equal the maximum value of the dtype, but got {threshold}"
        )
    return where(image >= threshold, invert_image(image), image)


def posterize_image(image: Any, bits: int) -> Any:
    """Only that many of the highest bits of each value; floats as many levels.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.posterize_image(ag.tensor([[[255, 100]]], dtype=ag.uint8), 1)
    tensor([[[128,   0]]], dtype=argand.uint8)
    """
    if not isinstance(bits, int) or not 0 <= bits <= 8:
        raise TypeError(f"bits must be a positive integer in the range [0, 8], got {bits} instead.")
    if image.is_floating_point():
        levels = 1 << bits
        return (image * levels).floor().clamp(0, levels - 1) * (1.0 / levels)
    spare = value_bits(image.dtype) - bits
    return image if spare <= 0 else image & (((1 << bits) - 1) << spare)


def autocontrast_image(image: Any) -> Any:
    """Each channel stretched to the whole range of values.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.autocontrast_image(ag.tensor([[[0.25, 0.5]]]))
    tensor([[[0., 1.]]])
    """
    _check_channels(image)
    if image.numel() == 0:
        return image
    bound = brightest(image.dtype)
    floats, lowest, spread, flat = _stretch(image)
    scale = (spread * (1.0 / bound)).masked_fill(flat, 1.0)
    return ((floats - lowest) / scale).clamp(0, bound).to(image.dtype)


def autocontrast_older(image: Any) -> Any:
    """`autocontrast_image` as the older transforms round it."""
    _check_channels(image)
    bound = brightest(image.dtype)
    floats, lowest, spread, flat = _stretch(image)
    scale = (spread.masked_fill(flat, 1.0).reciprocal() * bound).masked_fill(flat, 1.0)
    return ((floats - lowest) * scale).clamp(0, bound).to(image.dtype)


def _stretch(image: Any) -> tuple[Any, Any, Any, Any]:
    """An image in floats, its least values, their distance to the greatest, and where that is 0,
    so that nothing is to be stretched."""
    floats = image if image.is_floating_point() else image.to(float32)
    lowest, highest = (f((-2, -1), keepdim=True) for f in (floats.amin, floats.amax))
    flat = highest == lowest
    return floats, lowest.masked_fill(flat, 0.0), highest - lowest, flat


def equalize_image(image: Any) -> Any:
    """Each channel's values replaced so that all are about equally frequent; see PIL's ImageOps.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.equalize_image(ag.arange(256, dtype=ag.uint8).reshape(1, 16, 16))[0, 0, :3]
    tensor([0, 1, 2], dtype=argand.uint8)
    """
    if image.numel() == 0:
        return image
    values = to_dtype_image(image, uint8, scale=True).detach().numpy()
    planes = values.reshape(-1, *values.shape[-2:])
    found = np.stack([_equalized(plane) for plane in planes]).reshape(values.shape)
    return to_dtype_image(wrap(found), image.dtype, scale=True)


def _equalized(plane: np.ndarray) -> np.ndarray:
    counts = np.bincount(plane.ravel(), minlength=256)
    step = int(counts.sum() - counts[counts.nonzero()[0][-1]]) // 255
    if step == 0:
        return plane
    below = np.concatenate(([0], np.cumsum(counts)[:-1] + step // 2))
    below[1:] //= step
    table: np.ndarray = below.clip(0, 255).astype(np.uint8)
    found: np.ndarray = table[plane]
    return found


def permute_channels_image(image: Any, permutation: Any) -> Any:
    """The channels in another order.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.permute_channels_image(ag.arange(3).reshape(3, 1, 1), [2, 0, 1]).flatten()
    tensor([2, 0, 1])
    """
    channels = image.shape[-3]
    if len(permutation) != channels:
        raise ValueError(
            "Length of permutation does not match number of channels: "
            f"{len(permutation)} != {channels}"
        )
    places = permutation if isinstance(permutation, list | tuple) else permutation.tolist()
    return image if image.numel() == 0 else image.index_select(-3, tensor(places))


# -- means, noise and holes ------------------------------------------------------------------------


def normalize_image(image: Any, mean: Any, std: Any, inplace: bool = False) -> Any:
    """``(x - mean) / std`` for each channel.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.normalize_image(ag.ones(2, 1, 1), [1.0, 2.0], [1.0, 0.5]).flatten()
    tensor([ 0., -2.])
    """
    if not image.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {image.dtype}.")
    if image.ndim < 3:
        raise ValueError(
            f"Expected tensor to be a tensor image of size (..., C, H, W). Got {image.shape}."
        )
    center, width = (
        tensor(v.tolist() if hasattr(v, "tolist") else v, dtype=image.dtype) for v in (mean, std)
    )
    if bool((width == 0).any()):
        raise ValueError("std evaluated to zero, leading to division by zero.")
    center, width = (v.reshape(-1, 1, 1) if v.ndim == 1 else v for v in (center, width))
    return image.sub_(center).div_(width) if inplace else (image - center) / width


def gaussian_blur_image(image: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Weighted means of the pixels around, by a Gaussian of width `sigma` in a window of
    `kernel_size`: (across, down), or one number.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.gaussian_blur_image(ag.ones(1, 4, 4), 3).round()[0, 0]
    tensor([1., 1., 1., 1.])
    """
    sizes, sigmas = _blur_arguments(kernel_size, sigma)
    if image.numel() == 0:
        return image
    floats = image if image.is_floating_point() else image.to(float32)
    across, down = (_gaussian(n, s, floats.dtype) for n, s in zip(sizes, sigmas, strict=True))
    x, y = sizes[0] // 2, sizes[1] // 2
    batch = F.pad(floats.reshape(-1, *floats.shape[-3:]), (x, x, y, y), mode="reflect")
    found = _filtered(batch, down.unsqueeze(-1) * across).reshape(image.shape)
    return found if image.is_floating_point() else found.round().to(image.dtype)


def _blur_arguments(kernel_size: Any, sigma: Any) -> tuple[list[int], list[float]]:
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(n % 2 == 0 or n < 0 for n in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        sigma = [n * 0.15 + 0.35 for n in sizes]
    elif isinstance(sigma, int | float):
        sigma = [float(sigma)] * 2
    elif not isinstance(sigma, list | tuple):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    sigmas = list(sigma) * 2 if len(sigma) == 1 else list(sigma)
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    if any(s <= 0.0 for s in sigmas):
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    return sizes, sigmas


def _gaussian(size: int, sigma: float, dtype: Any) -> Any:
    """The weights exp(-x^2 / 2 sigma^2) of a window, divided by their sum."""
    end = (size - 1) / (2.0 * math.sqrt(2.0))
    return (-((linspace(-end, end, size, dtype=dtype) / sigma) ** 2)).softmax(dim=0)


def gaussian_noise_image(
    image: Any, mean: float = 0.0, sigma: float = 0.1, clip: bool = True
) -> Any:
    """Noise added to a float or uint8 image: normal draws of that mean and width, where the whole
    range of values is 1.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.gaussian_noise_image(ag.ones(3, 2, 2), sigma=0.0).mean()
    tensor(1.)
    """
    if sigma < 0:
        raise ValueError(f"sigma shouldn't be negative. Got {sigma}")
    if image.is_floating_point():
        noisy = image + (mean + randn_like(image) * sigma)
        return noisy.clamp(0, 1) if clip else noisy
    if image.dtype != uint8:
        raise ValueError(
            f"Input tensor is expected to be in uint8 or float dtype, got dtype={image.dtype}"
        )
    noise = (mean * 255 + randn_like(image, dtype=float32) * (sigma * 255)).to("int16")
    noisy = image + noise
    return (noisy.clamp(0, 255) if clip else noisy).to(uint8)


def erase_image(image: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """A part of an image, from row `i` and column `j` on, replaced by values `v`.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.erase_image(ag.ones(1, 1, 3), 0, 1, 1, 2, ag.zeros(1))
    tensor([[[1., 0., 0.]]])
    """
    made = image if inplace else image.clone()
    made[..., i : i + h, j : j + w] = v
    return made


def uniform_temporal_subsample_video(video: Any, num_samples: int) -> Any:
    """That many frames of a video (..., T, C, H, W), from the first to the last.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.uniform_temporal_subsample_video(ag.zeros(9, 3, 2, 2), 3).shape
    argand.Size([3, 3, 2, 2])
    """
    places = linspace(0, video.shape[-4] - 1, num_samples).to(int64)
    return video.index_select(-4, places)
