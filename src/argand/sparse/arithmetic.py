"""Sums, products and quotients of sparse tensors with one another, plain tensors and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import broadcast_shapes, shape_text
from argand.ir.op import ops
from argand.sparse.coo import SparseCooTensor, add_at, flat_places, look_up, made
from argand.sparse.core import Meanings, SparseError, SparseTensor
from argand.sparse.csr import CompressedTensor, compress
from argand.tensor.core import Tensor, wrap
from argand.tensor.joining import cat
from argand.tensor.switches import result_type


def _scaled(x: Any, factor: Any) -> Any:
    return x if isinstance(factor, int) and factor == 1 else x * factor


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
    if not isinstance(other, SparseTensor):
        return _added_to_plain(_scaled(other, alpha), input.to_sparse_coo(), 1)
    if not isinstance(input, SparseTensor):
        return _added_to_plain(input, other.to_sparse_coo(), alpha)
    _check_sizes("add", input, other)
    found = _sum(input.to_sparse_coo(), _scaled(other, alpha).to_sparse_coo())
    return compress(found, type(input)) if isinstance(input, CompressedTensor) else found


def _added_to_plain(input: Any, other: SparseCooTensor, alpha: Any) -> Any:
    _check_sizes("add", input, other)
    dtype = result_type(input, other._elements)
    values = ops.cast(_scaled(other._elements, alpha), dtype)
    return add_at(ops.cast(input, dtype), other._places, values)


def _sum(a: SparseCooTensor, b: SparseCooTensor) -> SparseCooTensor:
    if a.sparse_dim() != b.sparse_dim():
        raise ShapeError(
            f"add: expected as many sparse dimensions, got {a.sparse_dim()} and {b.sparse_dim()}"
        )
    places = cat([a._places, b._places], 1)
    values = cat([a._elements, b._elements], 0)
    return made(places, values, a._sizes, False).coalesce()


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input - alpha * other``."""
    return add(input, -other, alpha=alpha)


def mul(input: Any, other: Any) -> Any:
    """The products of elements: where one operand is sparse, of the values that it holds."""
    if not isinstance(input, SparseTensor):
        input, other = other, input
    if isinstance(other, SparseTensor):
        if not input.ndim or not other.ndim:
            raise SparseError("mul: sparse tensors of no dimensions aren't there")
        found = _common(input.to_sparse_coo().coalesce(), other.to_sparse_coo().coalesce())
        return compress(found, type(input)) if isinstance(input, CompressedTensor) else found
    if not isinstance(other, Tensor) or not other.ndim:
        return input._with(ops.mul(input._elements, other))
    _check_broadcast("mul", input, other)
    places = input.to_sparse_coo()._places
    factors = look_up(ops.expand(other, tuple(input.shape)), places)
    return input._with(ops.mul(input._elements, factors))


def _check_broadcast(name: str, input: SparseTensor, other: Tensor) -> None:
    shape = broadcast_shapes(tuple(input.shape), tuple(other.shape), op=name)
    if tuple(shape) != tuple(input.shape):
        raise ShapeError(f"{name}: a sparse tensor of {shape_text(input.shape)} can't expand")


def _common(a: SparseCooTensor, b: SparseCooTensor) -> SparseCooTensor:
    """The products at the places that two coalesced tensors have in common."""
    _check_sizes("mul", a, b)
    _, left, right = np.intersect1d(
        flat_places(a), flat_places(b), assume_unique=True, return_indices=True
    )
    chosen = wrap(left.astype(np.int64))
    values = ops.mul(
        ops.index(a._elements, chosen, dims=(0,)),
        ops.index(b._elements, wrap(right.astype(np.int64)), dims=(0,)),
    )
    return made(ops.index(a._places, chosen, dims=(1,)), values, a._sizes, True)


def div(input: Any, other: Any, *, rounding_mode: Any = None) -> Any:
    """A sparse tensor divided by a number."""
    if not isinstance(input, SparseTensor) or (isinstance(other, Tensor) and other.ndim):
        got = shape_text(other.shape) if isinstance(other, Tensor) else other
        raise ArgumentError(
            f"Sparse division requires a scalar or zero-dim dense tensor divisor (got shape {got} "
            "for divisor); give it x.to_dense()"
        )
    held = input if rounding_mode is None else _held_once(input)
    return held._with(ops.div(held._elements, other, rounding_mode=rounding_mode))


def _held_once(x: SparseTensor) -> Any:
    """The tensor with each place once."""
    return x.coalesce() if isinstance(x, SparseCooTensor) else x


def pow_(input: Any, exponent: Any) -> Any:
    """Powers other than 0 of a sparse tensor."""
    if isinstance(exponent, Tensor) or not isinstance(input, SparseTensor):
        raise SparseError("pow: a sparse tensor is raised to a number only; use x.to_dense()")
    if exponent == 0:
        raise ArgumentError(
            "pow: cannot raise to zeroth power on sparse tensor; it would make the result dense"
        )
    held = _held_once(input)
    return held._with(ops.pow(held._elements, exponent))


def assigned(meaning: Any) -> Any:
    """The meaning in place: the tensor takes the parts of the result."""

    def inplace(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = meaning(self, *args, **kwargs)
        if not isinstance(self, SparseTensor):
            return self.copy_(found)
        if self.requires_grad and self.is_leaf:
            raise ArgumentError("a leaf that requires grad can't be changed in place")
        if found.dtype is not self.dtype:
            found = found._with(ops.cast(found._elements, self.dtype))
        vars(self).update(vars(found))
        return self

    return inplace


_BINARY = {"add": add, "sub": sub, "mul": mul, "div": div, "pow": pow_}

MEANINGS: Meanings = _BINARY | {f"{name}_": assigned(f) for name, f in _BINARY.items()}
MEANINGS |= {
    "__pow__": pow_,
    "__rsub__": lambda self, other: sub(other, self),
    "floor_divide": lambda self, other: div(self, other, rounding_mode="floor"),
}
SparseCooTensor.meanings.update(MEANINGS)
CompressedTensor.meanings.update(MEANINGS)
