"""Shared memory that goes back and forth: one end fills a segment, the other reads it in place and
gives it back, to be filled again.

So pages are made and mapped once, not with every batch. The memory is that of files without names;
neither end keeps a descriptor. Whatever was in use while a process forked is filled never again,
since the child may still read it.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
from collections import deque
from typing import Any, Final

import numpy as np

from argand.base.unnamed import unnamed_file

KEPT: Final = 4
"""How many segments wait to be filled again; others are given up."""

FEWEST: Final = 0.5
"""What part of a segment has to be filled, at least, for it to be used again."""


# -- pages -----------------------------------------------------------------------------------------


class _Mapped:
    """The pages of a file, mapped without holding its descriptor as `mmap` does."""

    def __init__(self, file: int, size: int, flags: int = 0) -> None:
        libc, flags = _libc(), mmap.MAP_SHARED | flags
        address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, 0)
        if address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, f"{size} bytes can't be mapped: {os.strerror(number)}")
        self.address, self.size = address, size
        self._unmap = libc.munmap  # modules may be gone before the last array

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self._unmap(self.address, self.size)


class _Bytes:
    """What NumPy makes an array of: some bytes of memory, and whom to tell when it is let go."""

    def __init__(self, pages: _Mapped, size: int) -> None:
        self.pages = pages
        self.__array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (pages.address, False),
            "version": 3,
        }


@functools.cache
def _libc() -> Any:
    found: Any = ctypes.CDLL(None, use_errno=True)
    word, number = ctypes.c_size_t, ctypes.c_int
    found.mmap.restype = word
    found.mmap.argtypes = [ctypes.c_void_p, word, number, number, number, ctypes.c_long]
    found.munmap.argtypes = [word, word]
    return found


_FAILED: Final = ctypes.c_size_t(-1).value

_forks: Final = [0]


def _forked() -> None:
    _forks[0] += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_forked, after_in_child=_forked)


# -- the end that fills ----------------------------------------------------------------------------


class Filled:
    """Segments that this end fills."""

    def __init__(self) -> None:
        self._pages: dict[int, _Mapped] = {}
        self._free: list[int] = []
        self._made = 0

    def fill(self, parts: list[tuple[int, memoryview]], size: int) -> tuple[int, int | None]:
        """Put parts at their places in a segment of some bytes: its number; and its file, which
        the caller closes, where the other end doesn't have it."""
        fitting = [i for i in self._free if FEWEST * self._pages[i].size <= size]
        fitting = [i for i in fitting if size <= self._pages[i].size]
        if not fitting:
            return self._new(parts, size)
        number = min(fitting, key=lambda i: self._pages[i].size)
        self._free.remove(number)
        there = np.asarray(_Bytes(self._pages[number], size))
        for at, part in parts:
            there[at : at + part.nbytes] = np.frombuffer(part, np.uint8)
        return number, None

    def _new(self, parts: list[tuple[int, memoryview]], size: int) -> tuple[int, int]:
        """A new segment; the number of one that waits in vain is its number."""
        file = filled_file(parts, size)
        try:
            pages = _Mapped(file, size)
        except BaseException:
            os.close(file)
            raise
        if self._free:
            number = self._free.pop(0)
        else:
            number, self._made = self._made, self._made + 1
        self._pages[number] = pages
        return number, file

    def returned(self, numbers: list[int]) -> None:
        """What the other end has read: i may be filled again, ~i is given up."""
        for number in numbers:
            if number >= 0:
                self._free.append(number)
            else:
                del self._pages[~number]


def filled_file(parts: list[tuple[int, memoryview]], size: int) -> int:
    """A new file with parts at their places."""
    file = unnamed_file()
    try:
        os.ftruncate(file, size)
        for at, part in parts:
            _write(file, part, at)
    except BaseException:
        os.close(file)
        raise
    return file


def _write(file: int, data: memoryview, at: int) -> None:
    while data:
        count = os.pwrite(file, data, at)
        data, at = data[count:], at + count


# -- the end that reads ----------------------------------------------------------------------------


class _Loan(_Bytes):
    """A segment that is being read; when no array has it any more it goes back."""

    def __init__(self, reader: Read, number: int, pages: _Mapped, size: int) -> None:
        super().__init__(pages, size)
        self._reader, self._number, self._forks = reader, number, _forks[0]

    def __del__(self) -> None:
        self._reader.give_back(self._number, self._forks)


class Read:
    """Segments that the other end fills."""

    def __init__(self) -> None:
        self._pages: dict[int, _Mapped] = {}
        self._waiting: set[int] = set()  # with the other end, or on the way to it
        self._back: deque[int] = deque()
        self._forks, self._kept = _forks, KEPT  # modules may be gone before the last array

    def array(self, number: int, file: int | None, size: int) -> np.ndarray:
        """The bytes of a segment, in its own pages."""
        if file is not None:
            self._pages[number] = _Mapped(file, size, getattr(mmap, "MAP_POPULATE", 0))
        self._waiting.discard(number)
        return np.asarray(_Loan(self, number, self._pages[number], size))

    def give_back(self, number: int, forks: int) -> None:
        """Let a segment be filled again, or give it up."""
        if forks == self._forks[0] and len(self._waiting) < self._kept:
            self._waiting.add(number)
            self._back.append(number)
        else:
            self._pages.pop(number, None)
            self._back.append(~number)

    def to_return(self) -> list[int]:
        """The numbers that the other end is to be told, once."""
        return [self._back.popleft() for _ in range(len(self._back))]
