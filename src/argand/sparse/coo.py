"""Tensors of layout sparse_coo: a row of places for each sparse dimension, and values."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from argand.base.dtype import as_dtype, get_default_dtype, int64
from argand.base.errors import ArgumentError, ShapeError
from argand.base.layout import sparse_coo
from argand.base.shape import normalize_dim, shape_text
from argand.ir.op import ops
from argand.sparse.core import Meanings, SparseError, SparseTensor, own
from argand.tensor.core import Size, Tensor, wrap
from argand.tensor.creation import as_tensor
from argand.tensor.device import check_device


class SparseCooTensor(SparseTensor):
    """A tensor by its values and their places.

    `_places` is an int64 matrix, (sparse dimensions, count); `_elements` are (count, sizes of the
    dense dimensions). Values in one place add up; where the places are ordered and each is there
    once, the tensor is coalesced.
    """

    __slots__ = ()

    layout = sparse_coo
    is_sparse = True
    meanings: ClassVar[Meanings] = {}

    _places: Tensor
    _coalesced: bool

    def _parts(self) -> dict[str, Tensor]:
        return {"indices": self._places, "values": self._elements}

    def _like(self, *parts: Tensor) -> SparseCooTensor:
        return made(parts[0], parts[1], self._sizes, self._coalesced)

    def places(self) -> tuple[Tensor, ...]:
        return rows_of(self._places)

    # -- what it is made of ------------------------------------------------------------------------

    def sparse_dim(self) -> int:
        return int(self._places.shape[0])

    def dense_dim(self) -> int:
        return self._elements.ndim - 1

    def is_coalesced(self) -> bool:
        return self._coalesced

    def _coalesced_(self, coalesced: bool) -> Any:
        self._coalesced = coalesced
        return self

    def _indices(self) -> Tensor:
        return self._places

    def _values(self) -> Tensor:
        return self._elements

    def indices(self) -> Tensor:
        self._check_coalesced("indices")
        return self._places

    def values(self) -> Tensor:
        self._check_coalesced("values")
        return self._elements

    def _check_coalesced(self, name: str) -> None:
        if not self._coalesced:
            raise ArgumentError(
                f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first"
            )

    # -- the same elements in another form ---------------------------------------------------------

    def to_sparse_coo(self) -> SparseCooTensor:
        return self

    def t(self) -> SparseCooTensor:
        if self.ndim > 2:
            raise ShapeError(f"t: expected at most 2 dimensions, got {shape_text(self._sizes)}")
        return self.transpose(0, -1) if self.ndim == 2 else self

    def transpose(self, dim0: int, dim1: int) -> SparseCooTensor:
        order = list(range(self.ndim))
        first, second = (normalize_dim(d, self.ndim, "transpose") for d in (dim0, dim1))
        order[first], order[second] = second, first
        return self.permute(order)

    def permute(self, *dims: Any) -> SparseCooTensor:
        """With its dimensions in another order; sparse ones stay before dense ones."""
        given = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
        order = [normalize_dim(d, self.ndim, "permute") for d in given]
        count = self.sparse_dim()
        if sorted(order[:count]) != list(range(count)) or len(set(order)) != self.ndim:
            raise ShapeError(
                f"permute: {tuple(given)}: sparse dimensions must stay before dense ones, and "
                f"there are {count} of {self.ndim}"
            )
        if order == list(range(self.ndim)):
            return made(self._places, self._elements, self._sizes, self._coalesced)
        places = ops.index(self._places, wrap(np.array(order[:count], np.int64)), dims=(0,))
        values = ops.permute(self._elements, (0, *[d - count + 1 for d in order[count:]]))
        ordered = self._coalesced and order[:count] == list(range(count))
        return made(places, values, [self._sizes[d] for d in order], ordered)

    @property
    def T(self) -> SparseCooTensor:  # noqa: N802  # PyTorch's name
        return self.permute(*reversed(range(self.ndim)))

    def coalesce(self) -> SparseCooTensor:
        if self._coalesced:
            return self
        numbers = flat_places(self)
        first, group = np.unique(numbers, return_inverse=True)
        return grouped(self._elements, first, group, self._sizes, self.sparse_dim())

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
        values = self._elements if dtype is None else ops.cast(self._elements, as_dtype(dtype))
        zeros = ops.full(tuple(self._sizes), 0, values.dtype)
        return add_at(zeros, self._places, values)

    def gradient_of(self, of_values: Tensor) -> Any:
        """Values in one place have one gradient, which the tensor's has once."""
        if self._coalesced:
            return self._with(of_values)
        first, chosen = np.unique(flat_places(self), return_index=True)
        values = ops.index(of_values, wrap(chosen), dims=(0,))
        return made(placed(first, self._sizes[: self.sparse_dim()]), values, self._sizes, True)

    def _values_of_gradient(self, gradient: Any) -> Tensor:
        return values_at(gradient, self._places)


