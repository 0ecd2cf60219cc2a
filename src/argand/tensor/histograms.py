"""Counting: how often values occur, and how many lie in intervals."""

from __future__ import annotations

import builtins
import math
import operator
from typing import Any, NamedTuple

from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import shape_text
from argand.ir.op import describe, ops
from argand.tensor.core import Tensor
from argand.tensor.formulas import linspace
from argand.tensor.joining import select, sliced
from argand.tensor.searching import searchsorted


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each of 0, 1, 2, ... occurs in a 1-d tensor, or the sums of their `weights`.

    The result has max(input) + 1 elements, `minlength` at least; int64, or the dtype of `weights`
    (integers are summed as float64). Raises IndexError for negative numbers, ArgumentError for
    other dtypes and shapes. Looks at the values, so it can't be compiled. Follows `torch.bincount`.

    >>> ag.bincount(ag.tensor([0, 1, 1, 3]))
    tensor([1, 2, 0, 1])
    >>> ag.bincount(ag.tensor([0, 1, 1]), weights=ag.tensor([0.5, 1.0, 2.0]), minlength=3)
    tensor([0.5000, 3.0000, 0.0000])
    """
    if input.ndim != 1 or not input.dtype.is_index:
        raise ArgumentError(
            f"bincount: expected integers in one dimension, got {input.dtype.name} of shape "
            f"{shape_text(input.shape)}"
        )
    top = int(ops.amax(input).item()) + 1 if input.numel() else 0
    size = top if top > minlength else minlength
    if weights is None:
        weights = ops.full(input.shape, 1, "int64")
    elif not weights.dtype.is_floating_point:
        weights = ops.cast(weights, "float64")
    zeros = ops.full((size,), 0, weights.dtype)
    return ops.scatter_add(zeros, 0, ops.cast(input, "int64"), weights)


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements lie in each of `bins` equal intervals from `min` to `max`.

    The counts have the dtype of `input`. `max` belongs to the last interval; elements outside and
    NaN aren't counted. With min = max, as without both, the range is that of the elements. Follows
    `torch.histc`.

    >>> ag.histc(ag.tensor([0.5, 1.2, 1.7, 3.0, 9.0]), bins=3, min=0, max=3)
    tensor([1., 2., 1.])
    """
    low, high = float(min), float(max)
    if bins < 1 or low > high or not (math.isfinite(low) and math.isfinite(high)):
        raise ArgumentError(
            f"histc: expected bins of at least 1 and a finite range, got {bins}, {low} and {high}"
        )
    if low == high and input.numel():
        low, high = float(ops.amin(input)), float(ops.amax(input))
    if low == high:
        low, high = low - 1, high + 1
    flat = ops.reshape(input.detach(), (-1,))
    inside = ops.logical_and(ops.ge(flat, low), ops.le(flat, high))
    place = ops.floor(ops.mul(ops.sub(flat, low), bins / (high - low)))
    place = ops.clamp(ops.cast(place, "int64"), 0, bins - 1)
    zeros = ops.full((bins,), 0, input.dtype)
    return ops.scatter_add(zeros, 0, place, ops.cast(inside, input.dtype))


class Histogram(NamedTuple):
    """(hist, bin_edges): what `histogram` and `histogramdd` return.

    >>> ag.histogram(ag.tensor([0.0, 0.2, 1.0]), 2).bin_edges
    tensor([0.0000, 0.5000, 1.0000])
    """

    hist: Any
    bin_edges: Any


def histogram(
    input: Any, bins: Any = 100, *, range: Any = None, weight: Any = None, density: bool = False
) -> Histogram:
    """(hist, bin_edges): how many elements, or how much `weight`, are in each interval.

    `bins` is the number of equal intervals between the ends of `range` (of the elements unless
    given), or a tensor of ascending edges. The last edge belongs to the last interval; what is
    outside isn't counted. With `density` the integral is 1. Follows `torch.histogram`.

    >>> ag.histogram(ag.tensor([0.0, 0.2, 1.0]), bins=2)
    Histogram(hist=tensor([2., 1.]), bin_edges=tensor([0.0000, 0.5000, 1.0000]))
    """
    if weight is not None and tuple(weight.shape) != tuple(input.shape):
        raise ShapeError(f"histogram: {describe(input, weight)}: a weight for each element")
    wanted = [bins] if isinstance(bins, Tensor) else [operator.index(bins)]
    points = ops.reshape(input, (*tuple(input.shape), 1))
    found = histogramdd(points, wanted, range=range, weight=weight, density=density)
    return Histogram(found.hist, found.bin_edges[0])


