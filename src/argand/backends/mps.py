"""Apple's GPUs: there is none to compute on."""

from __future__ import annotations


def is_available() -> bool:
    """False: Argand computes on the CPU.

    >>> ag.backends.mps.is_available()
    False
    """
    return False


def is_built() -> bool:
    """False: Argand computes on the CPU.

    >>> ag.backends.mps.is_built()
    False
    """
    return False
