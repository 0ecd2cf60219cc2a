"""Tensors of layouts sparse_csr and sparse_csc: where each row, or column, begins, and the other
indices."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from argand.base.dtype import int64
from argand.base.errors import ArgumentError, ShapeError
from argand.base.layout import sparse_csc, sparse_csr
from argand.base.shape import shape_text
from argand.ir.op import ops
from argand.sparse.coo import SparseCooTensor, made
from argand.sparse.core import Meanings, SparseError, SparseTensor, own
from argand.tensor.core import Size, Tensor, wrap
from argand.tensor.creation import as_tensor
from argand.tensor.device import check_device
from argand.tensor.joining import stack


class CompressedTensor(SparseTensor):
    """A matrix by its values, row by row or column by column.

    `_starts` says where the values of each row begin, and where the last one's end; `_others` their
    columns, and `_lines` their rows, which products read. In the layout sparse_csc rows and columns
    change places.
    """

    __slots__ = ()

    meanings: ClassVar[Meanings] = {}
    names: ClassVar[tuple[str, str]]
    """PyTorch's names of the two indices."""
    line: ClassVar[int]
    """The dimension that is compressed."""

    _starts: Tensor
    _others: Tensor
    _lines: Tensor

    def _parts(self) -> dict[str, Tensor]:
        starts, others = self.names
        return {starts: self._starts, others: self._others, "values": self._elements}

    def _like(self, *parts: Tensor) -> Any:
        starts, others, values = parts
        return compressed(type(self), starts, others, values, self._sizes, self._lines)

    def places(self) -> tuple[Tensor, Tensor]:
        return (self._others, self._lines) if self.line else (self._lines, self._others)

    def values(self) -> Tensor:
        return self._elements

    def sparse_dim(self) -> int:
        return 2

    def dense_dim(self) -> int:
        return self._elements.ndim - 1

    def to_sparse_coo(self) -> SparseCooTensor:
        places = stack([ops.cast(index, int64) for index in self.places()])
        return made(places, self._elements, self._sizes, not self.line)

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
        return self.to_sparse_coo().to_dense(dtype)

    def t(self) -> Any:
        return self.transpose(0, 1)

    def transpose(self, dim0: int, dim1: int) -> Any:
        """The transposed matrix, in the other layout."""
        if dim0 % 2 == dim1 % 2:
            return self
        if self.dense_dim():
            raise SparseError("transpose: not there for matrices with dense dimensions")
        other = CscTensor if isinstance(self, CsrTensor) else CsrTensor
        parts = (self._starts, self._others, self._elements)
        return compressed(other, *parts, self._sizes[::-1], self._lines)

    def select(self, dim: int, index: int) -> Any:
        found = self.to_sparse_coo().select(dim, index)
        return found._coalesced_(True) if isinstance(found, SparseCooTensor) else found


class CsrTensor(CompressedTensor):
    """Row by row."""

    __slots__ = ()

    layout = sparse_csr
    is_sparse_csr = True
    names = ("crow_indices", "col_indices")
    line = 0

    def crow_indices(self) -> Tensor:
        return self._starts

    def col_indices(self) -> Tensor:
        return self._others


class CscTensor(CompressedTensor):
    """Column by column."""

    __slots__ = ()

    layout = sparse_csc
    names = ("ccol_indices", "row_indices")
    line = 1

    def ccol_indices(self) -> Tensor:
        return self._starts

    def row_indices(self) -> Tensor:
        return self._others


def compressed(
    kind: type[CompressedTensor],
    starts: Tensor,
    others: Tensor,
    values: Tensor,
    sizes: Any,
    lines: Tensor | None = None,
) -> Any:
    """A matrix of parts that fit."""
    tensor = object.__new__(kind)
    if lines is None:
        counts = np.diff(starts.numpy_array())
        lines = wrap(np.repeat(np.arange(len(counts), dtype=np.int64), counts))
    tensor._lines = lines
    tensor._starts, tensor._others, tensor._elements = starts, others, values
    tensor._sizes = Size(sizes)
    return tensor


def compress(x: SparseCooTensor, kind: type[CompressedTensor]) -> Any:
    """A matrix of the layout sparse_coo in another one."""
    if x.sparse_dim() != 2:
        raise SparseError(
            f"to_sparse: a matrix has two sparse dimensions, got {x.sparse_dim()}; batches of "
            "matrices aren't there"
        )
    held = x.coalesce()
    places = held._places.numpy_array()
    lines, others, values = places[kind.line], places[1 - kind.line], held._elements
    if kind.line:
        order = np.lexsort((others, lines))
        lines, others = lines[order], others[order]
        values = ops.index(values, wrap(order), dims=(0,))
    starts = np.searchsorted(lines, np.arange(int(x._sizes[kind.line]) + 1)).astype(np.int64)
    parts = (wrap(starts), wrap(np.ascontiguousarray(others)), values)
    return compressed(kind, *parts, x._sizes, wrap(np.ascontiguousarray(lines)))


