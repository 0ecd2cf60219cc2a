"""`argand.utils.data._utils`: parts of loaders that PyTorch's libraries look for."""

from argand.utils.data._utils import collate, pin_memory, worker

__all__ = ["collate", "pin_memory", "worker"]
