"""`argand.cuda`: there is no GPU, and this says so the way programs ask."""

from __future__ import annotations


def is_available() -> bool:
    """False: Argand computes on the CPU.

    >>> "cuda" if ag.cuda.is_available() else "cpu"
    'cpu'
    """
    return False


def device_count() -> int:
    """0: there is no GPU to compute on.

    >>> ag.cuda.device_count()
    0
    """
    return 0


def manual_seed(seed: int) -> None:
    """Nothing to seed: `ag.manual_seed` seeds the CPU's generator.

    >>> ag.cuda.manual_seed(0)
    """


def manual_seed_all(seed: int) -> None:
    """Nothing to seed: `ag.manual_seed` seeds the CPU's generator.

    >>> ag.cuda.manual_seed_all(0)
    """


def synchronize(device: object = None) -> None:
    """Nothing to wait for: operations have ended when they return.

    >>> ag.cuda.synchronize()
    """


def empty_cache() -> None:
    """Nothing to empty: there is no memory of a GPU.

    >>> ag.cuda.empty_cache()
    """


__all__ = [
    "device_count",
    "empty_cache",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "synchronize",
]
