"""Reductions with PyTorch's overloads. Each is also a Tensor method."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypedDict, Unpack

from argand.base.dtype import as_dtype, compute_dtype, get_default_dtype, uint8
from argand.base.errors import ArgumentError, DTypeError
from argand.base.shape import normalize_dim, normalize_dims
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.joining import sliced
from argand.tensor.operands import check_tensors
from argand.tensor.outputs import written
from argand.tensor.shaping import movedim
from argand.transform.mode import no_grad


class ValuesIndices(NamedTuple):
    """(values, indices): what max, min, sort, topk, kthvalue and median along a dimension return.

    >>> values, indices = ag.sort(ag.tensor([3.0, 1.0, 2.0]))
    >>> indices
    tensor([1, 2, 0])
    """

    values: Any
    indices: Any


class MinMax(NamedTuple):
    """(min, max): what `aminmax` returns.

    >>> ag.aminmax(ag.tensor([3.0, 1.0, 2.0])).max
    tensor(3.)
    """

    min: Any
    max: Any


def into(out: Any, result: Any) -> Any:
    """The result, written into `out` where one is given."""
    return result if out is None else written(out, result)


class Spelling(TypedDict, total=False):
    """NumPy's names of `dim` and `keepdim`, and a tensor to write the result into."""

    axis: Any
    keepdims: bool
    out: Any


def _converted(x: Any, dtype: Any) -> Any:
    return x if dtype is None else ops.cast(x, as_dtype(dtype))


def _along(op: Any, x: Any, dim: Any, keepdim: bool, other: Spelling, **params: Any) -> Any:
    """An op's result along a dimension, by whichever name it is given."""
    if not other:
        return op(x, dim=dim, keepdim=keepdim, **params)
    for name in other.keys() - Spelling.__annotations__.keys():
        raise TypeError(f"unexpected argument {name!r}")
    dim, keepdim = other.get("axis", dim), other.get("keepdims", keepdim)
    return into(other.get("out"), op(x, dim=dim, keepdim=keepdim, **params))


def sum(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    **other: Unpack[Spelling],
) -> Any:
    """The sum of all elements, or along `dim`: one dimension or several.

    They vanish from the shape, or stay with size 1 if `keepdim`. Integers and booleans are summed
    as int64 unless `dtype` says otherwise; 16-bit floats are added up in float32. The sum of
    nothing is 0. Follows `torch.sum`.

    >>> x = ag.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> ag.sum(x), ag.sum(x, 0), ag.sum(x, 1, keepdim=True).shape
    (tensor(10.), tensor([4., 6.]), argand.Size([2, 1]))
    """
    return _along(ops.sum, input, dim, keepdim, other, dtype=dtype)


def mean(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    **other: Unpack[Spelling],
) -> Any:
    """sum(x) / n over all elements, or along `dim`: one dimension or several.

    Raises DTypeError for integers and booleans unless `dtype` names a float. The mean of nothing is
    NaN. Follows `torch.mean`.

    >>> ag.mean(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([2., 3.])
    """
    input = _converted(input, dtype)
    if not input.dtype.is_inexact:
        raise DTypeError(
            f"mean: not defined for {input.dtype.name}; convert with .float() or pass dtype="
        )
    return _along(ops.mean, input, dim, keepdim, other)


def prod(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    **other: Unpack[Spelling],
) -> Any:
    """The product of all elements, or along `dim`; integers are multiplied as int64.

    The product of nothing is 1. Follows `torch.prod`.

    >>> ag.prod(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor([ 2., 12.])
    """
    return _along(ops.prod, input, dim, keepdim, other, dtype=dtype)


