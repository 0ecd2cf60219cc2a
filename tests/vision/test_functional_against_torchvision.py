"""The functions of `vision.transforms` against torchvision's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against import KINDS, agree, given, nearly, sample, torchvision

import argand as ag
from argand.vision import transforms
from argand.vision.transforms import v2

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

NEAREST, BILINEAR, BICUBIC = (
    transforms.InterpolationMode[n] for n in ("NEAREST", "BILINEAR", "BICUBIC")
)
CORNERS = ([[0, 0], [30, 0], [30, 22], [0, 22]], [[2, 3], [27, 1], [30, 20], [1, 19]])
COLOURED = [k for k in KINDS if k != "L"]

FACTORS = [
    *[("brightness", 1.7), ("brightness", 0.3), ("contrast", 0.4), ("contrast", 1.9)],
    *[("saturation", 0.2), ("saturation", 2.1), ("sharpness", 0.0), ("sharpness", 1.6)],
    *[("hue", 0.23), ("hue", -0.4), ("gamma", 0.7)],
]
# Function, arguments, options, and the kinds of images that it is tried on, all if not told.
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = [
    *[
        ("resize", (size,), {"interpolation": mode}, None)
        for size in ([9, 40], [12], [46, 17])
        for mode in (NEAREST, BILINEAR, BICUBIC)
    ],
    ("resize", (10,), {"max_size": 12}, None),
    ("resize", ([9, 40],), {"antialias": False}, ["bytes", "floats", "batch"]),
    ("resize", ([9, 40],), {"interpolation": transforms.InterpolationMode.NEAREST_EXACT}, None),
    ("resize", ([9, 40],), {"interpolation": transforms.InterpolationMode.BOX}, ["RGB", "L"]),
    ("hflip", (), {}, None),
    ("vflip", (), {}, None),
    ("center_crop", ([10, 12],), {}, None),
    ("center_crop", ([30, 12],), {}, None),
    ("center_crop", ([33, 44],), {}, None),
    ("crop", (3, 4, 10, 12), {}, None),
    ("crop", (-3, 25, 10, 12), {}, None),
    ("resized_crop", (3, 4, 10, 12, [7, 20]), {}, None),
    ("pad", (3,), {}, None),
    ("pad", ([1, 2, 3, 4],), {"fill": 1}, None),
    *[("pad", ([1, 2],), {"padding_mode": m}, None) for m in ("edge", "reflect", "symmetric")],
    ("five_crop", (10,), {}, None),
    ("ten_crop", ([9, 8],), {"vertical_flip": True}, None),
    ("affine", (20.0, [3, -2], 1.2, [5.0, 3.0]), {}, None),
    ("affine", (20.0, [3, -2], 0.7, [5.0]), {"interpolation": BILINEAR, "fill": [1.0]}, None),
    ("affine", (-40.0, [0, 0], 1.0, 10.0), {"interpolation": BILINEAR, "center": [2, 3]}, None),
    ("rotate", (33.0,), {}, None),
    ("rotate", (33.0,), {"interpolation": BILINEAR, "expand": True, "fill": [2.0]}, None),
    ("rotate", (90,), {"expand": True}, None),
    ("rotate", (200.0,), {"center": [3, 4]}, None),
    ("perspective", CORNERS, {}, None),
    ("perspective", CORNERS, {"interpolation": NEAREST, "fill": [3.0]}, None),
    *[(f"adjust_{name}", (factor,), {}, None) for name, factor in FACTORS],
    ("adjust_gamma", (1.4, 1.3), {}, None),
    ("rgb_to_grayscale", (), {}, None),
    ("rgb_to_grayscale", (3,), {}, None),
    ("invert", (), {}, None),
    ("posterize", (3,), {}, ["RGB", "L", "bytes"]),
    ("solarize", (100,), {}, ["RGB", "L", "bytes", "gray"]),
    ("solarize", (0.6,), {}, ["floats", "batch"]),
    ("autocontrast", (), {}, None),
    ("equalize", (), {}, ["RGB", "L", "bytes", "gray"]),
    ("gaussian_blur", ([5, 3],), {}, None),
    ("gaussian_blur", (3, [0.7, 1.3]), {}, None),
    ("normalize", ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]), {}, ["floats", "batch"]),
    ("get_dimensions", (), {}, None),
    ("get_image_size", (), {}, None),
    ("get_image_num_channels", (), {}, None),
]


def both(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options for Argand and for torchvision."""
    theirs = torchvision.transforms.InterpolationMode
    modes = {k: theirs(v.value) for k, v in options.items() if hasattr(v, "value")}
    return options, options | modes


