"""Sets of values, and the places of values in order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.conversion import converted, plain
from argand.base.dtype import bool_, get_default_dtype
from argand.base.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from argand.ir import bind as crossroads
from argand.ir.op import describe, ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.strides import row_major


def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different values, in ascending order; of `dim`, the different slices along it.

    With `return_inverse` also the place of each element among them, with `return_counts` how often
    each occurs (int64). NaNs are all different. Looks at the values, so it can't be compiled.
    Follows `torch.unique`.

    >>> ag.unique(ag.tensor([3, 1, 3]), return_inverse=True, return_counts=True)
    (tensor([1, 3]), tensor([1, 0, 1]), tensor([1, 2]))
    """
    array = plain(input.numpy_array())  # NumPy has no order for the NaN of bfloat16
    values, inverse, counts = np.unique(
        array, return_inverse=True, return_counts=True, axis=dim, equal_nan=False
    )
    if dim is None:
        inverse = inverse.reshape(array.shape)
    out = [wrap(converted(values, input.dtype))]
    if return_inverse:
        out.append(wrap(inverse.astype(np.int64)))
    if return_counts:
        out.append(wrap(counts.astype(np.int64)))
    return out[0] if len(out) == 1 else tuple(out)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The values without their immediate repetitions; of `dim`, the slices along it.

    With `return_inverse` also the run of each element, with `return_counts` the lengths of the runs
    (int64). Looks at the values, so it can't be compiled. Follows `torch.unique_consecutive`.

    >>> ag.unique_consecutive(ag.tensor([1, 1, 2, 1]), return_counts=True)
    (tensor([1, 2, 1]), tensor([2, 1, 1]))
    """
    array = input.numpy_array()
    flat = array.reshape(-1) if dim is None else np.moveaxis(array, dim, 0)
    rows = flat.reshape(flat.shape[0], math.prod(flat.shape[1:]))
    fresh = np.ones(flat.shape[0], bool)
    fresh[1:] = (rows[1:] != rows[:-1]).any(1)
    values = flat[fresh]
    out = [wrap(np.ascontiguousarray(values if dim is None else np.moveaxis(values, 0, dim)))]
    place = np.cumsum(fresh) - 1
    if return_inverse:
        out.append(wrap(place.reshape(array.shape) if dim is None else place))
    if return_counts:
        out.append(wrap(np.bincount(place).astype(np.int64)))
    return out[0] if len(out) == 1 else tuple(out)


def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Whether each element is among `test_elements`, as booleans; with `invert`, whether it is not.

    Either may be a number; `assume_unique` changes no result. Compares every pair. Follows
    `torch.isin`.

    >>> ag.isin(ag.tensor([1, 2, 3]), ag.tensor([2, 3]))
    tensor([False,  True,  True])
    """
    elements, tests = (
        x if isinstance(x, Tensor) else wrap(np.asarray(x)) for x in (elements, test_elements)
    )
    if any(x.dtype is bool_ or x.dtype.is_complex for x in (elements, tests)):
        raise DTypeError(f"isin: {describe(elements, tests)}: not defined for bool and complex")
    flat = ops.reshape(tests, (-1,))
    lead = (1,) * elements.ndim
    wide = ops.reshape(elements, (*tuple(elements.shape), 1))
    found = ops.any(ops.eq(wide, ops.reshape(flat, (*lead, flat.shape[0]))), -1)
    return ops.logical_not(found) if invert else found


