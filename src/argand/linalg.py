"""`argand.linalg`: norms, inverses and decompositions, as `torch.linalg`."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.base.errors import LinAlgError as LinAlgError
from argand.ir.op import describe, ops
from argand.tensor import algebra
from argand.tensor.algebra import matrix_power, multi_dot, vecdot
from argand.tensor.combining import powers_of
from argand.tensor.factors import (
    cholesky,
    cholesky_ex,
    householder_product,
    ldl_factor,
    ldl_factor_ex,
    ldl_solve,
    lu,
    lu_factor,
    lu_factor_ex,
    lu_solve,
    qr,
)
from argand.tensor.reducing import vector_norm
from argand.tensor.regions import diagonal_of
from argand.tensor.spectra import (
    cond,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    matrix_exp,
    matrix_norm,
    matrix_rank,
    svd,
    svdvals,
)
from argand.tensor.surface import alias_of, with_out
from argand.tensor.systems import (
    det,
    inv,
    inv_ex,
    lstsq,
    pinv,
    slogdet,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)


def norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of vectors or matrices: of all elements unless more is given.

    With `ord`, a tensor of 2 dimensions, or a pair `dim`, is a matrix: `matrix_norm`. Otherwise the
    elements, all or along `dim`, are a vector: `vector_norm`, the 2-norm unless `ord` is given.
    Follows `torch.linalg.norm`.

    >>> A = ag.tensor([[3.0, -4.0], [6.0, 8.0]])
    >>> ag.linalg.norm(A), ag.linalg.norm(A, 1), ag.linalg.norm(A, dim=1)
    (tensor(11.1803), tensor(12.), tensor([ 5., 10.]))
    """
    if dim is None and ord is not None and A.ndim > 2:
        raise ShapeError(
            f"norm: {describe(A)}: with ord, give dim or a tensor of 1 or 2 dimensions"
        )
    pair = A.ndim == 2 if dim is None else isinstance(dim, list | tuple) and len(dim) == 2
    if isinstance(ord, str) or (ord is not None and pair):
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The vector product: at right angles to both, along the dimension `dim` of size 3.

    Raises ShapeError for another size. Follows `torch.linalg.cross`.

    >>> ag.linalg.cross(ag.tensor([1.0, 0.0, 0.0]), ag.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    return algebra.cross(input, other, dim)


def matmul(input: Any, other: Any) -> Any:
    """input @ other, the matrix product; see `argand.matmul`.

    >>> ag.linalg.matmul(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), ag.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    return ops.matmul(input, other)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonals of matrices, or other elements with column - row = offset; see `diagonal`.

    >>> ag.linalg.diagonal(ag.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return diagonal_of(A, offset, dim1, dim2)


def vander(x: Any, *, N: int | None = None) -> Any:
    """y[..., i, j] = x[..., i]^j for j = 0, ..., N - 1: Vandermonde's matrix of vectors (..., M).

    N is M unless given. Raises ArgumentError unless N > 1. Follows `torch.linalg.vander`.

    >>> ag.linalg.vander(ag.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [1, 2, 4],
            [1, 3, 9]])
    """
    x = x if x.ndim else ops.reshape(x, (1,))
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise ArgumentError(f"linalg.vander: N must be greater than 1, got {count}")
    return powers_of("linalg.vander", x, count)


__all__ = [
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


globals().update({name: alias_of(with_out(globals()[name]), f"linalg.{name}") for name in __all__})
