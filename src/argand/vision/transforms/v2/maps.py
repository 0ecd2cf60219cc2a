"""Transforms that turn, shear, bend images, or see them from the side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.tensor.joining import cat
from argand.tensor.random import rand
from argand.vision.transforms.v2 import functional as F
from argand.vision.transforms.v2.base import (
    Params,
    RandomlyApplied,
    Transform,
    angles_of,
    check_sequence,
    fill_for,
    fills_of,
    numbers_of,
    query_size,
    uniform,
    whole,
)
from argand.vision.transforms.warping import perspective_coefficients


class RandomRotation(Transform):
    """Turned by an angle of a range of degrees (one number d: from -d to d), counter-clockwise.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomRotation((90, 90))(ag.arange(4).reshape(1, 2, 2)).flatten()
    tensor([1, 3, 0, 2])
    """

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = "nearest",
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = angles_of(degrees, "degrees")
        self.interpolation, self.expand, self.fill = interpolation, expand, fill
        self._fill = fills_of(fill)
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center = center

    @staticmethod
    def get_params(degrees: Any) -> float:
        """A drawn angle."""
        return uniform(*degrees)

    def make_params(self, flat_inputs: list[Any]) -> Params:
        return {"angle": uniform(*self.degrees)}

    def transform(self, inpt: Any, params: Params) -> Any:
        options = {"interpolation": self.interpolation, "expand": self.expand}
        options |= {"center": self.center, "fill": fill_for(self._fill, type(inpt))}
        return self._call_kernel(F.rotate, inpt, **params, **options)


class RandomAffine(Transform):
    """Turned, moved, scaled and sheared by numbers of ranges; `translate` is at most that part of
    the width and height.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomAffine(10, translate=(0.1, 0.1), scale=(0.8, 1.2))(ag.ones(3, 4, 4)).shape
    argand.Size([3, 4, 4])
    """

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: Any = "nearest",
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        super().__init__()
        self.degrees = angles_of(degrees, "degrees")
        for name, given in (("translate", translate), ("scale", scale), ("center", center)):
            if given is not None:
                check_sequence(given, name, (2,))
        if translate is not None and not all(0.0 <= t <= 1.0 for t in translate):
            raise ValueError("translation values should be between 0 and 1")
        if scale is not None and min(scale) <= 0:
            raise ValueError("scale values should be positive")
        self.translate, self.scale, self.center = translate, scale, center
        self.shear = None if shear is None else angles_of(shear, "shear", (2, 4))
        self.interpolation, self.fill = interpolation, fill
        self._fill = fills_of(fill)

    @staticmethod
    def get_params(
        degrees: Any, translate: Any, scale_ranges: Any, shears: Any, img_size: Any
    ) -> tuple[Any, ...]:
        """A drawn angle, translation, scale and shear for an image of that (width, height)."""
        width, height = img_size
        found = random_affine((height, width), degrees, translate, scale_ranges, shears)
        return tuple(found.values())

    def make_params(self, flat_inputs: list[Any]) -> Params:
        ranges = (self.degrees, self.translate, self.scale, self.shear)
        return random_affine(query_size(flat_inputs), *ranges)

    def transform(self, inpt: Any, params: Params) -> Any:
        options = {"interpolation": self.interpolation, "center": self.center}
        fill = fill_for(self._fill, type(inpt))
        return self._call_kernel(F.affine, inpt, **params, **options, fill=fill)


def random_affine(
    size: tuple[int, int], degrees: Any, translations: Any, scales: Any, shears: Any
) -> Params:
    """The numbers of an affine map of an image of that (height, width), drawn from ranges."""
    angle, translate, scale, shear = uniform(*degrees), (0, 0), 1.0, [0.0, 0.0]
    if translations is not None:
        limits = (float(translations[0] * size[1]), float(translations[1] * size[0]))
        x, y = (round(uniform(-limit, limit)) for limit in limits)
        translate = (x, y)
    if scales is not None:
        scale = uniform(*scales)
    if shears is not None:
        shear[0] = uniform(*shears[:2])
        if len(shears) == 4:
            shear[1] = uniform(*shears[2:])
    return {"angle": angle, "translate": translate, "scale": scale, "shear": tuple(shear)}


def random_corners(height: int, width: int, scale: float) -> tuple[Any, Any]:
    """The corners of an image, and where each is drawn to, by at most that part of the half."""
    x, y = int(scale * (width // 2)) + 1, int(scale * (height // 2)) + 1
    ends = [
        [whole(0, x), whole(0, y)],
        [whole(width - x, width), whole(0, y)],
        [whole(width - x, width), whole(height - y, height)],
        [whole(0, x), whole(height - y, height)],
    ]
    right, bottom = width - 1, height - 1
    return [[0, 0], [right, 0], [right, bottom], [0, bottom]], ends


class RandomPerspective(RandomlyApplied):
    """Seen from the side: the corners drawn inwards, by at most that part of the half.

    >>> from argand.vision.transforms import v2
    >>> v2.RandomPerspective(0.5, p=1.0)(ag.ones(3, 4, 4)).shape
    argand.Size([3, 4, 4])
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = "bilinear",
        fill: Any = 0,
    ) -> None:
        super().__init__(p=p)
        if not 0 <= distortion_scale <= 1:
            raise ValueError("Argument distortion_scale value should be between 0 and 1")
        self.distortion_scale, self.interpolation, self.fill = distortion_scale, interpolation, fill
        self._fill = fills_of(fill)

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> tuple[Any, Any]:
        """The corners of an image, and where they are drawn to."""
        return random_corners(height, width, distortion_scale)

    def make_params(self, flat_inputs: list[Any]) -> Params:
        corners = random_corners(*query_size(flat_inputs), self.distortion_scale)
        return {"coefficients": perspective_coefficients(*corners)}

    def transform(self, inpt: Any, params: Params) -> Any:
        options = {"fill": fill_for(self._fill, type(inpt)), "interpolation": self.interpolation}
        return self._call_kernel(
            F.perspective, inpt, startpoints=None, endpoints=None, **options, **params
        )


