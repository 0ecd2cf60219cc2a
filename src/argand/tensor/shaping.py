"""Functions that arrange elements: compositions of the Move ops. Each is also a Tensor method."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.dtype import DType
from argand.base.errors import ArgumentError, IndexRangeError, ShapeError
from argand.base.shape import normalize_dim, normalize_dims, resolve_reshape, shape_text
from argand.ir.op import ops
from argand.tensor import quick
from argand.tensor.core import Tensor
from argand.tensor.creation import sizes


def reshape(input: Any, *shape: Any) -> Any:
    """The same elements in another shape; one size may be -1. A view where that is possible."""
    return _reshaped(input, sizes(shape))


def _reshaped(x: Any, shape: tuple[Any, ...]) -> Any:
    view = quick.reshaped(x, shape)
    return ops.reshape(x, shape) if view is None else view


def _permuted(x: Any, dims: tuple[int, ...]) -> Any:
    view = quick.permuted(x, dims)
    return ops.permute(x, dims) if view is None else view


def view(self: Any, *shape: Any, dtype: Any = None) -> Any:
    """As `reshape`, but an error where the elements would have to be copied.

    With a dtype, the same bytes read as that dtype.
    """
    if dtype is None and len(shape) == 1 and isinstance(shape[0], DType | str | type):
        dtype = shape[0]
    if dtype is not None:
        return _bytes_as(self, dtype)
    out = _reshaped(self, sizes(shape))
    if out._array is not None and out.numel() and not _shares(out, self):
        raise ShapeError(
            f"view: a tensor of shape {shape_text(self.shape)} with strides {stride(self)} can't "
            f"be seen as {shape_text(out.shape)} without a copy; use reshape(...)"
        )
    return out


def _shares(a: Any, b: Any) -> bool:
    return a._cold is not None and a._cold.root is b._root()


def _bytes_as(x: Any, dtype: Any) -> Any:
    from argand.tensor.convert import bytes_as

    return bytes_as(x, dtype)


def view_as(self: Any, other: Any) -> Any:
    """A view in the shape of `other`."""
    return view(self, tuple(other.shape))


def reshape_as(self: Any, other: Any) -> Any:
    """The same elements in the shape of `other`."""
    return ops.reshape(self, tuple(other.shape))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions `start_dim` to `end_dim` joined to one."""
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
    return _reshaped(input, (*shape[:first], total, *shape[last + 1 :]))


def ravel(input: Any) -> Any:
    """One dimension."""
    return ops.reshape(input, (-1,)) if input.shape.numel() else ops.reshape(input, (0,))


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """Dimension `dim` split into `sizes`, of which one may be -1."""
    d = normalize_dim(dim, input.ndim, "unflatten")
    shape = tuple(input.shape)
    inner = resolve_reshape((shape[d],), tuple(sizes), "unflatten")
    return ops.reshape(input, (*shape[:d], *inner, *shape[d + 1 :]))


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the dimensions of size 1, or only those of `dim`."""
    rank = input.ndim
    dims = normalize_dims(dim, rank, "squeeze")
    shape = tuple(input.shape)
    kept = tuple(
        s for i, s in enumerate(shape) if i not in dims or not (isinstance(s, int) and s == 1)
    )
    return _reshaped(input, kept)


def unsqueeze(input: Any, dim: int) -> Any:
    """With a new dimension of size 1 at `dim`."""
    rank = input.ndim
    d = normalize_dim(dim, rank + 1, "unsqueeze")
    shape = tuple(input.shape)
    return _reshaped(input, (*shape[:d], 1, *shape[d:]))


def permute(input: Any, *dims: Any) -> Any:
    """The dimensions in another order."""
    return ops.permute(input, sizes(dims))


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    rank = input.ndim
    a, b = normalize_dim(dim0, rank, "transpose"), normalize_dim(dim1, rank, "transpose")
    if rank == 0:
        return ops.permute(input, ())
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return _permuted(input, tuple(order))


def t(input: Any) -> Any:
    """The transpose of a matrix; 0-d and 1-d tensors as they are."""
    if input.ndim > 2:
        raise ShapeError(
            f"t: expected at most 2 dimensions, got shape {shape_text(input.shape)}; use .mT or "
            "transpose(-2, -1)"
        )
    return _permuted(input, tuple(range(input.ndim))[::-1])


def adjoint(input: Any) -> Any:
    """The last two dimensions exchanged, and conjugated where complex."""
    if input.ndim < 2:
        raise ShapeError(f"mT: expected at least 2 dimensions, got {shape_text(input.shape)}")
    return transpose(input, -2, -1)


def reversed_dims(self: Any) -> Any:
    """All dimensions in reverse order (`.T`)."""
    return _permuted(self, tuple(range(self.ndim))[::-1])


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Dimensions `source` moved to `destination`."""
    rank = input.ndim
    a = [normalize_dim(d, rank, "movedim") for d in _listed(source)]
    b = [normalize_dim(d, rank, "movedim") for d in _listed(destination)]
    if len(a) != len(b) or len(set(a)) != len(a) or len(set(b)) != len(b):
        raise ArgumentError(f"movedim: {source} and {destination} must name as many dimensions")
    rest = iter(d for d in range(rank) if d not in a)
    to = dict(zip(b, a, strict=True))
    return ops.permute(input, tuple(to[i] if i in to else next(rest) for i in range(rank)))


