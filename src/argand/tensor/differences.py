"""Differences of neighbours along dimensions."""

from __future__ import annotations

import operator
from typing import Any

from argand.base.dim import is_less
from argand.base.dtype import get_default_dtype
from argand.base.errors import ArgumentError
from argand.base.shape import normalize_dim
from argand.ir.op import describe, ops
from argand.tensor.core import Tensor
from argand.tensor.joining import sliced
from argand.tensor.shaping import listed


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """x[i + 1] - x[i] along `dim`, `n` times over; each time one element less.

    `prepend` and `append` are joined to the ends first. Of booleans: whether neighbours differ.
    Follows `torch.diff`.

    >>> ag.diff(ag.tensor([1, 4, 9, 16]))
    tensor([3, 5, 7])
    >>> ag.diff(ag.tensor([1, 4, 9, 16]), n=2)
    tensor([2, 2])
    """
    if n < 0:
        raise ArgumentError(f"diff: n must be at least 0, got {n}")
    if n == 0:
        return ops.contiguous(input)
    parts = [p for p in (prepend, input, append) if p is not None]
    x = ops.cat(*parts, dim=dim) if len(parts) > 1 else input
    d = normalize_dim(dim, x.ndim, "diff")
    minus = ops.ne if x.dtype.kind == "b" else ops.sub
    for _ in range(n):
        size = x.shape[d]
        if is_less(size, 1):
            break  # nothing is left
        x = minus(sliced(x, d, 1, size), sliced(x, d, 0, size - 1))
    return x


def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> Any:
    """The slope along each of `dim` (all unless given), a tuple: central differences inside.

    At the ends one-sided differences of order `edge_order` (1 or 2). `spacing` is the distance of
    neighbours, one for each dimension, or a list of tensors with their coordinates. Raises
    ArgumentError for fewer than edge_order + 1 elements. Follows `torch.gradient`.

    >>> ag.gradient(ag.tensor([1.0, 4.0, 9.0, 16.0]))
    (tensor([3., 4., 6., 7.]),)
    >>> ag.gradient(ag.tensor([1.0, 4.0, 9.0, 16.0]), spacing=2.0, edge_order=2)
    (tensor([1., 2., 3., 4.]),)
    """
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order must be 1 or 2, got {edge_order}")
    dims = range(input.ndim) if dim is None else listed(dim)
    along = [normalize_dim(d, input.ndim, "gradient") for d in dims]
    spacing = 1 if spacing is None else spacing
    steps = list(spacing) if isinstance(spacing, list | tuple) else [spacing] * len(along)
    if len(set(along)) != len(along) or len(steps) != len(along):
        raise ArgumentError(
            f"gradient: expected different dims and a spacing for each, got {list(dims)} and "
            f"{len(steps)}"
        )
    return tuple(_slope(input, d, h, edge_order) for d, h in zip(along, steps, strict=True))


def _slope(x: Any, d: int, spacing: Any, order: int) -> Any:
    """The slope along dimension `d`: every element of the stencils is a number or a column."""
    size = operator.index(x.shape[d]) if x.ndim else 1
    if size <= order:
        raise ArgumentError(f"gradient: dimension {d} needs {order + 1} elements, it has {size}")
    if isinstance(spacing, Tensor) and spacing.ndim:
        if spacing.ndim != 1 or spacing.shape[0] != size:
            raise ArgumentError(f"gradient: {describe(x, spacing)}: a coordinate for each element")
        steps = ops.sub(sliced(spacing, 0, 1, size), sliced(spacing, 0, 0, size - 1))
    else:
        steps = ops.expand(ops.mul(ops.full((), 1, _step_dtype(x)), spacing), (size - 1,))
    column = tuple(-1 if i == d else 1 for i in range(x.ndim))

    def step(first: int, last: int) -> Any:
        return ops.reshape(sliced(steps, 0, first, last), column)

    def part(first: int, last: int) -> Any:
        return sliced(x, d, first, last)

    if order == 1:
        low = ops.div(ops.sub(part(1, 2), part(0, 1)), step(0, 1))
        last = ops.sub(part(size - 1, size), part(size - 2, size - 1))
        high = ops.div(last, step(size - 2, size - 1))
    else:
        low = _edge([part(i, i + 1) for i in (0, 1, 2)], step(0, 1), step(1, 2))
        places = (size - 1, size - 2, size - 3)
        back, further = (ops.neg(step(i - 1, i)) for i in (size - 1, size - 2))
        high = _edge([part(i, i + 1) for i in places], back, further)
    if size == 2:
        return ops.cat(low, high, dim=d)
    before, after = step(0, size - 2), step(1, size - 1)
    total = ops.add(before, after)
    rise, fall = (ops.sub(part(i + 1, size - 1 + i), part(i, size - 2 + i)) for i in (1, 0))
    inner = ops.add(
        ops.mul(rise, ops.div(before, ops.mul(after, total))),
        ops.mul(fall, ops.div(after, ops.mul(before, total))),
    )
    return ops.cat(low, inner, high, dim=d)


def _step_dtype(x: Any) -> Any:
    return x.dtype.to_real() if x.dtype.is_inexact else get_default_dtype()


def _edge(parts: list[Any], near: Any, far: Any) -> Any:
    """The slope at the first of three elements, by the parabola through them."""
    total = ops.add(near, far)
    first = ops.neg(ops.div(ops.add(ops.mul(near, 2), far), ops.mul(near, total)))
    second = ops.div(total, ops.mul(near, far))
    third = ops.neg(ops.div(near, ops.mul(far, total)))
    weighted = [ops.mul(p, w) for p, w in zip(parts, (first, second, third), strict=True)]
    return ops.add(ops.add(weighted[0], weighted[1]), weighted[2])
