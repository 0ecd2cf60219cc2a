"""Transforms that move pixels: sizes, parts and borders."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from argand.tensor.core import Tensor
from argand.tensor.creation import tensor
from argand.tensor.random import rand, randint
from argand.vision import tv_tensors
from argand.vision.box_formats import XYXY, converted
from argand.vision.ops.boxes import box_iou
from argand.vision.pillow import is_pil
from argand.vision.transforms.resizing import PADDING_MODES, sides_of
from argand.vision.transforms.v2 import functional as F
from argand.vision.transforms.v2.base import (
    Params,
    RandomlyApplied,
    Transform,
    check_sequence,
    fill_for,
    fills_of,
    get_bounding_boxes,
    has_all,
    has_any,
    query_size,
    size_of,
    uniform,
    whole,
)
from argand.vision.transforms.v2.functional import is_pure_tensor


class RandomHorizontalFlip(RandomlyApplied):
    """Left and right swapped with a chance of `p`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomHorizontalFlip(p=1.0)(ag.arange(3).reshape(1, 1, 3)).flatten()
    tensor([2, 1, 0])
    """

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.horizontal_flip, inpt)


class RandomVerticalFlip(RandomlyApplied):
    """Top and bottom swapped with a chance of `p`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomVerticalFlip(p=1.0)(ag.arange(3).reshape(1, 3, 1)).flatten()
    tensor([2, 1, 0])
    """

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.vertical_flip, inpt)


# -- size ------------------------------------------------------------------------------------------


class _Resizing(Transform):
    """Base of transforms that resize, with the way in which pixels are found."""

    interpolation: Any
    antialias: Any

    def transform(self, inpt: Any, params: Params) -> Any:
        options = {"interpolation": self.interpolation, "antialias": self.antialias}
        return self._call_kernel(F.resize, inpt, **{**options, **params})


class Resize(_Resizing):
    """Another size: (h, w), or a number for the shorter side, with at most `max_size` for the
    longer one.

    >>> from argand.vision.transforms import v2
    >>> v2.Resize(4)(ag.ones(3, 8, 12)).shape
    argand.Size([3, 4, 6])
    """

    def __init__(
        self,
        size: Any,
        interpolation: Any = "bilinear",
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if isinstance(size, int):
            size = [size]
        elif isinstance(size, Sequence) and len(size) in (1, 2):
            size = list(size)
        elif size is not None:
            raise ValueError(
                "size can be an integer, a sequence of one or two integers, or None, but got "
                f"{size} instead."
            )
        elif not isinstance(max_size, int):
            raise ValueError(
                f"max_size must be an integer when size is None, but got {max_size} instead."
            )
        self.size, self.interpolation = size, interpolation
        self.max_size, self.antialias = max_size, antialias

    def make_params(self, flat_inputs: list[Any]) -> Params:
        return {"size": self.size, "max_size": self.max_size}


class RandomResize(_Resizing):
    """A size of the shorter side between two numbers, the greater left out.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomResize(4, 5)(ag.ones(3, 8, 12)).shape
    argand.Size([3, 4, 6])
    """

    def __init__(
        self,
        min_size: int,
        max_size: int,
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.min_size, self.max_size = min_size, max_size
        self.interpolation, self.antialias = interpolation, antialias

    def make_params(self, flat_inputs: list[Any]) -> Params:
        return {"size": [int(randint(self.min_size, self.max_size, ()).item())]}


class ScaleJitter(_Resizing):
    """The size at which an image fits `target_size`, times a number of a range.

    >>> from argand.vision.transforms import v2
    >>> v2.ScaleJitter((8, 8), scale_range=(1.0, 1.0))(ag.ones(3, 4, 2)).shape
    argand.Size([3, 8, 4])
    """

    def __init__(
        self,
        target_size: tuple[int, int],
        scale_range: tuple[float, float] = (0.1, 2.0),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.target_size, self.scale_range = target_size, scale_range
        self.interpolation, self.antialias = interpolation, antialias

    def make_params(self, flat_inputs: list[Any]) -> Params:
        height, width = query_size(flat_inputs)
        low, high = self.scale_range
        scale = low + rand(1) * (high - low)
        ratio = min(self.target_size[1] / height, self.target_size[0] / width) * scale
        return {"size": (int((height * ratio).item()), int((width * ratio).item()))}


class RandomShortestSize(_Resizing):
    """A size of the shorter side drawn from a list; the longer side is at most `max_size`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomShortestSize([4])(ag.ones(3, 8, 12)).shape
    argand.Size([3, 4, 6])
    """

    def __init__(
        self,
        min_size: Any,
        max_size: int | None = None,
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.min_size = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size, self.interpolation, self.antialias = max_size, interpolation, antialias

    def make_params(self, flat_inputs: list[Any]) -> Params:
        height, width = query_size(flat_inputs)
        wanted = self.min_size[int(randint(len(self.min_size), ()).item())]
        ratio = wanted / min(height, width)
        if self.max_size is not None:
            ratio = min(ratio, self.max_size / max(height, width))
        return {"size": (int(height * ratio), int(width * ratio))}


# -- parts -----------------------------------------------------------------------------------------


class CenterCrop(Transform):
    """The middle of images: (h, w), or a number for both; zeros around where they are smaller.

    >>> from argand.vision.transforms import v2
    >>> v2.CenterCrop(2)(ag.arange(16).reshape(1, 4, 4)).flatten()
    tensor([ 5,  6,  9, 10])
    """

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = size_of(size)

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.center_crop, inpt, output_size=self.size)


class _Crops(Transform):
    """Base of transforms that give several parts."""

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        if has_any(flat_inputs, tv_tensors.BoundingBoxes, tv_tensors.Mask):
            raise TypeError(
                f"BoundingBoxes'es and Mask's are not supported by {type(self).__name__}()"
            )


class FiveCrop(_Crops):
    """The four corners and the middle, as a tuple.

    >>> from argand.vision.transforms import v2
    >>> len(v2.FiveCrop(2)(ag.ones(1, 4, 4)))
    5
    """

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = size_of(size)

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.five_crop, inpt, self.size)


class TenCrop(_Crops):
    """The parts of `FiveCrop`, and those of the flipped image.

    >>> from argand.vision.transforms import v2
    >>> len(v2.TenCrop(2)(ag.ones(1, 4, 4)))
    10
    """

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__()
        self.size, self.vertical_flip = size_of(size), vertical_flip

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.ten_crop, inpt, self.size, vertical_flip=self.vertical_flip)


def random_part(
    height: int, width: int, scale: Sequence[float], ratio: Sequence[float]
) -> tuple[int, int, int, int]:
    """The top, left, height and width of a part with an area and proportions of these ranges; the
    middle of the image where ten draws found none."""
    logs = tensor(ratio, dtype="float32").log().tolist()
    for _ in range(10):
        area = height * width * uniform(scale[0], scale[1])
        aspect = tensor([uniform(*logs)]).exp().item()
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return whole(0, height - h + 1), whole(0, width - w + 1), h, w
    w, h = width, height
    if width / height < min(ratio):
        h = round(w / min(ratio))
    elif width / height > max(ratio):
        w = round(h * max(ratio))
    return (height - h) // 2, (width - w) // 2, h, w


class RandomResizedCrop(Transform):
    """A part of a drawn area and proportions, at another size.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomResizedCrop(4)(ag.ones(3, 8, 12)).shape
    argand.Size([3, 4, 4])
    """

    def __init__(
        self,
        size: Any,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = size_of(size)
        for name, given in (("Scale", scale), ("Ratio", ratio)):
            if not isinstance(given, Sequence) or len(given) != 2:
                raise TypeError(f"{name} should be a sequence of two floats.")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        self.scale, self.ratio = scale, ratio
        self.interpolation, self.antialias = interpolation, antialias

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any) -> tuple[int, int, int, int]:
        """The top, left, height and width of a drawn part."""
        height, width = F.get_size(img)
        return random_part(height, width, scale, ratio)

    def make_params(self, flat_inputs: list[Any]) -> Params:
        height, width = query_size(flat_inputs)
        part = random_part(height, width, self.scale, self.ratio)
        return dict(zip(("top", "left", "height", "width"), part, strict=True))

    def transform(self, inpt: Any, params: Params) -> Any:
        options = {"interpolation": self.interpolation, "antialias": self.antialias}
        return self._call_kernel(F.resized_crop, inpt, **params, size=self.size, **options)


def check_padding(padding: Any) -> None:
    """Refuse what is not 1, 2 or 4 whole numbers."""
    numbers = [padding] if isinstance(padding, int) else padding
    fits = isinstance(numbers, tuple | list) and len(numbers) in (1, 2, 4)
    if not fits or not all(isinstance(n, int) for n in numbers):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element of tuple or list, got {padding}."
        )


def check_padding_mode(padding_mode: str) -> None:
    """Refuse what is no mode."""
    if padding_mode not in PADDING_MODES:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")


class Pad(Transform):
    """Pixels around: one number, (left and right, top and bottom), or (left, top, right, bottom).

    >>> from argand.vision.transforms import v2
    >>> v2.Pad((1, 0))(ag.ones(1, 1, 1)).flatten()
    tensor([0., 1., 0.])
    """

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        check_padding(padding)
        check_padding_mode(padding_mode)
        self.padding = padding if isinstance(padding, int) else list(padding)
        self.fill, self.padding_mode = fill, padding_mode
        self._fill = fills_of(fill)

    def transform(self, inpt: Any, params: Params) -> Any:
        fill = fill_for(self._fill, type(inpt))
        mode = self.padding_mode
        return self._call_kernel(F.pad, inpt, self.padding, fill=fill, padding_mode=mode)


class RandomCrop(Transform):
    """A part, (h, w) or a number for both, at a place that is drawn; `padding` is added around
    first, and with `pad_if_needed` what a small image lacks.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomCrop(32, padding=4)(ag.ones(3, 32, 32)).shape
    argand.Size([3, 32, 32])
    """

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = size_of(size)
        if padding is not None:
            check_padding(padding)
        check_padding_mode(padding_mode)
        self.padding = sides_of(padding) if padding else None
        self.pad_if_needed, self.fill, self.padding_mode = pad_if_needed, fill, padding_mode
        self._fill = fills_of(fill)

    @staticmethod
    def get_params(img: Any, output_size: Any) -> tuple[int, int, int, int]:
        """The top, left, height and width of a drawn part of that size."""
        (height, width), (h, w) = F.get_size(img), output_size
        if height < h or width < w:
            raise ValueError(
                f"Required crop size {(h, w)} is larger than input image size {(height, width)}"
            )
        if (height, width) == (h, w):
            return 0, 0, h, w
        return whole(0, height - h + 1), whole(0, width - w + 1), h, w

    def make_params(self, flat_inputs: list[Any]) -> Params:
        height, width = query_size(flat_inputs)
        left, right, top, bottom = self.padding or (0, 0, 0, 0)
        if self.pad_if_needed:
            rows = max(self.size[0] - height - top - bottom, 0)
            columns = max(self.size[1] - width - left - right, 0)
            left, right, top, bottom = left + columns, right + columns, top + rows, bottom + rows
        height, width = height + top + bottom, width + left + right
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(
                f"Required crop size {tuple(self.size)} is larger than "
                f"{'padded ' if self.padding else ''}input image size {(height, width)}."
            )
        spare = (height - self.size[0], width - self.size[1])
        place = [int(randint(0, n + 1, ()).item()) if n else 0 for n in spare]
        return {
            "part": (*place, *self.size) if any(spare) else None,
            "padding": [left, top, right, bottom],
        }

    def transform(self, inpt: Any, params: Params) -> Any:
        if any(params["padding"]):
            fill = fill_for(self._fill, type(inpt))
            mode = self.padding_mode
            inpt = self._call_kernel(F.pad, inpt, params["padding"], fill=fill, padding_mode=mode)
        return self._call_kernel(F.crop, inpt, *params["part"]) if params["part"] else inpt


class RandomZoomOut(RandomlyApplied):
    """The image on a larger canvas, its sides times a number of `side_range`, at a drawn place.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomZoomOut(side_range=(2.0, 2.0), p=1.0)(ag.ones(3, 4, 4)).shape
    argand.Size([3, 8, 8])
    """

    def __init__(
        self, fill: Any = 0, side_range: Sequence[float] = (1.0, 4.0), p: float = 0.5
    ) -> None:
        super().__init__(p=p)
        self.fill, self.side_range = fill, side_range
        self._fill = fills_of(fill)
        check_sequence(side_range, "side_range", (2,))
        if side_range[0] < 1.0 or side_range[0] > side_range[1]:
            raise ValueError(f"Invalid side range provided {side_range}.")

    def make_params(self, flat_inputs: list[Any]) -> Params:
        height, width = query_size(flat_inputs)
        low, high = self.side_range
        ratio = low + rand(1) * (high - low)
        rows, columns = (int((n * ratio).item()) - n for n in (height, width))
        place = rand(2)
        left, top = int((columns * place[0]).item()), int((rows * place[1]).item())
        return {"padding": [left, top, columns - left, rows - top]}

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.pad, inpt, **params, fill=fill_for(self._fill, type(inpt)))


class RandomIoUCrop(Transform):
    """A part that overlaps a box by at least a drawn share, for training of detectors (SSD, Liu et
    al. 2016). The numbers of boxes whose centre is outside become 0; see `SanitizeBoundingBoxes`.

    >>> from argand.vision import tv_tensors
    >>> from argand.vision.transforms import v2
    >>> boxes = tv_tensors.BoundingBoxes([[0, 0, 4, 4]], format="XYXY", canvas_size=(4, 4))
    >>> image, _ = v2.RandomIoUCrop(sampler_options=[1.0])(ag.ones(3, 4, 4), boxes)
    >>> image.shape
    argand.Size([3, 4, 4])
    """

    def __init__(
        self,
        min_scale: float = 0.3,
        max_scale: float = 1.0,
        min_aspect_ratio: float = 0.5,
        max_aspect_ratio: float = 2.0,
        sampler_options: list[float] | None = None,
        trials: int = 40,
    ) -> None:
        super().__init__()
        self.min_scale, self.max_scale = min_scale, max_scale
        self.min_aspect_ratio, self.max_aspect_ratio = min_aspect_ratio, max_aspect_ratio
        usual = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
        self.options = usual if sampler_options is None else sampler_options
        self.trials = trials

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        images = has_any(flat_inputs, is_pil, tv_tensors.Image, is_pure_tensor)
        if not (images and has_all(flat_inputs, tv_tensors.BoundingBoxes)):
            raise TypeError(
                f"{type(self).__name__}() requires input sample to contain tensor or PIL images "
                "and bounding boxes. Sample can also contain masks."
            )

    def make_params(self, flat_inputs: list[Any]) -> Params:
        size, boxes = query_size(flat_inputs), get_bounding_boxes(flat_inputs)
        corners = converted(boxes.as_subclass(Tensor), boxes.format, XYXY)
        while True:
            overlap = self.options[whole(0, len(self.options))]
            if overlap >= 1.0:
                return {}
            for _ in range(self.trials):
                found = self._part(size, corners, overlap)
                if found is not None:
                    return found

    def _part(self, size: tuple[int, int], corners: Any, overlap: float) -> Params | None:
        """A drawn part, if it has the proportions, a box's centre in it, and overlaps enough."""
        height, width = size
        scales = (self.min_scale + (self.max_scale - self.min_scale) * rand(2)).tolist()
        w, h = int(width * scales[0]), int(height * scales[1])
        if not self.min_aspect_ratio <= w / h <= self.max_aspect_ratio:
            return None
        place = rand(2).tolist()
        left, top = int((width - w) * place[0]), int((height - h) * place[1])
        if not (w and h):
            return None
        x = 0.5 * (corners[..., 0] + corners[..., 2])
        y = 0.5 * (corners[..., 1] + corners[..., 3])
        inside = (x > left) & (x < left + w) & (y > top) & (y < top + h)
        if not bool(inside.any()):
            return None
        part = tensor([[left, top, left + w, top + h]], dtype=corners.dtype)
        if box_iou(corners[inside], part).max().item() < overlap:
            return None
        return {"part": (top, left, h, w), "inside": inside}

    def transform(self, inpt: Any, params: Params) -> Any:
        if not params:
            return inpt
        found = self._call_kernel(F.crop, inpt, *params["part"])
        if isinstance(found, tv_tensors.BoundingBoxes):
            found[~params["inside"]] = 0
        return found
