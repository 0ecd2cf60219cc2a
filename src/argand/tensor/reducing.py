"""Reductions with PyTorch's overloads. Each is also a Tensor method."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from argand.base.dtype import as_dtype
from argand.base.errors import ArgumentError, DTypeError
from argand.base.shape import normalize_dim
from argand.ir.op import ops
from argand.tensor import quick
from argand.tensor.core import Tensor


class ValuesIndices(NamedTuple):
    """What max, min, sort, topk, median ... along a dimension return."""

    values: Any
    indices: Any


def into(out: Any, result: Any) -> Any:
    """The result, written into `out` where one is given."""
    return result if out is None else out.copy_(result)


def _dims(dim: Any, axis: Any) -> Any:
    return dim if axis is None else axis


def sum(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
    out: Any = None,
) -> Any:
    """The sum of all elements, or along `dim`; integers are summed as int64."""
    if dim is None and axis is None and dtype is None and out is None and not (keepdim or keepdims):
        small = quick.total(input)
        if small is not None:
            return small
    return into(out, ops.sum(input, _dims(dim, axis), keepdim or keepdims, dtype=dtype))


def mean(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
    out: Any = None,
) -> Any:
    """The mean of all elements, or along `dim`."""
    if dtype is not None:
        input = ops.cast(input, as_dtype(dtype))
    if not input.dtype.is_inexact:
        raise DTypeError(
            f"mean: not defined for {input.dtype.name}; convert with .float() or pass dtype="
        )
    return into(out, ops.mean(input, _dims(dim, axis), keepdim or keepdims))


def prod(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    out: Any = None,
) -> Any:
    """The product of all elements, or along `dim`."""
    return into(out, ops.prod(input, _dims(dim, axis), keepdim, dtype=dtype))


def _correction(unbiased: bool | None, correction: float | None) -> Any:
    if unbiased is not None:
        return 1 if unbiased else 0
    return 1 if correction is None else correction


def var(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Any = None,
) -> Any:
    """The variance, divided by n - correction (1 unless given)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return ops.var(
        input, dim=_dims(dim, axis), correction=_correction(unbiased, correction), keepdim=keepdim
    )


def std(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    axis: Any = None,
) -> Any:
    """The square root of `var`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return ops.std(
        input, dim=_dims(dim, axis), correction=_correction(unbiased, correction), keepdim=keepdim
    )


def var_mean(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, **k: Any
) -> Any:
    """The variance and the mean."""
    return var(input, dim, unbiased, keepdim, **k), ops.mean(input, dim, keepdim)


def std_mean(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, **k: Any
) -> Any:
    """The standard deviation and the mean."""
    return std(input, dim, unbiased, keepdim, **k), ops.mean(input, dim, keepdim)


def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """log(sum(exp(x))) along `dim`, without overflow."""
    return ops.logsumexp(input, dim, keepdim)


def max(
    input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, out: Any = None
) -> Any:
    """The largest element; with `dim`, (values, indices); with a tensor, `maximum`."""
    found = _extreme(input, _dims(dim, axis), keepdim, ops.amax, ops.argmax, ops.maximum)
    return into(out, found)


def min(
    input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, out: Any = None
) -> Any:
    """The smallest element; with `dim`, (values, indices); with a tensor, `minimum`."""
    found = _extreme(input, _dims(dim, axis), keepdim, ops.amin, ops.argmin, ops.minimum)
    return into(out, found)


def _extreme(x: Any, dim: Any, keepdim: bool, of_all: Any, position: Any, of_two: Any) -> Any:
    if isinstance(dim, Tensor):
        return of_two(x, dim)
    if dim is None:
        return of_all(x)
    index = position(x, dim, True)
    picked = ops.gather(x, normalize_dim(dim, x.ndim), index) if x.ndim else x
    if not keepdim and x.ndim:
        d = normalize_dim(dim, x.ndim)
        shape = tuple(s for i, s in enumerate(x.shape) if i != d)
        index, picked = ops.reshape(index, shape), ops.reshape(picked, shape)
    return ValuesIndices(picked, index)


def amax(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The largest element along `dim`; equal ones share the gradient."""
    return ops.amax(input, dim, keepdim)


