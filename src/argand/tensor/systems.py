"""Linear systems: inverses, solutions, determinants, least squares."""

from __future__ import annotations

import math
from typing import Any

from argand.base.dtype import float64, int64
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import normalize_dims, same_shape
from argand.ir.elementwise import is_number
from argand.ir.op import describe, ops
from argand.tensor.creation import empty
from argand.tensor.elementary import finfo
from argand.tensor.factors import identity_like, lu_solve
from argand.tensor.joining import sliced
from argand.tensor.results import InverseInfo, LeastSquares, ResultInfo, SignLog
from argand.tensor.shaping import adjoint, movedim


def inv(A: Any) -> Any:
    """The B of A @ B = the identity: the inverses of square matrices (..., N, N).

    Raises LinAlgError for a singular matrix, ShapeError for one that isn't square, DTypeError for
    integers and 16-bit floats. To solve A X = B, `solve` is faster and more accurate. By LAPACK's
    ``gesv``, also in compiled programs. Follows `torch.linalg.inv`.

    >>> ag.linalg.inv(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[-2.0000,  1.0000],
            [ 1.5000, -0.5000]])
    """
    return ops.linalg_inv(A)


def inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """(inverse, info): `linalg.inv` of matrices that may be singular.

    `info` (int32) is 0, or the number of the first pivot of LU that is 0; then the inverse holds
    inf and nan. Raises LinAlgError only with `check_errors`. Follows `torch.linalg.inv_ex`.

    >>> ag.linalg.inv_ex(ag.ones(2, 2)).info
    tensor(2, dtype=argand.int32)
    """
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"{describe(A)}: expected square matrices (..., N, N)")
    LU, pivots, info = ops.linalg_lu_factor(A, check_errors)
    found = lu_solve(LU, pivots, identity_like(A.shape[-2], A.shape[-1], A))
    return InverseInfo(found, info)


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """The X of A @ X = B, for A (..., N, N) and B (..., N, K), or (N,) for a single vector.

    Unless `left`, the X of X @ A = B. B of the shape of A without its last dimension is a batch of
    vectors too; otherwise the batch dimensions broadcast. Raises LinAlgError for a singular matrix,
    ShapeError for one that isn't square, DTypeError for integers and 16-bit floats. By LAPACK's
    ``gesv``, also in compiled programs. Follows `torch.linalg.solve`.

    >>> ag.linalg.solve(ag.tensor([[2.0, 1.0], [0.0, 4.0]]), ag.tensor([4.0, 8.0]))
    tensor([1., 2.])
    """
    if left:
        return ops.linalg_solve(A, B)
    if _is_vector(A, B):
        raise ShapeError(f"solve: {describe(A, B)}: left=False takes no vectors")
    return adjoint(ops.linalg_solve(adjoint(A), adjoint(B)))


def _is_vector(A: Any, B: Any) -> bool:
    return bool(B.ndim == 1 or (B.ndim == A.ndim - 1 and same_shape(B.shape, A.shape[:-1])))


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """(result, info): `linalg.solve` of matrices that may be singular.

    `info` (int32) is 0, or the number of the first pivot of LU that is 0; then the result holds inf
    and nan. Raises LinAlgError only with `check_errors`. Follows `torch.linalg.solve_ex`.

    >>> ag.linalg.solve_ex(ag.ones(2, 2), ag.ones(2)).info
    tensor(2, dtype=argand.int32)
    """
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"{describe(A)}: expected square matrices (..., N, N)")
    vector = left and _is_vector(A, B)
    LU, pivots, info = ops.linalg_lu_factor(A, check_errors)
    found = lu_solve(LU, pivots, B[..., None] if vector else B, left=left)
    return ResultInfo(found[..., 0] if vector else found, info)


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """The X of A @ X = B, or X @ A = B unless `left`, for a triangular A (..., N, N).

    Only the upper (or lower) triangle is read; with `unitriangular` its diagonal counts as ones. A
    zero on the diagonal gives inf or nan. Batch dimensions broadcast. Follows
    `torch.linalg.solve_triangular`.

    >>> A = ag.tensor([[2.0, 1.0], [0.0, 4.0]])
    >>> ag.linalg.solve_triangular(A, ag.tensor([[4.0], [8.0]]), upper=True)
    tensor([[1.],
            [2.]])
    """
    if A.ndim < 2 or B.ndim < 2:
        raise ShapeError(f"solve_triangular: {describe(A, B)}: expected at least 2 dimensions")
    if left:
        return ops.linalg_solve_triangular(A, B, upper=upper, unitriangular=unitriangular)
    found = ops.linalg_solve_triangular(
        adjoint(A), adjoint(B), upper=not upper, unitriangular=unitriangular
    )
    return adjoint(found)