def _listed(dims: Any) -> list[int]:
    return list(dims) if isinstance(dims, list | tuple) else [dims]


def expand(self: Any, *sizes_: Any) -> Any:
    """Dimensions of size 1 repeated without a copy; -1 keeps a size."""
    return ops.expand(self, sizes(sizes_))


def expand_as(self: Any, other: Any) -> Any:
    """Expanded to the shape of `other`."""
    return ops.expand(self, tuple(other.shape))


def broadcast_to(input: Any, size: Any) -> Any:
    """Expanded to a shape."""
    return ops.expand(input, tuple(size))


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors expanded to their common shape."""
    from argand.base.shape import broadcast_shapes

    shape = broadcast_shapes(*[tuple(x.shape) for x in tensors], op="broadcast_tensors")
    return tuple(ops.expand(x, shape) for x in tensors)


def repeat(self: Any, *repeats: Any) -> Any:
    """The whole tensor repeated along each dimension, copied."""
    counts = sizes(repeats)
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


def tile(input: Any, *dims: Any) -> Any:
    """As `repeat`; missing leading counts are 1."""
    counts = sizes(dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


def repeat_interleave(
    input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each element (of the flattened tensor, or along `dim`) repeated in place."""
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


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices along `dim` that a 1-d index names."""
    if input.ndim == 0:
        return input
    if index.ndim > 1:
        raise IndexRangeError(f"index_select: index must be 1-d, got {shape_text(index.shape)}")
    d = normalize_dim(dim, input.ndim, "index_select")
    index = index if index.ndim else ops.reshape(index, (1,))
    return ops.index(input, index, dims=(d,))


# -- joining and splitting -------------------------------------------------------------------------


def cat(tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Any:
    """The tensors joined along a dimension that they have."""
    joined = ops.cat(*_no_legacy_empties(list(tensors)), dim=dim if axis is None else axis)
    return joined if out is None else out.copy_(joined)


def _no_legacy_empties(tensors: list[Any]) -> list[Any]:
    """Without tensors of shape (0,), which PyTorch lets join with any shape."""
    ranks = {x.ndim for x in tensors}
    if len(ranks) <= 1:
        return tensors
    kept = [
        x for x in tensors if not (x.ndim == 1 and isinstance(x.shape[0], int) and not x.shape[0])
    ]
    return kept or tensors


def stack(tensors: Any, dim: int = 0, *, axis: int | None = None, out: Any = None) -> Any:
    """The tensors, all of one shape, joined along a new dimension."""
    items = list(tensors)
    if not items:
        raise ArgumentError("stack: expected at least one tensor")
    first = tuple(items[0].shape)
    for i, x in enumerate(items):
        if tuple(x.shape) != first:
            raise ShapeError(
                f"stack: expected tensors of one shape, but entry 0 has {shape_text(first)} and "
                f"entry {i} has {shape_text(x.shape)}"
            )
    d = normalize_dim(dim if axis is None else axis, len(first) + 1, "stack")
    joined = ops.cat(*[unsqueeze(x, d) for x in items], dim=d)
    return joined if out is None else out.copy_(joined)


def hstack(tensors: Any) -> Any:
    """Joined along the second dimension, or the first of 1-d tensors."""
    items = [_at_least(x, 1) for x in tensors]
    return ops.cat(*items, dim=0 if items[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """Joined along the first dimension; 1-d tensors are rows."""
    return ops.cat(*[_at_least(x, 2) for x in tensors], dim=0)


def dstack(tensors: Any) -> Any:
    """Joined along the third dimension."""
    items = [_at_least(x, 2) for x in tensors]
    return ops.cat(*[unsqueeze(x, 2) if x.ndim == 2 else x for x in items], dim=2)


def _at_least(x: Any, rank: int) -> Any:
    missing = rank - x.ndim
    return x if missing <= 0 else ops.reshape(x, (1,) * missing + tuple(x.shape))


def atleast_1d(*tensors: Any) -> Any:
    """With at least one dimension."""
    found = tuple(_at_least(x, 1) for x in tensors)
    return found[0] if len(found) == 1 else found


def atleast_2d(*tensors: Any) -> Any:
    """With at least two dimensions."""
    found = tuple(_at_least(x, 2) for x in tensors)
    return found[0] if len(found) == 1 else found


def narrow(input: Any, dim: int, start: Any, length: Any) -> Any:
    """The slice start : start + length along `dim`."""
    d = normalize_dim(dim, input.ndim, "narrow")
    size = input.shape[d]
    first = operator.index(start) if not isinstance(start, Dim) else start
    first = first + size if isinstance(first, int) and first < 0 else first
    if all(isinstance(v, int) for v in (first, length, size)) and first + length > size:
        raise IndexRangeError(
            f"narrow: {first} + {length} is out of range for dimension {d} of size {size}"
        )
    return _sliced(input, d, first, first + length)


def _sliced(x: Any, d: int, first: Any, last: Any, step: int = 1) -> Any:
    shape = tuple(x.shape)
    start = tuple(first if i == d else 0 for i in range(len(shape)))
    stop = tuple(last if i == d else s for i, s in enumerate(shape))
    return ops.slice(x, start, stop, tuple(step if i == d else 1 for i in range(len(shape))))


def select(input: Any, dim: int, index: int) -> Any:
    """The slice `index` along `dim`, without that dimension."""
    d = normalize_dim(dim, input.ndim, "select")
    return input[(slice(None),) * d + (index,)]


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of the given size (the last may be smaller), or of the sizes in a list."""
    d = normalize_dim(dim, tensor.ndim, "split")
    size = tensor.shape[d]
    parts = split_size_or_sections
    if isinstance(parts, list | tuple):
        if sum(parts) != size:
            raise ArgumentError(
                f"split: the sizes {list(parts)} sum to {sum(parts)}, and dimension {d} has {size}"
            )
        lengths = list(parts)
    else:
        step, total = operator.index(parts), operator.index(size)
        if step < 0 or (step == 0 and total):
            raise ArgumentError(f"split: the size must be positive, got {step}")
        lengths = [min(step, total - i) for i in range(0, total, max(step, 1))] or [0]
    found, start = [], 0
    for length in lengths:
        found.append(_sliced(tensor, d, start, start + length))
        start = start + length
    return tuple(found)


