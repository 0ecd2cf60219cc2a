"""Other shapes of the same elements, and what a tensor looks like. Most are also Tensor methods."""

from __future__ import annotations

import operator
from typing import Any

from argand.base.dim import is_equal
from argand.base.dtype import DType
from argand.base.errors import ArgumentError, IndexRangeError, ShapeError
from argand.base.shape import broadcast_shapes as joint_shape
from argand.base.shape import (
    normalize_dim,
    normalize_dims,
    resolve_reshape,
    shape_text,
)
from argand.ir.op import ops
from argand.ops.move import summed_to
from argand.tensor.convert import bytes_as
from argand.tensor.core import Size
from argand.tensor.creation import sizes
from argand.tensor.strides import stride
from argand.tensor.views import root_of


def reshape(input: Any, *sizes_: Any, shape: Any = None) -> Any:
    """The same elements, in row-major order, in another shape.

    One size may be -1, which is worked out. A view of the same memory where that is possible, a
    copy otherwise. The shape is given as numbers or as one tuple. Raises ShapeError for another
    number of elements. Follows `torch.reshape`.

    >>> ag.reshape(ag.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    return ops.reshape(input, sizes(sizes_, shape))


def view(self: Any, *shape: Any, size: Any = None, dtype: Any = None) -> Any:
    """As `reshape`, but always on the same memory: ShapeError where that needs a copy.

    With a dtype instead of a shape, the same bytes read as that dtype. Follows `torch.Tensor.view`.

    >>> x = ag.zeros(4)
    >>> x.view(2, 2)[0, 1] = 5.0
    >>> x
    tensor([0., 5., 0., 0.])
    >>> ag.tensor([1.0]).view(ag.int32)
    tensor([1065353216], dtype=argand.int32)
    """
    if dtype is None and len(shape) == 1 and isinstance(shape[0], DType | str | type):
        dtype = shape[0]
    if dtype is not None:
        return bytes_as(self, dtype)
    out = ops.reshape(self, sizes(shape, size))
    if out.numel() and not _shares(out, self):
        raise ShapeError(
            f"view: a tensor of shape {shape_text(self.shape)} with strides {stride(self)} can't "
            f"be seen as {shape_text(out.shape)} without a copy; use reshape(...)"
        )
    return out


def _shares(a: Any, b: Any) -> bool:
    return a._view is not None and root_of(a) is root_of(b)


def view_as(self: Any, other: Any) -> Any:
    """``self.view(other.shape)``: the same memory in the shape of another tensor.

    >>> ag.arange(4).view_as(ag.ones(2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return view(self, tuple(other.shape))


def reshape_as(self: Any, other: Any) -> Any:
    """``self.reshape(other.shape)``: the same elements in the shape of another tensor.

    >>> ag.arange(4).reshape_as(ag.ones(2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return ops.reshape(self, tuple(other.shape))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions `start_dim` to `end_dim`, both included, joined to one; all unless given.

    A 0-d tensor gets one dimension. A view where that is possible. Follows `torch.flatten`.

    >>> ag.flatten(ag.ones(2, 3, 4), start_dim=1).shape
    argand.Size([2, 12])
    """
    rank = input.ndim
    if rank == 0:
        return ops.reshape(input, (1,))
    first = normalize_dim(start_dim, rank, "flatten")
    last = normalize_dim(end_dim, rank, "flatten")
    if first > last:
        raise ArgumentError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    if first == last:
        return input
    shape = tuple(input.shape)
    total: Any = 1
    for size in shape[first : last + 1]:
        total = total * size
    return ops.reshape(input, (*shape[:first], total, *shape[last + 1 :]))


def ravel(input: Any) -> Any:
    """All elements in one dimension, in row-major order; a view where that is possible.

    >>> ag.ravel(ag.tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    return ops.reshape(input, (-1,)) if input.shape.numel() else ops.reshape(input, (0,))


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """Dimension `dim` split into `sizes`, of which one may be -1: the inverse of `flatten`.

    >>> ag.unflatten(ag.ones(2, 12), 1, (3, -1)).shape
    argand.Size([2, 3, 4])
    """
    d = normalize_dim(dim, input.ndim, "unflatten")
    shape = tuple(input.shape)
    inner = resolve_reshape((shape[d],), tuple(sizes), "unflatten")
    return ops.reshape(input, (*shape[:d], *inner, *shape[d + 1 :]))


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the dimensions of size 1: all of them, or those among `dim` (an int or several).

    A view. Dimensions in `dim` of another size stay. Follows `torch.squeeze`.

    >>> ag.squeeze(ag.ones(1, 3, 1)).shape, ag.squeeze(ag.ones(1, 3, 1), 0).shape
    (argand.Size([3]), argand.Size([3, 1]))
    """
    rank = input.ndim
    dims = normalize_dims(dim, rank, "squeeze")
    shape = tuple(input.shape)
    kept = tuple(s for i, s in enumerate(shape) if i not in dims or not is_equal(s, 1))
    return ops.reshape(input, kept)


def unsqueeze(input: Any, dim: int) -> Any:
    """With a new dimension of size 1 at `dim`, counted in the result; a view.

    >>> ag.unsqueeze(ag.ones(3), 0).shape, ag.unsqueeze(ag.ones(3), -1).shape
    (argand.Size([1, 3]), argand.Size([3, 1]))
    """
    rank = input.ndim
    d = normalize_dim(dim, rank + 1, "unsqueeze")
    shape = tuple(input.shape)
    return ops.reshape(input, (*shape[:d], 1, *shape[d:]))


def permute(input: Any, *axes: Any, dims: Any = None) -> Any:
    """The dimensions in the order `dims`: size i of the result is size dims[i] of the input.

    A view. Follows `torch.permute`.

    >>> ag.permute(ag.ones(2, 3, 4), (2, 0, 1)).shape
    argand.Size([4, 2, 3])
    """
    return ops.permute(input, sizes(axes, dims))


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Dimensions `dim0` and `dim1` exchanged; a view.

    >>> ag.transpose(ag.tensor([[1, 2, 3], [4, 5, 6]]), 0, 1)
    tensor([[1, 4],
            [2, 5],
            [3, 6]])
    """
    rank = input.ndim
    a, b = normalize_dim(dim0, rank, "transpose"), normalize_dim(dim1, rank, "transpose")
    if rank == 0:
        return ops.permute(input, ())
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return ops.permute(input, tuple(order))


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """Dimensions `axis0` and `axis1` exchanged; a view: `transpose` by NumPy's name.

    >>> ag.swapaxes(ag.ones(2, 3), axis0=0, axis1=1).shape
    argand.Size([3, 2])
    """
    return transpose(input, axis0, axis1)


def t(input: Any) -> Any:
    """The transpose of a matrix; a vector or 0-d tensor as it is. A view.

    Raises ShapeError for more dimensions: `transpose`, or ``.mT`` for a batch of matrices.

    >>> ag.t(ag.tensor([[1, 2, 3], [4, 5, 6]]))
    tensor([[1, 4],
            [2, 5],
            [3, 6]])
    """
    if input.ndim > 2:
        raise ShapeError(
            f"t: expected at most 2 dimensions, got shape {shape_text(input.shape)}; use .mT or "
            "transpose(-2, -1)"
        )
    return ops.permute(input, tuple(range(input.ndim))[::-1])


def adjoint(input: Any) -> Any:
    """The last two dimensions exchanged, and the elements conjugated where they are complex.

    The adjoint of a matrix, or of each of a batch (..., M, N). Raises ShapeError for less than 2
    dimensions. Also as ``x.mH``.

    >>> ag.adjoint(ag.tensor([[1 + 2j, 3j]]))
    tensor([[1.-2.j],
            [0.-3.j]])
    """
    transposed = matrix_transpose(input)
    return ops.conj(transposed) if input.dtype.is_complex else transposed


def matrix_transpose(self: Any) -> Any:
    """The last two dimensions exchanged: (..., M, N) to (..., N, M), a view.

    Raises ShapeError for less than 2 dimensions.

    >>> ag.ones(5, 2, 3).mT.shape
    argand.Size([5, 3, 2])
    """
    if self.ndim < 2:
        raise ShapeError(f"mT: expected at least 2 dimensions, got {shape_text(self.shape)}")
    return transpose(self, -2, -1)


def conjugate_transpose(self: Any) -> Any:
    """The adjoint of a matrix: transposed, and conjugated where complex. Of a batch: ``x.mH``.

    Raises ShapeError for tensors that aren't matrices.

    >>> ag.tensor([[1 + 2j, 3j]]).H
    tensor([[1.-2.j],
            [0.-3.j]])
    """
    if self.ndim != 2:
        raise ShapeError(f"H: expected a matrix, got {shape_text(self.shape)}; use .mH")
    return adjoint(self)


def reversed_dims(self: Any) -> Any:
    """All dimensions in reverse order, a view; of a matrix its transpose.

    >>> ag.tensor([[1, 2, 3], [4, 5, 6]]).T
    tensor([[1, 4],
            [2, 5],
            [3, 6]])
    """
    return ops.permute(self, tuple(range(self.ndim))[::-1])


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Dimensions `source` (an int or several) moved to `destination`; the others keep their order.

    A view. Follows `torch.movedim`.

    >>> ag.movedim(ag.ones(2, 3, 4), 0, -1).shape
    argand.Size([3, 4, 2])
    """
    rank = input.ndim
    a = [normalize_dim(d, rank, "movedim") for d in listed(source)]
    b = [normalize_dim(d, rank, "movedim") for d in listed(destination)]
    if len(a) != len(b) or len(set(a)) != len(a) or len(set(b)) != len(b):
        raise ArgumentError(f"movedim: {source} and {destination} must name as many dimensions")
    rest = iter(d for d in range(rank) if d not in a)
    to = dict(zip(b, a, strict=True))
    return ops.permute(input, tuple(to[i] if i in to else next(rest) for i in range(rank)))


def listed(dims: Any) -> list[int]:
    """One dimension, or several, as a list."""
    return list(dims) if isinstance(dims, list | tuple | range) else [dims]


def expand(self: Any, *sizes_: Any, size: Any = None) -> Any:
    """Dimensions of size 1, and new ones in front, repeated without a copy; -1 keeps a size.

    The result is a view in which many elements share a place: clone it before writing in place.
    Raises ShapeError for a size that is neither 1 nor kept. Follows `torch.Tensor.expand`.

    >>> ag.tensor([[1], [2]]).expand(-1, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    return ops.expand(self, sizes(sizes_, size))


def expand_as(self: Any, other: Any) -> Any:
    """``self.expand(other.shape)``: repeated without a copy to the shape of another tensor.

    >>> ag.tensor([1, 2]).expand_as(ag.ones(2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return ops.expand(self, tuple(other.shape))


def broadcast_to(input: Any, size: Any) -> Any:
    """The tensor repeated without a copy to the shape `size`; see `expand`.

    >>> ag.broadcast_to(ag.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return ops.expand(input, tuple(size))


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors expanded to the one shape that they broadcast to, as a tuple of views.

    Shapes are compared from the right; sizes must be equal, or 1, or missing. Raises ShapeError
    otherwise. Follows `torch.broadcast_tensors`.

    >>> a, b = ag.broadcast_tensors(ag.ones(3, 1), ag.ones(2))
    >>> a.shape, b.shape
    (argand.Size([3, 2]), argand.Size([3, 2]))
    """
    shape = joint_shape(*[tuple(x.shape) for x in tensors], op="broadcast_tensors")
    return tuple(ops.expand(x, shape) for x in tensors)


def sum_to_size(self: Any, *sizes_: Any, size: Any = None) -> Any:
    """Summed over the dimensions that broadcasting `size` to this shape would repeat.

    Raises ShapeError where `size` doesn't broadcast to it. Follows `torch.Tensor.sum_to_size`.

    >>> ag.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    wanted = sizes(sizes_, size)
    shape = tuple(self.shape)
    if joint_shape(shape, wanted, op="sum_to_size") != shape:
        raise ShapeError(
            f"sum_to_size: {shape_text(wanted)} doesn't broadcast to {shape_text(shape)}"
        )
    return summed_to(self, wanted) if wanted else ops.sum(self)


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that tensors of the given shapes broadcast to; a number is a shape of one size.

    Raises ShapeError where there is none. Follows `torch.broadcast_shapes`.

    >>> ag.broadcast_shapes((2, 1), (3,))
    argand.Size([2, 3])
    """
    given = [tuple(map(operator.index, listed(s))) for s in shapes]
    for size in (s for shape in given for s in shape if s < 0):
        raise ArgumentError(f"broadcast_shapes: sizes must not be negative, got {size}")
    return Size(joint_shape(*given, op="broadcast_shapes"))


# -- what it looks like ----------------------------------------------------------------------------


def numel(input: Any) -> Any:
    """The number of elements: the product of the sizes.

    >>> ag.numel(ag.ones(2, 3))
    6
    """
    return input.shape.numel()


def size(self: Any, dim: int | None = None) -> Any:
    """The shape, or with `dim` the size of one dimension.

    >>> ag.ones(2, 3).size(), ag.ones(2, 3).size(-1)
    (argand.Size([2, 3]), 3)
    """
    if dim is None:
        return self.shape
    if not self.ndim:
        raise IndexRangeError("size: a 0-d tensor has no dimensions")
    return self.shape[normalize_dim(dim, self.ndim, "size")]


def dim(self: Any) -> int:
    """The number of dimensions, as `ndim`.

    >>> ag.ones(2, 3).dim()
    2
    """
    return int(self.ndim)
