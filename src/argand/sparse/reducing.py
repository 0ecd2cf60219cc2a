"""Sums, norms and softmax of what sparse tensors hold."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from argand.base.dtype import as_dtype, bool_
from argand.base.errors import ArgumentError
from argand.base.shape import normalize_dim, normalize_dims
from argand.ir.op import ops
from argand.sparse.coo import SparseCooTensor, added, made
from argand.sparse.core import Meanings, SparseError, SparseTensor
from argand.sparse.csr import CompressedTensor
from argand.tensor import reducing
from argand.tensor.core import Tensor, wrap
from argand.tensor.scattering import index_reduce


def sum(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """The sum of the elements along `dim`, a number or several; of all without it.

    It is sparse where a sparse dimension is left, else a plain tensor. Gradients go to the values
    that are held. Follows `torch.sparse.sum`.

    >>> x = ag.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
    >>> ag.sparse.sum(x), ag.sparse.sum(x, 0).to_dense()
    (tensor(12.), tensor([4., 0., 8.]))
    """
    return _sum(input, dim, False, dtype)


def _sum(input: SparseTensor, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    x = input.coalesce() if isinstance(input, SparseCooTensor) else input.to_sparse_coo()
    if dim is None or dim == ():
        return reducing.sum(x._elements, dtype=dtype)
    count, dims = x.sparse_dim(), normalize_dims(dim, x.ndim, "sum")
    inside = tuple(d - count + 1 for d in dims if d >= count)
    values = reducing.sum(x._elements, inside, keepdim, dtype=dtype) if inside else x._elements
    if not inside:
        kept = values.dtype.is_inexact or values.dtype is bool_
        wanted = dtype if dtype is not None else values.dtype if kept else "int64"
        values = ops.cast(values, as_dtype(wanted))
    gone = [d for d in dims if d < count]
    if len(gone) == count and not keepdim:
        return reducing.sum(values, 0)
    sizes = [1 if d in dims else n for d, n in enumerate(x.shape) if keepdim or d not in dims]
    places = x._places.numpy_array()
    if keepdim:
        places = np.where(np.isin(np.arange(count), gone)[:, None], 0, places)
    else:
        places = np.delete(places, gone, 0)
    found = made(wrap(places), values, sizes, x._coalesced and not gone)
    if keepdim:
        found = found.coalesce()
        found._coalesced = False
        return found
    return found.coalesce() if gone else found


def norm(input: SparseTensor, p: Any = "fro", dim: Any = None, **options: Any) -> Any:
    """The norm of all elements."""
    if dim not in (None, (), []) or any(v not in (None, False) for v in options.values()):
        raise ArgumentError("norm: of a sparse tensor only that of all elements is there")
    held = input.coalesce() if isinstance(input, SparseCooTensor) else input
    return reducing.norm(held._elements.reshape(-1), p)


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """exp(x) / the sum of exp(x) along `dim`, of the elements that are held; the others are 0.

    It is sparse, with the places of the coalesced input. Follows `torch.sparse.softmax`.

    >>> x = ag.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 4.0], (2, 3))
    >>> ag.sparse.softmax(x, 1).values()
    tensor([1.0000, 0.5000, 0.5000])
    """
    return _normalised(input, dim, dtype, False)


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The logarithm of `sparse.softmax`, of the elements that are held.

    Follows `torch.sparse.log_softmax`.

    >>> x = ag.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 4.0], (2, 3))
    >>> ag.sparse.log_softmax(x, 1).values()
    tensor([ 0.0000, -0.6931, -0.6931])
    """
    return _normalised(input, dim, dtype, True)


def _normalised(input: SparseTensor, dim: int, dtype: Any, log: bool) -> SparseCooTensor:
    if not isinstance(input, SparseCooTensor):
        raise SparseError("sparse.softmax: expected a tensor of layout sparse_coo")
    x = input.coalesce()
    d, count = normalize_dim(dim, x.ndim, "softmax"), x.sparse_dim()
    values = x._elements if dtype is None else ops.cast(x._elements, as_dtype(dtype))
    if not values.dtype.is_floating_point:
        raise ArgumentError(f"sparse.softmax: not defined for {values.dtype.name}")
    if d >= count:
        function = reducing.log_softmax if log else reducing.softmax
        along = function(values, d - count + 1)
    else:
        along = _along_groups(values, *_groups(x, d), log)
    return made(x._places, along, x._sizes, True)


def _groups(x: SparseCooTensor, dim: int) -> tuple[Tensor, int]:
    """The number of each value's group, those that differ in one dimension only, and how many."""
    places = np.delete(x._places.numpy_array(), dim, 0)
    if not len(places) or not places.shape[1]:
        return wrap(np.zeros(x._nnz(), np.int64)), builtins.min(1, x._nnz())
    first, group = np.unique(places, axis=1, return_inverse=True)
    return wrap(group.reshape(-1).astype(np.int64)), first.shape[1]


def _along_groups(values: Tensor, group: Tensor, number: int, log: bool) -> Tensor:
    shape = (number, *values.shape[1:])
    lowest = ops.full(shape, 0, values.dtype)
    most = index_reduce(lowest, 0, group, values.detach(), "amax", include_self=False)
    apart = ops.sub(values, ops.index(most, group, dims=(0,)))
    powers = ops.exp(apart)
    sums = added(ops.full(shape, 0, values.dtype), group, powers)
    if log:
        return ops.sub(apart, ops.index(ops.log(sums), group, dims=(0,)))  # type: ignore[no-any-return]
    return ops.div(powers, ops.index(sums, group, dims=(0,)))  # type: ignore[no-any-return]


def _any(input: SparseTensor, *args: Any) -> Any:
    if args:
        raise SparseError("any: of a sparse tensor only that of all elements is there")
    return reducing.any(input._elements)


MEANINGS: Meanings = {
    "any": _any,
    "log_softmax": lambda x, dim, dtype=None: log_softmax(x, dim, dtype=dtype),
    "norm": norm,
    "softmax": lambda x, dim, dtype=None: softmax(x, dim, dtype=dtype),
    "sum": lambda x, dim=None, keepdim=False, dtype=None: _sum(x, dim, keepdim, dtype),
}
SparseCooTensor.meanings.update(MEANINGS)
CompressedTensor.meanings.update({name: MEANINGS[name] for name in ("any", "norm", "sum")})
