"""`torchvision.transforms`: the older transforms, of one PIL image or tensor at a time.

Those that draw as the newer ones do are made of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from argand.nn.module import Module
from argand.tensor.core import Tensor
from argand.tensor.random import rand
from argand.vision.transforms import functional as F
from argand.vision.transforms import v2
from argand.vision.transforms.v2.base import size_of
from argand.vision.transforms.v2.geometry import check_padding, check_padding_mode
from argand.vision.transforms.v2.misc import check_linear, linear


class _Older:
    """What makes an older transform of a newer one: the older way to compute tensors, and which
    numbers it shows."""

    _shown: tuple[str, ...] = ()

    def _call_kernel(self, functional: Any, inpt: Any, *args: Any, **kwargs: Any) -> Any:
        return F.OLDER.get(functional, functional)(inpt, *args, **kwargs)

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self._shown)
        shown = (f"{k}={v.value if isinstance(v, Enum) else v}" for k, v in values)
        return f"{type(self).__name__}({', '.join(shown)})"


# -- containers ------------------------------------------------------------------------------------


class Compose:
    """Transforms one after the other.

    >>> from argand.vision.transforms import Compose, Normalize, ToTensor
    >>> prepare = Compose([ToTensor(), Normalize(0.5, 0.5)])
    >>> prepare(np.full((2, 2, 1), 255, np.uint8)).flatten()
    tensor([1., 1., 1., 1.])
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _listing(self)


def _listing(of: Any, before: str = "") -> str:
    lines = "".join(f"\n    {t}" for t in of.transforms)
    return f"{type(of).__name__}({before}{lines}\n)"


class Lambda:
    """Any function as a transform.

    >>> from argand.vision.transforms import Lambda
    >>> Lambda(lambda x: x * 2)(ag.ones(1))
    tensor([2.])
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class RandomApply(Module):
    """Transforms one after the other with a chance of `p`, else none.

    >>> from argand.vision.transforms import CenterCrop, RandomApply
    >>> RandomApply([CenterCrop(2)], p=1.0)(ag.ones(3, 4, 4)).shape
    argand.Size([3, 2, 2])
    """

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        self.transforms, self.p = transforms, p

    def forward(self, img: Any) -> Any:
        if bool(self.p < rand(1)):
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return _listing(self, f"\n    p={self.p}")


class RandomTransforms:
    """Base of transforms that choose among others."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return _listing(self)


class RandomOrder(RandomTransforms):
    """Transforms one after the other, in an order that Python's `random` draws.

    >>> from argand.vision.transforms import CenterCrop, Grayscale, RandomOrder
    >>> RandomOrder([CenterCrop(2), Grayscale()])(ag.ones(3, 4, 4)).shape
    argand.Size([1, 2, 2])
    """

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img


