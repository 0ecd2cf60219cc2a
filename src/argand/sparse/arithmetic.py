"""Sums, differences, products of elements and functions that give 0 of 0."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import as_dtype, promote_types
from argand.base.errors import ShapeError
from argand.base.shape import shape_text
from argand.ir.op import ops
from argand.sparse.coo import SparseCooTensor, add_at, made, values_at
from argand.sparse.core import Meaning, SparseError, SparseTensor
from argand.sparse.formats import to_sparse_coo
from argand.tensor.core import Tensor
from argand.tensor.joining import cat

# They give 0 of 0, so that what isn't held stays what it is.
_OF_ZERO = """abs neg sqrt sin tan asin atan sinh tanh asinh atanh expm1 log1p sign floor ceil round
relu trunc frac square deg2rad rad2deg erf sgn positive"""


def _check_sizes(name: str, a: Any, b: Any) -> None:
    if tuple(a.shape) != tuple(b.shape):
        raise ShapeError(
            f"{name}: {shape_text(a.shape)} and {shape_text(b.shape)}: expected one shape, sparse "
            "tensors aren't broadcast"
        )


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input + alpha * other``: sparse where both are, else plain."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise SparseError("add: a number is added to all elements; give it x.to_dense()")
    _check_sizes("add", input, other)
    if not isinstance(input, SparseTensor):
        return _to_dense(input, other, alpha)
    if not isinstance(other, SparseTensor):
        return _to_dense(other if alpha == 1 else other * alpha, input, 1)
    return _joined(input.to_sparse_coo(), other.to_sparse_coo(), alpha)


def _to_dense(dense: Tensor, sparse: Any, alpha: Any) -> Tensor:
    held, dtype = sparse.to_sparse_coo(), promote_types(dense.dtype, sparse.dtype)
    values = held._elements if alpha == 1 else held._elements * alpha
    return add_at(ops.cast(dense, dtype), held._places, ops.cast(values, dtype))


def _joined(a: SparseCooTensor, b: SparseCooTensor, alpha: Any) -> SparseCooTensor:
    if a.sparse_dim() != b.sparse_dim():
        raise SparseError("add: the tensors have different numbers of sparse dimensions")
    dtype = promote_types(a.dtype, b.dtype)
    scaled = b._elements if alpha == 1 else b._elements * alpha
    values = cat([ops.cast(a._elements, dtype), ops.cast(scaled, dtype)])
    return made(cat([a._places, b._places], 1), values, a._sizes, False).coalesce()


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input - alpha * other``."""
    return add(input, other, alpha=-alpha)


def mul(input: Any, other: Any) -> Any:
    """The elements times a number, or times those of a tensor of the same shape."""
    x, y = (input, other) if isinstance(input, SparseTensor) else (other, input)
    if not isinstance(y, Tensor) or not y.ndim:
        return x._with(x._elements * y)
    _check_sizes("mul", x, y)
    held = x.to_sparse_coo().coalesce()
    return held._with(ops.mul(held._elements, values_at(y, held._places)))


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """The elements divided by a number, or by a tensor of no dimensions."""
    if isinstance(other, Tensor) and other.ndim:
        raise SparseError("div: what isn't held would be divided too; give it x.to_dense()")
    return input._with(input._elements.div(other, rounding_mode=rounding_mode))


def sum_(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of all elements; along some dimensions, as a sparse tensor.

    As `torch.sparse.sum`.

    >>> x = ag.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
    >>> ag.sparse.sum(x), ag.sparse.sum(x, 0).to_dense()
    (tensor(7.), tensor([4., 0., 3.]))
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if dim is None or dim == ():
        return input._elements.sum(dtype=wanted)
    return to_sparse_coo(input.to_dense().sum(dim, keepdim, dtype=wanted))


def _of_values(name: str) -> Meaning:
    def meaning(input: SparseTensor, *args: Any) -> Any:
        held = input.to_sparse_coo().coalesce()
        return held._with(getattr(held._elements, name)(*args))

    return meaning


SparseCooTensor.meanings.update(
    {name: _of_values(name) for name in _OF_ZERO.split()}
    | {"add": add, "sub": sub, "mul": mul, "div": div, "sum": sum_}
    | {
        "__radd__": lambda input, other: add(other, input),
        "__rsub__": lambda input, other: sub(other, input),
        "__rmul__": lambda input, other: mul(other, input),
    }
)