def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """The index (int64) at which each value has to be inserted into a sequence to keep it sorted.

    y = the count of elements that are < input, or <= input with `right`. `sorted_sequence` is 1-d,
    or (..., N) for values (..., M), searched row by row; ascending, which isn't checked. Compares
    every pair. `side` is "left" or "right", `sorter` the order that sorts the sequence, and
    `out_int32` asks for int32. Follows `torch.searchsorted`.

    >>> ag.searchsorted(ag.tensor([1, 3, 5]), ag.tensor([0, 3, 6]))
    tensor([0, 1, 3])
    >>> ag.searchsorted(ag.tensor([1, 3, 5]), ag.tensor([0, 3, 6]), right=True)
    tensor([0, 2, 3])
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ArgumentError(f"searchsorted: side {side!r} and right={right} don't go together")
    right = right or side == "right"
    if sorter is not None:
        _check_order(sorted_sequence, sorter)
        sorted_sequence = ops.gather(sorted_sequence, -1, sorter)
    values = input
    if not isinstance(input, Tensor):
        whole = isinstance(input, int) or sorted_sequence.dtype.is_floating_point
        values = ops.full((), input, sorted_sequence.dtype if whole else get_default_dtype())
    _check_search(sorted_sequence, values)
    wide = ops.reshape(values, (*tuple(values.shape), 1))
    if sorted_sequence.ndim == 1:
        row = sorted_sequence
    else:
        lead = tuple(sorted_sequence.shape[:-1])
        row = ops.reshape(sorted_sequence, (*lead, 1, sorted_sequence.shape[-1]))
    before = ops.le(row, wide) if right else ops.lt(row, wide)
    if values.dtype.is_floating_point:
        before = ops.logical_or(before, ops.isnan(wide))  # NaN comes last
    found = ops.sum(before, -1)
    return ops.cast(found, "int32") if out_int32 else found


def _check_order(sequence: Any, sorter: Any) -> None:
    """Whether an order is one of a sequence's elements."""
    if tuple(sorter.shape) != tuple(sequence.shape) or sorter.dtype.name != "int64":
        raise ArgumentError(
            f"searchsorted: {describe(sequence, sorter)}: sorter must hold an int64 of each"
        )


def _check_search(sequence: Any, values: Any) -> None:
    rows = sequence.ndim != 1
    if not sequence.ndim or (rows and tuple(sequence.shape[:-1]) != tuple(values.shape[:-1])):
        raise ShapeError(
            f"searchsorted: {describe(sequence, values)}: expected a vector, or as many rows"
        )


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The index (int64) of the interval between `boundaries` that each value lies in.

    Interval i is (boundaries[i - 1], boundaries[i]], with `right` [boundaries[i - 1],
    boundaries[i]). Follows `torch.bucketize`.

    >>> ag.bucketize(ag.tensor([0.5, 3.0, 9.0]), ag.tensor([1.0, 3.0, 5.0]))
    tensor([0, 1, 3])
    """
    if boundaries.ndim != 1:
        raise ShapeError(f"bucketize: {describe(boundaries)}: boundaries must be a vector")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """y[..., c] = 1 where input[...] = c, else 0, as int64: a new last dimension of `num_classes`.

    `num_classes` is one more than the largest element unless given, which can't be compiled. Raises
    IndexError, as well a RuntimeError, for a class outside. Follows `torch.nn.functional.one_hot`.

    >>> F.one_hot(ag.tensor([0, 2, 1]), num_classes=3)
    tensor([[1, 0, 0],
            [0, 0, 1],
            [0, 1, 0]])
    """
    if input.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: {describe(input)}: classes must be integers")
    empty = not input.numel()
    if num_classes == -1:
        if empty:
            raise ArgumentError(
                f"one_hot: {describe(input)}: give num_classes, there is no largest"
            )
        num_classes = int(ops.amax(input).item()) + 1
    elif num_classes < 1:
        raise ArgumentError(f"one_hot: num_classes must be at least 1, got {num_classes}")
    shape = (*tuple(input.shape), num_classes)
    index = ops.reshape(ops.cast(input, "int64"), (*tuple(input.shape), 1))
    if not crossroads.tracing() and not empty:
        low, high = int(ops.amin(input).item()), int(ops.amax(input).item())
        if low < 0 or high >= num_classes:
            raise IndexRangeError(
                f"one_hot: classes must be at least 0 and less than num_classes={num_classes}, "
                f"got {low} to {high}"
            )
        flags = ops.eq(index, ops.arange(0, 1, num_classes, "int64"))
        return row_major(ops.cast(flags, "int64"))
    return ops.scatter(ops.full(shape, 0, "int64"), len(shape) - 1, index, 1)
