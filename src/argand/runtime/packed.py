"""Arrays that are computed once and kept on disk: the weights of a program as its kernels read
them.

A file is mapped, so processes that use the same one share its pages. It holds a header, a sum of
the words of each page, and the arrays. The header has a SHA-256; the sums find pages that were lost
or changed, at the speed of memory. What doesn't fit is a miss. The folder is bounded: the files
that were not used for longest make room.

Processes that are to share arrays whatever becomes of the folder give each other files without a
name, on a `Shelf`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from argand.base.dtype import as_dtype
from argand.base.kept import keep_file
from argand.base.settings import settings
from argand.base.unnamed import unnamed_file

__all__ = ["Shelf", "is_sharing", "keep_packed", "packed", "sharing"]

_MAGIC: Final = b"argand-packed-1\n"
_DIGEST: Final = 32
_PAGE: Final = 4096
_ALIGNMENT: Final = 64
_LEAST: Final = 64 << 10
"""What the smallest file counts as: it bounds how many there are."""

_POPULATED: Final = getattr(mmap, "MAP_POPULATE", 0)
Array = np.ndarray[Any, Any]


class Shelf:
    """Files without a name, by the keys of what is in them: those that another process has given,
    and `made`, those that this one can give. They are this object's until `close`, and what was
    mapped stays mapped."""

    def __init__(self) -> None:
        self.files: dict[str, int] = {}
        self.made: list[str] = []

    def put(self, key: str, parts: Sequence[Any]) -> bool:
        """Make a file of some buffers; False where there is no memory for it."""
        try:
            with open(unnamed_file(), "wb") as file:
                file.writelines(parts)
                file.flush()
                self.files[key] = os.dup(file.fileno())
        except OSError:
            return False
        self.made.append(key)
        return True

    def close(self) -> None:
        """Give the files up."""
        for file in self.files.values():
            os.close(file)
        self.files, self.made = {}, []


_shelf: ContextVar[Shelf | None] = ContextVar("shelf", default=None)


@contextlib.contextmanager
def sharing(shelf: Shelf) -> Iterator[None]:
    """Within the block, in this thread, packed arrays are such as other processes can map too: in
    the folder, or where that can't be, on the shelf."""
    token = _shelf.set(shelf)
    try:
        yield
    finally:
        _shelf.reset(token)


def is_sharing() -> bool:
    """Whether this is such a block."""
    return _shelf.get() is not None


class _Piece(NamedTuple):
    """An array of a file: where it begins among the pages."""

    dtype: str
    shape: list[int]
    place: int


def packed(key: str) -> list[Array] | None:
    """The arrays that were kept under a name, read-only; None where they are not there, or not
    whole."""
    path, shelf = _path(key), _shelf.get()
    try:
        if shelf is not None and key in shelf.files:
            return _arrays(shelf.files[key], key)
        if path is None:
            return None
        with open(path, "rb") as file:
            found = _arrays(file.fileno(), key)
        os.utime(path)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return found


def _arrays(file: int, key: str) -> list[Array]:
    """The arrays of a file; ValueError where it is not whole."""
    data = _mapped(file)
    pieces, first, sums = _head(data, key)
    pages = np.frombuffer(data, "<u8", offset=first).reshape(-1, _PAGE // 8)
    if not np.array_equal(pages.sum(1, dtype=np.uint64), sums):
        raise ValueError("damaged")
    return [_array(data, first, piece) for piece in pieces]


def keep_packed(key: str, arrays: Sequence[Array]) -> bool:
    """Keep arrays under a name; False where that is not possible, or they are too large."""
    path, shelf = _path(key), _shelf.get()
    pieces, size = [], 0
    for array in arrays:
        if not array.flags.c_contiguous:
            return False
        pieces.append(_Piece(as_dtype(array.dtype).name, list(array.shape), size))
        size += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    size = -(-max(size, 1) // _PAGE) * _PAGE
    on_disk = path is not None and _has_room(path.parent, size)
    if not on_disk and shelf is None:
        return False
    content = np.zeros(size, np.uint8)
    for piece, array in zip(pieces, arrays, strict=True):
        end = piece.place + array.nbytes
        content[piece.place : end] = np.frombuffer(array.reshape(-1).view(np.uint8), np.uint8)
    sums = content.view("<u8").reshape(-1, _PAGE // 8).sum(1, dtype=np.uint64)
    parts = [_head_bytes(key, pieces, sums), content.data]
    if path is not None and on_disk and keep_file(path, parts):
        return True
    return shelf is not None and shelf.put(key, parts)


def _path(key: str) -> Path | None:
    wanted = settings.cache and settings.packed_bytes > 0
    return Path(settings.cache_dir) / "packed" / f"{key}.bin" if wanted else None


def _mapped(file: int) -> mmap.mmap:
    """The file's pages, shared with the processes that have it mapped, and read ahead."""
    if hasattr(mmap, "MAP_SHARED"):
        flags = mmap.MAP_SHARED | _POPULATED
        return mmap.mmap(file, 0, flags=flags, prot=mmap.PROT_READ)
    return mmap.mmap(file, 0, access=mmap.ACCESS_READ)


# -- the header: magic, SHA-256, length of the JSON, JSON, sums; then whole pages ------------------


def _head_bytes(key: str, pieces: Sequence[_Piece], sums: Array) -> bytes:
    text = json.dumps({"key": key, "arrays": pieces, "pages": len(sums)}).encode()
    text += b" " * (-len(text) % 8)
    body = len(text).to_bytes(8, "little") + text + sums.astype("<u8").tobytes()
    head = _MAGIC + hashlib.sha256(body).digest() + body
    return head + bytes(-len(head) % _PAGE)


def _head(data: mmap.mmap, key: str) -> tuple[list[_Piece], int, Array]:
    """The arrays of a file, where its pages begin, and their sums; ValueError where it is none."""
    start = len(_MAGIC) + _DIGEST
    length = int.from_bytes(data[start : start + 8], "little")
    fields = json.loads(data[start + 8 : start + 8 + length])
    count = fields["pages"]
    at = start + 8 + length
    end = at + 8 * count
    first = -(-end // _PAGE) * _PAGE
    digest = hashlib.sha256(memoryview(data)[start:end]).digest()
    if data[:start] != _MAGIC + digest or fields["key"] != key:
        raise ValueError("another file, or damaged")
    if first + count * _PAGE != len(data):
        raise ValueError("truncated")
    sums = np.frombuffer(data, "<u8", count, at)
    return [_Piece(*piece) for piece in fields["arrays"]], first, sums


def _array(data: mmap.mmap, first: int, piece: _Piece) -> Array:
    dtype = as_dtype(piece.dtype).numpy
    return np.ndarray(tuple(piece.shape), dtype, data, first + piece.place)


# -- the folder ------------------------------------------------------------------------------------


def _has_room(folder: Path, size: int) -> bool:
    """Make room for so many bytes; False where they would fill the bound, or the disk, too far."""
    bound = settings.packed_bytes
    if size > bound:
        return False
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < 4 * size:
            return False
        files = sorted(_files(folder))
        rest = max(size, _LEAST) + sum(counted for _, counted, _ in files)
        for _, counted, path in files:
            if rest <= bound:
                break
            path.unlink(missing_ok=True)  # who has it mapped keeps its pages
            rest -= counted
        return bool(rest <= bound)
    return False


def _files(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """When each file was used last, what it counts, and its name."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            stat = path.stat()
            yield stat.st_mtime_ns, max(stat.st_size, _LEAST), path
