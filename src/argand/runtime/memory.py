"""A caching pool of memory for large arrays.

Giving memory back to the system costs more in page faults than most operations that fill it, so
blocks of 64 KB and more are cached. A block is an array that the handed-out arrays have as their
base, and is free when only the pool refers to it: a view that escaped to NumPy keeps it in use.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import mmap
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from sys import getrefcount
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from argand.base.errors import OutOfMemoryError
from argand.base.settings import settings

SMALL: Final = 64 << 10
"""Arrays below this many bytes come from NumPy."""

_HUGE: Final = 2 << 20


Block = NDArray[np.uint8]

_blocks: Final[defaultdict[int, deque[Block]]] = defaultdict(deque)
_total = 0

_TRIES: Final = 8
_ARENA_MAX: Final = -8  # of glibc's mallopt


def _references() -> int:
    """What `getrefcount` says of a block that only a variable refers to; Pythons differ."""
    queue = deque([np.empty(1, np.uint8)])
    block = queue.pop()
    return getrefcount(block)


_UNUSED: Final = _references()


@functools.lru_cache(maxsize=4096)
def size_class(size: int) -> int:
    """The bytes a block really has: at most an eighth more than asked, in whole pages."""
    step = max(4096, 1 << max(0, size.bit_length() - 4))
    return -(-size // step) * step


def _new(size: int) -> Block:
    """A block from the system; from 2 MB on it begins at a huge page's border."""
    total = size + _HUGE if size >= _HUGE else size
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    try:
        memory = mmap.mmap(-1, total, flags=private) if private else mmap.mmap(-1, total)
    except (OSError, OverflowError):
        raise OutOfMemoryError(f"{size:,} bytes of memory are not to be had") from None
    start = 0
    if size >= _HUGE:
        start = -np.frombuffer(memory, np.uint8).ctypes.data % _HUGE
        if hasattr(mmap, "MADV_HUGEPAGE"):
            # a kernel without huge pages refuses: ordinary ones do
            with contextlib.suppress(OSError):
                memory.madvise(mmap.MADV_HUGEPAGE)
    return np.ndarray((size,), np.uint8, memory, start)


def _grow(size: int) -> Block:
    """A new block, known to the pool if it has room; free blocks of other sizes make room."""
    global _total
    if _total + size > settings.pool_bytes:
        trim()
    block = _new(size)
    if _total + size <= settings.pool_bytes:
        _total += size
        _blocks[size].append(block)
    return block


def _array(shape: int | Sequence[int], kind: np.dtype[Any], size: int) -> NDArray[Any]:
    """An array on a block that nothing refers to.

    The block used last is tried first, since it is in the cache; then those unused for longest. A
    block is out of the queue while it is looked at, so two threads never take the same.
    """
    queue = _blocks[size]
    take, put = queue.pop, queue.append
    for _ in range(_TRIES):
        try:
            block = take()
        except IndexError:
            break
        if getrefcount(block) == _UNUSED:
            result: NDArray[Any] = np.ndarray(shape, kind, block)
            queue.append(block)
            return result
        put(block)
        take, put = queue.popleft, queue.append
    return np.ndarray(shape, kind, _grow(size))


def empty(shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """An uninitialised array in C order; 64-byte aligned when it is 64 KB or larger.

    Like `numpy.empty`. The memory comes back to the pool when no array refers to it any more.

    >>> empty((3, 4), np.float64).shape
    (3, 4)
    """
    kind = dtype if isinstance(dtype, np.dtype) else np.dtype(dtype)
    size = kind.itemsize * (shape if isinstance(shape, int) else math.prod(shape))
    if size < SMALL or kind.hasobject:
        return np.empty(shape, kind)
    return _array(shape, kind, size_class(size))


def _free_blocks() -> Iterator[Block]:
    """Take each unused block out of its queue and yield it."""
    for queue in list(_blocks.values()):
        for _ in range(len(queue)):
            try:
                block = queue.popleft()
            except IndexError:
                break
            if getrefcount(block) == _UNUSED:
                yield block
            else:
                queue.append(block)


def trim() -> None:
    """Give all memory that waits to be used again back to the system."""
    global _total
    _total -= sum(block.nbytes for block in _free_blocks())


def give_back() -> None:
    """Give all memory that nothing uses back to the system: the pool's, and what the C library
    keeps of freed arrays."""
    trim()
    release = _of_glibc("malloc_trim")
    if release is not None:
        release(0)


@functools.cache
def let_threads_share_an_arena() -> None:
    """Let threads that begin from now on take what is no pool's block from one heap. Else each has
    its own, of which `give_back` can't give back the end: freed weights would stay there."""
    choose = _of_glibc("mallopt")
    if choose is not None:
        choose(_ARENA_MAX, 1)


def _of_glibc(name: str) -> Any:
    """A function of glibc; None with other C libraries."""
    try:
        library = ctypes.CDLL(None)
        return getattr(library, name) if hasattr(library, "gnu_get_libc_version") else None
    except (OSError, TypeError):
        return None
