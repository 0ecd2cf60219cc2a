"""`argand.lobpcg`: the first eigenvalues of a symmetric matrix."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.base.layout import strided
from argand.ir.op import describe
from argand.linalg import cholesky, eigh, solve_triangular

__all__ = ["lobpcg"]


def lobpcg(
    A: Any,
    k: int | None = None,
    B: Any = None,
    X: Any = None,
    n: int | None = None,
    iK: Any = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: dict[str, int] | None = None,
    ortho_fparams: dict[str, float] | None = None,
    ortho_bparams: dict[str, bool] | None = None,
) -> tuple[Any, Any]:
    """The `k` largest (or smallest) numbers e with A x = e B x, and the vectors x.

    A (..., M, M) is symmetric, B positive definite or the identity; the results are (..., k), the
    most extreme first, and (..., M, k) with x^T B x = 1. All eigenvalues are computed, by `eigh`:
    what steers PyTorch's iteration (`X` but for its size, `iK`, `niter`, `tol`, `method`,
    `ortho_...`) changes nothing. Raises ShapeError where A isn't square, ArgumentError for a k that
    3 k > M. Follows `torch.lobpcg`.

    >>> values, vectors = ag.lobpcg(ag.diag(ag.tensor([1.0, 4.0, 2.0, 9.0, 5.0, 3.0])), k=2)
    >>> values, vectors.shape
    (tensor([9., 5.]), argand.Size([6, 2]))
    """
    A, B = (x.to_dense() if x is not None and x.layout is not strided else x for x in (A, B))
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"lobpcg: {describe(A)}: expected square matrices")
    count = k if k is not None else 1 if X is None else X.shape[-1]
    if not 1 <= count <= A.shape[-1] // 3:
        raise ArgumentError(
            f"lobpcg: k = {count} eigenvalues of {A.shape[-1]}: it must be from 1 to a third; "
            "linalg.eigh gives all"
        )
    if B is not None:
        L = cholesky(B)
        A = solve_triangular(L, solve_triangular(L, A, upper=False).mT, upper=False)
    values, vectors = eigh(A)
    if largest is None or largest:
        values, vectors = values.flip(-1), vectors.flip(-1)
    vectors = vectors[..., :count]
    if B is not None:
        vectors = solve_triangular(L.mT, vectors, upper=True)
    return values[..., :count], vectors
