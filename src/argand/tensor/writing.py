"""In-place methods that aren't an op's twin: fill_, copy_, zero_, and their relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base import epoch
from argand.base.dtype import as_dtype
from argand.base.errors import ShapeError
from argand.base.shape import same_shape, shape_text
from argand.ir.op import describe, ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import sizes
from argand.tensor.eager import check_writable
from argand.tensor.inplace import PIECE, assign
from argand.tensor.selecting import masked_fill
from argand.tensor.views import root_of


def overwrite(self: Tensor, value: Any, name: str = "assignment") -> Tensor:
    """Replace the contents by a value, broadcast and converted to this tensor's dtype."""
    check_writable(self)
    if not isinstance(value, Tensor):
        value = wrap(np.asarray(value))
    if value.dtype is not self.dtype:
        value = ops.cast(value, self.dtype)
    if not same_shape(tuple(value.shape), tuple(self.shape)):
        try:
            value = ops.expand(value, tuple(self.shape))
        except RuntimeError:
            raise ShapeError(
                f"{name}: a tensor of shape {shape_text(value.shape)} does not broadcast to "
                f"{shape_text(self.shape)}"
            ) from None
    return assign(self, value, name)


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Overwrite with the elements of `src`, broadcast and converted; returns the tensor.

    Raises ShapeError where it doesn't broadcast. Follows `torch.Tensor.copy_`.

    >>> ag.zeros(2, 2).copy_(ag.tensor([1, 2]))
    tensor([[1., 2.],
            [1., 2.]])
    """
    return overwrite(self, src, "copy_")


def fill_(self: Tensor, value: Any) -> Tensor:
    """Overwrite with one value, a number or a 0-d tensor; returns the tensor.

    >>> ag.zeros(3).fill_(7)
    tensor([7., 7., 7.])
    """
    check_writable(self)
    if isinstance(value, Tensor):
        if value.ndim:
            raise ShapeError(f"fill_: the value must have no dimensions, got {describe(value)}")
        return overwrite(self, value, "fill_")
    if self.requires_grad:
        return assign(self, fill(self, value), "fill_")
    array = self._array
    if array is not None and array.nbytes >= PIECE:  # no second one of that size
        one = ops.full((), value, self.dtype)
        return assign(self, ops.expand(one, tuple(self.shape)), "fill_")
    return assign(self, ops.full(tuple(self.shape), value, self.dtype), "fill_")


def zero_(self: Tensor) -> Tensor:
    """Overwrite with zeros; returns the tensor.

    >>> ag.ones(3).zero_()
    tensor([0., 0., 0.])
    """
    return fill_(self, 0)


def fill(input: Any, value: Any) -> Any:
    """A new tensor with one value, in the shape and dtype of `input`: `fill_` out of place.

    >>> ag.fill(ag.zeros(3), 7)
    tensor([7., 7., 7.])
    """
    return masked_fill(input, ops.full((), True, as_dtype("bool")), value)


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Overwrite the elements whose indices are all equal; returns the tensor.

    In a matrix with more rows than columns, `wrap` goes on from the first column, one row further
    down. Follows `torch.Tensor.fill_diagonal_`.

    >>> ag.zeros(2, 3).fill_diagonal_(5)
    tensor([[5., 0., 0.],
            [0., 5., 0.]])
    """
    if wrap and self.ndim == 2:  # past the last row the diagonal goes on after a free one
        rows, columns = self.shape
        place = ops.arange(0, columns + 1, -(-rows * columns // (columns + 1)), as_dtype("int64"))
        self[ops.floor_divide(place, columns), ops.remainder(place, columns)] = fill_value
        return self
    index = ops.arange(0, 1, min(self.shape), as_dtype("int64"))
    self[(index,) * self.ndim] = fill_value
    return self


def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """`unsqueeze` in place: the same memory with a new dimension of size 1; returns the tensor.

    >>> ag.ones(3).unsqueeze_(0).shape
    argand.Size([1, 3])
    """
    return _become(self, self.unsqueeze(dim))


def squeeze_(self: Tensor, dim: Any = None) -> Tensor:
    """`squeeze` in place: the same memory without dimensions of size 1; returns the tensor.

    >>> ag.ones(1, 3, 1).squeeze_().shape
    argand.Size([3])
    """
    return _become(self, self.squeeze(dim))


def swapaxes_(self: Tensor, axis0: int, axis1: int) -> Tensor:
    """`swapaxes` in place: the tensor becomes that view of its memory.

    >>> ag.ones(2, 3).swapaxes_(axis0=0, axis1=1).shape
    argand.Size([3, 2])
    """
    return transpose_(self, axis0, axis1)


def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """`transpose` in place: the same memory with two dimensions exchanged; returns the tensor.

    >>> ag.ones(2, 3).transpose_(0, 1).shape
    argand.Size([3, 2])
    """
    return _become(self, self.transpose(dim0, dim1))


def t_(self: Tensor) -> Tensor:
    """`t` in place: the same memory as the transpose of a matrix; returns the tensor.

    >>> ag.ones(2, 3).t_().shape
    argand.Size([3, 2])
    """
    return _become(self, self.t())


def as_strided_(self: Tensor, size: Any, stride: Any, storage_offset: Any = None) -> Tensor:
    """`as_strided` in place: the same memory with these sizes and strides; returns the tensor.

    >>> ag.arange(6).as_strided_((2, 2), (1, 3))
    tensor([[0, 3],
            [1, 4]])
    """
    return _become(self, self.as_strided(size, stride, storage_offset))


def resize_(self: Tensor, *sizes_: Any, size: Any = None) -> Tensor:
    """Another shape, in place; returns the tensor.

    With as many elements it keeps the memory. Otherwise the memory is new: what fits is kept, in
    row-major order, the rest is 0. Follows `torch.Tensor.resize_`.

    >>> ag.arange(4).resize_(2, 3)
    tensor([[0, 1, 2],
            [3, 0, 0]])
    """
    shape = sizes(sizes_, size)
    count = int(np.prod(shape))
    array = self.numpy_array()
    if count == array.size:
        self._array = array.reshape(shape)
    else:
        fresh = np.zeros(count, array.dtype)
        kept = min(count, array.size)
        fresh[:kept] = array.reshape(-1)[:kept]
        self._array = fresh.reshape(shape)
    self._wrote()
    epoch.changed(self)
    return self


def resize_as_(self: Tensor, the_template: Any) -> Tensor:
    """The shape of another tensor, in place: ``resize_(other.shape)``; returns the tensor.

    >>> ag.arange(4).resize_as_(ag.ones(2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return resize_(self, tuple(the_template.shape))


def _become(self: Tensor, other: Any) -> Tensor:
    """Be the view `other` of this same memory."""
    self._array, self._node = other._array, other._node
    self._index = 0 if other._node is None else other._index
    if other._cold is not None:
        self._cold_part().value = other._cold.value
    if root_of(other) is not self:
        self._view = other._view
    epoch.changed(self)
    return self
