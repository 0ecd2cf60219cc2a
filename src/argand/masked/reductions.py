"""Reductions and normalisations of the elements that a mask names.

A mask broadcasts with the input, in which elements where it is False take no part; None is a mask
of all. Results where nothing is left are those of no elements: 0 of `sum`, NaN of `mean`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.dtype import as_dtype, int64
from argand.base.errors import DTypeError
from argand.base.shape import broadcast_shapes, normalize_dims
from argand.ir.op import ops
from argand.tensor import ordering, reducing
from argand.tensor.elementary import logaddexp as log_sum
from argand.tensor.selecting import where

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]


def _filled(x: Any, mask: Any, value: Any, dtype: Any = None) -> Any:
    """The input in the dtype asked for, with a value where the mask is False."""
    x = x if dtype is None else ops.cast(x, dtype)
    if mask is None:
        return x
    if mask.dtype.kind != "b":
        raise DTypeError(f"masked: the mask must be boolean, got {mask.dtype.name}")
    shape = broadcast_shapes(tuple(x.shape), tuple(mask.shape), op="masked")
    return where(ops.expand(mask, shape), ops.expand(x, shape), value)


def _extreme(dtype: Any, lowest: bool) -> Any:
    if dtype.is_floating_point:
        return -math.inf if lowest else math.inf
    if dtype.kind == "b":
        return not lowest
    limits = np.iinfo(dtype.numpy)
    return int(limits.min if lowest else limits.max)


def _count(x: Any, mask: Any, dim: Any, keepdim: bool) -> Any:
    """How many elements take part."""
    taken = _filled(ops.full(tuple(x.shape), 1, int64), mask, 0)
    return ops.sum(taken, dim, keepdim)


def sum(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """`ag.sum` of the elements where the mask is True.

    >>> ag.masked.sum(ag.tensor([1.0, 2.0, 4.0]), mask=ag.tensor([True, False, True]))
    tensor(5.)
    """
    return reducing.sum(_filled(input, mask, 0, dtype), dim, keepdim, dtype=dtype)


def prod(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """`ag.prod` of the elements where the mask is True.

    >>> ag.masked.prod(ag.tensor([3.0, 2.0, 4.0]), mask=ag.tensor([True, False, True]))
    tensor(12.)
    """
    return reducing.prod(_filled(input, mask, 1, dtype), dim, keepdim, dtype=dtype)


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """`ag.cumsum` with 0 where the mask is False.

    >>> ag.masked.cumsum(ag.tensor([1.0, 2.0, 4.0]), 0, mask=ag.tensor([True, False, True]))
    tensor([1., 1., 5.])
    """
    return reducing.cumsum(_filled(input, mask, 0, dtype), dim, dtype=dtype or input.dtype)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """`ag.cumprod` with 1 where the mask is False.

    >>> ag.masked.cumprod(ag.tensor([3.0, 2.0, 4.0]), 0, mask=ag.tensor([True, False, True]))
    tensor([ 3.,  3., 12.])
    """
    return reducing.cumprod(_filled(input, mask, 1, dtype), dim, dtype=dtype or input.dtype)


def amax(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """`ag.amax` of the elements where the mask is True; the lowest value where there are none.

    >>> ag.masked.amax(ag.tensor([3.0, 5.0, 4.0]), mask=ag.tensor([True, False, True]))
    tensor(4.)
    """
    return reducing.amax(
        _filled(input, mask, _extreme(dtype or input.dtype, True), dtype), dim, keepdim
    )


def amin(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """`ag.amin` of the elements where the mask is True; the highest value where there are none.

    >>> ag.masked.amin(ag.tensor([3.0, 2.0, 4.0]), mask=ag.tensor([True, False, True]))
    tensor(3.)
    """
    return reducing.amin(
        _filled(input, mask, _extreme(dtype or input.dtype, False), dtype), dim, keepdim
    )


def argmax(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """`ag.argmax` of the elements where the mask is True, in the dtype of the input.

    >>> ag.masked.argmax(ag.tensor([3.0, 5.0, 4.0]), mask=ag.tensor([True, False, True]))
    tensor(2.)
    """
    filled = _filled(input, mask, _extreme(dtype or input.dtype, True), dtype)
    return ops.cast(reducing.argmax(filled, dim, keepdim), filled.dtype)


def argmin(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """`ag.argmin` of the elements where the mask is True, in the dtype of the input.

    >>> ag.masked.argmin(ag.tensor([3.0, 2.0, 4.0]), mask=ag.tensor([True, False, True]))
    tensor(0.)
    """
    filled = _filled(input, mask, _extreme(dtype or input.dtype, False), dtype)
    return ops.cast(reducing.argmin(filled, dim, keepdim), filled.dtype)


def mean(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """`ag.mean` of the elements where the mask is True; NaN where there are none.

    >>> ag.masked.mean(ag.tensor([1.0, 2.0, 4.0]), mask=ag.tensor([True, False, True]))
    tensor(2.5000)
    """
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return ops.div(total, ops.cast(_count(input, mask, dim, keepdim), total.dtype))


def median(
    input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The values of `ag.nanmedian` of the elements where the mask is True.

    >>> ag.masked.median(ag.tensor([1.0, 2.0, 4.0, 5.0]), mask=ag.tensor([True, False, True, True]))
    tensor(4.)
    """
    if not input.dtype.is_floating_point:
        raise DTypeError(f"masked.median: not defined for {input.dtype.name}")
    return ordering.nanmedian(_filled(input, mask, math.nan, dtype), dim, keepdim).values


