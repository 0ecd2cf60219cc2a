"""The named results of linear algebra, by PyTorch's names of their fields."""

from __future__ import annotations

from typing import Any, NamedTuple


class SVD(NamedTuple):
    """(U, S, Vh) of A = U diag(S) Vh: what `linalg.svd` returns.

    >>> ag.linalg.svd(ag.tensor([[3.0, 0.0], [0.0, -4.0]])).S
    tensor([4., 3.])
    """

    U: Any
    S: Any
    Vh: Any


class USV(NamedTuple):
    """(U, S, V) of A = U diag(S) V^H: what `svd`, `svd_lowrank` and `pca_lowrank` return.

    >>> ag.svd(ag.tensor([[3.0, 0.0], [0.0, -4.0]])).S
    tensor([4., 3.])
    """

    U: Any
    S: Any
    V: Any


class Eigen(NamedTuple):
    """(eigenvalues, eigenvectors): what `linalg.eig` and `linalg.eigh` return.

    >>> ag.linalg.eigh(ag.tensor([[3.0, 0.0], [0.0, -4.0]])).eigenvalues
    tensor([-4.,  3.])
    """

    eigenvalues: Any
    eigenvectors: Any


class QR(NamedTuple):
    """(Q, R) of A = Q R: what `linalg.qr` returns.

    >>> abs(ag.linalg.qr(ag.tensor([[3.0], [4.0]])).R)
    tensor([[5.]])
    """

    Q: Any
    R: Any


class Geqrf(NamedTuple):
    """(a, tau): what `geqrf` returns.

    >>> abs(ag.geqrf(ag.tensor([[3.0], [4.0]])).a[0])
    tensor([5.])
    """

    a: Any
    tau: Any


class SignLog(NamedTuple):
    """(sign, logabsdet): what `linalg.slogdet` returns.

    >>> ag.linalg.slogdet(ag.tensor([[-1.0]])).sign
    tensor(-1.)
    """

    sign: Any
    logabsdet: Any


class CholeskyInfo(NamedTuple):
    """(L, info): what `linalg.cholesky_ex` returns.

    >>> ag.linalg.cholesky_ex(ag.tensor([[-1.0]])).info
    tensor(1, dtype=argand.int32)
    """

    L: Any
    info: Any


class InverseInfo(NamedTuple):
    """(inverse, info): what `linalg.inv_ex` returns.

    >>> ag.linalg.inv_ex(ag.tensor([[4.0]])).inverse
    tensor([[0.2500]])
    """

    inverse: Any
    info: Any


class ResultInfo(NamedTuple):
    """(result, info): what `linalg.solve_ex` returns.

    >>> ag.linalg.solve_ex(ag.tensor([[4.0]]), ag.tensor([[2.0]])).result
    tensor([[0.5000]])
    """

    result: Any
    info: Any


class LUFactors(NamedTuple):
    """(LU, pivots): what `linalg.lu_factor` returns.

    >>> ag.linalg.lu_factor(ag.tensor([[0.0, 1.0], [2.0, 3.0]])).pivots
    tensor([2, 2], dtype=argand.int32)
    """

    LU: Any
    pivots: Any


class LUInfo(NamedTuple):
    """(LU, pivots, info): what `linalg.lu_factor_ex` returns.

    >>> ag.linalg.lu_factor_ex(ag.tensor([[0.0, 0.0], [0.0, 3.0]])).info
    tensor(1, dtype=argand.int32)
    """

    LU: Any
    pivots: Any
    info: Any


class PLU(NamedTuple):
    """(P, L, U) of A = P L U: what `linalg.lu` returns.

    >>> ag.linalg.lu(ag.tensor([[0.0, 1.0], [2.0, 3.0]])).U
    tensor([[2., 3.],
            [0., 1.]])
    """

    P: Any
    L: Any
    U: Any


class LDLFactors(NamedTuple):
    """(LD, pivots): what `linalg.ldl_factor` returns.

    >>> ag.linalg.ldl_factor(ag.tensor([[2.0]])).LD
    tensor([[2.]])
    """

    LD: Any
    pivots: Any


class LDLInfo(NamedTuple):
    """(LD, pivots, info): what `linalg.ldl_factor_ex` returns.

    >>> ag.linalg.ldl_factor_ex(ag.tensor([[2.0]])).info
    tensor(0, dtype=argand.int32)
    """

    LD: Any
    pivots: Any
    info: Any


class LeastSquares(NamedTuple):
    """(solution, residuals, rank, singular_values): what `linalg.lstsq` returns.

    >>> ag.linalg.lstsq(ag.tensor([[2.0], [0.0]]), ag.tensor([[4.0], [1.0]])).solution
    tensor([[2.]])
    """

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


class TriangularSolution(NamedTuple):
    """(solution, cloned_coefficient): what `triangular_solve` returns.

    >>> ag.triangular_solve(ag.tensor([[4.0]]), ag.tensor([[2.0]])).solution
    tensor([[2.]])
    """

    solution: Any
    cloned_coefficient: Any
