"""Factors of matrices: Cholesky, QR, and LDL of symmetric matrices."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from argand.base.dtype import int32
from argand.base.errors import ArgumentError, AutogradError, LinAlgError, ShapeError, missing_extra
from argand.base.shape import same_shape
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.linalg.common import (
    Diagonal,
    Linalg,
    Prepared,
    adjoint,
    total,
    with_batch,
)


class LinalgCholesky(Linalg):
    """The lower triangular l with l l^H = a, for Hermitian positive definite a (..., N, N).

    Only a's lower triangle is read. With `upper` its upper one is, and the result is l^H.
    """

    samples: ClassVar[Any] = (
        Sample(T((3, 3), definite=True)),
        Sample(T((2, 2, 2), definite=True)),
        Sample(T((3, 3), definite=True), upper=True),
    )
    error_samples: ClassVar[Any] = (
        ErrorSample(RuntimeError, "not positive definite", T((2, 2), -2.0, -1.0)),
        ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),
    )

    def prepare(self, a: Any, upper: bool = False) -> Prepared:
        return (lifted(a),), {"upper": bool(upper)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        self.check_square(inputs[0])
        return (inputs[0],)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        return self.call(np.linalg.cholesky, arrays[0], upper=params["upper"])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        if grads[0] is None:
            return [None]
        upper = params["upper"]
        high = outputs[0] if upper else adjoint(outputs[0])
        slope = ops.matmul(high, adjoint(grads[0]) if upper else grads[0])
        mask = Diagonal(slope)
        below = mask.below(slope)
        inner = ops.mul(total(below, adjoint(below), mask.on(slope)), 0.5)
        left = ops.linalg_solve_triangular(high, inner, upper=True)
        return [adjoint(ops.linalg_solve_triangular(high, adjoint(left), upper=True))]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (0,)


class LinalgCholeskyEx(LinalgCholesky):
    """`linalg_cholesky`, and whether it exists.

    For each matrix 0, or the order of its first leading part that isn't positive definite; then the
    result is NaN.
    """

    visible = 2
    samples = (*LinalgCholesky.samples, Sample(T((0, 2, 2), definite=True)))
    error_samples = (ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        self.check_square(inputs[0])
        return inputs[0], TensorType(int32, inputs[0].shape[:-2])

    def compute(self, *arrays: Any, **params: Any) -> Any:
        a = arrays[0]
        low, info = np.empty_like(a), np.zeros(a.shape[:-2], np.int32)
        for place in np.ndindex(a.shape[:-2]):
            one = np.conj(a[place].T) if params["upper"] else a[place]
            info[place] = _indefinite_order(one)
            found = np.nan if info[place] else np.linalg.cholesky(one)
            low[place] = np.conj(np.transpose(found)) if params["upper"] else found
        return low, info


def _indefinite_order(a: Any) -> int:
    """The order of the first leading part that has no Cholesky factor, or 0."""
    good, bad = 0, len(a) + 1
    while bad - good > 1:
        middle = bad - 1 if bad > len(a) else (good + bad) // 2
        try:
            np.linalg.cholesky(a[:middle, :middle])
        except np.linalg.LinAlgError:
            bad = middle
        else:
            good = middle
    return 0 if good == len(a) else bad


class LinalgQr(Linalg):
    """(q, r) of a = q r, with orthonormal columns in q and an upper triangular r.

    The mode "reduced" gives q (..., M, K) and r (..., K, N) with K = min(M, N), "complete"
    q (..., M, M) and r (..., M, N), and "r" the r of "reduced" and an empty q, without a gradient.
    """

    visible = 2
    samples = (
        Sample(T((4, 3))),
        Sample(T((2, 3, 4))),
        Sample(T((3, 3)), mode="complete"),
        Sample(T((2, 3)), mode="complete"),
        Sample(T((0, 2))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "at least 2 dimensions", T((3,))),
        ErrorSample(ValueError, "mode must be", T((2, 2)), mode="raw"),
    )

    def prepare(self, a: Any, mode: str = "reduced") -> Prepared:
        if mode not in ("reduced", "complete", "r"):
            raise ArgumentError(f"mode must be 'reduced', 'complete' or 'r', got {mode!r}")
        return (lifted(a),), {"mode": mode}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (a,), mode = inputs, params["mode"]
        self.check_matrix(a)
        *batch, m, n = a.shape
        k = m if mode == "complete" else min(m, n)
        q = (0,) if mode == "r" else (*batch, m, k)
        return TensorType(a.dtype, q), TensorType(a.dtype, (*batch, k, n))

    def compute(self, *arrays: Any, **params: Any) -> Any:
        mode = params["mode"]
        if mode == "r":
            return np.empty((0,), arrays[0].dtype), self.call(np.linalg.qr, arrays[0], mode="r")
        return tuple(self.call(np.linalg.qr, arrays[0], mode=mode))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        """Roberts and Roberts, 2020: of q and a square r; the columns of a wide a beyond are q r.

        An a with more rows than columns has no derivative of a whole basis.
        """
        (gq, gr), (q, r), mode = grads, outputs, params["mode"]
        if mode == "r":
            raise AutogradError("qr with mode='r' has no gradient; use mode='reduced'")
        m, n = q.shape[-2], r.shape[-1]
        if mode == "complete" and m > n:
            raise AutogradError("qr with mode='complete' has no gradient for M > N")
        rest = None
        if n > m:
            if gr is not None:
                far = _columns(gr, m, n)
                rest = ops.matmul(q, far)
                beyond = _columns(ops.matmul(adjoint(q), inputs[0]), m, n)
                gq = total(gq, ops.matmul(ops.matmul(q, beyond), adjoint(far)))
                gr = _columns(gr, 0, m)
            r = _columns(r, 0, m)
        inner = None if gr is None else ops.matmul(gr, adjoint(r))
        if gq is not None:
            inner = total(inner, ops.neg(ops.matmul(adjoint(q), gq)))
        upper = Diagonal(inner).upper(inner)
        both = ops.sub(ops.add(upper, adjoint(upper)), Diagonal(inner).on(_real_diagonal(upper)))
        found = total(ops.matmul(q, both), gq)
        found = adjoint(ops.linalg_solve_triangular(r, adjoint(found), upper=True))
        if n > m:
            rest = ops.full((*q.shape[:-1], n - m), 0, q.dtype) if rest is None else rest
            found = ops.cat(found, rest, dim=-1)
        return [found]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), (0, 1)


def _columns(x: Any, start: Any, stop: Any) -> Any:
    batch = x.shape[:-2]
    return ops.slice(x, (*(0 for _ in batch), 0, start), (*batch, x.shape[-2], stop))


def _real_diagonal(x: Any) -> Any:
    """Half of the sum with the adjoint, whose diagonal is real."""
    return ops.mul(ops.add(x, adjoint(x)), 0.5)


class LinalgGeqrf(Linalg):
    """LAPACK's form of QR.

    That is r with the reflectors below its diagonal (..., M, N), and their factors (..., K).
    """

    visible = 2
    samples = Sample(T((4, 3))), Sample(T((2, 3, 4)))
    error_samples = (ErrorSample(RuntimeError, "at least 2 dimensions", T((3,))),)
    differentiable = False

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (a,) = inputs
        self.check_matrix(a)
        return a, TensorType(a.dtype, (*a.shape[:-2], min(a.shape[-2:])))

    def compute(self, *arrays: Any, **params: Any) -> Any:
        packed, factors = self.call(np.linalg.qr, arrays[0], mode="raw")
        return np.ascontiguousarray(packed.swapaxes(-1, -2)), factors

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        raise AutogradError("geqrf has no gradient; use linalg.qr")

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


# -- LDL -------------------------------------------------------------------------------------------


def _routine(kind: str, hermitian: bool, dtype: Any) -> Any:
    """LAPACK's routine for symmetric, or Hermitian, indefinite matrices."""
    try:
        from scipy.linalg import lapack
    except ImportError as error:
        raise missing_extra("scipy", "scipy", "LDL") from error
    letter = {"f4": "s", "f8": "d", "c8": "c", "c16": "z"}[f"{dtype.kind}{dtype.itemsize}"]
    matrices = "he" if hermitian and dtype.kind == "c" else "sy"
    return getattr(lapack, f"{letter}{matrices}{kind}")


