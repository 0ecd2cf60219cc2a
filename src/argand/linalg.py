"""`argand.linalg`: norms, inverses and decompositions, as `torch.linalg`."""

from __future__ import annotations

from typing import Any

from argand.ir.op import ops
from argand.tensor.algebra import chain_matmul, cross, matrix_norm, matrix_power
from argand.tensor.reducing import vector_norm


def norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of a vector or of vectors along `dim`; the 2-norm unless `ord` is given."""
    pair = A.ndim == 2 if dim is None else isinstance(dim, list | tuple) and len(dim) == 2
    if ord is not None and pair:
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def inv(A: Any) -> Any:
    """The inverse of a square matrix, or of each in a batch."""
    return ops.linalg_inv(A)


def solve(A: Any, B: Any) -> Any:
    """The X of A X = B."""
    return ops.linalg_solve(A, B)


def cholesky(A: Any) -> Any:
    """The lower triangular L of A = L L^T."""
    return ops.linalg_cholesky(A)


def svd(A: Any, full_matrices: bool = False) -> Any:
    """(U, S, Vh) of A = U diag(S) Vh; only the reduced form."""
    if full_matrices:
        raise ValueError("svd: only full_matrices=False is available")
    return ops.linalg_svd(A)


def matmul(input: Any, other: Any) -> Any:
    """The matrix product."""
    return ops.matmul(input, other)


def multi_dot(tensors: Any) -> Any:
    """The product of several matrices, from left to right."""
    return chain_matmul(*tensors)


__all__ = [
    "cholesky",
    "cross",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "multi_dot",
    "norm",
    "solve",
    "svd",
    "vector_norm",
]
