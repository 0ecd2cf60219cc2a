"""What autocast does in a thread: on or off, and the dtype it lowers to, by device.

Only the CPU's is looked at when something is computed; what is set for other devices is answered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from argand.amp.casting import Caster
from argand.base.dtype import DType, as_dtype, bfloat16, float16
from argand.base.errors import ArgumentError
from argand.ir import bind as crossroads
from argand.tensor.device import device

# Devices that PyTorch has an autocast of, with the dtype of each.
_DTYPES: dict[str, DType] = {
    **dict.fromkeys(("cpu", "hpu", "xla", "maia"), bfloat16),
    **dict.fromkeys(("cuda", "mps", "xpu", "mtia", "ipu", "privateuseone"), float16),
}


class State(threading.local):
    """Of one thread."""

    def __init__(self) -> None:
        self.enabled = dict.fromkeys(_DTYPES, False)
        self.dtypes = dict(_DTYPES)
        self.caches = True
        self.depth = 0
        self.caster = Caster()

    def apply(self) -> None:
        """Have what this thread calls cast as the state says."""
        if not self.enabled["cpu"]:
            crossroads.set_casting(None)
            return
        self.caster.set(self.dtypes["cpu"], self.caches)
        crossroads.set_casting(self.caster)


_state = State()


def _known(device_type: Any) -> str:
    """The name of a device that has an autocast."""
    if not isinstance(device_type, str):
        raise TypeError(f"expected the name of a device, got {device_type!r}")
    kind = device(device_type).type
    if kind not in _DTYPES:
        raise ArgumentError(f"there is no autocast of device {device_type!r}: {', '.join(_DTYPES)}")
    return kind


def _checked_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected True or False, got {value!r}")
    return value


def is_autocast_available(device_type: str) -> bool:
    """Whether PyTorch has an autocast of a device; here only that of "cpu" changes anything.

    >>> ag.amp.is_autocast_available("cpu"), ag.amp.is_autocast_available("meta")
    (True, False)
    """
    if not isinstance(device_type, str):
        raise TypeError(f"expected the name of a device, got {device_type!r}")
    return device(device_type).type in _DTYPES


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this is inside an autocast block of a device; of "cuda", unless another is named.

    >>> with ag.autocast("cpu"):
    ...     ag.is_autocast_enabled("cpu")
    True
    """
    return _state.enabled[_known(device_type)]


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Switch the autocast of a device on or off, without a block; one argument is the flag of
    "cuda".

    >>> ag.set_autocast_enabled("cpu", False)
    """
    if enabled is None:
        device_type, enabled = "cuda", device_type
    _state.enabled[_known(device_type)] = _checked_flag(enabled)
    _state.apply()


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype that autocast lowers to on a device.

    >>> ag.get_autocast_dtype("cpu")
    argand.bfloat16
    """
    return _state.dtypes[_known(device_type)]


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the dtype that autocast lowers to on a device.

    >>> ag.set_autocast_dtype("cpu", ag.bfloat16)
    """
    _state.dtypes[_known(device_type)] = as_dtype(dtype)
    _state.apply()


def is_autocast_cache_enabled() -> bool:
    """Whether autocast makes the lower copy of a weight once in the outermost block.

    >>> ag.is_autocast_cache_enabled()
    True
    """
    return _state.caches


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Have autocast make the lower copy of a weight once in the outermost block, or each time.

    >>> ag.set_autocast_cache_enabled(True)
    """
    _state.caches = _checked_flag(enabled)
    _state.apply()


def clear_autocast_cache() -> None:
    """Forget the lower copies of weights.

    >>> ag.clear_autocast_cache()
    """
    _state.caster.cache.clear()


def autocast_increment_nesting() -> int:
    """Note that a block begins; returns how many there are.

    >>> ag.autocast_increment_nesting(), ag.autocast_decrement_nesting()
    (1, 0)
    """
    _state.depth += 1
    return _state.depth


def autocast_decrement_nesting() -> int:
    """Note that a block ends; returns how many are left.

    >>> ag.autocast_increment_nesting(), ag.autocast_decrement_nesting()
    (1, 0)
    """
    _state.depth -= 1
    return _state.depth


def is_autocast_cpu_enabled() -> bool:
    """The older name of ``is_autocast_enabled("cpu")``.

    >>> ag.is_autocast_cpu_enabled()
    False
    """
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """The older name of ``set_autocast_enabled("cpu", ...)``.

    >>> ag.set_autocast_cpu_enabled(False)
    """
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> DType:
    """The older name of ``get_autocast_dtype("cpu")``.

    >>> ag.get_autocast_cpu_dtype()
    argand.bfloat16
    """
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: Any) -> None:
    """The older name of ``set_autocast_dtype("cpu", ...)``.

    >>> ag.set_autocast_cpu_dtype(ag.bfloat16)
    """
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> DType:
    """The older name of ``get_autocast_dtype("cuda")``.

    >>> ag.get_autocast_gpu_dtype()
    argand.float16
    """
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: Any) -> None:
    """The older name of ``set_autocast_dtype("cuda", ...)``.

    >>> ag.set_autocast_gpu_dtype(ag.float16)
    """
    set_autocast_dtype("cuda", dtype)


def enter_block(device_type: str, enabled: bool, dtype: DType, caches: bool) -> Callable[[], None]:
    """Begin a block; returns what ends it."""
    before = _state.enabled[device_type], _state.dtypes[device_type], _state.caches

    def put(enabled: bool, dtype: DType, caches: bool) -> None:
        _state.enabled[device_type], _state.dtypes[device_type] = enabled, dtype
        _state.caches = caches
        _state.apply()

    def leave() -> None:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        put(*before)

    autocast_increment_nesting()
    put(enabled, dtype, caches)
    return leave
