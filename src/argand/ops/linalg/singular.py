"""Singular values."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.shape import same_shape
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.linalg.common import Diagonal, Linalg, Prepared, adjoint, as_column, as_row


class LinalgSvd(Linalg):
    """Singular values: u (..., M, K), s (..., K), vh (..., K, N) with a = u diag(s) vh.

    K is the smaller of M and N. With `full_matrices` u is (..., M, M) and vh (..., N, N), whose
    further columns and rows are any that complete a basis, without a gradient. Gradients through u
    and vh need distinct singular values, and a loss that doesn't depend on signs or phases.
    """

    visible = 3
    samples = (
        Sample(T((4, 3)), full_matrices=False),
        Sample(T((3, 4)), full_matrices=False),
        Sample(T((2, 3, 3))),
    )
    error_samples = (ErrorSample(RuntimeError, "at least 2 dimensions", T((3,))),)

    def prepare(self, a: Any, full_matrices: bool = True) -> Prepared:
        return (lifted(a),), {"full_matrices": bool(full_matrices)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (a,) = inputs
        self.check_matrix(a)
        *batch, m, n = a.shape
        k = min(m, n)
        left, right = (m, n) if params["full_matrices"] else (k, k)
        values = TensorType(a.dtype.to_real(), (*batch, k))
        return (
            TensorType(a.dtype, (*batch, m, left)),
            values,
            TensorType(a.dtype, (*batch, right, n)),
        )

    def compute(self, *arrays: Any, **params: Any) -> Any:
        return tuple(self.call(np.linalg.svd, arrays[0], **params))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        s, k = outputs[1], outputs[1].shape[-1]
        gu, u = (_leading(x, -1, k) for x in (grads[0], outputs[0]))
        gvh, vh = (_leading(x, -2, k) for x in (grads[2], outputs[2]))
        gs = grads[1]
        if not any(g is not None for g in grads):
            return [None]
        rows, columns = as_row(s), as_column(s)
        inner = ops.full((*s.shape, k), 0, u.dtype)
        diagonal = Diagonal(inner)
        result = None
        if gu is not None or gvh is not None:
            gaps = ops.sub(ops.square(rows), ops.square(columns))
            weights = diagonal.off(ops.reciprocal(diagonal.plus(gaps, 1.0)))
        if gu is not None:
            slope = ops.matmul(adjoint(u), gu)
            inner = ops.add(inner, ops.mul(ops.mul(_skew(slope), weights), rows))
            if u.dtype.is_complex:
                inner = ops.add(inner, diagonal.on(ops.div(_skew(slope), ops.mul(rows, 4.0))))
            rest = ops.div(_outside(u, gu), rows)
            result = ops.matmul(rest, vh)
        if gvh is not None:
            slope = ops.matmul(vh, adjoint(gvh))
            inner = ops.add(inner, ops.mul(columns, ops.mul(_skew(slope), weights)))
            if u.dtype.is_complex:
                inner = ops.sub(inner, diagonal.on(ops.div(_skew(slope), ops.mul(rows, 4.0))))
            rest = ops.matmul(u, ops.div(adjoint(_outside(adjoint(vh), adjoint(gvh))), columns))
            result = rest if result is None else ops.add(result, rest)
        if gs is not None:
            inner = diagonal.plus(inner, as_row(gs))
        main = ops.matmul(ops.matmul(u, inner), vh)
        return [main if result is None else ops.add(main, result)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (0, 1, 2)


def _leading(x: Any, dim: int, count: int) -> Any:
    """The first `count` places along a dimension of a matrix, if there is one."""
    if x is None or same_shape(x.shape[dim:][:1], (count,)):
        return x
    stop = list(x.shape)
    stop[dim] = count
    return ops.slice(x, (0,) * len(stop), tuple(stop))


def _skew(x: Any) -> Any:
    return ops.sub(x, adjoint(x))


def _outside(u: Any, g: Any) -> Any:
    """The part of g outside the span of the columns of u."""
    return ops.sub(g, ops.matmul(u, ops.matmul(adjoint(u), g)))
