"""Products of sparse tensors: rows of the dense operand, times values, added up."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import bool_
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import shape_text
from argand.ir.op import ops
from argand.sparse.coo import SparseCooTensor, made
from argand.sparse.core import Meanings, SparseError, SparseTensor
from argand.sparse.csr import CompressedTensor, compress
from argand.sparse.formats import to_sparse_coo
from argand.tensor.core import Tensor, wrap


def matmul(input: Any, other: Any) -> Any:
    """``input @ other``, where one or both are sparse."""
    if input.ndim == 2 and other.ndim == 1:
        return mv(input, other)
    if input.ndim == 1 and other.ndim == 2:
        return mv(other.t(), input)
    if input.ndim == 3 and other.ndim == 3:
        return bmm(input, other)
    return mm(input, other)


def mm(input: Any, mat2: Any, reduce: str | None = None) -> Any:
    """The product of two matrices, of which one or both may be sparse: then it is sparse.

    It is computed as out[i, :] += value * mat2[j, :] for each value at (i, j), so its gradient by
    the values is taken at their places only. ShapeError where the sizes don't fit. Follows
    `torch.sparse.mm`.

    >>> x = ag.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
    >>> ag.sparse.mm(x, ag.ones(3, 2))
    tensor([[3., 3.],
            [4., 4.]])
    """
    _check_matrices("mm", input, mat2)
    if reduce not in (None, "sum"):
        raise SparseError(f"sparse.mm: reduce must be 'sum', got {reduce!r}")
    if isinstance(input, SparseTensor) and isinstance(mat2, SparseTensor):
        found = _sparse_product(input.to_sparse_coo(), mat2.to_sparse_coo())
        return compress(found, type(input)) if isinstance(input, CompressedTensor) else found
    if isinstance(input, SparseTensor):
        return _product(input, mat2)
    if isinstance(mat2, SparseTensor):
        return ops.permute(_product(mat2.t(), ops.permute(input, (1, 0))), (1, 0))
    return ops.matmul(input, mat2)


def _check_matrices(name: str, a: Any, b: Any) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ShapeError(
            f"{name}: {shape_text(a.shape)} and {shape_text(b.shape)}: expected (n, m) and (m, p)"
        )
    if a.dtype is not b.dtype:
        raise DTypeError(f"{name}: {a.dtype.name} and {b.dtype.name}: expected one dtype")
    if a.dtype is bool_:
        raise DTypeError(f"{name}: not defined for bool")


def _product(x: SparseTensor, dense: Tensor) -> Tensor:
    """A sparse matrix times a plain one."""
    _check_all_sparse("mm", x)
    rows, columns = x.places()
    return rows_added(rows, columns, x._elements, dense, x._sizes[0])


def rows_added(rows: Tensor, columns: Tensor, values: Tensor, dense: Tensor, count: Any) -> Tensor:
    """`count` rows: out[rows[e]] is the sum of values[e] * dense[columns[e]]."""
    return ops.sparse_matmul(values, dense, rows, columns, count=(count,))  # type: ignore[no-any-return]


def _check_all_sparse(name: str, x: SparseTensor) -> None:
    if x._elements.ndim > 1:
        raise SparseError(f"{name}: not there for sparse tensors with dense dimensions")


def _sparse_product(a: SparseCooTensor, b: SparseCooTensor) -> SparseCooTensor:
    """The product of two sparse matrices: the values of a, each times a row of b."""
    _check_all_sparse("mm", a)
    _check_all_sparse("mm", b)
    held, size = b.coalesce(), (a._sizes[0], b._sizes[1])
    rows, columns = a._places.numpy_array()
    first = np.searchsorted(held._places.numpy_array()[0], np.arange(b._sizes[0] + 1))
    counts = np.diff(first)[columns]
    left = np.repeat(np.arange(len(columns)), counts)
    within = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
    right = first[columns][left] + within
    values = ops.mul(_picked(a._elements, left), _picked(held._elements, right))
    places = np.stack([rows[left], held._places.numpy_array()[1][right]])
    return made(wrap(places), values, size, False).coalesce()


def _picked(values: Tensor, numbers: Any) -> Tensor:
    return ops.index(values, wrap(numbers), dims=(0,))  # type: ignore[no-any-return]


def bmm(input: Any, mat2: Any) -> Any:
    """The products of batches of matrices, of which the first are sparse."""
    x, count = input.to_sparse_coo(), input.shape[0]
    if mat2.ndim != 3 or count != mat2.shape[0] or input.shape[2] != mat2.shape[1]:
        raise ShapeError(
            f"bmm: {shape_text(input.shape)} and {shape_text(mat2.shape)}: expected (b, n, m) and "
            "(b, m, p)"
        )
    _check_all_sparse("bmm", x)
    batch, rows, columns = x.places()
    places = (batch * x._sizes[1] + rows, batch * x._sizes[2] + columns)
    stacked = ops.reshape(mat2, (count * mat2.shape[1], mat2.shape[2]))
    found = rows_added(*places, x._elements, stacked, count * x._sizes[1])
    return ops.reshape(found, (count, x._sizes[1], mat2.shape[2]))


def sampled_addmm(
    input: Any, mat1: Any, mat2: Any, *, beta: Any = 1.0, alpha: Any = 1.0, out: Any = None
) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)`` at the places that a sparse matrix holds.

    Of layout sparse_csr in PyTorch, of any here. Follows `torch.sparse.sampled_addmm`.

    >>> x = ag.sparse_csr_tensor([0, 1, 1], [1], [3.0], (2, 2))
    >>> ag.sparse.sampled_addmm(x, ag.ones(2, 4), ag.ones(4, 2)).values()
    tensor([7.])
    """
    _check_matrices("sparse.sampled_addmm", mat1, mat2)
    rows, columns = input.places()
    found = ops.sampled_matmul(mat1, ops.permute(mat2, (1, 0)), rows, columns)
    return input._with(ops.add(ops.mul(input._elements, beta), ops.mul(found, alpha)))


