"""`x[...]` and `x[...] = value`.

An index is taken apart into a basic part (ints, slices, None, Ellipsis), which is a view, and an
advanced part (integer and boolean tensors, arrays, lists), which gathers. Integers are selected
before the advanced part is looked at, as in PyTorch; where the advanced indices are decides where
their dimensions go by NumPy's rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.conversion import converted, number
from argand.base.dim import Dim, is_less, same
from argand.base.dtype import compute_dtype
from argand.base.errors import ArgumentError, IndexRangeError, ShapeError, TraceError
from argand.base.shape import broadcast_shapes, same_shape, shape_text
from argand.ir import bind as crossroads
from argand.ir.bind import tracing
from argand.ir.op import ops
from argand.tensor.core import Tensor, of_stand_in, wrap
from argand.tensor.eager import check_writable
from argand.tensor.inplace import assign
from argand.tensor.views import chain_of, root_of
from argand.transform.mode import mode, no_grad

_FULL = slice(None)


class IndexPlan(NamedTuple):
    """An index taken apart.

    `start`, `stop`, `step` are for every dimension of the tensor; `shape` is that of the view;
    `advanced` are the index tensors with their dimension in the view.
    """

    start: tuple[Any, ...]
    stop: tuple[Any, ...]
    step: tuple[int, ...]
    shape: tuple[Any, ...]
    advanced: tuple[tuple[int, Any], ...]


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]``."""
    x, index = _selected(x, index)
    plan = take_apart(x, index)
    view = basic_view(x, plan)
    if not plan.advanced:
        return view
    dims, indices = advanced_operands(view, plan)
    return ops.index(view, *indices, dims=dims)  # type: ignore[no-any-return]  # an op gives Any


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """``x[index] = value``; the value is broadcast and converted to the dtype of `x`."""
    mask = _whole_mask(x, index)
    if mask is not None and _is_scalar(value):
        check_writable(x)
        assign(x, ops.cast(ops.where(mask, _number_for(x, value), x), x.dtype), "indexing")
        return
    part, rest = _selected(x, index)
    if part is not x:
        setitem(part, rest, value)
        dims, numbers = _unread_numbers(x, _filled(x, _items(index)))
        assign(x, ops.index_put(x, part, *numbers, dims=dims, accumulate=False), "indexing")
        return
    plan = take_apart(x, index)
    view = basic_view(x, plan)
    if _is_the_view_itself(view, value):
        return
    if not plan.advanced:
        check_writable(view)
        assign(view, _fitted(value, view.shape, x), "indexing")
        return
    dims, indices = advanced_operands(view, plan)
    shape = indexed_shape(view.shape, dims, indices[0].shape)
    new = _fitted(value, shape, x)
    check_writable(view)
    recorded = mode.enabled and (view._tape() is not None or new._tape() is not None)
    if recorded or tracing():
        assign(view, ops.index_put(view, new, *indices, dims=dims, accumulate=False), "indexing")
    else:
        crossroads.current().write_at(view, dims, indices, new)
        view._wrote()


# -- numbers that are known when the program runs --------------------------------------------------


def _selected(x: Tensor, index: Any) -> tuple[Tensor, Any]:
    """The part of a tensor that the numbers in an index choose whose values can't be read now, and
    the rest of the index. Like ints, numbers choose before the other tensors of an index do."""
    items = list(index) if type(index) is tuple else [index]
    if not any(map(_is_unread, items)):
        return x, index
    items = _filled(x, _items(index))
    dims, numbers = _unread_numbers(x, items)
    rest = tuple([item for item in items if not _is_unread(item)])
    return ops.index(x, *numbers, dims=dims), rest


def _unread_numbers(x: Tensor, items: list[Any]) -> tuple[tuple[int, ...], list[Tensor]]:
    """The dimensions that these numbers stand for, and the numbers."""
    dims, numbers, dim = [], [], 0
    for item in items:
        if _is_unread(item):
            dims.append(dim)
            numbers.append(item if item.dtype.name == "int64" else ops.cast(item, "int64"))
        dim += _consumes(item)
    return tuple(dims), numbers


def _is_unread(item: Any) -> bool:
    if not isinstance(item, Tensor) or item.ndim or item.dtype.kind not in "iu":
        return False
    return item._array is None or (tracing() and not crossroads.current().knows(item))


# -- taking an index apart -------------------------------------------------------------------------