class LinalgLdlFactor(Linalg):
    """(ld, pivots, info) of Bunch and Kaufman's factorisation a = l d l^T, as LAPACK's ``sytrf``.

    Only the lower triangle is read; of complex matrices `hermitian` ones have l^H in place of l^T.
    With `check`, LinAlgError for a block of d that is 0.
    """

    visible = 3
    samples = (
        Sample(T((3, 3))),
        Sample(T((2, 3, 3), definite=True), hermitian=True),
        Sample(T((0, 2, 2))),
    )
    error_samples = (ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),)
    differentiable = False

    def prepare(self, a: Any, hermitian: bool = False, check: bool = False) -> Prepared:
        return (lifted(a),), {"hermitian": bool(hermitian), "check": bool(check)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (a,) = inputs
        self.check_square(a)
        pivots = TensorType(int32, a.shape[:-1])
        return a, pivots, TensorType(int32, a.shape[:-2])

    def compute(self, *arrays: Any, **params: Any) -> Any:
        (a,) = arrays
        factor = _routine("trf", params["hermitian"], a.dtype)
        ld, pivots = np.empty_like(a), np.empty(a.shape[:-1], np.int32)
        info = np.zeros(a.shape[:-2], np.int32)
        for place in np.ndindex(a.shape[:-2] if a.shape[-1] else (0,)):
            ld[place], pivots[place], info[place] = factor(a[place], lower=1)
        if params["check"] and info.any():
            raise LinAlgError(f"a block of D is 0 (matrix of shape {a.shape})")
        return np.tril(ld), pivots, info

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        raise AutogradError("ldl_factor has no gradient")

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()


class LinalgLdlSolve(Linalg):
    """The x of a x = b, for what `linalg_ldl_factor` gives of a, and b (..., N, K)."""

    samples = (
        Sample(T((3, 3), 1.0, 2.0), T((3,), 3, 3, "int32"), T((3, 2))),
        Sample(T((2, 2), 1.0, 2.0), T((2,), 2, 2, "int32"), T((2, 1))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "must agree", T((3, 3)), T((3,), 1, 3, "int32"), T((2, 1))),
    )
    differentiable = False

    def as_call(self, inputs: Any, params: dict[str, Any]) -> Any:
        return None

    def prepare(
        self, ld: Any, pivots: Any = None, b: Any = None, hermitian: bool = False
    ) -> Prepared:
        pivots = lifted(pivots)
        columns = ops.reshape(pivots, (*pivots.shape, 1))
        ld, columns, b = with_batch(lifted(ld), columns, lifted(b))
        return (ld, ops.reshape(columns, columns.shape[:-1]), b), {"hermitian": bool(hermitian)}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        ld, pivots, b = inputs
        self.check_square(ld)
        if (
            not same_shape(ld.shape[:-1], b.shape[:-1])
            or not same_shape(ld.shape[:-1], pivots.shape)
            or ld.dtype is not b.dtype
        ):
            raise ShapeError(f"{describe(ld, pivots, b)}: rows, batch and dtype must agree")
        return (b,)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        ld, pivots, b = arrays
        solve = _routine("trs", params["hermitian"], b.dtype)
        found = np.empty_like(b)
        for place in np.ndindex(b.shape[:-2] if b.size else (0,)):
            found[place] = solve(ld[place], pivots[place], b[place], lower=1)[0]
        return found

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        raise AutogradError("ldl_solve has no gradient; use linalg.solve")

    def saves(self, params: dict[str, Any]) -> Any:
        return (), ()