ALL = [(*case[:3], kind) for case in CASES for kind in case[3] or KINDS]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(("name", "args", "options", "kind"), ALL)
@pytest.mark.filterwarnings("ignore")
def test_images(version: str, name: str, args: Any, options: Any, kind: str) -> None:
    ours, theirs = given(kind)
    libraries = (transforms, torchvision.transforms)
    first, second = ((x if version == "v1" else x.v2).functional for x in libraries)
    mine, yours = both(options)
    if kind == "L" and isinstance(options.get("fill"), list):
        pytest.skip("one number for one channel")
    wanted = getattr(second, name)(theirs, *args, **yours)
    found = getattr(first, name)(ours, *args, **mine)
    if "resize" in name and version == "v1" and kind in ("bytes", "gray"):
        nearly(found, wanted)
    else:
        agree(found, wanted, 5e-6)


GEOMETRIC = [
    c
    for c in CASES
    if hasattr(v2.functional, f"{c[0]}_bounding_boxes") or c[0] in ("hflip", "vflip")
]


@pytest.mark.parametrize(("name", "args", "options", "kinds"), GEOMETRIC)
@pytest.mark.parametrize("floats", [True, False])
def test_masks_boxes_and_points(
    name: str, args: Any, options: Any, kinds: Any, floats: bool
) -> None:
    if options.get("padding_mode") or options.get("interpolation", NEAREST).name == "BOX":
        pytest.skip("for images only")
    if isinstance(options.get("fill"), list):
        options = options | {"fill": 1.0}
    mine, yours = both(options)
    ours, theirs = sample(floats)
    for kind in ("image", "mask", "boxes", "points"):
        wanted = getattr(torchvision.transforms.v2.functional, name)(theirs[kind], *args, **yours)
        found = getattr(v2.functional, name)(ours[kind], *args, **mine)
        # whole numbers are cut off, so that a last bit can make one more or less
        if floats or kind in ("image", "mask"):
            agree(found, wanted, 2e-5)
        else:
            assert np.abs(found.numpy() - wanted.numpy()).max() <= 1


FORMATS = ("XYXY", "XYWH", "CXCYWH")


@pytest.mark.parametrize("old", [*FORMATS, "XYWHR", "CXCYWHR", "XYXYXYXY"])
@pytest.mark.parametrize("new", [*FORMATS, "XYWHR", "CXCYWHR", "XYXYXYXY"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_formats_of_boxes(old: str, new: str, dtype: str) -> None:
    rotated = old not in FORMATS
    if rotated != (new not in FORMATS) or (rotated and dtype == "int64"):
        pytest.skip("no such conversion")
    count = {"XYWHR": 5, "CXCYWHR": 5, "XYXYXYXY": 8}.get(old, 4)
    numbers = (np.arange(3 * count).reshape(3, count) * 7 % 31).astype(dtype)
    theirs = torchvision.transforms.v2.functional.convert_bounding_box_format
    wanted = theirs(torch.from_numpy(numbers.copy()), old, new)
    agree(v2.functional.convert_bounding_box_format(ag.tensor(numbers), old, new), wanted, 1e-5)


@pytest.mark.parametrize("source", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("target", ["uint8", "int16", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_dtypes(source: str, target: str, version: str) -> None:
    pixels = np.linspace(0, 1, 12).reshape(3, 2, 2)
    if not source.startswith("float"):
        pixels = pixels * np.iinfo(source).max
    pixels = pixels.astype(source)
    libraries = (transforms, torchvision.transforms)
    first, second = ((x if version == "v1" else x.v2).functional for x in libraries)
    try:
        wanted = second.convert_image_dtype(torch.from_numpy(pixels), getattr(torch, target))
    except RuntimeError:
        with pytest.raises(RuntimeError, match="safely"):
            first.convert_image_dtype(ag.tensor(pixels), getattr(ag, target))
        return
    agree(first.convert_image_dtype(ag.tensor(pixels), getattr(ag, target)), wanted)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"]
)
def test_pil_images_to_tensors_and_back(mode: str) -> None:
    from PIL import Image

    image = given("RGB")[0]
    image = (
        Image.fromarray(np.arange(6, dtype=np.uint16).reshape(2, 3) * 9000)
        if mode == "I;16"
        else image.convert(mode)
    )
    ours, theirs = transforms.functional, torchvision.transforms.functional
    agree(ours.to_tensor(image), theirs.to_tensor(image))
    if mode != "I;16":
        agree(ours.pil_to_tensor(image), theirs.pil_to_tensor(image))
    if mode not in ("1", "P", "I;16"):
        back = mode if mode in ("RGB", "YCbCr", "HSV", "RGBA", "CMYK") else None
        tensors = ours.pil_to_tensor(image), theirs.pil_to_tensor(image)
        agree(ours.to_pil_image(tensors[0], back), theirs.to_pil_image(tensors[1], back))
