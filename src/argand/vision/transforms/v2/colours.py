"""Transforms of colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.tensor.random import rand, randperm
from argand.vision.transforms.v2 import functional as F
from argand.vision.transforms.v2.base import Params, RandomlyApplied, Transform, query_chw, uniform


class Grayscale(Transform):
    """Gray, in one channel or three equal ones.

    >>> from argand.vision.transforms import v2
    >>> v2.Grayscale()(ag.ones(3, 2, 2)).shape
    argand.Size([1, 2, 2])
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def transform(self, inpt: Any, params: Params) -> Any:
        channels = self.num_output_channels
        return self._call_kernel(F.rgb_to_grayscale, inpt, num_output_channels=channels)


class RandomGrayscale(RandomlyApplied):
    """Gray with a chance of `p`, in as many channels as before.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomGrayscale(p=1.0)(ag.ones(3, 2, 2)).shape
    argand.Size([3, 2, 2])
    """

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p=p)

    def make_params(self, flat_inputs: list[Any]) -> Params:
        return {"num_output_channels": query_chw(flat_inputs)[0]}

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.rgb_to_grayscale, inpt, **params)


class RGB(Transform):
    """Three channels: a gray image gets equal ones.

    >>> from argand.vision.transforms import v2
    >>> v2.RGB()(ag.ones(1, 2, 2)).shape
    argand.Size([3, 2, 2])
    """

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.grayscale_to_rgb, inpt)


FACTORS = ("brightness", "contrast", "saturation", "hue")