def histogramdd(
    input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False
) -> Histogram:
    """(hist, bin_edges): the points (..., D) counted in the boxes of a grid of D dimensions.

    `bins` is a number of intervals, one for each dimension, or a list of tensors of ascending
    edges; `range` is (low, high) of each dimension, one after another. Otherwise as `histogram`.
    Follows `torch.histogramdd`.

    >>> points = ag.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [2.0, 2.0]])
    >>> ag.histogramdd(points, [2, 2]).hist
    tensor([[0., 1.],
            [2., 1.]])
    """
    if not input.ndim or not input.dtype.is_floating_point:
        raise ArgumentError(f"histogramdd: {describe(input)}: expected points of floats (..., D)")
    count = operator.index(input.shape[-1])
    given = list(bins) if isinstance(bins, list | tuple) else [bins] * count
    if len(given) != count:
        raise ArgumentError(f"histogramdd: {len(given)} bins for {count} dimensions")
    limits = None if range is None else list(map(float, range))
    if limits is not None and len(limits) != 2 * count:
        raise ArgumentError(f"histogramdd: range must have {2 * count} numbers, got {len(limits)}")
    points = ops.reshape(input.detach(), (-1, count))
    columns = [select(points, 1, d) for d in builtins.range(count)]
    if weight is not None:
        if tuple(weight.shape) != tuple(input.shape[:-1]):
            raise ShapeError(f"histogramdd: {describe(input, weight)}: a weight for each point")
        weight = ops.reshape(weight, (-1,))
    edges = [
        _edges(x, wanted, None if limits is None else limits[2 * d : 2 * d + 2])
        for d, (x, wanted) in enumerate(zip(columns, given, strict=True))
    ]
    hist = _counted(columns, edges, weight, input.dtype)
    if density:
        hist = ops.div(hist, ops.sum(hist))
        for d, edge in enumerate(edges):
            last = edge.shape[0] - 1
            width = ops.sub(sliced(edge, 0, 1, last + 1), sliced(edge, 0, 0, last))
            shape = tuple(-1 if i == d else 1 for i in builtins.range(count))
            hist = ops.div(hist, ops.reshape(width, shape))
    return Histogram(hist, tuple(edges))


def _edges(x: Any, bins: Any, limits: list[float] | None) -> Any:
    """The edges of intervals: those given, or of equal ones."""
    if isinstance(bins, Tensor):
        if bins.ndim != 1 or bins.dtype is not x.dtype:
            raise ArgumentError(f"histogram: {describe(x, bins)}: edges are a vector of that dtype")
        return bins
    if bins < 1:
        raise ArgumentError(f"histogram: bins must be at least 1, got {bins}")
    if limits is None:
        limits = [0.0, 1.0] if not x.numel() else [float(ops.amin(x)), float(ops.amax(x))]
    low, high = limits
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ArgumentError(f"histogram: the range must be finite and ascend, got {low}, {high}")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return linspace(low, high, bins + 1, dtype=x.dtype)


def _counted(columns: list[Any], edges: list[Any], weight: Any, dtype: Any) -> Any:
    """The points, or their weights, summed in the boxes between edges."""
    shape = tuple(operator.index(e.shape[0]) - 1 for e in edges)
    place, amount = ops.full((), 0, "int64"), 1 if weight is None else weight
    for x, edge, size in zip(columns, edges, shape, strict=True):
        at = ops.sub(searchsorted(edge, x, right=True), 1)
        at = ops.where(ops.eq(x, select(edge, 0, size)), size - 1, at)
        inside = ops.logical_and(ops.ge(at, 0), ops.lt(at, size))
        amount = ops.where(inside, amount, 0)
        place = ops.add(ops.mul(place, size), ops.clamp(at, 0, size - 1))
    zeros = ops.full((math.prod(shape),), 0, dtype)
    return ops.reshape(ops.scatter_add(zeros, 0, place, ops.cast(amount, dtype)), shape)
