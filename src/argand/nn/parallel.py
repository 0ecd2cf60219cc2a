"""Modules for several devices, of which there is one here: they pass through."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from argand.nn.module import Module

__all__ = ["DataParallel", "DistributedDataParallel"]


class _PassThrough(Module):
    """A module whose calls go to `module`."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What `module` gives."""
        return self.module(*inputs, **kwargs)


class DataParallel(_PassThrough):
    """`module` on the only device; `device_ids`, `output_device` and `dim` have no effect.

    The parameters are named ``module.<name>``, as in PyTorch.

    >>> list(nn.DataParallel(nn.Linear(1, 1)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__(module)
        self.device_ids: list[int] = []
        self.output_device, self.dim = output_device, dim


class DistributedDataParallel(_PassThrough):
    """`module` in the only process; the options of how gradients are exchanged have no effect.

    >>> ddp = nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    >>> ddp(ag.ones(1, 1)).shape
    argand.Size([1, 1])
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, **options: Any
    ) -> None:
        super().__init__(module)
        self.device_ids, self.output_device = device_ids, output_device

    def no_sync(self) -> Any:
        """A context in which gradients aren't exchanged, as they never are."""
        return nullcontext()
