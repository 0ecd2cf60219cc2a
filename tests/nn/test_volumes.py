"""Volumes, resampling and adaptive pooling against loops and SciPy in float64."""

import itertools

import numpy as np
import pytest
from scipy import ndimage, signal

import argand as ag
from argand import nn
from argand.nn import functional as F

rng = np.random.default_rng(3)


def double(*shape):
    return ag.tensor(rng.standard_normal(shape), requires_grad=True)


def array(t):
    return t.detach().numpy()


def check(f, expected, *tensors):
    """Values against a reference; gradients against differences; the same when compiled."""
    y = f(*tensors)
    np.testing.assert_allclose(array(y), expected, rtol=1e-9, atol=1e-9)
    assert ag.autograd.gradcheck(f, tensors)
    np.testing.assert_allclose(array(ag.compile(f)(*tensors)), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("groups", [1, 2])
def test_conv3d(groups):
    x, w, b = double(2, 4, 5, 6, 4), double(6, 4 // groups, 2, 3, 1), double(6)
    expected = np.zeros((2, 6, 4, 4, 4))
    for n, o in itertools.product(range(2), range(6)):
        first = o // (6 // groups) * (4 // groups)
        for c in range(4 // groups):
            expected[n, o] += signal.correlate(array(x)[n, first + c], array(w)[o, c], "valid")
        expected[n, o] += array(b)[o]
    check(lambda x, w, b: F.conv3d(x, w, b, groups=groups), expected, x, w, b)


def test_conv3d_strides_dilates_and_pads_each_dimension_on_its_own():
    x, w = double(1, 2, 7, 8, 9), double(3, 2, 3, 2, 2)
    wide = np.pad(array(x), ((0, 0), (0, 0), (2, 2), (1, 1), (0, 0)))
    sparse = np.zeros((3, 2, 5, 2, 4))
    sparse[:, :, ::2, :, ::3] = array(w)
    dense = [sum(signal.correlate(wide[0, c], k[c], "valid") for c in range(2)) for k in sparse]
    expected = np.stack(dense)[None, :, ::2, ::1, ::3]
    options = {"stride": (2, 1, 3), "padding": (2, 1, 0), "dilation": (2, 1, 3)}
    check(lambda x, w: F.conv3d(x, w, **options), expected, x, w)
    alone = F.conv3d(x[0], w, **options)
    np.testing.assert_allclose(array(alone), expected[0], rtol=1e-9)


def test_conv3d_layer_keeps_sizes_and_names_what_does_not_fit():
    layer = nn.Conv3d(2, 3, 3, padding="same", padding_mode="replicate").double()
    assert layer(double(1, 2, 4, 5, 6)).shape == (1, 3, 4, 5, 6)
    with pytest.raises(RuntimeError, match=r"expected volumes \(N, C, D, H, W\)"):
        layer.padding_mode = "zeros"
        layer(double(2, 4))
    with pytest.raises(RuntimeError, match="deeper than the padded volume"):
        F.conv3d(double(1, 1, 2, 5, 5), double(1, 1, 3, 1, 1))


def windows(size, kernel, stride, padding):
    count = (size + 2 * padding - kernel) // stride + 1
    starts = [i * stride - padding for i in range(count)]
    return [slice(max(s, 0), min(s + kernel, size)) for s in starts]


@pytest.mark.parametrize("pool", [F.max_pool3d, F.avg_pool3d])
def test_pooling_of_volumes(pool):
    x = double(1, 2, 5, 6, 7)
    places = [windows(n, k, 2, p) for n, k, p in zip((5, 6, 7), (3, 2, 3), (1, 0, 1), strict=True)]
    expected = np.zeros((1, 2, *map(len, places)))
    for at in np.ndindex(*expected.shape[2:]):
        part = array(x)[:, :, *(p[i] for p, i in zip(places, at, strict=True))]
        whole = part.max((2, 3, 4)) if pool is F.max_pool3d else part.sum((2, 3, 4)) / 18
        expected[:, :, *at] = whole
    check(lambda x: pool(x, (3, 2, 3), 2, (1, 0, 1)), expected, x)


@pytest.mark.parametrize(("old", "new"), [((6, 7), (4, 3)), ((5, 6), (7, 3)), ((4, 6), (2, 3))])
def test_adaptive_pooling(old, new):
    x = double(2, 3, *old)
    bounds = [
        [slice(i * o // n, -(-(i + 1) * o // n)) for i in range(n)]
        for o, n in zip(old, new, strict=True)
    ]
    for pool, reduce in ((F.adaptive_avg_pool2d, np.mean), (F.adaptive_max_pool2d, np.max)):
        rows = [[reduce(array(x)[:, :, r, c], axis=(2, 3)) for c in bounds[1]] for r in bounds[0]]
        check(lambda x, pool=pool: pool(x, new), np.array(rows).transpose(2, 3, 0, 1), x)


def test_adaptive_pooling_of_sequences_and_volumes():
    x = double(2, 3, 6)
    expected = np.stack(
        [array(x)[..., a:b].mean(-1) for a, b in ((0, 2), (1, 3), (3, 5), (4, 6))], -1
    )
    np.testing.assert_allclose(array(F.adaptive_avg_pool1d(x, 4)), expected)
    v = double(2, 3, 4, 5, 6)
    np.testing.assert_allclose(
        array(nn.AdaptiveAvgPool3d(1)(v))[..., 0, 0, 0], array(v).mean((2, 3, 4))
    )
    with pytest.raises(RuntimeError, match="expected 2 sizes and an input of 3 or 4 dimensions"):
        F.adaptive_avg_pool2d(double(4, 4), 2)


def resized(x, new, weigh, align):
    """Every dimension behind channels, pixel by pixel."""
    for axis, n in enumerate(new, 2):
        old = x.shape[axis]
        x = np.moveaxis(x, axis, -1)
        made = np.zeros((*x.shape[:-1], n))
        for i in range(n):
            at = i * (old - 1) / max(n - 1, 1) if align else (i + 0.5) * old / n - 0.5
            for j in range(-4, old + 4):
                source = np.clip(j, 0, old - 1)
                made[..., i] += weigh(max(at, 0) if weigh is tent else at, j) * x[..., source]
        x = np.moveaxis(made, -1, axis)
    return x


def tent(at, j):
    return max(0.0, 1 - abs(at - j))


def keys(at, j, a=-0.75):
    d = abs(at - j)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("new", [(9, 4), (3, 11)])
def test_interpolation(mode, align, new):
    x = double(2, 3, 5, 6)
    expected = resized(array(x), new, tent if mode == "bilinear" else keys, align)
    check(lambda x: F.interpolate(x, new, mode=mode, align_corners=align), expected, x)


def test_interpolation_of_sequences_and_volumes():
    x, v = double(2, 3, 5), double(1, 1, 3, 4, 2)
    np.testing.assert_allclose(
        array(F.interpolate(x, 8, mode="linear")), resized(array(x), (8,), tent, False), rtol=1e-9
    )
    np.testing.assert_allclose(
        array(F.interpolate(v, (5, 3, 4), mode="trilinear")),
        resized(array(v), (5, 3, 4), tent, False),
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        array(F.interpolate(x, 3, mode="area")), array(F.adaptive_avg_pool1d(x, 3))
    )
    nearest = F.interpolate(x, 3, mode="nearest-exact")
    np.testing.assert_array_equal(array(nearest), array(x)[..., [0, 2, 4]])


def test_interpolation_by_a_factor_that_leaves_a_rest():
    x = double(1, 1, 5)
    y = F.interpolate(x, scale_factor=1.5, mode="linear")
    at = np.clip((np.arange(7) + 0.5) / 1.5 - 0.5, 0, 4)
    np.testing.assert_allclose(array(y)[0, 0], np.interp(at, np.arange(5), array(x)[0, 0]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 4, "mode": "cubic"}, "mode must be one of nearest"),
        ({"size": 4, "mode": "linear"}, "for 1 dimensions behind batch and channels, not 2"),
        ({"size": 4, "align_corners": True}, "align_corners means nothing for mode 'nearest'"),
        ({}, "give either size or scale_factor"),
    ],
)
def test_interpolation_explains_what_does_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        F.interpolate(double(1, 1, 3, 3), **options)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize(
    ("padding", "border"), [("zeros", "grid-constant"), ("border", "nearest"), ("reflection", None)]
)
def test_grid_sample(padding, border, align):
    x, grid = (
        double(2, 3, 5, 6),
        ag.tensor(rng.uniform(-1.4, 1.4, (2, 4, 7, 2)), requires_grad=True),
    )
    border = border or ("mirror" if align else "reflect")
    place = (array(grid) + 1) * (np.array([6, 5]) - align) / 2 - (0 if align else 0.5)
    expected = np.stack(
        [
            [
                ndimage.map_coordinates(
                    c, place[n, ..., ::-1].transpose(2, 0, 1), order=1, mode=border
                )
                for c in array(x)[n]
            ]
            for n in range(2)
        ]
    )
    options = {"padding_mode": padding, "align_corners": align}
    check(lambda x, grid: F.grid_sample(x, grid, **options), expected, x, grid)


def test_an_affine_grid_shifts_turns_and_samples_whole_pixels():
    x = double(1, 2, 4, 4)
    turn = ag.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]], dtype=ag.float64)
    for align, mode in itertools.product((False, True), ("nearest", "bilinear")):
        grid = F.affine_grid(turn, x.shape, align_corners=align)
        y = F.grid_sample(x, grid, mode, align_corners=align)
        np.testing.assert_allclose(array(y), np.rot90(array(x), 1, (2, 3)), atol=1e-12)


