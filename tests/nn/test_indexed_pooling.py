"""Pooling that tells the places, its undoing, and convolutions of integers, against loops."""

import itertools

import numpy as np
import pytest

import argand as ag
from argand.nn import functional as F

rng = np.random.default_rng(4)


def pooled(x, k, s, p, d, counts):
    """The first largest of each window and its place in the plane, window by window."""
    sizes = x.shape[2:]
    values, places = np.empty((*x.shape[:2], *counts)), np.empty((*x.shape[:2], *counts), int)
    for lead in np.ndindex(*x.shape[:2]):
        for out in np.ndindex(*counts):
            taps = itertools.product(*(range(n) for n in k))
            at = [
                tuple(o * b - c + t * e for o, b, c, t, e in zip(out, s, p, tap, d, strict=True))
                for tap in taps
            ]
            at = [a for a in at if all(0 <= i < n for i, n in zip(a, sizes, strict=True))]
            best = max(at, key=lambda a: x[(*lead, *a)])
            values[(*lead, *out)] = x[(*lead, *best)]
            places[(*lead, *out)] = np.ravel_multi_index(best, sizes)
    return values, places


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("count", "shape", "k", "s", "p", "d", "ceil", "counts"),
    [
        (1, (2, 3, 9), (3,), (2,), (1,), (2,), False, (4,)),
        (2, (2, 3, 7, 6), (3, 2), (2, 1), (1, 0), (1, 2), False, (4, 4)),
        (2, (1, 2, 8, 5), (3, 3), (2, 2), (1, 1), (1, 1), True, (5, 3)),
        (3, (2, 2, 5, 4, 6), (2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 1, 1), False, (3, 4, 3)),
    ],
)
def test_places_of_the_largest(count, shape, k, s, p, d, ceil, counts, compiled):
    x = rng.integers(-4, 5, shape).astype(np.float64)  # equal elements: the first one counts
    function = getattr(F, f"max_pool{count}d")

    def pool(x):
        return function(x, k, s, p, d, ceil, return_indices=True)

    y, places = (ag.compile(pool) if compiled else pool)(ag.tensor(x))
    values, expected = pooled(x, k, s, p, d, counts)
    np.testing.assert_array_equal(y.numpy(), values)
    np.testing.assert_array_equal(places.numpy(), expected)
    np.testing.assert_array_equal(function(ag.tensor(x), k, s, p, d, ceil).numpy(), values)


def test_a_gradient_goes_to_the_place():
    x = ag.tensor(rng.integers(0, 3, (2, 3, 6, 5)).astype(np.float64), requires_grad=True)
    y, places = F.adaptive_max_pool2d(x, (4, 3), return_indices=True)
    noise = rng.standard_normal(y.shape)
    (y * ag.tensor(noise)).sum().backward()
    expected = np.zeros((2, 3, 30))
    for at in np.ndindex(*y.shape):
        expected[(*at[:2], places.numpy()[at])] += noise[at]
    np.testing.assert_allclose(x.grad.numpy().reshape(2, 3, 30), expected)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_unpooling_puts_elements_back(count):
    x = ag.tensor(rng.standard_normal((2, 3, *(7, 6, 5)[:count])), requires_grad=True)
    y, places = getattr(F, f"max_pool{count}d")(x, 2, return_indices=True)
    unpool = getattr(F, f"max_unpool{count}d")
    back = unpool(y, places, 2, output_size=tuple(x.shape[2:]))
    flat, kept = x.detach().numpy().reshape(2, 3, -1), np.zeros((2, 3, x[0, 0].numel()))
    where = places.numpy().reshape(2, 3, -1)
    np.put_along_axis(kept, where, np.take_along_axis(flat, where, -1), -1)
    np.testing.assert_array_equal(back.detach().numpy().reshape(kept.shape), kept)
    back.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy().reshape(kept.shape), kept != 0)
    with pytest.raises(ag.ArgandError, match="output_size"):
        unpool(y, places, 2, output_size=(50,) * count)


