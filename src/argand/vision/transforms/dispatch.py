"""One function for images of every kind: tensors, PIL images, and the `tv_tensors`.

A `Functional` looks at the class of what it is given and calls the kernel of that kind.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from argand.tensor.core import Tensor
from argand.vision import tv_tensors
from argand.vision.pillow import is_pil
from argand.vision.transforms.modes import InterpolationMode

Kernel = Callable[..., Any]
_TOLD = ("format", "canvas_size", "clamping_mode")
_NAMES = ("inpt", "img", "image", "pic", "tensor", "video")


class Functional:
    """A function of images of every kind.

    `image` computes it for tensors, images and videos; `pil` for PIL images, `mask` for masks,
    `boxes` and `points` for boxes and points. Where there is none, a call raises TypeError. Kernels
    of boxes and points get the format and canvas that these know, and may give a new canvas beside
    the result; arguments that they have no use for, such as how to interpolate, are left out.
    """

    def __init__(
        self,
        name: str,
        image: Kernel | None,
        pil: Kernel | None = None,
        mask: Kernel | None = None,
        boxes: Kernel | None = None,
        points: Kernel | None = None,
        video: Kernel | None = None,
        plain_results: bool = False,
    ) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = (image or video).__doc__
        self.__signature__ = inspect.signature(image or video)  # type: ignore[arg-type]
        self.pil = pil
        self.plain_results = plain_results
        wrapped = {tv_tensors.Image: image, tv_tensors.Video: video or image, tv_tensors.Mask: mask}
        told = {tv_tensors.BoundingBoxes: boxes, tv_tensors.KeyPoints: points}
        self.kernels: dict[type, Kernel] = {Tensor: image or video}  # type: ignore[dict-item]
        self.kernels |= {c: self._wrapping(k) for c, k in wrapped.items() if k is not None}
        self.kernels |= {c: _telling(k) for c, k in told.items() if k is not None}

    def _wrapping(self, kernel: Kernel) -> Kernel:
        """A kernel of plain tensors for tensors of a class."""
        accepts = _accepted(kernel)

        def call(inpt: Any, **options: Any) -> Any:
            chosen = {k: v for k, v in options.items() if k in accepts}
            found = kernel(inpt.as_subclass(Tensor), **chosen)
            if self.plain_results:
                return found
            if isinstance(found, tuple):
                return tuple(tv_tensors.wrap(x, like=inpt) for x in found)
            return tv_tensors.wrap(found, like=inpt)

        return call

    def kernel(self, x: Any) -> Kernel | None:
        """What computes it for a value, or None."""
        if is_pil(x):
            return self.pil
        for kind in type(x).__mro__:
            if kind in self.kernels:
                return self.kernels[kind]
            if kind is tv_tensors.TVTensor:
                break
        return None

    def __call__(self, *args: Any, **options: Any) -> Any:
        if not args:
            name = next((n for n in _NAMES if n in options), "inpt")
            args = (options.pop(name),) if name in options else ()
        if not args:
            raise TypeError(f"{self.__name__}() missing 1 required argument: 'inpt'")
        kernel = self.kernel(args[0])
        if kernel is None:
            raise TypeError(
                f"{self.__name__} is not there for {type(args[0]).__name__}: it takes tensors"
                f"{', PIL images' if self.pil else ''} and "
                f"{', '.join(k.__name__ for k in self.kernels if k is not Tensor)}"
            )
        if kernel is self.kernels[Tensor] or is_pil(args[0]):
            return kernel(*args, **options)
        names = list(self.__signature__.parameters)[1:]
        return kernel(args[0], **dict(zip(names, args[1:], strict=False)), **options)

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"


def _accepted(kernel: Kernel) -> frozenset[str]:
    return frozenset(inspect.signature(kernel).parameters)


def _telling(kernel: Kernel) -> Kernel:
    """A kernel of plain tensors for boxes or points, told what these know."""
    accepts = _accepted(kernel)

    def call(inpt: Any, **options: Any) -> Any:
        chosen = {k: v for k, v in options.items() if k in accepts}
        told = {k: getattr(inpt, k) for k in _TOLD if k in accepts}
        found = kernel(inpt.as_subclass(Tensor), **chosen, **told)
        if isinstance(found, tuple):
            return tv_tensors.wrap(found[0], like=inpt, canvas_size=found[1])
        return tv_tensors.wrap(found, like=inpt) if isinstance(found, Tensor) else found

    return call


def of_masks(image: Kernel) -> Kernel:
    """A kernel of images for masks (H, W) or (N, H, W): nothing between two of them is invented,
    so each pixel is that of the nearest place."""
    signature = inspect.signature(image)
    first, *others = signature.parameters.values()
    kept = [p for p in others if p.name not in ("interpolation", "antialias")]
    nearest = len(kept) < len(others)

    def kernel(mask: Any, *args: Any, **options: Any) -> Any:
        bound = dict(zip([p.name for p in kept], args, strict=False)) | options
        bound.pop("antialias", None)
        if nearest and "interpolation" in signature.parameters:
            wanted = bound.get("interpolation")
            exact = wanted in (InterpolationMode.NEAREST_EXACT, "nearest-exact")
            modes = InterpolationMode
            bound["interpolation"] = modes.NEAREST_EXACT if exact else modes.NEAREST
        planes = mask if mask.ndim >= 3 else mask.unsqueeze(0)
        found = image(planes, **bound)
        return found if mask.ndim >= 3 else found.squeeze(0)

    kernel.__name__ = kernel.__qualname__ = image.__name__.replace("_image", "_mask")
    kernel.__doc__ = f"`{image.__name__}` for masks (H, W) or (N, H, W), by the nearest pixels."
    kernel.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[first.replace(name="mask"), *kept]
    )
    return kernel
