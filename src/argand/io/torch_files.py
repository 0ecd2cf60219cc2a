"""PyTorch's files: zip archives, and the form before 1.6.

Both are pickled data beside the bytes of storages. The data are read by `opcodes.Machine` with the
list of `torch_names`, so nothing in a file is ever run.
"""

from __future__ import annotations

import struct
import sys
from typing import Any

import numpy as np

from argand.base.dtype import DType
from argand.base.errors import FormatError
from argand.io.endianness import default_order
from argand.io.opcodes import Machine
from argand.io.places import Placer
from argand.io.skipping import is_skipping
from argand.io.source import Source, Stream
from argand.io.storages import Storage, StoragePart, StorageType
from argand.io.torch_names import NAMES, STATES
from argand.io.zipped import ZipReader

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def pickled(stream: Stream, persistent: Any, encoding: str) -> Any:
    """One object of pickled data, by the list of names of PyTorch's files."""
    return Machine(stream, NAMES, STATES, persistent, encoding).run()


def description(stream: Stream, encoding: str) -> Any:
    """One object that describes storages or tensors."""
    return Machine(stream, NAMES, STATES, None, encoding, describes=True).run()


# -- zip archives ----------------------------------------------------------------------------------


def is_torch_zip(archive: ZipReader) -> bool:
    """Whether an archive is one that `torch.save` writes."""
    return any(name.count("/") == 1 and name.endswith("/data.pkl") for name in archive.records)


def load_zip(archive: ZipReader, place: Placer, encoding: str) -> Any:
    """What `torch.save` wrote."""
    source = archive.source
    (folder, *others) = {name.split("/")[0] for name in archive.records}
    if others:
        raise source.error("a PyTorch file has its records in one folder")
    if f"{folder}/constants.pkl" in archive.records:
        raise source.error(
            "a TorchScript archive, which is a program; save its state in PyTorch instead: "
            "torch.save(torch.jit.load(path).state_dict(), path)"
        )
    storages = _ZipStorages(archive, folder, place)
    record = archive.records[f"{folder}/data.pkl"]
    archive.read(record.name)  # its checksum
    if record.method:
        raise source.error("the pickled data of a PyTorch file are not compressed")
    stream = Stream(source, record.place, record.place + record.size)
    return pickled(stream, storages.of, encoding)


class _ZipStorages:
    """The storages of an archive by their keys."""

    def __init__(self, archive: ZipReader, folder: str, place: Placer) -> None:
        self.archive = archive
        self.folder = folder
        self.place = place
        self.swapped = self._byte_order() != sys.byteorder
        self.found: dict[str, tuple[Storage, Any]] = {}

    def of(self, key: Any) -> Storage:
        """The storage that a persistent id names."""
        kind, name, location, count = _described(self.archive.source, key, 5)
        description = (kind.dtype, count)
        if name not in self.found:
            self.found[name] = (self._made(kind, name, location, count), description)
        storage, before = self.found[name]
        if before != description:
            raise self.archive.source.error(f"storage {name!r} is described in two ways")
        return storage

    def _made(self, kind: StorageType, name: str, location: str, count: int) -> Storage:
        record = f"{self.folder}/data/{name}"
        source = self.archive.source
        if record not in self.archive.records:
            raise source.error(f"storage {name!r} is missing")
        size = count * (1 if kind.dtype is None else kind.dtype.itemsize)
        if self.archive.records[record].size != size:
            raise source.error(
                f"storage {name!r} must have {size} bytes, its record has "
                f"{self.archive.records[record].size}"
            )
        made = Storage(kind.dtype, size, lambda: self._elements(record, size), self.swapped)
        return self.place(made, location)

    def _elements(self, record: str, size: int) -> np.ndarray:
        return np.zeros(size, np.uint8) if is_skipping() else self.archive.array(record)

    def _byte_order(self) -> str:
        record = f"{self.folder}/byteorder"
        if record not in self.archive.records:
            return default_order()
        order = self.archive.read(record)
        if order not in (b"little", b"big"):
            raise self.archive.source.error(f"byte order {order!r:.50} is not known")
        return order.decode()


def _described(source: Source, key: Any, parts: int) -> tuple[StorageType, str, str, int]:
    """What a persistent id says of a storage: its type, key, place and number of elements."""
    if type(key) is not tuple or len(key) < parts:
        raise source.error("a persistent id that is no storage")
    mark, kind, name, location, count = (decoded(part) for part in key[:5])
    if mark != "storage" or type(kind) is not StorageType:
        raise source.error("a persistent id that is no storage")
    if type(name) is not str or type(location) is not str:
        raise source.error("a storage whose key is no string")
    if type(count) is not int or count < 0:
        raise source.error(f"a storage of {count!r:.50} elements")
    return kind, name, location, count