def hspmm(mat1: Any, mat2: Any) -> Any:
    """``sparse.mm(mat1, mat2)`` of a plain matrix `mat2`, with one sparse dimension: that of rows.

    Only rows that `mat1` holds something of are held. As `torch.hspmm`.

    >>> x = ag.sparse_coo_tensor([[1], [2]], [3.0], (2, 3))
    >>> ag.hspmm(x, ag.ones(3, 2)).values()
    tensor([[3., 3.]])
    """
    rows = np.unique(mat1.to_sparse_coo()._places.numpy_array()[0])
    found = mm(mat1, mat2)
    return made(wrap(rows[None]), _picked(found, rows), tuple(found.shape), False)


def mv(input: Any, vec: Any) -> Any:
    """A sparse matrix times a vector."""
    if input.ndim != 2 or vec.ndim != 1:
        raise ShapeError(
            f"mv: {shape_text(input.shape)} and {shape_text(vec.shape)}: expected (n, m) and (m,)"
        )
    return mm(input, vec.unsqueeze(1)).select(1, 0)


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """``input @ weight.t() + bias``, where one of the matrices is sparse."""
    found = matmul(input, weight.t())
    return found if bias is None else ops.add(found, bias)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``, where `mat1` may be sparse.

    Follows `torch.sparse.addmm`.

    >>> x = ag.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
    >>> ag.sparse.addmm(ag.ones(2, 2), x, ag.ones(3, 2), beta=10)
    tensor([[13., 13.],
            [14., 14.]])
    """
    product = mm(mat1, mat2)
    scaled = product if alpha == 1 else product * alpha
    return input * beta + scaled if beta != 1 else input + scaled


def spmm(input: Any, mat2: Any) -> Any:
    """``sparse.mm(input, mat2)``: the product of two matrices, which may be sparse.

    >>> x = ag.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
    >>> ag.spmm(x, ag.ones(3, 2))
    tensor([[3., 3.],
            [4., 4.]])
    """
    return mm(input, mat2)


def smm(input: Any, mat: Any) -> Any:
    """``sparse.mm(input, mat)`` of a plain matrix `mat`, as a sparse tensor. As `torch.smm`.

    >>> x = ag.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
    >>> ag.smm(x, ag.ones(3, 2)).coalesce().values()
    tensor([3., 3., 4., 4.])
    """
    found = to_sparse_coo(mm(input, mat))
    return made(found._places, found._elements, found._sizes, False)


MEANINGS: Meanings = {
    "matmul": matmul,
    "__rmatmul__": lambda other, input: matmul(input, other),
    "bmm": bmm,
    "mm": mm,
    "mv": mv,
    "linear": linear,
    "addmm": addmm,
}
SparseCooTensor.meanings.update(MEANINGS)
CompressedTensor.meanings.update(MEANINGS)
