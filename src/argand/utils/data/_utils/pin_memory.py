"""Pinned memory, under PyTorch's address: there is no accelerator that it would serve."""

from typing import Any


def pin_memory(data: Any, device: Any = None) -> Any:
    """The batch, as it is.

    >>> from argand.utils.data._utils.pin_memory import pin_memory
    >>> pin_memory([1, 2])
    [1, 2]
    """
    return data


__all__ = ["pin_memory"]
