"""The kernels that are loaded: their addresses by key, and the code, kept alive."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Library:
    """Entry points of loaded kernels.

    `make` builds and loads a kernel: it returns the address and whatever holds the code in memory.
    A key is built once, also when several threads ask for it at the same time.

    >>> library = Library()
    >>> library.address("key", lambda: (4096, object()))
    4096
    >>> "key" in library
    True
    """

    def __init__(self) -> None:
        self._kernels: dict[str, tuple[int, object]] = {}
        self._lock = threading.RLock()

    def address(self, key: str, make: Callable[[], tuple[int, object]]) -> int:
        """The address of the kernel of that key; built on the first request."""
        found = self._kernels.get(key)
        if found is None:
            with self._lock:
                found = self._kernels.get(key)
                if found is None:
                    found = self._kernels[key] = make()
        return found[0]

    def __contains__(self, key: str) -> bool:
        return key in self._kernels

    def __len__(self) -> int:
        return len(self._kernels)

    def clear(self) -> None:
        """Forget every kernel; the code is unloaded when nobody else holds it."""
        with self._lock:
            self._kernels.clear()


LIBRARY = Library()
"""The process's own library."""
