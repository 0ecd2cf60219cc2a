"""Arranging elements: repeating, shifting, triangles, diagonals. Most are methods too."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dim import floor_mod, is_equal
from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import normalize_dim, shape_text
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.creation import sizes
from argand.tensor.joining import index_select, sliced
from argand.tensor.regions import diagonal_of
from argand.tensor.shaping import listed, movedim, ravel, transpose, unsqueeze
from argand.tensor.strides import row_major

# -- repeating -------------------------------------------------------------------------------------


def repeat(self: Any, *counts_: Any, repeats: Any = None) -> Any:
    """The whole tensor several times: repeats[i] times along dimension i; a copy.

    There must be a count for each dimension (ShapeError); more than that add dimensions in front.
    Follows `torch.Tensor.repeat`; elements one by one: `repeat_interleave`.

    >>> ag.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    counts = sizes(counts_, repeats)
    if len(counts) < self.ndim:
        raise ShapeError(
            f"repeat: {len(counts)} counts for a tensor of {self.ndim} dimensions; give one each"
        )
    shape = (1,) * (len(counts) - self.ndim) + tuple(self.shape)
    interleaved: list[Any] = []
    target: list[Any] = []
    for count, size in zip(counts, shape, strict=True):
        interleaved += [1, size]
        target += [count, size]
    wide = ops.expand(ops.reshape(self, tuple(interleaved)), tuple(target))
    final = tuple(c * s for c, s in zip(counts, shape, strict=True))
    out = ops.reshape(wide, final)
    return ops.contiguous(out) if out is self or out._root() is self._root() else out


