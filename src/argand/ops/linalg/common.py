"""What all ops of matrices share: the checks, LAPACK's errors, transposes and triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import int64
from argand.base.errors import DTypeError, LinAlgError, ShapeError
from argand.base.shape import broadcast_shapes, same_shape
from argand.ir import families
from argand.ir.batching import together
from argand.ir.elementwise import lifted
from argand.ir.op import TensorType, describe, ops
from argand.ir.samples import T

Prepared = tuple[tuple[Any, ...], dict[str, Any]]

DTYPES = ("float32", "float64", "complex64", "complex128")

SINGULAR = T((2, 2), 1.0, 1.0)


class Linalg(families.Host):
    """A function of matrices. Its errors don't name it: `linalg.inv` is what the user called."""

    batched = together
    abstract = True
    tolerance = {"float32": 2e-4, "complex64": 2e-4}

    def prepare(self, a: Any) -> Prepared:
        return (lifted(a),), {}

    def check_square(self, a: TensorType) -> None:
        """ShapeError unless the last two sizes are equal."""
        self.check_matrix(a)
        if not same_shape(a.shape[-1:], a.shape[-2:-1]):
            raise ShapeError(f"{describe(a)}: expected square matrices (..., N, N)")

    def check_matrix(self, a: TensorType) -> None:
        """ShapeError unless there are two dimensions, DTypeError unless LAPACK has the dtype."""
        if len(a.shape) < 2:
            raise ShapeError(f"{describe(a)}: expected at least 2 dimensions")
        if a.dtype.name not in DTYPES:
            raise DTypeError(f"not defined for {a.dtype.name}")

    def run(self, *arrays: Any, **params: Any) -> Any:
        self.infer(*map(families.array_type, arrays), **params)  # NumPy would take other dtypes too
        with np.errstate(all="ignore"):
            return self.compute(*arrays, **params)

    def compute(self, *arrays: Any, **params: Any) -> Any:
        """The outputs of arrays of dtypes and shapes that fit."""
        raise NotImplementedError

    def call(self, function: Any, *arrays: Any, **options: Any) -> Any:
        """A LAPACK routine, its failure as LinAlgError."""
        try:
            return function(*arrays, **options)
        except np.linalg.LinAlgError as e:
            shape = arrays[0].shape
            raise LinAlgError(f"{str(e).lower()} (matrix of shape {shape})") from None


def transposed(x: Any) -> Any:
    """The matrices with rows and columns exchanged."""
    rank = len(x.shape)
    return ops.permute(x, (*range(rank - 2), rank - 1, rank - 2))


def adjoint(x: Any) -> Any:
    """The matrices transposed and conjugated."""
    return ops.conj(transposed(x)) if x.dtype.is_complex else transposed(x)


def real_part(x: Any) -> Any:
    """The real part of complex numbers; anything else as it is."""
    return ops.real(x) if x.dtype.is_complex else x


def as_row(x: Any) -> Any:
    """Vectors (..., K) as matrices of a row (..., 1, K)."""
    return ops.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))


def as_column(x: Any) -> Any:
    """Vectors (..., K) as matrices of a column (..., K, 1)."""
    return ops.reshape(x, (*x.shape, 1))


def as_matrix(x: Any) -> Any:
    """Numbers (...) as matrices (..., 1, 1)."""
    return ops.reshape(x, (*x.shape, 1, 1))


def total(*terms: Any) -> Any:
    """The sum of the terms that are there; None without any."""
    found = None
    for term in terms:
        if term is not None:
            found = term if found is None else ops.add(found, term)
    return found


class Diagonal:
    """Masks over the last two dimensions."""

    def __init__(self, x: Any) -> None:
        rows, columns = x.shape[-2:]
        self.i = ops.reshape(ops.arange(0, 1, rows, int64), (rows, 1))
        self.j = ops.arange(0, 1, columns, int64)

    def below(self, x: Any) -> Any:
        """x with zeros on the diagonal and above."""
        return ops.where(ops.gt(self.i, self.j), x, 0.0)

    def above(self, x: Any) -> Any:
        """x with zeros on the diagonal and below."""
        return ops.where(ops.lt(self.i, self.j), x, 0.0)

    def lower(self, x: Any) -> Any:
        """x with zeros above the diagonal."""
        return ops.where(ops.ge(self.i, self.j), x, 0.0)

    def upper(self, x: Any) -> Any:
        """x with zeros below the diagonal."""
        return ops.where(ops.le(self.i, self.j), x, 0.0)

    def off(self, x: Any) -> Any:
        """x with zeros on the diagonal."""
        return ops.where(ops.eq(self.i, self.j), 0.0, x)

    def on(self, x: Any) -> Any:
        """x with zeros off the diagonal."""
        return ops.where(ops.eq(self.i, self.j), x, 0.0)

    def plus(self, x: Any, value: Any) -> Any:
        """x with `value` (a row per matrix) added on the diagonal."""
        return ops.add(x, ops.where(ops.eq(self.i, self.j), value, 0.0))


def with_batch(*operands: Any) -> list[Any]:
    """Matrices with their batch dimensions broadcast to each other."""
    batch = broadcast_shapes(*(x.shape[:-2] for x in operands), op="linalg")
    expanded = []
    for x in operands:
        shape = (*batch, *x.shape[-2:])
        expanded.append(x if same_shape(x.shape, shape) else ops.expand(x, shape))
    return expanded
