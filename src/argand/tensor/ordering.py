"""Order along a dimension: sorting, selection, quantiles. Most are also Tensor methods."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, DTypeError, EmptyError, ShapeError
from argand.base.shape import normalize_dim, shape_text
from argand.ir import bind as crossroads
from argand.ir.op import describe, ops
from argand.ops.reduce import equal_or_nan
from argand.tensor.core import Tensor, wrap
from argand.tensor.joining import select, sliced
from argand.tensor.reducing import ValuesIndices
from argand.transform.mode import mode as grad_mode


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """(values, indices) in ascending order along `dim`, or descending: values = x[indices].

    Always stable: equal elements keep their order. NaN counts as larger than any number. The
    gradient goes back to where the values came from. Follows `torch.sort`.

    >>> ag.sort(ag.tensor([3.0, 1.0, 2.0]), descending=True)
    ValuesIndices(values=tensor([3., 2., 1.]), indices=tensor([0, 2, 1]))
    """
    return ValuesIndices(*ops.sort(input, dim, descending))


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices (int64) that put the elements along `dim` in order: the second result of `sort`.

    >>> ag.argsort(ag.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    return ops.sort(input, dim, descending)[1]


def msort(input: Any) -> Any:
    """The elements in ascending order along the first dimension: ``sort(input, dim=0).values``.

    >>> ag.msort(ag.tensor([[3, 1], [2, 4]]))
    tensor([[2, 1],
            [3, 4]])
    """
    return ops.sort(input, 0)[0]


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the `k` largest (or smallest) elements along `dim`, in order.

    The first of equal elements goes first; NaN counts as larger than any number. Raises
    ArgumentError where k exceeds the size. Follows `torch.topk`.

    >>> ag.topk(ag.tensor([1.0, 5.0, 3.0, 4.0]), k=2)
    ValuesIndices(values=tensor([5., 4.]), indices=tensor([1, 3]))
    """
    return ValuesIndices(*ops.topk(input, k, dim, largest))


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest element along `dim`; k counts from 1.

    NaN counts as larger than any number. Raises ArgumentError where k is less than 1 or exceeds the
    size. Follows `torch.kthvalue`.

    >>> ag.kthvalue(ag.tensor([1.0, 5.0, 3.0, 4.0]), k=2)
    ValuesIndices(values=tensor(3.), indices=tensor(2))
    """
    d = normalize_dim(dim, input.ndim, "kthvalue")
    size = _not_empty("kthvalue", input, d)
    if k < 1 or k > size:
        raise ArgumentError(f"kthvalue: k = {k} is out of range for a size of {size}")
    values, indices = ops.sort(input, d)
    return ValuesIndices(_at(values, d, k - 1, keepdim), _at(indices, d, k - 1, keepdim))


def _at(x: Any, d: int, place: Any, keepdim: bool) -> Any:
    """The slice of one place along dimension `d`."""
    if not x.ndim:
        return x
    return sliced(x, d, place, place + 1) if keepdim else select(x, d, place)


def _not_empty(name: str, x: Any, d: int) -> Any:
    """The size of a dimension."""
    size = x.shape[d] if x.ndim else 1
    if size == 0:
        raise EmptyError(f"{name}: dimension {d} of shape {shape_text(x.shape)} is empty")
    return size


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle of the sorted elements, of two the lower; with `dim`, (values, indices).

    NaN where one is among them, and of no floats at all; raises ShapeError for no integers, and for
    none along `dim`. Follows `torch.median`; with the mean of the two in the middle:
    ``quantile(x, 0.5)``.

    >>> ag.median(ag.tensor([1.0, 5.0, 3.0, 4.0]))
    tensor(3.)
    >>> ag.median(ag.tensor([[1.0, 5.0, 3.0], [4.0, 6.0, 5.0]]), dim=1).values
    tensor([3., 5.])
    """
    if dim is None:
        if input.dtype.is_floating_point and 0 in input.shape:
            return ops.full((), math.nan, input.dtype)
        return _shared(input, median(ops.reshape(input, (-1,)), 0).values)
    d = normalize_dim(dim, input.ndim, "median")
    size = _not_empty("median", input, d)
    ordered = ops.sort(input, d)
    found = [_at(x, d, (size - 1) // 2, keepdim) for x in ordered]
    if input.dtype.is_floating_point:  # a NaN comes last in the order
        last = [_at(x, d, size - 1, keepdim) for x in ordered]
        spoiled = ops.isnan(last[0])
        found = [ops.where(spoiled, b, a) for a, b in zip(found, last, strict=True)]
    return ValuesIndices(*found)


def _shared(input: Any, middle: Any) -> Any:
    """An element's value, whose gradient all that are equal to it share."""
    if not (input.requires_grad and grad_mode.enabled):
        return middle
    value = middle.detach()
    equal = equal_or_nan(input, value)
    mean = ops.sum(ops.div(ops.where(equal, input, 0.0), ops.cast(ops.sum(equal), value.dtype)))
    is_finite = ops.isfinite(value)
    none = ops.where(is_finite, ops.sub(mean.detach(), mean), 0.0)
    return ops.where(is_finite, ops.sub(value, none), mean)


def quantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """The number that a share `q` of the elements (all, or along `dim`) doesn't exceed.

    The place q * (n - 1) in the sorted elements. Between two of them `interpolation` decides:
    "linear", "lower", "higher", "nearest" or "midpoint". Several `q` (a list or 1-d tensor) give a
    new first dimension. NaN where one is among the elements. Raises ArgumentError for q outside [0,
    1]. Follows `torch.quantile`.

    >>> x = ag.tensor([1.0, 2.0, 3.0, 5.0])
    >>> ag.quantile(x, 0.5), ag.quantile(x, [0.25, 1.0])
    (tensor(2.5000), tensor([1.7500, 5.0000]))
    """
    return _quantile("quantile", _quantiles, input, q, dim, keepdim, interpolation)


def nanquantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """`quantile` of the elements that aren't NaN; NaN where all are.

    >>> x = ag.tensor([1.0, ag.nan, 3.0])
    >>> ag.nanquantile(x, 0.5), ag.quantile(x, 0.5)
    (tensor(2.), tensor(nan))
    """
    return _quantile("nanquantile", _nan_quantiles, input, q, dim, keepdim, interpolation)


def _quantile(
    name: str,
    of_rows: Any,
    input: Any,
    q: Any,
    dim: int | None,
    keepdim: bool,
    interpolation: str,
) -> Any:
    if interpolation not in _BETWEEN:
        raise ArgumentError(
            f"{name}: interpolation must be one of {', '.join(_BETWEEN)}, got {interpolation!r}"
        )
    if isinstance(q, Tensor) and not q.weak and q.dtype is not input.dtype:
        raise DTypeError(f"{name}: {describe(input, q)}: q must have the dtype of the elements")
    if not input.dtype.is_floating_point:
        raise DTypeError(f"{name}: not defined for {input.dtype.name}; convert with .float()")
    x = ops.reshape(input, (-1,)) if dim is None else input
    d = 0 if dim is None else normalize_dim(dim, x.ndim, name)
    _not_empty(name, x, d)
    order = ops.permute(x, (*(i for i in range(x.ndim) if i != d), d)) if x.ndim else _row(x)
    marks = ops.cast(q if isinstance(q, Tensor) else wrap(np.asarray(q, np.float64)), "float64")
    if marks.ndim > 1:
        raise ShapeError(f"{name}: {describe(marks)}: q must be a number or a vector")
    if not crossroads.tracing() and not bool(ops.all(ops.ge(marks, 0) & ops.le(marks, 1))):
        raise ArgumentError(f"{name}: q must be between 0 and 1, got {marks.tolist()}")
    found = of_rows(ops.sort(order, -1)[0], ops.reshape(marks, (-1,)), interpolation)
    found = ops.permute(found, (found.ndim - 1, *range(found.ndim - 1)))
    if keepdim:
        shape = tuple(1 if dim is None or i == d else s for i, s in enumerate(input.shape))
        found = ops.reshape(found, (found.shape[0], *shape))
    return found if marks.ndim else ops.reshape(found, tuple(found.shape[1:]))


def _row(x: Any) -> Any:
    return ops.reshape(x, (1,))


def _quantiles(values: Any, marks: Any, interpolation: str) -> Any:
    """The quantiles of sorted rows (..., N) at (K,) shares: (..., K)."""
    last = (values.ndim - 1,)
    low, high, share = _between(ops.mul(marks, values.shape[-1] - 1), interpolation)
    below, above = (ops.index(values, ops.cast(i, "int64"), dims=last) for i in (low, high))
    found = below if share is None else ops.lerp(below, above, ops.cast(share, values.dtype))
    return ops.where(ops.isnan(values[..., -1:]), math.nan, found)  # a NaN comes last in the order


def _nan_quantiles(values: Any, marks: Any, interpolation: str) -> Any:
    """As `_quantiles`, of the numbers of each row, which come before its NaNs."""
    numbers = ops.logical_not(ops.isnan(values))
    count = ops.cast(ops.sum(numbers, -1, True), "float64")
    place = ops.mul(marks, ops.clamp(ops.sub(count, 1), 0, None))
    low, high, share = _between(place, interpolation)
    below, above = (ops.gather(values, -1, ops.cast(i, "int64")) for i in (low, high))
    return below if share is None else ops.lerp(below, above, ops.cast(share, values.dtype))


_BETWEEN: dict[str, Any] = {
    "linear": None,
    "lower": ops.floor,
    "higher": ops.ceil,
    "nearest": ops.round,
    "midpoint": None,
}


def _between(place: Any, interpolation: str) -> tuple[Any, Any, Any]:
    """The places before and after one that is no integer, and the share of the later one; None
    where an element is taken as it is."""
    rounded = _BETWEEN[interpolation]
    if rounded is not None:
        place = rounded(place)
        return place, place, None
    low, high = ops.floor(place), ops.ceil(place)
    share = ops.sub(place, low)
    if interpolation == "midpoint":
        share = ops.mul(ops.cast(ops.gt(share, 0), share.dtype), 0.5)
    return low, high, share


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that aren't NaN; NaN where all are.

    >>> ag.nanmedian(ag.tensor([1.0, ag.nan, 3.0, 2.0]))
    tensor(2.)
    """
    if dim is None:
        if 0 in input.shape:
            return median(input)
        return _shared(input, nanmedian(ops.reshape(input, (-1,)), 0, keepdim).values)
    d = normalize_dim(dim, input.ndim, "nanmedian")
    if not input.dtype.is_floating_point or not input.ndim:
        return median(input, dim, keepdim)
    _not_empty("nanmedian", input, d)
    count = ops.sum(ops.logical_not(ops.isnan(input)), d, True)
    middle = ops.floor_divide(ops.clamp(ops.sub(count, 1), 0, None), 2)
    found = [ops.gather(part, d, middle) for part in ops.sort(input, d)]
    return ValuesIndices(*[part if keepdim else select(part, d, 0) for part in found])


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the most frequent element along `dim`, of several the smallest.

    The index is that of its last occurrence. Raises ShapeError where there are none. Follows
    `torch.mode`.

    >>> ag.mode(ag.tensor([3, 1, 2, 1, 3]))
    ValuesIndices(values=tensor(1), indices=tensor(3))
    """
    return ValuesIndices(*ops.mode(input, dim, keepdim))


def cummax(input: Any, dim: int) -> Any:
    """(values, indices): the largest of x[0], ..., x[i] along `dim`, and where it is.

    Of equal elements the last one so far; NaN from the first NaN on. Follows `torch.cummax`.

    >>> ag.cummax(ag.tensor([1, 3, 2, 3]), dim=0)
    ValuesIndices(values=tensor([1, 3, 3, 3]), indices=tensor([0, 1, 1, 3]))
    """
    return _running_extreme("cummax", ops.running_max, input, dim)


def cummin(input: Any, dim: int) -> Any:
    """(values, indices): the smallest of x[0], ..., x[i] along `dim`, and where it is.

    Of equal elements the last one so far; NaN from the first NaN on. Follows `torch.cummin`.

    >>> ag.cummin(ag.tensor([3, 1, 2, 1]), dim=0)
    ValuesIndices(values=tensor([3, 1, 1, 1]), indices=tensor([0, 1, 1, 3]))
    """
    return _running_extreme("cummin", ops.running_min, input, dim)


def _running_extreme(name: str, running: Any, x: Any, dim: int) -> Any:
    d = normalize_dim(dim, x.ndim, name)
    if not x.ndim:
        return ValuesIndices(ops.contiguous(x), ops.full((), 0, "int64"))
    plain = x.detach()
    fresh = ops.eq(plain, running(plain, d))
    if x.dtype.is_floating_point:
        fresh = ops.logical_or(fresh, ops.isnan(plain))
    places = ops.arange(0, 1, x.shape[d], "int64")
    column = tuple(x.shape[d] if i == d else 1 for i in range(x.ndim))
    index = ops.running_max(ops.where(fresh, ops.reshape(places, column), 0), d)
    return ValuesIndices(ops.gather(x, d, index), index)
