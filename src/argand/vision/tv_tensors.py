"""Tensors that say what they show: images, videos, masks, boxes, points.

The transforms of `vision.transforms.v2` treat each as what it is. Operations on them give plain
tensors, but for `clone`, `to`, `detach`, `requires_grad_` and `pin_memory`; see `set_return_type`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from argand.base.tree import flatten
from argand.tensor.core import Tensor
from argand.tensor.core import wrap as wrap_array
from argand.tensor.creation import as_tensor
from argand.tensor.subclass import plainly
from argand.vision.pillow import is_pil, pixels

__all__ = [
    "BoundingBoxFormat",
    "BoundingBoxes",
    "Image",
    "KeyPoints",
    "Mask",
    "TVTensor",
    "Video",
    "is_rotated_bounding_format",
    "set_return_type",
    "wrap",
]

_KEEPS_CLASS = frozenset(("clone", "to", "detach", "requires_grad_", "pin_memory"))
_keep_class_always = False


class set_return_type:  # noqa: N801 - PyTorch's name
    """What operations on these tensors give: "Tensor" (at first), or "TVTensor" for their class.

    A setting, or a context manager that undoes itself.

    >>> from argand.vision import tv_tensors
    >>> image = tv_tensors.Image(ag.zeros(3, 2, 2))
    >>> with tv_tensors.set_return_type("TVTensor"):
    ...     type(image + 1).__name__
    'Image'
    >>> type(image + 1).__name__
    'Tensor'
    """

    def __init__(self, return_type: str) -> None:
        global _keep_class_always
        kinds = {"tensor": False, "tvtensor": True}
        if str(return_type).lower() not in kinds:
            raise ValueError(f"return_type must be 'TVTensor' or 'Tensor', got {return_type}")
        self.before = _keep_class_always
        _keep_class_always = kinds[return_type.lower()]

    def __enter__(self) -> set_return_type:
        return self

    def __exit__(self, *error: Any) -> None:
        global _keep_class_always
        _keep_class_always = self.before


class TVTensor(Tensor):
    """Base of the tensors that say what they show.

    >>> from argand.vision import tv_tensors
    >>> isinstance(tv_tensors.Mask(ag.zeros(2, 2)), tv_tensors.TVTensor)
    True
    """

    _told: tuple[str, ...] = ()
    """The attributes that it has beside its elements."""

    def __new__(
        cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = None
    ) -> Any:
        return plain(data, dtype, device, requires_grad).as_subclass(cls)

    @classmethod
    def wrap(cls, tensor: Any, like: Any, **told: Any) -> Any:
        """A tensor as one of this class, told what `like` is told, but for what is given."""
        made = tensor.as_subclass(cls)
        for name in cls._told:
            setattr(made, name, told.get(name, getattr(like, name)))
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not all(issubclass(cls, kind) for kind in types):
            return NotImplemented
        found = plainly(func, args, kwargs or {})
        name = getattr(func, "__name__", "")
        keeps = name in _KEEPS_CLASS and isinstance(args[0], cls)
        if _keep_class_always or keeps:
            return _as_like(found, cls, (args, kwargs))
        if isinstance(found, cls):
            return found.as_subclass(Tensor)
        return found

    def _repr_with(self, **told: Any) -> str:
        with_class = super().__repr__()
        return f"{with_class[:-1]}, {', '.join(f'{k}={v}' for k, v in told.items())})"

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return self._repr_with(**{name: getattr(self, name) for name in self._told})

    def __deepcopy__(self, memo: Any) -> Any:
        return self.detach().clone().requires_grad_(self.requires_grad)


def _as_like(found: Any, cls: Any, given: Any) -> Any:
    """Results as tensors of a class, told what the first argument of that class is."""
    if isinstance(found, tuple | list):
        return type(found)([_as_like(x, cls, given) for x in found])
    if not isinstance(found, Tensor) or isinstance(found, cls):
        return found
    first = next(x for x in flatten(given)[0] if isinstance(x, cls))
    return cls.wrap(found, first)


def plain(data: Any, dtype: Any = None, device: Any = None, requires_grad: Any = None) -> Tensor:
    """A plain tensor of data; whether it wants a gradient is as in the data if not told."""
    if is_pil(data):
        data = wrap_array(pixels(data)).permute(2, 0, 1)
    if requires_grad is None:
        requires_grad = data.requires_grad if isinstance(data, Tensor) else False
    made: Tensor = as_tensor(data, dtype=dtype, device=device)
    return made.requires_grad_(requires_grad)


class Image(TVTensor):
    """An image, or a batch of them: a tensor (..., C, H, W); (H, W) gets a channel. A PIL image may
    be given too.

    >>> from argand.vision import tv_tensors
    >>> tv_tensors.Image(ag.zeros(4, 5)).shape
    argand.Size([1, 4, 5])
    """

    def __new__(
        cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = None
    ) -> Any:
        made = plain(data, dtype, device, requires_grad)
        if made.ndim < 2:
            raise ValueError(f"Tensor must be 2D or higher, got {made.ndim}D tensor.")
        return (made.unsqueeze(0) if made.ndim == 2 else made).as_subclass(cls)


class Video(TVTensor):
    """A video, or a batch of them: a tensor (..., T, C, H, W) of T frames.

    >>> from argand.vision import tv_tensors
    >>> tv_tensors.Video(ag.zeros(2, 3, 4, 5)).shape
    argand.Size([2, 3, 4, 5])
    """

    def __new__(
        cls, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = None
    ) -> Any:
        made = plain(data, dtype, device, requires_grad)
        if made.ndim < 4:
            raise ValueError(f"Expected at least 4D for a video, got {made.ndim}D tensor.")
        return made.as_subclass(cls)


class Mask(TVTensor):
    """Masks of segmentation or detection: a tensor (H, W) or (N, H, W).

    >>> from argand.vision import tv_tensors
    >>> tv_tensors.Mask(ag.zeros(2, 2, dtype=ag.bool)).dtype
    argand.bool
    """


class BoundingBoxFormat(Enum):
    """What the numbers of a box are: corners, or a corner or the centre with sizes, and the angle
    of rotated ones (R, counter-clockwise in degrees).

    >>> from argand.vision.tv_tensors import BoundingBoxFormat
    >>> BoundingBoxFormat["XYWH"]
    <BoundingBoxFormat.XYWH: 'XYWH'>
    """

    XYXY = "XYXY"
    XYWH = "XYWH"
    CXCYWH = "CXCYWH"
    XYWHR = "XYWHR"
    CXCYWHR = "CXCYWHR"
    XYXYXYXY = "XYXYXYXY"


_ROTATED = ("XYWHR", "CXCYWHR", "XYXYXYXY")


def is_rotated_bounding_format(format: Any) -> bool:
    """Whether boxes of a format have an angle.

    >>> from argand.vision.tv_tensors import is_rotated_bounding_format
    >>> is_rotated_bounding_format("CXCYWHR")
    True
    """
    if not isinstance(format, str | BoundingBoxFormat):
        raise ValueError(f"format should be str or BoundingBoxFormat, got {type(format)}")
    return getattr(format, "value", format) in _ROTATED


def format_of(format: Any) -> BoundingBoxFormat:
    """A format by its name, or itself."""
    return BoundingBoxFormat[format.upper()] if isinstance(format, str) else format


class BoundingBoxes(TVTensor):
    """Boxes: a tensor (N, 4), or (N, 5) or (N, 8) of rotated ones, with their `format`, the
    `canvas_size` (H, W) of the image, and the `clamping_mode` of rotated ones at its border.

    >>> from argand.vision import tv_tensors
    >>> boxes = tv_tensors.BoundingBoxes([[0, 1, 4, 5]], format="XYXY", canvas_size=(8, 9))
    >>> boxes.canvas_size, boxes.format.value
    ((8, 9), 'XYXY')
    """

    _told = ("format", "canvas_size", "clamping_mode")
    format: BoundingBoxFormat
    canvas_size: tuple[int, int]
    clamping_mode: str | None

    def __new__(
        cls,
        data: Any,
        *,
        format: Any,
        canvas_size: Any,
        clamping_mode: str | None = "soft",
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = None,
    ) -> Any:
        made = plain(data, dtype, device, requires_grad)
        if is_rotated_bounding_format(format) and not made.is_floating_point():
            raise ValueError(
                f"Rotated bounding boxes should be floating point tensors, got {made.dtype}."
            )
        if made.ndim not in (1, 2):
            raise ValueError(f"Expected a 1D or 2D tensor, got {made.ndim}D")
        if clamping_mode not in (None, "hard", "soft"):
            raise ValueError(f"clamping_mode must be None, hard or soft, got {clamping_mode}.")
        boxes = (made.unsqueeze(0) if made.ndim == 1 else made).as_subclass(cls)
        boxes.format, boxes.canvas_size = format_of(format), canvas_size
        boxes.clamping_mode = clamping_mode
        return boxes

    @classmethod
    def wrap(cls, tensor: Any, like: Any, **told: Any) -> Any:
        """Boxes in a tensor, told what `like` is told, but for what is given."""
        if "format" in told:
            told["format"] = format_of(told["format"])
        return super().wrap(tensor, like, **told)


class KeyPoints(TVTensor):
    """Points: a tensor (..., 2) of x and y, with the `canvas_size` (H, W) of the image.

    >>> from argand.vision import tv_tensors
    >>> tv_tensors.KeyPoints([[1, 2]], canvas_size=(8, 9)).canvas_size
    (8, 9)
    """

    _told = ("canvas_size",)
    canvas_size: tuple[int, int]

    def __new__(
        cls,
        data: Any,
        *,
        canvas_size: Any,
        dtype: Any = None,
        device: Any = None,
        requires_grad: Any = None,
    ) -> Any:
        made = plain(data, dtype, device, requires_grad)
        if made.ndim == 1:
            made = made.unsqueeze(0)
        elif made.shape[-1] != 2:
            raise ValueError(f"Expected a tensor of shape (..., 2), not {made.shape}")
        points = made.as_subclass(cls)
        points.canvas_size = canvas_size
        return points


def wrap(wrappee: Any, *, like: Any, **kwargs: Any) -> Any:
    """A plain tensor as one of the class of `like`, told what `like` is told (the format and canvas
    of boxes, say), but for what is given here.

    >>> from argand.vision import tv_tensors
    >>> boxes = tv_tensors.BoundingBoxes([[0, 1, 4, 5]], format="XYXY", canvas_size=(8, 9))
    >>> tv_tensors.wrap(boxes + 1, like=boxes).canvas_size
    (8, 9)
    """
    method = getattr(type(like), "wrap", None)
    return wrappee.as_subclass(type(like)) if method is None else method(wrappee, like, **kwargs)
