"""The bytes of a file by their places: read, or mapped into memory."""

from __future__ import annotations

import contextlib
import io
import mmap as maps
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from argand.base.errors import FormatError

_WINDOW = 1 << 16

# Compressed contents are refused where all of them together would take more than this, and more
# than so many times the file.
_SMALL, _RATIO = 1 << 26, 200


class Source:
    """The bytes of an open file from its position on: `size` of them, at places from 0.

    With `mapped` their memory is that of the file, private to the process: pages are read when they
    are used, and what is written to them is not written to the file.
    """

    def __init__(self, file: Any, name: str, mapped: bool) -> None:
        self.name = name
        self.file = file
        self.start = file.tell()
        self.size = file.seek(0, os.SEEK_END) - self.start
        self.map = None
        if mapped and self.size:
            self.map = maps.mmap(file.fileno(), 0, access=maps.ACCESS_COPY)

    def read(self, place: int, count: int) -> bytes:
        """Some bytes, as many as asked for; FormatError where the file has fewer."""
        self._check(place, count)
        self.file.seek(self.start + place)
        parts = []
        while count:
            part = self.file.read(count)
            if not part:
                raise self.error("truncated: it ends before its contents do")
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def array(self, place: int, count: int) -> np.ndarray:
        """Some bytes as a vector of uint8 that may be written."""
        self._check(place, count)
        if self.map is not None:
            return np.frombuffer(self.map, np.uint8, count, self.start + place)
        if not hasattr(self.file, "readinto"):
            return np.frombuffer(bytearray(self.read(place, count)), np.uint8)
        made = np.empty(count, np.uint8)
        self.fill(made, place)
        return made

    def fill(self, array: np.ndarray, place: int) -> None:
        """Read bytes into a vector of uint8."""
        self._check(place, array.size)
        if not hasattr(self.file, "readinto"):
            array[:] = np.frombuffer(self.read(place, array.size), np.uint8)
            return
        self.file.seek(self.start + place)
        rest = array.data
        while len(rest):
            count = self.file.readinto(rest)
            if not count:
                raise self.error("truncated: it ends before its contents do")
            rest = rest[count:]

    def check_growth(self, total: int) -> None:
        """Refuse compressed contents that are made to fill the memory."""
        if total > max(_SMALL, _RATIO * self.size):
            raise self.error(
                f"{self.size} bytes that would take {total} when they are read are refused; if "
                "that is what the file should be, write it without compression"
            )

    def leave_at(self, place: int) -> None:
        """Leave the open file behind what was read, where another object may follow."""
        self.file.seek(self.start + place)

    def error(self, reason: str) -> FormatError:
        """The error that names the file and what is wrong with it."""
        return FormatError(f"{self.name}: {reason}")

    def _check(self, place: int, count: int) -> None:
        if place < 0 or count < 0 or place + count > self.size:
            raise self.error(
                f"truncated: its contents would reach byte {place + count} of {self.size}"
            )


class Stream:
    """The bytes of a source one after another, read in windows."""

    def __init__(self, source: Source, place: int = 0, end: int | None = None) -> None:
        self.source = source
        self.end = source.size if end is None else end
        self.size = self.end - place
        self._next = place  # the place behind the window
        self._window = b""
        self._at = 0

    @property
    def place(self) -> int:
        """The place of the next byte."""
        return self._next - len(self._window) + self._at

    def take(self, count: int) -> bytes:
        """The next bytes, as many as asked for."""
        at = self._at
        if at + count > len(self._window):
            self._load(count)
            at = 0
        self._at = at + count
        return self._window[at : at + count]

    def line(self, most: int = 1000) -> bytes:
        """The bytes up to the next end of a line, which is left out."""
        found = bytearray()
        while (byte := self.take(1)) != b"\n":
            found += byte
            if len(found) > most:
                raise self.source.error(f"a name of more than {most} bytes")
        return bytes(found)

    def _load(self, count: int) -> None:
        rest = self._window[self._at :]
        wanted = max(count - len(rest), min(_WINDOW, self.end - self._next))
        if wanted > self.end - self._next:
            raise self.source.error("truncated: it ends before its contents do")
        self._window = rest + self.source.read(self._next, wanted)
        self._next += wanted
        self._at = 0


@contextlib.contextmanager
def opened(f: Any, mmap: bool = False) -> Iterator[Source]:
    """The source of a path, or of a binary file that is open.

    Raises TypeError for what is neither, and for a file that was opened as text.
    """
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            yield Source(file, os.fspath(f), mmap)
        return
    if not hasattr(f, "read"):
        raise TypeError(f"load takes a path or a binary file that is open, got {type(f).__name__}")
    if mmap:
        raise ValueError("mmap=True maps a file by its path; give the path, not an open file")
    yield Source(_seekable(f), str(getattr(f, "name", "the open file")), False)


def _seekable(f: Any) -> Any:
    """The file itself, or where it can't be read at any place, its contents."""
    if isinstance(f, io.TextIOBase) or isinstance(f.read(0), str):
        raise TypeError("load reads bytes: open the file with mode 'rb', not as text")
    if hasattr(f, "seek") and hasattr(f, "tell") and getattr(f, "seekable", lambda: True)():
        return f
    return io.BytesIO(f.read())


__all__ = ["Source", "Stream", "opened"]
