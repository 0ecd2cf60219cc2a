"""How a tensor's elements are stored: strides, contiguity, row-major and channels-last copies."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import contiguous_strides, normalize_dim, shape_text
from argand.base.strides import common_order, is_channels_last
from argand.ir import bind as crossroads
from argand.ir.op import ops, registry


def stride(self: Any, dim: int | None = None) -> Any:
    """How many elements of memory are between an index and the next, of all dimensions or of `dim`.

    >>> ag.ones(2, 3).stride(), ag.ones(2, 3).t().stride()
    ((3, 1), (1, 3))
    """
    array = _layout(self)
    if array is None or (self._array is None and array.flags.c_contiguous):
        found = tuple(contiguous_strides(self.shape))
    else:
        found = tuple(s // array.itemsize for s in array.strides)
    return found if dim is None else found[normalize_dim(dim, self.ndim, "stride")]


def _layout(x: Any) -> Any:
    """An array stored as a tensor is; while traced, as it would eagerly."""
    return x._array if x._array is not None else crossroads.current().layout_of(x)


RANKS = {"channels_last": 4, "channels_last_3d": 5}
"""Of how many dimensions the images are that a format puts the channels of last."""
_FORMATS = ("contiguous_format", *RANKS, "preserve_format")


def is_preserve(memory_format: Any) -> bool:
    """Whether a copy is stored as its original is: so unless something else is asked for."""
    return memory_format is None or (
        isinstance(memory_format, str) and memory_format == "preserve_format"
    )


def _rank(memory_format: Any) -> int | None:
    """How many dimensions the images of a channels-last format have; None for another format,
    ArgumentError for what is none."""
    if memory_format is None:
        return None
    if not isinstance(memory_format, str) or memory_format not in _FORMATS:
        raise ArgumentError(
            f"memory_format must be one of {', '.join(f'ag.{f}' for f in _FORMATS)}, got "
            f"{type(memory_format).__name__} {memory_format!r:.40}"
        )
    return RANKS.get(memory_format)


def _orders(rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The permutation that puts channels last, and the one that puts them back."""
    return (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))


def is_contiguous(self: Any, memory_format: Any = None) -> bool:
    """Whether the elements are stored without gaps, row-major or in the order of `memory_format`.

    >>> ag.ones(2, 3).is_contiguous(), ag.ones(2, 3).t().is_contiguous()
    (True, False)
    """
    array, rank = _layout(self), _rank(memory_format)
    if array is None:
        return rank is None
    if rank is not None:
        return array.ndim == rank and bool(array.transpose(_orders(rank)[0]).flags.c_contiguous)
    return bool(array.flags.c_contiguous)


def contiguous(self: Any, memory_format: Any = None) -> Any:
    """The tensor in row-major memory: itself when it is so already, else a copy.

    With ``memory_format=ag.channels_last`` an image (N, C, H, W) is stored as (N, H, W, C), in
    which convolutions run without a copy, with `ag.channels_last_3d` (N, C, D, H, W) as
    (N, D, H, W, C); shape and meaning stay. Raises ShapeError for a tensor without 4 dimensions,
    or 5.

    >>> ag.ones(2, 3).t().contiguous().stride()
    (2, 1)
    """
    return self if is_contiguous(self, memory_format) else copied(self, memory_format)


def copied(x: Any, memory_format: Any = None) -> Any:
    """A copy in row-major memory, or in that of `memory_format`."""
    rank = _rank(memory_format)
    if rank is None:
        return ops.contiguous(x)
    if x.ndim != rank:
        raise ShapeError(
            f"{memory_format} takes images of {rank} dimensions, got shape {shape_text(x.shape)}"
        )
    last, first = _orders(rank)
    return ops.permute(ops.contiguous(ops.permute(x, last)), first)


def order_of(x: Any) -> tuple[int, ...] | None:
    """The order of dimensions, outermost first, in which a tensor is stored, and its copies are;
    None where that is row-major, and in a trace, where memory is the compiler's."""
    array = x._array
    if array is None or array.flags.c_contiguous:
        return None
    return common_order(array.shape, array.strides)


def row_major(x: Any) -> Any:
    """A result whose function gives row-major ones in PyTorch, made so where it isn't."""
    return x if order_of(x) is None else ops.contiguous(x)


def as_image(y: Any, *images: Any) -> Any:
    """A result of images, stored as PyTorch stores it: channels-last where all of them are so."""
    arrays = [x._array for x in images]
    if all(a is not None and is_channels_last(a.shape, a.strides) for a in arrays):
        return contiguous(y, "channels_last")
    return row_major(y)


def dense(x: Any) -> Any:
    """A copy in memory of its own, in the order in which `x` is stored, without gaps."""
    if order_of(x) is None:
        return ops.contiguous(x)
    return crossroads.bind(registry.get("cast"), (x,), {"dtype": x.dtype})[0]


def stored(x: Any, memory_format: Any) -> Any:
    """A tensor in the memory format that a conversion asks for: as it is where none is asked for,
    or where it is to be preserved."""
    return x if is_preserve(memory_format) else contiguous(x, memory_format)


def alias_copy(input: Any) -> Any:
    """A row-major copy, through which gradients flow: `clone` by the name of `alias`.

    >>> ag.alias_copy(ag.tensor([1, 2]))
    tensor([1, 2])
    """
    return ops.contiguous(input)


def detach_copy(input: Any) -> Any:
    """A row-major copy without a gradient: ``x.detach().clone()``.

    >>> ag.detach_copy(ag.ones(2, requires_grad=True)).requires_grad
    False
    """
    return ops.contiguous(input.detach())
