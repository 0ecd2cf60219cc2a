"""Functions that pick and place elements by index or mask. Each is also a Tensor method."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.dtype import get_default_dtype
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import broadcast_shapes, normalize_dim, same_shape, shape_text
from argand.ir import bind as crossroads
from argand.ir.op import describe, ops
from argand.ops.gather import as_vector
from argand.tensor.core import Tensor, wrap
from argand.tensor.eager import check_writable
from argand.tensor.indexing import index_put, nonzero, write_elements
from argand.tensor.inplace import apply_inplace, assign


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`, element by element; the three broadcast.

    `input` and `other` may be numbers; the condition is true where it isn't 0. The gradient goes to
    the one chosen. With the condition alone: ``nonzero(condition, as_tuple=True)``. Follows
    `torch.where`.

    >>> x = ag.tensor([-1.0, 2.0, -3.0])
    >>> ag.where(x > 0, x, 0.0)
    tensor([0., 2., 0.])
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return ops.where(condition, input, other)


def where_method(self: Any, condition: Any, other: Any) -> Any:
    """This tensor where the condition holds, else `other`, element by element; the three broadcast.

    >>> x = ag.tensor([-1.0, 2.0, -3.0])
    >>> x.where(x > 0, 0.0)
    tensor([0., 2., 0.])
    """
    return ops.where(condition, self, other)


def argwhere(input: Any) -> Any:
    """The indices (int64) of the elements that aren't 0, a row each: shape (count, dimensions).

    Looks at the values, so it can't be compiled. See `nonzero`.

    >>> ag.argwhere(ag.tensor([[0, 1], [2, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    return nonzero(input)


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """y[i, j] = input[index[i, j], j] for dim 0, input[i, index[i, j]] for dim 1, and so on.

    The result has the shape of `index`, which may be smaller than `input` in the other dimensions.
    Raises IndexError for an index outside. Follows `torch.gather`.

    >>> ag.gather(ag.tensor([[1, 2], [3, 4]]), 1, ag.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    return ops.gather(input, dim=dim, index=index)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` with broadcasting in the other dimensions; without `dim`, of the flattened tensor.

    Puts to use what `argsort` and `argmax` with `keepdim` return. Follows `torch.take_along_dim`.

    >>> x = ag.tensor([[3, 1, 2], [4, 6, 5]])
    >>> ag.take_along_dim(x, x.argsort(dim=1), dim=1)
    tensor([[1, 2, 3],
            [4, 5, 6]])
    """
    if dim is None:
        return ops.gather(ops.reshape(input, (-1,)), dim=0, index=ops.reshape(indices, (-1,)))
    d = normalize_dim(dim, input.ndim, "take_along_dim")
    shape = tuple(input.shape[i] if i != d else indices.shape[i] for i in range(input.ndim))
    return ops.gather(input, dim=d, index=ops.expand(indices, shape))


def take(input: Any, index: Any) -> Any:
    """The elements of the flattened tensor at `index`, in the shape of `index`.

    Negative numbers count from the end. Raises IndexError outside. Follows `torch.take`.

    >>> ag.take(ag.tensor([[3, 1], [2, 4]]), ag.tensor([0, 3]))
    tensor([3, 4])
    """
    return ops.index(ops.reshape(input, (-1,)), index, dims=(0,))


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

    `src` is a number (also as `value=`) or a tensor no smaller than `index`. With `reduce="add"` it
    is added to what is there. Where places repeat, the last one counts. Raises IndexError for an
    index outside. Follows `torch.scatter`.

    >>> ag.scatter(ag.zeros(2, 3), 1, ag.tensor([[0], [2]]), 5.0)
    tensor([[5., 0., 0.],
            [0., 0., 5.]])
    """
    src = _source(input, index, value if src is None else src)
    if reduce in ("add", "sum"):
        return ops.scatter_add(input, dim, index, src)
    if reduce is not None:
        raise ArgumentError(f"scatter: reduce must be None or 'add', got {reduce!r}")
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
    """A copy in which the elements of `src` that go to one place are combined by "sum" or "mean".

    Places as in `scatter`. The element that is there takes part unless `include_self=False`; places
    without any stay. A mean of integers is rounded down. Raises ArgumentError for another `reduce`.
    Follows `torch.scatter_reduce`.

    >>> x, index, src = ag.ones(3), ag.tensor([0, 0, 2]), ag.tensor([2.0, 3.0, 4.0])
    >>> ag.scatter_reduce(x, 0, index, src, "mean")
    tensor([2.0000, 1.0000, 2.5000])
    """
    if reduce not in ("sum", "mean"):
        raise ArgumentError(f"scatter_reduce: reduce must be 'sum' or 'mean', got {reduce!r}")
    ones = ops.full(tuple(index.shape), 1, src.dtype)
    start = input
    if not include_self:
        zeros = ops.full(tuple(index.shape), 0, input.dtype)
        start = ops.scatter(input, dim, index, zeros)
    total = ops.scatter_add(start, dim, index, src)
    if reduce == "sum":
        return total
    base = ops.full(tuple(input.shape), 1 if include_self else 0, src.dtype)
    count = ops.scatter_add(base, dim, index, ones)
    rounding = None if total.dtype.is_inexact else "floor"
    return ops.div(total, ops.clamp(count, 1, None), rounding_mode=rounding)


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


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """A copy with `value` where the mask, which broadcasts, is true.

    `value`, a number or 0-d tensor (ShapeError for another), is converted to the dtype of `input`.
    Follows `torch.masked_fill`.

    >>> scores = ag.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> ag.masked_fill(scores, ag.tensor([[False, True], [False, False]]), -ag.inf)
    tensor([[1., -inf],
            [3., 4.]])
    """
    if isinstance(value, Tensor):
        if value.ndim:
            raise ShapeError(
                f"masked_fill: the value must have no dimensions, got {describe(value)}"
            )
        fill = value if value.dtype is input.dtype else ops.cast(value, input.dtype)
    else:
        fill = ops.full((), value, input.dtype)
    return ops.where(mask, fill, input)


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask is true, in row-major order, in one dimension; the two broadcast.

    Looks at the values, so it can't be compiled: use `where`. Follows `torch.masked_select`.

    >>> x = ag.tensor([1, 5, 3])
    >>> ag.masked_select(x, x > 2)
    tensor([5, 3])
    """
    shape = broadcast_shapes(tuple(input.shape), tuple(mask.shape), op="masked_select")
    return ops.expand(input, shape)[ops.expand(mask, shape)]


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy with the elements of `source`, one after another, where the mask is true.

    Raises ArgumentError where `source` has too few (not looked at in compiled code). Follows
    `torch.masked_scatter`.

    >>> mask = ag.tensor([True, False, True])
    >>> ag.masked_scatter(ag.zeros(3), mask, ag.tensor([1.0, 2.0, 3.0]))
    tensor([1., 0., 2.])
    """
    return write_elements(input, mask, source)


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy with out.flatten()[index[i]] = source[i]; with `accumulate` it is added, all of it.

    >>> ag.put(ag.zeros(2, 2), ag.tensor([0, 3]), ag.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    flat = ops.reshape(input, (-1,))
    out = ops.index_put(
        flat,
        ops.reshape(source, (-1,)),
        ops.reshape(index, (-1,)),
        dims=(0,),
        accumulate=accumulate,
    )
    return ops.reshape(out, tuple(input.shape))


def index_put_(self: Tensor, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
    """``self[indices] = values`` in place, of a tuple of indices; `accumulate` adds them.

    Where places repeat the last value counts, or all are added. Returns the tensor. Follows
    `torch.Tensor.index_put_`.

    >>> ag.zeros(3).index_put_((ag.tensor([0, 0]),), ag.tensor([1.0, 2.0]), accumulate=True)
    tensor([3., 0., 0.])
    """
    check_writable(self)
    return assign(self, index_put(self, indices, values, accumulate), "index_put_")


# -- sets and search: on the values, so not in compiled functions ----------------------------------


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
    array = input.numpy_array()
    values, inverse, counts = np.unique(
        array, return_inverse=True, return_counts=True, axis=dim, equal_nan=False
    )
    if dim is None:
        inverse = inverse.reshape(array.shape)
    out = [wrap(values)]
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


def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Any:
    """Whether each element is among `test_elements`, as booleans; with `invert`, whether it is not.

    Either may be a number. Compares every pair. Follows `torch.isin`.

    >>> ag.isin(ag.tensor([1, 2, 3]), ag.tensor([2, 3]))
    tensor([False,  True,  True])
    """
    elements, tests = (
        x if isinstance(x, Tensor) else wrap(np.asarray(x)) for x in (elements, test_elements)
    )
    flat = ops.reshape(tests, (-1,))
    lead = (1,) * elements.ndim
    wide = ops.reshape(elements, (*tuple(elements.shape), 1))
    found = ops.any(ops.eq(wide, ops.reshape(flat, (*lead, flat.shape[0]))), -1)
    return ops.logical_not(found) if invert else found


def searchsorted(
    sorted_sequence: Any, input: Any, *, right: bool = False, side: str | None = None
) -> Any:
    """The index (int64) at which each value has to be inserted into a sequence to keep it sorted.

    y = the count of elements that are < input, or <= input with `right`. `sorted_sequence` is 1-d,
    or (..., N) for values (..., M), searched row by row; ascending, which isn't checked. Compares
    every pair. Follows `torch.searchsorted`.

    >>> ag.searchsorted(ag.tensor([1, 3, 5]), ag.tensor([0, 3, 6]))
    tensor([0, 1, 3])
    >>> ag.searchsorted(ag.tensor([1, 3, 5]), ag.tensor([0, 3, 6]), right=True)
    tensor([0, 2, 3])
    """
    right = right or side == "right"
    values = input
    if not isinstance(input, Tensor):
        whole = isinstance(input, int) or sorted_sequence.dtype.is_floating_point
        values = ops.full((), input, sorted_sequence.dtype if whole else get_default_dtype())
    wide = ops.reshape(values, (*tuple(values.shape), 1))
    if sorted_sequence.ndim == 1:
        row = sorted_sequence
    else:
        lead = tuple(sorted_sequence.shape[:-1])
        row = ops.reshape(sorted_sequence, (*lead, 1, sorted_sequence.shape[-1]))
    before = ops.le(row, wide) if right else ops.lt(row, wide)
    if values.dtype.is_floating_point:
        before = ops.logical_or(before, ops.isnan(wide))  # NaN comes last
    return ops.sum(before, -1)


def bucketize(input: Any, boundaries: Any, *, right: bool = False) -> Any:
    """The index (int64) of the interval between `boundaries` that each value lies in.

    Interval i is (boundaries[i - 1], boundaries[i]], with `right` [boundaries[i - 1],
    boundaries[i]). Follows `torch.bucketize`.

    >>> ag.bucketize(ag.tensor([0.5, 3.0, 9.0]), ag.tensor([1.0, 3.0, 5.0]))
    tensor([0, 1, 3])
    """
    return searchsorted(boundaries, input, right=right)


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """y[..., c] = 1 where input[...] = c, else 0, as int64: a new last dimension of `num_classes`.

    `num_classes` is one more than the largest element unless given, which can't be compiled. Raises
    ArgumentError for a class outside, in compiled code IndexError. Follows
    `torch.nn.functional.one_hot`.

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
            raise ArgumentError(
                f"one_hot: classes must be at least 0 and less than num_classes={num_classes}, "
                f"got {low} to {high}"
            )
        return ops.cast(ops.eq(index, ops.arange(0, 1, num_classes, "int64")), "int64")
    return ops.scatter(ops.full(shape, 0, "int64"), len(shape) - 1, index, 1)
