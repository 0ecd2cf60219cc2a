"""What all transforms of `vision.transforms.v2` have in common.

A transform takes a sample: an image, or any tuple, dict or list with one in it. It draws its
numbers once (`make_params`), and applies them to everything in the sample that it knows
(`transform`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from numbers import Number
from typing import Any

from argand.base.tree import flatten, unflatten
from argand.nn.module import Module
from argand.tensor.core import Tensor
from argand.tensor.creation import empty
from argand.tensor.random import rand, randint
from argand.vision import tv_tensors
from argand.vision.pillow import is_pil
from argand.vision.transforms.resizing import two_numbers
from argand.vision.transforms.v2 import functional as F
from argand.vision.transforms.v2.functional import is_pure_tensor

Params = dict[str, Any]
Check = Any  # a class, or a function that says whether a value is of a kind

PICTURES = (tv_tensors.Image, tv_tensors.Video, is_pil)


# -- questions about samples -----------------------------------------------------------------------


def check_type(obj: Any, types_or_checks: Sequence[Check]) -> bool:
    """Whether a value is of one of some classes, or one of some functions says yes to it.

    >>> from argand.vision.transforms.v2 import check_type
    >>> check_type(1, (str, lambda x: x > 0))
    True
    """
    return any(isinstance(obj, c) if isinstance(c, type) else c(obj) for c in types_or_checks)


def has_any(flat_inputs: Sequence[Any], *types_or_checks: Check) -> bool:
    """Whether a value of a list is of one of some classes.

    >>> from argand.vision.transforms.v2 import has_any
    >>> has_any([1, "a"], str)
    True
    """
    return any(check_type(x, types_or_checks) for x in flat_inputs)


def has_all(flat_inputs: Sequence[Any], *types_or_checks: Check) -> bool:
    """Whether for each of some classes there is a value of a list.

    >>> from argand.vision.transforms.v2 import has_all
    >>> has_all([1, "a"], str, float)
    False
    """
    return all(has_any(flat_inputs, c) for c in types_or_checks)


def get_bounding_boxes(flat_inputs: Sequence[Any]) -> Any:
    """The first boxes of a list; ValueError where there are none."""
    return _first(flat_inputs, tv_tensors.BoundingBoxes, "bounding boxes")


def get_keypoints(flat_inputs: Sequence[Any]) -> Any:
    """The first points of a list; ValueError where there are none."""
    return _first(flat_inputs, tv_tensors.KeyPoints, "keypoints")


def _first(flat_inputs: Sequence[Any], kind: type, what: str) -> Any:
    for x in flat_inputs:
        if isinstance(x, kind):
            return x
    raise ValueError(f"No {what} were found in the sample")


def query_chw(flat_inputs: Sequence[Any]) -> tuple[int, int, int]:
    """The channels, height and width that all images of a list have.

    >>> from argand.vision.transforms.v2 import query_chw
    >>> query_chw([ag.zeros(3, 4, 5)])
    (3, 4, 5)
    """
    images = [x for x in flat_inputs if check_type(x, (is_pure_tensor, *PICTURES))]
    found = {tuple(F.get_dimensions(x)) for x in images}
    if not found:
        raise TypeError("No image or video was found in the sample")
    if len(found) > 1:
        raise ValueError(f"Found multiple CxHxW dimensions in the sample: {sorted(found)}")
    c, h, w = found.pop()
    return c, h, w


def query_size(flat_inputs: Sequence[Any]) -> tuple[int, int]:
    """The height and width that all images, masks, boxes and points of a list have.

    >>> from argand.vision.transforms.v2 import query_size
    >>> query_size([ag.zeros(3, 4, 5)])
    (4, 5)
    """
    kinds = (tv_tensors.Mask, tv_tensors.BoundingBoxes, tv_tensors.KeyPoints)
    known = [x for x in flat_inputs if check_type(x, (is_pure_tensor, *PICTURES, *kinds))]
    found = {tuple(F.get_size(x)) for x in known}
    if not found:
        raise TypeError("No image, video, mask, bounding box of keypoint was found in the sample")
    if len(found) > 1:
        raise ValueError(f"Found multiple HxW dimensions in the sample: {sorted(found)}")
    h, w = found.pop()
    return h, w


# -- transforms ------------------------------------------------------------------------------------


class Transform(Module):
    """Base of transforms: a subclass defines `transform`, and `make_params` where it draws numbers.

    >>> from argand.vision.transforms import v2
    >>> class Twice(v2.Transform):
    ...     def transform(self, inpt, params):
    ...         return inpt * 2
    >>> Twice()(ag.ones(1, 1, 1), "label")
    (tensor([[[2.]]]), 'label')
    """

    _transformed_types: tuple[Check, ...] = (Tensor, is_pil)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Refuse a sample that the transform has no meaning for."""

    def make_params(self, flat_inputs: list[Any]) -> Params:
        """The numbers that this call applies to everything in the sample."""
        return {}

    def transform(self, inpt: Any, params: Params) -> Any:
        """A value of the sample transformed."""
        raise NotImplementedError(f"{type(self).__name__} does not define transform")

    def _call_kernel(self, functional: Any, inpt: Any, *args: Any, **kwargs: Any) -> Any:
        """A function of images, for what it knows; anything else stays as it is."""
        return inpt if functional.kernel(inpt) is None else functional(inpt, *args, **kwargs)

    def _applies(self) -> bool:
        """Whether the transform is to be applied this time."""
        return True

    def forward(self, *inputs: Any) -> Any:
        """The sample, transformed."""
        sample = inputs if len(inputs) > 1 else inputs[0]
        flat, structure = flatten(sample)
        self.check_inputs(flat)
        if not self._applies():
            return sample
        wanted = self._needs_transform_list(flat)
        pairs = list(zip(flat, wanted, strict=True))
        params = self.make_params([x for x, needed in pairs if needed])
        found = [self.transform(x, params) if needed else x for x, needed in pairs]
        return unflatten(structure, found)

    def _needs_transform_list(self, flat_inputs: list[Any]) -> list[bool]:
        """Which values are transformed. Of plain tensors the first is an image, unless there is
        something that says that it is one."""
        plain_counts = not has_any(flat_inputs, *PICTURES)
        wanted = []
        for x in flat_inputs:
            needed = check_type(x, self._transformed_types)
            if needed and is_pure_tensor(x):
                needed, plain_counts = plain_counts, False
            wanted.append(needed)
        return wanted

    def extra_repr(self) -> str:
        """The numbers that it was made with."""
        shown = (bool, int, float, str, tuple, list, Enum)
        return ", ".join(
            f"{name}={value}"
            for name, value in vars(self).items()
            if not name.startswith("_") and name != "training" and isinstance(value, shown)
        )


