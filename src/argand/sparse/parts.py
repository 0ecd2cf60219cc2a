"""Parts of sparse tensors, and tensors made of several: selections, and what joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base.dtype import bool_
from argand.base.errors import IndexRangeError, ShapeError
from argand.base.shape import normalize_dim, shape_text
from argand.ir.op import ops
from argand.sparse.coo import SparseCooTensor, made
from argand.sparse.core import SparseError, SparseTensor
from argand.tensor import joining
from argand.tensor.core import Tensor, wrap


def _entries(values: Tensor, chosen: Any) -> Tensor:
    return ops.index(values, wrap(chosen), dims=(0,))  # type: ignore[no-any-return]


def _without(sizes: Sequence[Any], dim: int) -> list[Any]:
    return [n for d, n in enumerate(sizes) if d != dim]


def select(input: SparseCooTensor, dim: int, index: int) -> Any:
    """The slice at one place of a dimension."""
    d, count = normalize_dim(dim, input.ndim, "select"), input.sparse_dim()
    size = int(input.shape[d])
    if not -size <= index < size:
        raise IndexRangeError(
            f"select(): index {index} out of range for tensor of size {shape_text(input.shape)} at "
            f"dimension {d}"
        )
    place, sizes = int(index) % size, _without(input.shape, d)
    if d >= count:
        values = input._elements.select(d - count + 1, place)
        return made(input._places, values, sizes, False)
    places = input._places.numpy_array()
    (chosen,) = np.nonzero(places[d] == place)
    values = _entries(input._elements, chosen)
    if count == 1:
        return ops.any(values, 0) if values.dtype is bool_ else ops.sum(values, 0)
    rest = wrap(np.delete(places[:, chosen], d, 0))
    return made(rest, values, sizes, False)


def getitem(input: SparseCooTensor, index: Any) -> Any:
    """``x[i]``, ``x[i, j]``: integers, for the first dimensions."""
    found: Any = input
    for item in index if isinstance(index, tuple) else (index,):
        if isinstance(item, bool) or not isinstance(item, int | np.integer):
            raise SparseError(
                "indexing a sparse tensor takes integers; x.index_select(dim, index) selects "
                "several, x.to_dense() takes any index"
            )
        found = select(found, 0, int(item)) if found is input else found[int(item)]
    return found


def index_select(input: SparseCooTensor, dim: int, index: Any) -> SparseCooTensor:
    """The slices along `dim` that `index` names, in its order and as often."""
    d, count = normalize_dim(dim, input.ndim, "index_select"), input.sparse_dim()
    wanted = np.atleast_1d(index.numpy_array())
    size = int(input.shape[d])
    if wanted.size and not (-size <= wanted.min() and wanted.max() < size):
        raise IndexRangeError(
            f"index_select(): index out of range for dimension {d} of size {size}"
        )
    sizes = [len(wanted) if i == d else n for i, n in enumerate(input.shape)]
    if d >= count:
        values = input._elements.index_select(d - count + 1, index)
        return made(input._places, values, sizes, False)
    places = input._places.numpy_array()
    order = np.argsort(places[d], kind="stable")
    first, last = (np.searchsorted(places[d][order], wanted % size, s) for s in ("left", "right"))
    counts = last - first
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = order[np.repeat(first, counts) + within]
    moved = places[:, chosen].copy()
    moved[d] = np.repeat(np.arange(len(wanted)), counts)
    return made(wrap(moved), _entries(input._elements, chosen), sizes, False)


def narrow_copy(input: SparseCooTensor, dim: int, start: int, length: int) -> SparseCooTensor:
    """`length` slices along `dim`, from `start` on."""
    d, count = normalize_dim(dim, input.ndim, "narrow_copy"), input.sparse_dim()
    size = int(input.shape[d])
    if not (start >= 0 and length >= 0 and start + length <= size):
        raise IndexRangeError(f"narrow_copy: {start} + {length} is out of range of {size}")
    sizes = [length if i == d else n for i, n in enumerate(input.shape)]
    if d >= count:
        values = input._elements.narrow(d - count + 1, start, length).clone()
        return made(input._places, values, sizes, input._coalesced)
    places = input._places.numpy_array()
    (chosen,) = np.nonzero((places[d] >= start) & (places[d] < start + length))
    moved = places[:, chosen].copy()
    moved[d] -= start
    return made(wrap(moved), _entries(input._elements, chosen), sizes, input._coalesced)


def unsqueeze(input: SparseCooTensor, dim: int) -> SparseCooTensor:
    """With a dimension of size 1 more: a sparse one where it comes before a dense one."""
    d, count = normalize_dim(dim, input.ndim + 1, "unsqueeze"), input.sparse_dim()
    sizes = [*input.shape[:d], 1, *input.shape[d:]]
    if d > count:
        values = input._elements.unsqueeze(d - count + 1)
        return made(input._places, values, sizes, False)
    places = np.insert(input._places.numpy_array(), d, 0, 0)
    return made(wrap(places), input._elements, sizes, False)


def cat(tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Any:
    """Sparse tensors one behind another along a dimension."""
    given = list(tensors)
    if not all(isinstance(t, SparseCooTensor) for t in given):
        raise SparseError("cat: expected all tensors to be sparse; use x.to_dense()")
    first = given[0]
    d, count = normalize_dim(dim if axis is None else axis, first.ndim, "cat"), first.sparse_dim()
    for t in given:
        if _without(t.shape, d) != _without(first.shape, d) or t.sparse_dim() != count:
            raise ShapeError(f"cat: {shape_text(first.shape)} and {shape_text(t.shape)} don't fit")
    starts = np.cumsum([0, *[int(t.shape[d]) for t in given]])
    sizes = [int(starts[-1]) if i == d else n for i, n in enumerate(first.shape)]
    if d >= count:
        values = _widened(given, d - count + 1, starts)
        places: list[Any] = [t._places.numpy_array() for t in given]
    else:
        values = [t._elements for t in given]
        places = [t._places.numpy_array().copy() for t in given]
        for moved, start in zip(places, starts, strict=False):
            moved[d] += start
    return made(wrap(np.concatenate(places, 1)), joining.cat(values, 0), sizes, False)


def _widened(given: Sequence[SparseCooTensor], dim: int, starts: Any) -> list[Tensor]:
    """The values with zeros along a dense dimension where those of the others are."""
    found = []
    for t, start in zip(given, starts, strict=False):
        shape = list(t._elements.shape)
        after = int(starts[-1]) - int(start) - shape[dim]
        parts = []
        for length in (int(start), None, after):
            if length is None:
                parts.append(t._elements)
            elif length:
                size = [length if i == dim else n for i, n in enumerate(shape)]
                parts.append(ops.full(tuple(size), 0, t.dtype))
        found.append(joining.cat(parts, dim))
    return found


def stack(tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Any:
    """Sparse tensors of one shape along a new dimension."""
    d = dim if axis is None else axis
    return cat([unsqueeze(t, d) for t in tensors], d)


def unbind(input: SparseTensor, dim: int = 0) -> tuple[Any, ...]:
    """The slices along a dimension."""
    return tuple(input.select(dim, i) for i in range(int(input.shape[dim])))


SparseCooTensor.meanings.update(
    {
        "__getitem__": getitem,
        "cat": cat,
        "concat": cat,
        "concatenate": cat,
        "index_select": index_select,
        "narrow_copy": narrow_copy,
        "permute": lambda x, *dims, **given: x.permute(*dims, **given),
        "select": select,
        "stack": stack,
        "t": lambda x: x.t(),
        "transpose": lambda x, dim0, dim1: x.transpose(dim0, dim1),
        "unbind": unbind,
        "unsqueeze": unsqueeze,
    }
)
