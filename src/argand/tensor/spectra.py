"""Eigenvalues and singular values, and what is made of them."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import DType, as_dtype, compute_dtype, int64
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import normalize_dim
from argand.ir.op import describe, ops
from argand.tensor.random import randn
from argand.tensor.reducing import vector_norm
from argand.tensor.results import SVD, USV, Eigen
from argand.tensor.shaping import adjoint, movedim
from argand.tensor.systems import inv_ex, tolerances


def _lower(name: str, UPLO: str) -> bool:
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise ArgumentError(f"{name}: UPLO must be 'L' or 'U', got {UPLO!r}")
    return UPLO.upper() == "L"


def eigh(A: Any, UPLO: str = "L") -> Any:
    """(eigenvalues, eigenvectors) of Hermitian matrices A = V diag(L) V^H, (..., N, N).

    The eigenvalues (..., N) are real and in ascending order, the eigenvectors the columns of
    (..., N, N), determined up to a sign or phase. Only the triangle `UPLO` is read. The gradient of
    eigenvectors needs distinct eigenvalues, and a loss that doesn't depend on their phases. By
    LAPACK's ``heevd``, also in compiled programs. Follows `torch.linalg.eigh`.

    >>> ag.linalg.eigh(ag.tensor([[2.0, 1.0], [1.0, 2.0]])).eigenvalues
    tensor([1., 3.])
    """
    return Eigen(*ops.linalg_eigh(A, _lower("eigh", UPLO)))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of Hermitian matrices, in ascending order; see `eigh`.

    >>> ag.linalg.eigvalsh(ag.tensor([[2.0, 1.0], [1.0, 2.0]]))
    tensor([1., 3.])
    """
    return ops.linalg_eigh(A, _lower("eigvalsh", UPLO))[0]


def eig(A: Any) -> Any:
    """(eigenvalues, eigenvectors) of square matrices: A V = V diag(L), complex numbers.

    The eigenvectors, the columns of V, have norm 1 and are determined up to a phase. The gradient
    needs distinct eigenvalues, and a loss that doesn't depend on phases. By LAPACK's ``geev``, also
    in compiled programs. Follows `torch.linalg.eig`.

    >>> ag.linalg.eig(ag.tensor([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues
    tensor([0.+1.j, 0.-1.j])
    """
    return Eigen(*ops.linalg_eig(A))


def eigvals(A: Any) -> Any:
    """The eigenvalues of square matrices, complex numbers in no particular order; see `eig`.

    >>> ag.linalg.eigvals(ag.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    tensor([0.+1.j, 0.-1.j])
    """
    return ops.linalg_eig(A)[0]


def svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """(U, S, Vh) of A = U diag(S) Vh, the singular value decomposition of A (..., M, N).

    S holds the K = min(M, N) singular values in descending order. The columns of U (..., M, M) and
    the rows of Vh (..., N, N) are orthonormal bases; with ``full_matrices=False`` only the first K
    of each are given. They are determined up to their signs, and those after the K-th not at all:
    no gradient flows through them. By LAPACK's ``gesdd``, also in compiled programs; `driver`
    chooses between routines of CUDA, so here there is none. Follows `torch.linalg.svd`.

    >>> U, S, Vh = ag.linalg.svd(ag.tensor([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]]))
    >>> U.shape, S
    (argand.Size([3, 3]), tensor([4., 3.]))
    """
    _no_driver("svd", driver)
    return SVD(*ops.linalg_svd(A, full_matrices))


def _no_driver(name: str, driver: str | None) -> None:
    if driver is not None:
        raise ArgumentError(f"{name}: driver chooses between routines of CUDA; leave it out")


def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """The singular values of matrices, in descending order; see `svd`.

    >>> ag.linalg.svdvals(ag.tensor([[3.0, 0.0], [0.0, -4.0]]))
    tensor([4., 3.])
    """
    _no_driver("svdvals", driver)
    return ops.linalg_svd(A, False)[1]


