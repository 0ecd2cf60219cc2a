"""Where values lie: a view's result is its input's memory, read with other strides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from argand.base.dim import Extent, Shape, same
from argand.base.shape import numel
from argand.ir.program import Node, Program, Value

VIEWS = frozenset(("reshape", "permute", "expand", "slice"))
"""Ops whose result may be its input's memory, read with other strides."""


@dataclasses.dataclass(frozen=True, slots=True)
class StridedView:
    """The memory of a value: that of `root`, from element `offset` on, with strides in elements."""

    root: Value
    offset: Extent
    strides: Shape


def places(
    program: Program, strides: Mapping[int, Shape] | None = None
) -> dict[Value, StridedView]:
    """Where every value of a program lies; a value that owns its memory is its own root.

    `strides` gives those of the inputs with these numbers, where they aren't dense.
    """
    found = {v: own_place(v) for v in [*program.inputs, *program.state]}
    for i, given in (strides or {}).items():
        found[program.inputs[i]] = StridedView(program.inputs[i], 0, given)
    for node in program.nodes:
        view = view_place(node, found)
        if view is not None:
            found[node.outputs[0]] = view
        else:
            found.update((v, own_place(v)) for v in node.outputs)
    return found


def own_place(v: Value) -> StridedView:
    """A value at the start of its own memory, dense in its layout."""
    return StridedView(v, 0, v.strides)


def view_place(node: Node, found: dict[Value, StridedView]) -> StridedView | None:
    """Where the result of a view lies; None when the node has to compute."""
    if node.op.name not in VIEWS:
        return None
    x = node.values[0]
    place, params = found[x], node.params
    if node.op.name == "reshape":
        strides = reshaped_strides(x.shape, place.strides, node.outputs[0].shape)
        return None if strides is None else StridedView(place.root, place.offset, strides)
    if node.op.name == "permute":
        order = tuple(place.strides[d] for d in params["dims"])
        return StridedView(place.root, place.offset, order)
    if node.op.name == "expand":
        strides = expanded_strides(x.shape, place.strides, node.outputs[0].shape)
        return StridedView(place.root, place.offset, strides)
    offset = place.offset
    for begin, stride in zip(params["start"], place.strides, strict=True):
        offset = offset + begin * stride
    steps = zip(place.strides, params["step"], strict=True)
    return StridedView(place.root, offset, tuple(stride * step for stride, step in steps))


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


def nbytes(v: Value) -> Extent:
    """The bytes that a value's own memory takes."""
    size: Extent = numel(v.shape) * v.dtype.itemsize
    return size
