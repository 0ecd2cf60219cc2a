"""Policies of augmentation: sequences of simple transforms that are drawn.

AutoAugment (Cubuk et al. 2018), RandAugment (2019), TrivialAugment (Müller and Hutter 2021), AugMix
(Hendrycks et al. 2019). Older and newer transforms have the same policies and draw differently.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from argand.base.tree import flatten, unflatten
from argand.distributions import Dirichlet
from argand.tensor.core import Tensor
from argand.tensor.creation import full
from argand.tensor.random import rand, randint
from argand.vision import tv_tensors
from argand.vision.pillow import is_pil
from argand.vision.transforms.conversion import brightest, pil_to_tensor, to_pil_image
from argand.vision.transforms.policies import POLICIES
from argand.vision.transforms.v2 import functional as F
from argand.vision.transforms.v2.base import (
    PICTURES,
    Transform,
    check_type,
    fill_for,
    fills_of,
    whole,
)
from argand.vision.transforms.v2.functional import is_pure_tensor


class AutoAugmentPolicy(Enum):
    """The data set that a policy of `AutoAugment` was learnt on.

    >>> from argand.vision.transforms import AutoAugmentPolicy
    >>> AutoAugmentPolicy("cifar10").name
    'CIFAR10'
    """

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


# -- the operations and their strengths ------------------------------------------------------------

Bins = Callable[[int, int, int], Any]
"""The strengths from none to all, of a number of them and an image's height and width."""
Space = dict[str, tuple[Bins | None, bool]]
"""By the name of an operation, its strengths, and whether they go both ways."""


