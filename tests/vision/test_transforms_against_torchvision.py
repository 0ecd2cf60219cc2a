"""The transforms against torchvision's, from the same seed: the same draws, the same images."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from against import agree, given, nearly, sample, torchvision

import argand as ag
from argand.vision import transforms

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

Make = Callable[[Any, Any], Any]

# Of the older and the newer transforms: how one is made, from the module and the library.
BOTH: dict[str, Make] = {
    "Resize": lambda t, _: t.Resize((9, 11)),
    "Resize shorter": lambda t, _: t.Resize(10, max_size=13),
    "CenterCrop": lambda t, _: t.CenterCrop((10, 12)),
    "Pad": lambda t, _: t.Pad((1, 2), fill=3),
    "Pad edges": lambda t, _: t.Pad(2, padding_mode="reflect"),
    "RandomCrop": lambda t, _: t.RandomCrop(12, padding=4),
    "RandomCrop needed": lambda t, _: t.RandomCrop((40, 20), pad_if_needed=True, fill=7),
    "RandomHorizontalFlip": lambda t, _: t.RandomHorizontalFlip(),
    "RandomVerticalFlip": lambda t, _: t.RandomVerticalFlip(0.3),
    "RandomResizedCrop": lambda t, _: t.RandomResizedCrop(14),
    "RandomResizedCrop nearest": lambda t, _: t.RandomResizedCrop(
        14, (0.2, 0.4), interpolation=t.InterpolationMode.NEAREST
    ),
    "FiveCrop": lambda t, _: t.FiveCrop(8),
    "TenCrop": lambda t, _: t.TenCrop((8, 9), vertical_flip=True),
    "RandomRotation": lambda t, _: t.RandomRotation(40, fill=5),
    "RandomRotation expand": lambda t, _: t.RandomRotation((10, 80), expand=True),
    "RandomAffine": lambda t, _: t.RandomAffine(30, (0.2, 0.3), (0.7, 1.3), (-10, 10, -5, 5)),
    "RandomAffine linear": lambda t, _: t.RandomAffine(
        30, shear=10, interpolation=t.InterpolationMode.BILINEAR, fill=2
    ),
    "RandomPerspective": lambda t, _: t.RandomPerspective(0.6, p=0.8, fill=1),
    "ElasticTransform": lambda t, _: t.ElasticTransform(40.0, 1.5),
    "ColorJitter": lambda t, _: t.ColorJitter(0.5, 0.4, 0.6, 0.2),
    "ColorJitter ranges": lambda t, _: t.ColorJitter(brightness=(0.2, 0.8), hue=(-0.1, 0.3)),
    "Grayscale": lambda t, _: t.Grayscale(3),
    "RandomGrayscale": lambda t, _: t.RandomGrayscale(0.5),
    "GaussianBlur": lambda t, _: t.GaussianBlur((3, 5), (0.2, 1.4)),
    "RandomInvert": lambda t, _: t.RandomInvert(),
    "RandomPosterize": lambda t, _: t.RandomPosterize(3),
    "RandomSolarize": lambda t, _: t.RandomSolarize(0.5 if t is None else 100),
    "RandomAdjustSharpness": lambda t, _: t.RandomAdjustSharpness(1.7),
    "RandomAutocontrast": lambda t, _: t.RandomAutocontrast(),
    "RandomEqualize": lambda t, _: t.RandomEqualize(),
    "RandomErasing": lambda t, _: t.RandomErasing(0.8),
    "RandomErasing noise": lambda t, _: t.RandomErasing(0.8, value="random"),
    "RandomApply": lambda t, _: t.RandomApply([t.RandomCrop(9), t.RandomHorizontalFlip()], 0.6),
    "RandomChoice": lambda t, _: t.RandomChoice([t.RandomCrop(9), t.CenterCrop(4)]),
    "RandomOrder": lambda t, _: t.RandomOrder(
        [t.CenterCrop(9), t.RandomVerticalFlip(0.7), t.Pad(3)]
    ),
    "Compose": lambda t, _: t.Compose([t.RandomCrop(20), t.RandomRotation(9), t.CenterCrop(9)]),
    "AutoAugment": lambda t, _: t.AutoAugment(),
    "AutoAugment cifar": lambda t, _: t.AutoAugment(t.AutoAugmentPolicy.CIFAR10, fill=9),
    "AutoAugment svhn": lambda t, _: t.AutoAugment(t.AutoAugmentPolicy.SVHN),
    "RandAugment": lambda t, _: t.RandAugment(3, 12),
    "TrivialAugmentWide": lambda t, _: t.TrivialAugmentWide(),
    "AugMix": lambda t, _: t.AugMix(),
    "AugMix few": lambda t, _: t.AugMix(5, 2, 2, 0.4, all_ops=False),
    "Normalize": lambda t, _: t.Normalize([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]),
    "ConvertImageDtype": lambda t, lib: t.ConvertImageDtype(lib.float64),
    "LinearTransformation": lambda t, lib: t.LinearTransformation(
        lib.eye(3 * 23 * 31) * 2, lib.ones(3 * 23 * 31)
    ),
}
NEWER: dict[str, Make] = {
    "RandomResize": lambda t, _: t.RandomResize(9, 20),
    "ScaleJitter": lambda t, _: t.ScaleJitter((20, 24), (0.5, 1.5)),
    "RandomShortestSize": lambda t, _: t.RandomShortestSize([8, 12, 16], max_size=18),
    "RandomZoomOut": lambda t, _: t.RandomZoomOut(fill=3, side_range=(1.0, 2.0)),
    "RandomPhotometricDistort": lambda t, _: t.RandomPhotometricDistort(p=0.7),
    "RandomChannelPermutation": lambda t, _: t.RandomChannelPermutation(),
    "RGB": lambda t, _: t.RGB(),
    "ToDtype": lambda t, lib: t.ToDtype(lib.float32, scale=True),
    "ToImage": lambda t, _: t.ToImage(),
    "ToPureTensor": lambda t, _: t.ToPureTensor(),
    "Identity": lambda t, _: t.Identity(),
    "GaussianNoise": lambda t, _: t.GaussianNoise(0.1, 0.2),
    "JPEG": lambda t, _: t.JPEG((20, 80)),
}
# What computes bytes by way of floats, and rounds them; the first four do so with PIL images too.
ROUNDED = ["ElasticTransform", "AugMix", "AugMix few", "RandomPerspective", "GaussianNoise"]
ROUNDED += ["RandomAffine linear", "ColorJitter"]
FLOATS = {"Normalize", "LinearTransformation"}
TENSORS = {
    "RandomErasing",
    "RandomErasing noise",
    "ConvertImageDtype",
    "ToPureTensor",
    "GaussianNoise",
}
BYTES = {
    "RandomPosterize",
    "RandomSolarize",
    "RandomEqualize",
    "AutoAugment",
    "AutoAugment cifar",
    "AutoAugment svhn",
    "RandAugment",
    "TrivialAugmentWide",
    "AugMix",
    "AugMix few",
    "JPEG",
}


@pytest.fixture(autouse=True)
def pytorchs_generator() -> Iterator[None]:
    """Draws are PyTorch's."""
    before = ag.settings.generator
    ag.settings.generator = "mt19937"
    yield
    ag.settings.generator = before


