"""Shapes: tuples of sizes, and the arithmetic that ops share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from argand.base.dim import Dim, Extent, Shape, in_call, same
from argand.base.errors import IndexRangeError, ShapeError

__all__ = [
    "Dim",
    "Extent",
    "Shape",
    "broadcast_shapes",
    "contiguous_strides",
    "normalize_dim",
    "normalize_dims",
    "numel",
    "reduced_shape",
    "resolve_reshape",
    "same_shape",
    "shape_text",
    "stored_order",
]


def numel(shape: Iterable[Extent]) -> Extent:
    """The number of elements of a shape."""
    total: Extent = 1
    for size in shape:
        total = total * size
    return total


def same_shape(a: Sequence[Extent], b: Sequence[Extent]) -> bool:
    """Whether two shapes are the same, without asking a guard."""
    return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))


def shape_text(shape: Iterable[Extent]) -> str:
    """A shape as users read it: ``(2, 3)``, in a traced function that of the call."""
    parts = [str(in_call(s)) for s in shape]
    return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"


def broadcast_shapes(*shapes: Sequence[Extent], op: str = "broadcast") -> Shape:
    """The common shape by NumPy's rules.

    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    rank = max(map(len, shapes), default=0)
    result: list[Extent] = [1] * rank
    for shape in shapes:
        for i, size in enumerate(shape, rank - len(shape)):
            now = result[i]
            if same(now, size) or (isinstance(size, int) and size == 1):
                continue
            if (isinstance(now, int) and now == 1) or now == size:
                result[i] = size
                continue
            listed = " and ".join(shape_text(s) for s in shapes)
            raise ShapeError(
                f"{op}: shapes {listed} don't broadcast: sizes {now} and {size} at dimension "
                f"{i - rank} must be equal or 1"
            )
    return tuple(result)


def normalize_dim(dim: int, rank: int, op: str = "") -> int:
    """A dimension counted from the front; IndexError when out of range."""
    limit = max(rank, 1)
    try:
        d = dim.__index__()
    except AttributeError:
        raise TypeError(f"{op or 'dim'}: dim must be an int, got {type(dim).__name__}") from None
    if not -limit <= d < limit:
        where = f"{op}: " if op else ""
        raise IndexRangeError(
            f"{where}dimension {d} is out of range for a tensor of {rank} dimensions "
            f"(expected {-limit} to {limit - 1})"
        )
    return d + limit if d < 0 else d


def normalize_dims(dims: Any, rank: int, op: str = "") -> tuple[int, ...]:
    """Dimensions from an int, a sequence or None (all), sorted; an error when one repeats."""
    if dims is None:
        return tuple(range(rank))
    items = dims if isinstance(dims, list | tuple) else (dims,)
    result = sorted(normalize_dim(d, rank, op) for d in items)
    if len(set(result)) != len(result):
        raise ShapeError(f"{op}: a dimension appears twice in dim={tuple(items)}")
    return tuple(d for d in result if d < rank) if rank else ()


def reduced_shape(shape: Sequence[Extent], dims: Sequence[int], keepdim: bool) -> Shape:
    """The shape after reducing `dims`."""
    if keepdim:
        return tuple(1 if i in dims else s for i, s in enumerate(shape))
    return tuple(s for i, s in enumerate(shape) if i not in dims)


def contiguous_strides(shape: Sequence[Extent]) -> Shape:
    """Row-major strides in elements."""
    strides: list[Extent] = []
    step: Extent = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


def stored_order(strides: Sequence[int]) -> list[int]:
    """The dimensions as they are stored, outermost first.

    >>> stored_order((4, 1, 8))
    [2, 0, 1]
    """
    return sorted(range(len(strides)), key=lambda d: -strides[d])


def resolve_reshape(
    shape: Sequence[Extent], wanted: Sequence[Extent], op: str = "reshape"
) -> Shape:
    """The wanted shape with its -1 filled in; an error when the counts differ."""
    unknown = [i for i, s in enumerate(wanted) if isinstance(s, int) and s == -1]
    if any(isinstance(s, int) and s < -1 for s in wanted):
        raise ShapeError(f"{op}: sizes must be positive or -1, got {shape_text(wanted)}")
    if len(unknown) > 1:
        raise ShapeError(f"{op}: only one size can be -1, got {shape_text(wanted)}")
    total = numel(shape)
    if not unknown:
        if not same(numel(wanted), total) and numel(wanted) != total:
            raise _bad_reshape(op, shape, wanted, total)
        return tuple(wanted)
    known = numel(s for i, s in enumerate(wanted) if i != unknown[0])
    if isinstance(known, int) and known == 0:
        raise ShapeError(f"{op}: -1 is ambiguous beside a size of 0 in {shape_text(wanted)}")
    quotient = total // known
    if not same(quotient * known, total) and quotient * known != total:
        raise _bad_reshape(op, shape, wanted, total)
    return tuple(quotient if i == unknown[0] else s for i, s in enumerate(wanted))


def _bad_reshape(
    op: str, shape: Sequence[Extent], wanted: Sequence[Extent], total: Extent
) -> ShapeError:
    return ShapeError(
        f"{op}: shape {shape_text(wanted)} is not possible for a tensor of shape "
        f"{shape_text(shape)} with {total} elements"
    )
