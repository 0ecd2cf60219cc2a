"""Winograd's convolutions: which are taken, how near they are, and that they are never wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.backends.cpu.facts import canonical_text
from argand.base.settings import settings
from argand.compile.constants import split_constants
from argand.compile.winograd import FEWEST_TILES, with_winograd
from argand.export import Dim, export, load, save
from argand.ir.text import parse_program
from argand.kernels.match import plan_of
from argand.ops.winograd import tile_count
from machines import HERE

CONVOLUTION = """
program f(x: f32[N, {c}, {h}, {h}]; state w: f32[{o}, {wc}, {k}, {k}]) {{
  %0: f32[N, {o}, {oh}, {oh}] = conv2d(x, w) {{{window}, dilation=(1, 1), groups={g}}}
  return %0
}}
"""


def written(
    c: int = 16, o: int = 16, h: int = 9, k: int = 3, s: int = 1, p: int = 1, g: int = 1
) -> str:
    """A program of one convolution, for any number of images."""
    oh = (h + 2 * p - k) // s + 1
    window = f"stride=({s}, {s}), padding=({p}, {p})"
    return CONVOLUTION.format(c=c, o=o, h=h, k=k, g=g, wc=c // g, oh=oh, window=window)


def test_a_convolution_by_a_constant_goes_through_its_transformed_weight() -> None:
    program = parse_program(written())
    found = with_winograd(program, set(program.state))
    assert (
        canonical_text(found)
        == """\
program f(x: f32[N, 16, 9, 9]; state w: f32[16, 16, 3, 3]) {
  %0: f32[16, 16, 16] = winograd_weight(w)
  %1: f32[N, 16, 9, 9] = winograd_conv2d(x, w, %0) {padding=(1, 1)}
  return %1
}"""
    )


def test_two_convolutions_by_one_weight_share_what_it_becomes() -> None:
    text = """
