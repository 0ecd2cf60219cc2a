"""Regions of a tensor as views (diagonals, windows, any strides), and copies with one replaced."""

from __future__ import annotations

import operator
from typing import Any

from argand.base.errors import ArgumentError, ShapeError, TraceError
from argand.base.shape import normalize_dim, shape_text
from argand.base.strides import repeats_places
from argand.ir import bind as crossroads
from argand.ir.op import describe, ops
from argand.ops.strided import put_strided
from argand.tensor.convert import storage_offset as offset_of
from argand.tensor.joining import select, sliced
from argand.tensor.strides import stride
from argand.tensor.views import root_of

# -- views -----------------------------------------------------------------------------------------


def diagonal_of(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The elements of `dim1` and `dim2` with column - row = offset, as the last dimension; a view.

    Follows `torch.diagonal`.

    >>> ag.diagonal(ag.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    >>> ag.ones(5, 2, 3).diagonal(dim1=1, dim2=2).shape
    argand.Size([5, 2])
    >>> x = ag.zeros(2, 2)
    >>> _ = x.diagonal().fill_(1.0)
    >>> x
    tensor([[1., 0.],
            [0., 1.]])
    """
    return ops.diagonal(input, offset, dim1, dim2)


def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of `size` elements, one every `step`, along `dimension`, as a new last dimension.

    (..., N, ...) gives (..., (N - size) // step + 1, ..., size), a view; where windows overlap it
    can't be written in place. Raises ArgumentError for a size over N or a step under 1. Follows
    `torch.Tensor.unfold`.

    >>> ag.arange(5).unfold(0, size=3, step=1)
    tensor([[0, 1, 2],
            [1, 2, 3],
            [2, 3, 4]])
    """
    return ops.unfold(self, dimension, operator.index(size), operator.index(step))


def as_strided(input: Any, size: Any, stride: Any, storage_offset: Any = None) -> Any:
    """The memory of a tensor read with any sizes and strides, in elements; a view.

    `storage_offset` is counted from the start of the memory, which other tensors may share; that of
    `input` unless given. Raises ArgumentError where it would reach outside (of its argument, in a
    compiled function), and for memory that the tensor who owns it covers with gaps. Follows
    `torch.as_strided`.

    >>> ag.as_strided(ag.arange(6), (3, 2), (1, 2))
    tensor([[0, 2],
            [1, 3],
            [2, 4]])
    """
    shape, steps = _whole(size), _whole(stride)
    first = 0 if storage_offset is None else operator.index(storage_offset) - offset_of(input)
    last = first + sum((n - 1) * by for n, by in zip(shape, steps, strict=False))
    memory = _in_order(input) if first >= 0 and last < input.numel() else None
    if memory is None:  # beyond its own elements, or between them
        root = root_of(input)
        memory, first = _in_order(root), first + offset_of(input) - offset_of(root)
    if memory is None:
        raise ArgumentError(
            f"as_strided: {describe(input)}: the elements aren't dense in memory; use contiguous()"
        )
    if first < 0 and storage_offset and crossroads.tracing():
        raise TraceError(
            f"as_strided: {describe(input)}: a compiled function is given the elements of its "
            "arguments alone, none before them; pass the tensor that owns the memory"
        )
    return ops.as_strided(memory, shape, steps, first)


def _whole(numbers: Any) -> tuple[int, ...]:
    return tuple(map(operator.index, numbers))


def _in_order(x: Any) -> Any:
    """A tensor as a vector in the order of memory; None where its memory has gaps."""
    steps = stride(x)
    order = sorted(range(x.ndim), key=lambda d: (-steps[d], d))
    expected = 1
    for d in reversed(order):
        if x.shape[d] != 1 and steps[d] != expected:
            return None
        expected *= x.shape[d]
    return ops.reshape(ops.permute(x, tuple(order)), (expected,))


# -- copies with a region replaced -----------------------------------------------------------------


def _region(name: str, part: Any, src: Any) -> None:
    if tuple(part.shape) != tuple(src.shape):
        raise ShapeError(
            f"{name}: the source must have the shape {shape_text(part.shape)} of what it replaces, "
            f"got {shape_text(src.shape)}"
        )


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy in which the slice `index` along `dim`, what `select` gives, is replaced by `src`.

    Raises ShapeError for a source of another shape. Follows `torch.select_scatter`.

    >>> ag.select_scatter(ag.zeros(2, 2), ag.ones(2), dim=1, index=0)
    tensor([[1., 0.],
            [1., 0.]])
    """
    d = normalize_dim(dim, input.ndim, "select_scatter")
    _region("select_scatter", select(input, d, index), src)
    place = operator.index(index)
    place = place + input.shape[d] if place < 0 else place
    whole = tuple(1 if i == d else s for i, s in enumerate(input.shape))
    return _put(input, ops.reshape(src, whole), d, place, place + 1, 1)


def _put(x: Any, src: Any, d: int, first: Any, last: Any, step: int) -> Any:
    """A copy with the slice first : last : step along dimension `d` replaced."""
    rank = range(x.ndim)
    start = tuple(first if i == d else 0 for i in rank)
    stop = tuple(last if i == d else s for i, s in enumerate(x.shape))
    return ops.slice_scatter(x, src, start, stop, tuple(step if i == d else 1 for i in rank))


def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    """A copy in which the elements ``start:end:step`` along `dim` are replaced by `src`.

    Negative `start` and `end` count from the end. Raises ShapeError for a source of another shape.
    Follows `torch.slice_scatter`.

    >>> ag.slice_scatter(ag.zeros(4), ag.ones(2), start=1, end=4, step=2)
    tensor([0., 1., 0., 1.])
    """
    d = normalize_dim(dim, input.ndim, "slice_scatter")
    if step < 1:
        raise ArgumentError(f"slice_scatter: step must be at least 1, got {step}")
    first, last, _ = slice(start, end).indices(operator.index(input.shape[d]))
    last = max(first, last)
    _region("slice_scatter", sliced(input, d, first, last, step), src)
    return _put(input, src, d, first, last, step)


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy in which the elements that `diagonal` gives are replaced by `src`.

    Raises ShapeError for a source of another shape. Follows `torch.diagonal_scatter`.

    >>> ag.diagonal_scatter(ag.zeros(2, 2), ag.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    return ops.diagonal_scatter(input, src, offset, dim1, dim2)


def as_strided_scatter(
    input: Any, src: Any, size: Any, stride: Any, storage_offset: Any = None
) -> Any:
    """A copy in which the elements that `as_strided` gives are replaced by `src`.

    The result is row-major; so is `input` taken to be. Raises ArgumentError where two elements of
    `src` would go to one place. Follows `torch.as_strided_scatter`.

    >>> ag.as_strided_scatter(ag.zeros(5), ag.ones(2), (2,), (3,), 1)
    tensor([0., 1., 0., 0., 1.])
    """
    shape, steps = _whole(size), _whole(stride)
    if repeats_places(shape, steps):
        raise ArgumentError(
            f"as_strided_scatter: sizes {shape} with strides {steps} name a place more than once"
        )
    vector = ops.reshape(input, (input.numel(),))
    params = {"size": shape, "stride": steps, "offset": operator.index(storage_offset or 0)}
    _region("as_strided_scatter", ops.as_strided(vector, **params), src)
    return ops.reshape(put_strided(vector, src, params, False), tuple(input.shape))
