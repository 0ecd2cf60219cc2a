"""Objects sent between processes: their arrays in shared memory, the rest pickled.

The shared memory is files without names, whose descriptors go through a socket (`segments`); so
there is nothing to be removed, however a process ends. The pickles are of this program's own
processes, by the pickler of `multiprocessing`.
"""

from __future__ import annotations

import io
import os
import socket
import struct
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

import numpy as np

from argand.base.shape import stored_order
from argand.data.segments import Filled, Read, filled_file

_HEAD: Final = struct.Struct("<QQqQ")
"""Bytes in all; parts in shared memory, 0 where there is none; the segment that they are in; how
many segments go back, whose numbers follow."""

_NO_SEGMENT: Final = -1
_INLINE: Final = 4096
"""Up to so many bytes without arrays go through the socket itself."""

_COPIED: Final = 1 << 17
"""Less shared memory than this is copied, which is faster than to map it."""

_ALIGNED: Final = 64


# -- objects and bytes -----------------------------------------------------------------------------


class _Pickler(ForkingPickler):
    """Leaves the memory of arrays to a list of buffers."""

    def reducer_override(self, thing: Any) -> Any:
        """Arrays that are dense in some order of their dimensions travel as their bytes, whose
        memory NumPy leaves out."""
        if type(thing) is not np.ndarray or thing.dtype.hasobject or not thing.nbytes:
            return NotImplemented
        if thing.dtype == np.uint8 and thing.ndim == 1 and thing.flags.c_contiguous:
            return NotImplemented
        order = stored_order(thing.strides)
        dense = thing.transpose(order)
        if not dense.flags.c_contiguous:
            order, dense = list(range(thing.ndim)), np.ascontiguousarray(thing)
        return _array, (dense.reshape(-1).view(np.uint8), thing.dtype, dense.shape, order)


def _array(data: np.ndarray, dtype: Any, shape: tuple[int, ...], order: list[int]) -> np.ndarray:
    """The array that has some bytes."""
    array: np.ndarray = data.view(dtype).reshape(shape)
    return array.transpose(np.argsort(order))


def _dumped(thing: Any) -> tuple[memoryview, list[memoryview]]:
    """A pickle, and the memory that is left out of it."""
    file, buffers = io.BytesIO(), []  # type: ignore[var-annotated]  # PickleBuffers
    _Pickler(file, 5, True, buffers.append).dump(thing)
    return file.getbuffer(), [buffer.raw() for buffer in buffers]


# -- shared memory ---------------------------------------------------------------------------------


def _placed(parts: list[memoryview]) -> tuple[list[tuple[int, memoryview]], int]:
    """A table of places and then the parts, each aligned and with its place; and the whole size."""
    at = 16 * len(parts)
    placed = []
    for part in parts:
        at = -(-at // _ALIGNED) * _ALIGNED
        placed.append((at, part))
        at += part.nbytes
    table = np.array([(place, part.nbytes) for place, part in placed], np.int64)
    return [(0, table.data.cast("B")), *placed], at


def _parts(data: np.ndarray, count: int) -> list[memoryview]:
    """The parts that were placed; small ones are copied, so that they hold nothing else."""
    table = data[: 16 * count].view(np.int64).reshape(-1, 2).tolist()
    found = (data[at : at + length] for at, length in table)
    return [(part if part.nbytes > _COPIED else part.copy()).data for part in found]


def _read(file: int, size: int) -> np.ndarray:
    """The bytes of a file, copied."""
    found = np.empty(size, np.uint8)
    view, at = memoryview(found.data), 0
    while at < size:
        count = os.preadv(file, [view[at:]], at)
        if not count:
            raise EOFError
        at += count
    return found


# -- the socket ------------------------------------------------------------------------------------


class Channel:
    """One end of a connection between two processes."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._filled, self._read = Filled(), Read()

    def fileno(self) -> int:
        """The descriptor, for `multiprocessing.connection.wait`."""
        return self.socket.fileno()

    def close(self) -> None:
        """Let the other end see that nothing comes any more."""
        self.socket.close()

    def send(self, thing: Any) -> None:
        """Send an object; raises what pickling it raises, or OSError where nobody receives."""
        head, buffers = _dumped(thing)
        if not buffers and head.nbytes <= _INLINE:
            self._say(head.nbytes, 0, _NO_SEGMENT, None, head)
            return
        parts = [head, *buffers]
        placed, size = _placed(parts)
        if size > _COPIED:
            number, file = self._filled.fill(placed, size)
        else:
            number, file = _NO_SEGMENT, filled_file(placed, size)
        try:
            self._say(size, len(parts), number, file)
        finally:
            if file is not None:
                os.close(file)

    def _say(
        self, size: int, parts: int, number: int, file: int | None, rest: memoryview | bytes = b""
    ) -> None:
        back = self._read.to_return()
        text = _HEAD.pack(size, parts, number, len(back)) + struct.pack(f"<{len(back)}q", *back)
        if file is None:
            self.socket.sendall(text + rest)
        else:
            socket.send_fds(self.socket, [text], [file])

    def receive(self) -> Any:
        """The next object; raises EOFError where the other end is closed."""
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        try:
            head, files, *_ = socket.recv_fds(self.socket, _HEAD.size, 1, flags)
            head += self._exactly(_HEAD.size - len(head), not head)
            size, count, number, back = _HEAD.unpack(head)
            self._filled.returned(list(struct.unpack(f"<{back}q", self._exactly(8 * back))))
            if not count:
                return ForkingPickler.loads(self._exactly(size))
        except ConnectionError:
            raise EOFError from None
        try:
            data = self._data(number, files[0] if files else None, size)
        finally:
            for file in files:
                os.close(file)
        first, *rest = _parts(data, count)
        return ForkingPickler.loads(first, buffers=rest)

    def _data(self, number: int, file: int | None, size: int) -> np.ndarray:
        if number != _NO_SEGMENT:
            return self._read.array(number, file, size)
        if file is None:
            raise EOFError
        return _read(file, size)

    def _exactly(self, size: int, closed: bool = False) -> bytes:
        found = b""
        while len(found) < size:
            more = b"" if closed else self.socket.recv(size - len(found))
            if not more:
                raise EOFError
            found += more
        return found


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a connection."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