def svd_lowrank(A: Any, q: int | None = 6, niter: int = 2, M: Any = None) -> Any:
    """(U, S, V) of the q largest singular values of A, or of A - M, about: A = U diag(S) V^H.

    By products with a random matrix and `niter` iterations of the subspace (Halko et al., 2009).
    Follows `torch.svd_lowrank`.

    >>> ag.svd_lowrank(ag.ones(4, 3), q=1).S
    tensor([3.4641])
    """
    A = A if M is None else ops.sub(A, M)
    m, n = A.shape[-2:]
    q = 6 if q is None else q
    if not 0 <= q <= min(m, n):
        raise ArgumentError(f"svd_lowrank: q must be between 0 and {min(m, n)}, got {q}")
    if m < n:
        V, S, U = svd_lowrank(adjoint(A), q, niter)
        return USV(U, S, V)
    high = adjoint(A)
    Q = ops.linalg_qr(A @ _random(n, q, A.dtype))[0]
    for _ in range(niter):
        Q = ops.linalg_qr(A @ ops.linalg_qr(high @ Q)[0])[0]
    U, S, Vh = ops.linalg_svd(adjoint(Q) @ A, False)
    return USV(Q @ U, S, adjoint(Vh))


def _random(rows: int, columns: int, dtype: DType) -> Any:
    """Normal random numbers, also complex ones."""
    drawn = randn(rows, columns, dtype=dtype.to_real())
    if not dtype.is_complex:
        return drawn
    return ops.complex(drawn, randn(rows, columns, dtype=dtype.to_real()))


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> Any:
    """(U, S, V) of the q principal components of the rows of A (..., M, N), about.

    That is `svd_lowrank` of A without its columns' means (with them unless `center`); q is
    min(6, M, N) unless given. Follows `torch.pca_lowrank`.

    >>> ag.pca_lowrank(ag.tensor([[1.0, 1.0], [3.0, 3.0]]), q=1).S
    tensor([2.])
    """
    m, n = A.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ArgumentError(f"pca_lowrank: q must be between 0 and {min(m, n)}, got {q}")
    if niter < 0:
        raise ArgumentError(f"pca_lowrank: niter must be at least 0, got {niter}")
    if center:
        A = A - A.mean(-2, keepdim=True)
    return svd_lowrank(A, q, niter)


