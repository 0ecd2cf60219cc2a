"""The short-time Fourier transform of signals, and its inverse."""

from __future__ import annotations

import operator
from typing import Any

from argand.base.dim import is_less
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.ir import bind as crossroads
from argand.ir.op import describe, ops
from argand.ops.strided import put_windows
from argand.tensor.joining import sliced
from argand.tensor.padding import constant_pad_nd, pad


def _lengths(name: str, n_fft: Any, hop: Any, win: Any, window: Any) -> tuple[int, int, int]:
    """How long a frame is, how far apart they begin, and how long the window is."""
    size = operator.index(n_fft)
    step = size // 4 if hop is None else operator.index(hop)
    length = size if win is None else operator.index(win)
    if size < 1:
        raise ArgumentError(f"{name}: n_fft must be over 0, got {size}")
    if step < 1:
        raise ArgumentError(f"{name}: hop_length must be over 0, got {step}")
    if not 0 < length <= size:
        raise ArgumentError(f"{name}: win_length must be from 1 to n_fft = {size}, got {length}")
    if window is not None and tuple(window.shape) != (length,):
        raise ShapeError(
            f"{name}: {describe(window)}: the window must be a vector of win_length = {length}"
        )
    return size, step, length


def _whole_window(window: Any, length: int, size: int, left: int, dtype: Any) -> Any:
    """The window with zeros around it, as long as a frame; None where it is ones of a frame."""
    if window is None:
        if length == size:
            return None
        window = ops.full((length,), 1, dtype)
    return constant_pad_nd(window, (left, size - length - left))


def stft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    """The short-time Fourier transform: `fft` of frames of a signal, times a window.

    A signal (L,), or several (B, L), gives (..., frequencies, frames). A frame has `n_fft` samples
    and begins `hop_length` (n_fft // 4 unless given) after the one before. The window has
    `win_length` weights in the middle of a frame (n_fft, ones, unless given). With `center` frame t
    is centred on sample t * hop_length of the signal, padded on both sides by `pad_mode`; without,
    it begins there, or, with `align_to_window`, its window does. `normalized` divides by the root
    of n_fft. Real signals give the first n_fft // 2 + 1 frequencies (`onesided`).
    `return_complex` must be given for them; False gives real and imaginary parts as a last
    dimension. Raises ShapeError and ArgumentError for lengths that don't fit. Follows `torch.stft`.

    >>> wave = ag.sin(ag.arange(64) * (2 * ag.pi / 8))
    >>> found = ag.stft(wave, 16, window=ag.hann_window(16), return_complex=True)
    >>> found.shape, found.abs().argmax(0)[4]
    (argand.Size([9, 17]), tensor(2))
    """
    size, step, length = _lengths("stft", n_fft, hop_length, win_length, window)
    as_complex = input.dtype.is_complex or (window is not None and window.dtype.is_complex)
    if return_complex is None and not as_complex:
        raise ArgumentError("stft: return_complex must be given for real signals; give True")
    x = _signal(input, size, center, pad_mode, align_to_window)
    if is_less(x.shape[-1], size):
        raise ShapeError(f"stft: {describe(input)}: a frame of {size} samples doesn't fit")
    left = 0 if align_to_window else (size - length) // 2
    weights = _whole_window(window, length, size, left, x.dtype)
    if align_to_window:
        x = constant_pad_nd(x, (0, size - length))  # where the windows of the last frames are 0
    frames = ops.unfold(x, -1, size, step)
    frames = frames if weights is None else ops.mul(frames, weights)
    norm = "ortho" if normalized else "backward"
    if frames.dtype.is_complex:
        if onesided:
            raise ArgumentError("stft: onesided needs a real signal and a real window")
        found = ops.fft(frames, (-1,), norm=norm)
    elif onesided is None or onesided:
        found = ops.rfft(frames, -1, norm)
    else:
        found = ops.fft(frames, (-1,), norm=norm)
    found = _exchanged(found)
    return found if return_complex is None or return_complex else ops.view_as_real(found)


