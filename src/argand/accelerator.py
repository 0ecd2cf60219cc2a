"""`argand.accelerator`: there is none, and this says so the way programs ask."""

from __future__ import annotations


def is_available() -> bool:
    """False: Argand computes on the CPU.

    >>> ag.accelerator.is_available()
    False
    """
    return False


def device_count() -> int:
    """0: there is no accelerator to compute on.

    >>> ag.accelerator.device_count()
    0
    """
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """None: there is no accelerator to compute on.

    >>> ag.accelerator.current_accelerator() is None
    True
    """
    return


def synchronize(device: object = None) -> None:
    """Nothing to wait for: operations have ended when they return.

    >>> ag.accelerator.synchronize()
    """


__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]
