"""Where values are stored: a view's result is its input's memory, read with other strides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from argand.base.dim import Extent, Shape
from argand.base.shape import numel
from argand.ir.families import View
from argand.ir.program import Node, Program, Value


@dataclasses.dataclass(frozen=True, slots=True)
class StridedView:
    """The memory of a value: that of `root`, from element `offset` on, with strides in elements."""

    root: Value
    offset: Extent
    strides: Shape


def places(
    program: Program, strides: Mapping[int, Shape] | None = None
) -> dict[Value, StridedView]:
    """Where every value of a program is stored; a value that owns its memory is its own root.

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
    """Where the result of a view is stored; None when the node has to compute."""
    if not isinstance(node.op, View):
        return None
    x = node.values[0]
    place, view = found[x], type(node.op).view_strides
    assert view is not None
    given = view(x.shape, place.strides, node.params)
    return None if given is None else StridedView(place.root, place.offset + given[0], given[1])


def is_view(node: Node, found: dict[Value, StridedView]) -> bool:
    """Whether a node computes nothing: its result is a view."""
    return view_place(node, found) is not None


def nbytes(v: Value) -> Extent:
    """The bytes that a value's own memory takes."""
    size: Extent = numel(v.shape) * v.dtype.itemsize
    return size