def seed(number: int) -> None:
    random.seed(number)
    torch.manual_seed(number)


def kinds_of(name: str) -> list[str]:
    if name in FLOATS:
        return ["floats"]
    if name in TENSORS:
        return ["bytes", "floats"]
    return ["RGB", "bytes"] if name in BYTES else ["RGB", "bytes", "floats"]


def cases() -> Iterator[Any]:
    for name in [*BOTH, *NEWER]:
        for version in ("v2",) if name in NEWER else ("v1", "v2"):
            for kind in kinds_of(name):
                yield pytest.param(version, name, kind, id=f"{version}-{name}-{kind}")


@pytest.mark.parametrize(("version", "name", "kind"), list(cases()))
@pytest.mark.filterwarnings("ignore")
def test_one_image(version: str, name: str, kind: str) -> None:
    make = (BOTH | NEWER)[name]
    first, second = transforms, torchvision.transforms
    if version == "v2":
        first, second = first.v2, second.v2
    mine, yours = make(first, ag), make(second, torch)
    for number in range(4):
        ours, theirs = given(kind)
        seed(number)
        wanted = yours(theirs)
        after = torch.rand(1).item()
        random.seed(number)
        ag.manual_seed(number)
        found = mine(ours)
        assert ag.rand(1).item() == after, "another number of draws"
        if kind == "bytes" and (name in ROUNDED or (version == "v1" and "Resize" in name)):
            nearly(found, wanted)
        elif kind == "RGB" and name in ROUNDED[:4]:
            nearly(Pixels(found), Pixels(wanted))
        else:
            agree(found, wanted, 2e-5)


