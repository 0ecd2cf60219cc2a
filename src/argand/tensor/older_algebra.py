"""Linear algebra by the names that PyTorch had before `torch.linalg`."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ShapeError
from argand.ir.op import describe, ops
from argand.tensor import factors, spectra, systems
from argand.tensor.results import QR, USV, LUFactors, LUInfo, TriangularSolution
from argand.tensor.shaping import adjoint, broadcast_to, transpose


def cholesky(input: Any, upper: bool = False) -> Any:
    """The Cholesky factor of matrices; see `linalg.cholesky`.

    >>> ag.cholesky(ag.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    return factors.cholesky(input, upper=upper)


def det(input: Any) -> Any:
    """The determinant of square matrices; see `linalg.det`.

    >>> ag.det(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    return systems.det(input)


def slogdet(input: Any) -> Any:
    """(sign, logabsdet) of square matrices; see `linalg.slogdet`.

    >>> ag.slogdet(ag.tensor([[-1.0]])).sign
    tensor(-1.)
    """
    return systems.slogdet(input)


def matrix_exp(input: Any) -> Any:
    """The exponential of square matrices; see `linalg.matrix_exp`.

    >>> ag.matrix_exp(ag.zeros(1, 1))
    tensor([[1.]])
    """
    return spectra.matrix_exp(input)


def inverse(input: Any) -> Any:
    """The inverses of square matrices; see `linalg.inv`.

    >>> ag.inverse(ag.tensor([[4.0]]))
    tensor([[0.2500]])
    """
    return ops.linalg_inv(input)


def orgqr(input: Any, tau: Any) -> Any:
    """Q of the QR that `geqrf` gives; see `linalg.householder_product`.

    >>> ag.orgqr(ag.tensor([[1.0], [0.0]]), ag.tensor([2.0]))
    tensor([[-1.],
            [ 0.]])
    """
    return factors.householder_product(input, tau)


def qr(input: Any, some: bool = True) -> Any:
    """(Q, R) of matrices, reduced, or complete unless `some`; see `linalg.qr`.

    >>> abs(ag.qr(ag.tensor([[3.0], [4.0]])).R)
    tensor([[5.]])
    """
    return QR(*ops.linalg_qr(input, "reduced" if some else "complete"))


def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, V) of matrices U diag(S) V^H, with whole bases unless `some`; see `linalg.svd`.

    Without `compute_uv` U and V are zeros, of whole bases.

    >>> ag.svd(ag.tensor([[3.0, 0.0], [0.0, -4.0]])).S
    tensor([4., 3.])
    """
    if not compute_uv:
        *batch, m, n = input.shape
        zeros = (ops.full((*batch, k, k), 0, input.dtype) for k in (m, n))
        U, V = zeros
        return USV(U, ops.linalg_svd(input, False)[1], V)
    U, S, Vh = ops.linalg_svd(input, not some)
    return USV(U, S, adjoint(Vh))


def lu(A: Any, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """(LU, pivots), and with `get_infos` info too; see `linalg.lu_factor`.

    >>> ag.lu(ag.tensor([[1.0, 2.0], [2.0, 6.0]]))[1]
    tensor([2, 2], dtype=argand.int32)
    """
    found = factors.lu_factor_ex(A, pivot=pivot, check_errors=not get_infos)
    return LUInfo(*found) if get_infos else LUFactors(*found[:2])


def lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """The X of A @ X = b, for what `lu` gives of A; see `linalg.lu_solve`.

    >>> ag.lu_solve(ag.tensor([[5.0], [14.0]]), *ag.lu(ag.tensor([[1.0, 2.0], [2.0, 6.0]])))
    tensor([[1.],
            [2.]])
    """
    return factors.lu_solve(LU_data, LU_pivots, b)


def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """(solution, a copy of A) of A @ X = b for a triangular A, or its transpose.

    See `linalg.solve_triangular`.

    >>> ag.triangular_solve(ag.tensor([[4.0], [8.0]]), ag.tensor([[2.0, 1.0], [0.0, 4.0]])).solution
    tensor([[1.],
            [2.]])
    """
    if b.ndim < 2 or A.ndim < 2:
        raise ShapeError(f"triangular_solve: {describe(b, A)}: expected at least 2 dimensions")
    whole = _transposed(A) if transpose else A
    found = ops.linalg_solve_triangular(
        whole, b, upper=bool(upper) != bool(transpose), unitriangular=unitriangular
    )
    copied = broadcast_to(A, (*found.shape[:-2], *A.shape[-2:])).clone()
    return TriangularSolution(found, copied)


def _transposed(A: Any) -> Any:
    return transpose(A, -2, -1)
