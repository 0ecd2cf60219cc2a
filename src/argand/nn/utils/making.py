"""Modules without first values, and weights in another order of memory."""

from __future__ import annotations

import inspect
from typing import Any

from argand.base.errors import CallError
from argand.nn.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from argand.nn.module import Module
from argand.tensor.generators import default_generator

__all__ = [
    "convert_conv2d_weight_memory_format",
    "convert_conv3d_weight_memory_format",
    "skip_init",
]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Any:
    """``module_cls(*args, **kwargs)``, whose parameters are to be set by the caller: no random
    number is taken from the generator for them.

    >>> nn.utils.skip_init(nn.Linear, 3, 2)
    Linear(in_features=3, out_features=2, bias=True)
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"expected a class of modules, got {module_cls!r}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError(f"{module_cls.__name__} takes no device, as skip_init asks of a module")
    before = default_generator.get_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        default_generator.set_state(before)


def convert_conv2d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """Store the weights of all 2-d convolutions in a module in an order of memory; returns it.

    >>> layer = nn.utils.convert_conv2d_weight_memory_format(nn.Conv2d(2, 3, 2), ag.channels_last)
    >>> layer.weight.is_contiguous(memory_format=ag.channels_last)
    True
    """
    return _converted(module, (Conv2d, ConvTranspose2d), memory_format)


def convert_conv3d_weight_memory_format(module: Module, memory_format: Any) -> Module:
    """`convert_conv2d_weight_memory_format` for 3-d convolutions.

    >>> layer = nn.Conv3d(1, 1, 2)
    >>> nn.utils.convert_conv3d_weight_memory_format(layer, ag.contiguous_format) is layer
    True
    """
    return _converted(module, (Conv3d, ConvTranspose3d), memory_format)


def _converted(module: Module, kinds: tuple[Any, ...], memory_format: Any) -> Module:
    if not isinstance(module, Module):
        raise CallError(f"expected a module, got {type(module).__name__}")
    for part in module.modules():
        if isinstance(part, kinds):
            part.weight.data = part.weight.detach().clone(memory_format=memory_format)
    return module