def split_with_sizes(input: Any, split_sizes: Sequence[Any], dim: int = 0) -> tuple[Any, ...]:
    """Views of the sizes in a list."""
    return split(input, list(split_sizes), dim)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` views of equal size (the last may be smaller)."""
    if chunks < 1:
        raise ArgumentError(f"chunk: chunks must be at least 1, got {chunks}")
    d = normalize_dim(dim, input.ndim, "chunk")
    size = input.shape[d]
    if isinstance(size, Dim):
        each = size // chunks
        return tuple(_sliced(input, d, i * each, (i + 1) * each) for i in range(chunks))
    return split(input, max(-(-size // chunks), 1), d)


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views between indices, or a number of parts that differ by at most 1 in size."""
    d = normalize_dim(dim, input.ndim, "tensor_split")
    size = operator.index(input.shape[d])
    given = indices_or_sections
    if isinstance(given, Tensor):
        given = given.tolist()
    if isinstance(given, list | tuple):
        marks = [0, *[slice(i, None).indices(size)[0] for i in given], size]
    else:
        each, more = divmod(size, given)
        marks = [i * each + min(i, more) for i in range(given + 1)]
    pairs = pairwise(marks)
    return tuple(_sliced(input, d, a, max(a, b)) for a, b in pairs)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along `dim`, without that dimension."""
    if not input.ndim:
        raise ShapeError("unbind: a 0-d tensor has no dimension to take apart")
    d = normalize_dim(dim, input.ndim, "unbind")
    return tuple(select(input, d, i) for i in range(operator.index(input.shape[d])))


# -- moving elements -------------------------------------------------------------------------------


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Elements shifted along `dims`, re-entering at the other end."""
    if dims is None:
        return ops.reshape(roll(ravel(input), shifts, 0), tuple(input.shape))
    by, along = _listed(shifts), _listed(dims)
    if len(by) != len(along):
        raise ArgumentError(f"roll: {len(by)} shifts for {len(along)} dims")
    for shift, dim in zip(by, along, strict=True):
        d = normalize_dim(dim, input.ndim, "roll")
        size = input.shape[d]
        at = (size - shift) % size if not isinstance(size, int) or size else 0
        if not (isinstance(at, int) and at == 0):
            input = ops.cat(_sliced(input, d, at, size), _sliced(input, d, 0, at), dim=d)
    return input


def flip(input: Any, *dims: Any) -> Any:
    """The elements in reverse order along `dims`."""
    return ops.flip(input, sizes(dims))


def fliplr(input: Any) -> Any:
    """The second dimension reversed."""
    return ops.flip(input, (1,))


def flipud(input: Any) -> Any:
    """The first dimension reversed."""
    return ops.flip(input, (0,))


def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle of the last two dimensions, zeros above."""
    return _triangle(input, diagonal, True)


def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle of the last two dimensions, zeros below."""
    return _triangle(input, diagonal, False)


def _triangle(x: Any, diagonal: int, lower: bool) -> Any:
    if x.ndim < 2:
        raise ShapeError(f"tril, triu: expected at least 2 dimensions, got {shape_text(x.shape)}")
    rows, columns = x.shape[-2:]
    i = ops.reshape(ops.arange(0, 1, rows, "int64"), (rows, 1))
    j = ops.arange(-diagonal, 1, columns, "int64")
    keep = ops.ge(i, j) if lower else ops.le(i, j)
    return ops.where(keep, x, False if x.dtype.kind == "b" else 0)


def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a given diagonal."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim == 2:
        return diagonal_of(input, diagonal)
    raise ShapeError(f"diag: expected 1 or 2 dimensions, got {shape_text(input.shape)}")


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices whose diagonals are the last dimension of `input`."""
    n = input.shape[-1] + abs(offset)
    rows = ops.reshape(ops.arange(0, 1, n, "int64"), (n, 1))
    columns = ops.arange(0, 1, n, "int64")
    before, after = max(offset, 0), max(-offset, 0)
    lead = ((0, 0),) * (input.ndim - 1)
    row = ops.pad(input, (*lead, (before, after)), 0)
    on = ops.eq(ops.add(rows, offset), columns)
    out = ops.where(on, unsqueeze(row, -2), 0)
    return movedim(out, (-2, -1), (dim1, dim2))


def diagonal_of(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two dimensions, as the last dimension."""
    x = movedim(input, (dim1, dim2), (-2, -1))
    rows, columns = x.shape[-2:]
    first, second = max(-offset, 0), max(offset, 0)
    count = max(min(rows - first, columns - second), 0)
    i = ops.arange(0, 1, count, "int64")
    index = (ops.add(i, first), ops.add(i, second))
    return ops.index(x, *index, dims=(x.ndim - 2, x.ndim - 1))


def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    return ops.sum(diagonal_of(input))


def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of `size` every `step` along a dimension, as a new last dimension."""
    d = normalize_dim(dimension, self.ndim, "unfold")
    length = operator.index(self.shape[d])
    if not 0 <= size <= length or step < 1:
        raise ArgumentError(f"unfold: size {size} and step {step} don't fit a size of {length}")
    count = (length - size) // step + 1
    starts = ops.reshape(ops.arange(0, step, count, "int64"), (count, 1))
    index = ops.add(starts, ops.arange(0, 1, size, "int64"))
    return movedim(ops.index(self, index, dims=(d,)), d + 1, -1)


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along `dim`, `n` times."""
    parts = [p for p in (prepend, input, append) if p is not None]
    x = ops.cat(*parts, dim=dim) if len(parts) > 1 else input
    d = normalize_dim(dim, x.ndim, "diff")
    for _ in range(n):
        size = x.shape[d]
        x = ops.sub(_sliced(x, d, 1, size), _sliced(x, d, 0, size - 1))
    return x


# -- what it looks like ----------------------------------------------------------------------------


def numel(input: Any) -> Any:
    """The number of elements."""
    return input.shape.numel()


def size(self: Any, dim: int | None = None) -> Any:
    """The shape, or the size of one dimension."""
    if dim is None:
        return self.shape
    if not self.ndim:
        raise IndexRangeError("size: a 0-d tensor has no dimensions")
    return self.shape[normalize_dim(dim, self.ndim, "size")]


def stride(self: Any, dim: int | None = None) -> Any:
    """The steps in memory, in elements, from one index to the next."""
    if self._array is None:
        from argand.base.shape import contiguous_strides

        found = tuple(contiguous_strides(self.shape))
    else:
        array = self._array
        found = tuple(s // array.itemsize for s in array.strides)
    return found if dim is None else found[normalize_dim(dim, self.ndim, "stride")]


_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def is_contiguous(self: Any, memory_format: Any = None) -> bool:
    """Whether the elements lie without gaps in row-major order, or in that of `memory_format`."""
    if self._array is None:
        return bool(memory_format != "channels_last")
    array = self._array
    if memory_format == "channels_last":
        return array.ndim == 4 and bool(array.transpose(_LAST).flags.c_contiguous)
    return bool(array.flags.c_contiguous)


def contiguous(self: Any, memory_format: Any = None) -> Any:
    """The tensor in row-major memory: itself when it is so already.

    With ``memory_format=ag.channels_last`` an image (N, C, H, W) lies as (N, H, W, C), in which
    convolutions run without a copy; shape and meaning stay.
    """
    if memory_format == "channels_last":
        if self.ndim != 4:
            raise ShapeError(f"channels_last takes a 4-d image, got shape {shape_text(self.shape)}")
        if is_contiguous(self, memory_format):
            return self
        return ops.permute(ops.contiguous(ops.permute(self, _LAST)), _FIRST)
    return self if is_contiguous(self) and self._array is not None else ops.contiguous(self)


def dim(self: Any) -> int:
    """The number of dimensions."""
    return self.ndim  # type: ignore[no-any-return]
