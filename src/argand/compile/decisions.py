"""Python's branches on numbers computed from float and int arguments and sizes.

`if lr > 0`, `min(1.0, step / 100)`: the comparison is answered with the numbers at hand, and is
a test of later calls; so is a number computed from sizes alone, as in `int(n * 0.5)`. What
computes it is the part of the traced program that leads to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.polynomial import Symbol
from argand.compile.integers import Sources, sizes_of
from argand.ir.interpret import run_node
from argand.ir.program import Node, Value


@dataclasses.dataclass(slots=True, eq=False)
class Decision:
    """A comparison of numbers, or a number, and how it came out."""

    value: Value
    nodes: Sequence[Node]  # that lead to it
    floats: Mapping[Value, int]
    sources: Sources
    outcome: bool | float = False

    def evaluate(self, leaves: Sequence[Any]) -> bool | float:
        """How it comes out for some arguments."""
        env: dict[Value, Any] = {v: np.array(leaves[i], np.float64) for v, i in self.floats.items()}
        sizes = sizes_of(self.sources, leaves)
        with np.errstate(all="ignore"):
            for node in self.nodes:
                run_node(node, env, sizes, False)
        found: bool | float = np.asarray(env[self.value]).item()
        return found

    def symbols(self) -> dict[str, Symbol]:
        """The symbols of the sizes that lead to it, by name."""
        params = [p for node in self.nodes for p in node.params.values() if isinstance(p, Dim)]
        return {name: symbol for p in params for name, symbol in p.symbols().items()}

    def holds(self, leaves: Sequence[Any]) -> bool:
        """Whether it comes out the same for other arguments."""
        return self.evaluate(leaves) == self.outcome


def decide(
    value: Any, floats: Mapping[Value, int], sources: Sources, leaves: Sequence[Any]
) -> Decision | None:
    """The decision on a boolean computed from numbers alone, or on a number computed from sizes
    alone; None when it depends on more."""
    if not isinstance(value, Value) or value.dtype.kind not in "bfi" or value.shape:
        return None
    nodes: dict[Node, None] = {}
    read: dict[Value, int] = {}
    if not _collect(value, floats, {name for name, *_ in sources}, nodes, read):
        return None
    if value.dtype.kind != "b" and (read or not _has_sizes(nodes)):
        return None
    found = Decision(value, list(nodes), read, sources)
    found.outcome = found.evaluate(leaves)
    return found


def _has_sizes(nodes: Iterable[Node]) -> bool:
    """Whether any of the nodes takes a size for a parameter."""
    return any(isinstance(p, Dim) for node in nodes for p in node.params.values())


def _collect(
    value: Value,
    floats: Mapping[Value, int],
    known: set[str],
    nodes: dict[Node, None],
    read: dict[Value, int],
) -> bool:
    """Gather what leads to a value, in order; False where a tensor's contents does."""
    if value in floats:
        read[value] = floats[value]
        return True
    node = value.node
    if node is None or value.shape or node.regions or not node.op.merges:
        return False
    if node in nodes:
        return True
    sizes = [p for p in node.params.values() if isinstance(p, Dim)]
    if any(name not in known for size in sizes for name in size.symbols()):
        return False
    if not all(_collect(v, floats, known, nodes, read) for v in node.values):
        return False
    nodes[node] = None
    return True