def evenly(start: float, end: float, count: int) -> np.ndarray:
    """Numbers from one to another in float32, each rounded once from the end that is nearer: the
    bits of PyTorch's linspace."""
    low, high = np.float32(start), np.float32(end)
    step = float((high - low) / np.float32(max(count - 1, 1)))
    places = np.arange(count)
    ahead, behind = low + step * places, high - step * (count - 1 - places)
    return np.where(places < count // 2, ahead, behind).astype(np.float32)


def _up_to(end: float) -> Bins:
    return lambda count, height, width: evenly(0.0, end, count)


def _bits(most: int, dropped: int) -> Bins:
    def bins(count: int, height: int, width: int) -> np.ndarray:
        places = np.arange(count, dtype=np.float32)
        return np.round(most - places / np.float32((count - 1) / dropped))

    return bins


def _from_white(count: int, height: int, width: int) -> np.ndarray:
    return evenly(1.0, 0.0, count)


_BOTH_WAYS = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
_COLOURS = ("Brightness", "Color", "Contrast", "Sharpness")


def _space(
    shear: float, across: Bins, down: Bins, angle: float, factor: float, bits: Bins
) -> Space:
    strengths = [_up_to(shear), _up_to(shear), across, down, _up_to(angle)]
    found: Space = {n: (s, True) for n, s in zip(_BOTH_WAYS, strengths, strict=True)}
    found |= {name: (_up_to(factor), True) for name in _COLOURS}
    found |= {"Posterize": (bits, False), "Solarize": (_from_white, False)}
    return found | {"AutoContrast": (None, False), "Equalize": (None, False)}


def _part_of_width(part: float) -> Bins:
    return lambda count, height, width: evenly(0.0, part * width, count)


def _part_of_height(part: float) -> Bins:
    return lambda count, height, width: evenly(0.0, part * height, count)


_NONE: Space = {"Identity": (None, False)}
_LEARNT = _space(
    0.3, _part_of_width(150.0 / 331.0), _part_of_height(150.0 / 331.0), 30.0, 0.9, _bits(8, 4)
)
AUTO: Space = _LEARNT | {"Invert": (None, False)}
RAND: Space = _NONE | _LEARNT
WIDE: Space = _NONE | _space(0.99, _up_to(32.0), _up_to(32.0), 135.0, 0.99, _bits(8, 6))


def _third_of_width(count: int, height: int, width: int) -> np.ndarray:
    return evenly(0.0, width / 3.0, count)


def _third_of_height(count: int, height: int, width: int) -> np.ndarray:
    return evenly(0.0, height / 3.0, count)


_MIX = _space(0.3, _third_of_width, _third_of_height, 30.0, 0.9, _bits(4, 4))
MIX: Space = {k: v for k, v in _MIX.items() if k not in _COLOURS} | {k: _MIX[k] for k in _COLOURS}


def apply(
    functional: Any, image: Any, name: str, strength: float, interpolation: Any, fill: Any
) -> Any:
    """One operation of a policy, by its name and strength, computed by the older or the newer
    functions; a threshold is a part of the range."""
    options = {"interpolation": interpolation, "fill": fill}
    if name in ("ShearX", "ShearY"):
        angle = math.degrees(math.atan(strength))
        shear = [angle, 0.0] if name == "ShearX" else [0.0, angle]
        return functional.affine(image, 0.0, [0, 0], 1.0, shear, center=[0, 0], **options)
    if name in ("TranslateX", "TranslateY"):
        move = [int(strength), 0] if name == "TranslateX" else [0, int(strength)]
        return functional.affine(image, 0.0, move, 1.0, [0.0, 0.0], **options)
    if name == "Rotate":
        return functional.rotate(image, strength, **options)
    if name in _FACTORS:
        return getattr(functional, _FACTORS[name])(image, 1.0 + strength)
    if name == "Posterize":
        return functional.posterize(image, int(strength))
    if name == "Solarize":
        bound = brightest(image.dtype) if isinstance(image, Tensor) else 255.0
        return functional.solarize(image, bound * strength)
    return image if name == "Identity" else getattr(functional, name.lower())(image)


_FACTORS = {
    "Brightness": "adjust_brightness",
    "Color": "adjust_saturation",
    "Contrast": "adjust_contrast",
    "Sharpness": "adjust_sharpness",
}


# -- the policies ----------------------------------------------------------------------------------


class _Policy(Transform):
    """Base of the policies: they change the one image or video of a sample."""

    def __init__(self, *, interpolation: Any = "nearest", fill: Any = None) -> None:
        super().__init__()
        self.interpolation, self.fill = interpolation, fill
        self._fill = fills_of(fill)

    def forward(self, *inputs: Any) -> Any:
        flat, structure = flatten(inputs if len(inputs) > 1 else inputs[0])
        wanted = self._needs_transform_list(flat)
        places = []
        for i, (x, needed) in enumerate(zip(flat, wanted, strict=True)):
            if needed and check_type(x, (*PICTURES, is_pure_tensor)):
                places.append(i)
            elif isinstance(x, tv_tensors.TVTensor) and not isinstance(
                x, tv_tensors.Image | tv_tensors.Video
            ):
                raise TypeError(
                    f"Inputs of type {type(x).__name__} are not supported by "
                    f"{type(self).__name__}()"
                )
        if not places:
            raise TypeError("Found no image in the sample.")
        if len(places) > 1:
            raise TypeError(
                "Auto augment transformations are only properly defined for a single image or "
                f"video, but found {len(places)}."
            )
        flat[places[0]] = self.augment(flat[places[0]])
        return unflatten(structure, flat)

    def augment(self, image: Any) -> Any:
        """The image, changed."""
        raise NotImplementedError

    def _changed(self, image: Any, name: str, strength: float) -> Any:
        fill = fill_for(self._fill, type(image))
        return apply(F, image, name, strength, self.interpolation, fill)


def _strength(bins: Any, chosen: int, signed: bool) -> float:
    """One of the strengths, to one side or the other."""
    strength = float(bins[chosen])
    return -strength if signed and bool(rand(()) <= 0.5) else strength


def _one_of(space: Space) -> tuple[str, Bins | None, bool]:
    names = list(space)
    name = names[int(randint(len(names), ()).item())]
    return name, *space[name]


class AutoAugment(_Policy):
    """A pair of operations, learnt on ImageNet, CIFAR-10 or SVHN.

    >>> from argand.vision.transforms import v2
    >>> v2.AutoAugment()(ag.zeros(3, 8, 8, dtype=ag.uint8)).shape
    argand.Size([3, 8, 8])
    """

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: Any = "nearest",
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation=interpolation, fill=fill)
        self.policy = policy
        self._policies = policies_of(policy)

    def augment(self, image: Any) -> Any:
        height, width = F.get_size(image)
        for name, chance, chosen in self._policies[int(randint(len(self._policies), ()).item())]:
            if not bool(rand(()) <= chance):
                continue
            bins, signed = AUTO[name]
            found = None if bins is None else bins(10, height, width)
            strength = 0.0 if found is None else _strength(found, chosen, signed)
            image = self._changed(image, name, strength)
        return image


def policies_of(policy: Any) -> Any:
    """The pairs of a policy: the name, the chance and the strength of each operation."""
    if not isinstance(policy, AutoAugmentPolicy):
        raise ValueError(f"The provided policy {policy} is not recognized.")
    return POLICIES[policy.value]


