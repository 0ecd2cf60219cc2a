"""The older policies of augmentation: the operations of the newer ones, drawn in another way."""

from __future__ import annotations

from typing import Any

from argand.nn.module import Module
from argand.tensor.random import rand, randint
from argand.vision.transforms import functional as F
from argand.vision.transforms.v2 import auto
from argand.vision.transforms.v2.base import whole


class _OlderPolicy(Module):
    """Base of the policies: the operations of the newer ones, drawn in the older way."""

    _shown: tuple[str, ...] = ()

    def _changed(self: Any, image: Any, name: str, strength: float) -> Any:
        mode, fill = self.interpolation, self.fill
        if name == "Solarize":
            return F.solarize(image, strength)
        return auto.apply(F, image, name, strength, mode, fill)

    def _strengths(self, space: Any, name: str, count: int, image: Any) -> Any:
        """The strengths of an operation, or None; thresholds are those of bytes."""
        if name == "Solarize":
            return auto.evenly(255.0, 0.0, count)
        bins = space[name][0]
        return None if bins is None else bins(count, *F.get_dimensions(image)[1:])

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in self._shown)
        return f"{type(self).__name__}({shown})"


def _one_of(space: Any) -> str:
    names: list[str] = list(space)
    return names[whole(0, len(names))]


def _signed(strength: float, signed: bool) -> float:
    return -strength if signed and whole(0, 2) else strength


class AutoAugment(_OlderPolicy):
    """A pair of operations, learnt on ImageNet, CIFAR-10 or SVHN.

    >>> from argand.vision.transforms import AutoAugment
    >>> AutoAugment()(ag.zeros(3, 8, 8, dtype=ag.uint8)).shape
    argand.Size([3, 8, 8])
    """

    _shown = ("policy", "fill")

    def __init__(
        self,
        policy: auto.AutoAugmentPolicy = auto.AutoAugmentPolicy.IMAGENET,
        interpolation: Any = F.InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        self.policy, self.interpolation, self.fill = policy, interpolation, fill
        self.policies = auto.policies_of(policy)

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Any, Any]:
        """The number of a pair, and for both operations what decides on it and on its side."""
        return whole(0, transform_num), rand(2), randint(2, (2,))

    def forward(self, img: Any) -> Any:
        chosen, chances, sides = self.get_params(len(self.policies))
        steps = zip(self.policies[chosen], chances, sides.tolist(), strict=True)
        for (name, chance, number), drawn, side in steps:
            if bool(drawn <= chance):
                strengths = self._strengths(auto.AUTO, name, 10, img)
                strength = 0.0 if strengths is None else float(strengths[number])
                if auto.AUTO[name][1] and side == 0:
                    strength = -strength
                img = self._changed(img, name, strength)
        return img


class RandAugment(_OlderPolicy):
    """Some operations of the same strength, one after the other.

    >>> from argand.vision.transforms import RandAugment
    >>> RandAugment()(ag.zeros(3, 8, 8, dtype=ag.uint8)).shape
    argand.Size([3, 8, 8])
    """

    _shown = ("num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill")

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = F.InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        self.num_ops, self.magnitude = num_ops, magnitude
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation, self.fill = interpolation, fill

    def forward(self, img: Any) -> Any:
        for _ in range(self.num_ops):
            name = _one_of(auto.RAND)
            strengths = self._strengths(auto.RAND, name, self.num_magnitude_bins, img)
            strength = 0.0 if strengths is None else float(strengths[self.magnitude])
            img = self._changed(img, name, _signed(strength, auto.RAND[name][1]))
        return img


class TrivialAugmentWide(_OlderPolicy):
    """One operation of any strength.

    >>> from argand.vision.transforms import TrivialAugmentWide
    >>> TrivialAugmentWide()(ag.zeros(3, 8, 8, dtype=ag.uint8)).shape
    argand.Size([3, 8, 8])
    """

    _shown = ("num_magnitude_bins", "interpolation", "fill")

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: Any = F.InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__()
        self.num_magnitude_bins = num_magnitude_bins
        self.interpolation, self.fill = interpolation, fill

    def forward(self, img: Any) -> Any:
        name = _one_of(auto.WIDE)
        strengths = self._strengths(auto.WIDE, name, self.num_magnitude_bins, img)
        strength = 0.0 if strengths is None else float(strengths[whole(0, len(strengths))])
        return self._changed(img, name, _signed(strength, auto.WIDE[name][1]))


class AugMix(_OlderPolicy):
    """The image mixed with several chains of operations on it.

    >>> from argand.vision.transforms import AugMix
    >>> AugMix()(ag.zeros(3, 8, 8, dtype=ag.uint8)).shape
    argand.Size([3, 8, 8])
    """

    _shown = (
        "severity",
        "mixture_width",
        "chain_depth",
        "alpha",
        "all_ops",
        "interpolation",
        "fill",
    )

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = F.InterpolationMode.BILINEAR,
        fill: Any = None,
    ) -> None:
        super().__init__()
        auto.check_severity(severity)
        self.severity, self.mixture_width, self.chain_depth = severity, mixture_width, chain_depth
        self.alpha, self.all_ops = alpha, all_ops
        self.interpolation, self.fill = interpolation, fill

    def forward(self, orig_img: Any) -> Any:
        space = auto.mix_space(self.all_ops)

        def chain(image: Any) -> Any:
            depth = self.chain_depth if self.chain_depth > 0 else whole(1, 4)
            for _ in range(depth):
                name = _one_of(space)
                strengths = self._strengths(space, name, 10, image)
                chosen = None if strengths is None else strengths[whole(0, self.severity)]
                strength = 0.0 if chosen is None else float(chosen)
                image = self._changed(image, name, _signed(strength, space[name][1]))
            return image

        return auto.mixed(orig_img, self.mixture_width, self.alpha, 4, chain)
