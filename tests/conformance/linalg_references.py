"""Independent references for linear algebra, and what decompositions are compared by.

Where several results are right, the facts of any of them (`FACTS`) are compared with the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg


def _h(a: Any) -> Any:
    return np.conj(np.swapaxes(a, -1, -2))


def _batch(function: Callable[..., Any], *arrays: Any) -> Any:
    """A function of single matrices on each of a batch, its results stacked."""
    batch = arrays[0].shape[:-2]
    if not batch:
        return function(*arrays)
    found = [function(*(x[place] for x in arrays)) for place in np.ndindex(batch)]
    if isinstance(found[0], tuple):
        return tuple(_stacked(part, batch) for part in zip(*found, strict=True))
    return _stacked(found, batch)


def _stacked(parts: Any, batch: Any) -> Any:
    return np.stack(parts).reshape(*batch, *np.shape(parts[0]))


def _eyes(a: Any, size: int) -> Any:
    return np.broadcast_to(np.eye(size, dtype=a.dtype), (*a.shape[:-2], size, size))


def solve(a: Any, b: Any) -> Any:
    """By the inverse."""
    if b.ndim == 1 or b.shape == a.shape[:-1]:
        return (np.linalg.inv(a) @ b[..., None])[..., 0]
    return np.linalg.inv(a) @ b


def solve_triangular(a: Any, b: Any, *, upper: bool, unitriangular: bool = False) -> Any:
    """By the inverse of the triangle."""
    part = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        part = part - part * np.eye(a.shape[-1]) + np.eye(a.shape[-1])
    return np.linalg.inv(part) @ b


def pinv(a: Any, atol: Any, rtol: Any, hermitian: bool = False) -> Any:
    """By the normal equations of the smaller side, for matrices of full rank."""
    m, n = a.shape[-2:]
    return _h(a) @ np.linalg.inv(a @ _h(a)) if m < n else np.linalg.inv(_h(a) @ a) @ _h(a)


def det(a: Any) -> Any:
    """By Leibniz's formula along the first row."""
    n = a.shape[-1]
    if n == 0:
        return np.ones(a.shape[:-2], a.dtype)
    return (a[..., 0, :] * cofactors(a)[..., 0, :]).sum(-1)


def cofactors(a: Any) -> Any:
    """Signed determinants of what is left without a row and a column."""
    n = a.shape[-1]
    found = np.empty_like(a)
    for i in range(n):
        for j in range(n):
            rest = np.delete(np.delete(a, i, -2), j, -1)
            found[..., i, j] = (-1) ** (i + j) * det(rest)
    return found


def slogdet(a: Any) -> Any:
    """The sign or phase, and the logarithm of the size."""
    d = det(a)
    return d / np.abs(d), np.log(np.abs(d))


def cholesky(a: Any, upper: bool = False) -> Any:
    """SciPy's."""
    return _batch(lambda x: scipy.linalg.cholesky(x, lower=not upper), a) if a.size else a


def cholesky_ex(a: Any, upper: bool = False) -> Any:
    """Of positive definite matrices."""
    return cholesky(a, upper), np.zeros(a.shape[:-2], np.int32)


def lu_factor(a: Any, check: bool = False) -> Any:
    """LAPACK's."""

    def single(x: Any) -> Any:
        if not x.size:
            return x, np.zeros(0, np.int32), np.int32(0)
        factors, pivots = scipy.linalg.lu_factor(x)
        return factors, (pivots + 1).astype(np.int32), np.int32(0)

    return _batch(single, a)


def lu_permutation(pivots: Any, size: int) -> Any:
    """Rows exchanged one pair after the other."""

    def single(row: Any) -> Any:
        order = list(range(size))
        for i, p in enumerate(row.ravel()):
            order[i], order[p - 1] = order[p - 1], order[i]
        return np.array(order)

    return _batch(single, pivots[..., None])


def geqrf(a: Any) -> Any:
    """LAPACK's."""

    def single(x: Any) -> Any:
        (packed, factors), _ = scipy.linalg.qr(x, mode="raw")
        return packed, factors

    return _batch(single, a)


def matrix_exp(a: Any) -> Any:
    """The series of a 1024th in extended precision, squared ten times."""
    x = a.astype(np.clongdouble if a.dtype.kind == "c" else np.longdouble) / 1024
    term = found = np.broadcast_to(np.eye(a.shape[-1], dtype=x.dtype), a.shape)
    for k in range(1, 30):
        term = term @ x / k
        found = found + term
    for _ in range(10):
        found = found @ found
    return found.astype(a.dtype)


# -- decompositions --------------------------------------------------------------------------------


def svd(a: Any, full_matrices: bool = True) -> Any:
    """What `svd_facts` of any singular value decomposition has to give."""
    m, n = a.shape[-2:]
    k = min(m, n)
    squares = np.linalg.eigvalsh(a @ _h(a) if m < n else _h(a) @ a)
    left, right = (m, n) if full_matrices else (k, k)
    return a, np.sqrt(squares)[..., ::-1], _eyes(a, left), _eyes(a, right)


def svd_facts(u: Any, s: Any, vh: Any, **_: Any) -> Any:
    """The product, the singular values, and the Gram matrices of both bases, which determine a
    decomposition up to the signs that it may choose."""
    k = s.shape[-1]
    product = u[..., :k] * s[..., None, :] @ vh[..., :k, :]
    return product, s, _h(u) @ u, vh @ _h(vh)


