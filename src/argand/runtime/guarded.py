"""Memory between closed pages, for tests: what reads or writes past a buffer crashes.

A buffer ends (or begins) at a page that nobody may touch. Where its alignment leaves a gap to the
page, the gap holds a pattern that is checked after the call. Memory that nobody has written yet
holds NaN.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAGE", "POISON", "Fence", "fenced", "fenced_copy"]

PAGE: Final = mmap.PAGESIZE
POISON: Final = 0xFF
"""Four of these bytes are a NaN, and so are two or eight; as an integer they are no index."""

_CANARY: Final = 0xA5
_NO_ACCESS: Final = 0


@functools.cache
def _protect() -> Callable[[int, int, int], int]:
    function = ctypes.CDLL(None, use_errno=True).mprotect
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    function.restype = ctypes.c_int
    found: Callable[[int, int, int], int] = function
    return found


class Fence:
    """Memory whose pages at the offsets `closed` are out of bounds, and whose `gaps` - (begin, end)
    in bytes - must stay as they are. All else is poisoned."""

    def __init__(self, size: int, closed: Sequence[int], gaps: Sequence[tuple[int, int]]) -> None:
        self._memory = mmap.mmap(-1, max(PAGE, -(-size // PAGE) * PAGE))
        self.bytes: NDArray[np.uint8] = np.frombuffer(self._memory, np.uint8)
        self.gaps = [(begin, end) for begin, end in gaps if begin < end]
        self._open = np.ones(len(self.bytes) // PAGE, bool)
        self._open[[at // PAGE for at in closed]] = False
        for at in closed:
            address = self.bytes.ctypes.data + at
            if _protect()(address, PAGE, _NO_ACCESS):
                raise OSError(ctypes.get_errno(), "a page could not be closed")
        self.poison()

    def poison(self) -> None:
        """Fill the memory with NaN, and the gaps with their pattern."""
        self.bytes.reshape(-1, PAGE)[self._open] = POISON
        for begin, end in self.gaps:
            self.bytes[begin:end] = _CANARY

    def check(self, what: str) -> None:
        """Raise if something was written into a gap."""
        for begin, end in self.gaps:
            wrong = np.flatnonzero(self.bytes[begin:end] != _CANARY)
            if wrong.size:
                raise MemoryError(
                    f"native code wrote beside {what}, {wrong[0]} bytes into a gap of "
                    f"{end - begin}; this is a defect of Argand"
                )


def fenced(nbytes: int, side: str, alignment: int) -> tuple[Fence, NDArray[np.uint8]]:
    """Memory between two closed pages, which it touches at its "end" (but for its alignment) or at
    its "start"; and its bytes."""
    room = -(-nbytes // PAGE) * PAGE
    first, last = PAGE, PAGE + room
    begin = first if side == "start" else last - -(-nbytes // alignment) * alignment
    end = begin + nbytes
    fence = Fence(last + PAGE, [0, last], [(first, begin), (end, last)])
    return fence, fence.bytes[begin:end]


def fenced_copy(a: Any, side: str) -> tuple[Fence, Any]:
    """An array in memory of its own between closed pages, with the same strides."""
    if a.size == 0 or any(s < 0 for s in a.strides):
        return Fence(0, [], []), a
    nbytes = sum((n - 1) * s for n, s in zip(a.shape, a.strides, strict=True)) + a.itemsize
    fence, memory = fenced(nbytes, side, a.itemsize)
    memory[:] = np.frombuffer((ctypes.c_uint8 * nbytes).from_address(a.ctypes.data), np.uint8)
    return fence, np.ndarray(a.shape, a.dtype, memory, 0, a.strides)
