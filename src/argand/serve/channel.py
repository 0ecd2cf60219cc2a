"""What the front process and a worker say to each other: short messages over a socket, and arrays
in memory that both have mapped.

Each end fills one segment of memory, again and again: the front with the arrays of a call, the
worker with its outputs. A worker computes one call at a time, so neither is filled before the other
end has read it. Segments have no names, so nothing is left behind, however a process ends.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final

import ml_dtypes  # noqa: F401  # NumPy knows the names of its dtypes from then on
import msgspec
import numpy as np

from argand.base.unnamed import unnamed_file
from argand.serve.options import BatchOptions
from argand.serve.signature import Findings
from argand.serve.tracing import Asker

_HEAD: Final = struct.Struct("<I")
_ALIGNED: Final = 64
_LEAST: Final = 1 << 16


class Placed(msgspec.Struct, array_like=True):
    """An array in a segment; or one of texts, which are in the message; or None."""

    dtype: str
    shape: tuple[int, ...]
    at: int = 0
    texts: list[Any] | None = None


Arrays = list[Placed | None]


class Load(msgspec.Struct, tag="load"):
    """Read a version and compile what its calls need; its file comes with the message."""

    version: int
    name: str
    batching: BatchOptions
    compare: bool


class Weights(msgspec.Struct, tag="weights"):
    """The weights of a version that is to be read, which a file of ONNX has apart; they come with
    the message."""

    version: int


class Packed(msgspec.Struct, tag="packed"):
    """Weights as the kernels of a version read them, in a file that comes with the message: to one
    that is to read the version, or from one that is about to say that it has."""

    version: int
    key: str


class Unload(msgspec.Struct, tag="unload"):
    """Let go of a version."""

    version: int


class Run(msgspec.Struct, tag="run"):
    """Compute a call. A file that comes with the message is the segment from now on."""

    version: int
    signature: str
    arrays: Arrays
    askers: Sequence[Asker] = ()  # which the worker's log names


class Loaded(msgspec.Struct, tag="loaded"):
    """A version was read; what trial calls have found out about its signatures."""

    version: int
    findings: dict[str, Findings]


class Done(msgspec.Struct, tag="done"):
    """The outputs of a call."""

    arrays: Arrays


class Failed(msgspec.Struct, tag="failed"):
    """A call, or the loading of a version, failed."""

    status: str
    message: str
    field: str | None = None
    version: int | None = None


Message = Load | Weights | Packed | Unload | Run | Loaded | Done | Failed


class Channel:
    """One end of the connection."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Message)

    def send(self, message: Message, file: int | None = None) -> None:
        """Send a message, and the descriptor of a file; OSError where nobody receives."""
        data = self._encoder.encode(message)
        data = _HEAD.pack(len(data)) + data
        sent = 0 if file is None else socket.send_fds(self.socket, [data], [file])
        self.socket.sendall(data[sent:])

    def receive(self) -> tuple[Message, int | None]:
        """The next message and the descriptor that came with it; EOFError where the other end is
        closed."""
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        try:
            head, files, *_ = socket.recv_fds(self.socket, _HEAD.size, 1, flags)
            if not head:
                raise EOFError
            head += self._exactly(_HEAD.size - len(head))
            data = self._exactly(_HEAD.unpack(head)[0])
        except OSError as error:
            raise EOFError from error
        return self._decoder.decode(data), files[0] if files else None

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self.socket.recv(min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Let the other end see that nothing comes any more."""
        self.socket.close()


class Segment:
    """Memory that this end fills."""

    def __init__(self) -> None:
        self._memory: Any = None
        self._size = 0

    def put(self, arrays: Sequence[Any]) -> tuple[Arrays, int | None]:
        """Copy arrays into it: where they are; and a new file, which the caller closes, where it
        had to become larger."""
        placed, size = _placed(arrays)
        file = self._grown(size) if size > self._size else None
        for array, place in zip(arrays, placed, strict=True):
            if place is not None and place.texts is None and array.size:
                there = np.frombuffer(self._memory, np.uint8, array.nbytes, place.at)
                there.view(array.dtype).reshape(array.shape)[...] = array
        return placed, file

    def _grown(self, size: int) -> int:
        size = max(_LEAST, 1 << (size - 1).bit_length())
        file = unnamed_file()
        try:
            os.ftruncate(file, size)
            self._memory = mmap.mmap(file, size)
        except BaseException:
            os.close(file)
            raise
        self._size = size
        return file


def _placed(arrays: Sequence[Any]) -> tuple[Arrays, int]:
    """Places for arrays one after another, and the bytes that they take."""
    found: Arrays = []
    at = 0
    for array in arrays:
        if array is None:
            found.append(None)
        elif array.dtype.kind in "OSU":
            found.append(Placed("object", array.shape, texts=array.ravel().tolist()))
        else:
            found.append(Placed(array.dtype.name, array.shape, at))
            at += -(-array.nbytes // _ALIGNED) * _ALIGNED
    return found, at


class Seen:
    """Memory that the other end fills."""

    def __init__(self) -> None:
        self._memory: Any = None

    def map(self, file: int) -> None:
        """Map a new segment, in place of the one before."""
        try:
            self._memory = mmap.mmap(file, 0)
        finally:
            os.close(file)

    def arrays(self, placed: Arrays) -> list[Any]:
        """Arrays in its memory, which hold until the other end fills it again."""
        return [None if p is None else self._array(p) for p in placed]

    def _array(self, place: Placed) -> np.ndarray:
        if place.texts is not None:
            made = np.empty(len(place.texts), object)
            made[:] = place.texts
            return made.reshape(place.shape)
        dtype = np.dtype(place.dtype)
        count = int(np.prod(place.shape))
        if not count:
            return np.empty(place.shape, dtype)
        there = np.frombuffer(self._memory, np.uint8, count * dtype.itemsize, place.at)
        return there.view(dtype).reshape(place.shape)


__all__ = [
    "Channel",
    "Done",
    "Failed",
    "Load",
    "Loaded",
    "Message",
    "Packed",
    "Run",
    "Seen",
    "Segment",
    "Unload",
    "Weights",
]
