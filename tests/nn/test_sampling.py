"""Images and volumes at other places, and what pooling gives back, against loops in NumPy."""

import itertools

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.nn import functional as F

rng = np.random.default_rng(3)


def keys(d, a):
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def brought(x, size, padding, align):
    if padding == "reflection":
        low, high = (0, size - 1) if align else (-0.5, size - 0.5)
        while not low <= x <= high:
            x = 2 * low - x if x < low else 2 * high - x
    return x if padding == "zeros" else min(max(x, 0), size - 1)


def sampled(image, point, mode, padding, align):
    """The value of one image (D, H, W) or (H, W) at a point (x, y, ...), straight from the text."""
    places = [
        (p + 1) / 2 * (n - 1) if align else ((p + 1) * n - 1) / 2
        for p, n in zip(point[::-1], image.shape, strict=True)
    ]
    if mode != "bicubic":
        places = [brought(p, n, padding, align) for p, n in zip(places, image.shape, strict=True)]
    total, around = 0.0, (-1, 0, 1, 2) if mode == "bicubic" else (0, 1)
    for steps in itertools.product(around, repeat=image.ndim):
        value, weight = 1.0, 1.0
        index = []
        for place, step, n in zip(places, steps, image.shape, strict=True):
            pixel = np.floor(place) + step
            d = abs(pixel - place)
            weight *= keys(d, -0.75) if mode == "bicubic" else max(0, 1 - d)
            if mode == "bicubic":
                pixel = brought(pixel, n, padding, align)
            value *= 0 <= pixel <= n - 1
            index.append(int(min(max(pixel, 0), n - 1)))
        total += weight * value * image[tuple(index)]
    return total


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize(("mode", "sizes"), [("bicubic", (4, 3)), ("bilinear", (3, 4, 2))])
def test_grid_sample(mode, sizes, padding, align):
    rank = len(sizes)
    image = rng.normal(size=(1, 2, *sizes))
    grid = rng.uniform(-1.7, 1.7, size=(1, *(2,) * rank, rank))
    found = F.grid_sample(ag.tensor(image), ag.tensor(grid), mode, padding, align).numpy()
    for index in np.ndindex(*grid.shape[1:-1]):
        for channel in range(2):
            expected = sampled(image[0, channel], grid[0][index], mode, padding, align)
            assert found[(0, channel, *index)] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_gradients_of_grid_sample(mode):
    image = ag.tensor(rng.normal(size=(1, 1, 3, 4)), requires_grad=True)
    grid = ag.tensor(rng.uniform(-0.9, 0.9, size=(1, 2, 2, 2)), requires_grad=True)
    call = lambda x, g: F.grid_sample(x, g, mode, align_corners=False)  # noqa: E731
    assert ag.autograd.gradcheck(call, (image, grid))


@pytest.mark.parametrize("align", [True, False])
def test_affine_grid_of_volumes(align):
    theta = rng.normal(size=(2, 3, 4))
    found = F.affine_grid(ag.tensor(theta), (2, 1, 2, 3, 4), align).numpy()
    ends = [np.linspace(-1, 1, n) * (1 if align else 1 - 1 / n) for n in (2, 3, 4)]
    for d, h, w in np.ndindex(2, 3, 4):
        point = np.array([ends[2][w], ends[1][h], ends[0][d], 1.0])
        np.testing.assert_allclose(found[:, d, h, w], theta @ point, atol=1e-12)


@pytest.mark.parametrize(("mode", "reach", "a"), [("bilinear", 1, None), ("bicubic", 2, -0.5)])
@pytest.mark.parametrize("new", [3, 5, 12])
def test_antialias(mode, reach, a, new):
    row = rng.normal(size=8)
    scale = 8 / new
    wide = max(scale, 1)
    expected = []
    for i in range(new):
        centre = (i + 0.5) * scale
        first = max(int(centre - reach * wide + 0.5), 0)
        last = min(int(centre + reach * wide + 0.5), 8)
        d = [(j - centre + 0.5) / wide for j in range(first, last)]
        weights = [keys(x, a) if a else max(0, 1 - abs(x)) for x in d]
        expected.append(np.dot(weights, row[first:last]) / sum(weights))
    found = F.interpolate(ag.tensor(row[None, None, None]), (1, new), mode=mode, antialias=True)
    np.testing.assert_allclose(found.flatten().numpy(), expected, atol=1e-12)


def test_what_cannot_be_sampled():
    x, grid = ag.ones(1, 1, 2, 2, 2), ag.zeros(1, 1, 1, 1, 3)
    with pytest.raises(ValueError, match="is for images, not volumes"):
        F.grid_sample(x, grid, "bicubic")
    with pytest.raises(TypeError, match="expected one dtype"):
        F.grid_sample(x, grid.double())
    with pytest.raises(ValueError, match="antialias is for images"):
        F.interpolate(x, 4, mode="trilinear", antialias=True)
    with pytest.raises(ValueError, match="means nothing with a size"):
        F.interpolate(ag.ones(1, 1, 2), 4, recompute_scale_factor=True)


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, 0, 1), (2, 1, 2)])
def test_max_pooling_gives_gradients_back(stride, padding, dilation):
    x = ag.tensor(rng.normal(size=(2, 3, 7, 6)), requires_grad=True)
    given = (3, stride, padding, dilation)
    y, places = F.max_pool2d_with_indices(x, *given)
    upstream = ag.tensor(rng.normal(size=tuple(y.shape)))
    (expected,) = ag.autograd.grad(y, x, upstream)
    backward = ag.max_pool2d_with_indices_backward
    found = backward(upstream, x.detach(), *given, False, places)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("out", [(), (2,)])
