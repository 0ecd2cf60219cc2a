"""The kernels that are loaded: their addresses by key, and references to the code."""

from __future__ import annotations

from collections.abc import Callable

from argand.base.forks import lock_held_over_forks


class Library:
    """Entry points of loaded kernels.

    A key is built once, also when several threads ask for it at the same time. The code stays for
    as long as the library does.

    >>> library = Library()
    >>> library.address("key", lambda: (4096, object()))
    4096
    """

    def __init__(self) -> None:
        self._kernels: dict[str, tuple[int, object]] = {}
        self._lock = lock_held_over_forks("kernels")

    def address(self, key: str, make: Callable[[], tuple[int, object]]) -> int:
        """The address of the kernel of that key.

        On the first request `make` builds and loads it: it returns the address and whatever holds
        the code in memory.
        """
        with self._lock:
            if key not in self._kernels:
                self._kernels[key] = make()
            return self._kernels[key][0]

    def code(self, key: str) -> object:
        """What holds the code of a kernel that was loaded."""
        return self._kernels[key][1]


LIBRARY = Library()
"""The process's own library."""
