"""Images made ready for a network: `torchvision.transforms`, on arrays and tensors.

Every transform takes and gives a tensor (..., C, H, W); `ToTensor` makes one of an array
(H, W, C), as files and cameras give them. Draws come from `ag.manual_seed`'s generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import shape_text
from argand.nn import functional as F
from argand.nn.functional.padding import several
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import tensor
from argand.tensor.random import rand, randint

__all__ = [
    "CenterCrop",
    "Compose",
    "Lambda",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "Resize",
    "ToTensor",
]


class Compose:
    """Transforms one after the other.

    >>> from argand.vision.transforms import Compose, Normalize, ToTensor
    >>> prepare = Compose([ToTensor(), Normalize(0.5, 0.5)])
    >>> prepare(np.full((2, 2, 1), 255, np.uint8)).flatten()
    tensor([1., 1., 1., 1.])
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return "Compose(\n  " + "\n  ".join(map(repr, self.transforms)) + "\n)"


class _Transform:
    """Shows what it was made with."""

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({parts})"


class ToTensor(_Transform):
    """An array or PIL image (H, W, C) or (H, W) as a tensor (C, H, W); bytes become float32 in
    [0, 1].

    >>> ag.vision.transforms.ToTensor()(np.full((2, 3), 51, np.uint8))
    tensor([[[0.2000, 0.2000, 0.2000],
             [0.2000, 0.2000, 0.2000]]])
    """

    def __call__(self, image: Any) -> Tensor:
        array = np.asarray(image)
        if array.ndim not in (2, 3):
            raise ShapeError(
                f"ToTensor: expected an image (H, W) or (H, W, C), got {shape_text(array.shape)}"
            )
        planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        if array.dtype == np.uint8:
            return wrap(planes.astype(np.float32) / np.float32(255))
        return wrap(np.ascontiguousarray(planes))


class Normalize(_Transform):
    """(x - mean) / std for each channel.

    >>> ag.vision.transforms.Normalize((1.0, 2.0), (1.0, 0.5))(ag.ones(2, 1, 1)).flatten()
    tensor([ 0., -2.])
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = mean, std
        if np.any(np.asarray(std) == 0):
            raise ArgumentError(f"Normalize: the standard deviation must not be 0, got {std}")

    def __call__(self, image: Any) -> Any:
        mean, std = (tensor(v, dtype=image.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        return (image - mean) / std


class Lambda(_Transform):
    """Any function as a transform.

    >>> ag.vision.transforms.Lambda(lambda x: x * 2)(ag.ones(1))
    tensor([2.])
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        self.lambd = lambd

    def __call__(self, image: Any) -> Any:
        return self.lambd(image)


class Resize(_Transform):
    """Images at another size: (h, w), or a number for the shorter side. See `F.interpolate`.

    >>> ag.vision.transforms.Resize(4)(ag.ones(3, 8, 12)).shape
    argand.Size([3, 4, 6])
    """

    def __init__(self, size: Any, interpolation: str = "bilinear") -> None:
        self.size, self.interpolation = size, interpolation

    def __call__(self, image: Any) -> Any:
        h, w = image.shape[-2:]
        if isinstance(self.size, int):
            short = min(h, w)
            size: Any = (self.size * h // short, self.size * w // short)
        else:
            size = tuple(self.size)
        batch = image.reshape(-1, *image.shape[-3:])
        y = F.interpolate(batch, size, mode=self.interpolation)
        return y.reshape(*image.shape[:-2], *size)


class Pad(_Transform):
    """Pixels around: one number, (left and right, top and bottom), or (left, top, right, bottom).

    >>> ag.vision.transforms.Pad((1, 0))(ag.ones(1, 1, 1)).flatten()
    tensor([0., 1., 0.])
    """

    def __init__(self, padding: Any, fill: float = 0, padding_mode: str = "constant") -> None:
        given = (padding,) if isinstance(padding, int) else tuple(padding)
        if len(given) not in (1, 2, 4):
            raise ArgumentError(f"Pad: padding must be 1, 2 or 4 numbers, got {padding!r}")
        self.padding, self.fill, self.padding_mode = given * (4 // len(given)), fill, padding_mode

    def __call__(self, image: Any) -> Any:
        left, top, right, bottom = self.padding
        fill = self.fill if self.padding_mode == "constant" else None
        return F.pad(image, (left, right, top, bottom), self.padding_mode, fill)


class CenterCrop(_Transform):
    """The middle of images: (h, w), or a number for both.

    >>> ag.vision.transforms.CenterCrop(2)(ag.arange(16).reshape(1, 4, 4)).flatten()
    tensor([ 5,  6,  9, 10])
    """

    def __init__(self, size: Any) -> None:
        self.size = several(size, 2, "size")

    def __call__(self, image: Any) -> Any:
        rows, columns = _spare(type(self).__name__, image, self.size)
        return _cropped(image, (rows + 1) // 2, (columns + 1) // 2, self.size)


class RandomCrop(_Transform):
    """A part of images, (h, w) or a number for both, at a place drawn anew each time; `padding` is
    added around first, as by `Pad`.

    >>> ag.vision.transforms.RandomCrop(32, padding=4)(ag.ones(3, 32, 32)).shape
    argand.Size([3, 32, 32])
    """

    def __init__(
        self, size: Any, padding: Any = None, fill: float = 0, padding_mode: str = "constant"
    ) -> None:
        self.size = several(size, 2, "size")
        self.pad = None if padding is None else Pad(padding, fill, padding_mode)

    def __call__(self, image: Any) -> Any:
        image = image if self.pad is None else self.pad(image)
        spare = _spare(type(self).__name__, image, self.size)
        top, left = (int(randint(0, count + 1, ()).item()) for count in spare)
        return _cropped(image, top, left, self.size)


class RandomHorizontalFlip(_Transform):
    """Images mirrored left to right with probability `p`.

    >>> ag.vision.transforms.RandomHorizontalFlip(p=1.0)(ag.tensor([[[1, 2, 3]]]))
    tensor([[[3, 2, 1]]])
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, image: Any) -> Any:
        return image.flip(-1) if rand(()).item() < self.p else image


def _spare(name: str, image: Any, size: Sequence[int]) -> tuple[int, int]:
    """How many rows and columns more the images have than wanted."""
    h, w = image.shape[-2:]
    if h < size[0] or w < size[1]:
        raise ShapeError(
            f"{name}: images of {shape_text((h, w))} are smaller than {shape_text(size)}; pad them "
            "first"
        )
    return h - size[0], w - size[1]


def _cropped(image: Any, top: int, left: int, size: Sequence[int]) -> Any:
    return image[..., top : top + size[0], left : left + size[1]]