# -- determinants ----------------------------------------------------------------------------------


def det(A: Any) -> Any:
    """The determinant of square matrices (..., N, N); 1 for N = 0.

    Singular matrices have a gradient too, but no second one. By LAPACK's ``getrf``, also in
    compiled programs. Follows `torch.linalg.det`.

    >>> ag.linalg.det(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    return ops.linalg_det(A)


def slogdet(A: Any) -> Any:
    """(sign, logabsdet): the determinant's sign, or phase, and the logarithm of its absolute value.

    Of a singular matrix 0 and -inf. Follows `torch.linalg.slogdet`.

    >>> ag.linalg.slogdet(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    SignLog(sign=tensor(-1.), logabsdet=tensor(0.6931))
    """
    return SignLog(*ops.linalg_slogdet(A))


def logdet(input: Any) -> Any:
    """The logarithm of the determinant: nan where it is negative, -inf where it is 0.

    >>> ag.logdet(ag.tensor([[2.0, 0.0], [0.0, 3.0]]))
    tensor(1.7918)
    """
    sign, size = ops.linalg_slogdet(input)
    if sign.dtype.is_complex:
        return ops.add(ops.log(sign), size)
    return ops.where(ops.lt(sign, 0), math.nan, size)


# -- pseudoinverses and least squares --------------------------------------------------------------


def tolerances(A: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """Both tolerances as tensors; by default eps times the larger size, relative to the largest."""
    default = finfo(A.dtype).eps * max(A.shape[-2:])
    if rtol is None and atol is not None:
        small = ops.gt(_tolerance(A, atol), 0)
        return _tolerance(A, atol), ops.where(small, 0.0, ops.full((), default, float64))
    return _tolerance(A, 0.0 if atol is None else atol), _tolerance(
        A, default if rtol is None else rtol
    )


def _tolerance(A: Any, value: Any) -> Any:
    if is_number(value):
        return ops.full((), float(value), float64)
    if value.dtype.is_complex:
        raise DTypeError(f"a tolerance must be real, got {value.dtype.name}")
    return ops.cast(value, float64)


def pinv(
    A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Any:
    """The pseudoinverse (..., N, M) of matrices (..., M, N), of Moore and Penrose.

    Singular values of at most max(atol, rtol * the largest) count as 0; each is a number or a
    tensor (...). `rtol` (or `rcond`) is eps * max(M, N) unless given, and 0 beside an atol > 0.
    With `hermitian` the eigenvalues of the lower triangle take the place of singular values.
    Follows `torch.linalg.pinv`.

    >>> ag.linalg.pinv(ag.tensor([[2.0, 0.0], [0.0, 0.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    if A.ndim < 2:
        raise ShapeError(f"pinv: {describe(A)}: expected at least 2 dimensions")
    return ops.linalg_pinv(A, *tolerances(A, atol, rcond if rtol is None else rtol), hermitian)


def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """`linalg.pinv` with a relative tolerance of 1e-15.

    >>> ag.pinverse(ag.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return pinv(input, rcond)


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def lstsq(A: Any, B: Any, rcond: Any = None, *, driver: str | None = None) -> Any:
    """(solution, residuals, rank, singular_values) of the X with the least |A @ X - B|.

    Of those the X with the least norm. A is (..., M, N), B (..., M, K), or (..., M) as a batch of
    vectors. Singular values of at most `rcond` (eps * max(M, N)) times the largest count as 0. As
    by LAPACK's `driver`, ``gelsy`` unless given: all but ``gels`` have a rank, ``gelsd`` and
    ``gelss`` singular values, and all but ``gelsy`` residuals, where M > N and the rank is N.
    Follows `torch.linalg.lstsq`.

    >>> A = ag.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> ag.linalg.lstsq(A, ag.tensor([[1.0], [3.0], [5.0]])).solution
    tensor([[1.0000],
            [2.0000]])
    """
    driver = "gelsy" if driver is None else driver
    if driver not in _DRIVERS:
        raise ArgumentError(f"lstsq: driver must be one of {', '.join(_DRIVERS)}, got {driver!r}")
    if A.ndim < 2 or B.ndim < 1 or A.dtype is not B.dtype:
        raise ShapeError(f"lstsq: {describe(A, B)}: expected (..., M, N) and (..., M, K)")
    vector = _is_vector(A, B) and A.ndim == B.ndim + 1
    B = B[..., None] if vector else B
    if B.ndim < 2 or A.shape[-2] != B.shape[-2]:
        raise ShapeError(f"lstsq: {describe(A, B)}: rows differ")
    m, n = A.shape[-2:]
    limit = finfo(A.dtype).eps * max(m, n) if rcond is None else rcond
    X = ops.matmul(ops.linalg_pinv(A, *tolerances(A, None, limit)), B)
    real = A.dtype.to_real()
    residuals = sliced(
        ops.reshape(ops.real(X) if A.dtype.is_complex else X, (-1,)), 0, 0, 0
    )  # on the tape as X is
    values, rank = empty(0, dtype=real), empty(0, dtype=int64)
    if driver != "gels":
        sizes = ops.linalg_svd(A.detach(), False)[1]
        least = ops.mul(ops.amax(sizes, -1, keepdim=True), limit) if min(m, n) else 0.0
        rank = ops.sum(ops.gt(sizes, least), -1)
        values = sizes if driver in ("gelsd", "gelss") else values
    if m > n and driver != "gelsy" and (driver == "gels" or bool((rank == n).all())):
        gaps = ops.abs(ops.sub(ops.matmul(A, X), B))
        residuals = ops.sum(ops.square(gaps), -2)
    return LeastSquares(X[..., 0] if vector else X, residuals, rank, values)


# -- systems of tensors ----------------------------------------------------------------------------


def tensorinv(A: Any, ind: int = 2) -> Any:
    """The inverse of A as a function of its last dimensions: tensordot(tensorinv(A), B, ind).

    The product of A's first `ind` sizes equals that of the others. Follows
    `torch.linalg.tensorinv`.

    >>> ag.linalg.tensorinv(ag.eye(4).reshape(2, 2, 4)).shape
    argand.Size([4, 2, 2])
    """
    if ind <= 0:
        raise ArgumentError(f"tensorinv: ind must be at least 1, got {ind}")
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    rows, columns = math.prod(first), math.prod(last)
    if rows != columns:
        raise ShapeError(f"tensorinv: {describe(A)}: {rows} rows and {columns} columns")
    return ops.reshape(ops.linalg_inv(ops.reshape(A, (rows, columns))), (*last, *first))


def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """The X of tensordot(A, X, X.ndim) = B, for A of the shape of B followed by that of X.

    `dims` names dimensions of A to move to the end first. Follows `torch.linalg.tensorsolve`.

    >>> ag.linalg.tensorsolve(ag.eye(4).reshape(2, 2, 4), ag.ones(2, 2))
    tensor([1., 1., 1., 1.])
    """
    if dims is not None:
        places = normalize_dims(dims, A.ndim, "tensorsolve")
        A = movedim(A, places, tuple(range(A.ndim - len(places), A.ndim)))
    tail = tuple(A.shape[B.ndim :])
    rows, columns = math.prod(B.shape), math.prod(tail)
    if math.prod(A.shape) != rows * rows or rows != columns:
        raise ShapeError(f"tensorsolve: {describe(A, B)}: expected A of B's shape, then that of X")
    flat = ops.reshape(A, (rows, columns))
    return ops.reshape(ops.linalg_solve(flat, ops.reshape(B, (rows,))), tail)
