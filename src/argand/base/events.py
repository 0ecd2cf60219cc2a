"""A tiny event bus: rooms emit, tools listen, nobody imports the listeners.

>>> seen = []
>>> stop = listen("compiled", lambda **info: seen.append(info["program"]))
>>> emit("compiled", program="step")
>>> stop()
>>> seen
['step']
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_listeners: dict[str, list[Callable[..., None]]] = {}


def listen(name: str, callback: Callable[..., None]) -> Callable[[], None]:
    """Call `callback(**info)` at each event `name`; returns the function that stops it."""
    _listeners.setdefault(name, []).append(callback)

    def stop() -> None:
        _listeners[name].remove(callback)

    return stop


def emit(name: str, **info: Any) -> None:
    """Tell the listeners of `name`; costs one dictionary look-up when there are none."""
    listeners = _listeners.get(name)
    if listeners:
        for callback in tuple(listeners):
            callback(**info)
