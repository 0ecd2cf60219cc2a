"""Triangular systems, and the LU factorisation with partial pivoting, in blocks of NumPy.

NumPy has no call for either. Both split matrices in halves until few columns are left, so that
nearly all of the arithmetic is products of matrices; the matrices of a batch go together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.dtype import int32, int64
from argand.base.errors import LinAlgError, ShapeError
from argand.base.shape import same_shape
from argand.ir import families
from argand.ir.batching import together
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.linalg.common import (
    SINGULAR,
    Diagonal,
    Linalg,
    Prepared,
    adjoint,
    total,
    with_batch,
)

BLOCK = 16


def solved_lower(a: Any, b: Any, unit: bool) -> Any:
    """The x of a x = b, where only the lower triangle of a is read; in place of b."""
    n = a.shape[-1]
    if n > BLOCK:
        half = n // 2
        solved_lower(a[..., :half, :half], b[..., :half, :], unit)
        b[..., half:, :] -= a[..., half:, :half] @ b[..., :half, :]
        solved_lower(a[..., half:, half:], b[..., half:, :], unit)
        return b
    for i in range(n):
        if i:
            b[..., i : i + 1, :] -= a[..., i : i + 1, :i] @ b[..., :i, :]
        if not unit:
            b[..., i, :] /= a[..., i, i, None]
    return b


def solved_triangular(a: Any, b: Any, upper: bool, unit: bool) -> Any:
    """The x of a x = b for a triangular a; inf or nan where a diagonal element is 0."""
    if upper:
        a, b = a[..., ::-1, ::-1], b[..., ::-1, :]
    # a product's bits depend on strides, so these are always the same
    found = solved_lower(np.ascontiguousarray(a), np.array(b, order="C"), unit)
    return found[..., ::-1, :] if upper else found


class LinalgSolveTriangular(Linalg):
    """The x of a x = b, for a triangular (..., N, N) and b (..., N, K).

    Only a's upper (or lower) triangle is read, with `unitriangular` without its diagonal, which
    counts as ones. A zero on the diagonal gives inf or nan.
    """

    samples = (
        Sample(T((3, 3), 0.5, 2.0), T((3, 2)), upper=True),
        Sample(T((2, 3, 3), 0.5, 2.0), T((3, 1)), upper=False),
        Sample(T((19, 19), 0.1, 0.2), T((19, 2)), upper=False, unitriangular=True),
        Sample(T((0, 0)), T((0, 2)), upper=True),
    )
    error_samples = (
        ErrorSample(RuntimeError, "expected square matrices", T((2, 3)), T((2, 1)), upper=True),
        ErrorSample(RuntimeError, "must agree", T((3, 3)), T((2, 1)), upper=True),
    )

    def prepare(
        self, a: Any, b: Any = None, *, upper: bool = False, unitriangular: bool = False
    ) -> Prepared:
        given = {"upper": bool(upper), "unitriangular": bool(unitriangular)}
        return tuple(with_batch(lifted(a), lifted(b))), given

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        a, b = inputs
        self.check_square(a)
        if not same_shape(a.shape[:-1], b.shape[:-1]) or a.dtype is not b.dtype:
            raise ShapeError(f"{describe(a, b)}: rows, batch and dtype must agree")
        return (b,)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        a, b = arrays
        return np.ascontiguousarray(
            solved_triangular(a, b, params["upper"], params["unitriangular"])
        )

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        upper, unit = params["upper"], params["unitriangular"]
        gb = ops.linalg_solve_triangular(
            adjoint(inputs[0]), grads[0], upper=not upper, unitriangular=unit
        )
        ga = ops.neg(ops.matmul(gb, adjoint(outputs[0])))
        mask = Diagonal(ga)
        keep = (mask.above if unit else mask.upper) if upper else mask.below if unit else mask.lower
        return [keep(ga), gb]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), (0,)


# -- LU --------------------------------------------------------------------------------------------


def swapped_rows(a: Any, first: int, pivots: Any) -> None:
    """The rows first, first + 1, ... of a (B, M, N) exchanged, one after the other, with those of
    the pivots (B, K)."""
    each = np.arange(len(a))
    for offset in range(pivots.shape[1]):
        i, p = first + offset, pivots[:, offset]
        if (p != i).any():
            moved, kept = a[each, p], a[:, i].copy()
            a[each, p] = kept
            a[:, i] = moved


def eliminated(a: Any, info: Any, first: int) -> Any:
    """The columns of a (B, M, N), N <= M, as L and U in one matrix, in place; gives the pivots.

    `info` (B) takes the number of the first column, from 1, whose pivot is 0; `first` is the number
    of columns of the whole matrix ahead of these.
    """
    n = a.shape[-1]
    if n > BLOCK:
        half = n // 2
        top = eliminated(a[..., :half], info, first)
        right = a[..., half:]
        swapped_rows(right, 0, top)
        solved_lower(a[..., :half, :half], right[..., :half, :], unit=True)
        right[..., half:, :] -= a[..., half:, :half] @ right[..., :half, :]
        bottom = eliminated(right[..., half:, :], info, first + half) + half
        swapped_rows(a[..., :half], half, bottom)
        return np.concatenate([top, bottom], -1)
    pivots = np.empty((len(a), n), np.int64)
    for k in range(n):
        column = a[:, k:, k]
        size = np.abs(column.real) + np.abs(column.imag) if a.dtype.kind == "c" else np.abs(column)
        pivots[:, k] = np.argmax(size, -1) + k
        swapped_rows(a, k, pivots[:, k : k + 1])
        pivot = a[:, k, k]
        zero = pivot == 0
        np.copyto(info, first + k + 1, where=zero & (info == 0))
        a[:, k + 1 :, k] /= np.where(zero, 1, pivot)[:, None]
        a[:, k + 1 :, k + 1 :] -= a[:, k + 1 :, k, None] * a[:, k, None, k + 1 :]
    return pivots


def lu(a: Any) -> tuple[Any, Any, Any]:
    """L and U of a in one matrix, the pivots from 1, and the first column with a pivot of 0."""
    m, n = a.shape[-2:]
    batch, k = a.shape[:-2], min(m, n)
    flat = np.array(a, order="C").reshape(math.prod(batch), m, n)
    info = np.zeros(len(flat), np.int32)
    left, right = flat[..., :k], flat[..., k:]
    pivots = eliminated(left, info, 0)
    if right.size:
        swapped_rows(right, 0, pivots)
        solved_lower(left[..., :k, :], right, unit=True)
    pivots = (pivots + 1).astype(np.int32).reshape(*batch, k)
    return flat.reshape(a.shape), pivots, info.reshape(batch)


class LinalgLuFactor(Linalg):
    """L and U of P A = L U in one matrix (..., M, N), the pivots, and LAPACK's info.

    L's diagonal of ones isn't stored. The row i was exchanged with the row pivots[i] - 1. With
    `check`, LinAlgError for a pivot of 0; info is 0, or the number of the first such pivot.
    """

    visible = 3
    samples = (
        Sample(T((3, 3))),
        Sample(T((2, 4, 3))),
        Sample(T((3, 5))),
        Sample(T((21, 21)), check=True),
        Sample(T((0, 3))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "singular", SINGULAR, check=True),
        ErrorSample(RuntimeError, "at least 2 dimensions", T((3,))),
    )

    def prepare(self, a: Any, check: bool = False) -> Prepared:
        return (lifted(a),), {"check": bool(check)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (a,) = inputs
        self.check_matrix(a)
        batch = a.shape[:-2]
        k = min(a.shape[-2:])
        return a, TensorType(int32, (*batch, k)), TensorType(int32, batch)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        factors, pivots, info = lu(arrays[0])
        if params["check"] and info.any():
            raise LinAlgError(
                f"singular matrix: the pivot {info[info > 0].flat[0]} of U is 0 "
                f"(matrix of shape {arrays[0].shape})"
            )
        return factors, pivots, info

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        packed, g = outputs[0], grads[0]
        if g is None:
            return [None]
        m, n = packed.shape[-2:]
        k = min(m, n)
        order = ops.linalg_lu_permutation(outputs[1], m)
        gradient = _unpacked_gradient(packed, g, m, n, k)
        places = ops.expand(ops.reshape(order, (*order.shape, 1)), gradient.shape)
        return [ops.scatter(gradient, -2, places, gradient)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (0, 1)


def _unpacked_gradient(packed: Any, g: Any, m: Any, n: Any, k: Any) -> Any:
    """The gradient of P A, of that of L and U in one matrix.

    Of a square matrix: L^-H (below(L^H gL) + upper(gU U^H)) U^-H. A wide one's further columns are
    L U2, a tall one's further rows L2 U.
    """
    square, gs = _part(packed, k, k), _part(g, k, k)
    mask = Diagonal(square)
    low, up = mask.plus(mask.below(square), 1.0), mask.upper(square)
    gl, gu, rest = mask.below(gs), mask.upper(gs), None
    if n > k:
        rest = _lower_adjoint(square, _columns(g, k, n))
        gl = ops.sub(gl, ops.matmul(rest, adjoint(_columns(packed, k, n))))
    if m > k:
        rest = _upper_adjoint(square, _rows(g, k, m))
        gu = ops.sub(gu, ops.matmul(adjoint(_rows(packed, k, m)), rest))
    inner = total(mask.below(ops.matmul(adjoint(low), gl)), mask.upper(ops.matmul(gu, adjoint(up))))
    found = _upper_adjoint(square, _lower_adjoint(square, inner))
    return found if rest is None else ops.cat(found, rest, dim=-1 if n > k else -2)


def _lower_adjoint(square: Any, x: Any) -> Any:
    """L^-H x."""
    return ops.linalg_solve_triangular(adjoint(square), x, upper=True, unitriangular=True)


def _upper_adjoint(square: Any, x: Any) -> Any:
    """x U^-H."""
    return adjoint(ops.linalg_solve_triangular(square, adjoint(x), upper=True))


def _part(x: Any, rows: Any, columns: Any) -> Any:
    batch = x.shape[:-2]
    return ops.slice(x, (0,) * len(x.shape), (*batch, rows, columns))


def _columns(x: Any, start: Any, stop: Any) -> Any:
    batch = x.shape[:-2]
    return ops.slice(x, (*(0 for _ in batch), 0, start), (*batch, x.shape[-2], stop))


def _rows(x: Any, start: Any, stop: Any) -> Any:
    batch = x.shape[:-2]
    return ops.slice(x, (*(0 for _ in batch), start, 0), (*batch, stop, x.shape[-1]))


class LinalgLuPermutation(families.Host):
    """The rows of A in the order of those of L U.

    The pivots (..., K) of `lu_factor` exchange 0, 1, ..., `size` - 1.
    """

    batched = together
    samples = (
        Sample(T((3,), 3, 3, "int32"), 4),
        Sample(T((2, 2), 2, 2, "int32"), 2),
        Sample(T((0,), 1, 1, "int32"), 2),
    )
    error_samples = (ErrorSample(RuntimeError, "between 1 and 3", T((2,), 4, 5, "int32"), 3),)
    differentiable = False

    def prepare(self, pivots: Any, size: Any = None) -> Prepared:
        return (lifted(pivots),), {"size": size}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        return (TensorType(int64, (*inputs[0].shape[:-1], params["size"])),)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (pivots,), size = arrays, params["size"]
        if pivots.size and not 1 <= pivots.min() <= pivots.max() <= size:
            raise ShapeError(f"pivots must be between 1 and {size}, got {pivots.ravel()[:8]}")
        batch, count = pivots.shape[:-1], pivots.shape[-1]
        order = np.tile(np.arange(size), (math.prod(batch), 1))
        changes = pivots.astype(np.int64).reshape(len(order), count) - 1
        swapped_rows(order[..., None], 0, changes)
        return order.reshape(*batch, size)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return [None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()