def made(places: Tensor, values: Tensor, sizes: Any, coalesced: bool) -> SparseCooTensor:
    """A tensor of places and values that fit."""
    tensor: SparseCooTensor = object.__new__(SparseCooTensor)
    tensor._places, tensor._elements = places, values
    tensor._sizes, tensor._coalesced = Size(sizes), coalesced or places.shape[1] < 2
    return tensor


# -- places ----------------------------------------------------------------------------------------


def flat_places(x: SparseCooTensor) -> Any:
    """The number of each place in the order of the elements, as an array."""
    places, sizes = x._places.numpy_array(), x._sizes[: x.sparse_dim()]
    numbers = np.zeros(places.shape[1], np.int64)
    for row, size in zip(places, sizes, strict=True):
        numbers = numbers * size + row
    return numbers


def placed(numbers: Any, sizes: Any) -> Tensor:
    """The places of these numbers: (dimensions, count)."""
    if not len(sizes):
        return wrap(np.zeros((0, len(numbers)), np.int64))
    if not len(numbers):
        return wrap(np.zeros((len(sizes), 0), np.int64))
    return wrap(np.stack(np.unravel_index(numbers, tuple(sizes))).astype(np.int64))


def grouped(values: Tensor, first: Any, group: Any, sizes: Any, sparse_dim: int) -> SparseCooTensor:
    """The coalesced tensor with the sums of values by groups, whose places' numbers are `first`."""
    zeros = ops.full((len(first), *values.shape[1:]), 0, values.dtype)
    sums = added(zeros, wrap(group.reshape(-1).astype(np.int64)), values)
    return made(placed(first, sizes[:sparse_dim]), sums, sizes, True)


def rows_of(places: Tensor) -> tuple[Tensor, ...]:
    """The places by dimension, to index with."""
    return tuple(places.select(0, i) for i in range(places.shape[0]))


def added(x: Tensor, index: Tensor, values: Tensor) -> Tensor:
    """x with values added to the rows that `index` names."""
    return ops.index_put(x, values, index, dims=(0,), accumulate=True)  # type: ignore[no-any-return]