def decoded(x: Any) -> Any:
    """A text of Python 2 that was read as bytes; anything else as it is."""
    return x.decode("latin1") if type(x) is bytes else x


# -- the form before 1.6 ---------------------------------------------------------------------------


def is_pickled(source: Source) -> bool:
    """Whether a source begins as pickled data, such as `torch.save` wrote before 1.6."""
    head = source.read(0, min(9, source.size))
    # a safetensors file begins with the length of its header, and that with a brace
    return head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5") and head[8:] != b"{"


def load_legacy(source: Source, place: Placer, encoding: str) -> Any:
    """What `torch.save` wrote before 1.6, or later with _use_new_zipfile_serialization=False."""
    stream = Stream(source)
    if description(stream, encoding) != _MAGIC:
        raise source.error("pickled data that are not a PyTorch file")
    if description(stream, encoding) != _PROTOCOL:
        raise source.error("a version of PyTorch's form that is not known")
    description(stream, encoding)  # sizes of C's types, which nothing uses
    storages = _LegacyStorages(source, place)
    first = stream.place
    pickled(stream, storages.of, encoding)  # which storages there are
    keys = description(stream, encoding)
    end = storages.fill(keys, stream.place)
    result = pickled(Stream(source, first), storages.of, encoding)
    source.leave_at(end)
    return result


class _LegacyStorages:
    """The storages of a stream: memory that is filled behind the pickled data."""

    def __init__(self, source: Source, place: Placer) -> None:
        self.source = source
        self.place = place
        self.memory: dict[str, tuple[np.ndarray, Any]] = {}
        self.found: dict[str, Storage] = {}
        self.total = 0

    def of(self, key: Any) -> Storage:
        """The storage that a persistent id names."""
        kind, name, location, count = _described(self.source, key, 6)
        if kind.dtype is None:
            kind = StorageType(kind.name, NAMES["torch.uint8"])
        if name not in self.found:
            self.found[name] = self._made(kind, name, location, count)
        storage = self.found[name]
        if self.memory[name][1] != (kind.dtype, count):
            raise self.source.error(f"storage {name!r} is described in two ways")
        return storage if key[5] is None else self._part(storage, key[5])

    def _made(self, kind: StorageType, name: str, location: str, count: int) -> Storage:
        assert kind.dtype is not None
        size = count * kind.dtype.itemsize
        self.total += size
        if self.total > self.source.size:
            raise self.source.error("truncated: its storages have more bytes than the file")
        memory = np.zeros(size, np.uint8)
        self.memory[name] = (memory, (kind.dtype, count))
        return self.place(Storage(kind.dtype, size, lambda: memory), location)

    def _part(self, whole: Storage, description: Any) -> Storage:
        if type(description) is not tuple or len(description) != 3:
            raise self.source.error("a part of a storage that is not described")
        name, first, count = decoded(description[0]), *description[1:]
        if type(name) is not str or type(first) is not int or type(count) is not int:
            raise self.source.error("a part of a storage that is not described")
        return part_of(self.source, whole, whole.dtype, first, count)

    def fill(self, keys: Any, place: int) -> int:
        """Read the storages in the order of their keys; gives the place behind them."""
        names = [decoded(key) for key in keys] if type(keys) is list else None
        if names is None or sorted(map(str, names)) != sorted(self.memory):
            raise self.source.error("the list of its storages is not that of its tensors")
        for name in names:
            memory, (dtype, count) = self.memory[name]
            place = _fill(self.source, place, memory, dtype, count)
            self.found[name].root = None
        return place


def _fill(source: Source, place: int, memory: np.ndarray, dtype: DType, count: int) -> int:
    """Read a storage: its number of elements, and these; gives the place behind it."""
    (stated,) = struct.unpack("<q", source.read(place, 8))
    if stated != count:
        raise source.error(f"a storage of {count} elements has {stated}")
    source.fill(memory, place + 8)
    if sys.byteorder == "big":
        memory.view(dtype.numpy).byteswap(inplace=True)
    return place + 8 + memory.size


def part_of(source: Source, whole: Storage, dtype: Any, first: int, count: int) -> StoragePart:
    """A part of a storage; FormatError where it reaches outside."""
    try:
        return StoragePart(whole, dtype, first, count)
    except FormatError as e:
        raise source.error(str(e)) from None


__all__ = [
    "decoded",
    "description",
    "is_pickled",
    "is_torch_zip",
    "load_legacy",
    "load_zip",
    "part_of",
    "pickled",
]