def test_fractional_windows_hold_their_largest():
    x = ag.tensor(rng.standard_normal((2, 3, 9, 11)))
    u = np.array([[[0.1, 0.6]] * 3] * 2)
    y, places = F.fractional_max_pool2d(
        x, 3, output_size=(4, 5), return_indices=True, _random_samples=ag.tensor(u)
    )
    starts = []
    for size, new, draw in ((9, 4, 0.6), (11, 5, 0.1)):
        a = (size - 3) / (new - 1)
        starts.append([int((i + draw) * a) - int(draw * a) for i in range(new - 1)] + [size - 3])
    for i, j in np.ndindex(4, 5):
        window = x.numpy()[:, :, starts[0][i] : starts[0][i] + 3, starts[1][j] : starts[1][j] + 3]
        np.testing.assert_array_equal(y.numpy()[:, :, i, j], window.max((2, 3)))
    flat = x.numpy().reshape(2, 3, -1)
    picked = np.take_along_axis(flat, places.numpy().reshape(2, 3, -1), -1)
    np.testing.assert_array_equal(picked.reshape(y.shape), y.numpy())
    shape = F.fractional_max_pool3d(ag.ones(2, 6, 7, 8), 2, output_ratio=0.5).shape
    assert tuple(shape) == (2, 3, 3, 4)


def test_means_of_integers_round_towards_zero():
    x = np.array([[[-7, 2, 4, 1], [3, 0, 2, -2]]])
    y = F.avg_pool2d(ag.tensor(x), 2, divisor_override=3)
    np.testing.assert_array_equal(y.numpy(), [[[0, 1]]])  # -2 / 3 and 5 / 3
    volume = F.avg_pool3d(ag.tensor(x.reshape(1, 2, 2, 2)), 2)
    np.testing.assert_array_equal(volume.numpy(), [[[[0]]]])  # 3 / 8


def test_integers_convolve_exactly():
    large = 2**53 + 1  # no float64
    x = np.array([[[1, large, 3]]])
    y = F.conv1d(ag.tensor(x), ag.tensor([[[1, 1]]]), padding=1)
    np.testing.assert_array_equal(y.numpy(), [[[1, large + 1, large + 3, 3]]])
    back = F.conv_transpose1d(ag.tensor(x), ag.tensor([[[1, 2]]]), stride=2)
    np.testing.assert_array_equal(back.numpy(), [[[1, 2, large, 2 * large, 3, 6]]])
    with pytest.raises(TypeError, match="int64"):
        F.conv1d(ag.tensor(x).int(), ag.tensor([[[1, 1]]]).int())


def test_large_windows_compile():
    # The key of a window's last element held that of the first one 2 ** taps times.
    x = rng.standard_normal((2, 16, 48, 48)).astype(np.float32)
    y = F.max_pool2d(ag.tensor(x), 8)
    expected = x.reshape(2, 16, 6, 8, 6, 8).max((3, 5))
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(F.adaptive_max_pool2d(ag.tensor(x), 6).numpy(), expected)
    np.testing.assert_array_equal(
        F.adaptive_max_pool2d(ag.tensor(x), 1).numpy(), x.max((2, 3), keepdims=True)
    )


@pytest.mark.parametrize(("k", "p"), [(4, 1), (5, 2)])
def test_compiled_windows_see_each_of_their_elements(k, p):
    """The points of a large window have long keys, which stand for them by their digests."""
    x = rng.normal(size=(1, 2, 7, 8)).astype(np.float32)
    size = (7 + 2 * p - k + 1, 8 + 2 * p - k + 1)
    expected, places = pooled(x, (k, k), (1, 1), (p, p), (1, 1), size)
    forward = ag.compile(lambda t: F.max_pool2d(t, k, 1, p))
    np.testing.assert_array_equal(forward(ag.tensor(x)).numpy(), expected.astype(np.float32))
    slope = ag.compile(lambda t: ag.autograd.grad(F.max_pool2d(t, k, 1, p).square().sum(), t)[0])
    found = slope(ag.tensor(x, requires_grad=True)).numpy()
    slopes = np.zeros((2, 56))
    for plane, at, values in zip(slopes, places[0], expected[0], strict=True):
        np.add.at(plane, at.ravel(), 2 * values.ravel())
    np.testing.assert_allclose(found.reshape(2, 56), slopes, rtol=1e-5, atol=1e-5)
