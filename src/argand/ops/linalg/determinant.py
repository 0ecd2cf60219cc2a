"""Determinants."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.ir.op import TensorType, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.linalg.common import Linalg, adjoint, as_matrix

_SAMPLES = (Sample(T((3, 3))), Sample(T((2, 2, 2))), Sample(T((0, 0))), Sample(T((0, 2, 2))))
_ERRORS = (ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),)


class LinalgDet(Linalg):
    """The determinant (...) of square matrices (..., N, N); a singular one has a gradient too."""

    samples = _SAMPLES
    error_samples = _ERRORS

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        self.check_square(inputs[0])
        return (TensorType(inputs[0].dtype, inputs[0].shape[:-2]),)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        return np.asarray(self.call(np.linalg.det, arrays[0]))

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("Det", *inputs)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        cofactors = ops.linalg_cofactors(inputs[0])
        cofactors = ops.conj(cofactors) if cofactors.dtype.is_complex else cofactors
        return [ops.mul(as_matrix(grads[0]), cofactors)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), ()


class LinalgCofactors(Linalg):
    """The derivatives of the determinant by each element: the cofactors of square matrices.

    By singular values, so that singular matrices have them too; but the gradient goes through the
    inverse.
    """

    samples = _SAMPLES
    error_samples = _ERRORS

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        self.check_square(inputs[0])
        return (inputs[0],)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        (a,) = arrays
        if not a.size:
            return a.copy()
        u, s, vh = self.call(np.linalg.svd, a)
        ones = np.ones_like(s[..., :1])
        ahead = np.cumprod(np.concatenate([ones, s[..., :-1]], -1), -1)
        behind = np.cumprod(np.concatenate([ones, s[..., :0:-1]], -1), -1)[..., ::-1]
        sign = np.linalg.det(u) * np.linalg.det(vh)
        found = (np.conj(u) * (ahead * behind * sign[..., None])[..., None, :]) @ np.conj(vh)
        return found.astype(a.dtype)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        """Of conj(d) B, the conjugate of the cofactors, where B is the inverse's adjoint."""
        a, g = inputs[0], grads[0]
        g = ops.conj(g) if g.dtype.is_complex else g
        b, d = adjoint(ops.linalg_inv(a)), ops.linalg_det(a)
        gb = ops.mul(g, as_matrix(d))
        other = ops.conj(g) if g.dtype.is_complex else g
        slope = as_matrix(ops.sum(ops.mul(other, b), (-2, -1)))
        conjugate = ops.conj(d) if d.dtype.is_complex else d
        direct = ops.mul(ops.mul(slope, as_matrix(conjugate)), b)
        return [ops.sub(direct, ops.matmul(ops.matmul(b, adjoint(gb)), b))]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), ()


class LinalgSlogdet(Linalg):
    """The determinant's sign (or phase), and the logarithm of its absolute value.

    Of a singular matrix 0 and -inf, without a gradient.
    """

    visible = 2
    samples = _SAMPLES
    error_samples = _ERRORS

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (a,) = inputs
        self.check_square(a)
        batch = a.shape[:-2]
        return TensorType(a.dtype, batch), TensorType(a.dtype.to_real(), batch)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        return tuple(map(np.asarray, self.call(np.linalg.slogdet, arrays[0])))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (gs, gl), sign = grads, outputs[0]
        scale = gl
        if sign.dtype.is_complex:
            scale = None if gl is None else ops.cast(gl, sign.dtype)
            if gs is not None:
                turn = ops.imag(ops.mul(gs, ops.conj(sign)))
                turn = ops.complex(ops.full(tuple(turn.shape), 0, turn.dtype), turn)
                scale = turn if scale is None else ops.add(scale, turn)
        if scale is None:
            return [None]
        return [ops.mul(as_matrix(scale), adjoint(ops.linalg_inv(inputs[0])))]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), (0,)
