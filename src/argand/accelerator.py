"""`argand.accelerator`: there is none, and this says so the way programs ask."""

from __future__ import annotations


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """None."""
    return


def synchronize(device: object = None) -> None:
    """Nothing to wait for."""


__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]