class Pixels:
    """The pixels of a PIL image, as tensors give theirs."""

    def __init__(self, image: Any) -> None:
        self.image = image

    def numpy(self) -> np.ndarray:
        return np.asarray(self.image)


DETECTION: dict[str, Make] = {
    "RandomHorizontalFlip": lambda t, _: t.RandomHorizontalFlip(),
    "RandomVerticalFlip": lambda t, _: t.RandomVerticalFlip(),
    "Resize": lambda t, _: t.Resize((9, 11)),
    "RandomCrop": lambda t, _: t.RandomCrop(12, padding=4),
    "RandomResizedCrop": lambda t, _: t.RandomResizedCrop(14),
    "RandomRotation": lambda t, _: t.RandomRotation(40, expand=True),
    "RandomAffine": lambda t, _: t.RandomAffine(30, (0.2, 0.3), (0.7, 1.3), 5),
    "RandomPerspective": lambda t, _: t.RandomPerspective(0.6, p=0.8),
    "ElasticTransform": lambda t, _: t.ElasticTransform(40.0, 1.5),
    "RandomZoomOut": lambda t, _: t.RandomZoomOut(),
    "CenterCrop": lambda t, _: t.CenterCrop(10),
    "ColorJitter": lambda t, _: t.ColorJitter(0.3),
    "ToDtype": lambda t, lib: t.ToDtype(lib.float32, scale=True),
    "Clamp": lambda t, _: t.Compose([t.ClampBoundingBoxes(), t.ClampKeyPoints()]),
    "ConvertBoundingBoxFormat": lambda t, _: t.ConvertBoundingBoxFormat("CXCYWH"),
    "SetClampingMode": lambda t, _: t.SetClampingMode(None),
    "ToPureTensor": lambda t, _: t.ToPureTensor(),
}


@pytest.mark.parametrize("name", DETECTION)
@pytest.mark.filterwarnings("ignore")
def test_samples_of_detection(name: str) -> None:
    mine, yours = (
        DETECTION[name](t.v2, lib) for t, lib in ((transforms, ag), (torchvision.transforms, torch))
    )
    for number in range(3):
        ours, theirs = sample()
        seed(number)
        wanted = yours(theirs)
        ag.manual_seed(number)
        found = mine(ours)
        for part in ("image", "mask"):
            if name == "ElasticTransform":
                found.pop(part), wanted.pop(part)
        agree(found, wanted, 1e-4)


@pytest.mark.filterwarnings("ignore")
def test_crops_that_keep_boxes_and_what_is_left_out() -> None:
    for number in range(6):
        results = []
        for t, lib, drawn in (
            (transforms, ag, ag.manual_seed),
            (torchvision.transforms, torch, torch.manual_seed),
        ):
            drawn(number)
            given_sample = sample()[0 if lib is ag else 1]
            del given_sample["points"]
            crop = t.v2.Compose([t.v2.RandomIoUCrop(), t.v2.SanitizeBoundingBoxes()])
            results.append(crop(given_sample))
        agree(*results)


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
@pytest.mark.parametrize("chances", [False, True])
def test_mixtures(name: str, chances: bool) -> None:
    pixels = np.random.default_rng(0).random((4, 3, 8, 10)).astype(np.float32)
    labels = np.array([1, 0, 2, 1])
    for number in range(4):
        results = []
        for t, lib in ((transforms, ag), (torchvision.transforms, torch)):
            lib.manual_seed(number)
            mix = getattr(t.v2, name)(alpha=0.7, num_classes=3)
            target = lib.tensor(np.eye(3, dtype=np.float32)[labels] if chances else labels)
            results.append(mix(lib.tensor(pixels), target))
        agree(*results)


@pytest.mark.parametrize("index", [0, 3])
def test_fake_data(index: int) -> None:
    mine = ag.vision.datasets.FakeData(5, (3, 9, 8), 7)
    agree(mine[index], torchvision.datasets.FakeData(5, (3, 9, 8), 7)[index])
