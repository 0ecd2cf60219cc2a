"""Transforms of images against NumPy."""

import numpy as np
import pytest

import argand as ag
from argand.data import DataLoader, Dataset
from argand.vision import transforms

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
IMAGE = ag.tensor(PIXELS.transpose(2, 0, 1).copy()).float()


def test_to_tensor_moves_the_channels_and_scales_bytes():
    to_tensor = transforms.ToTensor()
    np.testing.assert_array_equal(
        to_tensor(PIXELS).numpy(), PIXELS.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    )
    assert to_tensor(PIXELS[..., 0]).shape == (1, 5, 7)
    floats = PIXELS.astype(np.float64)
    assert to_tensor(floats).dtype is ag.float64
    np.testing.assert_array_equal(to_tensor(floats).numpy(), floats.transpose(2, 0, 1))
    with pytest.raises(RuntimeError, match=r"expected an image \(H, W\) or \(H, W, C\)"):
        to_tensor(np.zeros(3))


def test_compose_and_normalize():
    prepare = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))]
    )
    expected = (PIXELS / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    np.testing.assert_allclose(prepare(PIXELS).numpy(), expected.transpose(2, 0, 1), rtol=1e-5)
    assert "Normalize(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))" in repr(prepare)
    with pytest.raises(ValueError, match="must not be 0"):
        transforms.Normalize(0.5, 0)


def test_resize_keeps_the_proportions_for_one_number():
    assert transforms.Resize(10)(IMAGE).shape == (3, 10, 14)
    assert transforms.Resize(10)(IMAGE[0:1].reshape(1, 7, 5)).shape == (1, 14, 10)
    assert transforms.Resize((4, 3), "nearest")(IMAGE).shape == (3, 4, 3)
    batch = transforms.Resize((8, 8))(IMAGE.reshape(1, 3, 5, 7))
    assert batch.shape == (1, 3, 8, 8)
    assert batch[0].allclose(transforms.Resize((8, 8))(IMAGE))


def test_pad_and_crops():
    image = IMAGE.numpy()
    padded = transforms.Pad((1, 2, 3, 4), fill=9)(IMAGE)
    np.testing.assert_array_equal(
        padded.numpy(), np.pad(image, ((0, 0), (2, 4), (1, 3)), constant_values=9)
    )
    reflected = transforms.Pad(2, padding_mode="reflect")(IMAGE)
    np.testing.assert_array_equal(
        reflected.numpy(), np.pad(image, ((0, 0), (2, 2), (2, 2)), mode="reflect")
    )
    np.testing.assert_array_equal(transforms.CenterCrop(3)(IMAGE).numpy(), image[:, 1:4, 2:5])
    with pytest.raises(RuntimeError, match=r"CenterCrop: images of .* are smaller than .*pad them"):
        transforms.CenterCrop(6)(IMAGE)
    with pytest.raises(ValueError, match="must be 1, 2 or 4 numbers"):
        transforms.Pad((1, 2, 3))


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