class RandAugment(_Policy):
    """Some operations of the same strength, one after the other.

    >>> from argand.vision.transforms import v2
    >>> v2.RandAugment()(ag.zeros(3, 8, 8, dtype=ag.uint8)).shape
    argand.Size([3, 8, 8])
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = "nearest",
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation=interpolation, fill=fill)
        if not isinstance(num_ops, int) or num_ops < 0:
            raise ValueError(
                f"num_ops should be a non-negative integer, but got {num_ops} instead."
            )
        self.num_ops, self.magnitude = num_ops, magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def augment(self, image: Any) -> Any:
        height, width = F.get_size(image)
        for _ in range(self.num_ops):
            name, bins, signed = _one_of(RAND)
            strength = 0.0
            if bins is not None:
                found = bins(self.num_magnitude_bins, height, width)
                strength = _strength(found, self.magnitude, signed)
            image = self._changed(image, name, strength)
        return image


class TrivialAugmentWide(_Policy):
    """One operation of any strength.

    >>> from argand.vision.transforms import v2
    >>> v2.TrivialAugmentWide()(ag.zeros(3, 8, 8, dtype=ag.uint8)).shape
    argand.Size([3, 8, 8])
    """

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: Any = "nearest", fill: Any = None
    ) -> None:
        super().__init__(interpolation=interpolation, fill=fill)
        self.num_magnitude_bins = num_magnitude_bins

    def augment(self, image: Any) -> Any:
        height, width = F.get_size(image)
        name, bins, signed = _one_of(WIDE)
        strength = 0.0
        if bins is not None:
            found = bins(self.num_magnitude_bins, height, width)
            chosen = int(randint(self.num_magnitude_bins, ()).item())
            strength = _strength(found, chosen, signed)
        return self._changed(image, name, strength)


def check_severity(severity: int) -> None:
    """Refuse what is not between 1 and 10."""
    if not 1 <= severity <= 10:
        raise ValueError(f"The severity must be between [1, 10]. Got {severity} instead.")


def mixed(image: Any, width: int, alpha: float, dims: int, chain: Callable[[Any], Any]) -> Any:
    """An image mixed with a mixture of `width` chains of operations on it; the shares are drawn
    from Dirichlet distributions of `alpha`."""
    pixels = image if isinstance(image, Tensor) else pil_to_tensor(image)
    plain: Any = pixels.as_subclass(Tensor)
    batch = plain.reshape(*[1] * max(dims - plain.ndim, 0), *plain.shape)
    ones = [1] * (batch.ndim - 1)

    def shares(count: int) -> Any:
        return Dirichlet(full((batch.shape[0], count), float(alpha))).sample()

    own = shares(2)
    weights = shares(width) * own[:, 1:]
    total = own[:, 0].reshape(-1, *ones) * batch
    for i in range(width):
        total = total + weights[:, i].reshape(-1, *ones) * chain(batch)
    found = total.reshape(plain.shape).to(plain.dtype)
    if is_pil(image):
        return to_pil_image(found)
    return found if is_pure_tensor(image) else tv_tensors.wrap(found, like=image)


def mix_space(all_ops: bool) -> Space:
    """The operations of AugMix, with those of colours or without."""
    return MIX if all_ops else {k: v for k, v in MIX.items() if k not in _COLOURS}


class AugMix(_Policy):
    """The image mixed with several chains of operations on it.

    >>> from argand.vision.transforms import v2
    >>> v2.AugMix()(ag.zeros(3, 8, 8, dtype=ag.uint8)).shape
    argand.Size([3, 8, 8])
    """

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: Any = "bilinear",
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation=interpolation, fill=fill)
        check_severity(severity)
        self.severity, self.mixture_width, self.chain_depth = severity, mixture_width, chain_depth
        self.alpha, self.all_ops = alpha, all_ops

    def augment(self, image: Any) -> Any:
        height, width = F.get_size(image)
        space = mix_space(self.all_ops)

        def chain(found: Any) -> Any:
            depth = self.chain_depth if self.chain_depth > 0 else whole(1, 4)
            for _ in range(depth):
                name, bins, signed = _one_of(space)
                strength = 0.0
                if bins is not None:
                    chosen = int(randint(self.severity, ()).item())
                    strength = _strength(bins(10, height, width), chosen, signed)
                found = self._changed(found, name, strength)
            return found

        dims = 5 if isinstance(image, tv_tensors.Video) else 4
        return mixed(image, self.mixture_width, self.alpha, dims, chain)
