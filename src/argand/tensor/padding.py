"""Elements added around a tensor, or taken away from its ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.base.dim import is_less
from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.tensor.strides import as_image

_PAD_MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Add `pad` = (left, right, top, bottom, ...) elements, the last dimension first.

    Negative numbers take away; ShapeError where they take more than there is. `mode` is "constant"
    (with `value`, 0 unless given), "reflect" (without the edge), "replicate" (the edge) or
    "circular".

    >>> F.pad(ag.tensor([1.0, 2.0, 3.0]), (2, 1), mode="reflect")
    tensor([3., 2., 1., 2., 3., 2.])
    """
    if mode not in _PAD_MODES:
        raise ArgumentError(f"pad: mode must be one of {', '.join(_PAD_MODES)}; got {mode!r}")
    pairs = _pairs(input, pad)
    if mode == "constant":
        return _constant_pad(input, pairs, 0 if value is None else value)
    x = input
    if mode == "circular":  # what goes round is what is left
        x = _constant_pad(x, [(min(low, 0), min(high, 0)) for low, high in pairs], 0)
        pairs = [(max(low, 0), max(high, 0)) for low, high in pairs]
    for dim, (low, high) in enumerate(pairs):
        if low or high:
            x = _gathered_pad(x, dim, low, high, mode)
    return x


def _pairs(input: Any, pad: Sequence[int]) -> list[tuple[int, int]]:
    """What is added at both ends of each dimension, from the first on."""
    if len(pad) % 2 or len(pad) // 2 > input.ndim:
        raise ArgumentError(
            f"pad: expected pairs of numbers for at most {input.ndim} dimensions, got {tuple(pad)}"
        )
    pairs = [(0, 0)] * (input.ndim - len(pad) // 2)
    pairs += [(int(pad[i]), int(pad[i + 1])) for i in range(len(pad) - 2, -1, -2)]
    for size, (low, high) in zip(input.shape, pairs, strict=True):
        if is_less(size + min(low, 0) + min(high, 0), 0):
            raise ShapeError(
                f"pad: {(low, high)} takes more away than a dimension of size {size} has"
            )
    return pairs


def _constant_pad(x: Any, pairs: list[tuple[int, int]], value: Any) -> Any:
    if any(p < 0 for pair in pairs for p in pair):
        start = [max(-low, 0) for low, _ in pairs]
        stop = [n - max(-high, 0) for n, (_, high) in zip(x.shape, pairs, strict=True)]
        x = ops.slice(x, start, stop, (1,) * x.ndim)
    widths = tuple((max(low, 0), max(high, 0)) for low, high in pairs)
    return as_image(ops.pad(x, widths, value), x)


def _gathered_pad(x: Any, dim: int, low: int, high: int, mode: str) -> Any:
    size = int(x.shape[dim])
    limit = {"reflect": size - 1, "circular": size}.get(mode)
    if size == 0 and mode == "replicate":
        raise ShapeError(f"pad: {describe(x)}: an empty dimension has no edge to repeat")
    if limit is not None and max(low, high) > limit:
        raise ArgumentError(
            f"pad: {mode} padding of {(low, high)} is too much for a size of {size}"
        )
    i = ops.arange(-low, 1, size + low + high, "int64")
    if mode == "replicate":
        i = ops.clamp(i, 0, size - 1)
    elif mode == "circular":
        i = ops.remainder(i, size)
    else:
        i = ops.sub(size - 1, ops.abs(ops.sub(size - 1, ops.abs(i))))
    return ops.index(x, i, dims=(dim,))


def constant_pad_nd(input: Any, pad: Sequence[int], value: float = 0) -> Any:
    """`pad` = (left, right, top, bottom, ...) elements of one value, the last dimension first.

    Negative numbers take away. Follows `torch.constant_pad_nd`.

    >>> ag.constant_pad_nd(ag.tensor([1, 2]), (2, -1), 9)
    tensor([9, 9, 1])
    """
    return _constant_pad(input, _pairs(input, pad), value)
