"""Functions that pick and place elements by index or mask. Each is also a Tensor method."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dtype import as_dtype
from argand.base.errors import ArgumentError
from argand.base.shape import normalize_dim
from argand.ir.op import ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.eager import check_writable
from argand.tensor.indexing import nonzero, write_elements
from argand.tensor.inplace import apply_inplace, assign


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`; with one argument, `nonzero` as a tuple."""
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return ops.where(condition, input, other)


def where_method(self: Any, condition: Any, other: Any) -> Any:
    """This tensor where the condition holds, else `other`."""
    return ops.where(condition, self, other)


def argwhere(input: Any) -> Any:
    """The positions of the elements that aren't 0, one row each."""
    return nonzero(input)


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on."""
    return ops.gather(input, dim=dim, index=index)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather`, with broadcasting; of the flattened tensor without `dim`."""
    if dim is None:
        return ops.gather(ops.reshape(input, (-1,)), dim=0, index=ops.reshape(indices, (-1,)))
    d = normalize_dim(dim, input.ndim, "take_along_dim")
    shape = tuple(input.shape[i] if i != d else indices.shape[i] for i in range(input.ndim))
    return ops.gather(input, dim=d, index=ops.expand(indices, shape))


def take(input: Any, index: Any) -> Any:
    """Elements of the flattened tensor."""
    return ops.index(ops.reshape(input, (-1,)), index, dims=(0,))


def _source(input: Any, index: Any, src: Any) -> Any:
    return src if isinstance(src, Tensor) else ops.full(tuple(index.shape), src, input.dtype)


def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Any:
    """A copy with out[index[i][j]][j] = src[i][j] for dim 0, and so on; `src` may be a number."""
    src = _source(input, index, value if src is None else src)
    if reduce in ("add", "sum"):
        return ops.scatter_add(input, dim, index, src)
    if reduce is not None:
        raise ArgumentError(f"scatter: reduce must be None or 'add', got {reduce!r}")
    return ops.scatter(input, dim, index, src)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy with out[index[i][j]][j] += src[i][j] for dim 0, and so on."""
    return ops.scatter_add(input, dim, index, src)


def scatter_(
    self: Tensor, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Tensor:
    """`scatter` in place."""
    return apply_inplace(scatter, self, dim, index, src, value=value, reduce=reduce)


def scatter_add_(self: Tensor, dim: int, index: Any, src: Any) -> Tensor:
    """`scatter_add` in place."""
    return apply_inplace(scatter_add, self, dim, index, src)


def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Elements of `src` that go to one place combined by "sum" or "mean"."""
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
    return ops.div(total, ops.clamp(count, 1, None))


def scatter_reduce_(
    self: Tensor, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`scatter_reduce` in place."""
    return apply_inplace(scatter_reduce, self, dim, index, src, reduce, include_self=include_self)


def _placed(input: Any, dim: int, index: Any, values: Any, accumulate: bool) -> Any:
    d = normalize_dim(dim, input.ndim)
    order = (d, *(i for i in range(input.ndim) if i != d))
    back = tuple(order.index(i) for i in range(input.ndim))
    front = ops.permute(input, order)
    if isinstance(values, Tensor) and values.ndim:
        values = ops.permute(values, order)
    else:
        shape = (index.shape[0], *tuple(front.shape)[1:])
        scalar = values if isinstance(values, Tensor) else ops.full((), values, input.dtype)
        values = ops.expand(scalar, shape)
    values = ops.cast(values, input.dtype)
    out = ops.index_put(front, values, ops.cast(index, "int64"), dims=(0,), accumulate=accumulate)
    return ops.permute(out, back)


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """A copy with the slices of `source` added at the places that `index` names."""
    scaled = source if isinstance(alpha, int) and alpha == 1 else ops.mul(source, alpha)
    return _placed(input, dim, index, scaled, True)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy with the slices of `source` at the places that `index` names."""
    return _placed(input, dim, index, source, False)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy with one value in the slices that `index` names."""
    return _placed(input, dim, index, value, False)


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """A copy with `value` where the mask is true."""
    if isinstance(value, Tensor):
        fill = value if value.dtype is input.dtype else ops.cast(value, input.dtype)
    else:
        fill = ops.full((), value, input.dtype)
    return ops.where(mask, fill, input)


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask is true, in one dimension."""
    from argand.base.shape import broadcast_shapes

    shape = broadcast_shapes(tuple(input.shape), tuple(mask.shape), op="masked_select")
    return ops.expand(input, shape)[ops.expand(mask, shape)]


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy with the elements of `source`, in order, where the mask is true."""
    return write_elements(input, mask, source)


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy with elements of the flattened tensor replaced."""
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
    """``self[indices] = values`` in place; `accumulate` adds them."""
    from argand.tensor.indexing import index_put

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
    """The different values in ascending order; with where they occur and how often if asked."""
    found = np.unique(input.numpy_array(), return_inverse=True, return_counts=True, axis=dim)
    values, inverse, counts = found
    if dim is None:
        inverse = inverse.reshape(input.numpy_array().shape)
    out = [wrap(values)]
    if return_inverse:
        out.append(wrap(inverse.astype(np.int64)))
    if return_counts:
        out.append(wrap(counts.astype(np.int64)))
    return out[0] if len(out) == 1 else tuple(out)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The values without their immediate repetitions."""
    array = input.numpy_array()
    flat = array.reshape(-1) if dim is None else np.moveaxis(array, dim, 0)
    rows = flat.reshape(flat.shape[0], -1)
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
    """Whether each element is among `test_elements`."""
    tests = test_elements if isinstance(test_elements, Tensor) else wrap(np.asarray(test_elements))
    flat = ops.reshape(tests, (-1,))
    lead = (1,) * elements.ndim
    wide = ops.reshape(elements, (*tuple(elements.shape), 1))
    found = ops.any(ops.eq(wide, ops.reshape(flat, (*lead, flat.shape[0]))), -1)
    return ops.logical_not(found) if invert else found


def searchsorted(
    sorted_sequence: Any, input: Any, *, right: bool = False, side: str | None = None
) -> Any:
    """Where each value belongs in a sorted 1-d sequence (or row by row)."""
    right = right or side == "right"
    values = input if isinstance(input, Tensor) else ops.full((), input, sorted_sequence.dtype)
    wide = ops.reshape(values, (*tuple(values.shape), 1))
    if sorted_sequence.ndim == 1:
        row = sorted_sequence
    else:
        lead = tuple(sorted_sequence.shape[:-1])
        row = ops.reshape(sorted_sequence, (*lead, 1, sorted_sequence.shape[-1]))
    before = ops.le(row, wide) if right else ops.lt(row, wide)
    return ops.sum(before, -1)


def bucketize(input: Any, boundaries: Any, *, right: bool = False) -> Any:
    """The number of the interval between boundaries that each value falls into."""
    return searchsorted(boundaries, input, right=right)


def one_hot(input: Any, num_classes: int = -1) -> Any:
    """A new last dimension with 1 at each class number, as int64."""
    if num_classes == -1:
        num_classes = int(ops.amax(input).item()) + 1 if input.numel() else 0
    wide = ops.reshape(input, (*tuple(input.shape), 1))
    return ops.cast(ops.eq(wide, ops.arange(0, 1, num_classes, "int64")), as_dtype("int64"))