def amin(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The smallest element along `dim`; equal ones share the gradient."""
    return ops.amin(input, dim, keepdim)


def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest and the largest element."""
    return ops.amin(input, dim, keepdim), ops.amax(input, dim, keepdim)


def argmax(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    axis: Any = None,
    out: Any = None,
) -> Any:
    """The position of the largest element, of the flattened tensor or along `dim`."""
    return into(out, ops.argmax(input, _dims(dim, axis), keepdim))


def argmin(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    axis: Any = None,
    out: Any = None,
) -> Any:
    """The position of the smallest element, of the flattened tensor or along `dim`."""
    return into(out, ops.argmin(input, _dims(dim, axis), keepdim))


def any(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    axis: Any = None,
    out: Any = None,
) -> Any:
    """Whether an element is not zero."""
    return into(out, ops.any(input, _dims(dim, axis), keepdim))


def all(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    axis: Any = None,
    out: Any = None,
) -> Any:
    """Whether every element is not zero."""
    return into(out, ops.all(input, _dims(dim, axis), keepdim))


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not zero."""
    return ops.sum(ops.ne(input, 0), dim)


def nansum(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The sum of the elements that aren't NaN."""
    return ops.sum(ops.where(ops.isnan(input), 0.0, input), dim, keepdim)


def nanmean(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The mean of the elements that aren't NaN."""
    count = ops.sum(ops.logical_not(ops.isnan(input)), dim, keepdim)
    return ops.div(nansum(input, dim, keepdim), count)


def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The p-norm of the elements as one vector, or along `dim`."""
    if p == "nuc":
        raise ArgumentError("norm: the nuclear norm is not available")
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """sum(|x| ** ord) ** (1 / ord) over `dim` (all when None).

    The gradient of the 2-norm at 0 is 0, as in PyTorch.
    """
    if dtype is not None:
        x = ops.cast(x, as_dtype(dtype))
    if not x.dtype.is_inexact:
        raise DTypeError(f"norm: not defined for {x.dtype.name}; convert with .float()")
    if ord == 2:
        return _two_norm(x, dim, keepdim)
    size = ops.abs(x)
    if ord == math.inf:
        return ops.amax(size, dim, keepdim)
    if ord == -math.inf:
        return ops.amin(size, dim, keepdim)
    if ord == 0:
        return ops.sum(ops.cast(ops.ne(x, 0), x.dtype), dim, keepdim)
    if ord == 1:
        return ops.sum(size, dim, keepdim)
    return ops.pow(ops.sum(ops.pow(size, ord), dim, keepdim), 1.0 / ord)


def _two_norm(x: Any, dim: Any, keepdim: bool) -> Any:
    total = ops.sum(ops.square(x), dim, keepdim)
    zero = ops.eq(total, 0)
    # Where the sum is 0 the square root is taken of a constant, so that no 0 * inf gets back.
    return ops.where(zero, 0.0, ops.sqrt(ops.where(zero, 1.0, total)))


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference."""
    return norm(ops.sub(input, other), p)


# -- order -----------------------------------------------------------------------------------------


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """(values, indices) in ascending order along `dim`; equal elements keep theirs."""
    return ValuesIndices(*ops.sort(input, dim, descending))


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort along `dim`."""
    return ops.sort(input, dim, descending)[1]


def msort(input: Any) -> Any:
    """Sorted along the first dimension."""
    return ops.sort(input, 0)[0]


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest (or smallest) elements along `dim`, in order."""
    return ValuesIndices(*ops.topk(input, k, dim, largest))


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest element along `dim`; k counts from 1."""
    values, indices = ops.sort(input, dim)
    d = normalize_dim(dim, input.ndim, "kthvalue")
    key = (slice(None),) * d + (slice(k - 1, k) if keepdim else k - 1,)
    return ValuesIndices(values[key], indices[key])


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median, the lower of two; with `dim`, (values, indices)."""
    if dim is None:
        flat = ops.reshape(input, (-1,))
        return kthvalue(flat, (flat.shape[0] + 1) // 2, 0).values
    return kthvalue(input, (input.shape[dim] + 1) // 2, dim, keepdim)


def quantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """The q-quantiles, linearly interpolated (or lower, higher, nearest, midpoint)."""
    x = ops.reshape(input, (-1,)) if dim is None else input
    d = 0 if dim is None else normalize_dim(dim, x.ndim, "quantile")
    rank = x.ndim
    order = ops.permute(x, (*(i for i in range(rank) if i != d), d))
    values = ops.sort(order, -1)[0]
    marks = q.tolist() if isinstance(q, Tensor) else q
    many = isinstance(marks, list)
    found = [_quantile_of(values, m, interpolation) for m in (marks if many else [marks])]
    if keepdim:
        shape = tuple(1 if dim is None or i == d else s for i, s in enumerate(input.shape))
        found = [ops.reshape(f, shape) for f in found]
    if not many:
        return found[0]
    return ops.cat(*[ops.reshape(f, (1, *f.shape)) for f in found], dim=0)


def _quantile_of(values: Any, q: float, interpolation: str) -> Any:
    if not 0 <= q <= 1:
        raise ArgumentError(f"quantile: q must be between 0 and 1, got {q}")
    place = q * (values.shape[-1] - 1)
    low, high = math.floor(place), math.ceil(place)
    weights = {
        "linear": place - low,
        "lower": 0.0,
        "higher": 1.0,
        "midpoint": 0.5,
        "nearest": float(round(place) - low),
    }
    if interpolation not in weights:
        raise ArgumentError(f"quantile: unknown interpolation {interpolation!r}")
    return ops.lerp(values[..., low], values[..., high], weights[interpolation])


# -- running ---------------------------------------------------------------------------------------


def cumsum(
    input: Any,
    dim: Any = None,
    *,
    dtype: Any = None,
    axis: Any = None,
    out: Any = None,
) -> Any:
    """The running sum along `dim`; integers are summed as int64."""
    if dtype is not None:
        input = ops.cast(input, as_dtype(dtype))
    elif not input.dtype.is_inexact:
        input = ops.cast(input, "int64")
    return into(out, ops.cumsum(input, _dims(dim, axis)))


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The running product along `dim`."""
    if dtype is not None:
        input = ops.cast(input, as_dtype(dtype))
    d = normalize_dim(dim, input.ndim, "cumprod")
    total, parts = None, []
    for i in range(int(input.shape[d])):
        part = input[(slice(None),) * d + (slice(i, i + 1),)]
        total = part if total is None else ops.mul(total, part)
        parts.append(total)
    return ops.cat(*parts, dim=d) if parts else input


def softmax(input: Any, dim: Any, *, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along `dim`."""
    if dtype is not None:
        input = ops.cast(input, as_dtype(dtype))
    return ops.softmax(input, dim)


def log_softmax(input: Any, dim: Any, *, dtype: Any = None) -> Any:
    """log(softmax(x)) along `dim`."""
    if dtype is not None:
        input = ops.cast(input, as_dtype(dtype))
    return ops.log_softmax(input, dim)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each of 0, 1, 2, ... occurs, or the sums of their weights."""
    top = int(ops.amax(input).item()) + 1 if input.numel() else 0
    size = top if top > minlength else minlength
    if weights is None:
        weights = ops.full(input.shape, 1, "int64")
    zeros = ops.full((size,), 0, weights.dtype)
    return ops.scatter_add(zeros, 0, ops.cast(input, "int64"), weights)


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each of `bins` equal intervals from `min` to `max`."""
    low, high = float(min), float(max)
    if low == high:
        low, high = float(ops.amin(input)), float(ops.amax(input))
    if low == high:
        low, high = low - 1, high + 1
    flat = ops.reshape(input.detach(), (-1,))
    inside = ops.logical_and(ops.ge(flat, low), ops.le(flat, high))
    place = ops.floor(ops.mul(ops.sub(flat, low), bins / (high - low)))
    place = ops.clamp(ops.cast(place, "int64"), 0, bins - 1)
    zeros = ops.full((bins,), 0, input.dtype)
    return ops.scatter_add(zeros, 0, place, ops.cast(inside, input.dtype))
