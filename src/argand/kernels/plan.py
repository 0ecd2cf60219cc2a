"""What a kernel answers when it is asked about a region: a plan.

A kernel is a function `match(region) -> Plan | None`, listed in `kernels/match.py`. Its plan says
which kernel computes the region and how (`str(plan)`), what that costs, in which order the nest
reads and writes, and emits it.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from argand.ir.program import Node, Value
from argand.lowering.context import LoweringContext
from argand.lowering.order import Order
from argand.lowering.region import Region
from argand.nest.builder import NestBuilder

__all__ = ["Cost", "Kernel", "Plan", "described", "types_text"]


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """What is lost by computing a region's nodes in one kernel rather than in several.

    `nests` counts the loop nests that have no elements in common; `losses` say in words what takes
    longer than in kernels of their own, as "exp is repeated".
    """

    nests: int = 1
    losses: tuple[str, ...] = ()

    @property
    def pays(self) -> bool:
        """Whether one kernel is better than several."""
        return self.nests == 1 and not self.losses

    def __str__(self) -> str:
        found = [f"{self.nests} nests"] if self.nests > 1 else []
        return ", ".join([*found, *self.losses]) or "nothing lost"


class Plan(abc.ABC):
    """How one kernel computes one region.

    `kind` is that of the fusion nodes it computes; None where it computes a node by itself alone.
    """

    kind: ClassVar[str | None] = None

    def __init__(self, region: Region) -> None:
        self.region = region

    @property
    def cost(self) -> Cost:
        """What is lost against several kernels; fusion forms no region that loses."""
        return Cost()

    @property
    def orders(self) -> Sequence[Order]:
        """The orders in which the nest may read and write, which one depends on where the values
        are stored; none where nothing is promised."""
        return ()

    @abc.abstractmethod
    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        """Write the nest."""

    @abc.abstractmethod
    def __str__(self) -> str:
        """The kernel's name, then how it computes the region, in one line."""


Kernel = Callable[[Region], Plan | None]
"""Gives the plan of a region, or None where the kernel doesn't compute it. Where it gives a plan,
`emit` succeeds."""


def described(nodes: Iterable[Node]) -> str:
    """The names of some ops, in order, without repetition: for plans to print."""
    return " ".join(dict.fromkeys(n.op.name for n in nodes))


def types_text(values: Iterable[Value]) -> str:
    """The types of some values: for plans to print."""
    return " and ".join(str(v.type) for v in values)