def test_fold_is_the_transpose_of_unfold():
    options = {"kernel_size": (2, 3), "dilation": (1, 2), "padding": (1, 2), "stride": (2, 1)}
    x = double(2, 3, 5, 6)
    columns = F.unfold(x, **options)
    y = ag.tensor(rng.standard_normal(tuple(columns.shape)))
    (expected,) = ag.autograd.grad((columns * y).sum(), x)
    np.testing.assert_allclose(array(nn.Fold((5, 6), **options)(y)), array(expected))
    with pytest.raises(RuntimeError, match=r"fold: .*expected \(N, C \* 4, 9\)"):
        F.fold(ag.ones(1, 4, 8), 4, 2)


def test_pixel_unshuffle_and_channel_shuffle():
    x = double(2, 3, 4, 6)
    back = F.pixel_shuffle(nn.PixelUnshuffle(2)(x), 2)
    assert back.equal(x)
    mixed = nn.ChannelShuffle(3)(ag.arange(6).reshape(1, 6, 1))
    assert mixed.flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_local_response_norm():
    x = double(2, 5, 3, 4)
    square = np.pad(array(x) ** 2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    mean = (square[:, :-2] + square[:, 1:-1] + square[:, 2:]) / 3
    expected = array(x) / (2 + 0.1 * mean) ** 0.5
    check(lambda x: F.local_response_norm(x, 3, 0.1, 0.5, 2.0), expected, x)
