"""The module of a device, by its name."""

from __future__ import annotations

import types
from typing import Any

from argand import cpu, cuda, mps, mtia, xpu
from argand.base.errors import DeviceError
from argand.tensor.device import device as named

_MODULES = {"cpu": cpu, "cuda": cuda, "mps": mps, "mtia": mtia, "xpu": xpu}


def get_device_module(device: Any = None) -> types.ModuleType:
    """The module that answers for a device: `argand.cpu` for "cpu" or None, `argand.cuda`, ...

    Raises DeviceError for a device that has none. As `torch.get_device_module`.

    >>> ag.get_device_module("cuda").is_available()
    False
    """
    kind = named("cpu" if device is None else device).type
    if kind not in _MODULES:
        raise DeviceError(f"there is no module of device {kind!r}: {', '.join(_MODULES)}")
    return _MODULES[kind]
