"""PyTorch's oldest files, of before 0.2: tar archives."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from argand.io.places import Placer
from argand.io.source import Source, Stream
from argand.io.storages import Storage, StorageType
from argand.io.torch_files import decoded, description, part_of, pickled


def is_tar(source: Source) -> bool:
    """Whether a source begins as a tar archive."""
    return source.size >= 512 and source.read(257, 5) == b"ustar"


def load_tar(source: Source, place: Placer, encoding: str) -> Any:
    """What `torch.save` wrote before 0.2."""
    records = _tar_records(source)
    for name in ("storages", "tensors", "pickle"):
        if name not in records:
            raise source.error(f"a tar archive without {name!r}, so none of PyTorch's")

    def read(stream: Stream) -> Any:
        return description(stream, encoding)

    objects = _tar_storages(source, Stream(source, *records["storages"]), place, read)
    objects |= _tar_tensors(source, Stream(source, *records["tensors"]), objects, read)

    def persistent(key: Any) -> Any:
        number = int(key) if type(key) in (int, str) and str(key).isdigit() else None
        if number not in objects:
            raise source.error("a persistent id that is no tensor")
        return objects[number]

    return pickled(Stream(source, *records["pickle"]), persistent, encoding)


def _tar_records(source: Source) -> dict[str, tuple[int, int]]:
    """Where the records of an archive begin and end."""
    found: dict[str, tuple[int, int]] = {}
    place = 0
    while place + 512 <= source.size:
        head = source.read(place, 512)
        if not head.strip(b"\0"):
            break
        name = head[:100].rstrip(b"\0").decode("latin1")
        size = _octal(source, head[124:136])
        if _octal(source, head[148:156]) != sum(head) - sum(head[148:156]) + 8 * 32:
            raise source.error("damaged: the checksum of a tar record is wrong")
        if name in found:
            raise source.error(f"record {name!r} is there twice")
        if place + 512 + size > source.size:
            raise source.error("truncated: it ends before its contents do")
        found[name] = (place + 512, place + 512 + size)
        place += 512 + -(-size // 512) * 512
    return found


def _octal(source: Source, digits: bytes) -> int:
    text = digits.strip(b" \0")
    if not text.isdigit() or b"8" in text or b"9" in text:
        raise source.error("damaged: a tar record without a size")
    return int(text, 8)


def _tar_storages(
    source: Source, stream: Stream, place: Placer, read: Callable[[Stream], Any]
) -> dict[Any, Any]:
    objects: dict[Any, Any] = {}
    for _ in range(_count(source, read(stream))):
        number, location, kind = _three(source, read(stream))
        if type(kind) is not StorageType or kind.dtype is None or type(location) is not str:
            raise source.error("a storage whose type is not known")
        (count,) = struct.unpack("<q", stream.take(8))
        size = max(count, 0) * kind.dtype.itemsize
        data = np.frombuffer(bytearray(stream.take(size)), np.uint8)
        objects[number] = place(Storage(kind.dtype, size, functools.partial(_same, data)), location)
    views = read(stream)
    for view in views if type(views) is list else ():
        if type(view) is not tuple or len(view) != 4 or not all(type(n) is int for n in view):
            raise source.error("a part of a storage that is not described")
        number, whole, first, count = view
        if whole not in objects:
            raise source.error("a part of a storage that is missing")
        objects[number] = part_of(source, objects[whole], objects[whole].dtype, first, count)
    return objects


def _same(data: np.ndarray) -> np.ndarray:
    return data


def _tar_tensors(
    source: Source, stream: Stream, storages: dict[Any, Any], read: Callable[[Stream], Any]
) -> dict[Any, Any]:
    tensors: dict[Any, Any] = {}
    for _ in range(_count(source, read(stream))):
        number, key, _kind = _three(source, read(stream))
        (dims,) = struct.unpack("<i", stream.take(8)[:4])
        if not 0 <= dims <= 64 or type(key) is not int or key not in storages:
            raise source.error("a tensor whose storage is missing")
        size = struct.unpack(f"<{dims}q", stream.take(8 * dims))
        stride = struct.unpack(f"<{dims}q", stream.take(8 * dims))
        (offset,) = struct.unpack("<q", stream.take(8))
        storage = storages[key]
        try:
            tensors[number] = storage.tensor(storage.dtype, offset, size, stride)
        except (ValueError, ArithmeticError) as e:
            raise source.error(f"a tensor outside of its storage: {e}") from None
    return tensors


def _count(source: Source, count: Any) -> int:
    if type(count) is not int:
        raise source.error("a number of records that is none")
    return count


def _three(source: Source, x: Any) -> tuple[int, Any, Any]:
    if type(x) is not tuple or len(x) != 3 or type(x[0]) is not int:
        raise source.error("a record that is not described")
    return x[0], decoded(x[1]), x[2]


__all__ = ["is_tar", "load_tar"]
