"""`torchvision.transforms.v2.functional`: each transform as a function of its numbers.

A name without an ending takes images of every kind; the names of its kernels end in `_image`,
`_mask`, `_bounding_boxes`, `_keypoints` and `_video` and take plain tensors.
"""

from __future__ import annotations

from typing import Any

from argand.base.errors import did_you_mean
from argand.tensor.core import Tensor
from argand.tensor.joining import stack
from argand.vision import io, tv_tensors
from argand.vision.transforms import moving, on_pil
from argand.vision.transforms.boxes import (
    clamp_bounding_boxes,
    clamp_keypoints,
    convert_bounding_box_format,
    sanitize_bounding_boxes,
    sanitize_keypoints,
)
from argand.vision.transforms.colours import (
    adjust_brightness_image,
    adjust_contrast_image,
    adjust_gamma_image,
    adjust_hue_image,
    adjust_saturation_image,
    adjust_sharpness_image,
    autocontrast_image,
    equalize_image,
    erase_image,
    gaussian_blur_image,
    gaussian_noise_image,
    grayscale_to_rgb_image,
    invert_image,
    normalize_image,
    permute_channels_image,
    posterize_image,
    rgb_to_grayscale_image,
    solarize_image,
    uniform_temporal_subsample_video,
)
from argand.vision.transforms.conversion import (
    convert_image_dtype,
    pil_to_tensor,
    to_dtype_image,
    to_image,
    to_pil_image,
    to_tensor,
)
from argand.vision.transforms.dispatch import Functional, Kernel, of_masks
from argand.vision.transforms.modes import InterpolationMode
from argand.vision.transforms.moving import (
    affine_bounding_boxes,
    affine_keypoints,
    center_crop_bounding_boxes,
    center_crop_keypoints,
    crop_bounding_boxes,
    crop_keypoints,
    elastic_bounding_boxes,
    elastic_keypoints,
    horizontal_flip_bounding_boxes,
    horizontal_flip_keypoints,
    pad_bounding_boxes,
    pad_keypoints,
    perspective_bounding_boxes,
    perspective_keypoints,
    resize_bounding_boxes,
    resize_keypoints,
    resized_crop_bounding_boxes,
    resized_crop_keypoints,
    rotate_bounding_boxes,
    rotate_keypoints,
    vertical_flip_bounding_boxes,
    vertical_flip_keypoints,
)
from argand.vision.transforms.resizing import (
    center_crop_image,
    crop_image,
    five_crop_image,
    horizontal_flip_image,
    pad_image,
    resize_image,
    resized_crop_image,
    ten_crop_image,
    vertical_flip_image,
)
from argand.vision.transforms.warping import (
    affine_image,
    elastic_image,
    perspective_image,
    rotate_image,
)


def jpeg_image(image: Any, quality: int) -> Any:
    """What is left of an image of bytes (..., C, H, W) that was written as JPEG.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.jpeg_image(ag.zeros(3, 8, 8, dtype=ag.uint8), 90).shape
    argand.Size([3, 8, 8])
    """
    planes = image.reshape(-1, *image.shape[-3:])
    if planes.shape[0] == 0:
        return image.clone()
    found = [io.decode_jpeg(io.encode_jpeg(plane, quality)) for plane in planes]
    return stack(found).reshape(image.shape)


# -- what an image is ------------------------------------------------------------------------------


def _sizes(image: Any, count: int) -> list[int]:
    if image.ndim < 2:
        raise TypeError(f"Input tensor should have at least two dimensions, but got {image.ndim}")
    return [1, *image.shape][-3:][-count:] if image.ndim == 2 else list(image.shape[-count:])


def get_dimensions_image(image: Any) -> list[int]:
    """The number of channels, height and width.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.get_dimensions_image(ag.zeros(4, 5))
    [1, 4, 5]
    """
    return _sizes(image, 3)


def get_num_channels_image(image: Any) -> int:
    """The number of channels.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.get_num_channels_image(ag.zeros(3, 4, 5))
    3
    """
    return _sizes(image, 3)[0]


def get_size_image(image: Any) -> list[int]:
    """The height and width.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.get_size_image(ag.zeros(3, 4, 5))
    [4, 5]
    """
    return _sizes(image, 2)


def get_size_bounding_boxes(bounding_box: Any) -> list[int]:
    """The height and width of the image that boxes are of."""
    return list(bounding_box.canvas_size)


get_size_keypoints = get_size_bounding_boxes
get_size_mask = get_size_image


def get_num_frames_video(video: Any) -> int:
    """The number of frames of a video (..., T, C, H, W).

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.get_num_frames_video(ag.zeros(2, 3, 4, 5))
    2
    """
    return int(video.shape[-4])


