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


def is_initialized() -> bool:
    """False: there is nothing to initialize.

    >>> ag.cuda.is_initialized()
    False
    """
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU that could compute in bfloat16.

    >>> ag.cuda.is_bf16_supported()
    False
    """
    return False


def memory_allocated(device: object = None) -> int:
    """0 bytes of a GPU's memory.

    >>> ag.cuda.memory_allocated()
    0
    """
    return 0


def max_memory_allocated(device: object = None) -> int:
    """0 bytes of a GPU's memory.

    >>> ag.cuda.max_memory_allocated()
    0
    """
    return 0


def memory_reserved(device: object = None) -> int:
    """0 bytes of a GPU's memory.

    >>> ag.cuda.memory_reserved()
    0
    """
    return 0


def max_memory_reserved(device: object = None) -> int:
    """0 bytes of a GPU's memory.

    >>> ag.cuda.max_memory_reserved()
    0
    """
    return 0


def current_device() -> int:
    """AssertionError, as PyTorch's without CUDA: there is no GPU to be the current one.

    >>> ag.cuda.current_device()
    Traceback (most recent call last):
    ...
    AssertionError: there is no CUDA device: Argand computes on the CPU; ask is_available() first
    """
    raise AssertionError(_NONE)


def get_device_name(device: object = None) -> str:
    """AssertionError, as PyTorch's without CUDA: there is no GPU to name.

    >>> ag.cuda.get_device_name()
    Traceback (most recent call last):
    ...
    AssertionError: there is no CUDA device: Argand computes on the CPU; ask is_available() first
    """
    raise AssertionError(_NONE)


_NONE = "there is no CUDA device: Argand computes on the CPU; ask is_available() first"

__all__ = [
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "synchronize",
]
