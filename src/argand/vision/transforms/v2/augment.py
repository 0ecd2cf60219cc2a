"""Transforms that cut holes, mix images, or write them as JPEG."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Number
from typing import Any

from argand.base.tree import flatten, unflatten
from argand.distributions import Beta
from argand.nn.functional import one_hot
from argand.tensor.core import Tensor
from argand.tensor.creation import empty, tensor
from argand.tensor.random import randint
from argand.vision import tv_tensors
from argand.vision.pillow import is_pil
from argand.vision.transforms.v2 import functional as F
from argand.vision.transforms.v2.base import (
    Params,
    RandomlyApplied,
    Transform,
    check_sequence,
    finder_of_labels,
    has_any,
    query_chw,
    query_size,
    uniform,
    whole,
)
from argand.vision.transforms.v2.functional import is_pure_tensor


def check_hole(value: Any, scale: Any, ratio: Any) -> None:
    """Refuse what `RandomErasing` has no meaning for."""
    if not isinstance(value, Number | str | tuple | list):
        raise TypeError("Argument value should be either a number or str or a sequence")
    if isinstance(value, str) and value != "random":
        raise ValueError("If value is str, it should be 'random'")
    if not isinstance(scale, Sequence):
        raise TypeError("Scale should be a sequence")
    if not isinstance(ratio, Sequence):
        raise TypeError("Ratio should be a sequence")
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=3)
    if scale[0] < 0 or scale[1] > 1:
        raise ValueError("Scale should be between 0 and 1")


def hole_values(value: Any) -> list[float] | None:
    """What fills a hole: one number or one for each channel; None for noise."""
    if isinstance(value, str):
        return None
    return [float(v) for v in value] if isinstance(value, list | tuple) else [float(value)]


def random_hole(
    shape: tuple[int, int, int], scale: Sequence[float], ratio: Sequence[float], values: Any
) -> tuple[int, int, int, int, Any] | None:
    """The top, left, height, width and values of a hole with an area and proportions of these
    ranges; None where ten draws found none."""
    channels, height, width = shape
    if values is not None and len(values) not in (1, channels):
        raise ValueError(
            f"If value is a sequence, it should have either a single value or {channels} (number "
            "of inpt channels)"
        )
    logs = tensor(ratio, dtype="float32").log().tolist()
    for _ in range(10):
        area = height * width * uniform(scale[0], scale[1])
        aspect = tensor([uniform(*logs)]).exp().item()
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if h < height and w < width:
            noise = empty(channels, h, w).normal_() if values is None else None
            filling = noise if values is None else tensor(values)[:, None, None]
            return whole(0, height - h + 1), whole(0, width - w + 1), h, w, filling
    return None


class RandomErasing(RandomlyApplied):
    """A hole of a drawn area and proportions, with a chance of `p` (Zhong et al. 2017); `value` is
    a number, one for each channel, or "random" for noise.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0))(ag.ones(1, 4, 4)).sum()
    tensor(12.)
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0.0,
        inplace: bool = False,
    ) -> None:
        super().__init__(p=p)
        check_hole(value, scale, ratio)
        self.scale, self.ratio = scale, ratio
        self.value, self.inplace = hole_values(value), inplace

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any, value: Any = None) -> tuple[Any, ...]:
        """The top, left, height, width and values of a drawn hole, or the whole image."""
        hole = random_hole(img.shape[-3:], scale, ratio, value)
        return (0, 0, *img.shape[-2:], img) if hole is None else hole

    def make_params(self, flat_inputs: list[Any]) -> Params:
        hole = random_hole(query_chw(flat_inputs), self.scale, self.ratio, self.value)
        return {"hole": hole}

    def transform(self, inpt: Any, params: Params) -> Any:
        if params["hole"] is None:
            return inpt
        return self._call_kernel(F.erase, inpt, *params["hole"], inplace=self.inplace)