def tile(input: Any, *counts_: Any, dims: Any = None) -> Any:
    """As `repeat`, but missing counts in front are 1; as NumPy's `tile`.

    >>> ag.tile(ag.tensor([[1, 2], [3, 4]]), (2,))
    tensor([[1, 2, 1, 2],
            [3, 4, 3, 4]])
    """
    counts = sizes(counts_, dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


def repeat_interleave(
    input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each element repeated next to itself, `repeats` times.

    Along `dim`; without it the flattened tensor's elements. `repeats` is a number, or a 1-d tensor
    with a count for each index (which can't be compiled). Follows `torch.repeat_interleave`; the
    tensor as a whole: `tile`.

    >>> ag.repeat_interleave(ag.tensor([1, 2]), ag.tensor([1, 3]))
    tensor([1, 2, 2, 2])
    >>> ag.repeat_interleave(ag.tensor([[1, 2]]), 2, dim=0)
    tensor([[1, 2],
            [1, 2]])
    """
    x = ravel(input) if dim is None else input
    d = 0 if dim is None else normalize_dim(dim, x.ndim, "repeat_interleave")
    shape = tuple(x.shape)
    if isinstance(repeats, Tensor) and repeats.numel() == 1:
        repeats = int(repeats.item())
    if isinstance(repeats, int):
        wide = ops.reshape(x, (*shape[: d + 1], 1, *shape[d + 1 :]))
        wide = ops.expand(wide, (*shape[: d + 1], repeats, *shape[d + 1 :]))
        return ops.reshape(wide, (*shape[:d], shape[d] * repeats, *shape[d + 1 :]))
    counts = np.asarray(repeats.numpy_array() if isinstance(repeats, Tensor) else repeats)
    return index_select(x, d, ops.contiguous(np.repeat(np.arange(shape[d]), counts)))


# -- shifting --------------------------------------------------------------------------------------


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """y[i] = x[i - shifts] along `dims`: elements that leave at one end re-enter at the other.

    Several shifts go with as many dims; without `dims` the flattened tensor is shifted. Raises
    ArgumentError for different numbers. Follows `torch.roll`.

    >>> ag.roll(ag.arange(5), 2)
    tensor([3, 4, 0, 1, 2])
    >>> ag.roll(ag.tensor([[1, 2], [3, 4]]), 1, dims=0)
    tensor([[3, 4],
            [1, 2]])
    """
    if dims is None:
        return ops.reshape(roll(ravel(input), shifts, 0), tuple(input.shape))
    by, along = listed(shifts), listed(dims)
    if len(by) != len(along):
        raise ArgumentError(f"roll: {len(by)} shifts for {len(along)} dims")
    for shift, dim in zip(by, along, strict=True):
        d = normalize_dim(dim, input.ndim, "roll")
        size = input.shape[d]
        at = 0 if is_equal(size, 0) else floor_mod(-shift, size)
        if not (isinstance(at, int) and at == 0):
            input = ops.cat(sliced(input, d, at, size), sliced(input, d, 0, at), dim=d)
    return input


def flip(input: Any, *axes: Any, dims: Any = None) -> Any:
    """The elements in reverse order along `dims`, several numbers or one sequence; a copy.

    >>> ag.flip(ag.tensor([[1, 2], [3, 4]]), (0, 1))
    tensor([[4, 3],
            [2, 1]])
    """
    return ops.flip(input, sizes(axes, dims))


def fliplr(input: Any) -> Any:
    """The second dimension in reverse order: columns from right to left.

    >>> ag.fliplr(ag.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]])
    """
    if input.ndim < 2:
        raise ShapeError(f"fliplr: expected at least 2 dimensions, got {shape_text(input.shape)}")
    return ops.flip(input, (1,))


def flipud(input: Any) -> Any:
    """The first dimension in reverse order: rows from bottom to top.

    >>> ag.flipud(ag.tensor([[1, 2], [3, 4]]))
    tensor([[3, 4],
            [1, 2]])
    """
    if not input.ndim:
        raise ShapeError("flipud: expected at least 1 dimension, got ()")
    return ops.flip(input, (0,))


def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Turned by 90 degrees `k` times in the plane of two dimensions, from the first to the second.

    Raises ArgumentError unless `dims` are two different ones. Follows `torch.rot90`.

    >>> ag.rot90(ag.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    given = listed(dims)
    if len(given) != 2 or input.ndim < 2:
        raise ArgumentError(
            f"rot90: expected 2 dims of a tensor with at least 2, got {given} of {input.ndim}"
        )
    first, second = (normalize_dim(d, input.ndim, "rot90") for d in given)
    if first == second:
        raise ArgumentError(f"rot90: dims must differ, both are {first}")
    quarter = k % 4
    if quarter == 0:
        return ops.contiguous(input)
    if quarter == 2:
        return ops.flip(input, (first, second))
    if quarter == 1:
        return ops.contiguous(transpose(ops.flip(input, (second,)), first, second))
    return ops.flip(transpose(input, first, second), (second,))


# -- triangles and diagonals -----------------------------------------------------------------------


def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle of the last two dimensions: 0 where column - row > diagonal.

    Raises ShapeError for less than 2 dimensions. Follows `torch.tril`.

    >>> ag.tril(ag.ones(3, 3))
    tensor([[1., 0., 0.],
            [1., 1., 0.],
            [1., 1., 1.]])
    """
    return _triangle(input, diagonal, True)


def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle of the last two dimensions: 0 where column - row < diagonal.

    Raises ShapeError for less than 2 dimensions. Follows `torch.triu`.

    >>> ag.triu(ag.ones(3, 3), diagonal=1)
    tensor([[0., 1., 1.],
            [0., 0., 1.],
            [0., 0., 0.]])
    """
    return _triangle(input, diagonal, False)


def _triangle(x: Any, diagonal: int, lower: bool) -> Any:
    if x.ndim < 2:
        raise ShapeError(f"tril, triu: expected at least 2 dimensions, got {shape_text(x.shape)}")
    rows, columns = x.shape[-2:]
    i = ops.reshape(ops.arange(0, 1, rows, "int64"), (rows, 1))
    j = ops.arange(-diagonal, 1, columns, "int64")
    keep = ops.ge(i, j) if lower else ops.le(i, j)
    return row_major(ops.where(keep, x, False if x.dtype.kind == "b" else 0))


def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix; or, of a vector, the matrix with that diagonal and 0 elsewhere.

    `diagonal` > 0 is above the main one, < 0 below. A copy. Raises ShapeError for other numbers of
    dimensions. Follows `torch.diag`.

    >>> ag.diag(ag.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    >>> ag.diag(ag.tensor([1, 2]), diagonal=1)
    tensor([[0, 1, 0],
            [0, 0, 2],
            [0, 0, 0]])
    """
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim == 2:
        return diagonal_of(input, diagonal)
    raise ShapeError(f"diag: expected 1 or 2 dimensions, got {shape_text(input.shape)}")


def diagflat(input: Any, offset: int = 0) -> Any:
    """The matrix with all elements, in row-major order, on a diagonal and 0 elsewhere.

    >>> ag.diagflat(ag.tensor([[1, 2]]), 1)
    tensor([[0, 1, 0],
            [0, 0, 2],
            [0, 0, 0]])
    """
    return diag_embed(ravel(input), offset)


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices over `dim1` and `dim2` whose diagonals are the last dimension of `input`.

    They are 0 elsewhere: (..., N) gives (..., N + |offset|, N + |offset|); the diagonal is
    `offset` above the main one. Follows `torch.diag_embed`.

    >>> ag.diag_embed(ag.tensor([[1, 2], [3, 4]]))[1]
    tensor([[3, 0],
            [0, 4]])
    """
    n = input.shape[-1] + abs(offset)
    rows = ops.reshape(ops.arange(0, 1, n, "int64"), (n, 1))
    columns = ops.arange(0, 1, n, "int64")
    before, after = max(offset, 0), max(-offset, 0)
    lead = ((0, 0),) * (input.ndim - 1)
    row = ops.pad(input, (*lead, (before, after)), 0)
    on = ops.eq(ops.add(rows, offset), columns)
    out = ops.where(on, unsqueeze(row, -2), False if input.dtype.kind == "b" else 0)
    return movedim(out, (-2, -1), (dim1, dim2))


def trace(input: Any) -> Any:
    """sum over i of x[i, i]: the sum of a matrix's diagonal. ShapeError unless it has 2 dimensions.

    >>> ag.trace(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if input.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, got {shape_text(input.shape)}")
    return ops.sum(diagonal_of(input))
