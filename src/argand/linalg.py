"""`argand.linalg`: norms, inverses and decompositions, as `torch.linalg`."""

from __future__ import annotations

from typing import Any, NamedTuple

from argand.ir.op import ops
from argand.tensor import algebra
from argand.tensor.algebra import chain_matmul, matrix_norm, matrix_power
from argand.tensor.reducing import vector_norm
from argand.tensor.surface import alias_of


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
    pair = A.ndim == 2 if dim is None else isinstance(dim, list | tuple) and len(dim) == 2
    if ord is not None and pair:
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def inv(A: Any) -> Any:
    """The B of A @ B = the identity: the inverses of square matrices (..., N, N).

    Raises LinAlgError for a singular matrix, ShapeError for one that isn't square, DTypeError
    unless float32 or float64. To solve A X = B, `solve` is faster and more accurate. By LAPACK's
    ``gesv``, also in compiled programs. Follows `torch.linalg.inv`.

    >>> ag.linalg.inv(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[-2.0000,  1.0000],
            [ 1.5000, -0.5000]])
    """
    return ops.linalg_inv(A)


def solve(A: Any, B: Any) -> Any:
    """The X of A @ X = B, for A (..., N, N) and B (..., N, K), or (N,) for a single vector.

    B of the shape of A without its last dimension is a batch of vectors too; otherwise the batch
    dimensions broadcast. Raises LinAlgError for a singular matrix, ShapeError for one that isn't
    square, DTypeError unless float32 or float64. By LAPACK's ``gesv``, also in compiled programs.
    Follows `torch.linalg.solve`.

    >>> ag.linalg.solve(ag.tensor([[2.0, 1.0], [0.0, 4.0]]), ag.tensor([4.0, 8.0]))
    tensor([1., 2.])
    """
    return ops.linalg_solve(A, B)


def cholesky(A: Any) -> Any:
    """The lower triangular L of A = L @ L^T, of a symmetric positive-definite matrix (..., N, N).

    Only the lower triangle of A is read. Raises LinAlgError where A isn't positive definite. By
    LAPACK's ``potrf``, also in compiled programs. Follows `torch.linalg.cholesky`.

    >>> ag.linalg.cholesky(ag.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    return ops.linalg_cholesky(A)


class SVD(NamedTuple):
    """(U, S, Vh) of A = U diag(S) Vh: what `svd` returns.

    >>> ag.linalg.svd(ag.tensor([[3.0, 0.0], [0.0, -4.0]])).S
    tensor([4., 3.])
    """

    U: Any
    S: Any
    Vh: Any


def svd(A: Any, full_matrices: bool = True) -> Any:
    """(U, S, Vh) of A = U diag(S) Vh, the singular value decomposition of A (..., M, N).

    S holds the K = min(M, N) singular values in descending order. The columns of U (..., M, M) and
    the rows of Vh (..., N, N) are orthonormal bases; with ``full_matrices=False`` only the first K
    of each are given. They are determined up to their signs, and those after the K-th not at all:
    no gradient flows through them. By LAPACK's ``gesdd``, also in compiled programs. Follows
    `torch.linalg.svd`.

    >>> U, S, Vh = ag.linalg.svd(ag.tensor([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]]))
    >>> U.shape, S
    (argand.Size([3, 3]), tensor([4., 3.]))
    """
    return SVD(*ops.linalg_svd(A, full_matrices))


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


def multi_dot(tensors: Any) -> Any:
    """tensors[0] @ tensors[1] @ ..., multiplied from left to right; the first and last may be 1-d.

    >>> ag.linalg.multi_dot([ag.ones(2, 3), ag.ones(3, 4), ag.ones(4)])
    tensor([12., 12.])
    """
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

globals().update({name: alias_of(globals()[name], f"linalg.{name}") for name in __all__})