def take_apart(x: Tensor, index: Any) -> IndexPlan:
    """The plan of an index."""
    items = _items(index)
    items = _filled(x, items)
    start: list[Any] = []
    stop: list[Any] = []
    step: list[int] = []
    shape: list[Any] = []
    advanced: list[tuple[int, Any]] = []
    sizes = iter(x.shape)
    for item in items:
        if item is None:
            shape.append(1)
        elif isinstance(item, bool | np.bool_):
            advanced.append((len(shape), _bool_index(bool(item))))
            shape.append(1)
        elif isinstance(item, slice):
            size = next(sizes)
            first, last, by = slice_bounds(item, size)
            _append(start, stop, step, first, last, by)
            shape.append((last - first + by - 1) // by)
        elif _is_int(item):
            size = next(sizes)
            place = _int_index(item, size, len(start))
            _append(start, stop, step, place, place + 1, 1)
        else:
            for one in _advanced(item, x, len(start)):
                size = next(sizes)
                _append(start, stop, step, 0, size, 1)
                advanced.append((len(shape), one))
                shape.append(size)
    return IndexPlan(tuple(start), tuple(stop), tuple(step), tuple(shape), tuple(advanced))


def _append(start: Any, stop: Any, step: Any, first: Any, last: Any, by: Any) -> None:
    start.append(first)
    stop.append(last)
    step.append(by)


def _items(index: Any) -> list[Any]:
    items = list(index) if type(index) is tuple else [index]
    return [_as_bool(item) if _is_mask_of_one(item) else item for item in items]


def _is_mask_of_one(item: Any) -> bool:
    """Whether an item is a boolean array without dimensions."""
    if isinstance(item, Tensor):
        return item.ndim == 0 and item.dtype.kind == "b"
    return isinstance(item, np.ndarray) and item.ndim == 0 and item.dtype.kind == "b"


def _as_bool(item: Any) -> bool:
    return bool(item.numpy_array() if isinstance(item, Tensor) else item)


def _filled(x: Tensor, items: list[Any]) -> list[Any]:
    """The items with the ellipsis, or what is missing at the end, replaced by full slices."""
    ellipses = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(ellipses) > 1:
        raise IndexRangeError("an index can have only one ellipsis (...)")
    used = sum(_consumes(item) for item in items)
    rank = x.ndim
    if used > rank:
        raise IndexRangeError(
            f"too many indices: {used} for a tensor of {rank} dimensions, shape "
            f"{shape_text(x.shape)}"
        )
    missing = [_FULL] * (rank - used)
    if not ellipses:
        return items + missing
    at = ellipses[0]
    return items[:at] + missing + items[at + 1 :]


def _consumes(item: Any) -> int:
    """How many dimensions an item of an index stands for."""
    if item is None or item is Ellipsis or isinstance(item, bool | np.bool_):
        return 0
    if isinstance(item, Tensor | np.ndarray) and str(item.dtype).endswith("bool"):
        return len(item.shape)
    if isinstance(item, Tensor) and item.dtype.kind == "b":
        return item.ndim
    if isinstance(item, list | range) and (found := _list_array(item)).dtype == np.bool_:
        return int(found.ndim)
    return 1


def _is_int(item: Any) -> bool:
    if isinstance(item, Tensor):
        return item._array is not None and item.ndim == 0 and item.dtype.kind in "iu"
    return hasattr(item, "__index__") and not isinstance(item, np.ndarray)


def _int_index(item: Any, size: Any, dim: int) -> Any:
    i = item if isinstance(item, Dim) else item.__index__()
    if is_less(i, -size) or is_less(size, i + 1):
        raise IndexRangeError(f"index {i} is out of bounds for dimension {dim} with size {size}")
    return i + size if is_less(i, 0) else i


def slice_bounds(item: slice, size: Any) -> tuple[Any, Any, int]:
    """start, stop and step of a slice within a size, with 0 <= start <= stop <= size."""
    step = 1 if item.step is None else item.step.__index__()
    if step < 1:
        raise ArgumentError("slices need a step greater than zero; use flip() for the other way")
    first = 0 if item.start is None else _bound(item.start, size)
    last = size if item.stop is None else _bound(item.stop, size)
    if (last is not size and first is not last and not first <= last) or (
        last is size and not (isinstance(first, int) and first == 0) and not first <= last
    ):
        last = first
    return first, last, step


def _bound(value: Any, size: Any) -> Any:
    """A slice's bound counted from the front and kept within the size."""
    if not isinstance(value, Dim):
        value = value.__index__()
    if value < 0:
        value = value + size
        return value if value >= 0 else 0
    if isinstance(value, Dim) and isinstance(size, Dim) and value.key == size.key:
        return size
    return value if value <= size else size


# -- the advanced part -----------------------------------------------------------------------------


def _advanced(item: Any, x: Tensor, dim: int) -> list[Any]:
    """The integer index tensors that an item stands for; several for a mask."""
    if isinstance(item, list | range | tuple):
        item = _list_array(item)
    if isinstance(item, np.ndarray):
        if item.dtype.kind not in "biu":
            raise IndexRangeError(_WHAT.format(item.dtype.name))
        if item.dtype.kind == "b":  # how many elements it takes must be known: it is read here
            numbers = np.asarray(item)
            _check_mask(numbers.shape, x, dim)
            return [wrap(found) for found in np.nonzero(numbers)]
        found = of_stand_in(item)
        item = wrap(item) if found is item else found
    if not isinstance(item, Tensor):
        raise _wrong_type(item)
    if item.dtype.kind == "b":
        return mask_indices(item, x, dim)
    if not item.dtype.is_index:
        raise IndexRangeError(_WHAT.format(item.dtype.name))
    return [item if item.dtype.name == "int64" else ops.cast(item, "int64")]


_WHAT = (
    "an index must be made of ints, slices (:), ellipsis (...), None, and integer (at most int64) "
    "or boolean tensors, got {}"
)


def _wrong_type(item: Any) -> Exception:
    kind = TypeError if isinstance(item, str) else IndexRangeError
    return kind(_WHAT.format(type(item).__name__))


def _list_array(item: Any) -> Any:
    values = [v.item() if isinstance(v, Tensor) and v.ndim == 0 else v for v in item]
    found = np.asarray([v.numpy_array() if isinstance(v, Tensor) else v for v in values])
    return found.astype(np.int64) if found.size == 0 and found.dtype.kind == "f" else found


def _bool_index(value: bool) -> Any:
    return wrap(np.zeros(1 if value else 0, np.int64))


def mask_indices(mask: Tensor, x: Tensor, dim: int) -> list[Any]:
    """The integer indices of the true elements of a mask, one for each of its dimensions."""
    _check_mask(tuple(mask.shape), x, dim)
    if mask._array is None and crossroads.current().varies(mask):
        raise RuntimeError(
            "vmap: We do not support batching operators that can support dynamic shape. Attempting "
            "to batch over indexing with a boolean mask; use torch.where(mask, x, other)"
        )
    if mask._array is None and not crossroads.current().knows(mask):
        raise TraceError(
            "indexing with a boolean mask gives as many elements as the mask has true ones, which "
            "a compiled function can't know while it is traced; use ag.where(mask, x, other)"
        )
    return [wrap(found) for found in np.nonzero(mask.numpy_array())]


def _check_mask(shape: tuple[Any, ...], x: Tensor, dim: int) -> None:
    for i, (a, b) in enumerate(zip(shape, tuple(x.shape)[dim:], strict=False)):
        if a != b:
            raise IndexRangeError(
                f"a mask of shape {shape_text(shape)} does not fit a tensor of shape "
                f"{shape_text(x.shape)} at dimension {dim + i}"
            )


def advanced_operands(view: Tensor, plan: IndexPlan) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """The dimensions and the indices of the advanced part, broadcast to one shape."""
    shapes = [tuple(i.shape) for _, i in plan.advanced]
    try:
        shape = broadcast_shapes(*shapes, op="index")
    except ShapeError:
        listed = ", ".join(shape_text(s) for s in shapes)
        raise IndexRangeError(
            f"index tensors of shapes {listed} can't be broadcast together"
        ) from None
    dims = tuple(d for d, _ in plan.advanced)
    indices = []
    for _, index in plan.advanced:
        fits = same_shape(tuple(index.shape), shape)
        indices.append(index if fits else ops.expand(index, shape))
    return dims, tuple(indices)


def indexed_shape(
    shape: Sequence[Any], dims: tuple[int, ...], index_shape: Sequence[Any]
) -> tuple[Any, ...]:
    """The shape that advanced indexing gives: the indices' dimensions are where the indices
    stood when those are neighbours, and in front otherwise."""
    rest = [s for d, s in enumerate(shape) if d not in dims]
    together = dims[-1] - dims[0] == len(dims) - 1
    at = dims[0] if together else 0
    return (*rest[:at], *index_shape, *rest[at:])


# -- the basic part --------------------------------------------------------------------------------


def basic_view(x: Tensor, plan: IndexPlan) -> Tensor:
    """The view that the basic part of an index gives."""
    shape = tuple(x.shape)
    whole = all(
        type(a) is int and a == 0 and c == 1 and same(b, s)
        for a, b, c, s in zip(plan.start, plan.stop, plan.step, shape, strict=True)
    )
    view = x if whole else ops.slice(x, plan.start, plan.stop, plan.step)
    if not same_shape(tuple(view.shape), plan.shape):
        view = ops.reshape(view, plan.shape)
    elif view is x and not plan.advanced:
        view = ops.reshape(x, plan.shape)
    return view


# -- values ----------------------------------------------------------------------------------------


def _whole_mask(x: Tensor, index: Any) -> Any:
    """The mask when the index is one boolean tensor of the shape of `x`."""
    if isinstance(index, np.ndarray) and index.dtype == np.bool_:
        index = wrap(index)
    if isinstance(index, Tensor) and index.dtype.kind == "b" and index.ndim == x.ndim:
        return index if same_shape(tuple(index.shape), tuple(x.shape)) else None
    return None


def _is_scalar(value: Any) -> bool:
    if isinstance(value, bool | int | float | complex | np.generic):
        return True
    return isinstance(value, Tensor) and value.ndim == 0


def _number_for(x: Tensor, value: Any) -> Any:
    """A scalar that does not promote: NumPy's and Python's in the dtype of `x`."""
    if isinstance(value, Tensor):
        return value if value.dtype is x.dtype else ops.cast(value, x.dtype)
    return ops.full((), _rounded(value, x), x.dtype)


def _rounded(value: Any, x: Tensor) -> Any:
    """A number as 16-bit floats hold it: an infinity where it is too large, as PyTorch assigns."""
    return number(value, x.dtype).item() if compute_dtype(x.dtype) is not x.dtype else value


def _fitted(value: Any, shape: Sequence[Any], x: Tensor) -> Any:
    """A value as a tensor of the given shape and the dtype of `x`."""
    if not isinstance(value, Tensor):
        if isinstance(value, bool | int | float | complex):
            return ops.full(tuple(shape), _rounded(value, x), x.dtype)
        value = wrap(converted(value, x.dtype))
    if value.dtype is not x.dtype:
        value = ops.cast(value, x.dtype)
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = ops.reshape(value, tuple(value.shape)[1:])
    if same_shape(tuple(value.shape), tuple(shape)):
        return value
    try:
        return ops.expand(value, tuple(shape))
    except RuntimeError:
        raise ShapeError(
            f"indexing: a value of shape {shape_text(value.shape)} can't be written into a region "
            f"of shape {shape_text(shape)}"
        ) from None


def _is_the_view_itself(view: Tensor, value: Any) -> bool:
    """After ``x[i] += 1`` Python assigns the view to its own place; nothing is left to do."""
    if not isinstance(value, Tensor) or value._view is None:
        return False
    return root_of(view) is root_of(value) and chain_of(view) == chain_of(value)


# -- the functions behind indexing -----------------------------------------------------------------


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices (int64) of the elements that aren't 0, a row each: shape (count, dimensions).

    With `as_tuple`, a tensor (count,) for each dimension, such as can index: ``x[nonzero(x,
    as_tuple=True)]``. Looks at the values, so it can't be compiled. Follows `torch.nonzero`.

    >>> ag.nonzero(ag.tensor([[0, 1], [2, 0]]))
    tensor([[0, 1],
            [1, 0]])
    >>> ag.nonzero(ag.tensor([0, 7, 8]), as_tuple=True)
    (tensor([1, 2]),)
    """
    array = input.numpy_array()
    if as_tuple:
        return tuple(wrap(f) for f in np.nonzero(np.atleast_1d(array)))
    return wrap(np.argwhere(array).astype(np.int64))


def index_put(
    input: Tensor, indices: Sequence[Any], values: Any, accumulate: bool = False
) -> Tensor:
    """A copy of `input` with ``[indices] = values``, of a tuple of indices; `accumulate` adds them.

    Where places repeat the last value counts, or all are added. Follows `torch.index_put`.

    >>> ag.index_put(ag.zeros(3), (ag.tensor([0, 2]),), ag.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    lined = [i.reshape(1) if isinstance(i, Tensor) and not i.ndim else i for i in indices]
    plan = take_apart(input, tuple(lined))
    dims, found = advanced_operands(input, plan)
    new = _fitted(values, indexed_shape(input.shape, dims, found[0].shape), input)
    return ops.index_put(input, new, *found, dims=dims, accumulate=accumulate)  # type: ignore[no-any-return]  # an op gives Any


def write_elements(x: Tensor, mask: Tensor, values: Tensor) -> Tensor:
    """`x` with the true places of `mask` filled from the elements of `values` in order."""
    wide = ops.expand(mask, tuple(x.shape)) if tuple(mask.shape) != tuple(x.shape) else mask
    if not crossroads.tracing():  # a program can't look at its values
        wanted = int(np.count_nonzero(wide.numpy_array()))
        if wanted > values.numel():
            raise ArgumentError(
                f"masked_scatter: the mask takes {wanted} elements, and source has {values.numel()}"
            )
    with no_grad():
        order = ops.sub(ops.cumsum(ops.cast(ops.reshape(wide, (-1,)), "int64"), 0), 1)
        order = ops.clamp(order, 0, values.shape.numel() - 1)
    taken = ops.index(ops.reshape(values, (-1,)), order, dims=(0,))
    return ops.where(wide, ops.reshape(taken, tuple(x.shape)), x)  # type: ignore[no-any-return]  # an op gives Any
