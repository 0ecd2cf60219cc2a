"""Where the results of a plan of rows are stored."""

from __future__ import annotations

from collections.abc import Sequence

from argand.kernels.reduction.plan import RowOutput, RowPlan
from argand.lowering.context import StridedBuffer
from argand.lowering.emitter import Emitter
from argand.lowering.region import Region
from argand.lowering.space import ElementIndex
from argand.nest.builder import Ty

__all__ = ["ElementAddress", "Results"]

ElementAddress = tuple[StridedBuffer, ElementIndex]


class Results:
    """The results of a plan; `places` are the buffers and indices that each is stored to."""

    def __init__(self, emitter: Emitter, region: Region, plan: RowPlan) -> None:
        self.emitter = emitter
        self.places: dict[RowOutput, list[ElementAddress]] = {
            o: [(target, o.index) for target in region.targets(emitter.context, o.value)]
            for o in plan.outputs
        }

    def store(self, outputs: Sequence[RowOutput]) -> None:
        """Everything is computed before anything is stored: results may be stored over operands."""
        values = [self.emitter.emit(o.point) for o in outputs]
        for o, value in zip(outputs, values, strict=True):
            for buffer, index in self.places[o]:
                self.emitter.store(buffer, index, value)

    def full_bytes(self) -> int:
        """The bytes that are stored for each point of the space."""
        full = (places for o, places in self.places.items() if o.kind == "full")
        return sum(Ty(buffer.dtype.name).bytes for places in full for buffer, _ in places)
