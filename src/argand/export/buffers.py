"""Buffers that a module replaces (`self.n = self.n + 1`), which a program writes in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.nn.module import Module
from argand.tensor.core import Tensor
from argand.transform.mode import no_grad


class WritingBuffers:
    """A module, or a method of one, whose calls leave the same tensors as buffers: what a call puts
    in their place is written into them when it ends.

    A tensor of another dtype or shape stays where it was put.
    """

    def __init__(self, function: Callable[..., Any], owner: Module) -> None:
        self.function = function
        self.owner = owner
        self.__wrapped__ = getattr(function, "forward", function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before = [
            (module._buffers, name, buffer)
            for module in self.owner.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        found = self.function(*args, **kwargs)
        with no_grad():
            for buffers, name, buffer in before:
                now = buffers.get(name)
                if now is not buffer and _fits(now, buffer):
                    buffer.copy_(now)
                    buffers[name] = buffer
        return found


def _fits(now: Any, buffer: Tensor) -> bool:
    return isinstance(now, Tensor) and now.dtype is buffer.dtype and now.shape == buffer.shape


def writing_buffers(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose module's buffers stay the tensors that they are."""
    owner = function if isinstance(function, Module) else getattr(function, "__self__", None)
    if not isinstance(owner, Module) or next(owner.buffers(), None) is None:
        return function
    return WritingBuffers(function, owner)


__all__ = ["writing_buffers"]