class _Mixing(Transform):
    """Base of transforms that mix each image of a batch, and its label, with the one before."""

    def __init__(
        self, *, alpha: float = 1.0, num_classes: int | None = None, labels_getter: Any = "default"
    ) -> None:
        super().__init__()
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self._find_labels = finder_of_labels(labels_getter)

    def _share(self) -> float:
        """How much of a mixture is of the image itself."""
        alpha = tensor([self.alpha])
        return float(Beta(alpha, alpha).sample(()).item())

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        flat, structure = flatten(sample)
        wanted = self._needs_transform_list(flat)
        others = (tv_tensors.BoundingBoxes, tv_tensors.Mask, tv_tensors.KeyPoints)
        if has_any(flat, is_pil, *others):
            raise ValueError(
                f"{type(self).__name__}() does not support PIL images, bounding boxes, keypoints "
                "and masks."
            )
        labels = self._find_labels(sample)
        self._check_labels(labels)
        pairs = list(zip(flat, wanted, strict=True))
        params = self.make_params([x for x, needed in pairs if needed])
        params |= {"labels": labels, "batch_size": labels.shape[0]}
        found = [self.transform(x, params) if n or x is labels else x for x, n in pairs]
        return unflatten(structure, found)

    def _check_labels(self, labels: Any) -> None:
        if not isinstance(labels, Tensor):
            raise ValueError(f"The labels must be a tensor, but got {type(labels)} instead.")
        if labels.ndim not in (1, 2):
            raise ValueError(
                "labels should be index based with shape (batch_size,) or probability based with "
                f"shape (batch_size, num_classes), but got a tensor of shape {labels.shape} "
                "instead."
            )
        if labels.ndim == 1 and self.num_classes is None:
            raise ValueError("num_classes must be passed if the labels are index-based (1D)")
        if labels.ndim == 2 and self.num_classes not in (None, labels.shape[-1]):
            raise ValueError(
                "When passing 2D labels, the number of elements in last dimension must match "
                f"num_classes: {labels.shape[-1]} != {self.num_classes}. You can Leave num_classes "
                "to None."
            )

    def _mixed_labels(self, labels: Any, share: float) -> Any:
        if labels.ndim == 1:
            labels = one_hot(labels, self.num_classes or 0)
        chances = labels if labels.is_floating_point() else labels.float()
        return chances.roll(1, 0) * (1.0 - share) + chances * share

    def transform(self, inpt: Any, params: Params) -> Any:
        if inpt is params["labels"]:
            return self._mixed_labels(inpt, params["share"])
        pictures = isinstance(inpt, tv_tensors.Image | tv_tensors.Video)
        if not pictures and not is_pure_tensor(inpt):
            return inpt
        dims = 5 if isinstance(inpt, tv_tensors.Video) else 4
        if inpt.ndim != dims:
            raise ValueError(
                f"Expected a batched input with {dims} dims, but got {inpt.ndim} dimensions "
                "instead."
            )
        if inpt.shape[0] != params["batch_size"]:
            raise ValueError(
                "The batch size of the image or video does not match the batch size of the labels: "
                f"{inpt.shape[0]} != {params['batch_size']}."
            )
        found = self._mixed(inpt.as_subclass(Tensor), params)
        return tv_tensors.wrap(found, like=inpt) if pictures else found

    def _mixed(self, batch: Any, params: Params) -> Any:
        raise NotImplementedError


class MixUp(_Mixing):
    """``s x + (1 - s) y`` of each image x of a batch and the one before, y, and of their labels; s
    is drawn from Beta(alpha, alpha) (Zhang et al. 2017).

    >>> from argand.vision.transforms import v2
    >>> images, labels = v2.MixUp(num_classes=3)(ag.ones(2, 1, 4, 4), ag.tensor([0, 2]))
    >>> labels.sum(1)
    tensor([1., 1.])
    """

    def make_params(self, flat_inputs: list[Any]) -> Params:
        return {"share": self._share()}

    def _mixed(self, batch: Any, params: Params) -> Any:
        share = params["share"]
        return batch.roll(1, 0) * (1.0 - share) + batch * share


class CutMix(_Mixing):
    """A drawn part of each image of a batch taken from the one before, and the labels mixed in
    proportion to it (Yun et al. 2019).

    >>> from argand.vision.transforms import v2
    >>> images, labels = v2.CutMix(num_classes=3)(ag.ones(2, 1, 4, 4), ag.tensor([0, 2]))
    >>> labels.sum(1)
    tensor([1., 1.])
    """

    def make_params(self, flat_inputs: list[Any]) -> Params:
        share = self._share()
        height, width = query_size(flat_inputs)
        x, y = whole(0, width), whole(0, height)
        half = 0.5 * math.sqrt(1.0 - share)
        columns, rows = int(half * width), int(half * height)
        x1, y1 = max(x - columns, 0), max(y - rows, 0)
        x2, y2 = min(x + columns, width), min(y + rows, height)
        kept = 1.0 - (x2 - x1) * (y2 - y1) / (width * height)
        return {"part": (slice(y1, y2), slice(x1, x2)), "share": kept}

    def _mixed(self, batch: Any, params: Params) -> Any:
        part = (..., *params["part"])
        found = batch.clone()
        found[part] = batch.roll(1, 0)[part]
        return found


class JPEG(Transform):
    """What is left of an image of bytes that was written as JPEG, with a quality (1 to 100) of a
    range.

    >>> from argand.vision.transforms import v2
    >>> v2.JPEG((50, 90))(ag.zeros(3, 8, 8, dtype=ag.uint8)).shape
    argand.Size([3, 8, 8])
    """

    def __init__(self, quality: Any) -> None:
        super().__init__()
        if isinstance(quality, bool):
            raise TypeError("quality can't be bool")
        if isinstance(quality, int):
            quality = [quality, quality]
        check_sequence(quality, "quality", (2,))
        whole_numbers = all(isinstance(q, int) for q in quality)
        if not (whole_numbers and 1 <= quality[0] <= quality[1] <= 100):
            raise ValueError(f"quality must be an integer from 1 to 100, got quality ={quality!r}")
        self.quality = quality

    def make_params(self, flat_inputs: list[Any]) -> Params:
        return {"quality": int(randint(self.quality[0], self.quality[1] + 1, ()).item())}

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.jpeg, inpt, **params)
