"""Transforms of types, dtypes, means and noise, and of boxes and points by themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from argand.base.dtype import DType, float32
from argand.base.tree import flatten, unflatten
from argand.tensor.core import Tensor
from argand.vision import tv_tensors
from argand.vision.pillow import is_pil
from argand.vision.transforms.boxes import valid_boxes, valid_points
from argand.vision.transforms.v2 import functional as F
from argand.vision.transforms.v2.base import (
    Params,
    Transform,
    finder_of_labels,
    get_bounding_boxes,
    get_keypoints,
    has_any,
    numbers_of,
    size_of,
    uniform,
)
from argand.vision.transforms.v2.functional import is_pure_tensor


class Identity(Transform):
    """Nothing changed.

    >>> from argand.vision.transforms import v2
    >>> v2.Identity()(ag.ones(1, 1, 1))
    tensor([[[1.]]])
    """

    def transform(self, inpt: Any, params: Params) -> Any:
        return inpt


class Lambda(Transform):
    """Any function as a transform, of the values of some classes, or of all.

    >>> from argand.vision.transforms import v2
    >>> v2.Lambda(lambda x: x * 2, ag.Tensor)(ag.ones(1), 3)
    (tensor([2.]), 3)
    """

    _transformed_types = (object,)

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        super().__init__()
        self.lambd = lambd
        self.types = types or self._transformed_types

    def _needs_transform_list(self, flat_inputs: list[Any]) -> list[bool]:
        return [isinstance(x, self.types) for x in flat_inputs]

    def transform(self, inpt: Any, params: Params) -> Any:
        return self.lambd(inpt)

    def extra_repr(self) -> str:
        name = getattr(self.lambd, "__name__", "")
        types = f"types={[kind.__name__ for kind in self.types]}"
        return f"{name}, {types}" if name else types


def check_linear(matrix: Any, mean: Any) -> None:
    """Refuse a matrix and a mean that don't fit."""
    if matrix.size(0) != matrix.size(1):
        raise ValueError(
            "transformation_matrix should be square. Got "
            f"{tuple(matrix.size())} rectangular matrix."
        )
    if mean.size(0) != matrix.size(0):
        raise ValueError(
            f"mean_vector should have the same length {mean.size(0)} as any one of the dimensions "
            f"of the transformation_matrix [{tuple(matrix.size())}]"
        )
    if matrix.dtype != mean.dtype:
        raise ValueError(
            f"Input tensors should have the same dtype. Got {matrix.dtype} and {mean.dtype}"
        )


def linear(image: Any, matrix: Any, mean: Any) -> Any:
    """``(x - mean) @ matrix`` of images as rows."""
    count = image.shape[-3] * image.shape[-2] * image.shape[-1]
    if count != matrix.shape[0]:
        raise ValueError(
            "Input tensor and transformation matrix have incompatible shape."
            f"[{image.shape[-3]} x {image.shape[-2]} x {image.shape[-1]}] != {matrix.shape[0]}"
        )
    rows = image.reshape(-1, count) - mean
    return (rows @ matrix.to(rows.dtype)).reshape(image.shape)


class LinearTransformation(Transform):
    """``(x - mean) @ matrix`` of an image as a row, whitening say.

    >>> from argand.vision.transforms import v2
    >>> v2.LinearTransformation(ag.eye(4) * 2, ag.zeros(4))(ag.ones(1, 2, 2)).flatten()
    tensor([2., 2., 2., 2.])
    """

    _transformed_types = (is_pure_tensor, tv_tensors.Image, tv_tensors.Video)

    def __init__(self, transformation_matrix: Any, mean_vector: Any) -> None:
        super().__init__()
        check_linear(transformation_matrix, mean_vector)
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        _refuse_pil(self, flat_inputs)

    def transform(self, inpt: Any, params: Params) -> Any:
        plain = inpt.as_subclass(Tensor)
        found = linear(plain, self.transformation_matrix, self.mean_vector)
        return found if is_pure_tensor(inpt) else tv_tensors.wrap(found, like=inpt)


def _refuse_pil(transform: Transform, flat_inputs: list[Any]) -> None:
    if has_any(flat_inputs, is_pil):
        raise TypeError(f"{type(transform).__name__}() does not support PIL images.")


