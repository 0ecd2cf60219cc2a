"""Factors of matrices: Cholesky, QR, LU and LDL, and what is solved with them."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import int32, int64
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import broadcast_shapes, same_shape
from argand.ir.op import describe, ops
from argand.tensor.arranging import tril, triu
from argand.tensor.creation import empty, zeros
from argand.tensor.joining import cat, sliced
from argand.tensor.results import (
    PLU,
    QR,
    CholeskyInfo,
    Geqrf,
    LDLFactors,
    LDLInfo,
    LUFactors,
    LUInfo,
)
from argand.tensor.shaping import adjoint, broadcast_to


def identity_like(rows: Any, columns: Any, like: Any) -> Any:
    """Ones on the diagonal of a matrix of the dtype of `like`."""
    i = ops.reshape(ops.arange(0, 1, rows, int64), (rows, 1))
    return ops.cast(ops.eq(i, ops.arange(0, 1, columns, int64)), like.dtype)


# -- Cholesky --------------------------------------------------------------------------------------


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangular L of A = L @ L^H, of a Hermitian positive-definite matrix (..., N, N).

    Only the lower triangle of A is read; with `upper` the upper one, which gives L^H. Raises
    LinAlgError where A isn't positive definite. By LAPACK's ``potrf``, also in compiled programs.
    Follows `torch.linalg.cholesky`.

    >>> ag.linalg.cholesky(ag.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    return ops.linalg_cholesky(A, upper)


def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """(L, info): `linalg.cholesky` of matrices that may not be positive definite.

    `info` (int32) is 0, or the order of the first leading part that isn't; then L is NaN. Raises
    LinAlgError only with `check_errors`. Follows `torch.linalg.cholesky_ex`.

    >>> ag.linalg.cholesky_ex(ag.tensor([[4.0, 2.0], [2.0, 1.0]])).info
    tensor(2, dtype=argand.int32)
    """
    if check_errors:
        return CholeskyInfo(cholesky(A, upper=upper), zeros(A.shape[:-2], dtype=int32))
    return CholeskyInfo(*ops.linalg_cholesky_ex(A, upper))


def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """The X of A @ X = B, for the factor L of A = L @ L^H, or with `upper` of A = L^H @ L.

    >>> ag.cholesky_solve(ag.tensor([[8.0]]), ag.tensor([[2.0]]))
    tensor([[2.]])
    """
    if B.ndim < 2 or L.ndim < 2:
        raise ShapeError(f"cholesky_solve: {describe(B, L)}: expected at least 2 dimensions")
    low = adjoint(L) if upper else L
    first = ops.linalg_solve_triangular(low, B, upper=False)
    return ops.linalg_solve_triangular(adjoint(low), first, upper=True)


def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """The inverse of A, for its factor L of A = L @ L^H, or with `upper` of A = L^H @ L.

    >>> ag.cholesky_inverse(ag.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    if L.ndim < 2:
        raise ShapeError(f"cholesky_inverse: {describe(L)}: expected at least 2 dimensions")
    return cholesky_solve(identity_like(L.shape[-2], L.shape[-1], L), L, upper)


# -- QR --------------------------------------------------------------------------------------------


def qr(A: Any, mode: str = "reduced") -> Any:
    """(Q, R) of A = Q R, for A (..., M, N): orthonormal columns, and an upper triangular matrix.

    With K = min(M, N), the `mode` "reduced" gives Q (..., M, K) and R (..., K, N), "complete"
    (..., M, M) and (..., M, N), "r" an empty Q and the R of "reduced". Columns of Q may have
    another sign elsewhere. Gradients need "reduced", or M <= N, and linearly independent first K
    columns. By LAPACK's ``geqrf``, also in compiled programs. Follows `torch.linalg.qr`.

    >>> Q, R = ag.linalg.qr(ag.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> abs(R[0, 0]), ag.allclose(Q @ R, ag.tensor([[3.0, 1.0], [4.0, 2.0]]), atol=1e-5)
    (tensor(5.), True)
    """
    return QR(*ops.linalg_qr(A, mode))


def geqrf(input: Any) -> Any:
    """(a, tau): QR in LAPACK's form, reflectors below the diagonal of R and their factors.

    Without a gradient. Follows `torch.geqrf`.

    >>> a, tau = ag.geqrf(ag.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> ag.allclose(abs(ag.linalg.householder_product(a, tau)[0, 0]), ag.tensor(0.6))
    True
    """
    return Geqrf(*ops.linalg_geqrf(input))


def householder_product(A: Any, tau: Any) -> Any:
    """The first N columns of H0 @ H1 @ ..., with Hi = 1 - tau[i] v v^H and v of the column i of A.

    v is A's column below the diagonal, 1 on it, and 0 above; A is (..., M, N) with M >= N, tau
    (..., K) with K <= N. Follows `torch.linalg.householder_product`.

    >>> ag.linalg.householder_product(ag.tensor([[1.0], [0.0]]), ag.tensor([2.0]))
    tensor([[-1.],
            [ 0.]])
    """
    _check_reflectors("householder_product", A, tau)
    if A.shape[-1] > A.shape[-2]:
        raise ShapeError(f"householder_product: {describe(A)}: more columns than rows")
    start = broadcast_to(identity_like(A.shape[-2], A.shape[-1], A), tuple(A.shape))
    if not tau.shape[-1]:  # on the tape as A is
        return cat([sliced(A, A.ndim - 1, 0, 0), start], -1)
    return _reflected(A, tau, start, adjoint_too=False)


def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """Q @ other, or other @ Q unless `left`, with the Q (M, M) that (input, tau) of `geqrf` stand
    for; with `transpose` its adjoint.

    Follows `torch.ormqr`.

    >>> ag.ormqr(ag.tensor([[1.0], [0.0]]), ag.tensor([2.0]), ag.ones(2, 1))
    tensor([[-1.],
            [ 1.]])
    """
    _check_reflectors("ormqr", input, tau)
    if other.ndim != input.ndim or other.dtype is not input.dtype:
        raise ShapeError(f"ormqr: {describe(input, tau, other)}: ranks and dtypes must agree")
    rows = other.shape[-2 if left else -1]
    if rows != input.shape[-2] or not same_shape(other.shape[:-2], input.shape[:-2]):
        raise ShapeError(f"ormqr: {describe(input, tau, other)}: sizes don't fit")
    if left:
        return _reflected(input, tau, other, transpose)
    return adjoint(_reflected(input, tau, adjoint(other), not transpose))


def _check_reflectors(name: str, A: Any, tau: Any) -> None:
    if A.ndim < 2 or tau.ndim != A.ndim - 1 or not same_shape(tau.shape[:-1], A.shape[:-2]):
        raise ShapeError(f"{name}: {describe(A, tau)}: expected (..., M, N) and (..., K)")
    if tau.shape[-1] > min(A.shape[-2:]):
        raise ShapeError(f"{name}: {describe(A, tau)}: more factors than columns or rows")
    if A.dtype is not tau.dtype or not A.dtype.is_inexact:
        raise DTypeError(f"{name}: {describe(A, tau)}: expected one floating-point dtype")


def _reflected(A: Any, tau: Any, x: Any, adjoint_too: bool) -> Any:
    """H0 @ H1 @ ... @ x; with `adjoint_too` the adjoint of that product of reflections."""
    count = tau.shape[-1]
    ones = tril(A, -1) + identity_like(A.shape[-2], A.shape[-1], A)
    for i in range(count) if adjoint_too else reversed(range(count)):
        v, factor = sliced(ones, A.ndim - 1, i, i + 1), tau[..., i, None, None]
        factor = ops.conj(factor) if adjoint_too else factor
        x = x - factor * (v @ (adjoint(v) @ x))
    return x


# -- LU --------------------------------------------------------------------------------------------


def _pivoting(name: str, pivot: bool) -> None:
    if not pivot:
        raise ArgumentError(f"{name}: without pivots LU is not available on the CPU")


def lu_factor(A: Any, *, pivot: bool = True) -> Any:
    """(LU, pivots) of A = P L U, for A (..., M, N): L and U in one matrix, and exchanges of rows.

    L is below the diagonal of `LU`, its own diagonal of ones isn't stored. Row i was exchanged with
    row pivots[i] - 1 (int32). Raises LinAlgError for a pivot of 0. Follows
    `torch.linalg.lu_factor`.

    >>> ag.linalg.lu_factor(ag.tensor([[1.0, 2.0], [2.0, 6.0]]))
    LUFactors(LU=tensor([[ 2.0000,  6.0000],
            [ 0.5000, -1.0000]]), pivots=tensor([2, 2], dtype=argand.int32))
    """
    _pivoting("lu_factor", pivot)
    return LUFactors(*ops.linalg_lu_factor(A, True)[:2])


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """(LU, pivots, info): `linalg.lu_factor` of matrices that may be singular.

    `info` (int32) is 0, or the number of the first pivot that is 0. Raises LinAlgError only with
    `check_errors`. Follows `torch.linalg.lu_factor_ex`.

    >>> ag.linalg.lu_factor_ex(ag.ones(2, 2)).info
    tensor(2, dtype=argand.int32)
    """
    _pivoting("lu_factor_ex", pivot)
    return LUInfo(*ops.linalg_lu_factor(A, check_errors))


def lu(A: Any, *, pivot: bool = True) -> Any:
    """(P, L, U) of A = P @ L @ U: a permutation, a lower triangle with ones, an upper triangle.

    For A (..., M, N) and K = min(M, N) these are (..., M, M), (..., M, K) and (..., K, N). Follows
    `torch.linalg.lu`.

    >>> P, L, U = ag.linalg.lu(ag.tensor([[1.0, 2.0], [2.0, 6.0]]))
    >>> L, U
    (tensor([[1.0000, 0.0000],
            [0.5000, 1.0000]]), tensor([[ 2.,  6.],
            [ 0., -1.]]))
    """
    _pivoting("lu", pivot)
    LU, pivots, _ = ops.linalg_lu_factor(A)
    return lu_unpack(LU, pivots)


def lu_unpack(
    LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    """(P, L, U) of what `linalg.lu_factor` gives; empty tensors for what isn't asked for.

    Follows `torch.lu_unpack`.

    >>> ag.lu_unpack(*ag.linalg.lu_factor(ag.tensor([[1.0, 2.0], [2.0, 6.0]]))).P
    tensor([[0., 1.],
            [1., 0.]])
    """
    if LU_data.ndim < 2 or not LU_data.dtype.is_inexact:
        raise ShapeError(f"lu_unpack: {describe(LU_data)}: expected float matrices")
    _check_pivots("lu_unpack", LU_data, LU_pivots)
    rank, (m, n) = LU_data.ndim, LU_data.shape[-2:]
    k = min(m, n)
    P = L = U = empty(0, dtype=LU_data.dtype)
    if unpack_data:
        L = tril(sliced(LU_data, rank - 1, 0, k), -1) + identity_like(m, k, LU_data)
        U = triu(sliced(LU_data, rank - 2, 0, k))
    if unpack_pivots:
        order = ops.linalg_lu_permutation(LU_pivots, m)
        rows = ops.reshape(ops.arange(0, 1, m, int64), (m, 1))
        P = ops.cast(ops.eq(rows, order[..., None, :]), LU_data.dtype)
    return PLU(P, L, U)


def _check_pivots(name: str, LU: Any, pivots: Any) -> None:
    if pivots.dtype is not int32:
        raise DTypeError(f"{name}: pivots must be int32, got {pivots.dtype.name}")
    if not same_shape(pivots.shape, (*LU.shape[:-2], min(LU.shape[-2:]))):
        raise ShapeError(f"{name}: {describe(LU, pivots)}: expected (..., M, N) and (..., K)")


def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """The X of A @ X = B, or X @ A = B unless `left`, for what `linalg.lu_factor` gives of A.

    With `adjoint` the adjoint of A takes its place. Batch dimensions broadcast. Follows
    `torch.linalg.lu_solve`.

    >>> LU, pivots = ag.linalg.lu_factor(ag.tensor([[1.0, 2.0], [2.0, 6.0]]))
    >>> ag.linalg.lu_solve(LU, pivots, ag.tensor([[5.0], [14.0]]))
    tensor([[1.],
            [2.]])
    """
    if LU.ndim < 2 or LU.shape[-1] != LU.shape[-2] or B.ndim < 2 or LU.dtype is not B.dtype:
        raise ShapeError(f"lu_solve: {describe(LU, B)}: expected (..., N, N) and (..., N, K)")
    _check_pivots("lu_solve", LU, pivots)
    if B.shape[-2 if left else -1] != LU.shape[-1]:
        raise ShapeError(f"lu_solve: {describe(LU, B)}: sizes don't fit")
    if not left:
        return lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH
    batch = broadcast_shapes(LU.shape[:-2], B.shape[:-2], op="lu_solve")
    B = broadcast_to(B, (*batch, *B.shape[-2:]))
    order = ops.linalg_lu_permutation(pivots, LU.shape[-1])
    places = broadcast_to(ops.reshape(order, (*order.shape, 1)), tuple(B.shape))
    if not adjoint:
        first = ops.linalg_solve_triangular(
            LU, ops.gather(B, -2, places), upper=False, unitriangular=True
        )
        return ops.linalg_solve_triangular(LU, first, upper=True)
    high = LU.mH
    first = ops.linalg_solve_triangular(high, B, upper=False)
    found = ops.linalg_solve_triangular(high, first, upper=True, unitriangular=True)
    return ops.scatter(found, -2, places, found)


# -- LDL -------------------------------------------------------------------------------------------


def ldl_factor(A: Any, *, hermitian: bool = False) -> Any:
    """(LD, pivots) of a symmetric A = L D L^T, or with `hermitian` L D L^H, in LAPACK's form.

    D has blocks of 1 and 2 rows, for which `pivots` (int32) is positive and negative. Only the
    lower triangle is read. Without a gradient. By LAPACK's ``sytrf``, which needs SciPy
    (MissingExtraError without). Follows `torch.linalg.ldl_factor`.

    >>> ag.linalg.ldl_factor(ag.tensor([[2.0, 1.0], [1.0, 3.0]])).pivots
    tensor([1, 2], dtype=argand.int32)
    """
    return LDLFactors(*ops.linalg_ldl_factor(A, hermitian)[:2])


def ldl_factor_ex(A: Any, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """(LD, pivots, info): `linalg.ldl_factor`, and 0 or the number of a block of D that is 0.

    Follows `torch.linalg.ldl_factor_ex`.

    >>> ag.linalg.ldl_factor_ex(ag.zeros(2, 2)).info
    tensor(1, dtype=argand.int32)
    """
    return LDLInfo(*ops.linalg_ldl_factor(A, hermitian, check_errors))


def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False) -> Any:
    """The X of A @ X = B, for what `linalg.ldl_factor` gives of A; batch dimensions broadcast.

    Without a gradient. Follows `torch.linalg.ldl_solve`.

    >>> LD, pivots = ag.linalg.ldl_factor(ag.tensor([[2.0, 1.0], [1.0, 3.0]]))
    >>> ag.linalg.ldl_solve(LD, pivots, ag.tensor([[3.0], [4.0]]))
    tensor([[1.],
            [1.]])
    """
    if LD.ndim < 2 or B.ndim < 2:
        raise ShapeError(f"ldl_solve: {describe(LD, B)}: expected at least 2 dimensions")
    if pivots.dtype.name not in ("int32", "int64"):
        raise DTypeError(f"ldl_solve: pivots must be integers, got {pivots.dtype.name}")
    if not same_shape(pivots.shape, LD.shape[:-1]):
        raise ShapeError(f"ldl_solve: {describe(LD, pivots)}: expected (..., N, N) and (..., N)")
    return ops.linalg_ldl_solve(LD, ops.cast(pivots, int32), B, hermitian)
