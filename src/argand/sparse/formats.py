"""Plain tensors as sparse ones: what Tensor's methods for it do."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.errors import ArgumentError
from argand.base.layout import layout as layout_type
from argand.base.layout import sparse_coo
from argand.ir.op import ops
from argand.sparse.coo import (
    SparseCooTensor,
    flat_places,
    look_up,
    made,
    sparse_coo_tensor,
    values_at,
)
from argand.sparse.core import Meanings, SparseTensor
from argand.sparse.csr import (
    KINDS,
    CompressedTensor,
    CscTensor,
    CsrTensor,
    compress,
    sparse_compressed_tensor,
)
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


def sparse_mask(x: Any, mask: Any) -> Any:
    """The elements of a tensor at the places of a sparse one."""
    if tuple(x.shape) != tuple(mask.shape):
        raise ArgumentError(
            f"sparse_mask: expected a mask of shape {tuple(x.shape)}, got {tuple(mask.shape)}"
        )
    return mask._with(values_at(x, mask.to_sparse_coo()._places))


def to_sparse(x: Any, sparse_dim: Any = None, *, layout: Any = None) -> Any:
    """Any tensor as a sparse one of a layout."""
    if isinstance(sparse_dim, layout_type):
        sparse_dim, layout = None, sparse_dim
    if layout in KINDS:
        return _compressed(x, KINDS[layout])
    if layout not in (None, sparse_coo):
        raise ArgumentError(f"to_sparse: there are no tensors of layout {layout!r}")
    if isinstance(x, SparseTensor) and (sparse_dim is None or sparse_dim == x.sparse_dim()):
        return x.to_sparse_coo() if layout else x
    return to_sparse_coo(x.to_dense(), sparse_dim)


def _compressed(x: Any, kind: type[CompressedTensor]) -> Any:
    if type(x) is kind:
        return x
    return compress(x.to_sparse_coo() if isinstance(x, SparseTensor) else to_sparse_coo(x), kind)


def to_sparse_csr(x: Any, dense_dim: int | None = None) -> Any:
    """Any matrix row by row."""
    return _compressed(_hybrid(x, dense_dim), CsrTensor)


def to_sparse_csc(x: Any, dense_dim: int | None = None) -> Any:
    """Any matrix column by column."""
    return _compressed(_hybrid(x, dense_dim), CscTensor)


def _hybrid(x: Any, dense_dim: int | None) -> Any:
    plain = not isinstance(x, SparseTensor)
    return to_sparse_coo(x, x.ndim - dense_dim) if plain and dense_dim else x


def rebuilt(kind: layout_type, data: tuple[Any, ...]) -> Any:
    """A sparse tensor of what a file says; ValueError where it doesn't fit."""
    if not all(isinstance(part, Tensor) and type(part) is Tensor for part in data[: _COUNT[kind]]):
        raise ValueError("a sparse tensor is made of plain ones")
    if kind is not sparse_coo:
        starts, others, values, size = data
        return sparse_compressed_tensor(starts, others, values, size, layout=kind)
    indices, values, size, *said = data
    found = sparse_coo_tensor(indices, values, size)
    ordered = bool(said) and said[0] is True and bool((np.diff(flat_places(found)) > 0).all())
    return found._coalesced_(ordered or found.is_coalesced())


def spdiags(diagonals: Any, offsets: Any, shape: Any, layout: Any = None) -> Any:
    """A sparse matrix by its diagonals: row i of `diagonals` is the one that is offsets[i] above
    the main one, element j in column j.

    Follows `torch.sparse.spdiags`.

    >>> ag.sparse.spdiags(ag.tensor([[1.0, 2.0]]), ag.tensor([1]), (2, 2)).to_dense()
    tensor([[0., 2.],
            [0., 0.]])
    """
    rows, length = (diagonals if diagonals.ndim == 2 else diagonals.unsqueeze(0)).shape
    steps = np.atleast_1d(offsets.numpy_array())
    if len(steps) != rows or len(set(steps.tolist())) != rows:
        raise ArgumentError(f"spdiags: expected {rows} offsets that differ, got {steps.tolist()}")
    columns = np.tile(np.arange(length), rows)
    lines = columns - np.repeat(steps, length)
    inside = (lines >= 0) & (lines < shape[0]) & (columns < shape[1])
    values = ops.index(diagonals.reshape(-1), wrap(np.flatnonzero(inside)), dims=(0,))
    places = wrap(np.stack([lines[inside], columns[inside]]).astype(np.int64))
    found = made(places, values, tuple(shape), False)
    return found if layout is None else to_sparse(found, layout=layout)


_COUNT = {sparse_coo: 2, **dict.fromkeys(KINDS, 3)}
_OF_ALL: Meanings = {
    "sparse_mask": sparse_mask,
    "to_sparse": to_sparse,
    "to_sparse_csc": to_sparse_csc,
    "to_sparse_csr": to_sparse_csr,
}
SparseCooTensor.meanings.update(_OF_ALL)
CompressedTensor.meanings.update(_OF_ALL)
CompressedTensor.meanings |= {
    "__getitem__": lambda x, i: x.select(0, i) if isinstance(i, int) else x.to_sparse_coo()[i],
    "t": lambda x: x.t(),
    "transpose": lambda x, dim0, dim1: x.transpose(dim0, dim1),
}