program f(x: f32[1, 16, 9, 9]; state w: f32[16, 16, 3, 3]) {
  %0: f32[1, 16, 9, 9] = conv2d(x, w) {stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1}
  %1: f32[1, 16, 9, 9] = conv2d(%0, w) {stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1}
  return %1
}
"""
    program = parse_program(text)
    found = with_winograd(program, set(program.state))
    names = [node.op.name for node in found.nodes]
    assert names == ["winograd_weight", "winograd_conv2d", "winograd_conv2d"]


@pytest.mark.parametrize(
    "other",
    [
        {"c": 15},
        {"o": 15},
        {"h": 6},  # nine tiles
        {"k": 1, "p": 0},
        {"k": 5, "p": 2},
        {"s": 2},
        {"c": 32, "g": 2},
        {"c": 64, "o": 64, "h": 200},  # transformed, its pixels would leave the caches
    ],
)
def test_others_stay_as_they_are(other: dict[str, int]) -> None:
    program = parse_program(written(**other))
    assert with_winograd(program, set(program.state)) is program


def test_a_weight_that_may_change_and_other_dtypes_stay_as_they_are() -> None:
    program = parse_program(written())
    assert with_winograd(program, set()) is program
    program = parse_program(written().replace("f32", "f64"))
    assert with_winograd(program, set(program.state)) is program


def test_padding_that_varies_stays_as_it_is_and_one_program_serves_it() -> None:
    conv = nn.Conv2d(16, 16, 3).eval()

    def padded(x: ag.Tensor, y: ag.Tensor) -> ag.Tensor:
        return nn.functional.conv2d(x, conv.weight, conv.bias, padding=y.shape[0])

    x = ag.rand(2, 16, 9, 9)
    program = export(padded, (x, ag.ones(3)), dynamic_shapes=(None, {0: Dim("k")}))
    with ag.no_grad():
        for n in (3, 2, 5):
            assert ag.allclose(program(x, ag.ones(n)), padded(x, ag.ones(n)), atol=1e-5)
    assert len(program.default.runner._executables) == 1


def test_the_transformed_weight_is_computed_once_and_can_be_switched_off() -> None:
    split = split_constants(parse_program(written(o=128)), [True], "cpu")
    assert split is not None
    assert split.once.nodes[0].op.name == "winograd_weight"
    assert split.kept == [0]  # for images that are computed again
    with settings.using(winograd=False):
        split = split_constants(parse_program(written(o=128)), [True], "cpu")
    assert split is not None and split.kept == []
    assert "winograd" not in str(split.once) + str(split.rest)


# -- numbers ---------------------------------------------------------------------------------------


def exact(x: np.ndarray, conv: nn.Conv2d) -> np.ndarray:
    """The convolution in float64, and then its bias."""
    weight = conv.weight.detach().numpy().astype(np.float64)
    y = np.einsum("nchwpq,ocpq->nohw", windows_of(x, conv), weight, optimize=True)
    bias = 0 if conv.bias is None else conv.bias.detach().numpy()[:, None, None]
    return np.asarray(y + bias)


def drawn(seed: int) -> tuple[nn.Conv2d, np.ndarray]:
    """A convolution that is taken, and images."""
    random = np.random.default_rng(seed)
    c, o = random.integers(16, 70, 2).tolist()
    h, w = random.integers(9, 20, 2).tolist()
    padding = tuple(random.integers(0, 3, 2).tolist())
    ag.manual_seed(seed)
    conv = nn.Conv2d(c, o, 3, padding=padding, bias=bool(random.integers(2))).eval()
    n = int(random.integers(1, 5))
    return conv, random.standard_normal((n, c, h, w)).astype(np.float32)


def frozen(function: Any) -> Any:
    compiled = ag.compile(function, freeze=True)

    def call(x: np.ndarray) -> np.ndarray:
        if isinstance(function, nn.Conv2d):
            assert math.prod(tile_count(x.shape[2:], function.padding)) >= FEWEST_TILES
        with ag.no_grad():
            found: np.ndarray = compiled(ag.from_numpy(x)).numpy()
        return found

    return call


def windows_of(x: np.ndarray, conv: nn.Conv2d) -> np.ndarray:
    """(N, C, OH, OW, 3, 3) in float64."""
    p = conv.padding
    image = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])))
    return np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(2, 3))


def assert_near(found: np.ndarray, wanted: np.ndarray, conv: nn.Conv2d, x: np.ndarray) -> None:
    """Each within some roundings of the pixels of its own window times the largest taps."""
    taps = np.abs(conv.weight.detach().numpy()).max((2, 3))
    pixels = np.abs(windows_of(np.where(np.isfinite(x), x, 0), conv)).sum((4, 5))
    sizes = np.einsum("nchw,oc->nohw", pixels, taps)
    some = np.isfinite(wanted)
    np.testing.assert_array_equal(found[~some], wanted[~some])
    error = np.abs(found[some] - wanted[some].astype(np.float64))
    assert (error <= 8 * 2.0**-24 * (sizes[some] + 1)).all()


@pytest.mark.parametrize(("seed", "target"), list(enumerate(HERE)))
def test_it_is_near_the_exact_result(seed: int, target: str) -> None:
    conv, x = drawn(seed)
    with settings.using(target=target, verify=True):
        assert_near(frozen(conv)(x), exact(x, conv), conv, x)


def test_whole_numbers_are_exact() -> None:
    conv, x = drawn(7)
    random = np.random.default_rng(7)
    x = random.integers(-9, 10, x.shape).astype(np.float32)
    conv = nn.Conv2d(x.shape[1], 24, 3, padding=1, bias=False)
    conv.weight.data = ag.from_numpy(random.integers(-8, 9, conv.weight.shape).astype(np.float32))
    np.testing.assert_array_equal(frozen(conv)(x), exact(x, conv))


@pytest.mark.parametrize("target", HERE[:2])
def test_an_image_has_the_same_bits_in_any_batch_layout_and_number_of_threads(target: str) -> None:
    conv = nn.Conv2d(32, 48, 3, padding=1).eval()
    random = np.random.default_rng(1)
    x = random.standard_normal((5, 32, 11, 17)).astype(np.float32)
    with settings.using(target=target):
        program = export(conv, (ag.from_numpy(x),), dynamic_shapes=({0: Dim("n")},))
        alone = np.concatenate([frozen(conv)(x[n : n + 1]) for n in range(5)])
        last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        for threads in (1, 2):
            with settings.using(threads=threads):
                np.testing.assert_array_equal(frozen(conv)(x), alone)
                np.testing.assert_array_equal(frozen(conv)(last), alone)
                with ag.no_grad():
                    for n in (1, 3, 5):
                        found = program(ag.from_numpy(x[:n])).numpy()
                        np.testing.assert_array_equal(found, alone[:n])


def test_pixels_of_all_sizes_spoil_no_window_but_their_own() -> None:
    conv, x = drawn(8)
    x = x * 10.0 ** np.random.default_rng(8).integers(-12, 13, x.shape).astype(np.float32)
    assert_near(frozen(conv)(x), exact(x, conv), conv, x)


INFINITE = (np.inf, -np.inf, np.nan, 3.4e38)


@pytest.mark.parametrize("pixel", INFINITE)
def test_an_infinite_pixel_spoils_neither_its_neighbours_nor_other_images(pixel: float) -> None:
    conv, _ = drawn(3)
    random = np.random.default_rng(3)
    x = random.standard_normal((3, conv.in_channels, 12, 10)).astype(np.float32)
    call = frozen(conv)
    before = call(x)
    x[1, 5, 4, 7] = pixel
    found = call(x)
    np.testing.assert_array_equal(found[[0, 2]], before[[0, 2]])
    with ag.no_grad():
        wanted = conv(ag.from_numpy(x)).numpy()
    assert_near(found[1:2], wanted[1:2], conv, x[1:2])


@pytest.mark.parametrize("pixel", INFINITE)
def test_what_follows_is_computed_of_such_images_too(pixel: float) -> None:
    """A bias, an activation, a residual and a normalisation in the same kernel."""
    first, norm = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
    norm.running_mean.copy_(ag.rand(16))
    short = nn.Conv2d(16, 16, 1)
    nn.ModuleList([first, norm, short]).eval()

    def block(x: ag.Tensor) -> ag.Tensor:
        return nn.functional.max_pool2d(ag.relu(norm(first(x)) + short(x)).clamp(max=30), 2)

    x = np.random.default_rng(4).standard_normal((4, 16, 9, 13)).astype(np.float32)
    x[2, 3, 5, 6] = pixel
    with ag.no_grad():
        wanted = block(ag.from_numpy(x)).numpy()
    found = frozen(block)(x)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


def test_an_image_of_zeros() -> None:
    conv = nn.Conv2d(16, 20, 3, padding=1)
    found = frozen(conv)(np.zeros((2, 16, 10, 10), np.float32))
    bias = conv.bias.detach().numpy()[:, None, None]
    np.testing.assert_array_equal(found, np.broadcast_to(bias, (2, 20, 10, 10)))


def test_no_images_and_odd_sizes() -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1)
    assert frozen(conv)(np.zeros((0, 16, 9, 9), np.float32)).shape == (0, 16, 9, 9)
    x = np.random.default_rng(5).standard_normal((2, 16, 7, 15)).astype(np.float32)
    assert_near(frozen(conv)(x), exact(x, conv), conv, x)


def test_a_weight_that_is_written_is_transformed_again() -> None:
    conv, x = drawn(11)
    call = frozen(conv)
    assert_near(call(x), exact(x, conv), conv, x)
    with ag.no_grad():
        conv.weight.mul_(-1.5)
    assert_near(call(x), exact(x, conv), conv, x)


def test_a_file_gives_the_bits_of_the_function(tmp_path: Any) -> None:
    conv, x = drawn(12)
    file = tmp_path / "conv.argand"
    save(export(conv, (ag.from_numpy(x),)), file)
    with ag.no_grad():
        found = load(file)(ag.from_numpy(x)).numpy()
    np.testing.assert_array_equal(found, frozen(conv)(x))


def test_infinite_images_are_computed_one_by_one_on_any_threads() -> None:
    conv = nn.Conv2d(24, 40, 3, padding=(0, 2)).eval()
    x = np.random.default_rng(6).standard_normal((9, 24, 16, 16)).astype(np.float32)
    x[::2, 0, 3, 3] = np.inf
    with ag.no_grad():
        wanted = conv(ag.from_numpy(x)).numpy()
    for threads in (1, 2):
        with settings.using(threads=threads):
            found = frozen(conv)(x)
        some = np.isfinite(wanted)
        np.testing.assert_array_equal(np.isfinite(found), some)
        np.testing.assert_allclose(found[some], wanted[some], rtol=1e-4, atol=1e-5)


# -- kernels ---------------------------------------------------------------------------------------


def test_plans_say_what_they_do() -> None:
    program = parse_program("""
program f(
    x: f32[N, 16, 8, 8], u: f32[16, 16, 32], y: f32[N, 32, 8, 8], w: f32[32, 16, 3, 3], d: bool[N]
) {
  %0: f32[N, 8, 8, 32] = winograd_pixels(x, u) {padding=(1, 1)}
  %1: f32[N, 32, 8, 8] = conv2d_unless(d, y, x, w) {padding=(1, 1)}
  return %0, %1
}
""")
    assert [str(plan_of(node)) for node in program.nodes] == [
        "winograd: f32[N, 16, 8, 8] and f32[16, 16, 32] in blocks of 64 tiles",
        "loop: contiguous over N x 32 x 8 x 8; contraction: conv2d of f32[N, 16, 8, 8] and "
        "f32[32, 16, 3, 3] of the images that aren't done",
    ]


def test_sizes_of_images_that_vary_have_no_kernel() -> None:
    program = parse_program("""
program f(x: f32[1, 16, H, 8], u: f32[16, 16, 32]) {
  %0: f32[1, 2*((H + 1)//2), 8, 32] = winograd_pixels(x, u) {padding=(1, 1)}
  return %0
}
""")
    assert plan_of(program.nodes[0]) is None
