"""Transforms of images against NumPy and Pillow."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

import argand as ag
from argand.data import DataLoader, Dataset
from argand.vision import transforms, tv_tensors
from argand.vision.transforms import functional as F
from argand.vision.transforms import v2

Image = pytest.importorskip("PIL.Image")

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
IMAGE = ag.tensor(PIXELS.transpose(2, 0, 1).copy()).float()
PICTURE = Image.fromarray(PIXELS)


def test_pillow_is_loaded_when_it_is_needed():
    script = "import argand.vision, sys; print([m for m in sys.modules if m.startswith('PIL')])"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_without_pillow_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"pip install 'argand\[vision\]'"):
        transforms.ToPILImage()(IMAGE)


def test_to_tensor_moves_the_channels_and_scales_bytes():
    to_tensor = transforms.ToTensor()
    expected = PIXELS.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    for given in (PIXELS, PICTURE):
        np.testing.assert_array_equal(to_tensor(given).numpy(), expected)
    assert to_tensor(PIXELS[..., 0]).shape == (1, 5, 7)
    floats = PIXELS.astype(np.float64)
    assert to_tensor(floats).dtype is ag.float64
    np.testing.assert_array_equal(to_tensor(floats).numpy(), floats.transpose(2, 0, 1))
    with pytest.raises(ValueError, match="2/3 dimensional"):
        to_tensor(np.zeros(3))
    with pytest.raises(TypeError, match="PIL Image or ndarray"):
        to_tensor([1, 2])


def test_images_come_back_from_tensors():
    back = F.to_pil_image(F.pil_to_tensor(PICTURE))
    assert back.mode == "RGB" and back.tobytes() == PICTURE.tobytes()
    assert F.to_pil_image(ag.full((1, 2, 3), 0.5)).getpixel((0, 0)) == 127
    with pytest.raises(ValueError, match="4 channels"):
        F.to_pil_image(ag.zeros(5, 2, 2))
    with pytest.raises(ValueError, match="supported for 3D"):
        F.to_pil_image(PIXELS, "RGBA")


def test_compose_and_normalize():
    prepare = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))]
    )
    expected = (PIXELS / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    np.testing.assert_allclose(prepare(PIXELS).numpy(), expected.transpose(2, 0, 1), rtol=1e-5)
    assert "Normalize(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))" in repr(prepare)
    with pytest.raises(ValueError, match="division by zero"):
        transforms.Normalize(0.5, 0)(IMAGE)
    with pytest.raises(TypeError, match="float tensor"):
        transforms.Normalize(0.5, 1)(IMAGE.to(ag.uint8))


def test_resize_keeps_the_proportions_for_one_number():
    assert transforms.Resize(10)(IMAGE).shape == (3, 10, 14)
    assert transforms.Resize(10, max_size=12)(IMAGE).shape == (3, 8, 12)
    assert transforms.Resize(10)(IMAGE[0:1].reshape(1, 7, 5)).shape == (1, 14, 10)
    assert transforms.Resize((4, 3), transforms.InterpolationMode.NEAREST)(IMAGE).shape == (3, 4, 3)
    batch = transforms.Resize((8, 8))(IMAGE.reshape(1, 3, 5, 7))
    assert batch.shape == (1, 3, 8, 8)
    assert batch[0].allclose(transforms.Resize((8, 8))(IMAGE))
    assert transforms.Resize((4, 3))(PICTURE).tobytes() == PICTURE.resize((3, 4), 2).tobytes()
    with pytest.raises(ValueError, match="strictly greater"):
        transforms.Resize(10, max_size=10)(IMAGE)
    with pytest.raises(ValueError, match="Invalid interpolation mode: 'cubic'"):
        v2.functional.resize(IMAGE, [2, 2], "cubic")


def test_bytes_are_resized_as_pillow_resizes_them():
    tensor = F.pil_to_tensor(PICTURE)
    for size in ((3, 4), (11, 9), (2, 13)):
        wanted = np.asarray(v2.functional.resize(PICTURE, size)).transpose(2, 0, 1)
        found = v2.functional.resize(tensor, size).numpy()
        assert np.abs(found.astype(int) - wanted).max() <= 1, size


def test_pad_and_crops():
    image = IMAGE.numpy()
    padded = transforms.Pad((1, 2, 3, 4), fill=9)(IMAGE)
    np.testing.assert_array_equal(
        padded.numpy(), np.pad(image, ((0, 0), (2, 4), (1, 3)), constant_values=9)
    )
    for mode in ("reflect", "symmetric", "edge"):
        found = transforms.Pad(2, padding_mode=mode)(IMAGE)
        np.testing.assert_array_equal(found.numpy(), np.pad(image, ((0, 0), (2, 2), (2, 2)), mode))
    coloured = v2.functional.pad(IMAGE, [1], fill=[1.0, 2.0, 3.0])
    assert coloured[:, 0, 0].tolist() == [1, 2, 3] and coloured[:, 1:-1, 1:-1].equal(IMAGE)
    np.testing.assert_array_equal(transforms.CenterCrop(3)(IMAGE).numpy(), image[:, 1:4, 2:5])
    around = transforms.CenterCrop((7, 3))(IMAGE).numpy()
    np.testing.assert_array_equal(around, np.pad(image[:, :, 2:5], ((0, 0), (1, 1), (0, 0))))
    outside = F.crop(IMAGE, -2, 5, 4, 4).numpy()
    np.testing.assert_array_equal(outside, np.pad(image, ((0, 0), (2, 2), (0, 2)))[:, 0:4, 5:9])
    with pytest.raises(ValueError, match="1, 2, or 4"):
        transforms.Pad((1, 2, 3))
    with pytest.raises(ValueError, match="larger than input image"):
        transforms.RandomCrop(6)(IMAGE)


def test_random_transforms_follow_the_seed():
    crop, flip = transforms.RandomCrop(3, padding=1), transforms.RandomHorizontalFlip()
    drawn = []
    for _ in range(2):
        ag.manual_seed(3)
        drawn.append([flip(crop(IMAGE)) for _ in range(20)])
    assert all(a.equal(b) for a, b in zip(*drawn, strict=True))
    places = {tuple(x.flatten().tolist()) for x in drawn[0]}
    assert len(places) > 10
    wide = np.pad(IMAGE.numpy(), ((0, 0), (1, 1), (1, 1)))
    parts = [wide[:, i : i + 3, j : j + 3] for i in range(5) for j in range(7)]
    possible = {tuple(p.flatten().tolist()) for q in parts for p in (q, q[..., ::-1])}
    assert places <= possible


def test_transforms_in_a_data_set():
    class Pictures(Dataset):
        prepare = transforms.Compose([transforms.ToTensor(), transforms.Lambda(lambda x: x * 2)])

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return self.prepare(PIXELS), i

    images, labels = next(iter(DataLoader(Pictures(), batch_size=4)))
    assert images.shape == (4, 3, 5, 7)
    assert labels.tolist() == [0, 1, 2, 3]


# -- maps, on what can be told without sampling ----------------------------------------------------


def test_maps_that_move_whole_pixels():
    image = IMAGE.numpy()
    moved = F.affine(IMAGE, 0, [2, -1], 1.0, [0, 0]).numpy()
    np.testing.assert_array_equal(moved, np.pad(image, ((0, 0), (0, 1), (2, 0)))[:, 1:, :7])
    turned = v2.functional.rotate(IMAGE, 90, expand=True).numpy()
    np.testing.assert_array_equal(turned, np.rot90(image, 1, (1, 2)))
    upside_down = F.rotate(IMAGE, 180).numpy()
    np.testing.assert_array_equal(upside_down, np.rot90(image, 2, (1, 2)))
    corners = [[0, 0], [6, 0], [6, 4], [0, 4]]
    same = F.perspective(IMAGE, corners, corners).numpy()
    np.testing.assert_allclose(same, image, atol=1e-3)
    np.testing.assert_allclose(
        F.elastic_transform(IMAGE, ag.zeros(1, 5, 7, 2)).numpy(), image, atol=1e-3
    )
    filled = F.affine(IMAGE, 0, [2, 0], 1.0, [0, 0], fill=[7.0, 8.0, 9.0])
    assert filled[:, 0, 0].tolist() == [7, 8, 9]
    with pytest.raises(ValueError, match="exactly four corners"):
        F.perspective(IMAGE, corners[:3], corners[:3])


def test_maps_have_gradients():
    x = ag.rand(1, 4, 3, dtype=ag.float64, requires_grad=True)
    for call in (
        lambda t: F.rotate(t, 20.0, interpolation=transforms.InterpolationMode.BILINEAR),
        lambda t: F.adjust_contrast(t, 0.5),
        lambda t: F.gaussian_blur(t, 3),
        lambda t: F.resize(t, [2, 4]),
    ):
        assert ag.autograd.gradcheck(call, (x,))


# -- colours ---------------------------------------------------------------------------------------


def test_colours_by_their_formulas():
    image = IMAGE / 255
    r, g, b = image
    gray = 0.2989 * r + 0.587 * g + 0.114 * b
    close = {"atol": 1e-6, "rtol": 1e-6}
    assert F.rgb_to_grayscale(image)[0].allclose(gray, **close)
    assert F.adjust_brightness(image, 0.5).allclose(image / 2, **close)
    assert F.adjust_saturation(image, 0.0).allclose(gray.expand(3, 5, 7), **close)
    assert F.adjust_contrast(image, 0.0).allclose(gray.mean().expand(3, 5, 7), **close)
    assert F.adjust_gamma(image, 2.0).allclose(image**2, **close)
    assert F.invert(image).allclose(1 - image)
    assert F.adjust_hue(image, 0.0).allclose(image, atol=1e-5)
    third = F.adjust_hue(image, 1 / 3)
    assert third.allclose(image[ag.tensor([2, 0, 1])], atol=1e-5)
    whole = F.pil_to_tensor(PICTURE)
    assert F.posterize(whole, 2).equal(whole & 192)
    assert F.solarize(whole, 100).equal(ag.where(whole >= 100, 255 - whole, whole))
    with pytest.raises(ValueError, match="not non-negative"):
        F.adjust_brightness(image, -1)
    with pytest.raises(TypeError, match="1 or 3"):
        F.adjust_contrast(ag.zeros(2, 4, 4), 1)


@pytest.mark.parametrize("name", ["equalize", "autocontrast", "invert"])
def test_bytes_change_as_pillows_do(name):
    plane = Image.fromarray(np.random.default_rng(1).integers(20, 200, (9, 40)).astype(np.uint8))
    wanted = np.asarray(getattr(F, name)(plane)).astype(int)
    found = getattr(F, name)(F.pil_to_tensor(plane))[0].numpy()
    assert np.abs(found - wanted).max() <= 1


def test_ranges_of_dtypes():
    whole = ag.tensor([[[0, 128, 255]]], dtype=ag.uint8)
    assert F.convert_image_dtype(whole, ag.float64).flatten().tolist() == [0, 128 / 255, 1]
    assert F.convert_image_dtype(whole, ag.int16).flatten().tolist() == [0, 128 << 7, 255 << 7]
    assert F.convert_image_dtype(F.convert_image_dtype(whole), ag.uint8).equal(whole)
    with pytest.raises(RuntimeError, match="safely"):
        F.convert_image_dtype(ag.zeros(1, 1, 1), ag.int64)


# -- samples ---------------------------------------------------------------------------------------


def sample():
    return {
        "image": tv_tensors.Image(PIXELS.transpose(2, 0, 1).copy()),
        "boxes": tv_tensors.BoundingBoxes([[1, 0, 4, 3]], format="XYXY", canvas_size=(5, 7)),
        "mask": tv_tensors.Mask(np.eye(5, 7, dtype=np.uint8)),
        "points": tv_tensors.KeyPoints([[1, 2]], canvas_size=(5, 7)),
        "labels": ag.tensor([3]),
        "name": "a",
    }


def test_everything_in_a_sample_moves_together():
    found = v2.Compose([v2.RandomHorizontalFlip(1.0), v2.RandomVerticalFlip(1.0)])(sample())
    assert found["image"].equal(ag.tensor(PIXELS[::-1, ::-1].transpose(2, 0, 1).copy()))
    assert found["boxes"].tolist() == [[3, 2, 6, 5]] and found["points"].tolist() == [[5, 2]]
    assert found["mask"].tolist() == np.eye(5, 7)[::-1, ::-1].tolist()
    assert found["labels"].tolist() == [3] and found["name"] == "a"
    kinds = [type(found[k]) for k in ("image", "boxes", "mask", "points", "labels")]
    assert [k.__name__ for k in kinds] == ["Image", "BoundingBoxes", "Mask", "KeyPoints", "Tensor"]
    large = v2.Resize((10, 14))(sample())
    assert large["boxes"].tolist() == [[2, 0, 8, 6]] and large["boxes"].canvas_size == (10, 14)
    assert large["mask"].shape == (10, 14)


def test_of_plain_tensors_the_first_is_the_image():
    image, other = v2.RandomHorizontalFlip(1.0)(IMAGE, IMAGE)
    assert image.equal(IMAGE.flip(-1)) and other is IMAGE
    picture, other = v2.RandomHorizontalFlip(1.0)(PICTURE, IMAGE)
    assert other is IMAGE and picture.tobytes() != PICTURE.tobytes()


def test_tensors_that_say_what_they_show():
    boxes = sample()["boxes"]
    assert type(boxes + 1) is ag.Tensor and type(boxes.clone()) is tv_tensors.BoundingBoxes
    assert boxes.to(ag.float32).canvas_size == (5, 7)
    with tv_tensors.set_return_type("TVTensor"):
        assert type(boxes + 1) is tv_tensors.BoundingBoxes and (boxes + 1).format is boxes.format
    assert "format=BoundingBoxFormat.XYXY, canvas_size=(5, 7)" in repr(boxes)
    assert type(tv_tensors.wrap(boxes + 1, like=boxes)) is tv_tensors.BoundingBoxes
    with pytest.raises(ValueError, match="Expected a 1D or 2D"):
        tv_tensors.BoundingBoxes(ag.zeros(1, 1, 4), format="XYXY", canvas_size=(2, 2))
    with pytest.raises(TypeError, match="adjust_hue is not there for BoundingBoxes"):
        v2.functional.adjust_hue(boxes, 0.1)


def test_what_a_sample_lacks_is_told():
    with pytest.raises(TypeError, match="bounding boxes"):
        v2.RandomIoUCrop()(IMAGE)
    with pytest.raises(ValueError, match="num_classes must be passed"):
        v2.MixUp()(IMAGE[None], ag.tensor([1]))
    with pytest.raises(ValueError, match="multiple HxW"):
        v2.RandomResizedCrop(3)(sample() | {"mask": tv_tensors.Mask(ag.zeros(2, 2))})
    with pytest.raises(ValueError, match="Could not infer where the labels are"):
        v2.SanitizeBoundingBoxes()({"boxes": sample()["boxes"]})


def test_transforms_are_pickled():
    several = [v2.SanitizeBoundingBoxes(labels_getter=None), v2.MixUp(num_classes=2)]
    several += [v2.RandAugment(), transforms.ColorJitter(0.3), transforms.AugMix()]
    for transform in several:
        again = pickle.loads(pickle.dumps(transform))
        assert repr(again) == repr(transform)
    boxes = pickle.loads(pickle.dumps(sample()["boxes"]))
    assert type(boxes) is tv_tensors.BoundingBoxes and boxes.canvas_size == (5, 7)


def test_mixtures_are_those_of_neighbours():
    images, labels = ag.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 6, 6), ag.arange(4)
    ag.manual_seed(0)
    mixed, chances = v2.MixUp(num_classes=4)(images, labels)
    share = chances[1, 1].item()
    assert mixed[1, 0, 0, 0].item() == pytest.approx(share * 1 + (1 - share) * 0)
    cut, chances = v2.CutMix(num_classes=4)(images, labels)
    assert (cut[2] == 2).float().mean().item() == pytest.approx(chances[2, 2].item())
    assert set(cut[2].flatten().tolist()) <= {1.0, 2.0}


def test_boxes_that_are_lost_take_their_labels_and_masks_along():
    boxes = tv_tensors.BoundingBoxes(
        [[0, 0, 3, 3], [1, 1, 1, 4], [2, 2, 9, 4]], format="XYXY", canvas_size=(5, 7)
    )
    given = {
        "boxes": boxes,
        "labels": ag.tensor([1, 2, 3]),
        "masks": tv_tensors.Mask(ag.zeros(3, 5, 7)),
    }
    found = v2.Compose([v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes()])(given)
    assert found["labels"].tolist() == [1, 3] and found["masks"].shape == (2, 5, 7)
    assert found["boxes"].tolist() == [[0, 0, 3, 3], [2, 2, 7, 4]]


def test_rotated_boxes_turn_with_the_image():
    boxes = tv_tensors.BoundingBoxes(
        [[10.0, 8, 6, 4, 30]], format="CXCYWHR", canvas_size=(20, 20), clamping_mode=None
    )
    turned = v2.functional.rotate(boxes, 90.0)
    np.testing.assert_allclose(turned.numpy(), [[8, 10, 6, 4, 120]], atol=1e-4)
    with pytest.raises(ValueError, match="clamping_mode=None"):
        v2.functional.rotate(v2.SetClampingMode("soft")(boxes), 90.0)
