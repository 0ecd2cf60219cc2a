"""Eigenvalues and eigenvectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import complex64, promote_types
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.linalg.common import (
    Diagonal,
    Linalg,
    Prepared,
    adjoint,
    as_column,
    as_row,
    real_part,
)


def _gaps(w: Any) -> Any:
    """w[j] - w[i], and ones on the diagonal."""
    gaps = ops.sub(as_row(w), as_column(w))
    return Diagonal(gaps).plus(gaps, 1.0)


class LinalgEigh(Linalg):
    """The eigenvalues and eigenvectors of Hermitian matrices.

    The eigenvalues (..., N) are in ascending order, the eigenvectors the columns of (..., N, N).
    Only the lower (or upper) triangle is read. The gradient is Hermitian; of eigenvectors it needs
    distinct eigenvalues, and a loss that doesn't depend on their signs or phases.
    """

    visible = 2
    samples = (
        Sample(T((3, 3), definite=True)),
        Sample(T((2, 3, 3), definite=True), lower=False),
        Sample(T((0, 0))),
    )
    error_samples = (ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),)

    def prepare(self, a: Any, lower: bool = True) -> Prepared:
        return (lifted(a),), {"lower": bool(lower)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (a,) = inputs
        self.check_square(a)
        return TensorType(a.dtype.to_real(), a.shape[:-1]), a

    def compute(self, *arrays: Any, **params: Any) -> Any:
        return tuple(self.call(np.linalg.eigh, arrays[0], UPLO="L" if params["lower"] else "U"))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (gw, gv), (w, v) = grads, outputs
        if gw is None and gv is None:
            return [None]
        vh = adjoint(v)
        if gv is None:
            return [ops.matmul(ops.mul(v, as_row(gw)), vh)]
        inner = ops.div(ops.matmul(vh, gv), _gaps(w))
        inner = Diagonal(inner).off(inner)
        if gw is not None:
            inner = Diagonal(inner).plus(inner, as_row(gw))
        found = ops.matmul(v, ops.matmul(inner, vh))
        return [ops.mul(ops.add(found, adjoint(found)), 0.5)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (0, 1)


class LinalgEig(Linalg):
    """The eigenvalues (..., N) and eigenvectors (..., N, N) of square matrices, complex numbers.

    The eigenvectors have norm 1. Gradients need distinct eigenvalues, and a loss that doesn't
    depend on the phases of the eigenvectors.
    """

    visible = 2
    samples = Sample(T((3, 3))), Sample(T((2, 2, 2))), Sample(T((0, 0)))
    error_samples = (ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (a,) = inputs
        self.check_square(a)
        dtype = promote_types(a.dtype, complex64)
        return TensorType(dtype, a.shape[:-1]), TensorType(dtype, a.shape)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        (a,) = arrays
        dtype = np.result_type(a.dtype, np.complex64)
        w, v = self.call(np.linalg.eig, a)
        return w.astype(dtype), v.astype(dtype)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (gw, gv), (w, v) = grads, outputs
        if gw is None and gv is None:
            return [None]
        vh = adjoint(v)
        if gv is None:
            inner = ops.mul(as_column(gw), vh)
        else:
            slope = ops.matmul(vh, gv)
            normal = ops.mul(ops.matmul(vh, v), _real_diagonal(slope))
            inner = ops.div(ops.sub(slope, normal), ops.conj(_gaps(w)))
            inner = Diagonal(inner).off(inner)
            if gw is not None:
                inner = Diagonal(inner).plus(inner, as_row(gw))
            inner = ops.matmul(inner, vh)
        found = ops.linalg_solve(vh, inner)
        return [found if inputs[0].dtype.is_complex else real_part(found)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (0, 1)


def _real_diagonal(x: Any) -> Any:
    """The real parts of the diagonal, as a row."""
    parts = ops.sum(Diagonal(x).on(x), -2, keepdim=True)
    return ops.cast(real_part(parts), x.dtype)