# -- making them -----------------------------------------------------------------------------------


def sparse_csr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:
    """A sparse matrix row by row: row i has the values from crow_indices[i] to crow_indices[i + 1],
    in the columns that `col_indices` says.

    Without a `size` it has as many columns as it needs. Gradients flow to `values`. ArgumentError
    or ShapeError where these don't fit. Follows `torch.sparse_csr_tensor`.

    >>> x = ag.sparse_csr_tensor([0, 1, 3], [2, 0, 2], [3.0, 4.0, 5.0], (2, 3))
    >>> x.to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 5.]])
    """
    check_device(device)
    parts = (crow_indices, col_indices, values)
    return _made_of(CsrTensor, parts, size, dtype, requires_grad)


def sparse_csc_tensor(
    ccol_indices: Any,
    row_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:
    """A sparse matrix column by column; else as `sparse_csr_tensor`.

    >>> ag.sparse_csc_tensor([0, 1, 2], [1, 0], [3.0, 4.0]).to_dense()
    tensor([[0., 4.],
            [3., 0.]])
    """
    check_device(device)
    parts = (ccol_indices, row_indices, values)
    return _made_of(CscTensor, parts, size, dtype, requires_grad)


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:
    """A sparse matrix of a `layout`: `sparse_csr_tensor` or `sparse_csc_tensor`.

    >>> x = ag.sparse_compressed_tensor([0, 1, 2], [1, 0], [3.0, 4.0], layout=ag.sparse_csr)
    >>> x.layout
    argand.sparse_csr
    """
    check_device(device)
    if layout not in KINDS:
        raise ArgumentError(f"sparse_compressed_tensor: there is no layout {layout!r} of matrices")
    parts = (compressed_indices, plain_indices, values)
    return _made_of(KINDS[layout], parts, size, dtype, requires_grad)


KINDS: dict[Any, type[CompressedTensor]] = {sparse_csr: CsrTensor, sparse_csc: CscTensor}


def _made_of(
    kind: type[CompressedTensor], parts: Any, size: Any, dtype: Any, requires_grad: bool
) -> Any:
    starts, others = (as_tensor(part).detach() for part in parts[:2])
    values = own(as_tensor(parts[2], dtype=dtype))
    _check(kind, starts, others, values)
    sizes = _sizes_of(kind, starts, others, values) if size is None else tuple(map(int, size))
    _check_places(kind, starts.numpy_array(), others.numpy_array(), sizes)
    found = compressed(kind, starts, others, values, sizes)
    return found.detach().requires_grad_() if requires_grad else found


def _check(kind: type[CompressedTensor], starts: Tensor, others: Tensor, values: Tensor) -> None:
    first, second = kind.names
    if starts.ndim != 1 or others.ndim != 1 or not starts.shape[0]:
        raise SparseError(
            f"{first} and {second} must be vectors, got {shape_text(starts.shape)} and "
            f"{shape_text(others.shape)}; batches of matrices aren't there"
        )
    if starts.dtype.kind not in "iu" or (others.shape[0] and others.dtype.kind not in "iu"):
        raise ArgumentError(
            f"{first} and {second} must hold integers, got {starts.dtype.name} and "
            f"{others.dtype.name}"
        )
    if not values.ndim or others.shape[0] != values.shape[0]:
        raise ShapeError(
            f"{second} and values must have one length, got {shape_text(others.shape)} and "
            f"{shape_text(values.shape)}"
        )


def _sizes_of(
    kind: type[CompressedTensor], starts: Tensor, others: Tensor, values: Tensor
) -> tuple[int, ...]:
    pair = [int(starts.shape[0]) - 1, int(others.numpy_array().max(initial=-1)) + 1]
    return (*(pair[::-1] if kind.line else pair), *map(int, values.shape[1:]))


def _check_places(kind: type[CompressedTensor], starts: Any, others: Any, sizes: Any) -> None:
    first, second = kind.names
    lines, size = sizes[kind.line], sizes[1 - kind.line]
    if len(starts) != lines + 1:
        raise ShapeError(f"{first} must have {lines + 1} elements, got {len(starts)}")
    if starts[0] != 0 or starts[-1] != len(others) or (np.diff(starts) < 0).any():
        raise ArgumentError(f"{first} must grow from 0 to {len(others)}, the number of values")
    if len(others) and (others.min() < 0 or others.max() >= size):
        raise ArgumentError(f"{second} must be in 0 to {size - 1}")


__all__ = ["sparse_compressed_tensor", "sparse_csc_tensor", "sparse_csr_tensor"]
