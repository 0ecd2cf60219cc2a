"""Plain tensors as sparse ones: what Tensor's methods for it do."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.errors import ArgumentError
from argand.sparse.coo import SparseCooTensor, look_up, made, values_at
from argand.tensor.core import Tensor, wrap


def to_sparse_coo(x: Tensor, sparse_dim: int | None = None) -> SparseCooTensor:
    """The elements that aren't 0, or the parts along the last dimensions where some aren't."""
    count = x.ndim if sparse_dim is None else sparse_dim
    if not 0 <= count <= x.ndim or (count == 0 and x.ndim):
        raise ArgumentError(f"to_sparse: sparse_dim must be in 1 to {x.ndim}, got {count}")
    array = x.detach().numpy_array() != 0
    held = array.any(tuple(range(count, x.ndim))) if count < x.ndim else array
    places = wrap(np.stack(np.nonzero(held)).astype(np.int64)) if count else _of_scalar(held)
    return made(places, look_up(x, places), tuple(x.shape), True)


def _of_scalar(held: Any) -> Tensor:
    return wrap(np.zeros((0, int(held)), np.int64))


def sparse_mask(x: Any, mask: SparseCooTensor) -> SparseCooTensor:
    """The elements of a tensor at the places of a sparse one."""
    if tuple(x.shape) != tuple(mask.shape):
        raise ArgumentError(
            f"sparse_mask: expected a mask of shape {tuple(x.shape)}, got {tuple(mask.shape)}"
        )
    values = values_at(x, mask._places)
    return made(mask._places, values, mask._sizes, mask._coalesced)


SparseCooTensor.meanings["sparse_mask"] = sparse_mask
