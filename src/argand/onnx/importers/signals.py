"""Signals: Fourier transforms, windows, mel filters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.onnx.registry import importer
from argand.onnx.values import F, Host, ag, dtype_of, int_list, scalar
from argand.tensor.core import Tensor


def _complex(x: Any) -> Any:
    """Pairs along the last axis, or numbers alone, as a tensor without that axis."""
    return ag.view_as_complex(x.contiguous()) if x.shape[-1] == 2 else x.select(-1, 0)


def _transform(x: Any, length: Any, axis: int, inverse: bool, onesided: bool) -> Any:
    d = axis % x.ndim
    dtype = x.dtype
    signal = _complex(x.to(ag.float32) if dtype.itemsize < 4 else x)
    n = x.shape[d] if length is None else length
    if inverse and onesided:
        size = 2 * (x.shape[d] - 1) if length is None else length
        return ag.fft.irfft(signal, size, d).unsqueeze(-1).to(dtype)
    if inverse:
        made = ag.fft.ifft(signal, n, d)
    elif onesided and not signal.is_complex():
        made = ag.fft.rfft(signal, n, d)
    else:
        made = ag.fft.fft(signal, n, d)
        made = made.narrow(d, 0, n // 2 + 1) if onesided else made
    return ag.view_as_real(made).to(dtype)


@importer("DFT", since=20)
def _dft(
    x: Tensor,
    dft_length: Host | None = None,
    axis: Host | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> Any:
    at = -2 if axis is None else int(scalar(axis))
    length = None if dft_length is None else int_list(dft_length)[0]
    return _transform(x, length, at, bool(inverse), bool(onesided))


@importer("DFT", since=17)
def _older_dft(
    x: Tensor,
    dft_length: Host | None = None,
    *,
    axis: int = 1,
    inverse: int = 0,
    onesided: int = 0,
) -> Any:
    length = None if dft_length is None else int_list(dft_length)[0]
    return _transform(x, length, axis, bool(inverse), bool(onesided))


@importer("STFT")
def _stft(
    signal: Tensor,
    frame_step: Host,
    window: Tensor | None = None,
    frame_length: Host | None = None,
    *,
    onesided: int = 1,
) -> Any:
    step = int_list(frame_step)[0]
    if frame_length is not None:
        length = int_list(frame_length)[0]
    else:
        length = signal.shape[1] if window is None else window.shape[0]
    count = (signal.shape[1] - length) // step + 1
    places = ag.arange(count).reshape(-1, 1) * step + ag.arange(length)
    frames = ag.index_select(signal, 1, places.reshape(-1))
    frames = frames.reshape(signal.shape[0], count, length, -1)
    if window is not None:
        missing = length - window.shape[0]
        wide = F.pad(window, (missing // 2, missing - missing // 2)) if missing else window
        frames = frames * wide.reshape(-1, 1)
    return _transform(frames, None, 2, False, bool(onesided))


def _cosines(size: Any, periodic: int, dtype: int, weights: tuple[float, ...]) -> Any:
    """Sums of cosines over one period."""
    n = int_list(size)[0]
    at = ag.arange(n, dtype=ag.float64) * (2 * math.pi / max(n if periodic else n - 1, 1))
    total = sum(w * ag.cos(at * k) for k, w in enumerate(weights))
    return total.to(dtype_of(dtype))


@importer("HannWindow")
def _hann(size: Host, *, output_datatype: int = 1, periodic: int = 1) -> Any:
    return _cosines(size, periodic, output_datatype, (0.5, -0.5))


@importer("HammingWindow")
def _hamming(size: Host, *, output_datatype: int = 1, periodic: int = 1) -> Any:
    return _cosines(size, periodic, output_datatype, (25 / 46, -21 / 46))


@importer("BlackmanWindow")
def _blackman(size: Host, *, output_datatype: int = 1, periodic: int = 1) -> Any:
    return _cosines(size, periodic, output_datatype, (0.42, -0.5, 0.08))


@importer("MelWeightMatrix")
def _mel(
    num_mel_bins: Host,
    dft_length: Host,
    sample_rate: Host,
    lower_edge_hertz: Host,
    upper_edge_hertz: Host,
    *,
    output_datatype: int = 1,
) -> Any:
    bins, length, rate = (int(scalar(v)) for v in (num_mel_bins, dft_length, sample_rate))
    low, high = (_mels(float(scalar(v))) for v in (lower_edge_hertz, upper_edge_hertz))
    edges = low + np.arange(bins + 2) * ((high - low) / (bins + 2))
    hertz = 700 * (10 ** (edges / 2595) - 1)
    places = ((length + 1) * hertz // rate).astype(np.int64)
    made = np.zeros((length // 2 + 1, bins))
    for i in range(bins):
        first, middle, last = places[i : i + 3]
        if middle == first:
            made[middle, i] = 1
        for j in range(first, middle + 1 if middle > first else first):
            made[j, i] = (j - first) / (middle - first)
        for j in range(middle, last):
            made[j, i] = (last - j) / (last - middle)
    return ag.tensor(made).to(dtype_of(output_datatype))


def _mels(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)