def factors_of(
    value: Any, name: str, center: float = 1.0, bound: tuple[float, float] = (0, float("inf"))
) -> tuple[float, float] | None:
    """The range of a factor: one number is the distance from `center`; None where it changes
    nothing."""
    if value is None:
        return None
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        low, high = center - value, center + value
        low = max(low, 0.0) if center else low
    elif isinstance(value, Sequence) and len(value) == 2:
        low, high = (float(v) for v in value)
    else:
        raise TypeError(f"{name}={value} should be a single number or a sequence with length 2.")
    if not bound[0] <= low <= high <= bound[1]:
        raise ValueError(
            f"{name} values should be between {bound} and increasing, but got {[low, high]}."
        )
    return None if low == high == center else (float(low), float(high))


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue times factors of ranges (hue: moved), in a drawn
    order. A range is two numbers, or one: the distance from 1, or 0 for the hue.

    >>> from argand.vision.transforms import v2
    >>> v2.ColorJitter(brightness=(0.5, 0.5))(ag.ones(3, 1, 1)).flatten()
    tensor([0.5000, 0.5000, 0.5000])
    """

    def __init__(
        self, brightness: Any = None, contrast: Any = None, saturation: Any = None, hue: Any = None
    ) -> None:
        super().__init__()
        self.brightness = factors_of(brightness, "brightness")
        self.contrast = factors_of(contrast, "contrast")
        self.saturation = factors_of(saturation, "saturation")
        self.hue = factors_of(hue, "hue", 0.0, (-0.5, 0.5))

    @staticmethod
    def get_params(brightness: Any, contrast: Any, saturation: Any, hue: Any) -> tuple[Any, ...]:
        """A drawn order of the four changes, and a factor for each, or None."""
        order, ranges = randperm(4), (brightness, contrast, saturation, hue)
        return order, *(None if limits is None else uniform(*limits) for limits in ranges)

    def make_params(self, flat_inputs: list[Any]) -> Params:
        order, *drawn = self.get_params(*(getattr(self, name) for name in FACTORS))
        chosen = [i for i in order.tolist() if drawn[i] is not None]
        return {"steps": [(FACTORS[i], drawn[i]) for i in chosen]}

    def transform(self, inpt: Any, params: Params) -> Any:
        for name, factor in params["steps"]:
            inpt = self._call_kernel(getattr(F, f"adjust_{name}"), inpt, factor)
        return inpt


class RandomChannelPermutation(Transform):
    """The channels in a drawn order.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomChannelPermutation()(ag.arange(3).reshape(3, 1, 1)).sum()
    tensor(3)
    """

    def make_params(self, flat_inputs: list[Any]) -> Params:
        return {"permutation": randperm(query_chw(flat_inputs)[0])}

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.permute_channels, inpt, **params)


class RandomPhotometricDistort(Transform):
    """Brightness, contrast, saturation, hue and the order of channels, each changed with a chance
    of `p` (SSD, Liu et al. 2016).

    >>> from argand.vision.transforms import v2
    >>> v2.RandomPhotometricDistort(p=0.0)(ag.ones(3, 1, 1)).flatten()
    tensor([1., 1., 1.])
    """

    def __init__(
        self,
        brightness: tuple[float, float] = (0.875, 1.125),
        contrast: tuple[float, float] = (0.5, 1.5),
        saturation: tuple[float, float] = (0.5, 1.5),
        hue: tuple[float, float] = (-0.05, 0.05),
        p: float = 0.5,
    ) -> None:
        super().__init__()
        self.brightness, self.contrast = brightness, contrast
        self.saturation, self.hue, self.p = saturation, hue, p

    def make_params(self, flat_inputs: list[Any]) -> Params:
        channels, *_ = query_chw(flat_inputs)
        drawn = {}
        for name in FACTORS:
            if bool(rand(1) < self.p):
                drawn[name] = uniform(*getattr(self, name))
        order = ["brightness", "saturation", "hue"]
        order.insert(1 if bool(rand(()) < 0.5) else 3, "contrast")
        permutation = randperm(channels) if bool(rand(1) < self.p) else None
        steps = [(name, drawn[name]) for name in order if name in drawn]
        return {"steps": steps, "permutation": permutation}

    def transform(self, inpt: Any, params: Params) -> Any:
        for name, factor in params["steps"]:
            inpt = self._call_kernel(getattr(F, f"adjust_{name}"), inpt, factor)
        if params["permutation"] is None:
            return inpt
        return self._call_kernel(F.permute_channels, inpt, params["permutation"])


class RandomEqualize(RandomlyApplied):
    """All values made about equally frequent, with a chance of `p`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomEqualize(p=1.0)(ag.zeros(1, 2, 2, dtype=ag.uint8)).max()
    tensor(0, dtype=argand.uint8)
    """

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.equalize, inpt)


class RandomInvert(RandomlyApplied):
    """The greatest value less the image's, with a chance of `p`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomInvert(p=1.0)(ag.tensor([[[0.25]]]))
    tensor([[[0.7500]]])
    """

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.invert, inpt)


class RandomPosterize(RandomlyApplied):
    """Only some of the highest bits of each value, with a chance of `p`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomPosterize(1, p=1.0)(ag.tensor([[[200]]], dtype=ag.uint8))
    tensor([[[128]]], dtype=argand.uint8)
    """

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.bits = bits

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.posterize, inpt, bits=self.bits)


class RandomSolarize(RandomlyApplied):
    """Values from a threshold on inverted, with a chance of `p`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomSolarize(0.5, p=1.0)(ag.tensor([[[0.25, 0.75]]]))
    tensor([[[0.2500, 0.2500]]])
    """

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.threshold = threshold

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.solarize, inpt, threshold=self.threshold)


class RandomAutocontrast(RandomlyApplied):
    """Each channel stretched to the whole range of values, with a chance of `p`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomAutocontrast(p=1.0)(ag.tensor([[[0.25, 0.5]]]))
    tensor([[[0., 1.]]])
    """

    def transform(self, inpt: Any, params: Params) -> Any:
        return self._call_kernel(F.autocontrast, inpt)


class RandomAdjustSharpness(RandomlyApplied):
    """Sharpness times a factor, with a chance of `p`.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomAdjustSharpness(2, p=1.0)(ag.ones(1, 4, 4)).mean()
    tensor(1.)
    """

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.sharpness_factor = sharpness_factor

    def transform(self, inpt: Any, params: Params) -> Any:
        factor = self.sharpness_factor
        return self._call_kernel(F.adjust_sharpness, inpt, sharpness_factor=factor)