def test_linear_cross_entropy(out):
    layer = nn.LinearCrossEntropyLoss(3, 4, out_features=out, bias=True, label_smoothing=0.1)
    x, target = ag.rand(5, 3), ag.randint(0, 4, (5, *out))
    logits = layer.linear(x).reshape(5, 4, *out)
    expected = F.cross_entropy(logits, target, label_smoothing=0.1)
    np.testing.assert_allclose(layer(x, target).item(), expected.item(), rtol=1e-6)
    with pytest.raises(ValueError, match="a bias of shape"):
        F.linear_cross_entropy(
            x, ag.ones(4, 3), target[:, 0] if out else target, linear_bias=ag.ones(3)
        )


def test_older_names_of_layers():
    with pytest.warns(FutureWarning, match="older name of NLLLoss"):
        assert nn.NLLLoss2d()(ag.tensor([[-0.5, -1.0]]), ag.tensor([1])).item() == 1.0
    x = rng.normal(size=(1, 4, 1, 1))
    found = nn.CrossMapLRN2d(3, alpha=2.0)(ag.tensor(x)).flatten().numpy()
    square = np.pad(x.ravel() ** 2, 1)
    near = square[:-2] + square[1:-1] + square[2:]
    np.testing.assert_allclose(found, x.ravel() / (1 + 2 / 3 * near) ** 0.75, rtol=1e-12)
    x = rng.normal(size=(5, 2, 3))
    w, b = rng.normal(size=(2, 3, 4)), rng.normal(size=4)
    found = F.conv_tbc(*map(ag.tensor, (x, w, b))).numpy()
    np.testing.assert_allclose(found, x[:-1] @ w[0] + x[1:] @ w[1] + b, atol=1e-12)


def test_integers_have_a_cosine():
    a, b = ag.tensor([[3, 4]]), ag.tensor([[4, 3]])
    assert F.cosine_embedding_loss(a, b, ag.tensor([1])).item() == pytest.approx(1 - 24 / 25)


BYTES = [  # mode, antialias, size, what PyTorch gives, as hexadecimal digits
    ("bilinear", True, (3, 4), "69629c92807d7b80729177867f759c869c738768897a9086"),
    (
        "bilinear",
        True,
        (9, 5),
        "2d6476acb45c7253b1977680788f818284a8657fa572626e9e775b9a726d6b77a7619a748a975fac"
        "857a7d7a705a5bcaadafa34d9776a0a15e8a816f837f8d9f4ac48b646179b4548b82668960a87473"
        "7e7ba17196a8847890bd",
    ),
    ("bilinear", False, (3, 4), "7037d19f8a3432837caa559faf6aae9bc1755d776d648e81"),
    (
        "bilinear",
        False,
        (9, 5),
        "1f867484b3507928a4946f7c548183838bb35389ae959c92a78248a57a6e6e68c65da2717da95db9"
        "84513e807c6439c8acb0af23955daba7336d6e73835f5ca241cc87625f7cbe308964618e62c76579"
        "8195c771a2ad82768cc3",
    ),
    ("bicubic", True, (3, 4), "685f9c9681807a7b709374887e729f87a06e8b608a7b8f89"),
    (
        "bicubic",
        True,
        (9, 5),
        "286277b2b75f6f43bd9679817894788084ba5e7caa6f5c6ba27554a37362637cb255a472939953bb"
        "8776817b67515bd7afb0b2409a6ca7ac538c8167798295ae38c988625f7bc3438d8c5f8556b5756b"
        "787da86a99ae83738fc4",
    ),
    ("bicubic", False, (3, 4), "7a2de1a37c2927757ea93faecd56ababc5755c784e5c8375"),
    (
        "bicubic",
        False,
        (9, 5),
        "12927c72c0517611b3957574497f7d8293c63f8fa9a09c9ca289369f835e6863d84baa7087b252cc"
        "903f338f706033cdb3b0c8089842bfb91665656e7d5e57ba2ecf84625e7ed60b8158638659d85e73"
        "6fb0d473a6b47d6e8cc8",
    ),
]


@pytest.mark.parametrize(("mode", "antialias", "size", "expected"), BYTES)
def test_bytes_are_mixed_in_fixed_point(mode, antialias, size, expected):
    i = np.arange(126)
    x = ag.tensor(((i * 73 + i**2 * 5) % 256).astype(np.uint8).reshape(1, 2, 7, 9))
    options = {"size": size, "mode": mode, "antialias": antialias}
    found = F.interpolate(x, **options)
    assert found.numpy().tobytes().hex() == expected
    both = F.interpolate(x.repeat(2, 1, 1, 1), **options)
    assert (both == found).all(), "in a batch"
    assert (ag.compile(lambda x: F.interpolate(x, **options))(x) == found).all()
    there = F.interpolate(x.mT.contiguous().mT, **options)
    assert (there == found).all(), "stored otherwise"
