"""Linear algebra by LAPACK through NumPy, on the last two dimensions; also in compiled programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import int64
from argand.base.errors import DTypeError, LinAlgError, ShapeError
from argand.base.shape import broadcast_shapes, same_shape
from argand.ir import families
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import ErrorSample, Sample, T

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


class _Linalg(families.Host):
    """A function of matrices. Its errors don't name it: `linalg.inv` is what the user called."""

    abstract = True
    tolerance = {"float32": 2e-4}

    def prepare(self, a: Any) -> Prepared:
        return (lifted(a),), {}

    def check_square(self, a: TensorType) -> None:
        """ShapeError unless the last two sizes are equal."""
        self.check_matrix(a)
        if not same_shape(a.shape[-1:], a.shape[-2:-1]):
            raise ShapeError(f"{describe(a)}: expected square matrices (..., N, N)")

    def check_matrix(self, a: TensorType) -> None:
        """ShapeError unless there are two dimensions, DTypeError unless 32 or 64-bit floats."""
        if len(a.shape) < 2:
            raise ShapeError(f"{describe(a)}: expected at least 2 dimensions")
        if a.dtype.name not in ("float32", "float64"):
            raise DTypeError(f"not defined for {a.dtype.name}")

    def call(self, function: Any, *arrays: Any, **options: Any) -> Any:
        """A LAPACK routine, its failure as LinAlgError; NumPy would take other dtypes too."""
        self.infer(*map(families.array_type, arrays), **options)
        try:
            return function(*arrays, **options)
        except np.linalg.LinAlgError as e:
            shape = arrays[0].shape
            raise LinAlgError(f"{str(e).lower()} (matrix of shape {shape})") from None


def _t(x: Any) -> Any:
    rank = len(x.shape)
    return ops.permute(x, (*range(rank - 2), rank - 1, rank - 2))


class _Diagonal:
    """Masks over the last two dimensions."""

    def __init__(self, x: Any) -> None:
        rows, columns = x.shape[-2:]
        self.i = ops.reshape(ops.arange(0, 1, rows, int64), (rows, 1))
        self.j = ops.arange(0, 1, columns, int64)

    def lower_half(self, x: Any) -> Any:
        """The lower triangle with half of the diagonal."""
        below = ops.where(ops.gt(self.i, self.j), x, 0.0)
        return ops.where(ops.eq(self.i, self.j), ops.mul(x, 0.5), below)

    def off(self, x: Any) -> Any:
        """x with zeros on the diagonal."""
        return ops.where(ops.eq(self.i, self.j), 0.0, x)

    def plus(self, x: Any, value: Any) -> Any:
        """x with `value` (a row per matrix) added on the diagonal."""
        return ops.add(x, ops.where(ops.eq(self.i, self.j), value, 0.0))


_SINGULAR = T((2, 2), 1.0, 1.0)


class LinalgInv(_Linalg):
    """The inverse of square matrices (..., N, N)."""

    samples = (
        Sample(T((3, 3))),
        Sample(T((2, 3, 3))),
        Sample(T((1, 1), 0.5, 2.0)),
        Sample(T((0, 0))),
    )
    error_samples = (
        ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),
        ErrorSample(RuntimeError, "singular matrix", _SINGULAR),
    )

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        self.check_square(inputs[0])
        return (inputs[0],)

    def run(self, *arrays: Any, **params: Any) -> Any:
        return self.call(np.linalg.inv, arrays[0])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        y = _t(outputs[0])
        return [ops.neg(ops.matmul(ops.matmul(y, grads[0]), y))]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (0,)