def _pil_dimensions(image: Any) -> list[int]:
    return [len(image.getbands()), image.height, image.width]


def is_pure_tensor(inpt: Any) -> bool:
    """Whether a value is a tensor that doesn't say what it shows.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.is_pure_tensor(ag.zeros(1))
    True
    """
    return isinstance(inpt, Tensor) and not isinstance(inpt, tv_tensors.TVTensor)


get_dimensions = Functional(
    "get_dimensions", get_dimensions_image, _pil_dimensions, plain_results=True
)
get_num_channels = Functional(
    "get_num_channels",
    get_num_channels_image,
    lambda image: len(image.getbands()),
    plain_results=True,
)
get_size = Functional(
    "get_size",
    get_size_image,
    lambda image: [image.height, image.width],
    get_size_mask,
    plain_results=True,
)
get_size.kernels |= dict.fromkeys(
    (tv_tensors.BoundingBoxes, tv_tensors.KeyPoints), get_size_bounding_boxes
)
get_num_frames = Functional("get_num_frames", None, video=get_num_frames_video, plain_results=True)
get_image_num_channels = get_num_channels


def get_image_size(inpt: Any) -> list[int]:
    """The width and height, in this order.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.get_image_size(ag.zeros(3, 4, 5))
    [5, 4]
    """
    found: list[int] = get_size(inpt)[::-1]
    return found


# -- kernels of masks ------------------------------------------------------------------------------


def resize_mask(
    mask: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
) -> Any:
    """`resize_image` for masks (H, W) or (N, H, W), by the nearest pixels.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.resize_mask(ag.eye(2), [2, 4])[0]
    tensor([1., 1., 0., 0.])
    """
    kernel = of_masks(resize_image)
    return kernel(mask, size=size, max_size=max_size, interpolation=interpolation)


horizontal_flip_mask = of_masks(horizontal_flip_image)
vertical_flip_mask = of_masks(vertical_flip_image)
crop_mask = of_masks(crop_image)
center_crop_mask = of_masks(center_crop_image)
resized_crop_mask = of_masks(resized_crop_image)
affine_mask = of_masks(affine_image)
rotate_mask = of_masks(rotate_image)
perspective_mask = of_masks(perspective_image)
elastic_mask = of_masks(elastic_image)
_pad_mask = of_masks(pad_image)


def pad_mask(mask: Any, padding: Any, fill: Any = None, padding_mode: str = "constant") -> Any:
    """`pad_image` for masks (H, W) or (N, H, W); `fill` is one number.

    >>> from argand.vision.transforms.v2 import functional
    >>> functional.pad_mask(ag.ones(1, 1), [1, 0]).tolist()
    [[0.0, 1.0, 0.0]]
    """
    if isinstance(fill, tuple | list):
        raise ValueError("Non-scalar fill value is not supported")
    return _pad_mask(mask, padding, fill, padding_mode)


# -- functions of every kind -----------------------------------------------------------------------


def _geometric(name: str, image: Kernel, mask: Kernel) -> Functional:
    """A function that moves pixels, and with them masks, boxes and points."""
    return Functional(
        name,
        image,
        getattr(on_pil, name),
        mask,
        getattr(moving, f"{name}_bounding_boxes"),
        getattr(moving, f"{name}_keypoints"),
    )


def _colouring(name: str, image: Kernel) -> Functional:
    """A function that changes colours: of images and videos."""
    return Functional(name, image, getattr(on_pil, name, None))


horizontal_flip = hflip = _geometric("horizontal_flip", horizontal_flip_image, horizontal_flip_mask)
vertical_flip = vflip = _geometric("vertical_flip", vertical_flip_image, vertical_flip_mask)
resize = _geometric("resize", resize_image, resize_mask)
crop = _geometric("crop", crop_image, crop_mask)
center_crop = _geometric("center_crop", center_crop_image, center_crop_mask)
resized_crop = _geometric("resized_crop", resized_crop_image, resized_crop_mask)
pad = _geometric("pad", pad_image, pad_mask)
affine = _geometric("affine", affine_image, affine_mask)
rotate = _geometric("rotate", rotate_image, rotate_mask)
perspective = _geometric("perspective", perspective_image, perspective_mask)
elastic = elastic_transform = _geometric("elastic", elastic_image, elastic_mask)

five_crop = _colouring("five_crop", five_crop_image)
ten_crop = _colouring("ten_crop", ten_crop_image)

