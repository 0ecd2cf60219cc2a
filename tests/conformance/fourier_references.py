"""Independent references for Fourier transforms: the sums of their definition, as matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

DIVISORS = {
    "backward": lambda n, inverse: n if inverse else 1,
    "forward": lambda n, inverse: 1 if inverse else n,
    "ortho": lambda n, inverse: math.sqrt(n),
}


def _transformed(x: Any, dim: int, inverse: bool, norm: str) -> Any:
    n = x.shape[dim]
    turns = np.outer(np.r_[:n], np.r_[:n]) / n
    matrix = np.exp((2j if inverse else -2j) * np.pi * turns) / DIVISORS[norm](n, inverse)
    return np.moveaxis(np.moveaxis(x, dim, -1) @ matrix, -1, dim)


def fft(x: Any, dims: Any, inverse: bool = False, norm: str = "backward") -> Any:
    """One dimension after the other."""
    for dim in dims:
        x = _transformed(x, dim, inverse, norm)
    return x


def rfft(x: Any, dim: int = -1, norm: str = "backward") -> Any:
    """The first half of all frequencies."""
    found = np.moveaxis(_transformed(x, dim, False, norm), dim, -1)
    return np.moveaxis(found[..., : x.shape[dim] // 2 + 1], -1, dim)


def irfft(x: Any, size: int, dim: int = -1, norm: str = "backward") -> Any:
    """All frequencies, made from the first half."""
    half = np.moveaxis(x, dim, -1)
    whole = np.concatenate([half, np.conj(half[..., 1 : (size + 1) // 2][..., ::-1])], -1)
    whole[..., 0] = whole[..., 0].real
    if size % 2 == 0:
        whole[..., size // 2] = whole[..., size // 2].real
    return np.moveaxis(_transformed(whole, -1, True, norm).real, -1, dim)