class RandomChoice(RandomTransforms):
    """One of some transforms, that Python's `random` draws.

    >>> from argand.vision.transforms import CenterCrop, Grayscale, RandomChoice
    >>> RandomChoice([CenterCrop(2), Grayscale()], p=[1, 0])(ag.ones(3, 4, 4)).shape
    argand.Size([3, 2, 2])
    """

    def __init__(self, transforms: Sequence[Any], p: Sequence[float] | None = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"


# -- types -----------------------------------------------------------------------------------------


class ToTensor:
    """A PIL image or an array (H, W, C) or (H, W) as a tensor (C, H, W); bytes become floats in
    [0, 1].

    >>> from argand.vision.transforms import ToTensor
    >>> ToTensor()(np.full((2, 3), 51, np.uint8))
    tensor([[[0.2000, 0.2000, 0.2000],
             [0.2000, 0.2000, 0.2000]]])
    """

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """A PIL image as a tensor (C, H, W) of its own dtype, unscaled.

    >>> from PIL import Image
    >>> from argand.vision.transforms import PILToTensor
    >>> PILToTensor()(Image.new("L", (2, 1), 7))
    tensor([[[7, 7]]], dtype=argand.uint8)
    """

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ToPILImage:
    """A tensor (C, H, W) or an array (H, W, C) as a PIL image.

    >>> from argand.vision.transforms import ToPILImage
    >>> ToPILImage()(ag.zeros(3, 4, 5)).size
    (5, 4)
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"ToPILImage({'' if self.mode is None else f'mode={self.mode}'})"


class ConvertImageDtype(Module):
    """A tensor in another dtype, its values in that dtype's range.

    >>> from argand.vision.transforms import ConvertImageDtype
    >>> ConvertImageDtype(ag.uint8)(ag.ones(1, 1, 1))
    tensor([[[255]]], dtype=argand.uint8)
    """

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Any) -> Any:
        return F.convert_image_dtype(image, self.dtype)


class Normalize(Module):
    """``(x - mean) / std`` for each channel.

    >>> from argand.vision.transforms import Normalize
    >>> Normalize((1.0, 2.0), (1.0, 0.5))(ag.ones(2, 1, 1)).flatten()
    tensor([ 0., -2.])
    """

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__()
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, tensor: Any) -> Any:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class LinearTransformation(Module):
    """``(x - mean) @ matrix`` of an image as a row, whitening say.

    >>> from argand.vision.transforms import LinearTransformation
    >>> LinearTransformation(ag.eye(4) * 2, ag.zeros(4))(ag.ones(1, 2, 2)).flatten()
    tensor([2., 2., 2., 2.])
    """

    def __init__(self, transformation_matrix: Any, mean_vector: Any) -> None:
        super().__init__()
        check_linear(transformation_matrix, mean_vector)
        self.transformation_matrix, self.mean_vector = transformation_matrix, mean_vector

    def forward(self, tensor: Any) -> Any:
        return linear(tensor, self.transformation_matrix, self.mean_vector)

    def __repr__(self) -> str:
        matrix, mean = self.transformation_matrix.tolist(), self.mean_vector.tolist()
        return f"LinearTransformation(transformation_matrix={matrix}, mean_vector={mean})"


# -- size and place --------------------------------------------------------------------------------


class Resize(_Older, v2.Resize):
    """Another size: (h, w), or a number for the shorter side, with at most `max_size` for the
    longer one.

    >>> from argand.vision.transforms import Resize
    >>> Resize(4)(ag.ones(3, 8, 12)).shape
    argand.Size([3, 4, 6])
    """

    _shown = ("size", "interpolation", "max_size", "antialias")

    def __init__(
        self,
        size: Any,
        interpolation: Any = F.InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        if not isinstance(size, int | Sequence):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        super().__init__(size, interpolation, max_size, antialias)
        self.size = size


class CenterCrop(_Older, v2.CenterCrop):
    """The middle of images: (h, w), or a number for both; zeros around where they are smaller.

    >>> from argand.vision.transforms import CenterCrop
    >>> CenterCrop(2)(ag.arange(16).reshape(1, 4, 4)).flatten()
    tensor([ 5,  6,  9, 10])
    """

    _shown = ("size",)


class FiveCrop(_Older, v2.FiveCrop):
    """The four corners and the middle, as a tuple.

    >>> from argand.vision.transforms import FiveCrop
    >>> len(FiveCrop(2)(ag.ones(1, 4, 4)))
    5
    """

    _shown = ("size",)


class TenCrop(_Older, v2.TenCrop):
    """The parts of `FiveCrop`, and those of the flipped image.

    >>> from argand.vision.transforms import TenCrop
    >>> len(TenCrop(2)(ag.ones(1, 4, 4)))
    10
    """

    _shown = ("size", "vertical_flip")


class Pad(_Older, v2.Pad):
    """Pixels around: one number, (left and right, top and bottom), or (left, top, right, bottom).

    >>> from argand.vision.transforms import Pad
    >>> Pad((1, 0))(ag.ones(1, 1, 1)).flatten()
    tensor([0., 1., 0.])
    """

    _shown = ("padding", "fill", "padding_mode")


class RandomHorizontalFlip(_Older, v2.RandomHorizontalFlip):
    """Left and right swapped with a chance of `p`.

    >>> from argand.vision.transforms import RandomHorizontalFlip
    >>> RandomHorizontalFlip(1)(ag.tensor([[[1, 2]]]))
    tensor([[[2, 1]]])
    """

    _shown = ("p",)


class RandomVerticalFlip(_Older, v2.RandomVerticalFlip):
    """Top and bottom swapped with a chance of `p`.

    >>> from argand.vision.transforms import RandomVerticalFlip
    >>> RandomVerticalFlip(1)(ag.tensor([[[1], [2]]])).flatten()
    tensor([2, 1])
    """

    _shown = ("p",)


class RandomCrop(Module):
    """A part, (h, w) or a number for both, at a place that is drawn; `padding` is added around
    first, and with `pad_if_needed` what a small image lacks.

    >>> from argand.vision.transforms import RandomCrop
    >>> RandomCrop(32, padding=4)(ag.ones(3, 32, 32)).shape
    argand.Size([3, 32, 32])
    """

    get_params = staticmethod(v2.RandomCrop.get_params)

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = tuple(size_of(size))
        if padding is not None:
            check_padding(padding)
        check_padding_mode(padding_mode)
        self.padding, self.pad_if_needed = padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = self._padded(img, self.padding)
        _, height, width = F.get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            img = self._padded(img, [self.size[1] - width, 0])
        if self.pad_if_needed and height < self.size[0]:
            img = self._padded(img, [0, self.size[0] - height])
        return F.crop(img, *self.get_params(img, self.size))

    def _padded(self, img: Any, padding: Any) -> Any:
        return F.pad(img, padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class RandomResizedCrop(_Older, v2.RandomResizedCrop):
    """A part of a drawn area and proportions, at another size.

    >>> from argand.vision.transforms import RandomResizedCrop
    >>> RandomResizedCrop(4)(ag.ones(3, 8, 12)).shape
    argand.Size([3, 4, 4])
    """

    def __init__(
        self,
        size: Any,
        scale: Any = (0.08, 1.0),
        ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = F.InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__(size, scale, ratio, interpolation, antialias)

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(v, 4) for v in x) for x in (self.scale, self.ratio))
        mode = getattr(self.interpolation, "value", self.interpolation)
        return (
            f"RandomResizedCrop(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={mode}, antialias={self.antialias})"
        )


class RandomRotation(_Older, v2.RandomRotation):
    """Turned by an angle of a range of degrees (one number d: from -d to d), counter-clockwise.

    >>> from argand.vision.transforms import RandomRotation
    >>> RandomRotation((90, 90))(ag.arange(4.0).reshape(1, 2, 2)).flatten()
    tensor([1., 3., 0., 2.])
    """

    _shown = ("degrees", "interpolation", "expand", "fill")


class RandomAffine(_Older, v2.RandomAffine):
    """Turned, moved, scaled and sheared by numbers of ranges; `translate` is at most that part of
    the width and height.

    >>> from argand.vision.transforms import RandomAffine
    >>> RandomAffine(10, translate=(0.1, 0.1), scale=(0.8, 1.2))(ag.ones(3, 4, 4)).shape
    argand.Size([3, 4, 4])
    """

    _shown = ("degrees", "translate", "scale", "shear", "interpolation", "fill", "center")


class RandomPerspective(_Older, v2.RandomPerspective):
    """Seen from the side: the corners drawn inwards, by at most that part of the half.

    >>> from argand.vision.transforms import RandomPerspective
    >>> RandomPerspective(0.5, p=1.0)(ag.ones(3, 4, 4)).shape
    argand.Size([3, 4, 4])
    """

    _shown = ("p",)


class ElasticTransform(_Older, v2.ElasticTransform):
    """Bent by a smooth displacement: `alpha` is its strength, `sigma` how smooth it is.

    >>> from argand.vision.transforms import ElasticTransform
    >>> ElasticTransform(sigma=0.5)(ag.ones(3, 8, 8)).shape
    argand.Size([3, 8, 8])
    """

    _shown = ("alpha", "sigma", "interpolation", "fill")


# -- colours ---------------------------------------------------------------------------------------


class Grayscale(_Older, v2.Grayscale):
    """Gray, in one channel or three equal ones.

    >>> from argand.vision.transforms import Grayscale
    >>> Grayscale()(ag.ones(3, 2, 2)).shape
    argand.Size([1, 2, 2])
    """

    _shown = ("num_output_channels",)


class RandomGrayscale(_Older, v2.RandomGrayscale):
    """Gray with a chance of `p`, in as many channels as before.

    >>> from argand.vision.transforms import RandomGrayscale
    >>> RandomGrayscale(p=1.0)(ag.ones(3, 2, 2)).shape
    argand.Size([3, 2, 2])
    """

    _shown = ("p",)


class ColorJitter(_Older, v2.ColorJitter):
    """Brightness, contrast, saturation and hue times factors of ranges (hue: moved), in a drawn
    order. A range is two numbers, or one: the distance from 1, or 0 for the hue.

    >>> from argand.vision.transforms import ColorJitter
    >>> ColorJitter(brightness=(0.5, 0.5))(ag.ones(3, 1, 1)).flatten()
    tensor([0.5000, 0.5000, 0.5000])
    """

    _shown = ("brightness", "contrast", "saturation", "hue")

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0
    ) -> None:
        super().__init__(brightness, contrast, saturation, hue)


class GaussianBlur(_Older, v2.GaussianBlur):
    """Blurred by a Gaussian in a window of that size, its width drawn from a range.

    >>> from argand.vision.transforms import GaussianBlur
    >>> GaussianBlur(3)(ag.ones(1, 4, 4)).shape
    argand.Size([1, 4, 4])
    """

    _shown = ("kernel_size", "sigma")


class RandomInvert(_Older, v2.RandomInvert):
    """The greatest value less the image's, with a chance of `p`."""

    _shown = ("p",)


class RandomPosterize(_Older, v2.RandomPosterize):
    """Only some of the highest bits of each value, with a chance of `p`."""

    _shown = ("bits", "p")


class RandomSolarize(_Older, v2.RandomSolarize):
    """Values from a threshold on inverted, with a chance of `p`."""

    _shown = ("threshold", "p")


class RandomAdjustSharpness(_Older, v2.RandomAdjustSharpness):
    """Sharpness times a factor, with a chance of `p`."""

    _shown = ("sharpness_factor", "p")


class RandomAutocontrast(_Older, v2.RandomAutocontrast):
    """Each channel stretched to the whole range of values, with a chance of `p`."""

    _shown = ("p",)


class RandomEqualize(_Older, v2.RandomEqualize):
    """All values made about equally frequent, with a chance of `p`."""

    _shown = ("p",)


class RandomErasing(_Older, v2.RandomErasing):
    """A hole of a drawn area and proportions in a tensor, with a chance of `p`; `value` is a
    number, one for each channel, or "random" for noise.

    >>> from argand.vision.transforms import RandomErasing
    >>> RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0))(ag.ones(1, 4, 4)).sum()
    tensor(12.)
    """

    _shown = ("p", "scale", "ratio", "value", "inplace")
