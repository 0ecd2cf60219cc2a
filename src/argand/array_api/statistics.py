"""Reductions and running sums."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import as_dtype, int64
from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.tensor import differences, joining, reducing

Axis = int | tuple[int, ...] | None


def _axes(x: Any, axis: Axis) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis


def max(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest element, of all or along axes.

    >>> ag.array_api.max(ag.tensor([[1, 5], [7, 2]]), axis=0)
    tensor([7, 5])
    """
    return ops.amax(x, _axes(x, axis), keepdims)


def min(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element, of all or along axes.

    >>> ag.array_api.min(ag.tensor([[1, 5], [7, 2]]), axis=0)
    tensor([1, 2])
    """
    return ops.amin(x, _axes(x, axis), keepdims)


def mean(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The mean, of all or along axes.

    >>> ag.array_api.mean(ag.tensor([1.0, 2.0]))
    tensor(1.5000)
    """
    return ops.mean(x, _axes(x, axis), keepdims)


def sum(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum, of all or along axes; of integers in int64 unless `dtype` says otherwise.

    >>> ag.array_api.sum(ag.tensor([[1, 5], [7, 2]]), axis=1)
    tensor([6, 9])
    """
    x = x if dtype is None else ops.cast(x, as_dtype(dtype))
    return _stored(ops.sum(x, _axes(x, axis), keepdims), dtype)


def prod(x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product, of all or along axes; of integers in int64 unless `dtype` says otherwise.

    >>> ag.array_api.prod(ag.tensor([[1, 5], [7, 2]]), axis=1)
    tensor([ 5, 14])
    """
    x = x if dtype is None else ops.cast(x, as_dtype(dtype))
    return _stored(ops.prod(x, _axes(x, axis), keepdims), dtype)


def _stored(found: Any, dtype: Any) -> Any:
    return found if dtype is None else ops.cast(found, as_dtype(dtype))


def var(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance, of all or along axes, divided by the count minus `correction`.

    >>> ag.array_api.var(ag.tensor([1.0, 3.0]))
    tensor(1.)
    """
    if axis == ():  # each element by itself
        x, axis, keepdims = ops.reshape(x, (*x.shape, 1)), -1, False
    return reducing.var(x, _axes(x, axis), correction=correction, keepdim=keepdims)


def std(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The standard deviation, of all or along axes.

    >>> ag.array_api.std(ag.tensor([1.0, 3.0]))
    tensor(1.)
    """
    return ops.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def all(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether every element is not 0, of all or along axes.

    >>> ag.array_api.all(ag.tensor([1, 0]))
    tensor(False)
    """
    return ops.all(x, _axes(x, axis), keepdims)


def any(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether an element is not 0, of all or along axes.

    >>> ag.array_api.any(ag.tensor([1, 0]))
    tensor(True)
    """
    return ops.any(x, _axes(x, axis), keepdims)


def count_nonzero(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """How many elements are not 0, of all or along axes.

    >>> ag.array_api.count_nonzero(ag.tensor([1, 0]))
    tensor(1)
    """
    return ops.sum(ops.ne(x, 0), _axes(x, axis), keepdims)


def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the largest element is: the first of equal ones.

    >>> ag.array_api.argmax(ag.tensor([1, 5, 5]))
    tensor(1)
    """
    return reducing.argmax(x, axis, keepdims)


def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Where the smallest element is: the first of equal ones.

    >>> ag.array_api.argmin(ag.tensor([1, 5, 5]))
    tensor(0)
    """
    return reducing.argmin(x, axis, keepdims)


def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Running sums along an axis, which may be left out of vectors.

    >>> ag.array_api.cumulative_sum(ag.tensor([1, 2, 3]), include_initial=True)
    tensor([0, 1, 3, 6])
    """
    return _running(reducing.cumsum, 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Running products along an axis, which may be left out of vectors.

    >>> ag.array_api.cumulative_prod(ag.tensor([1, 2, 3]))
    tensor([1, 2, 6])
    """
    return _running(reducing.cumprod, 1, x, axis, dtype, include_initial)


def _running(
    run: Any, start: int, x: Any, axis: int | None, dtype: Any, include_initial: bool
) -> Any:
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(f"a running sum needs an axis: there are {x.ndim}")
        axis = 0
    wanted = as_dtype(dtype) if dtype is not None else x.dtype if x.dtype.is_inexact else int64
    found = ops.cast(run(ops.cast(x, wanted), axis), wanted)
    if not include_initial:
        return found
    shape = [1 if i == axis % x.ndim else s for i, s in enumerate(x.shape)]
    return joining.cat([ops.full(tuple(shape), start, wanted), found], axis)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """The n-th differences along an axis, of x with what is put before and after it.

    >>> ag.array_api.diff(ag.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    return differences.diff(x, n, axis, prepend, append)