class LinalgSolve(_Linalg):
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
        ErrorSample(RuntimeError, "singular matrix", _SINGULAR, T((2, 1))),
        ErrorSample(RuntimeError, "f32(3, 3) and", T((3, 3), dtype="float32"), T((2, 1))),
    )

    def apply(self, a: Any, b: Any) -> Any:
        a, b = lifted(a), lifted(b)
        if len(b.shape) == 1 or same_shape(b.shape, a.shape[:-1]):
            columns = super().apply(a, ops.reshape(b, (*b.shape, 1)))
            return ops.reshape(columns, columns.shape[:-1])
        return super().apply(a, b)

    def prepare(self, a: Any, b: Any = None) -> Prepared:
        a, b = lifted(a), lifted(b)
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], op="linalg.solve")
        operands = []
        for x in (a, b):
            shape = (*batch, *x.shape[-2:])
            operands.append(x if same_shape(x.shape, shape) else ops.expand(x, shape))
        return tuple(operands), {}

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        a, b = inputs
        self.check_square(a)
        if not same_shape(a.shape[:-1], b.shape[:-1]) or a.dtype is not b.dtype:
            raise ShapeError(f"{describe(a, b)}: rows, batch and dtype must agree")
        return (b,)

    def run(self, *arrays: Any, **params: Any) -> Any:
        return self.call(np.linalg.solve, *arrays)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        gb = ops.linalg_solve(_t(inputs[0]), grads[0])
        return [ops.neg(ops.matmul(gb, _t(outputs[0]))), gb]

    def saves(self, params: dict[str, Any]) -> Any:
        return (0,), (0,)


class LinalgCholesky(_Linalg):
    """The lower triangular l with l l^T = a, for symmetric positive definite a (..., N, N).

    Only a's lower triangle is read; the gradient is symmetric.
    """

    samples = Sample(T((3, 3), definite=True)), Sample(T((2, 2, 2), definite=True))
    error_samples = (
        ErrorSample(RuntimeError, "not positive definite", T((2, 2), -2.0, -1.0)),
        ErrorSample(RuntimeError, "expected square matrices", T((2, 3))),
    )

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        self.check_square(inputs[0])
        return (inputs[0],)

    def run(self, *arrays: Any, **params: Any) -> Any:
        return self.call(np.linalg.cholesky, arrays[0])

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        lower = outputs[0]
        inner = _Diagonal(lower).lower_half(ops.matmul(_t(lower), grads[0]))
        inverse = ops.linalg_inv(lower)
        s = ops.matmul(ops.matmul(_t(inverse), inner), inverse)
        return [ops.mul(ops.add(s, _t(s)), 0.5)]

    def saves(self, params: dict[str, Any]) -> Any:
        return (), (0,)


class LinalgSvd(_Linalg):
    """Singular values: u (..., M, K), s (..., K), vh (..., K, N) with a = u diag(s) vh.

    K is the smaller of M and N. With `full_matrices` u is (..., M, M) and vh (..., N, N), whose
    further columns and rows are any that complete a basis, without a gradient. Gradients through u
    and vh need distinct singular values.
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
        shapes = (*batch, m, left), (*batch, k), (*batch, right, n)
        return tuple(TensorType(a.dtype, s) for s in shapes)

    def run(self, *arrays: Any, **params: Any) -> Any:
        return tuple(self.call(np.linalg.svd, arrays[0], **params))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        s, k = outputs[1], outputs[1].shape[-1]
        gu, u = (_leading(x, -1, k) for x in (grads[0], outputs[0]))
        gvh, vh = (_leading(x, -2, k) for x in (grads[2], outputs[2]))
        gs = grads[1]
        rows, columns = (ops.reshape(s, (*s.shape[:-1], *tail)) for tail in ((1, k), (k, 1)))
        inner = ops.full((*s.shape, k), 0, s.dtype)
        diagonal = _Diagonal(inner)
        gaps = ops.sub(ops.square(rows), ops.square(columns))
        weights = diagonal.off(ops.reciprocal(diagonal.plus(gaps, 1.0)))
        result = None
        if gu is not None:
            twist = _skew(ops.matmul(_t(u), gu))
            inner = ops.add(inner, ops.mul(ops.mul(twist, weights), rows))
            rest = ops.div(_outside(u, gu), rows)
            result = ops.matmul(rest, vh)
        if gvh is not None:
            twist = _skew(ops.matmul(vh, _t(gvh)))
            inner = ops.add(inner, ops.mul(columns, ops.mul(twist, weights)))
            rest = ops.matmul(u, ops.div(_t(_outside(_t(vh), _t(gvh))), columns))
            result = rest if result is None else ops.add(result, rest)
        if gs is not None:
            inner = diagonal.plus(inner, ops.reshape(gs, (*gs.shape[:-1], 1, k)))
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
    return ops.sub(x, _t(x))


def _outside(u: Any, g: Any) -> Any:
    """The part of g outside the span of the columns of u."""
    return ops.sub(g, ops.matmul(u, ops.matmul(_t(u), g)))