def _spread(
    op: Any, x: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any, other: Spelling
) -> Any:
    """The variance or its root; the older interface has a flag where `correction` is a number."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = 1 if unbiased else 0
    correction = 1 if correction is None else correction
    return _along(op, x, dim, keepdim, other, correction=correction)


def var(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    **other: Unpack[Spelling],
) -> Any:
    """sum((x - mean)^2) / (n - correction), the variance of all elements or along `dim`.

    `correction` is 1 unless given, for an estimate without bias; the older `unbiased=False` is
    correction 0. NaN or infinite where n <= correction. Raises DTypeError for integers. Follows
    `torch.var`.

    >>> ag.var(ag.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor(1.6667)
    >>> ag.var(ag.tensor([1.0, 2.0, 3.0, 4.0]), correction=0)
    tensor(1.2500)
    """
    return _spread(ops.var, input, dim, unbiased, keepdim, correction, other)


def std(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    **other: Unpack[Spelling],
) -> Any:
    """sqrt(var(x)), the standard deviation of all elements or along `dim`; see `var`.

    >>> ag.std(ag.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor(1.2910)
    """
    return _spread(ops.std, input, dim, unbiased, keepdim, correction, other)


def var_mean(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, **k: Any
) -> Any:
    """(var(x), mean(x)), of all elements or along `dim`; see `var` for its arguments.

    >>> ag.var_mean(ag.tensor([[1.0, 2.0, 6.0]]), dim=1)
    (tensor([7.]), tensor([3.]))
    """
    return _with_mean(var, input, dim, unbiased, keepdim, k)


def _with_mean(
    spread: Any, x: Any, dim: Any, unbiased: Any, keepdim: bool, other: dict[str, Any]
) -> Any:
    found = spread(x, dim, unbiased, keepdim, **other)
    along = None if isinstance(dim, bool) else other.get("axis", dim)
    return found, ops.mean(x, along, other.get("keepdims", keepdim))


def std_mean(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, **k: Any
) -> Any:
    """(std(x), mean(x)), of all elements or along `dim`; see `var` for its arguments.

    >>> ag.std_mean(ag.tensor([[1.0, 2.0, 6.0]]), dim=1)
    (tensor([2.6458]), tensor([3.]))
    """
    return _with_mean(std, input, dim, unbiased, keepdim, k)


def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """ln(sum(exp(x))) along `dim`, one dimension or several, without overflow.

    Computed as m + ln(sum(exp(x - m))), where m is the largest element. Follows `torch.logsumexp`.

    >>> ag.logsumexp(ag.tensor([[1000.0, 1000.0], [0.0, -ag.inf]]), dim=1)
    tensor([1000.6932,    0.0000])
    """
    if not input.dtype.is_inexact:
        input = ops.cast(input, get_default_dtype())
    if input.dtype.is_complex:
        return _complex_logsumexp(input, dim, keepdim)
    return ops.logsumexp(input, dim, keepdim)


def _complex_logsumexp(x: Any, dim: Any, keepdim: bool) -> Any:
    """The sum is taken of numbers whose largest is of size 1."""
    with no_grad():
        largest = ops.amax(ops.real(x), dim, True)
        largest = ops.where(ops.isfinite(largest), largest, 0.0)
    total = ops.log(ops.sum(ops.exp(ops.sub(x, largest)), dim, keepdim))
    return ops.add(total, largest if keepdim else ops.sum(largest, dim, False))


def max(input: Any, dim: Any = None, keepdim: bool = False, **other: Unpack[Spelling]) -> Any:
    """The largest element; with `dim`, (values, indices) along it; with another tensor, `maximum`.

    NaN is larger than any number. `indices` (int64) names the first of equal elements, to which the
    gradient goes; without `dim` equal elements share it. Raises ShapeError where there is nothing
    to choose from. Follows `torch.max`.

    >>> x = ag.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> ag.max(x)
    tensor(7.)
    >>> ag.max(x, dim=1).indices
    tensor([1, 0])
    """
    return _along(_extreme, input, dim, keepdim, other, chosen=(ops.amax, ops.argmax, ops.maximum))


def min(input: Any, dim: Any = None, keepdim: bool = False, **other: Unpack[Spelling]) -> Any:
    """The smallest element; with `dim`, (values, indices) along it; with another tensor, `minimum`.

    NaN is smaller than any number. `indices` (int64) names the first of equal elements, to which
    the gradient goes; without `dim` equal elements share it. Raises ShapeError where there is
    nothing to choose from. Follows `torch.min`.

    >>> x = ag.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> ag.min(x)
    tensor(1.)
    >>> ag.min(x, dim=0).values
    tensor([1., 2.])
    """
    return _along(_extreme, input, dim, keepdim, other, chosen=(ops.amin, ops.argmin, ops.minimum))


def _extreme(x: Any, dim: Any, keepdim: bool, chosen: tuple[Any, Any, Any]) -> Any:
    of_all, position, of_two = chosen
    check_tensors(of_all.name[1:], x)
    if isinstance(dim, Tensor):
        return of_two(x, dim)
    if dim is None:
        return of_all(x)
    index = position(ops.cast(x, "uint8") if x.dtype.kind == "b" else x, dim, True)
    picked = ops.gather(x, normalize_dim(dim, x.ndim), index) if x.ndim else x
    if not keepdim and x.ndim:
        d = normalize_dim(dim, x.ndim)
        shape = tuple(s for i, s in enumerate(x.shape) if i != d)
        index, picked = ops.reshape(index, shape), ops.reshape(picked, shape)
    return ValuesIndices(picked, index)


def amax(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The largest element along `dim`: one dimension, several, or all; NaN where there is one.

    As `max`, without indices: equal elements share the gradient evenly. Raises ShapeError where
    there is nothing to choose from.

    >>> ag.amax(ag.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=0)
    tensor([7., 5.])
    """
    return ops.amax(input, dim, keepdim)


def amin(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The smallest element along `dim`: one dimension, several, or all; NaN where there is one.

    As `min`, without indices: equal elements share the gradient evenly. Raises ShapeError where
    there is nothing to choose from.

    >>> ag.amin(ag.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=0)
    tensor([1., 2.])
    """
    return ops.amin(input, dim, keepdim)


def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    """(min, max): the smallest and the largest element, of all or along `dim`.

    >>> low, high = ag.aminmax(ag.tensor([3.0, -1.0, 2.0]))
    >>> low, high
    (tensor(-1.), tensor(3.))
    """
    return MinMax(ops.amin(input, dim, keepdim), ops.amax(input, dim, keepdim))


def argmax(input: Any, dim: Any = None, keepdim: bool = False, **other: Unpack[Spelling]) -> Any:
    """The index (int64) of the largest element along `dim`; without it, in the flattened tensor.

    The first of equal elements, or the first NaN. Raises ShapeError where there is nothing to
    choose from. Follows `torch.argmax`.

    >>> x = ag.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> ag.argmax(x), ag.argmax(x, dim=1)
    (tensor(2), tensor([1, 0]))
    """
    return _along(ops.argmax, input, dim, keepdim, other)


def argmin(input: Any, dim: Any = None, keepdim: bool = False, **other: Unpack[Spelling]) -> Any:
    """The index (int64) of the smallest element along `dim`; without it, in the flattened tensor.

    The first of equal elements, or the first NaN. Raises ShapeError where there is nothing to
    choose from. Follows `torch.argmin`.

    >>> x = ag.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> ag.argmin(x), ag.argmin(x, dim=1)
    (tensor(0), tensor([0, 1]))
    """
    return _along(ops.argmin, input, dim, keepdim, other)


def any(input: Any, dim: Any = None, keepdim: bool = False, **other: Unpack[Spelling]) -> Any:
    """Whether an element is not 0, of all or along `dim`; False of nothing.

    >>> ag.any(ag.tensor([[0, 3], [0, 0]]), dim=1)
    tensor([ True, False])
    """
    return _truth(ops.any, input, dim, keepdim, other)


def all(input: Any, dim: Any = None, keepdim: bool = False, **other: Unpack[Spelling]) -> Any:
    """Whether every element is not 0, of all or along `dim`; True of nothing.

    >>> ag.all(ag.tensor([[1, 3], [0, 2]]), dim=1)
    tensor([ True, False])
    """
    return _truth(ops.all, input, dim, keepdim, other)


def _truth(op: Any, input: Any, dim: Any, keepdim: bool, other: Spelling) -> Any:
    """Whether any or all elements are not 0; along no dimension, ``()``, each by itself.

    As PyTorch answers: in booleans, but of uint8, its older booleans, in uint8.
    """
    dims = other.get("axis", dim)
    if isinstance(dims, tuple | list) and not dims:
        found = into(other.get("out"), ops.ne(input, 0))
    else:
        found = _along(op, input, dim, keepdim, other)
    return ops.cast(found, "uint8") if input.dtype is uint8 and "out" not in other else found


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not 0 (int64), of all or along `dim`; NaN counts as not 0.

    >>> ag.count_nonzero(ag.tensor([[0, 3], [1, 2]]), dim=0)
    tensor([1, 2])
    """
    return ops.sum(ops.ne(input, 0), dim)


def nansum(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The sum of the elements that aren't NaN, of all or along `dim`; 0 where there is none.

    >>> ag.nansum(ag.tensor([1.0, ag.nan, 2.0]))
    tensor(3.)
    """
    if input.dtype.is_complex:
        raise DTypeError("nansum: not defined for complex numbers")
    kept = ops.where(ops.isnan(input), 0.0, input) if input.dtype.is_inexact else input
    return ops.sum(kept, dim, keepdim)


def nanmean(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The mean of the elements that aren't NaN, of all or along `dim`; NaN where there is none.

    >>> ag.nanmean(ag.tensor([1.0, ag.nan, 2.0]))
    tensor(1.5000)
    """
    if not input.dtype.is_inexact:
        raise DTypeError(f"nanmean: not defined for {input.dtype.name}; convert with .float()")
    count = ops.sum(ops.logical_not(ops.isnan(input)), dim, keepdim)
    return ops.div(nansum(input, dim, keepdim), count)


def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """sum(|x|^p)^(1/p), the p-norm of all elements as one vector, or along `dim`.

    `p` is a number, "fro" (2, the default), inf (the largest |x|), -inf (the smallest) or 0 (how
    many are not 0); or "nuc", the sum of the singular values of two dimensions. Other norms of
    matrices are in `ag.linalg.norm`. Raises DTypeError for integers.
    Follows `torch.norm`.

    >>> ag.norm(ag.tensor([[3.0, 4.0], [6.0, 8.0]]), dim=1)
    tensor([ 5., 10.])
    >>> ag.norm(ag.tensor([3.0, -4.0]), p=1)
    tensor(7.)
    """
    if p == "nuc":
        return _nuclear(input, dim, keepdim, dtype)
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


def _nuclear(x: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    """The sum of the singular values of the matrices of two dimensions."""
    dims = normalize_dims(tuple(range(x.ndim)) if dim is None else dim, x.ndim, "norm")
    if len(dims) != 2:
        raise ArgumentError(f"norm: the nuclear norm is of two dimensions, got {len(dims)}")
    x = movedim(_converted(x, dtype), dims, (-2, -1))
    found = ops.sum(ops.linalg_svd(x, False)[1], -1)
    return movedim(found[..., None, None], (-2, -1), dims) if keepdim else found


def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """sum(|x|^ord)^(1/ord) of all elements as one vector, or along `dim`: one dimension or several.

    `ord` is a number, inf (the largest |x|), -inf (the smallest) or 0 (how many are not 0). The
    gradient of the 2-norm at 0 is 0. Raises DTypeError for integers. Follows
    `torch.linalg.vector_norm`.

    >>> ag.linalg.vector_norm(ag.tensor([[3.0, -4.0], [0.0, 5.0]]), ord=1, dim=1)
    tensor([7., 5.])
    """
    x = _converted(x, dtype)
    if not x.dtype.is_inexact:
        raise DTypeError(f"norm: not defined for {x.dtype.name}; convert with .float()")
    wide = ops.cast(x, compute_dtype(x.dtype))
    size = ops.abs(wide)
    if ord == 0:
        found = ops.sum(ops.where(ops.ne(size, 0), 1.0, size), dim, keepdim)
    elif ord == 1:
        found = ops.sum(size, dim, keepdim)
    elif ord == 2:
        found = _root(ops.sum(ops.square(size if x.dtype.is_complex else wide), dim, keepdim), 2)
    elif ord == math.inf:
        found = ops.amax(size, dim, keepdim)
    elif ord == -math.inf:
        found = ops.amin(size, dim, keepdim)
    else:
        found = _root(ops.sum(_powers(size, ord), dim, keepdim), ord)
    return ops.cast(found, x.dtype.to_real())


def _root(total: Any, p: float) -> Any:
    """total^(1/p), with the slope 0 at 0: there the root is taken of a constant, so that no 0 * inf
    gets back."""
    zero = ops.eq(total, 0)
    some = ops.where(zero, 1.0, total)
    root = ops.sqrt(some) if p == 2 else ops.pow(some, 1.0 / p)
    return ops.where(zero, math.inf if p < 0 else 0.0, root)


def _powers(size: Any, p: float) -> Any:
    """size^p, with the slope 0 at 0."""
    zero = ops.eq(size, 0)
    return ops.where(zero, math.inf if p < 0 else 0.0, ops.pow(ops.where(zero, 1.0, size), p))


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """sum(|input - other|^p)^(1/p): the distance of two tensors of shapes that broadcast.

    >>> ag.dist(ag.tensor([1.0, 2.0]), ag.tensor([4.0, 6.0]))
    tensor(5.)
    """
    return norm(ops.sub(input, other), p)


# -- running ---------------------------------------------------------------------------------------


def cumsum(
    input: Any, dim: Any = None, *, dtype: Any = None, axis: Any = None, out: Any = None
) -> Any:
    """y[i] = x[0] + ... + x[i] along `dim`: the running sum, in the shape of x.

    Integers and booleans are summed as int64 unless `dtype` says otherwise. Follows `torch.cumsum`.

    >>> ag.cumsum(ag.tensor([[1, 2, 3], [4, 5, 6]]), dim=1)
    tensor([[ 1,  3,  6],
            [ 4,  9, 15]])
    """
    if dtype is None and not input.dtype.is_inexact:
        dtype = "int64"
    found = ops.cumsum(_converted(input, dtype), dim if axis is None else axis)
    return into(out, _converted(found, dtype))


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """y[i] = x[0] * ... * x[i] along `dim`: the running product, in the shape of x.

    Integers and booleans are multiplied as int64 unless `dtype` says otherwise. Computed in log2(n)
    rounds of whole tensors, in each of which an element is multiplied by a product further back
    (Hillis and Steele 1986). Follows `torch.cumprod`.

    >>> ag.cumprod(ag.tensor([1, 2, 3, 4]), dim=0)
    tensor([ 1,  2,  6, 24])
    """
    if dtype is None and not input.dtype.is_inexact:
        dtype = "int64"
    x = _converted(input, dtype)
    d = normalize_dim(dim, input.ndim, "cumprod")
    return _scanned(ops.mul, x, d)


def softmax(input: Any, dim: Any, *, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along `dim`, without overflow: positive numbers that sum to 1.

    `dtype` converts x first. NaN where all elements are minus infinity. Raises DTypeError for
    integers. Follows `torch.softmax`.

    >>> ag.softmax(ag.tensor([[1.0, 2.0, 3.0], [1000.0, 1000.0, 0.0]]), dim=1)
    tensor([[0.0900, 0.2447, 0.6652],
            [0.5000, 0.5000, 0.0000]])
    """
    return ops.softmax(_converted(input, dtype), dim)


def log_softmax(input: Any, dim: Any, *, dtype: Any = None) -> Any:
    """x - ln(sum(exp(x))) along `dim`: ln(softmax(x)), exact where that would be ln(0).

    `dtype` converts x first. Raises DTypeError for integers. Follows `torch.log_softmax`.

    >>> ag.log_softmax(ag.tensor([0.0, 1.0, 1000.0]), dim=0)
    tensor([-1000.,  -999.,     0.])
    """
    return ops.log_softmax(_converted(input, dtype), dim)


def logcumsumexp(input: Any, dim: int) -> Any:
    """y[i] = ln(exp(x[0]) + ... + exp(x[i])) along `dim`, without overflow.

    In log2(n) rounds of whole tensors, as `cumprod`; 16-bit floats in float32. Raises DTypeError
    for integers. Follows `torch.logcumsumexp`.

    >>> ag.logcumsumexp(ag.tensor([1000.0, 1000.0, -ag.inf]), dim=0)
    tensor([1000.0000, 1000.6932, 1000.6932])
    """
    if not input.dtype.is_inexact:
        raise DTypeError(f"logcumsumexp: not defined for {input.dtype.name}; use .float()")
    d = normalize_dim(dim, input.ndim, "logcumsumexp")
    if not input.ndim:
        return ops.contiguous(input)
    wide = ops.cast(input, compute_dtype(input.dtype))
    return ops.cast(_scanned(_log_sum, wide, d), input.dtype)


def _scanned(combine: Any, x: Any, d: int) -> Any:
    """Running combinations along a dimension (Hillis and Steele 1986)."""
    size, reach = int(x.shape[d]) if x.ndim else 1, 1
    while reach < size:  # an element combines the last `reach` ones up to it
        rest = combine(sliced(x, d, reach, size), sliced(x, d, 0, size - reach))
        x = ops.cat(sliced(x, d, 0, reach), rest, dim=d)
        reach *= 2
    return x


def _log_sum(a: Any, b: Any) -> Any:
    """ln(exp(a) + exp(b)); nothing but zeros has no gradient."""
    real = [ops.real(v) if v.dtype.is_complex else v for v in (a.detach(), b.detach())]
    high = ops.maximum(*real)
    high = ops.where(ops.isfinite(high), high, 0.0)
    total = ops.add(ops.exp(ops.sub(a, high)), ops.exp(ops.sub(b, high)))
    nothing = ops.eq(total, 0)
    logarithm = ops.log(ops.where(nothing, 1.0, total))
    return ops.where(nothing, -math.inf, ops.add(logarithm, high))
