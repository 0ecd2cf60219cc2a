"""Other shapes of the same elements, and what a tensor looks like. Most are also Tensor methods."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import DType
from argand.base.errors import ArgumentError, IndexRangeError, ShapeError
from argand.base.shape import normalize_dim, normalize_dims, resolve_reshape, shape_text
from argand.ir.op import ops
from argand.tensor import quick
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
    a = [normalize_dim(d, rank, "movedim") for d in listed(source)]
    b = [normalize_dim(d, rank, "movedim") for d in listed(destination)]
    if len(a) != len(b) or len(set(a)) != len(a) or len(set(b)) != len(b):
        raise ArgumentError(f"movedim: {source} and {destination} must name as many dimensions")
    rest = iter(d for d in range(rank) if d not in a)
    to = dict(zip(b, a, strict=True))
    return ops.permute(input, tuple(to[i] if i in to else next(rest) for i in range(rank)))


def listed(dims: Any) -> list[int]:
    """One dimension, or several, as a list."""
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
