"""`argand.mps`: there is no GPU of Apple's, and this says so the way programs ask."""

from __future__ import annotations


def is_available() -> bool:
    """False: Argand computes on the CPU.

    >>> ag.mps.is_available()
    False
    """
    return False


def device_count() -> int:
    """0: there is no GPU to compute on.

    >>> ag.mps.device_count()
    0
    """
    return 0


__all__ = ["device_count", "is_available"]