def qr(a: Any, mode: str = "reduced") -> Any:
    """What `qr_facts` has to give."""
    m, n = a.shape[-2:]
    k = m if mode == "complete" else min(m, n)
    return a, _eyes(a, k), np.zeros((*a.shape[:-2], k, n), a.dtype)


def qr_facts(q: Any, r: Any, **_: Any) -> Any:
    """The product, the Gram matrix, and what is below the diagonal."""
    return q @ r, _h(q) @ q, np.tril(r, -1)


def eigh(a: Any, lower: bool = True) -> Any:
    """What `eigh_facts` has to give."""
    ordered = np.zeros(a.shape[:-1], bool)
    return a, _eyes(a, a.shape[-1]), ordered


def eigh_facts(w: Any, v: Any, **_: Any) -> Any:
    """The product, the Gram matrix, and where an eigenvalue is smaller than the one before."""
    falls = np.diff(w, axis=-1, prepend=w[..., :1]) < 0
    return v * w[..., None, :] @ _h(v), _h(v) @ v, falls


def eig(a: Any) -> Any:
    """What `eig_facts` has to give."""
    return a.astype(np.complex128), np.ones(a.shape[:-1])


def eig_facts(w: Any, v: Any, **_: Any) -> Any:
    """The product, and the norms of the eigenvectors."""
    return v * w[..., None, :] @ np.linalg.inv(v), np.linalg.norm(v, axis=-2)


# -- LDL -------------------------------------------------------------------------------------------


def _ldl_product(ld: Any, pivots: Any, hermitian: bool) -> Any:
    """The matrix of LAPACK's packed factors: P1 L1 P2 L2 ... D times the first ones' adjoint."""
    n = len(ld)
    left, d, k = np.eye(n, dtype=ld.dtype), np.zeros_like(ld), 0
    while k < n:
        width = 1 if pivots[k] > 0 else 2
        last = k + width - 1
        swap = np.eye(n, dtype=ld.dtype)
        other = abs(int(pivots[k])) - 1
        swap[[last, other]] = swap[[other, last]]
        step = np.eye(n, dtype=ld.dtype)
        step[k + width :, k : k + width] = ld[k + width :, k : k + width]
        left = left @ swap @ step
        block = np.tril(ld[k : k + width, k : k + width])
        below = np.tril(block, -1)
        d[k : k + width, k : k + width] = block + (_h(below) if hermitian else below.T)
        k += width
    return left @ d @ (_h(left) if hermitian else left.T)


def ldl_factor(a: Any, hermitian: bool = False) -> Any:
    """What `ldl_facts` has to give: of the lower triangle."""
    below = np.tril(a, -1)
    whole = np.tril(a) + (_h(below) if hermitian else np.swapaxes(below, -1, -2))
    return whole, np.zeros(a.shape[:-2], np.int32)


def ldl_facts(ld: Any, pivots: Any, info: Any, hermitian: bool = False) -> Any:
    """The product."""
    if not ld.size:
        return ld, info
    product = _batch(lambda x, p: _ldl_product(x, p[:, 0], hermitian), ld, pivots[..., None])
    return product, info


def ldl_solve(ld: Any, pivots: Any, b: Any, hermitian: bool = False) -> Any:
    """By the product's inverse."""
    return np.linalg.inv(_ldl_product(ld, pivots, hermitian)) @ b


REFERENCES = {
    "linalg_inv": np.linalg.inv,
    "linalg_solve": solve,
    "linalg_solve_triangular": solve_triangular,
    "linalg_pinv": pinv,
    "linalg_det": det,
    "linalg_cofactors": cofactors,
    "linalg_slogdet": slogdet,
    "linalg_cholesky": cholesky,
    "linalg_cholesky_ex": cholesky_ex,
    "linalg_lu_factor": lu_factor,
    "linalg_lu_permutation": lu_permutation,
    "linalg_geqrf": geqrf,
    "linalg_matrix_exp": matrix_exp,
    "linalg_svd": svd,
    "linalg_qr": qr,
    "linalg_eigh": eigh,
    "linalg_eig": eig,
    "linalg_ldl_factor": ldl_factor,
    "linalg_ldl_solve": ldl_solve,
}
FACTS: dict[str, Callable[..., Any]] = {
    "linalg_svd": svd_facts,
    "linalg_qr": qr_facts,
    "linalg_eigh": eigh_facts,
    "linalg_eig": eig_facts,
    "linalg_ldl_factor": ldl_facts,
}


# -- phases ----------------------------------------------------------------------------------------

# Of the results of decompositions, those whose columns (or rows) may have any phase.
_PHASES = {"linalg_svd": {0: "columns", 2: "rows"}, "linalg_eigh": {1: "columns"}}
_PHASES["linalg_eig"] = _PHASES["linalg_eigh"]


def without_phases(name: str, results: Any, seeds: list[Any]) -> list[Any]:
    """Cotangents without the part along a change of phase: the loss doesn't depend on phases."""
    seeds = list(seeds)
    for n, kind in _PHASES.get(name, {}).items():
        v, g = (_h(x) if kind == "rows" else x for x in (results[n], seeds[n]))
        along = np.einsum("...ij,...ij->...j", np.conj(v), g).imag
        g = g - 1j * along[..., None, :] * v
        seeds[n] = _h(g) if kind == "rows" else g
    return seeds
