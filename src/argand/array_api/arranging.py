"""Shapes, places, sets and orders."""

from __future__ import annotations

from typing import Any, NamedTuple

from argand.array_api.elementwise import operands
from argand.base.errors import ArgumentError, ShapeError
from argand.ir.elementwise import is_number
from argand.ir.op import ops
from argand.tensor import (
    arranging,
    creation,
    indexing,
    joining,
    searching,
    selecting,
    shaping,
)


def broadcast_arrays(*arrays: Any) -> list[Any]:
    """The tensors expanded to the shape that they broadcast to.

    >>> [x.shape for x in ag.array_api.broadcast_arrays(ag.ones(2, 1), ag.ones(3))]
    [argand.Size([2, 3]), argand.Size([2, 3])]
    """
    return list(shaping.broadcast_tensors(*arrays))


def broadcast_to(x: Any, /, shape: Any) -> Any:
    """x expanded to a shape.

    >>> ag.array_api.broadcast_to(ag.ones(2), (2, 2)).shape
    argand.Size([2, 2])
    """
    return ops.expand(x, tuple(shape))


def concat(arrays: Any, /, *, axis: int | None = 0) -> Any:
    """The tensors one after another along an axis; flattened where it is None.

    >>> ag.array_api.concat([ag.ones(1, 2), ag.zeros(1, 2)], axis=None)
    tensor([1., 1., 0., 0.])
    """
    parts = operands(*arrays)
    if axis is None:
        return joining.cat([ops.reshape(x, (-1,)) for x in parts])
    return joining.cat(parts, axis)


def expand_dims(x: Any, /, axis: int = 0) -> Any:
    """x with a new axis of size 1. Raises IndexError where there can be none.

    >>> ag.array_api.expand_dims(ag.ones(2), axis=0).shape
    argand.Size([1, 2])
    """
    return x.unsqueeze(axis)


def flip(x: Any, /, *, axis: Any = None) -> Any:
    """x in the opposite order along one axis, several, or all.

    >>> ag.array_api.flip(ag.tensor([1, 2, 3]))
    tensor([3, 2, 1])
    """
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return arranging.flip(x, tuple(axes))


def moveaxis(x: Any, source: Any, destination: Any, /) -> Any:
    """x with axes moved to other places.

    >>> ag.array_api.moveaxis(ag.ones(2, 3), 0, 1).shape
    argand.Size([3, 2])
    """
    return shaping.movedim(x, source, destination)


def permute_dims(x: Any, /, axes: Any) -> Any:
    """x with its axes in another order.

    >>> ag.array_api.permute_dims(ag.ones(2, 3), (1, 0)).shape
    argand.Size([3, 2])
    """
    return ops.permute(x, tuple(axes))


def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
    """Each element, or each slice along an axis, several times.

    >>> ag.array_api.repeat(ag.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if not is_number(repeats) and not repeats.ndim:
        repeats = repeats.item()
    return arranging.repeat_interleave(x, repeats, axis)


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """x in another shape; `copy` True copies, False refuses to (ValueError).

    >>> ag.array_api.reshape(ag.ones(2, 3), (3, 2)).shape
    argand.Size([3, 2])
    """
    found = ops.reshape(x, tuple(shape))
    if copy:
        return ops.contiguous(found) if found._root() is not x._root() else found.clone()
    if copy is False and found._root() is not x._root():
        raise ArgumentError("reshape: this needs a copy, and copy=False refuses it")
    return found


def roll(x: Any, /, shift: Any, *, axis: Any = None) -> Any:
    """x moved along axes, what leaves at one end coming in at the other.

    >>> ag.array_api.roll(ag.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    if isinstance(axis, tuple) and isinstance(shift, int):
        shift = (shift,) * len(axis)
    return arranging.roll(x, shift, axis)


def squeeze(x: Any, /, axis: Any) -> Any:
    """x without axes of size 1. Raises ShapeError for others.

    >>> ag.array_api.squeeze(ag.ones(1, 2), 0).shape
    argand.Size([2])
    """
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} has {x.shape[a]} elements, not 1")
    return x.squeeze(axes)


def stack(arrays: Any, /, *, axis: int = 0) -> Any:
    """The tensors along a new axis.

    >>> ag.array_api.stack([ag.ones(2), ag.zeros(2)]).shape
    argand.Size([2, 2])
    """
    return joining.stack(operands(*arrays), axis)


