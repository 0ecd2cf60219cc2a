"""Objects sent between processes: their arrays in shared memory, the rest pickled.

The shared memory is a file without a name, whose descriptor goes through a socket; so there is
nothing to be removed, however a process ends. The pickles are of this program's own processes, by
the pickler of `multiprocessing`.
"""

from __future__ import annotations

import ctypes
import functools
import io
import mmap
import os
import socket
import struct
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

import numpy as np

from argand.base.shape import stored_order
from argand.base.unnamed import unnamed_file

_HEAD: Final = struct.Struct("<QQ")  # bytes in all; parts in shared memory, 0 where there is none
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


def _write(file: int, data: memoryview, at: int) -> None:
    while data:
        count = os.pwrite(file, data, at)
        data, at = data[count:], at + count


def _filled(parts: list[memoryview]) -> tuple[int, int]:
    """A file with a table of places and then the parts, each aligned; and its size."""
    at = 16 * len(parts)
    table = []
    for part in parts:
        at = -(-at // _ALIGNED) * _ALIGNED
        table.append((at, part.nbytes))
        at += part.nbytes
    file = unnamed_file()
    try:
        os.ftruncate(file, at)
        _write(file, np.array(table, np.int64).data.cast("B"), 0)
        for (place, _), part in zip(table, parts, strict=True):
            _write(file, part, place)
    except BaseException:
        os.close(file)
        raise
    return file, at


class _Mapped:
    """The pages of a file, mapped without holding its descriptor as `mmap` does."""

    def __init__(self, file: int, size: int) -> None:
        libc, flags = _libc(), mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
        address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, 0)
        if address == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, f"{size} bytes can't be mapped: {os.strerror(number)}")
        self._at, self._size = address, size
        self._unmap = libc.munmap  # modules may be gone before the last array
        self.__array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
        }

    def __del__(self) -> None:
        if hasattr(self, "_at"):
            self._unmap(self._at, self._size)


@functools.cache
def _libc() -> Any:
    found: Any = ctypes.CDLL(None, use_errno=True)
    word, number = ctypes.c_size_t, ctypes.c_int
    found.mmap.restype = word
    found.mmap.argtypes = [ctypes.c_void_p, word, number, number, number, ctypes.c_long]
    found.munmap.argtypes = [word, word]
    return found


_FAILED: Final = ctypes.c_size_t(-1).value


def _read(file: int, size: int) -> np.ndarray:
    """The bytes of a file: in the file's own pages, or copied where they are few."""
    if size > _COPIED:
        return np.asarray(_Mapped(file, size))
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
            self.socket.sendall(_HEAD.pack(head.nbytes, 0) + head)
            return
        parts = [head, *buffers]
        file, size = _filled(parts)
        try:
            socket.send_fds(self.socket, [_HEAD.pack(size, len(parts))], [file])
        finally:
            os.close(file)

    def receive(self) -> Any:
        """The next object; raises EOFError where the other end is closed."""
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        try:
            head, files, *_ = socket.recv_fds(self.socket, _HEAD.size, 1, flags)
            size, count = _HEAD.unpack(head + self._exactly(_HEAD.size - len(head), not head))
            if not count:
                return ForkingPickler.loads(self._exactly(size))
        except ConnectionError:
            raise EOFError from None
        try:
            data = _read(files[0], size)
        finally:
            os.close(files[0])
        table = data[: 16 * count].view(np.int64).reshape(-1, 2).tolist()
        first, *rest = (data[at : at + length].data for at, length in table)
        return ForkingPickler.loads(first, buffers=rest)

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
