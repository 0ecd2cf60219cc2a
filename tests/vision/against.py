"""What comparisons with torchvision share: the same images for both, and whether results agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.tensor.core import Tensor
from argand.vision import tv_tensors
from argand.vision.pillow import is_pil

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
try:
    import torchvision as found
    import torchvision.transforms.v2
    from torchvision import tv_tensors as their_tensors
except (ImportError, RuntimeError, OSError):  # absent, or built for another PyTorch
    pytest.skip("torchvision is not installed", allow_module_level=True)
torchvision: Any = found

RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (3, 23, 31)).astype(np.uint8)
BATCH = RNG.integers(0, 256, (2, 3, 23, 31)).astype(np.uint8)
BOXES = np.array([[1, 2, 11, 13], [5, 0, 30, 22], [9, 9, 10, 10]], np.float32)


def picture(mode: str) -> Any:
    """A PIL image."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(PIXELS.transpose(1, 2, 0)))
    return image.convert(mode)


# By name: the array or PIL image that both are given, and the class of tv_tensors, if one.
KINDS: dict[str, Any] = {
    "RGB": lambda: picture("RGB"),
    "L": lambda: picture("L"),
    "bytes": lambda: PIXELS,
    "floats": lambda: (PIXELS / 255).astype(np.float32),
    "gray": lambda: PIXELS[:1],
    "batch": lambda: (BATCH / 255).astype(np.float32),
}


def given(name: str) -> tuple[Any, Any]:
    """The image of a kind, for Argand and for PyTorch."""
    image = KINDS[name]()
    if isinstance(image, np.ndarray):
        return ag.tensor(image.copy()), torch.from_numpy(image.copy())
    return image, image


def sample(float_boxes: bool = True) -> tuple[Any, Any]:
    """An image with a mask, boxes and points, for Argand and for PyTorch."""
    boxes = BOXES if float_boxes else BOXES.astype(np.int64)
    mask = (PIXELS[0] > 128).astype(np.uint8)
    told = {"format": "XYXY", "canvas_size": (23, 31)}
    made = []
    for library, kinds in ((ag, tv_tensors), (torch, their_tensors)):
        tensor = library.tensor
        made.append(
            {
                "image": kinds.Image(tensor(PIXELS.copy())),
                "mask": kinds.Mask(tensor(mask)),
                "boxes": kinds.BoundingBoxes(tensor(boxes), **told),
                "points": kinds.KeyPoints(tensor(boxes[:, :2].copy()), canvas_size=(23, 31)),
                "labels": tensor(np.array([3, 1, 2])),
            }
        )
    return made[0], made[1]


ROUNDED = 0.01
"""The part of the bytes of a resized tensor that may be rounded the other way."""


def nearly(ours: Any, theirs: Any) -> None:
    """Fail where more than a few bytes differ, or one by more than 1."""
    apart = np.abs(ours.numpy().astype(int) - theirs.numpy().astype(int))
    assert apart.max() <= 1 and (apart > 0).mean() <= ROUNDED


def agree(ours: Any, theirs: Any, tolerance: float = 2e-6) -> None:
    """Fail where results differ: PIL images by a byte, integers at all, floats by more than the
    tolerance."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for name in theirs:
            agree(ours[name], theirs[name], tolerance)
    elif isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            agree(a, b, tolerance)
    elif is_pil(theirs):
        assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
        assert ours.tobytes() == theirs.tobytes()
    elif isinstance(theirs, torch.Tensor):
        _tensors_agree(ours, theirs, tolerance)
    else:
        assert ours == theirs


def _tensors_agree(ours: Any, theirs: Any, tolerance: float) -> None:
    assert type(ours).__name__ == type(theirs).__name__
    for name in ("canvas_size", "clamping_mode"):
        assert getattr(ours, name, None) == getattr(theirs, name, None)
    found = ours.as_subclass(Tensor).detach().numpy()
    wanted = theirs.as_subclass(torch.Tensor).detach().numpy()
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(found, wanted)