def add_at(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """x with values added at places of its first dimensions."""
    count = places.shape[0]
    if not count:
        return ops.add(x, ops.sum(values, 0))  # type: ignore[no-any-return]
    return ops.index_put(  # type: ignore[no-any-return]
        x, values, *rows_of(places), dims=tuple(range(count)), accumulate=True
    )


def look_up(x: Tensor, places: Tensor) -> Tensor:
    """The values of a plain tensor at places of its first dimensions."""
    if not places.shape[0]:
        return ops.expand(x, (places.shape[1], *x.shape))  # type: ignore[no-any-return]
    dims = tuple(range(places.shape[0]))
    return ops.index(x, *rows_of(places), dims=dims)  # type: ignore[no-any-return]


def values_at(x: Any, places: Tensor) -> Tensor:
    """The values of any tensor at places of its first dimensions."""
    return look_up(x.to_dense() if isinstance(x, SparseTensor) else x, places)


# -- making them -----------------------------------------------------------------------------------


def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Any:
    """A sparse tensor: `values` at the places `indices`, 0 elsewhere; values in one place add up.

    `indices` has a row for each of the first dimensions, the sparse ones, and a column for each
    value; `values` are numbers, or tensors (count, sizes of the dense dimensions). Without a `size`
    it is the smallest that holds all; of a size alone, an empty tensor. Gradients flow to `values`.
    ShapeError where these don't fit, ArgumentError for places outside. Follows
    `torch.sparse_coo_tensor`.

    >>> x = ag.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
    >>> x.to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 5.]])
    """
    check_device(device)
    if values is None:
        size = indices if size is None else size
        if size is None:
            raise ArgumentError("sparse_coo_tensor: give indices and values, or a size")
        return empty(size, dtype, requires_grad)
    held = own(as_tensor(values, dtype=dtype))
    places = _checked_places(indices, held)
    if not held.ndim and places.shape[1] == 1:
        held = ops.reshape(held, (1,))
    _check_counts(places, held)
    sizes = _sizes_of(places, held) if size is None else tuple(int(n) for n in size)
    _check_sizes(places, held, sizes)
    _check_range(places, sizes)
    found = made(places, held, sizes, bool(is_coalesced))
    return found.detach().requires_grad_() if requires_grad else found


def empty(
    size: Any, dtype: Any = None, requires_grad: bool = False, sparse_dim: int | None = None
) -> SparseCooTensor:
    """A sparse tensor of a shape without values."""
    sizes = tuple(int(n) for n in size)
    count = len(sizes) if sparse_dim is None else sparse_dim
    places = wrap(np.zeros((count, 0), np.int64))
    values = ops.full((0, *sizes[count:]), 0, dtype or get_default_dtype())
    found = made(places, values, sizes, True)
    return found.requires_grad_() if requires_grad else found  # type: ignore[return-value]


def _checked_places(indices: Any, values: Tensor) -> Tensor:
    places = as_tensor(indices)
    if places.dtype.kind not in "iu" and places.shape.numel():
        raise ArgumentError(f"sparse_coo_tensor: indices must be integers, got {places.dtype.name}")
    if places.ndim == 1 and places.shape[0] == 0:
        places = ops.reshape(places, (1, 0))
    if places.ndim != 2:
        raise ShapeError(
            "sparse_coo_tensor: indices must be a matrix, (sparse dimensions, count), got "
            f"{shape_text(places.shape)}"
        )
    return ops.cast(places, int64).detach()  # type: ignore[no-any-return]


def _check_counts(places: Tensor, values: Tensor) -> None:
    count = values.shape[0] if values.ndim else 1
    if places.shape[1] != count:
        raise ShapeError(
            "sparse_coo_tensor: indices and values must have same nnz, but got nnz from indices: "
            f"{places.shape[1]}, nnz from values: {count}"
        )


def _sizes_of(places: Tensor, values: Tensor) -> tuple[int, ...]:
    """The smallest shape that holds all places."""
    array = places.numpy_array()
    largest = array.max(1, initial=-1) + 1
    return (*map(int, largest), *map(int, values.shape[1:]))


def _check_sizes(places: Tensor, values: Tensor, sizes: tuple[int, ...]) -> None:
    if places.shape[0] + values.ndim - 1 != len(sizes):
        raise ShapeError(
            f"sparse_coo_tensor: number of dimensions must be sparse_dim ({places.shape[0]}) + "
            f"dense_dim ({values.ndim - 1}), but got {len(sizes)}"
        )
    if tuple(values.shape[1:]) != sizes[places.shape[0] :]:
        raise ShapeError(
            f"sparse_coo_tensor: values of shape {shape_text(values.shape)} don't fit the dense "
            f"dimensions of {shape_text(sizes)}"
        )
    if any(n < 0 for n in sizes):
        raise ShapeError(f"sparse_coo_tensor: negative size in {shape_text(sizes)}")


def _check_range(places: Tensor, sizes: tuple[int, ...]) -> None:
    array = places.numpy_array()
    for dim, (row, size) in enumerate(zip(array, sizes, strict=False)):
        if row.size and (row.min() < 0 or row.max() >= size):
            worst = row.min() if row.min() < 0 else row.max()
            what = "negative index" if worst < 0 else "size is inconsistent with indices: index"
            raise ArgumentError(
                f"sparse_coo_tensor: {what} {worst} for dimension {dim} of size {size}"
            )


__all__ = ["SparseCooTensor", "SparseError", "sparse_coo_tensor"]
