"""Values of a traced tensor as the example has them, for traces that take them for constants."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np

from argand.base.scripting import running
from argand.base.userstack import user_location
from argand.compile.places import Argument, Held, Place
from argand.ir.interpret import run_node
from argand.ir.program import Value

_READS = {
    "__bool__": "Python boolean",
    "__float__": "Python float",
    "__int__": "Python integer",
    "__complex__": "Python complex",
    "__index__": "Python index",
    "tolist": "Python list",
    "numpy": "NumPy array",
    "array_protocol": "NumPy array",
    "item": "Python number",
}
"""What Python makes of a tensor, by the function that it asks."""


class Example:
    """The values that a trace's example gives, each computed once."""

    def __init__(self) -> None:
        self.env: dict[Value, Any] = {}

    def value(
        self,
        value: Value,
        entries: Mapping[Value, Place],
        leaves: Sequence[Any],
        sizes: Mapping[str, int],
    ) -> Any:
        """The array of a value; None where something that it depends on has none."""
        stack: list[tuple[Value, bool]] = [(value, False)]
        while stack:
            v, ready = stack.pop()
            if v in self.env:
                continue
            if v.node is None:
                found = _given(entries.get(v), leaves)
                if found is None:
                    return None
                self.env[v] = found
            elif ready:
                run_node(v.node, self.env, sizes, False)
            else:
                stack.append((v, True))
                stack.extend((x, False) for x in v.node.values)
        return self.env[value]


def _given(place: Place | None, leaves: Sequence[Any]) -> Any:
    if isinstance(place, Held):
        return place.tensor._array
    if isinstance(place, Argument):
        leaf = leaves[place.number]
        return np.asarray(leaf, np.float64) if isinstance(leaf, float) else leaf._array
    return None


def note_read() -> None:
    """Keep for a warning that the user's code reads a tensor here."""
    assert running.reads is not None
    running.reads[_kind(sys._getframe(1)), user_location()] = None


def _kind(frame: FrameType | None) -> str:
    found = "Python number"
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("argand."):
        found = _READS.get(frame.f_code.co_name, found)
        frame = frame.f_back
    return found


__all__ = ["Example", "note_read"]
