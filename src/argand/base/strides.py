"""The strides of views: the same memory read in another shape."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from argand.base.dim import Extent, Shape, same


def expanded_strides(shape: Shape, strides: Shape, wanted: Shape) -> Shape:
    """Strides after broadcasting: 0 where a size 1 was repeated or a dimension is new.

    Two sizes that are kept may differ as polynomials: a guard of the trace found them equal.
    """
    lead = len(wanted) - len(shape)
    kept = [
        0 if same(size, 1) and not same(new, 1) else stride
        for size, stride, new in zip(shape, strides, wanted[lead:], strict=True)
    ]
    return (0,) * lead + tuple(kept)


def reshaped_strides(shape: Shape, strides: Shape, wanted: Shape) -> Shape | None:
    """Strides that read the same memory in another shape, or None when there are none.

    >>> reshaped_strides((2, 3, 4), (12, 4, 1), (6, 4))
    (4, 1)
    >>> reshaped_strides((2, 3), (1, 2), (6,)) is None
    True
    """
    if any(isinstance(s, int) and s == 0 for s in shape):
        return (0,) * len(wanted)
    runs = _runs(shape, strides)
    result: list[Extent] = [0] * len(wanted)
    at = len(wanted) - 1
    for size, step in reversed(runs):
        covered: Extent = 1
        while not same(covered, size):
            if at < 0 or (isinstance(covered, int) and isinstance(size, int) and covered > size):
                return None
            result[at] = step * covered
            covered = covered * wanted[at]
            at -= 1
    if not all(same(s, 1) for s in wanted[: at + 1]):
        return None
    return tuple(result)


def _runs(shape: Sequence[Extent], strides: Sequence[Extent]) -> list[tuple[Extent, Extent]]:
    """Dimensions merged where they follow each other evenly, as (size, stride of the innermost)."""
    runs: list[tuple[Extent, Extent]] = []
    for size, stride in zip(shape, strides, strict=True):
        if same(size, 1):
            continue
        if runs and same(runs[-1][1], stride * size):
            runs[-1] = (runs[-1][0] * size, stride)
        else:
            runs.append((size, stride))
    return runs


@functools.lru_cache(maxsize=4096)
def common_order(shape: tuple[int, ...], *strides: tuple[int, ...]) -> tuple[int, ...] | None:
    """The order of dimensions, outermost first, in which an elementwise result of operands with
    these strides is stored; None where that is row-major.

    As PyTorch's TensorIterator sorts dimensions: the first operand in which two of them differ,
    and none is repeated, decides which is the outer one.

    >>> common_order((2, 3), (1, 2), (3, 1)), common_order((2, 3), (3, 1), (1, 2))
    ((1, 0), None)
    """
    order = list(range(len(shape)))[::-1]  # innermost first
    for i in range(1, len(order)):
        at = i
        for before in range(i - 1, -1, -1):
            found = _outer(order[before], order[at], shape, strides)
            if found < 0:
                break
            if found > 0:
                order[before], order[at] = order[at], order[before]
                at = before
    order.reverse()
    moving = [d for d in order if shape[d] != 1]
    return tuple(order) if moving != sorted(moving) else None


def _outer(a: int, b: int, shape: tuple[int, ...], strides: tuple[tuple[int, ...], ...]) -> int:
    """1 where dimension a belongs outside of b, -1 where b does, 0 where no operand tells."""
    for steps in strides:
        if steps[a] == 0 or steps[b] == 0:
            continue
        if steps[a] != steps[b]:
            return 1 if steps[a] > steps[b] else -1
        if shape[a] > shape[b]:
            return 1
    return 0


def is_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether an image (N, C, H, W) is stored as (N, H, W, C), with gaps or without.

    >>> is_channels_last((2, 3, 4, 5), (60, 1, 15, 3))
    True
    """
    if len(shape) != 4 or strides[1] == 0:
        return False
    least = 0
    for d in (1, 3, 2, 0):
        if shape[d] == 0 or strides[d] < least or (d == 0 and least == strides[1]):
            return False
        least = strides[d] * max(shape[d], 1)
    return True


def repeats_places(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two indices of a tensor may name one place in memory.

    True also for the rare strides that interleave without meeting, as PyTorch has it.

    >>> repeats_places((2, 3), (3, 1)), repeats_places((2, 3), (1, 1))
    (False, True)
    """
    reach = 0
    for stride, size in sorted((s, n) for n, s in zip(shape, strides, strict=True) if n > 1):
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False
