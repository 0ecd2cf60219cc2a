"""Inverses, pseudoinverses, and solutions of linear systems."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.errors import ShapeError
from argand.base.shape import same_shape
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.linalg.common import SINGULAR, Linalg, Prepared, adjoint, with_batch


class LinalgInv(Linalg):
    """The inverse of square matrices (..., N, N)."""

    samples = (
        Sample(T((3, 3))),
        Sample(T((2, 3, 3))),
        Sample(T((1, 1), 0.5, 2.0)),
        Sample(T((0, 0))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),
        ErrorSample(RuntimeError, "singular matrix", SINGULAR),
    )

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        self.check_square(inputs[0])
        return (inputs[0],)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        return self.call(np.linalg.inv, arrays[0])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        y = adjoint(outputs[0])
        return [ops.neg(ops.matmul(ops.matmul(y, grads[0]), y))]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (0,)


class LinalgSolve(Linalg):
    """The x of a x = b, for a (..., N, N) and b (..., N, K).

    Vectors are b (N,), and b of the shape of a without its last dimension.
    """

    samples = (
        Sample(T((3, 3)), T((3, 2))),
        Sample(T((2, 3, 3)), T((2, 3, 1))),
        Sample(T((3, 3)), T((3,))),
        Sample(T((2, 3, 3)), T((3, 2))),
        Sample(T((2, 3, 3)), T((3,))),
        Sample(T((2, 3, 3)), T((2, 3))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "singular matrix", SINGULAR, T((2, 1))),
        ErrorSample(RuntimeError, "f32(3, 3) and", T((3, 3), dtype="float32"), T((2, 1))),
    )

    def apply(self, a: Any, b: Any) -> Any:
        a, b = lifted(a), lifted(b)
        if len(b.shape) == 1 or same_shape(b.shape, a.shape[:-1]):
            columns = super().apply(a, ops.reshape(b, (*b.shape, 1)))
            return ops.reshape(columns, columns.shape[:-1])
        return super().apply(a, b)

    def prepare(self, a: Any, b: Any = None) -> Prepared:
        return tuple(with_batch(lifted(a), lifted(b))), {}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        a, b = inputs
        self.check_square(a)
        if not same_shape(a.shape[:-1], b.shape[:-1]) or a.dtype is not b.dtype:
            raise ShapeError(f"{describe(a, b)}: rows, batch and dtype must agree")
        return (b,)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        return self.call(np.linalg.solve, *arrays)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        gb = ops.linalg_solve(adjoint(inputs[0]), grads[0])
        return [ops.neg(ops.matmul(gb, adjoint(outputs[0]))), gb]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), (0,)


_ZERO = T((), 0, 0, "float64")


class LinalgPinv(Linalg):
    """The pseudoinverse (..., N, M) of matrices (..., M, N), by singular values.

    Those of at most atol, or rtol times the largest, count as 0; both tolerances (...) have no
    gradient. With `hermitian`, the eigenvalues of the lower triangle are looked at instead.
    """

    samples = (
        Sample(T((4, 3)), *[T((), 0.001, 0.001, "float64")] * 2),
        Sample(T((2, 2, 3)), *[T((2,), 0.001, 0.001, "float64")] * 2),
        Sample(T((3, 3), definite=True), _ZERO, _ZERO, hermitian=True),
    )
    error_samples = (
        ErrorSample(RuntimeError, "at least 2 dim", T((3,)), *[T((), 0, 0, "float64")] * 2),
        ErrorSample(
            RuntimeError,
            "expected square",
            T((2, 3)),
            *[T((), 0, 0, "float64")] * 2,
            hermitian=True,
        ),
    )

    def prepare(
        self, a: Any, atol: Any = None, rtol: Any = None, hermitian: bool = False
    ) -> Prepared:
        return (lifted(a), lifted(atol), lifted(rtol)), {"hermitian": bool(hermitian)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        a, *tolerances = inputs
        (self.check_square if params["hermitian"] else self.check_matrix)(a)
        *batch, m, n = a.shape
        for tolerance in tolerances:
            if len(tolerance.shape) > len(batch):
                raise ShapeError(f"{describe(a, tolerance)}: more tolerances than matrices")
        return (TensorType(a.dtype, (*batch, n, m)),)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        a, atol, rtol = arrays
        if 0 in a.shape:
            return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
        if params["hermitian"]:
            s, u = self.call(np.linalg.eigh, a)
            vh = np.conj(u.swapaxes(-1, -2))
        else:
            u, s, vh = self.call(np.linalg.svd, a, full_matrices=False)
        least = np.maximum(atol, rtol * np.abs(s).max(-1))
        large = np.abs(s) > least[..., None]
        inverse = np.where(large, 1 / np.where(large, s, 1), 0).astype(s.dtype)
        return np.conj(vh.swapaxes(-1, -2)) @ (inverse[..., None] * np.conj(u.swapaxes(-1, -2)))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        """Golub and Pereyra's derivative, 1973."""
        a, p = inputs[0], outputs[0]
        g, ph, mm = adjoint(grads[0]), adjoint(p), ops.matmul
        k = mm(p, g)
        phk = mm(ph, k)
        found = ops.sub(phk, adjoint(mm(k, p)))
        found = ops.sub(found, mm(mm(phk, p), a))
        return [ops.add(found, mm(ops.sub(g, mm(a, k)), mm(p, ph))), None, None]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), (0,)
