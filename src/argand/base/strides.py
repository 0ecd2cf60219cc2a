"""The strides of views: the same memory read in another shape."""

from __future__ import annotations

from collections.abc import Sequence

from argand.base.dim import Extent, Shape, same


def expanded_strides(shape: Shape, strides: Shape, wanted: Shape) -> Shape:
    """Strides after broadcasting: 0 where a size 1 was repeated or a dimension is new."""
    lead = len(wanted) - len(shape)
    kept = [
        stride if same(size, new) else 0
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