class Normalize(Transform):
    """``(x - mean) / std`` for each channel.

    >>> from argand.vision.transforms import v2
    >>> v2.Normalize([1.0, 2.0], [1.0, 0.5])(ag.ones(2, 1, 1)).flatten()
    tensor([ 0., -2.])
    """

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = list(mean), list(std), inplace

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        _refuse_pil(self, flat_inputs)

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.normalize, inpt, self.mean, self.std, inplace=self.inplace)


class GaussianBlur(Transform):
    """Blurred by a Gaussian in a window of that size, its width drawn from a range.

    >>> from argand.vision.transforms import v2
    >>> v2.GaussianBlur(3)(ag.ones(1, 4, 4)).shape
    argand.Size([1, 4, 4])
    """

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = size_of(
            kernel_size, "Kernel size should be a tuple/list of two integers"
        )
        if any(n <= 0 or n % 2 == 0 for n in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        self.sigma = numbers_of(sigma, "sigma")
        if not 0.0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(
                f"sigma values should be positive and of the form (min, max). Got {self.sigma}"
            )

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A drawn width."""
        return uniform(sigma_min, sigma_max)

    def make_params(self, flat_inputs: list[Any]) -> Params:
        return {"sigma": [uniform(*self.sigma)] * 2}

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.gaussian_blur, inpt, self.kernel_size, **params)


class GaussianNoise(Transform):
    """Normal noise added to float and uint8 images, where the whole range of values is 1.

    >>> from argand.vision.transforms import v2
    >>> v2.GaussianNoise(sigma=0.0)(ag.ones(1, 1, 1))
    tensor([[[1.]]])
    """

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        super().__init__()
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def transform(self, inpt: Any, params: Params) -> Any:
        options = {"mean": self.mean, "sigma": self.sigma, "clip": self.clip}
        return self._call_kernel(F.gaussian_noise, inpt, **options)


class UniformTemporalSubsample(Transform):
    """That many frames of a video (..., T, C, H, W), from the first to the last.

    >>> from argand.vision.transforms import v2
    >>> v2.UniformTemporalSubsample(2)(ag.zeros(9, 3, 4, 4)).shape
    argand.Size([2, 3, 4, 4])
    """

    _transformed_types = (Tensor,)

    def __init__(self, num_samples: int) -> None:
        super().__init__()
        self.num_samples = num_samples

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.uniform_temporal_subsample, inpt, self.num_samples)


# -- types -----------------------------------------------------------------------------------------


class ToDtype(Transform):
    """Images and videos in another dtype, with `scale` in its range too; a dict has dtypes by
    class, and "others".

    >>> from argand.vision.transforms import v2
    >>> v2.ToDtype(ag.float32, scale=True)(ag.full((1, 1, 1), 255, dtype=ag.uint8))
    tensor([[[1.]]])
    """

    _transformed_types = (Tensor,)

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, dict | DType):
            raise ValueError(f"dtype must be a dict or a torch.dtype, got {type(dtype)} instead")
        given = dtype if isinstance(dtype, dict) else {}
        if Tensor in given and (tv_tensors.Image in given or tv_tensors.Video in given):
            warnings.warn(
                "Got `dtype` values for `torch.Tensor` and either `tv_tensors.Image` or "
                "`tv_tensors.Video`. Note that a plain `torch.Tensor` will *not* be "
                "transformed by this (or any other transformation) in case a "
                "`tv_tensors.Image` or `tv_tensors.Video` is present in the input.",
                stacklevel=2,
            )
        self.dtype: Any = dtype
        self.scale = scale

    def transform(self, inpt: Any, params: Params) -> Any:
        picture = is_pure_tensor(inpt) or isinstance(inpt, tv_tensors.Image | tv_tensors.Video)
        if isinstance(self.dtype, dict):
            dtype = self._of_class(type(inpt))
        else:
            dtype = self.dtype if picture else None
        if dtype is None:
            return inpt
        return self._call_kernel(F.to_dtype, inpt, dtype=dtype, scale=self.scale)

    def _of_class(self, kind: type) -> Any:
        if kind not in self.dtype and "others" not in self.dtype:
            raise ValueError(
                f"No dtype was specified for type {kind}. If you only need to convert the dtype of "
                "images or videos, you can just pass e.g. dtype=torch.float32. If you're passing a "
                'dict as dtype, you can use "others" as a catch-all key e.g. '
                'dtype={tv_tensors.Mask: torch.int64, "others": None} to pass-through the rest of '
                "the inputs."
            )
        return self.dtype.get(kind, self.dtype.get("others"))


class ConvertImageDtype(Transform):
    """Images in another dtype and its range: `ToDtype` with ``scale=True``.

    >>> from argand.vision.transforms import v2
    >>> v2.ConvertImageDtype()(ag.full((1, 1, 1), 255, dtype=ag.uint8))
    tensor([[[1.]]])
    """

    def __init__(self, dtype: Any = float32) -> None:
        super().__init__()
        self.dtype = dtype

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.to_dtype, inpt, dtype=self.dtype, scale=True)


class PILToTensor(Transform):
    """PIL images as tensors (C, H, W), unscaled."""

    _transformed_types = (is_pil,)

    def transform(self, inpt: Any, params: Params) -> Any:
        return F.pil_to_tensor(inpt)


class ToImage(Transform):
    """Tensors, PIL images and arrays (H, W, C) as `tv_tensors.Image`, unscaled.

    >>> from argand.vision.transforms import v2
    >>> v2.ToImage()(np.zeros((4, 5, 3), np.uint8)).shape
    argand.Size([3, 4, 5])
    """

    _transformed_types = (is_pure_tensor, is_pil, np.ndarray)

    def transform(self, inpt: Any, params: Params) -> Any:
        return F.to_image(inpt)


class ToPILImage(Transform):
    """Tensors and arrays as PIL images.

    >>> from argand.vision.transforms import v2
    >>> v2.ToPILImage()(ag.zeros(3, 4, 5)).size
    (5, 4)
    """

    _transformed_types = (is_pure_tensor, tv_tensors.Image, np.ndarray)

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def transform(self, inpt: Any, params: Params) -> Any:
        return F.to_pil_image(inpt, mode=self.mode)


class ToPureTensor(Transform):
    """Tensors that say what they show as plain ones.

    >>> from argand.vision import tv_tensors
    >>> from argand.vision.transforms import v2
    >>> type(v2.ToPureTensor()(tv_tensors.Image(ag.zeros(1, 1)))).__name__
    'Tensor'
    """

    _transformed_types = (tv_tensors.TVTensor,)

    def transform(self, inpt: Any, params: Params) -> Any:
        return inpt.as_subclass(Tensor)


class ToTensor(Transform):
    """PIL images and arrays as tensors (C, H, W), bytes as floats in [0, 1]; `ToImage` and
    `ToDtype` are the newer way.

    >>> from argand.vision.transforms import v2
    >>> v2.ToTensor()(np.full((1, 1), 255, np.uint8))
    tensor([[[1.]]])
    """

    _transformed_types = (is_pil, np.ndarray)

    def transform(self, inpt: Any, params: Params) -> Any:
        return F.to_tensor(inpt)


# -- boxes and points ------------------------------------------------------------------------------


class ConvertBoundingBoxFormat(Transform):
    """Boxes in another format.

    >>> from argand.vision import tv_tensors
    >>> from argand.vision.transforms import v2
    >>> boxes = tv_tensors.BoundingBoxes([[1, 2, 4, 6]], format="XYXY", canvas_size=(8, 8))
    >>> v2.ConvertBoundingBoxFormat("XYWH")(boxes).tolist()
    [[1, 2, 3, 4]]
    """

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, format: Any) -> None:
        super().__init__()
        self.format = format

    def transform(self, inpt: Any, params: Params) -> Any:
        return F.convert_bounding_box_format(inpt, new_format=self.format)


class ClampBoundingBoxes(Transform):
    """Boxes cut at the border of the image.

    >>> from argand.vision import tv_tensors
    >>> from argand.vision.transforms import v2
    >>> boxes = tv_tensors.BoundingBoxes([[1, 2, 9, 9]], format="XYXY", canvas_size=(8, 8))
    >>> v2.ClampBoundingBoxes()(boxes).tolist()
    [[1, 2, 8, 8]]
    """

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, clamping_mode: Any = "auto") -> None:
        super().__init__()
        self.clamping_mode = clamping_mode

    def transform(self, inpt: Any, params: Params) -> Any:
        return F.clamp_bounding_boxes(inpt, clamping_mode=self.clamping_mode)


class ClampKeyPoints(Transform):
    """Points moved into the image.

    >>> from argand.vision import tv_tensors
    >>> from argand.vision.transforms import v2
    >>> v2.ClampKeyPoints()(tv_tensors.KeyPoints([[9, 2]], canvas_size=(8, 8))).tolist()
    [[7, 2]]
    """

    _transformed_types = (tv_tensors.KeyPoints,)

    def transform(self, inpt: Any, params: Params) -> Any:
        return F.clamp_keypoints(inpt)


class SetClampingMode(Transform):
    """Boxes with another `clamping_mode`: None, "soft" or "hard"."""

    _transformed_types = (tv_tensors.BoundingBoxes,)

    def __init__(self, clamping_mode: str | None) -> None:
        super().__init__()
        if clamping_mode not in (None, "soft", "hard"):
            raise ValueError(f"clamping_mode must be soft, hard or None, got {clamping_mode}")
        self.clamping_mode = clamping_mode

    def transform(self, inpt: Any, params: Params) -> Any:
        found = inpt.clone()
        found.clamping_mode = self.clamping_mode
        return found


class _Sanitizing(Transform):
    """Base of transforms that leave out what isn't worth keeping, and its labels."""

    _kept: tuple[type, ...] = ()

    def _parts(self, sample: Any) -> tuple[Any, ...]:
        """The labels that belong to boxes or points."""
        labels = self._find_labels(sample)
        if labels is None:
            return ()
        several = labels if isinstance(labels, tuple | list) else (labels,)
        for label in several:
            if not isinstance(label, Tensor):
                raise ValueError(
                    "The labels in the input to forward() must be a tensor or None, got "
                    f"{type(label)} instead."
                )
        return tuple(several)

    def _valid(self, flat: list[Any]) -> tuple[Any, int]:
        """What is to be kept, and of how many."""
        raise NotImplementedError

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        flat, structure = flatten(sample)
        labels = self._parts(sample)
        valid, count = self._valid(flat)
        for label in labels:
            if label.shape[0] != count:
                raise ValueError(
                    f"Number of boxes or points ({count}) must match the number of labels. Found "
                    f"labels with shape={label.shape})."
                )

        boxes_and_masks: Any = self._kept

        def kept(x: Any) -> Any:
            if any(x is label for label in labels):
                return x[valid]
            if not isinstance(x, boxes_and_masks) or (
                isinstance(x, tv_tensors.Mask) and x.shape[0] != count
            ):
                return x
            return tv_tensors.wrap(x.as_subclass(Tensor)[valid], like=x)

        return unflatten(structure, [kept(x) for x in flat])


class SanitizeBoundingBoxes(_Sanitizing):
    """Without boxes that are too small or reach beyond the image, their labels and their masks.

    >>> from argand.vision import tv_tensors
    >>> from argand.vision.transforms import v2
    >>> boxes = tv_tensors.BoundingBoxes(
    ...     [[1, 2, 4, 6], [0, 0, 0, 0]], format="XYXY", canvas_size=(8, 8)
    ... )
    >>> v2.SanitizeBoundingBoxes()({"boxes": boxes, "labels": ag.tensor([3, 4])})["labels"]
    tensor([3])
    """

    _kept = (tv_tensors.BoundingBoxes, tv_tensors.Mask)

    def __init__(
        self, min_size: float = 1.0, min_area: float = 1.0, labels_getter: Any = "default"
    ) -> None:
        super().__init__()
        if min_size < 1:
            raise ValueError(f"min_size must be >= 1, got {min_size}.")
        if min_area < 1:
            raise ValueError(f"min_area must be >= 1, got {min_area}.")
        self.min_size, self.min_area, self.labels_getter = min_size, min_area, labels_getter
        self._find_labels = finder_of_labels(labels_getter)

    def _valid(self, flat: list[Any]) -> tuple[Any, int]:
        boxes = get_bounding_boxes(flat)
        plain = boxes.as_subclass(Tensor)
        told = (boxes.format, boxes.canvas_size)
        return valid_boxes(plain, *told, self.min_size, self.min_area), len(plain)


class SanitizeKeyPoints(_Sanitizing):
    """Without points that lie outside of the image, and their labels.

    >>> from argand.vision import tv_tensors
    >>> from argand.vision.transforms import v2
    >>> points = tv_tensors.KeyPoints([[9, 2], [1, 1]], canvas_size=(8, 8))
    >>> v2.SanitizeKeyPoints()(points).tolist()
    [[1, 1]]
    """

    _kept = (tv_tensors.KeyPoints,)

    def __init__(self, labels_getter: Any = None) -> None:
        super().__init__()
        self.labels_getter = labels_getter
        self._find_labels = finder_of_labels(labels_getter)

    def _valid(self, flat: list[Any]) -> tuple[Any, int]:
        points = get_keypoints(flat)
        return valid_points(points.as_subclass(Tensor), points.canvas_size), len(points)