class RandomlyApplied(Transform):
    """Base of transforms that are applied with a chance of `p`."""

    def __init__(self, p: float = 0.5) -> None:
        check_chance(p)
        super().__init__()
        self.p = p

    def _applies(self) -> bool:
        return not bool(rand(1) >= self.p)


# -- arguments -------------------------------------------------------------------------------------


def check_chance(p: float) -> None:
    """Refuse what is no probability."""
    if not 0.0 <= p <= 1.0:
        raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")


def check_transforms(transforms: Any) -> None:
    """Refuse what is no list of at least one transform."""
    if isinstance(transforms, str) or not hasattr(transforms, "__len__"):
        raise TypeError("Argument transforms should be a sequence of callables")
    if not len(transforms):
        raise ValueError("Pass at least one transform")


def size_of(size: Any, message: str = "") -> Any:
    """(h, w), of one number or two."""
    if not isinstance(size, Number | Sequence):
        raise TypeError(f"size should be an integer or a sequence of integers, got {size!r}")
    return two_numbers(size, message)


def check_sequence(x: Any, name: str, lengths: tuple[int, ...]) -> None:
    """Refuse what is no sequence of one of these lengths."""
    told = f"{name} should be a sequence of length {' or '.join(map(str, lengths))}."
    if not isinstance(x, Sequence):
        raise TypeError(told)
    if len(x) not in lengths:
        raise ValueError(told)


def angles_of(x: Any, name: str, lengths: tuple[int, ...] = (2,)) -> list[float]:
    """A range of angles; one number is the range from its opposite to it."""
    if isinstance(x, Number):
        if x < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        x = [-x, x]  # type: ignore[operator]
    check_sequence(x, name, lengths)
    return [float(v) for v in x]


def numbers_of(arg: Any, name: str) -> list[float]:
    """Two numbers, of one or two."""
    if not isinstance(arg, int | float | Sequence):
        raise TypeError(f"{name} should be a number or a sequence of numbers. Got {type(arg)}")
    if isinstance(arg, int | float):
        return [float(arg)] * 2
    if len(arg) not in (1, 2):
        raise ValueError(f"If {name} is a sequence its length should be 1 or 2. Got {len(arg)}")
    for element in arg:
        if not isinstance(element, int | float):
            raise ValueError(f"{name} should be a sequence of numbers. Got {type(element)}")
    return [float(v) for v in arg] * (2 // len(arg))


def fills_of(fill: Any) -> Mapping[Any, Any]:
    """Fillings by the class of what is filled; one that is given for all is for "others"."""
    given = fill if isinstance(fill, dict) else {"others": fill}
    return {kind: _fill(value) for kind, value in given.items()}


def _fill(fill: Any) -> Any:
    if fill is None or isinstance(fill, int | float):
        return fill
    if not isinstance(fill, tuple | list):
        raise TypeError(
            "Got inappropriate fill arg, only Numbers, tuples, lists and dicts are allowed."
        )
    return [float(v) for v in fill]


def fill_for(fills: Mapping[Any, Any], kind: type) -> Any:
    """The filling of a class."""
    return fills.get(kind, fills.get("others"))


# -- draws -----------------------------------------------------------------------------------------


def uniform(low: float, high: float) -> float:
    """A number between two."""
    drawn: float = empty(1).uniform_(float(low), float(high)).item()
    return drawn


def whole(low: int, high: int) -> int:
    """A whole number from `low` on and below `high`."""
    return int(randint(low, high, (1,)).item())


Getter = Callable[[Any], Any]


def finder_of_labels(given: Any) -> Getter:
    """The function that finds the labels of a sample."""
    if given is None:
        return _no_labels
    if given == "default":
        return _labels
    if not callable(given):
        raise ValueError(
            f"labels_getter should either be 'default', a callable, or None, but got {given}."
        )
    found: Getter = given
    return found


def _no_labels(sample: Any) -> None:
    """None, for samples without."""


def _labels(sample: Any) -> Any:
    """The second of a tuple, or what a dict has under "labels" or a name like it."""
    if isinstance(sample, tuple | list):
        sample = sample[1]
    if is_pure_tensor(sample):
        return sample
    if not isinstance(sample, Mapping):
        raise ValueError(
            "When using the default labels_getter, the input passed to forward must be a "
            "dictionary or a two-tuple whose second item is a dictionary or a tensor, but got "
            f"{type(sample).__name__} instead."
        )
    names = [k for k in sample if k.lower() == "labels"]
    names += [k for k in sample if "label" in k.lower()]
    if not names:
        raise ValueError(
            "Could not infer where the labels are in the sample. Try passing a callable as the "
            "labels_getter parameter? If there are no labels in the sample by design, pass "
            "labels_getter=None."
        )
    return sample[names[0]]
