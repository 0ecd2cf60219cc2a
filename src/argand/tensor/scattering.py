"""Functions that write at the places an index names. Most are Tensor methods too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.dtype import DType
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import normalize_dim, same_shape, shape_text
from argand.ir import bind as crossroads
from argand.ir.op import describe, ops
from argand.ops.gather import as_vector
from argand.tensor.core import Tensor
from argand.tensor.indexing import index_put
from argand.tensor.inplace import apply_inplace
from argand.tensor.searching import searchsorted
from argand.tensor.selecting import masked_fill


def _source(input: Any, index: Any, src: Any) -> Any:
    if isinstance(src, Tensor):
        if not src.weak:
            return src
        return ops.expand(ops.cast(src, input.dtype), tuple(index.shape))  # it stands for a number
    return ops.full(tuple(index.shape), src, input.dtype)


def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Any:
    """A copy with out[index[i, j], j] = src[i, j] for dim 0, out[i, index[i, j]] = ... for dim 1.

    `src` is a number (also as `value=`) or a tensor no smaller than `index`. With `reduce` "add" or
    "multiply" it is combined with what is there. Where places repeat, the last one counts. Raises
    IndexError for an index outside. Follows `torch.scatter`.

    >>> ag.scatter(ag.zeros(2, 3), 1, ag.tensor([[0], [2]]), 5.0)
    tensor([[5., 0., 0.],
            [0., 0., 5.]])
    """
    src = _source(input, index, value if src is None else src)
    if reduce in ("add", "sum"):
        return ops.scatter_add(input, dim, index, src)
    if reduce == "multiply":
        return scatter_reduce(input, dim, index, src, "prod")
    if reduce is not None:
        raise ArgumentError(f"scatter: reduce must be None, 'add' or 'multiply', got {reduce!r}")
    return ops.scatter(input, dim, index, src)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy with out[index[i, j], j] += src[i, j] for dim 0, out[i, index[i, j]] += ... for dim 1.

    Where places repeat, all is added. Raises IndexError for an index outside. Follows
    `torch.scatter_add`.

    >>> ag.scatter_add(ag.zeros(3), 0, ag.tensor([0, 0, 2]), ag.tensor([1.0, 2.0, 3.0]))
    tensor([3., 0., 3.])
    """
    return ops.scatter_add(input, dim, index, src)


