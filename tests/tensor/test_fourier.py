"""Fourier transforms against `numpy.fft`, windows against SciPy, frames against their formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal

import argand as ag

RNG = np.random.default_rng(5)
REAL = RNG.normal(size=(3, 5, 6))
COMPLEX = REAL + 1j * RNG.normal(size=(3, 5, 6))
NORMS = ("backward", "ortho", "forward")


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("norm", NORMS)
def test_one_dimension(name: str, norm: str) -> None:
    x = REAL if name in ("rfft", "ihfft") else COMPLEX
    for n, dim in ((None, -1), (None, 0), (4, 1), (9, 1), (1, 2)):
        expected = getattr(np.fft, name)(x, n, dim, norm)
        found = getattr(ag.fft, name)(ag.tensor(x), n, dim, norm)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
        narrow = getattr(ag.fft, name)(ag.tensor(x).to(found.dtype.to_real()), n, dim, norm)
        assert narrow.dtype.is_complex is found.dtype.is_complex


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
@pytest.mark.parametrize("norm", NORMS)
def test_several_dimensions(name: str, norm: str) -> None:
    x = REAL if name == "rfftn" else COMPLEX
    for s, dim in ((None, None), ((4, 7), (0, 2)), ((7, 4), (2, 0)), ((2,), (1,))):
        axes = tuple(range(3)) if dim is None else dim
        expected = getattr(np.fft, name)(x, s, axes, norm)
        found = getattr(ag.fft, name)(ag.tensor(x), s, dim, norm)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_hermitian_transforms_undo_each_other() -> None:
    x = ag.tensor(REAL)
    for dims in ((2,), (0, 2), (2, 1, 0)):
        s = [x.shape[d] for d in dims]
        half = ag.fft.ihfftn(x, dim=dims)
        np.testing.assert_allclose(ag.fft.hfftn(half, s, dims).numpy(), REAL, atol=1e-12)


def test_dtypes_are_kept_and_integers_become_floats() -> None:
    for dtype, expected in (("float32", "complex64"), ("float64", "complex128")):
        assert ag.fft.fft(ag.ones(4, dtype=dtype)).dtype.name == expected
        assert ag.fft.irfft(ag.ones(4, dtype=expected)).dtype.name == dtype
    assert ag.fft.rfft(ag.tensor([True, False])).dtype is ag.complex64
    for dtype in (ag.float16, ag.bfloat16):
        for function in (ag.fft.fft, ag.fft.rfft, ag.fft.irfft, ag.fft.fftn):
            with pytest.raises(TypeError, match=f"not defined for {dtype.name}"):
                function(ag.ones(4, dtype=dtype))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ag.fft.fft(x, 7),
        lambda x: ag.fft.irfft(x, 5, norm="ortho"),
        lambda x: ag.fft.hfftn(x, dim=(0, 1)),
        lambda x: ag.fft.rfft(x.real, 3, norm="forward"),
        lambda x: ag.fft.ihfftn(x.imag, dim=(1, 0)),
        lambda x: ag.stft(x, 3, 1, window=ag.hann_window(3, dtype=ag.float64)),
        lambda x: ag.istft(x, 4, 1, window=ag.hann_window(4, dtype=ag.float64), length=5),
    ],
)
def test_gradients_of_first_and_second_order(function: Any) -> None:
    x = ag.tensor(COMPLEX[0, :3, :4], requires_grad=True)
    assert ag.autograd.gradcheck(function, (x,))
    assert ag.autograd.gradgradcheck(function, (x,))


def test_compiled_as_eager() -> None:
    def spectrum(x: Any) -> Any:
        y = ag.fft.rfftn(x * 2, (4, 9))
        return ag.fft.irfft(y, 7), ag.stft(x, 4, return_complex=True).abs()

    compiled = ag.compile(spectrum)
    for rows in (2, 5):
        x = ag.tensor(np.random.default_rng(rows).normal(size=(rows, 8)).astype(np.float32))
        for found, expected in zip(compiled(x), spectrum(x), strict=True):
            np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_one_program_transforms_images_of_any_size() -> None:
    compiled = ag.compile(lambda x: ag.fft.irfft(ag.fft.rfft(x) * 2, x.shape[-1]))
    for size in (4, 5, 6, 7, 9):
        x = ag.arange(float(size), requires_grad=True)
        compiled(x).square().sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), 8 * np.arange(size), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ag.fft.fft(x, 0), "0 points"),
        (lambda x: ag.fft.fft(x[:, :0]), "0 points"),
        (lambda x: ag.fft.irfft(x[:, :1]), "0 points"),
        (lambda x: ag.fft.rfft(x * 1j), "expected real numbers"),
        (lambda x: ag.fft.fft(x, norm="whole"), "norm must be"),
        (lambda x: ag.fft.fftn(x, (2, 3, 4)), "too many"),
        (lambda x: ag.fft.fftn(x, (2,), (0, 1)), "1 numbers of points for 2 dimensions"),
        (lambda x: ag.fft.fftn(x, dim=(0, -2)), "appears twice"),
        (lambda x: ag.fft.rfftn(x, dim=(1, 1)), "appears twice"),
        (lambda x: ag.fft.rfftn(x, dim=()), "must be a dimension"),
        (lambda x: ag.fft.fftfreq(4, dtype=ag.int64), "dtype must be of floats"),
        (lambda x: ag.stft(x[0], 4), "return_complex must be given"),
        (lambda x: ag.stft(x[0], 9, center=False, return_complex=True), "doesn't fit"),
        (lambda x: ag.stft(x, 4, 0, return_complex=True), "hop_length must be over 0"),
        (lambda x: ag.stft(x, 4, win_length=5, return_complex=True), "win_length must be"),
        (lambda x: ag.stft(x, 4, window=ag.ones(3), return_complex=True), "must be a vector"),
        (lambda x: ag.istft(x, 4), "expected complex"),
        (lambda x: ag.istft(x * 1j, 6), "expected 4 frequencies"),
        (lambda x: ag.istft(x[:3] * 1j, 4, window=ag.zeros(4)), "must overlap"),
        (lambda x: ag.hann_window(-1), "must not be negative"),
        (lambda x: ag.hann_window(4, dtype=ag.int64), "dtype must be of floats"),
        (lambda x: ag.signal.windows.hann(4, dtype=ag.float16), "float32 or float64"),
        (lambda x: ag.signal.windows.gaussian(4, std=0), "std must be over 0"),
        (lambda x: ag.signal.windows.exponential(4, center=1), "only with sym=False"),
        (lambda x: ag.signal.windows.general_cosine(4, a=[]), "at least one"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=message):
        call(ag.ones(5, 6))
    with pytest.raises(IndexError, match="no dimension"):
        ag.fft.fft(ag.tensor(1.0))


def test_frequencies_and_shifts() -> None:
    for n in (1, 4, 5):
        for name in ("fftfreq", "rfftfreq"):
            expected = getattr(np.fft, name)(n, 0.5)
            found = getattr(ag.fft, name)(n, 0.5, dtype=ag.float64)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-15)
    for name in ("fftshift", "ifftshift"):
        for axes in (None, 1, (0, 2)):
            expected = getattr(np.fft, name)(REAL, axes)
            np.testing.assert_array_equal(getattr(ag.fft, name)(ag.tensor(REAL), axes), expected)


def test_out_is_written() -> None:
    out = ag.zeros(4, dtype=ag.complex64)
    assert ag.fft.fft(ag.ones(4), out=out) is out
    assert out.tolist() == [4, 0, 0, 0]


# -- windows ---------------------------------------------------------------------------------------

WINDOWS = {
    "bartlett": {},
    "blackman": {},
    "cosine": {},
    "exponential": {"tau": 2.5},
    "gaussian": {"std": 1.7},
    "general_cosine": {"a": [0.4, 0.3, 0.2, 0.1]},
    "general_hamming": {"alpha": 0.6},
    "hamming": {},
    "hann": {},
    "kaiser": {"beta": 4.5},
    "nuttall": {},
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str) -> None:
    options = WINDOWS[name]
    for count in (0, 1, 2, 5, 8):
        for sym in (True, False):
            expected = getattr(scipy.signal.windows, name)(count, sym=sym, **options)
            window = getattr(ag.signal.windows, name)
            found = window(count, sym=sym, dtype=ag.float64, **options)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
            found = window(count, sym=sym, requires_grad=True, **options)
            assert found.dtype is ag.float32 and found.is_leaf and found.requires_grad
    older = getattr(ag, f"{name}_window", None)
    if older is not None:
        taken = {"beta": 4.5} if name == "kaiser" else {}
        for periodic in (True, False):
            expected = getattr(scipy.signal.windows, name)(7, sym=not periodic, **taken)
            found = older(7, periodic, dtype=ag.float64, **taken)
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


# -- frames ----------------------------------------------------------------------------------------


def frames_of(x: Any, size: int, step: int, window: Any) -> Any:
    """The transforms of frames of a signal, by the definition; (size, frames)."""
    starts = range(0, len(x) - size + 1, step)
    return np.stack([np.fft.fft(x[s : s + size] * window) for s in starts], 1)


@pytest.mark.parametrize("size", [4, 5])
def test_stft(size: int) -> None:
    x = RNG.normal(size=23)
    window = RNG.uniform(0.5, 1, size)
    given = {"window": ag.tensor(window), "return_complex": True}
    wide = np.pad(x, size // 2, "reflect")
    expected = frames_of(wide, size, 2, window)
    half = size // 2 + 1
    for options, values in (
        ({}, expected[:half]),
        ({"onesided": False}, expected),
        ({"normalized": True}, expected[:half] / np.sqrt(size)),
        ({"center": False}, frames_of(x, size, 2, window)[:half]),
        ({"pad_mode": "constant"}, frames_of(np.pad(x, size // 2), size, 2, window)[:half]),
    ):
        found = ag.stft(ag.tensor(x), size, 2, **given, **options)
        np.testing.assert_allclose(found.numpy(), values, rtol=1e-12, atol=1e-12)
    two = ag.tensor(np.stack([x, 2 * x]))
    np.testing.assert_allclose(two.stft(size, 2, **given)[1].numpy(), 2 * expected[:half])
    z = x + 1j * x[::-1]
    found = ag.stft(ag.tensor(z), size, 2, window=given["window"], center=False)
    np.testing.assert_allclose(found.numpy(), frames_of(z, size, 2, window), rtol=1e-12)
    parts = ag.stft(ag.tensor(x), size, 2, window=given["window"], return_complex=False)
    np.testing.assert_array_equal(parts[..., 1], ag.stft(ag.tensor(x), size, 2, **given).imag)


def test_stft_of_a_short_window() -> None:
    x, window = RNG.normal(size=20), RNG.uniform(0.5, 1, 3)
    middle, first = np.pad(window, (1, 2)), np.pad(window, (0, 3))
    given: dict[str, Any] = {"window": ag.tensor(window), "win_length": 3, "center": False}
    found = ag.stft(ag.tensor(x), 6, 2, return_complex=True, **given)
    np.testing.assert_allclose(found.numpy(), frames_of(x, 6, 2, middle)[:4], atol=1e-12)
    found = ag.stft(ag.tensor(x), 6, 2, return_complex=True, align_to_window=True, **given)
    expected = frames_of(np.pad(x, (0, 3)), 6, 2, first)[:4]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("win_length", [6, 8])
def test_istft_gives_the_signal_back(center: bool, normalized: bool, win_length: int) -> None:
    x = RNG.normal(size=(2, 40))
    window = ag.tensor(RNG.uniform(0.5, 1, win_length))
    given = (8, 2, win_length, window, center)
    spectrum = ag.stft(ag.tensor(x), *given, normalized=normalized, return_complex=True)
    if win_length < 8 and not center:
        with pytest.raises(RuntimeError, match="must overlap"):
            ag.istft(spectrum, *given, normalized=normalized)
        return
    found = ag.istft(spectrum, *given, normalized=normalized)
    np.testing.assert_allclose(found.numpy(), x, atol=1e-12)
    if win_length == 8:
        longer = ag.istft(spectrum, *given, normalized=normalized, length=50).numpy()
        np.testing.assert_allclose(longer[:, :40], x, atol=1e-12)
    shorter = ag.istft(spectrum, *given, normalized=normalized, length=17).numpy()
    np.testing.assert_allclose(shorter, x[:, :17], atol=1e-12)
    z = ag.tensor(x + 1j)
    whole = ag.stft(z, *given, normalized=normalized)
    found = ag.istft(whole, *given, normalized=normalized, return_complex=True)
    np.testing.assert_allclose(found.numpy(), x + 1j, atol=1e-12)