rgb_to_grayscale = to_grayscale = _colouring("rgb_to_grayscale", rgb_to_grayscale_image)
grayscale_to_rgb = _colouring("grayscale_to_rgb", grayscale_to_rgb_image)
adjust_brightness = _colouring("adjust_brightness", adjust_brightness_image)
adjust_contrast = _colouring("adjust_contrast", adjust_contrast_image)
adjust_gamma = _colouring("adjust_gamma", adjust_gamma_image)
adjust_hue = _colouring("adjust_hue", adjust_hue_image)
adjust_saturation = _colouring("adjust_saturation", adjust_saturation_image)
adjust_sharpness = _colouring("adjust_sharpness", adjust_sharpness_image)
autocontrast = _colouring("autocontrast", autocontrast_image)
equalize = _colouring("equalize", equalize_image)
invert = _colouring("invert", invert_image)
posterize = _colouring("posterize", posterize_image)
solarize = _colouring("solarize", solarize_image)
permute_channels = _colouring("permute_channels", permute_channels_image)
gaussian_blur = _colouring("gaussian_blur", gaussian_blur_image)
gaussian_noise = _colouring("gaussian_noise", gaussian_noise_image)
erase = _colouring("erase", erase_image)
jpeg = _colouring("jpeg", jpeg_image)
normalize = _colouring("normalize", normalize_image)


def _in_dtype(x: Any, dtype: Any, scale: bool = False) -> Any:
    return x.to(dtype)


to_dtype = Functional("to_dtype", to_dtype_image, None, _in_dtype, _in_dtype, _in_dtype)
uniform_temporal_subsample = Functional(
    "uniform_temporal_subsample", None, video=uniform_temporal_subsample_video
)

# Videos are batches of images.
horizontal_flip_video = horizontal_flip_image
vertical_flip_video = vertical_flip_image
resize_video = resize_image
crop_video = crop_image
center_crop_video = center_crop_image
resized_crop_video = resized_crop_image
pad_video = pad_image
affine_video = affine_image
rotate_video = rotate_image
perspective_video = perspective_image
elastic_video = elastic_image
five_crop_video = five_crop_image
ten_crop_video = ten_crop_image
adjust_brightness_video = adjust_brightness_image
adjust_contrast_video = adjust_contrast_image
adjust_gamma_video = adjust_gamma_image
adjust_hue_video = adjust_hue_image
adjust_saturation_video = adjust_saturation_image
adjust_sharpness_video = adjust_sharpness_image
autocontrast_video = autocontrast_image
equalize_video = equalize_image
invert_video = invert_image
posterize_video = posterize_image
solarize_video = solarize_image
permute_channels_video = permute_channels_image
gaussian_blur_video = gaussian_blur_image
gaussian_noise_video = gaussian_noise_image
erase_video = erase_image
jpeg_video = jpeg_image
normalize_video = normalize_image
to_dtype_video = to_dtype_image
get_dimensions_video = get_dimensions_image
get_num_channels_video = get_num_channels_image
get_size_video = get_size_image

_OWN = (
    tv_tensors.Image,
    tv_tensors.Video,
    tv_tensors.Mask,
    tv_tensors.BoundingBoxes,
    tv_tensors.KeyPoints,
)


def register_kernel(functional: Any, tv_tensor_cls: Any) -> Any:
    """Say by a decorator how a function (or its name) treats a class of one's own.

    >>> from argand.vision import tv_tensors
    >>> from argand.vision.transforms.v2 import functional
    >>> class Sound(tv_tensors.TVTensor):
    ...     pass
    >>> @functional.register_kernel("horizontal_flip", Sound)
    ... def backwards(sound):
    ...     return tv_tensors.wrap(sound.flip(0), like=sound)
    >>> functional.hflip(Sound([1, 2])).tolist()
    [2, 1]
    """
    found = globals().get(functional) if isinstance(functional, str) else functional
    if not isinstance(found, Functional):
        names = [k for k, v in globals().items() if isinstance(v, Functional)]
        raise ValueError(
            f"Could not find functional with name '{functional}' in transforms.v2.functional"
            f"{did_you_mean(str(functional), names)}"
        )
    if not (isinstance(tv_tensor_cls, type) and issubclass(tv_tensor_cls, tv_tensors.TVTensor)):
        raise ValueError(
            "Kernels can only be registered for subclasses of tv_tensors.TVTensor, but got "
            f"{tv_tensor_cls}."
        )
    if tv_tensor_cls in _OWN:
        raise ValueError(
            f"Kernels cannot be registered for the builtin tv_tensor classes, but got "
            f"{tv_tensor_cls}"
        )
    if tv_tensor_cls in found.kernels:
        raise ValueError(
            f"Functional {found.__name__} already has a kernel registered for type {tv_tensor_cls}."
        )

    def register(kernel: Kernel) -> Kernel:
        found.kernels[tv_tensor_cls] = kernel
        return kernel

    return register