def scatter_(
    self: Tensor, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Tensor:
    """`scatter` in place; returns the tensor.

    >>> ag.zeros(2, 3).scatter_(1, ag.tensor([[0], [2]]), 5.0)
    tensor([[5., 0., 0.],
            [0., 0., 5.]])
    """
    return apply_inplace(scatter, self, dim, index, src, value=value, reduce=reduce)


def scatter_add_(self: Tensor, dim: int, index: Any, src: Any) -> Tensor:
    """`scatter_add` in place; returns the tensor.

    >>> ag.zeros(3).scatter_add_(0, ag.tensor([0, 0, 2]), ag.tensor([1.0, 2.0, 3.0]))
    tensor([3., 0., 3.])
    """
    return apply_inplace(scatter_add, self, dim, index, src)


def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy in which the elements of `src` that go to one place are combined.

    `reduce` is "sum", "mean", "prod", "amax" or "amin"; places as in `scatter`. The element that is
    there takes part unless `include_self=False`; places without any stay. A mean of integers is
    rounded down; equal extremes share the gradient. Raises ArgumentError for another `reduce`.
    Follows `torch.scatter_reduce`.

    >>> x, index, src = ag.ones(3), ag.tensor([0, 0, 2]), ag.tensor([2.0, 3.0, 4.0])
    >>> ag.scatter_reduce(x, 0, index, src, "mean")
    tensor([2.0000, 1.0000, 2.5000])
    >>> ag.scatter_reduce(x, 0, index, src, "prod")
    tensor([6., 1., 4.])
    """
    reduce = _OLDER.get(reduce, reduce)
    if reduce not in _REDUCTIONS:
        raise ArgumentError(
            f"scatter_reduce: reduce must be one of {', '.join(_REDUCTIONS)}, got {reduce!r}"
        )
    if src.dtype is not input.dtype:
        raise DTypeError(f"scatter_reduce: {describe(input, src)}: both must have one dtype")
    if not input.ndim:
        x, places, values = (as_vector(v) for v in (input, index, src))
        found = scatter_reduce(x, dim, places, values, reduce, include_self=include_self)
        return ops.reshape(found, ())
    if not same_shape(tuple(src.shape), tuple(index.shape)) and src.ndim == index.ndim:
        src = ops.slice(src, (0,) * src.ndim, tuple(index.shape))
    start = input
    if not include_self:
        start = ops.scatter(input, dim, index, _identity(reduce, input.dtype))
    if reduce not in ("sum", "mean"):
        return ops.scatter_combine(start, dim, index, src, reduce)
    total = ops.scatter_add(start, dim, index, src)
    return total if reduce == "sum" else _mean(total, dim, index, include_self)


_REDUCTIONS = ("sum", "mean", "prod", "amax", "amin")
_OLDER = {"max": "amax", "min": "amin"}


def _mean(total: Any, dim: int, index: Any, include_self: bool) -> Any:
    """Sums divided by how many elements came to each place."""
    base = ops.full(tuple(total.shape), 1 if include_self else 0, total.dtype)
    ones = ops.full(tuple(index.shape), 1, total.dtype)
    count = ops.scatter_add(base, dim, index, ones)
    rounding = None if total.dtype.is_inexact else "floor"
    return ops.div(total, ops.clamp(count, 1, None), rounding_mode=rounding)


def _identity(reduce: str, dtype: DType) -> Any:
    """What changes nothing when it is combined."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    lowest = reduce == "amax"
    if dtype.is_floating_point:
        return -math.inf if lowest else math.inf
    if dtype.kind == "b":
        return not lowest
    limits = np.iinfo(dtype.numpy)
    return int(limits.min if lowest else limits.max)


def scatter_reduce_(
    self: Tensor, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`scatter_reduce` in place; returns the tensor.

    >>> x, index = ag.ones(3), ag.tensor([0, 0, 2])
    >>> x.scatter_reduce_(0, index, ag.tensor([2.0, 3.0, 4.0]), "sum")
    tensor([6., 1., 5.])
    """
    return apply_inplace(scatter_reduce, self, dim, index, src, reduce, include_self=include_self)


def _placed(name: str, input: Any, dim: int, index: Any, source: Any, accumulate: bool) -> Any:
    d = normalize_dim(dim, input.ndim, name)
    index = ops.reshape(index, (-1,))
    if not input.ndim:  # a vector of one element
        placed = _placed(name, ops.reshape(input, (1,)), 0, index, as_vector(source), accumulate)
        return ops.reshape(placed, ())
    order = (d, *(i for i in range(input.ndim) if i != d))
    back = tuple(order.index(i) for i in range(input.ndim))
    wanted = tuple(index.shape[0] if i == d else n for i, n in enumerate(input.shape))
    source = as_vector(source) if input.ndim == 1 else source
    if not same_shape(tuple(source.shape), wanted):
        raise ShapeError(
            f"{name}: {describe(input, index, source)}: the source's shape must be "
            f"{shape_text(wanted)}, one slice for each index"
        )
    values = ops.cast(ops.permute(source, order), input.dtype)
    front = ops.permute(input, order)
    out = ops.index_put(front, values, ops.cast(index, "int64"), dims=(0,), accumulate=accumulate)
    return ops.permute(out, back)


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """A copy with out[index[i], ...] += alpha * source[i, ...] for dim 0; `index` is 1-d.

    Where places repeat, all is added. Follows `torch.index_add`.

    >>> ag.index_add(ag.zeros(3, 2), 0, ag.tensor([2, 2]), ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[0., 0.],
            [0., 0.],
            [4., 6.]])
    """
    if input.dtype is not source.dtype:
        raise DTypeError(f"index_add: {describe(input, source)}: expected one dtype")
    scaled = source if isinstance(alpha, int) and alpha == 1 else ops.mul(source, alpha)
    return _placed("index_add", input, dim, index, scaled, True)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy with out[index[i], ...] = source[i, ...] for dim 0; `index` is 1-d.

    Follows `torch.index_copy`.

    >>> ag.index_copy(ag.zeros(3, 2), 0, ag.tensor([2, 0]), ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [0., 0.],
            [1., 2.]])
    """
    return _placed("index_copy", input, dim, index, source, False)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy with `value` in the slices along `dim` that the 1-d `index` names.

    >>> ag.index_fill(ag.zeros(2, 3), 1, ag.tensor([0, 2]), 5)
    tensor([[5., 0., 5.],
            [5., 0., 5.]])
    """
    if isinstance(value, Tensor) and value.ndim:
        raise ShapeError(f"index_fill: {describe(value)}: the value must have no dimensions")
    d = normalize_dim(dim, input.ndim, "index_fill")
    size = input.shape[d] if input.ndim else 1
    named = index_put(ops.full((size,), False, "bool"), (ops.reshape(index, (-1,)),), True)
    shape = tuple(size if i == d else 1 for i in range(input.ndim))
    return masked_fill(input, ops.reshape(named, shape), value)


def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy in which the slices of `source` are combined at the places that `index` names.

    For dim 0, source[i, ...] goes to out[index[i], ...]; `reduce` is "prod", "mean", "amax" or
    "amin". What is there takes part unless `include_self=False`. Follows `torch.index_reduce`.

    >>> x, source = ag.ones(2, 2), ag.tensor([[2.0, 3.0], [4.0, 5.0]])
    >>> ag.index_reduce(x, 0, ag.tensor([1, 1]), source, "prod")
    tensor([[ 1.,  1.],
            [ 8., 15.]])
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ArgumentError(
            f"index_reduce: reduce must be one of prod, mean, amax, amin, got {reduce!r}"
        )
    if not input.ndim:
        x, places, values = (as_vector(v) for v in (input, index, source))
        found = index_reduce(x, dim, places, values, reduce, include_self=include_self)
        return ops.reshape(found, ())
    d = normalize_dim(dim, input.ndim, "index_reduce")
    index = as_vector(index)
    source = as_vector(source)
    wanted = tuple(index.shape[0] if i == d else n for i, n in enumerate(input.shape))
    if not same_shape(tuple(source.shape), wanted):
        raise ShapeError(
            f"index_reduce: {describe(input, index, source)}: the source's shape must be "
            f"{shape_text(wanted)}, one slice for each index"
        )
    column = tuple(-1 if i == d else 1 for i in range(input.ndim))
    places = ops.expand(ops.reshape(ops.cast(index, "int64"), column), wanted)
    return scatter_reduce(input, d, places, source, reduce, include_self=include_self)


_SEGMENTS = {"sum": "sum", "mean": "sum", "prod": "prod", "max": "amax", "min": "amin"}


def segment_reduce(
    data: Any,
    reduce: str,
    *,
    lengths: Any = None,
    indices: Any = None,
    offsets: Any = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Any:
    """The sum, mean, prod, max or min of segments along `axis`, which follow one another.

    They are given by their `lengths` (..., n), which must add up to the size unless `unsafe`, or by
    `offsets` (..., n + 1), where they begin and the last ends; the dimensions before the last are
    those of the data before `axis`. `initial` takes part in each (the mean doesn't count it); of
    no elements without it the mean is NaN. `indices` must be left out. Follows
    `torch.segment_reduce`.

    >>> x = ag.tensor([1.0, 2.0, 3.0, 4.0])
    >>> ag.segment_reduce(x, "max", lengths=ag.tensor([3, 1])), ag.segment_reduce(
    ...     x, "sum", offsets=ag.tensor([0, 1, 4])
    ... )
    (tensor([3., 4.]), tensor([1., 9.]))
    """
    if reduce not in _SEGMENTS:
        raise ArgumentError(
            f"segment_reduce: reduce must be one of {', '.join(_SEGMENTS)}, got {reduce!r}"
        )
    if indices is not None or (lengths is None) is (offsets is None):
        raise ArgumentError("segment_reduce: give either lengths or offsets, and no indices")
    if not data.dtype.is_floating_point:
        raise DTypeError(f"segment_reduce: {describe(data)}: expected floats")
    given = offsets if lengths is None else lengths
    d = normalize_dim(axis, data.ndim, "segment_reduce")
    if given.ndim != d + 1 or not same_shape(tuple(given.shape[:-1]), tuple(data.shape[:d])):
        raise ShapeError(
            f"segment_reduce: {describe(data, given)}: expected the shape of the data before "
            f"dimension {d}, and a number for each segment"
        )
    if lengths is not None:
        _check_lengths(lengths, data.shape[d], unsafe)
    ends = ops.cumsum(lengths, d) if offsets is None else _but(offsets, first=True)
    starts = ops.sub(ends, lengths) if offsets is None else _but(offsets, first=False)
    return _segments(data, reduce, d, starts, ends, initial)


def _but(offsets: Any, first: bool) -> Any:
    """The offsets but the first, or the last."""
    rank, count = offsets.ndim, offsets.shape[-1]
    start = (*(0,) * (rank - 1), 1 if first else 0)
    return ops.slice(offsets, start, (*offsets.shape[:-1], count if first else count - 1))


def _check_lengths(lengths: Any, size: Any, unsafe: bool) -> None:
    if unsafe or crossroads.tracing():
        return
    values = lengths.detach().numpy_array()
    if (values < 0).any() or (values.sum(-1) != size).any():
        raise ArgumentError(
            f"segment_reduce: lengths must be at least 0 and add up to the size {size}"
        )


def _segments(data: Any, reduce: str, d: int, starts: Any, ends: Any, initial: Any) -> Any:
    """Elements combined by the segments that they are in; those in none have a place behind."""
    size, count = data.shape[d], starts.shape[-1]
    i = ops.expand(ops.arange(0, 1, size, "int64"), (*starts.shape[:-1], size))
    places = searchsorted(ends, i, right=True)
    if count:
        before = ops.lt(i, ops.slice(starts, (0,) * (d + 1), (*starts.shape[:-1], 1)))
        places = ops.where(before, count, places)
    wide = (*places.shape, *(1,) * (data.ndim - d - 1))
    places = ops.expand(ops.reshape(places, wide), tuple(data.shape))
    shape = tuple(count + 1 if k == d else n for k, n in enumerate(data.shape))
    base = ops.full(shape, _identity(_SEGMENTS[reduce], data.dtype), data.dtype)
    if initial is not None:
        base = ops.full(shape, initial, data.dtype)
    found = scatter_reduce(base, d, places, data, _SEGMENTS[reduce])
    stop = tuple(count if k == d else n for k, n in enumerate(data.shape))
    found = ops.slice(found, (0,) * data.ndim, stop)
    if reduce != "mean":
        return found
    lengths = ops.reshape(ops.sub(ends, starts), (*starts.shape, *(1,) * (data.ndim - d - 1)))
    counts = lengths if initial is None else ops.clamp(lengths, 1, None)
    return ops.div(found, ops.cast(counts, data.dtype))
