"""Numbers of complex128 in files, whose format has no such type: as pairs of float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import DType
from argand.base.errors import FormatError
from argand.tensor.core import Tensor, wrap


def needs_pairs(x: Any) -> bool:
    """Whether a tensor, an array or a dtype is of complex128."""
    dtype = x if isinstance(x, DType) else x.dtype
    return bool(getattr(dtype, "name", "") == "complex128")


def as_pairs(x: Any) -> Any:
    """A tensor or an array as a file has it: with the real and the imaginary part of each number
    along one dimension more, where it is of complex128."""
    if not needs_pairs(x):
        return x
    array = x.detach().numpy_array() if isinstance(x, Tensor) else x
    return np.stack([array.real, array.imag], -1)


def from_pairs(array: np.ndarray, where: str) -> np.ndarray:
    """The complex numbers of pairs."""
    if array.dtype != np.float64 or not array.ndim or array.shape[-1] != 2:
        raise FormatError(f"{where}: complex numbers are stored as pairs of float64")
    made: np.ndarray = np.ascontiguousarray(array).view(np.complex128)[..., 0]
    return made


def tensor_from_pairs(x: Tensor, where: str) -> Tensor:
    """As `from_pairs`, of a tensor."""
    made: Tensor = wrap(from_pairs(x.numpy_array(), where))
    return made


__all__ = ["as_pairs", "from_pairs", "needs_pairs", "tensor_from_pairs"]
