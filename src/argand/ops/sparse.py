"""Products of a sparse matrix, given by its values and their places, and a plain one."""

from __future__ import annotations

from typing import Any

from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import Shape
from argand.ir.elementwise import lifted
from argand.ir.families import Composite
from argand.ir.op import describe, ops
from argand.ir.samples import ErrorSample, Sample, T

Prepared = tuple[tuple[Any, ...], dict[str, Any]]


def _places(count: int, size: int) -> T:
    """A test operand: places below a size."""
    return T((count,), 0, size - 1, "int64")


def _check(op: str, x: Any, y: Any, rows: Any, columns: Any) -> None:
    if len(rows.shape) != 1 or rows.shape != columns.shape:
        raise ShapeError(f"{op}: {describe(rows, columns)}: expected two vectors of one length")
    for index in (rows, columns):
        if not index.dtype.is_index:
            raise DTypeError(f"{op}: an index must hold integers, got {index.dtype.name}")
    if x.dtype is not y.dtype:
        raise DTypeError(f"{op}: {describe(x, y)}: both must have one dtype")


class SparseMatmul(Composite):
    """y[rows[e], :] += values[e] * x[columns[e], :], for each e in order.

    These are the `count` rows of the product of a sparse matrix and x.
    """

    samples = (
        Sample(T((5,)), T((4, 3)), _places(5, 6), _places(5, 4), count=(6,)),
        Sample(T((1,)), T((2, 8)), _places(1, 1), _places(1, 2), count=(1,)),
        Sample(T((0,)), T((2, 3)), _places(0, 1), _places(0, 1), count=(2,)),
    )
    error_samples = (
        ErrorSample(
            IndexError,
            "out of range",
            T((1,)),
            T((2, 3)),
            _places(1, 1),
            T((1,), 4, 4, "int64"),
            count=(2,),
        ),
        ErrorSample(
            TypeError,
            "must have one dtype",
            T((1,), dtype="float32"),
            T((2, 3), dtype="float64"),
            _places(1, 1),
            _places(1, 1),
            count=(2,),
        ),
    )
    dtypes = ("float32", "float64", "int64")
    widens = opens = True

    def prepare(self, values: Any, x: Any, rows: Any, columns: Any, count: Shape) -> Prepared:
        values, x, rows, columns = (lifted(v) for v in (values, x, rows, columns))
        _check(self.name, values, x, rows, columns)
        if len(x.shape) != 2 or tuple(values.shape) != tuple(rows.shape):
            raise ShapeError(f"{self.name}: {describe(values, x)}: expected values and a matrix")
        return (values, x, rows, columns), {"count": tuple(count)}

    def body(values: Any, x: Any, rows: Any, columns: Any, count: Shape) -> Any:
        column = ops.reshape(values, (*values.shape, 1))
        picked = ops.index(x, columns, dims=(0,))
        terms = ops.mul(picked, ops.expand(column, tuple(picked.shape)))
        zeros = ops.full((*count, x.shape[1]), 0, x.dtype)
        return ops.index_put(zeros, terms, rows, dims=(0,), accumulate=True)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return self.adjoint_for((True,) * 4, grads, inputs, outputs, params)

    def adjoint_for(
        self, wants: Any, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]
    ) -> Any:
        (g,), (values, x, rows, columns) = grads, inputs
        found: list[Any] = [None] * 4
        if wants[0]:
            found[0] = ops.sampled_matmul(g, _conjugate(x), rows, columns)
        if wants[1]:
            found[1] = ops.sparse_matmul(
                _conjugate(values), g, columns, rows, count=tuple(x.shape[:1])
            )
        return found

    def saves_for(self, wants: Any, params: dict[str, Any]) -> Any:
        read = {2, 3} | ({1} if wants[0] else set()) | ({0} if wants[1] else set())
        return read, ()


class SampledMatmul(Composite):
    """z[e] = sum over j of x[rows[e], j] * y[columns[e], j]: elements of x y^T at places."""

    samples = (
        Sample(T((3, 3)), T((4, 3)), _places(5, 3), _places(5, 4)),
        Sample(T((1, 8)), T((2, 8)), _places(1, 1), _places(1, 2)),
        Sample(T((2, 3)), T((2, 3)), _places(0, 1), _places(0, 1)),
    )
    error_samples = (
        ErrorSample(
            TypeError,
            "must have one dtype",
            T((1, 3), dtype="float32"),
            T((2, 3), dtype="float64"),
            _places(1, 1),
            _places(1, 1),
        ),
    )
    dtypes = ("float32", "float64", "int64")
    widens = opens = True

    def prepare(self, x: Any, y: Any, rows: Any, columns: Any) -> Prepared:
        x, y, rows, columns = (lifted(v) for v in (x, y, rows, columns))
        _check(self.name, x, y, rows, columns)
        if len(x.shape) != 2 or len(y.shape) != 2:
            raise ShapeError(f"{self.name}: {describe(x, y)}: expected two matrices")
        return (x, y, rows, columns), {}

    def body(x: Any, y: Any, rows: Any, columns: Any) -> Any:
        left, right = ops.index(x, rows, dims=(0,)), ops.index(y, columns, dims=(0,))
        return ops.sum(ops.mul(left, right), (1,))

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        (g,), (x, y, rows, columns) = grads, inputs
        gx = ops.sparse_matmul(g, _conjugate(y), rows, columns, count=tuple(x.shape[:1]))
        gy = ops.sparse_matmul(g, _conjugate(x), columns, rows, count=tuple(y.shape[:1]))
        return [gx, gy, None, None]

    def saves(self, params: dict[str, Any]) -> Any:
        return range(4), ()


def _conjugate(x: Any) -> Any:
    return ops.conj(x) if x.dtype.is_complex else x