def norm(
    input: Any,
    ord: Any = 2.0,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The vector norm of the elements where the mask is True.

    >>> ag.masked.norm(ag.tensor([3.0, 2.0, 4.0]), mask=ag.tensor([True, False, True]))
    tensor(5.)
    """
    fill = math.inf if ord == -math.inf else 0.0
    return reducing.vector_norm(_filled(input, mask, fill, dtype), ord, dim, keepdim)


def _spread(x: Any, dim: Any, correction: float, keepdim: bool, dtype: Any, mask: Any) -> Any:
    middle = mean(x, dim, keepdim=True, dtype=dtype, mask=mask)
    apart = ops.abs(ops.sub(x, middle))
    total = sum(ops.mul(apart, apart), dim, keepdim=keepdim, dtype=dtype, mask=mask)
    count = ops.cast(_count(x, mask, dim, keepdim), total.dtype)
    found = ops.div(total, ops.clamp(ops.sub(count, correction), 0, None))
    return ops.cast(found, x.dtype) if x.dtype.is_complex else found


def _corrected(unbiased: bool | None, correction: float | None) -> float:
    if correction is not None:
        return correction
    return 0 if unbiased is False else 1


def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """`ag.var` of the elements where the mask is True.

    >>> ag.masked.var(ag.tensor([1.0, 9.0, 3.0]), mask=ag.tensor([True, False, True]))
    tensor(2.)
    """
    return _spread(input, dim, _corrected(unbiased, correction), keepdim, dtype, mask)


def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """`ag.std` of the elements where the mask is True.

    >>> ag.masked.std(ag.tensor([1.0, 9.0, 5.0]), correction=0, mask=ag.tensor([True, False, True]))
    tensor(2.)
    """
    return ops.sqrt(
        var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask)
    )


def logsumexp(
    input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """`ag.logsumexp` of the elements where the mask is True, in the dtype of the input, integers
    too.

    >>> ag.masked.logsumexp(ag.tensor([0.0, 9.0, 0.0]), 0, mask=ag.tensor([True, False, True]))
    tensor(0.6931)
    """
    dims = normalize_dims(dim, input.ndim, "logsumexp")
    found = reducing.logsumexp(_filled(input, mask, -math.inf, dtype), dims, keepdim)
    return ops.cast(found, input.dtype if dtype is None else as_dtype(dtype))


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """`ag.softmax` of the elements where the mask is True, 0 elsewhere; NaN where there are none.

    >>> ag.masked.softmax(ag.tensor([0.0, 9.0, 0.0]), 0, mask=ag.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    return reducing.softmax(_filled(input, mask, -math.inf, dtype), dim)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The logarithm of `softmax`; minus infinity where the mask is False.

    >>> ag.masked.log_softmax(ag.tensor([0.0, 9.0]), 0, mask=ag.tensor([True, False]))
    tensor([0., -inf])
    """
    return reducing.log_softmax(_filled(input, mask, -math.inf, dtype), dim)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """`softmax` of the negated elements.

    >>> ag.masked.softmin(ag.tensor([0.0, 9.0, 0.0]), 0, mask=ag.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    return reducing.softmax(ops.neg(_filled(input, mask, math.inf, dtype)), dim)


def normalize(
    input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Any:
    """The elements where the mask is True divided by their norm along `dim`, `eps` at least.

    >>> ag.masked.normalize(ag.tensor([3.0, 9.0, 4.0]), 2, 0, mask=ag.tensor([True, False, True]))
    tensor([0.6000, 0.0000, 0.8000])
    """
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return ops.div(_filled(input, mask, 0, dtype), ops.clamp(length, eps, None))


def logaddexp(
    input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Any:
    """`ag.logaddexp` of the elements where each mask is True.

    >>> x = ag.zeros(2)
    >>> ag.masked.logaddexp(x, x, input_mask=ag.tensor([True, False]))
    tensor([0.6931, 0.0000])
    """
    one = _filled(input, input_mask, -math.inf, dtype)
    return log_sum(one, _filled(other, other_mask, -math.inf, dtype))
