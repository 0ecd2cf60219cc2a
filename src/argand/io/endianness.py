"""The order of bytes in PyTorch's files that don't say which they have."""

from __future__ import annotations

import sys
from enum import Enum

from argand.base.misuse import explained


class LoadEndianness(Enum):
    """An order of bytes: that of this machine, the lowest first, or the highest first.

    >>> ag.serialization.LoadEndianness.LITTLE.name
    'LITTLE'
    """

    NATIVE = 1
    LITTLE = 2
    BIG = 3


_chosen: list[LoadEndianness | None] = [None]


def get_default_load_endianness() -> LoadEndianness | None:
    """The order that was set, or None: the lowest first.

    >>> ag.serialization.get_default_load_endianness() is None
    True
    """
    return _chosen[0]


@explained
def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Set the order of bytes of files that have no record of it, as those of PyTorch before 2.1.

    >>> ag.serialization.set_default_load_endianness(None)
    """
    if not isinstance(endianness, LoadEndianness | None):
        raise TypeError(
            f"expected a LoadEndianness or None, got {type(endianness).__name__}; "
            "there are NATIVE, LITTLE and BIG"
        )
    _chosen[0] = endianness


def default_order() -> str:
    """The order as `sys.byteorder` names it."""
    if _chosen[0] is LoadEndianness.NATIVE:
        return sys.byteorder
    return "big" if _chosen[0] is LoadEndianness.BIG else "little"