def random_displacement(
    height: int, width: int, alpha: Sequence[float], sigma: Sequence[float], blur: Any
) -> Any:
    """Noise that a blur has made smooth: (1, H, W, 2), where the whole image is [-1, 1]."""
    parts = []
    for strength, spread, length in zip(alpha, sigma, (width, height), strict=True):
        noise = rand(1, 1, height, width) * 2 - 1
        if spread > 0.0:
            size = int(8 * spread + 1) | 1
            noise = blur(noise, [size, size], list(sigma))
        parts.append(noise * strength / length)
    return cat(parts, dim=1).permute(0, 2, 3, 1)


class ElasticTransform(Transform):
    """Bent by a smooth displacement: `alpha` is its strength, `sigma` how smooth it is.

    >>> from argand.vision.transforms import v2
    >>> v2.ElasticTransform(sigma=0.5)(ag.ones(3, 8, 8)).shape
    argand.Size([3, 8, 8])
    """

    def __init__(
        self,
        alpha: Any = 50.0,
        sigma: Any = 5.0,
        interpolation: Any = "bilinear",
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha, self.sigma = numbers_of(alpha, "alpha"), numbers_of(sigma, "sigma")
        self.interpolation, self.fill = interpolation, fill
        self._fill = fills_of(fill)

    @staticmethod
    def get_params(alpha: Any, sigma: Any, size: Any) -> Any:
        """A drawn displacement for an image of that (height, width)."""
        return random_displacement(size[0], size[1], alpha, sigma, F.gaussian_blur)

    def make_params(self, flat_inputs: list[Any]) -> Params:
        size = query_size(flat_inputs)
        found = random_displacement(size[0], size[1], self.alpha, self.sigma, F.gaussian_blur)
        return {"displacement": found}

    def transform(self, inpt: Any, params: Params) -> Any:
        options = {"fill": fill_for(self._fill, type(inpt)), "interpolation": self.interpolation}
        return self._call_kernel(F.elastic, inpt, **params, **options)