def matrix_exp(A: Any) -> Any:
    """The sum of A^k / k! over k, the exponential of square matrices (..., N, N).

    By scaling and squaring of a Padé approximant (Higham, 2005), computed in 64 bits and rounded
    once. Follows `torch.linalg.matrix_exp`.

    >>> ag.linalg.matrix_exp(ag.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    wide = compute_dtype(A.dtype)
    if wide is A.dtype:
        return ops.linalg_matrix_exp(A)
    return ops.cast(ops.linalg_matrix_exp(ops.cast(A, wide)), A.dtype)


# -- ranks and norms -------------------------------------------------------------------------------


def matrix_rank(
    A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Any:
    """How many singular values exceed max(atol, rtol * the largest), as int64 (...).

    Each tolerance is a number or a tensor (...). `rtol` is eps * max(M, N) unless given, and 0
    beside an atol > 0; `tol` is an older name of atol. With `hermitian` the eigenvalues' sizes take
    the place of singular values. Follows `torch.linalg.matrix_rank`.

    >>> ag.linalg.matrix_rank(ag.ones(3, 3))
    tensor(1)
    """
    if A.ndim < 2:
        raise ShapeError(f"matrix_rank: {describe(A)}: expected at least 2 dimensions")
    if tol is not None:
        atol, rtol = tol, 0.0
    low, share = tolerances(A, atol, rtol)
    A = A.detach()
    sizes = ops.abs(ops.linalg_eigh(A)[0]) if hermitian else ops.linalg_svd(A, False)[1]
    if not min(A.shape[-2:]):
        return ops.full(tuple(A.shape[:-2]), 0, int64)
    least = ops.maximum(low, ops.mul(share, ops.amax(sizes, -1)))
    return ops.sum(ops.gt(sizes, least[..., None]), -1)


def cond(A: Any, p: Any = None) -> Any:
    """|A| |A^-1| of matrices: how much a system that they define enlarges relative errors.

    `p` names a norm of `matrix_norm`; None and 2 mean the ratio of the largest and the smallest
    singular value, -2 its reciprocal. Others need square matrices; a singular one gives inf.
    Follows `torch.linalg.cond`.

    >>> ag.linalg.cond(ag.tensor([[4.0, 0.0], [0.0, 2.0]]))
    tensor(2.)
    """
    if A.ndim < 2:
        raise ShapeError(f"cond: {describe(A)}: expected at least 2 dimensions")
    if p in (None, 2, -2):
        if not min(A.shape[-2:]):
            return ops.full(tuple(A.shape[:-2]), 0, A.dtype.to_real())
        sizes = ops.linalg_svd(A, False)[1]
        ratio = ops.div(sizes[..., 0], sizes[..., -1])
        return ops.reciprocal(ratio) if p == -2 else ratio
    if A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"cond: {describe(A)}: this norm needs square matrices (..., N, N)")
    inverse, info = inv_ex(A)
    found = ops.mul(matrix_norm(A, p), matrix_norm(inverse, p))
    return ops.where(ops.ne(info, 0), math.inf, found)


def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of the matrices of the two dimensions `dim`, of which the first counts rows.

    `ord` is "fro" (the root of the sum of squares), "nuc" (the sum of the singular values), 2 or -2
    (the largest or smallest of these), 1 or -1 (the largest or smallest column sum of |A|), inf or
    -inf (the same of rows). Raises ArgumentError for another. Follows `torch.linalg.matrix_norm`.

    >>> A = ag.tensor([[3.0, -4.0], [6.0, 8.0]])
    >>> ag.linalg.matrix_norm(A), ag.linalg.matrix_norm(A, 1), ag.linalg.matrix_norm(A, 2)
    (tensor(11.1803), tensor(12.), tensor(10.1256))
    """
    if not isinstance(dim, list | tuple) or len(dim) != 2:
        raise ArgumentError(f"matrix_norm: dim must be a pair of dimensions, got {dim!r}")
    if A.ndim < 2:
        raise ShapeError(f"matrix_norm: {describe(A)}: expected at least 2 dimensions")
    if not A.dtype.is_inexact:
        raise DTypeError(f"matrix_norm: not defined for {A.dtype.name}; convert with .float()")
    first, second = (normalize_dim(d, A.ndim, "matrix_norm") for d in dim)
    if first == second:
        raise ArgumentError(f"matrix_norm: dim must be two dimensions, got {dim!r}")
    if dtype is not None:
        A = ops.cast(A, as_dtype(dtype))
    if isinstance(ord, str) and ord == "fro":
        return vector_norm(A, 2, tuple(dim), keepdim)
    A = movedim(A, (first, second), (-2, -1))
    if ord in (1, -1, math.inf, -math.inf):
        sizes = vector_norm(A, 1, -2 if abs(ord) == 1 else -1)
    elif ord in (2, -2, "nuc"):
        sizes = ops.linalg_svd(A, False)[1]
    else:
        raise ArgumentError(f"matrix_norm: ord must be 'fro', 'nuc', inf, 1 or 2, got {ord!r}")
    reduce = ops.sum if ord == "nuc" else ops.amax if ord > 0 else ops.amin
    found = reduce(sizes, -1)
    return movedim(found[..., None, None], (-2, -1), (first, second)) if keepdim else found


def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """The slices along `dim` whose p-norm exceeds `maxnorm` scaled down to it.

    Raises ArgumentError for p or maxnorm below 0. Follows `torch.renorm`.

    >>> ag.renorm(ag.tensor([[3.0, 4.0], [0.3, 0.4]]), p=2, dim=0, maxnorm=1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    if not p > 0 or maxnorm < 0 or not input.dtype.is_inexact or input.ndim < 2:
        raise ArgumentError(
            f"renorm: expected p > 0, maxnorm >= 0 and at least 2 dimensions of floats, got {p}, "
            f"{maxnorm} and {describe(input)}"
        )
    d = normalize_dim(dim, input.ndim, "renorm")
    others = tuple(i for i in range(input.ndim) if i != d)
    length = vector_norm(input, p, others, True)
    scale = ops.div(maxnorm, ops.add(length, 1e-7))
    return ops.mul(input, ops.where(ops.gt(length, maxnorm), scale, 1.0))
