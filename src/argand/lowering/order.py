"""In which order a kernel reads and writes, as far as a plan of memory may count on it.

A result may be stored over an operand when every element of the operand is read before the
element that takes its memory is written. A kernel runs in *phases*, one after the other on all
threads; inside a phase the elements of its space come in no order at all, and what a kernel does
for one element (or for one row) comes in *steps*. In a step everything is read before anything is
written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from argand.ir.program import Value
from argand.lowering.affine import Affine, LoadedIndex
from argand.lowering.points import Point, reachable
from argand.lowering.space import same_index, variables

__all__ = ["Access", "Order", "loads_of"]


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """An element of a value is read or written; `index` is None where any element may be meant."""

    value: Value
    index: tuple[Affine, ...] | None
    phase: int = 0
    step: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """All reads of a kernel's operands and all writes of its results.

    A read may come earlier than it says, since what several steps need is read once; never later.
    """

    loads: tuple[Access, ...]
    stores: tuple[Access, ...]

    def allows(self, operand: Value, result: Value) -> bool:
        """Whether the result may be stored exactly over the operand: same first element, shape and
        strides."""
        loads = [a for a in self.loads if a.value is operand]
        stores = [a for a in self.stores if a.value is result]
        return bool(stores) and all(_before(load, store) for load in loads for store in stores)


def _before(load: Access, store: Access) -> bool:
    """Whether each element is read before it is overwritten: in an earlier phase, or for the same
    element and no later."""
    if load.phase != store.phase:
        return load.phase < store.phase
    if load.index is None or store.index is None:
        return False
    return load.step <= store.step and same_index(load.index, store.index)


def loads_of(points: Sequence[Point], phase: int = 0, step: int = 0) -> list[Access]:
    """The reads that points need."""
    found: dict[Point, None] = {}
    wanted = list(points)
    while wanted:
        new = [p for p in reachable(wanted) if p not in found]
        found.update(dict.fromkeys(new))
        # an index that is loaded may hide inside another index expression
        wanted = [v.point for v in variables(new) if isinstance(v, LoadedIndex)]
    return [
        Access(p.value, p.index, phase, step)
        for p in found
        if p.kind == "load" and isinstance(p.value, Value)
    ]