def _signal(input: Any, size: int, center: bool, pad_mode: str, align: bool | None) -> Any:
    """The signals, padded where frames are centred."""
    if not input.dtype.is_inexact:
        raise DTypeError(f"stft: {describe(input)}: expected floats or complex numbers")
    if input.ndim not in (1, 2):
        raise ShapeError(f"stft: {describe(input)}: expected 1 or 2 dimensions")
    if not center:
        return input
    if align is not None:
        raise ArgumentError("stft: align_to_window can be given only with center=False")
    return pad(input, (size // 2, size // 2), pad_mode)


def _exchanged(x: Any) -> Any:
    """The last two dimensions the other way round."""
    rank = len(x.shape)
    return ops.permute(x, (*range(rank - 2), rank - 1, rank - 2))


def istft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """The inverse of `stft`: signals (L,) or (B, L) of their frames (..., frequencies, frames).

    Frames are transformed, weighted by the window once more, and added where they overlap; then
    divided by the sum of the squares of the windows there, which must not be 0 (ArgumentError; in a
    compiled function such samples are infinite or NaN). The parameters must be those of `stft`;
    `length` cuts the signal, or fills it with zeros. Raises ShapeError and ArgumentError for
    lengths that don't fit. Follows `torch.istft`.

    >>> x, window = ag.arange(32.0), ag.hann_window(8)
    >>> y = ag.istft(ag.stft(x, 8, window=window, return_complex=True), 8, window=window)
    >>> ag.allclose(x, y, atol=1e-4)
    True
    """
    size, step, win = _lengths("istft", n_fft, hop_length, win_length, window)
    if step > win:
        raise ArgumentError(f"istft: hop_length {step} must not be over win_length {win}")
    _check_frames(input, size, window, onesided, return_complex)
    frames = _frames(input, size, normalized, onesided, return_complex)
    weights = _whole_window(window, win, size, (size - win) // 2, frames.dtype.to_real())
    if weights is None:
        weights = ops.full((size,), 1, frames.dtype.to_real())
    count = frames.shape[-2]
    total = size + step * (count - 1)
    added = _overlapped(ops.mul(frames, weights), total, step)
    squares = ops.expand(ops.mul(weights, weights), (count, size))
    envelope = _overlapped(squares, total, step)
    start = size // 2 if center else 0
    stop = start + operator.index(length) if length is not None else total - start
    last = min(stop, total)
    envelope = sliced(envelope, 0, start, last)
    if not crossroads.tracing() and bool((ops.abs(envelope).numpy_array() < 1e-11).any()):
        raise ArgumentError(
            "istft: the windows must overlap: the sum of their squares is 0 in places"
        )
    found = ops.div(sliced(added, added.ndim - 1, start, last), envelope)
    return found if stop <= total else constant_pad_nd(found, (0, stop - total))


def _check_frames(input: Any, size: int, window: Any, onesided: Any, return_complex: bool) -> None:
    if not input.dtype.is_complex:
        raise DTypeError(f"istft: {describe(input)}: expected complex numbers, as stft gives")
    if input.ndim not in (2, 3):
        raise ShapeError(f"istft: {describe(input)}: expected 2 or 3 dimensions")
    if not input.numel():
        raise ShapeError(f"istft: {describe(input)}: there are no frames")
    expected = size if onesided is False else size // 2 + 1
    given = input.shape[-2]
    if given != expected and (onesided is not None or given != size):
        raise ShapeError(
            f"istft: {describe(input)}: expected {expected} frequencies for n_fft = {size}"
        )
    if return_complex and (onesided or (onesided is None and given != size)):
        raise ArgumentError("istft: return_complex needs frames of all frequencies, not onesided")
    if not return_complex and window is not None and window.dtype.is_complex:
        raise ArgumentError("istft: a complex window needs return_complex=True")


def _frames(input: Any, size: int, normalized: bool, onesided: Any, return_complex: bool) -> Any:
    """The samples of each frame (..., frames, n_fft)."""
    x, norm = _exchanged(input), "ortho" if normalized else "backward"
    if return_complex:
        return ops.fft(x, (-1,), inverse=True, norm=norm)
    half = size // 2 + 1
    return ops.irfft(sliced(x, x.ndim - 1, 0, half), size, -1, norm)


def _overlapped(frames: Any, total: int, step: int) -> Any:
    """Frames (..., count, size) that begin `step` apart, added into signals (..., total)."""
    dim, size = frames.ndim - 2, frames.shape[-1]
    zeros = ops.full((*frames.shape[:-2], total), 0, frames.dtype)
    return put_windows(zeros, frames, {"dim": dim, "size": size, "step": step}, True)
