"""`argand.cpu`: the one device, under the names that programs for any device use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argand.base.absent import NoStream
from argand.cpu import amp as amp


def is_available() -> bool:
    """True: Argand computes on the CPU.

    >>> ag.cpu.is_available()
    True
    """
    return True


def is_initialized() -> bool:
    """True: there is nothing to initialize.

    >>> ag.cpu.is_initialized()
    True
    """
    return True


def device_count() -> int:
    """1: the CPU, whatever the number of its cores.

    >>> ag.cpu.device_count()
    1
    """
    return 1


def current_device() -> str:
    """The name of the one device.

    >>> ag.cpu.current_device()
    'cpu'
    """
    return "cpu"


def set_device(device: Any) -> None:
    """Changes nothing: there is one device.

    >>> ag.cpu.set_device("cpu")
    """


def synchronize(device: Any = None) -> None:
    """Nothing to wait for: operations have ended when they return.

    >>> ag.cpu.synchronize()
    """


def get_capabilities() -> Mapping[str, Any]:
    """Which instructions the machine has, by PyTorch's names for them.

    >>> "architecture" in ag.cpu.get_capabilities()
    True
    """
    from argand.backends.cpu.capability import capabilities  # brings LLVM with it

    return capabilities()


class Stream:
    """A queue of operations, of which there is one: they end before they return.

    >>> ag.cpu.Stream().wait_stream(ag.cpu.current_stream())
    """

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Nothing to wait for."""

    def record_event(self) -> None:
        """Nothing to note."""

    def wait_event(self, event: Any) -> None:
        """Nothing to wait for."""


class Event:
    """A place in a queue of operations, which has been reached.

    >>> ag.cpu.Event().query()
    True
    """

    def query(self) -> bool:
        """True: all operations before it have ended."""
        return True

    def record(self, stream: Any = None) -> None:
        """Nothing to note."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for."""


_STREAM = Stream()


def current_stream(device: Any = None) -> Stream:
    """The one queue of operations.

    >>> ag.cpu.current_stream() is ag.cpu.current_stream()
    True
    """
    return _STREAM


StreamContext = stream = NoStream

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "device_count",
    "get_capabilities",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]
