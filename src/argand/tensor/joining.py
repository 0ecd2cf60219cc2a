"""Joining tensors, and taking them apart. The parts are views. Most are also Tensor methods."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import ArgumentError, IndexRangeError, ShapeError
from argand.base.shape import normalize_dim, shape_text
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.shaping import unsqueeze

# -- joining ---------------------------------------------------------------------------------------


def cat(tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Any:
    """The tensors joined along a dimension that they have."""
    joined = ops.cat(*_no_legacy_empties(list(tensors)), dim=dim if axis is None else axis)
    return joined if out is None else out.copy_(joined)


def _no_legacy_empties(tensors: list[Any]) -> list[Any]:
    """Without tensors of shape (0,), which PyTorch lets join with any shape."""
    ranks = {x.ndim for x in tensors}
    if len(ranks) <= 1:
        return tensors
    kept = [
        x for x in tensors if not (x.ndim == 1 and isinstance(x.shape[0], int) and not x.shape[0])
    ]
    return kept or tensors


def stack(tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Any:
    """The tensors, all of one shape, joined along a new dimension."""
    items = list(tensors)
    if not items:
        raise ArgumentError("stack: expected at least one tensor")
    first = tuple(items[0].shape)
    for i, x in enumerate(items):
        if tuple(x.shape) != first:
            raise ShapeError(
                f"stack: expected tensors of one shape, but entry 0 has {shape_text(first)} and "
                f"entry {i} has {shape_text(x.shape)}"
            )
    d = normalize_dim(dim if axis is None else axis, len(first) + 1, "stack")
    joined = ops.cat(*[unsqueeze(x, d) for x in items], dim=d)
    return joined if out is None else out.copy_(joined)


def hstack(tensors: Any) -> Any:
    """Joined along the second dimension, or the first of 1-d tensors."""
    items = [_at_least(x, 1) for x in tensors]
    return ops.cat(*items, dim=0 if items[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """Joined along the first dimension; 1-d tensors are rows."""
    return ops.cat(*[_at_least(x, 2) for x in tensors], dim=0)


def dstack(tensors: Any) -> Any:
    """Joined along the third dimension."""
    items = [_at_least(x, 2) for x in tensors]
    return ops.cat(*[unsqueeze(x, 2) if x.ndim == 2 else x for x in items], dim=2)


def _at_least(x: Any, rank: int) -> Any:
    missing = rank - x.ndim
    return x if missing <= 0 else ops.reshape(x, (1,) * missing + tuple(x.shape))


def atleast_1d(*tensors: Any) -> Any:
    """With at least one dimension."""
    found = tuple(_at_least(x, 1) for x in tensors)
    return found[0] if len(found) == 1 else found


def atleast_2d(*tensors: Any) -> Any:
    """With at least two dimensions."""
    found = tuple(_at_least(x, 2) for x in tensors)
    return found[0] if len(found) == 1 else found


# -- taking apart ----------------------------------------------------------------------------------


def narrow(input: Any, dim: int, start: Any, length: Any) -> Any:
    """The slice start : start + length along `dim`."""
    d = normalize_dim(dim, input.ndim, "narrow")
    size = input.shape[d]
    first = operator.index(start) if not isinstance(start, Dim) else start
    first = first + size if isinstance(first, int) and first < 0 else first
    if all(isinstance(v, int) for v in (first, length, size)) and first + length > size:
        raise IndexRangeError(
            f"narrow: {first} + {length} is out of range for dimension {d} of size {size}"
        )
    return sliced(input, d, first, first + length)


def sliced(x: Any, d: int, first: Any, last: Any, step: int = 1) -> Any:
    """The slice first : last : step along dimension `d`."""
    shape = tuple(x.shape)
    start = tuple(first if i == d else 0 for i in range(len(shape)))
    stop = tuple(last if i == d else s for i, s in enumerate(shape))
    return ops.slice(x, start, stop, tuple(step if i == d else 1 for i in range(len(shape))))


def select(input: Any, dim: int, index: int) -> Any:
    """The slice `index` along `dim`, without that dimension."""
    d = normalize_dim(dim, input.ndim, "select")
    return input[(slice(None),) * d + (index,)]


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices along `dim` that a 1-d index names."""
    if input.ndim == 0:
        return input
    if index.ndim > 1:
        raise IndexRangeError(f"index_select: index must be 1-d, got {shape_text(index.shape)}")
    d = normalize_dim(dim, input.ndim, "index_select")
    index = index if index.ndim else ops.reshape(index, (1,))
    return ops.index(input, index, dims=(d,))


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of the given size (the last may be smaller), or of the sizes in a list."""
    d = normalize_dim(dim, tensor.ndim, "split")
    size = tensor.shape[d]
    parts = split_size_or_sections
    if isinstance(parts, list | tuple):
        if sum(parts) != size:
            raise ArgumentError(
                f"split: the sizes {list(parts)} sum to {sum(parts)}, and dimension {d} has {size}"
            )
        lengths = list(parts)
    else:
        step, total = operator.index(parts), operator.index(size)
        if step < 0 or (step == 0 and total):
            raise ArgumentError(f"split: the size must be positive, got {step}")
        lengths = [min(step, total - i) for i in range(0, total, max(step, 1))] or [0]
    found, start = [], 0
    for length in lengths:
        found.append(sliced(tensor, d, start, start + length))
        start = start + length
    return tuple(found)


def split_with_sizes(input: Any, split_sizes: Sequence[Any], dim: int = 0) -> tuple[Any, ...]:
    """Views of the sizes in a list."""
    return split(input, list(split_sizes), dim)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` views of equal size (the last may be smaller)."""
    if chunks < 1:
        raise ArgumentError(f"chunk: chunks must be at least 1, got {chunks}")
    d = normalize_dim(dim, input.ndim, "chunk")
    size = input.shape[d]
    if isinstance(size, Dim):
        each = size // chunks
        return tuple(sliced(input, d, i * each, (i + 1) * each) for i in range(chunks))
    return split(input, max(-(-size // chunks), 1), d)


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views between indices, or a number of parts that differ by at most 1 in size."""
    d = normalize_dim(dim, input.ndim, "tensor_split")
    size = operator.index(input.shape[d])
    given = indices_or_sections
    if isinstance(given, Tensor):
        given = given.tolist()
    if isinstance(given, list | tuple):
        marks = [0, *[slice(i, None).indices(size)[0] for i in given], size]
    else:
        each, more = divmod(size, given)
        marks = [i * each + min(i, more) for i in range(given + 1)]
    pairs = pairwise(marks)
    return tuple(sliced(input, d, a, max(a, b)) for a, b in pairs)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along `dim`, without that dimension."""
    if not input.ndim:
        raise ShapeError("unbind: a 0-d tensor has no dimension to take apart")
    d = normalize_dim(dim, input.ndim, "unbind")
    return tuple(select(input, d, i) for i in range(operator.index(input.shape[d])))
