"""What convolutions and pooling share: `auto_pad`, pads, strides and dilations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from argand.base.errors import ShapeError
from argand.onnx.values import F


class Window(NamedTuple):
    """Of each spatial dimension: the kernel's size, stride, dilation, pads before and after."""

    kernel: tuple[Any, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[Any, ...]
    end: tuple[Any, ...]

    @property
    def symmetric(self) -> bool:
        """Whether pads are the same at both ends."""
        return self.begin == self.end

    def extents(self) -> tuple[Any, ...]:
        """How many elements a kernel spans."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def window(
    sizes: Sequence[Any],
    kernel: Sequence[Any],
    auto_pad: str,
    pads: Sequence[int] | None,
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
) -> Window:
    """The window of an op on an image of these sizes."""
    n = len(kernel)
    if len(sizes) != n:
        raise ShapeError(f"a kernel of {n} dimensions on an image of {len(sizes)}")
    steps = (1,) * n if strides is None else tuple(strides)
    holes = (1,) * n if dilations is None else tuple(dilations)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        begin, end = [], []
        for size, k, s, d in zip(sizes, kernel, steps, holes, strict=True):
            total = (-(-size // s) - 1) * s + (k - 1) * d + 1 - size
            total = total if total > 0 else 0
            small = total // 2
            begin.append(total - small if auto_pad == "SAME_LOWER" else small)
            end.append(small if auto_pad == "SAME_LOWER" else total - small)
        return Window(tuple(kernel), steps, holes, tuple(begin), tuple(end))
    if auto_pad == "VALID" or pads is None:
        pads = (0,) * (2 * n)
    if auto_pad not in ("NOTSET", "VALID", "") or len(pads) != 2 * n:
        raise ShapeError(f"auto_pad={auto_pad!r} with pads={list(pads)} for {n} dimensions")
    return Window(tuple(kernel), steps, holes, tuple(pads[:n]), tuple(pads[n:]))


def padded(x: Any, begin: Sequence[Any], end: Sequence[Any], value: Any = 0) -> Any:
    """An image with more elements around it; fewer where a number is negative."""
    if not any(begin) and not any(end):
        return x
    pairs = [
        p for low, high in zip(reversed(begin), reversed(end), strict=True) for p in (low, high)
    ]
    return F.pad(x, pairs, "constant", value)
