"""Joining tensors, and taking them apart. The parts are views. Most are also Tensor methods."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from argand.base.dim import Dim, is_equal, is_less
from argand.base.domains import check_counts
from argand.base.errors import ArgumentError, CallError, IndexRangeError, ShapeError
from argand.base.shape import normalize_dim, shape_text
from argand.ir.op import describe, ops
from argand.tensor.core import Tensor
from argand.tensor.outputs import check_apart, written
from argand.tensor.shaping import unsqueeze
from argand.tensor.strides import as_image

# More parts of a dimension than this are a mistake, not a split.
MOST_PARTS = 1 << 24

# -- joining ---------------------------------------------------------------------------------------


def cat(tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Any:
    """The tensors one after another along a dimension that they have; the other sizes must agree.

    Dtypes are promoted; tensors of shape (0,) join with anything. Raises ShapeError for sizes that
    disagree, or no tensors. Follows `torch.cat`; along a new dimension: `stack`.

    >>> ag.cat([ag.tensor([[1, 2]]), ag.tensor([[3, 4], [5, 6]])])
    tensor([[1, 2],
            [3, 4],
            [5, 6]])
    """
    tensors = _listed("cat", tensors)
    parts = _no_legacy_empties(tensors)
    joined = ops.cat(*parts, dim=dim if axis is None else axis)
    return _into("cat", out, as_image(joined, *parts) if parts else joined, tensors)


def _listed(name: str, tensors: Any) -> list[Any]:
    """Tensors to join, which are given in a list or a tuple."""
    if isinstance(tensors, Tensor):
        raise CallError(f"{name}: expected a list of tensors, got one of {describe(tensors)}")
    return list(tensors)


def _into(name: str, out: Any, joined: Any, tensors: Sequence[Any]) -> Any:
    """The result, or `out` with it, which shares no memory with the tensors."""
    if out is None:
        return joined
    check_apart(name, out, tensors)
    return written(out, joined)


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
    """The tensors, all of one shape, one after another along a new dimension `dim`.

    Raises ShapeError for different shapes, ArgumentError for no tensors. Follows `torch.stack`.

    >>> ag.stack([ag.tensor([1, 2]), ag.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
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
    return _into("stack", out, joined, items)


def hstack(tensors: Any) -> Any:
    """The tensors joined along the second dimension, or the first of 1-d tensors.

    >>> ag.hstack([ag.tensor([[1], [2]]), ag.tensor([[3, 4], [5, 6]])])
    tensor([[1, 3, 4],
            [2, 5, 6]])
    """
    items = [_at_least(x, 1) for x in tensors]
    return ops.cat(*items, dim=0 if items[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """The tensors on top of each other: joined along the first dimension; 1-d tensors are rows.

    >>> ag.vstack([ag.tensor([1, 2]), ag.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return ops.cat(*[_at_least(x, 2) for x in tensors], dim=0)


def dstack(tensors: Any) -> Any:
    """The tensors joined along the third dimension; (N,) counts as (1, N, 1), (M, N) as (M, N, 1).

    >>> ag.dstack([ag.ones(2, 3), ag.zeros(2, 3)]).shape
    argand.Size([2, 3, 2])
    """
    return ops.cat(*[_at_least_3(x) for x in tensors], dim=2)


def _at_least(x: Any, rank: int) -> Any:
    missing = rank - x.ndim
    return x if missing <= 0 else ops.reshape(x, (1,) * missing + tuple(x.shape))


def column_stack(tensors: Any) -> Any:
    """The tensors side by side: vectors and numbers are columns, others joined along dimension 1.

    >>> ag.column_stack([ag.tensor([1, 2]), ag.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    items = [x if x.ndim > 1 else ops.reshape(x, (-1, 1)) for x in tensors]
    return ops.cat(*items, dim=1)


def _each_at_least(tensors: tuple[Any, ...], widened: Any) -> Any:
    """One tensor widened; a tuple of several, given one by one or as a sequence."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return widened(tensors[0])
    several = tensors[0] if len(tensors) == 1 else tensors
    return tuple(widened(x) for x in several)


def atleast_1d(*tensors: Any) -> Any:
    """The tensors with at least one dimension: a 0-d one gets shape (1,). Several give a tuple.

    >>> ag.atleast_1d(ag.tensor(5))
    tensor([5])
    """
    return _each_at_least(tensors, lambda x: _at_least(x, 1))


def atleast_2d(*tensors: Any) -> Any:
    """The tensors with at least two dimensions: new ones are in front. Several give a tuple.

    >>> ag.atleast_2d(ag.tensor([1, 2]))
    tensor([[1, 2]])
    """
    return _each_at_least(tensors, lambda x: _at_least(x, 2))


def atleast_3d(*tensors: Any) -> Any:
    """The tensors with at least three dimensions: (M, N) becomes (M, N, 1), a vector (1, N, 1).

    Several give a tuple.

    >>> ag.atleast_3d(ag.ones(2, 3)).shape, ag.atleast_3d(ag.ones(3)).shape
    (argand.Size([2, 3, 1]), argand.Size([1, 3, 1]))
    """
    return _each_at_least(tensors, _at_least_3)


def _at_least_3(x: Any) -> Any:
    wide = _at_least(x, 2)
    return unsqueeze(wide, 2) if wide.ndim == 2 else wide


# -- taking apart ----------------------------------------------------------------------------------


def narrow(input: Any, dim: int, start: Any, length: Any) -> Any:
    """The `length` elements from `start` on along `dim`; a view.

    A negative `start` counts from the end. Raises IndexError where they leave the dimension.
    Follows `torch.narrow`.

    >>> ag.narrow(ag.arange(10), 0, start=3, length=4)
    tensor([3, 4, 5, 6])
    """
    d = normalize_dim(dim, input.ndim, "narrow")
    size = input.shape[d]
    if isinstance(start, Tensor) and (start.ndim or start.dtype.kind not in "iu"):
        raise ArgumentError(
            f"narrow: start must be an integer or a 0-d tensor of one, got {describe(start)}"
        )
    first = operator.index(start) if not isinstance(start, Dim) else start
    first = first + size if is_less(first, 0) else first
    if is_less(first, 0) or is_less(length, 0) or is_less(size, first + length):
        raise IndexRangeError(
            f"narrow: {length} elements from {start} on are out of range for dimension {d} of "
            f"size {size}"
        )
    return sliced(input, d, first, first + length)


def sliced(x: Any, d: int, first: Any, last: Any, step: int = 1) -> Any:
    """The slice first : last : step along dimension `d`."""
    shape = tuple(x.shape)
    start = tuple(first if i == d else 0 for i in range(len(shape)))
    stop = tuple(last if i == d else s for i, s in enumerate(shape))
    return ops.slice(x, start, stop, tuple(step if i == d else 1 for i in range(len(shape))))


def select(input: Any, dim: int, index: int) -> Any:
    """The slice `index` along `dim`, without that dimension; a view: ``x[:, index]`` for dim 1.

    Raises IndexError where there is no such index.

    >>> ag.select(ag.tensor([[1, 2, 3], [4, 5, 6]]), dim=1, index=2)
    tensor([3, 6])
    """
    d = normalize_dim(dim, input.ndim, "select")
    return input[(slice(None),) * d + (index,)]


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices along `dim` that the 1-d `index` names, in its order and as often; a copy.

    Negative numbers count from the end. Raises IndexError outside. Follows `torch.index_select`.

    >>> ag.index_select(ag.tensor([[1, 2, 3], [4, 5, 6]]), 1, ag.tensor([2, 0, 0]))
    tensor([[3, 1, 1],
            [6, 4, 4]])
    """
    if input.ndim == 0:
        return input
    if index.ndim > 1:
        raise IndexRangeError(f"index_select: index must be 1-d, got {shape_text(index.shape)}")
    d = normalize_dim(dim, input.ndim, "index_select")
    index = index if index.ndim else ops.reshape(index, (1,))
    return ops.index(input, index, dims=(d,))


def split(
    tensor: Any, split_size_or_sections: Any = None, dim: int = 0, *, split_size: Any = None
) -> tuple[Any, ...]:
    """A tuple of views along `dim`, of one size each or of the sizes in a list.

    Of one size, which may be called `split_size`, the last may be smaller. Raises ArgumentError
    where the sizes don't add up to that of the dimension. Follows `torch.split`.

    >>> ag.split(ag.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> ag.split(ag.arange(5), [1, 4])
    (tensor([0]), tensor([1, 2, 3, 4]))
    """
    d = normalize_dim(dim, tensor.ndim, "split")
    size = tensor.shape[d]
    parts = split_size_or_sections if split_size is None else split_size
    if isinstance(parts, list | tuple):
        if sum(parts) != size:
            raise ArgumentError(
                f"split: the sizes {list(parts)} sum to {sum(parts)}, and dimension {d} has {size}"
            )
        if any(is_less(n, 0) for n in parts):
            raise ArgumentError(f"split: sizes can't be negative, got {list(parts)}")
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
    """A tuple of views along `dim` of the sizes in a list; see `split`.

    >>> ag.split_with_sizes(ag.arange(5), [1, 4])
    (tensor([0]), tensor([1, 2, 3, 4]))
    """
    return split(input, list(split_sizes), dim)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """A tuple of `chunks` views along `dim`, of size ceil(n / chunks) each.

    The last may be smaller, and there may be fewer than asked for. Raises ArgumentError for less
    than 1. Follows `torch.chunk`; always as many as asked for gives `tensor_split`.

    >>> ag.chunk(ag.arange(5), 3)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    if chunks < 1:
        raise ArgumentError(f"chunk: chunks must be at least 1, got {chunks}")
    d = normalize_dim(dim, input.ndim, "chunk")
    size = input.shape[d]
    if isinstance(size, Dim):
        each = (size + (chunks - 1)) // chunks
        if (chunks - 1) * each < size:  # as many parts as asked for, the last one shorter
            starts = [i * each for i in range(chunks)]
            ends = [*starts[1:], size]
            return tuple(sliced(input, d, *part) for part in zip(starts, ends, strict=True))
    if is_equal(size, 0):
        return (sliced(input, d, 0, 0),) * chunks
    return split(input, -(-size // chunks), d)


def tensor_split(
    input: Any,
    indices_or_sections: Any = None,
    dim: int = 0,
    *,
    indices: Any = None,
    sections: Any = None,
) -> tuple[Any, ...]:
    """A tuple of views along `dim`: parts whose sizes differ by at most 1, or cut at given indices.

    Which of the two may be said by name. Follows `torch.tensor_split`.

    >>> ag.tensor_split(ag.arange(5), 3)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> ag.tensor_split(ag.arange(5), (1, 3))
    (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    d = normalize_dim(dim, input.ndim, "tensor_split")
    size = operator.index(input.shape[d])
    said = [x for x in (indices_or_sections, indices, sections) if x is not None]
    if len(said) != 1:
        raise CallError("tensor_split takes one of indices_or_sections, indices and sections")
    given = said[0].tolist() if isinstance(said[0], Tensor) else said[0]
    if isinstance(given, list | tuple):
        marks = [0, *[slice(i, None).indices(size)[0] for i in given], size]
    else:
        check_counts(1, sections=given)
        if given > max(size, MOST_PARTS):
            raise ArgumentError(f"tensor_split: {given} parts of a dimension of size {size}")
        each, more = divmod(size, given)
        marks = [i * each + min(i, more) for i in range(given + 1)]
    pairs = pairwise(marks)
    return tuple(sliced(input, d, a, max(a, b)) for a, b in pairs)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along `dim` as a tuple of views without that dimension.

    Raises ShapeError for a 0-d tensor.

    >>> ag.unbind(ag.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    if not input.ndim:
        raise ShapeError("unbind: a 0-d tensor has no dimension to take apart")
    d = normalize_dim(dim, input.ndim, "unbind")
    return tuple(select(input, d, i) for i in range(operator.index(input.shape[d])))


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """`tensor_split` along the second dimension, or the only one; sections must divide it evenly.

    Raises ShapeError for a 0-d tensor.

    >>> ag.hsplit(ag.tensor([[1, 2], [3, 4]]), 2)
    (tensor([[1],
            [3]]), tensor([[2],
            [4]]))
    """
    return _split_evenly("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1, 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """`tensor_split` along the first dimension; sections must divide it evenly.

    Raises ShapeError for less than 2 dimensions.

    >>> ag.vsplit(ag.tensor([[1, 2], [3, 4]]), 2)
    (tensor([[1, 2]]), tensor([[3, 4]]))
    """
    return _split_evenly("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """`tensor_split` along the third dimension; sections must divide it evenly.

    Raises ShapeError for less than 3 dimensions.

    >>> [part.shape for part in ag.dsplit(ag.ones(1, 2, 4), 2)]
    [argand.Size([1, 2, 2]), argand.Size([1, 2, 2])]
    """
    return _split_evenly("dsplit", input, indices_or_sections, 2, 3)


def _split_evenly(name: str, x: Any, parts: Any, d: int, rank: int) -> tuple[Any, ...]:
    if x.ndim < rank:
        raise ShapeError(f"{name}: expected at least {rank} dimensions, got {shape_text(x.shape)}")
    if isinstance(parts, int):
        size = operator.index(x.shape[d])
        if parts < 1 or size % parts:
            raise ArgumentError(f"{name}: {parts} sections don't divide a size of {size} evenly")
    return tensor_split(x, parts, d)
