"""Contractions: sums of products of two operands, by einsum's rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from argand.base.dim import Extent
from argand.base.dtype import compute_dtype, from_numpy
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import numel, same_shape
from argand.ir.batching import contracted
from argand.ir.elementwise import lifted
from argand.ir.families import array_type
from argand.ir.op import Op, Params, Tensors, TensorType, describe, ops


class Contract(Op):
    """Sums of products over shared labels, einsum's rule: C[i..] = sum over k.. of A[..] * B[..].

    A member states `labels(lhs, rhs, params)`: the labels of both operands and of the result, a
    string each; the family gives types, NumPy execution and both adjoints (contractions again).
    A label that is summed occurs in both operands.
    """

    abstract = True
    required = ("samples", "labels")
    can_fail = False
    is_contraction = True
    batched = contracted

    labels: ClassVar[Callable[..., Any] | None] = None

    def label_strings(self, lhs: Any, rhs: Any, params: dict[str, Any]) -> tuple[str, str, str]:
        """The labels of the operands and of the result."""
        labels = type(self).labels
        assert labels is not None
        left, right, result = labels(lhs, rhs, params)
        return left, right, result

    def reads_columns(self, operand: int, inputs: Sequence[Any], params: Params) -> bool:
        """n of a matrix (k, n), where n is the last dimension of the result."""
        lhs, rhs = inputs
        left, right, result = self.label_strings(lhs, rhs, params)
        n = right[-1:]
        is_matrix = len(right) == 2 and right[0] in left and n not in left
        return operand == 1 and is_matrix and n == result[-1:]

    def prepare(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        lhs, rhs = args
        return (lifted(lhs), lifted(rhs)), kwargs

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        lhs, rhs = inputs
        left, right, result = self.label_strings(lhs, rhs, params)
        self._check_labels(lhs, rhs, left, right, result)
        sizes: dict[str, Any] = {}
        for x, labels in ((lhs, left), (rhs, right)):
            for c, size in zip(labels, x.shape, strict=True):
                if not same_shape((sizes.setdefault(c, size),), (size,)):
                    raise ShapeError(
                        f"{self.name}: {describe(lhs, rhs)}: sizes {sizes[c]} and {size} differ"
                    )
        return (TensorType(lhs.dtype, tuple(sizes[c] for c in result)),)

    def _check_labels(
        self, lhs: TensorType, rhs: TensorType, left: str, right: str, result: str
    ) -> None:
        """Each operand names a label once, and what is summed is in both."""
        if lhs.dtype is not rhs.dtype:
            raise DTypeError(f"{self.name}: {describe(lhs, rhs)} have different dtypes")
        known, kept = set(left) | set(right), set(left) & set(right) | set(result)
        once = all(len(set(labels)) == len(labels) for labels in (left, right, result))
        if not once or known != kept:
            raise ShapeError(f"{self.name}: {left},{right}->{result} is no contraction of a pair")

    def multiply_adds(
        self, inputs: Sequence[Any], outputs: Sequence[Any], params: Params
    ) -> Extent:
        lhs, rhs = inputs
        left, right, _ = self.label_strings(lhs, rhs, params)
        pairs = zip(left + right, (*lhs.shape, *rhs.shape), strict=True)
        found: Extent = numel(tuple(dict(pairs).values()))
        return found

    def run(self, *arrays: Any, **params: Any) -> Any:
        a, b, finish = self.matrices(arrays, params)
        return finish(np.matmul(a, b))

    def matrices(
        self, arrays: Sequence[Any], params: dict[str, Any]
    ) -> tuple[Any, Any, Callable[[Any], Any]]:
        """Two stacks of matrices, and what makes their product the result."""
        x, y = arrays
        left, right, result = self.label_strings(array_type(x), array_type(y), params)
        batch = [c for c in left if c in right and c in result]
        inner = [c for c in left if c in right and c not in result]
        rows = [c for c in left if c not in right]
        columns = [c for c in right if c not in left]
        a, sizes = _matrices(x, left, batch, rows, inner)
        b, more = _matrices(y, right, batch, inner, columns)
        order = [*batch, *rows, *columns]
        wide = compute_dtype(from_numpy(x.dtype)).numpy

        def finish(product: Any) -> Any:
            shaped = product.astype(x.dtype, copy=False).reshape([(sizes | more)[c] for c in order])
            return shaped.transpose([order.index(c) for c in result])

        return a.astype(wide, copy=False), b.astype(wide, copy=False), finish

    def adjoint(self, grads: Tensors, inputs: Tensors, outputs: Tensors, params: Params) -> Tensors:
        (g,), (lhs, rhs) = grads, inputs
        left, right, result = self.label_strings(lhs, rhs, params)
        return [
            ops.einsum(f"{result},{right}->{left}", g, _conjugate(rhs)),
            ops.einsum(f"{result},{left}->{right}", g, _conjugate(lhs)),
        ]


def _matrices(
    x: Any, labels: str, batch: list[str], rows: list[str], columns: list[str]
) -> tuple[Any, dict[str, int]]:
    """An operand as a stack of matrices, and the sizes of its labels."""
    sizes = dict(zip(labels, x.shape, strict=True))
    ordered = x.transpose([labels.index(c) for c in [*batch, *rows, *columns]])
    counts = [math.prod(sizes[c] for c in group) for group in (rows, columns)]
    return ordered.reshape([sizes[c] for c in batch] + counts), sizes


def _conjugate(x: Any) -> Any:
    return ops.conj(x) if x.dtype.is_complex else x
