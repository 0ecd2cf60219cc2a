"""A caching pool of memory for large arrays.

Giving memory back to the system costs more in page faults than most operations that fill it, so
blocks of 64 KB and more are kept. A block is an array that the handed-out arrays have as their
base: when the last of them is gone - a view that escaped to NumPy counts - the block dies and its
memory returns to the pool.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import sys
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from argand.base.settings import settings

SMALL: Final = 64 << 10
"""Arrays below this many bytes come from NumPy."""

_HUGE: Final = 2 << 20
_BYTE: Final = np.dtype(np.uint8)


class _Memory(mmap.mmap):
    """Pages from the system, and where in them the usable part begins."""

    start: int


class _Block(np.ndarray[Any, np.dtype[np.uint8]]):
    """The memory of one allocation; dies with the last array that is a view of it."""

    __slots__ = ()

    def __del__(self) -> None:
        memory: object = self.base
        if type(memory) is _Memory:
            _give(memory)


_free: Final[defaultdict[int, deque[_Memory]]] = defaultdict(deque)
_kept_bytes = 0


def _give(memory: _Memory) -> None:
    global _kept_bytes
    size = len(memory)
    if sys.is_finalizing() or _kept_bytes + size > settings.pool_bytes:
        return
    _kept_bytes += size
    _free[size].append(memory)


def size_class(size: int) -> int:
    """The bytes a block really has: at most an eighth more than asked, in whole pages."""
    step = max(4096, 1 << max(0, size.bit_length() - 4))
    whole = -(-size // step) * step
    # room to place the array on a huge page's border
    return whole + _HUGE if size >= _HUGE else whole


def _new(size: int) -> _Memory:
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    memory = _Memory(-1, size, flags=private) if private else _Memory(-1, size)
    memory.start = 0
    if size >= _HUGE:
        memory.start = -np.frombuffer(memory, np.uint8).ctypes.data % _HUGE
        if hasattr(mmap, "MADV_HUGEPAGE"):
            # a kernel without huge pages refuses: ordinary ones do
            with contextlib.suppress(OSError):
                memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _block(size: int) -> _Block:
    global _kept_bytes
    whole = size_class(size)
    try:
        memory = _free[whole].pop()
        _kept_bytes -= whole
    except IndexError:
        memory = _new(whole)
    return _Block((whole - memory.start,), _BYTE, memory, memory.start)


def empty(shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """An uninitialised array in C order; 64-byte aligned when it is 64 KB or larger.

    Like `numpy.empty`. The memory comes back to the pool when no array refers to it any more.

    >>> empty((3, 4), np.float64).shape
    (3, 4)
    """
    kind = np.dtype(dtype)
    size = kind.itemsize * (shape if isinstance(shape, int) else math.prod(shape))
    if size < SMALL or kind.hasobject:
        return np.empty(shape, kind)
    return np.ndarray(shape, kind, _block(size))


def kept_bytes() -> int:
    """Bytes that wait in the pool to be used again."""
    return _kept_bytes


def release() -> None:
    """Give all waiting memory back to the system."""
    global _kept_bytes
    _free.clear()
    _kept_bytes = 0
