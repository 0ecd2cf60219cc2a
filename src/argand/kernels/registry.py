"""The kernels that a region may be lowered to: an ordered list of candidates, the first that fits.

A kernel says whether it takes a region and emits it. `loops/` registers the general ones; rooms
below (`kernels/`) register theirs when they are imported.
"""

from __future__ import annotations

from typing import Protocol

from argand.lowering.buffers import Env
from argand.lowering.order import Order
from argand.lowering.region import Region
from argand.nest.builder import NestBuilder

__all__ = ["KERNELS", "Kernel", "find_kernel", "register"]


class Kernel(Protocol):
    """A way to lower regions."""

    name: str

    def takes(self, region: Region) -> bool:
        """Whether this kernel computes the region."""
        ...

    def emit(self, b: NestBuilder, region: Region, env: Env) -> None:
        """Write the nest."""
        ...

    def orders(self, region: Region) -> list[Order]:
        """The orders in which the nest may read and write, which one depends on where the values
        lie; none where nothing is promised."""
        ...


KERNELS: list[Kernel] = []


def register(kernel: Kernel, *, first: bool = False) -> None:
    """Add a candidate: after the others, or before them when it is the more special one."""
    if first:
        KERNELS.insert(0, kernel)
    else:
        KERNELS.append(kernel)


def find_kernel(region: Region) -> Kernel | None:
    """The first kernel that takes the region."""
    return next((k for k in KERNELS if k.takes(region)), None)
