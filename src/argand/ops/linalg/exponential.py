"""The exponential of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.ir.op import TensorType, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.linalg.common import Linalg, adjoint

# Of Padé's approximant of degree 13 (Higham, 2005), good for norms up to 5.37.
_PADE = [
    math.factorial(26 - k) * math.factorial(13) // (math.factorial(13 - k) * math.factorial(k))
    for k in range(14)
]
_LARGEST = 5.37


def matrix_exp(a: Any) -> Any:
    """The exponentials of matrices, by scaling and squaring in at least 64 bits."""
    wide = a.astype(np.result_type(a.dtype, np.float64))
    norm = np.abs(wide).sum(-2).max(-1, initial=0)
    steps = np.ceil(np.log2(np.where(norm > _LARGEST, norm / _LARGEST, 1)))
    steps = np.where(np.isfinite(norm), steps, 0).astype(np.int64)
    x = wide * np.ldexp(1.0, -steps)[..., None, None]
    c = [float(v) / _PADE[13] for v in _PADE]
    one = np.eye(a.shape[-1], dtype=wide.dtype)
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    odd = x6 @ (c[13] * x6 + c[11] * x4 + c[9] * x2)
    odd = x @ (odd + c[7] * x6 + c[5] * x4 + c[3] * x2 + c[1] * one)
    even = x6 @ (c[12] * x6 + c[10] * x4 + c[8] * x2)
    even = even + c[6] * x6 + c[4] * x4 + c[2] * x2 + c[0] * one
    found = np.linalg.solve(even - odd, even + odd)
    for step in range(int(steps.max(initial=0))):
        more = steps > step
        found[more] = found[more] @ found[more]
    return found.astype(a.dtype)


class LinalgMatrixExp(Linalg):
    """The sum of a^k / k! over k, of square matrices (..., N, N)."""

    samples = (
        Sample(T((3, 3))),
        Sample(T((2, 2, 2), -4.0, 4.0)),
        Sample(T((0, 0))),
        Sample(T((0, 2, 2))),
    )
    error_samples = (ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        self.check_square(inputs[0])
        return (inputs[0],)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        return self.call(matrix_exp, arrays[0])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        """Mathias, 1996: exp of [[x, g], [0, x]] has the derivative at x along g as its corner."""
        x, g = adjoint(inputs[0]), grads[0]
        *batch, n = x.shape[:-1]
        top = ops.cat(x, g, dim=-1)
        bottom = ops.cat(ops.full(tuple(x.shape), 0, x.dtype), x, dim=-1)
        whole = ops.linalg_matrix_exp(ops.cat(top, bottom, dim=-2))
        zeros = (0,) * len(batch)
        return [ops.slice(whole, (*zeros, 0, n), (*batch, n, n + n))]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), ()