__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_brightness_image",
    "adjust_brightness_video",
    "adjust_contrast",
    "adjust_contrast_image",
    "adjust_contrast_video",
    "adjust_gamma",
    "adjust_gamma_image",
    "adjust_gamma_video",
    "adjust_hue",
    "adjust_hue_image",
    "adjust_hue_video",
    "adjust_saturation",
    "adjust_saturation_image",
    "adjust_saturation_video",
    "adjust_sharpness",
    "adjust_sharpness_image",
    "adjust_sharpness_video",
    "affine",
    "affine_bounding_boxes",
    "affine_image",
    "affine_keypoints",
    "affine_mask",
    "affine_video",
    "autocontrast",
    "autocontrast_image",
    "autocontrast_video",
    "center_crop",
    "center_crop_bounding_boxes",
    "center_crop_image",
    "center_crop_keypoints",
    "center_crop_mask",
    "center_crop_video",
    "clamp_bounding_boxes",
    "clamp_keypoints",
    "convert_bounding_box_format",
    "convert_image_dtype",
    "crop",
    "crop_bounding_boxes",
    "crop_image",
    "crop_keypoints",
    "crop_mask",
    "crop_video",
    "elastic",
    "elastic_bounding_boxes",
    "elastic_image",
    "elastic_keypoints",
    "elastic_mask",
    "elastic_transform",
    "elastic_video",
    "equalize",
    "equalize_image",
    "equalize_video",
    "erase",
    "erase_image",
    "erase_video",
    "five_crop",
    "five_crop_image",
    "five_crop_video",
    "gaussian_blur",
    "gaussian_blur_image",
    "gaussian_blur_video",
    "gaussian_noise",
    "gaussian_noise_image",
    "gaussian_noise_video",
    "get_dimensions",
    "get_dimensions_image",
    "get_dimensions_video",
    "get_image_num_channels",
    "get_image_size",
    "get_num_channels",
    "get_num_channels_image",
    "get_num_channels_video",
    "get_num_frames",
    "get_num_frames_video",
    "get_size",
    "get_size_bounding_boxes",
    "get_size_image",
    "get_size_keypoints",
    "get_size_mask",
    "get_size_video",
    "grayscale_to_rgb",
    "grayscale_to_rgb_image",
    "hflip",
    "horizontal_flip",
    "horizontal_flip_bounding_boxes",
    "horizontal_flip_image",
    "horizontal_flip_keypoints",
    "horizontal_flip_mask",
    "horizontal_flip_video",
    "invert",
    "invert_image",
    "invert_video",
    "is_pure_tensor",
    "jpeg",
    "jpeg_image",
    "jpeg_video",
    "normalize",
    "normalize_image",
    "normalize_video",
    "pad",
    "pad_bounding_boxes",
    "pad_image",
    "pad_keypoints",
    "pad_mask",
    "pad_video",
    "permute_channels",
    "permute_channels_image",
    "permute_channels_video",
    "perspective",
    "perspective_bounding_boxes",
    "perspective_image",
    "perspective_keypoints",
    "perspective_mask",
    "perspective_video",
    "pil_to_tensor",
    "posterize",
    "posterize_image",
    "posterize_video",
    "register_kernel",
    "resize",
    "resize_bounding_boxes",
    "resize_image",
    "resize_keypoints",
    "resize_mask",
    "resize_video",
    "resized_crop",
    "resized_crop_bounding_boxes",
    "resized_crop_image",
    "resized_crop_keypoints",
    "resized_crop_mask",
    "resized_crop_video",
    "rgb_to_grayscale",
    "rgb_to_grayscale_image",
    "rotate",
    "rotate_bounding_boxes",
    "rotate_image",
    "rotate_keypoints",
    "rotate_mask",
    "rotate_video",
    "sanitize_bounding_boxes",
    "sanitize_keypoints",
    "solarize",
    "solarize_image",
    "solarize_video",
    "ten_crop",
    "ten_crop_image",
    "ten_crop_video",
    "to_dtype",
    "to_dtype_image",
    "to_dtype_video",
    "to_grayscale",
    "to_image",
    "to_pil_image",
    "to_tensor",
    "uniform_temporal_subsample",
    "uniform_temporal_subsample_video",
    "vertical_flip",
    "vertical_flip_bounding_boxes",
    "vertical_flip_image",
    "vertical_flip_keypoints",
    "vertical_flip_mask",
    "vertical_flip_video",
    "vflip",
]