def tile(x: Any, repetitions: Any, /) -> Any:
    """x repeated along its axes.

    >>> ag.array_api.tile(ag.tensor([1, 2]), (2,))
    tensor([1, 2, 1, 2])
    """
    return arranging.tile(x, tuple(repetitions))


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis.

    >>> ag.array_api.unstack(ag.tensor([1, 2]))
    (tensor(1), tensor(2))
    """
    return tuple(joining.unbind(x, axis))


def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    """The slices at `indices` along an axis, which may be left out of vectors.

    >>> ag.array_api.take(ag.tensor([5, 6, 7]), ag.tensor([2, 0]))
    tensor([7, 5])
    """
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(f"take: axis must be given for {x.ndim} axes")
        axis = 0
    return ops.index(x, indices, dims=(axis % x.ndim,))


def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """The elements at `indices` along an axis; the other axes broadcast.

    >>> ag.array_api.take_along_axis(ag.tensor([[3, 1]]), ag.tensor([[1, 0]]))
    tensor([[1, 3]])
    """
    return selecting.take_along_dim(x, ops.cast(indices, "int64"), axis)


def nonzero(x: Any, /) -> tuple[Any, ...]:
    """The places of the elements that are not 0, a tensor for each axis.

    >>> ag.array_api.nonzero(ag.tensor([0, 5]))
    (tensor([1]),)
    """
    if not x.ndim:
        raise ShapeError("nonzero: an array without axes has no places")
    return tuple(indexing.nonzero(x, as_tuple=True))


def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where each element of x2 would have to be inserted into x1 to keep it in order.

    >>> ag.array_api.searchsorted(ag.tensor([1, 3, 5]), ag.tensor([3, 4]))
    tensor([1, 2])
    """
    if sorter is not None:
        x1 = ops.index(x1, sorter, dims=(0,))
    return searching.searchsorted(x1, x2, side=side)


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """x1 where the condition is true, else x2.

    >>> ag.array_api.where(ag.tensor([True, False]), ag.ones(2), 0)
    tensor([1., 0.])
    """
    return ops.where(condition, *operands(x1, x2))


# -- sets ------------------------------------------------------------------------------------------


class UniqueAll(NamedTuple):
    """What `unique_all` returns.

    >>> ag.array_api.unique_all(ag.tensor([3, 1, 3])).counts
    tensor([1, 2])
    """

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns.

    >>> ag.array_api.unique_counts(ag.tensor([3, 1, 3])).values
    tensor([1, 3])
    """

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns.

    >>> ag.array_api.unique_inverse(ag.tensor([3, 1, 3])).inverse_indices
    tensor([1, 0, 1])
    """

    values: Any
    inverse_indices: Any


def unique_all(x: Any, /) -> UniqueAll:
    """The different elements, where each is first, which of them each element is, and how often.

    Each NaN is an element of its own.

    >>> ag.array_api.unique_all(ag.tensor([3, 1, 3])).indices
    tensor([1, 0])
    """
    flat = ops.reshape(x, (-1,))
    order = flat.argsort(stable=True)
    ordered = ops.index(flat, order, dims=(0,))
    fresh = creation.ones(flat.shape[0], dtype="bool")
    if flat.shape[0]:
        fresh[1:] = ops.ne(ordered[1:], ordered[:-1])
    (starts,) = indexing.nonzero(fresh, as_tuple=True)
    numbers = ops.sub(ops.cumsum(ops.cast(fresh, "int64"), 0), 1)
    inverse = ops.scatter(creation.zeros_like(numbers), 0, order, numbers)
    ends = joining.cat([starts[1:], ops.full((min(1, len(starts)),), flat.shape[0], "int64")])
    return UniqueAll(
        ops.index(ordered, starts, dims=(0,)),
        ops.index(order, starts, dims=(0,)),
        ops.reshape(inverse, tuple(x.shape)),
        ops.sub(ends, starts),
    )


def unique_counts(x: Any, /) -> UniqueCounts:
    """The different elements, and how often each is there.

    >>> ag.array_api.unique_counts(ag.tensor([3, 1, 3])).counts
    tensor([1, 2])
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Any, /) -> UniqueInverse:
    """The different elements, and which of them each element is.

    >>> ag.array_api.unique_inverse(ag.tensor([3, 1, 3])).values
    tensor([1, 3])
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Any, /) -> Any:
    """The different elements of x, in ascending order.

    >>> ag.array_api.unique_values(ag.tensor([3, 1, 3]))
    tensor([1, 3])
    """
    return unique_all(x).values


# -- orders ----------------------------------------------------------------------------------------


def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The places of the elements in ascending (or descending) order along an axis.

    >>> ag.array_api.argsort(ag.tensor([3, 1, 2]))
    tensor([1, 2, 0])
    """
    return x.sort(axis, descending, stable=True).indices


def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The elements in ascending (or descending) order along an axis.

    >>> ag.array_api.sort(ag.tensor([3, 1, 2]), descending=True)
    tensor([3, 2, 1])
    """
    return x.sort(axis, descending, stable=True).values
