"""Zip archives: a reader that trusts nothing, and a writer that aligns what it stores.

The reader knows the archives that programs write: records stored or deflated, each name once, none
of them encrypted, none over another. The writer lays records out as PyTorch does.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from argand.base.errors import ArgumentError
from argand.io.source import Source

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64, _LOCATOR, _DESCRIPTOR = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
_STORED, _DEFLATED = 0, 8
_FULL = 0xFFFFFFFF  # the true number is in the extra field


class Record(NamedTuple):
    """One record of an archive."""

    name: str
    method: int
    crc: int
    stored: int  # bytes in the archive
    size: int  # bytes of its contents
    header: int  # the place of its local header
    place: int  # the place of its contents


class ZipReader:
    """The records of an archive by their names, as they are in the archive."""

    def __init__(self, source: Source) -> None:
        self.source = source
        count, size, start = _directory(source)
        self.records = _records(source, count, size, start)
        _check_apart(source, list(self.records.values()), start)
        source.check_growth(sum(r.size for r in self.records.values() if r.method == _DEFLATED))

    def read(self, name: str) -> bytes:
        """The contents of a record."""
        record = self.records[name]
        data = self.source.read(record.place, record.stored)
        if record.method == _DEFLATED:
            data = self._inflated(record, data)
        self._check_sum(record, data)
        return data

    def array(self, name: str) -> np.ndarray:
        """The contents of a record as a vector of uint8 that may be written; of a mapped source,
        its memory, whose checksum is not computed, as that would read it all."""
        record = self.records[name]
        if record.method == _DEFLATED:
            if self.source.map is not None:
                raise self.source.error(f"record {name!r} is compressed, so it can't be mapped")
            return np.frombuffer(bytearray(self.read(name)), np.uint8)
        found = self.source.array(record.place, record.stored)
        if self.source.map is None:
            self._check_sum(record, found)
        return found

    def _inflated(self, record: Record, data: bytes) -> bytes:
        machine = zlib.decompressobj(-15)
        try:
            made = machine.decompress(data, record.size + 1)
        except zlib.error as e:
            raise self.source.error(f"record {record.name!r} can't be inflated: {e}") from None
        if len(made) != record.size or not machine.eof:
            raise self.source.error(f"record {record.name!r} does not have the size it states")
        return made

    def _check_sum(self, record: Record, data: Any) -> None:
        # PyTorch writes 0 where it was told to compute none.
        if record.crc and zlib.crc32(data) != record.crc:
            raise self.source.error(f"record {record.name!r} is damaged: its checksum is wrong")


def is_zip(source: Source) -> bool:
    """Whether a source begins as an archive."""
    return source.size >= 22 and source.read(0, 4) in (_LOCAL, _END)


# -- reading ---------------------------------------------------------------------------------------


def _directory(source: Source) -> tuple[int, int, int]:
    """How many records the directory has, its size and its place."""
    tail_start = max(0, source.size - 22 - 0xFFFF)
    tail = source.read(tail_start, source.size - tail_start)
    at = tail.rfind(_END)
    if at < 0 or at + 22 > len(tail):
        raise source.error("truncated or damaged: a zip archive without its directory")
    count, size, start, comment = struct.unpack_from("<HIIH", tail, at + 10)
    if at + 22 + comment != len(tail):
        raise source.error("bytes after the end of the zip archive belong to nothing")
    end = tail_start + at
    if end >= 20 and source.read(end - 20, 4) == _LOCATOR:
        (end,) = struct.unpack("<Q", source.read(end - 12, 8))
        record = source.read(end, 56)
        if record[:4] != _END64:
            raise source.error("damaged: its zip directory is not where the file says")
        count, size, start = struct.unpack_from("<QQQ", record, 32)
    if start + size != end or count * 46 > size:
        raise source.error("damaged: its zip directory does not have the size it states")
    return count, size, start


def _records(source: Source, count: int, size: int, start: int) -> dict[str, Record]:
    data = source.read(start, size)
    found: dict[str, Record] = {}
    at = 0
    for _ in range(count):
        record, at = _central(source, data, at)
        if record.name in found:
            raise source.error(f"record {record.name!r} is there twice")
        found[record.name] = record
    if at != size:
        raise source.error("damaged: its zip directory does not have the size it states")
    return found


def _central(source: Source, data: bytes, at: int) -> tuple[Record, int]:
    """The record that the directory describes at a place, and the place of the next."""
    if data[at : at + 4] != _CENTRAL or at + 46 > len(data):
        raise source.error("damaged: its zip directory has something that is no record")
    flags, method = struct.unpack_from("<HH", data, at + 8)
    crc, stored, size, name_size, extra_size, comment = struct.unpack_from("<IIIHHH", data, at + 16)
    (header,) = struct.unpack_from("<I", data, at + 42)
    end = at + 46 + name_size + extra_size + comment
    if end > len(data):
        raise source.error("damaged: its zip directory does not have the size it states")
    name = _name(source, data[at + 46 : at + 46 + name_size])
    extra = data[at + 46 + name_size : end - comment]
    size, stored, header = _wide(source, extra, size, stored, header)
    if flags & 1 or method not in (_STORED, _DEFLATED):
        raise source.error(f"record {name!r} is encrypted or compressed in a way not known here")
    if method == _STORED and stored != size:
        raise source.error(f"record {name!r} does not have the size it states")
    place = _contents(source, name, method, header)
    return Record(name, method, crc, stored, size, header, place), end


def _name(source: Source, data: bytes) -> str:
    try:
        name = data.decode()
    except UnicodeDecodeError:
        raise source.error("a name in its zip directory is not UTF-8") from None
    if not _stays_inside(name):
        raise source.error(f"record {name!r} has a name that leads out of the archive")
    return name


def _stays_inside(name: str) -> bool:
    parts = name.split("/")
    return not (parts[0] == "" or ".." in parts or "\\" in name or "\0" in name)


def _wide(source: Source, extra: bytes, *numbers: int) -> list[int]:
    """The numbers, with those of 64 bits that the extra field has for the ones of 32."""
    at = 0
    wide: list[int] = []
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + size]
            wide = list(struct.unpack_from(f"<{len(field) // 8}Q", field))
        at += 4 + size
    if numbers.count(_FULL) > len(wide):
        raise source.error("damaged: a size of 64 bits is missing in its zip directory")
    return [wide.pop(0) if n == _FULL else n for n in numbers]


def _contents(source: Source, name: str, method: int, header: int) -> int:
    """The place of a record's contents, by its local header, which must be of the same record."""
    data = source.read(header, 30)
    found, (name_size, extra_size) = data[8:10], struct.unpack_from("<HH", data, 26)
    if data[:4] != _LOCAL or found != struct.pack("<H", method):
        raise source.error(f"record {name!r} is not where the zip directory says")
    if source.read(header + 30, name_size) != name.encode():
        raise source.error(f"record {name!r} has another name than in the zip directory")
    return header + 30 + int(name_size) + int(extra_size)


def _check_apart(source: Source, records: list[Record], end: int) -> None:
    """No record over another, or over the directory."""
    ordered = sorted(records, key=lambda r: r.header)
    limits = [*(r.header for r in ordered[1:]), end]
    for record, limit in zip(ordered, limits, strict=True):
        if record.place + record.stored > limit:
            raise source.error(f"record {record.name!r} is not apart from the next one")


# -- writing ---------------------------------------------------------------------------------------


class ZipWriter:
    """Writes stored records one after another, each aligned, in the layout of PyTorch's files."""

    alignment = 64

    def __init__(self, write: Callable[[Any], Any]) -> None:
        self._write = write
        self._place = 0
        self._entries: list[tuple[bytes, int, int, int]] = []  # name, checksum, size, header

    def add(self, name: str, data: Any) -> None:
        """Write a record: bytes, a vector of uint8, or a list of them."""
        if not _stays_inside(name):
            raise ArgumentError(f"{name!r} is no name for a record of an archive")
        parts = data if isinstance(data, list) else [data]
        encoded, size, header = name.encode(), sum(map(len, parts)), self._place
        crc = functools.reduce(lambda before, part: zlib.crc32(part, before), parts, 0)
        wide = _fields(size >= _FULL, size, size) if size >= _FULL else b""
        if header >= _FULL:
            wide += struct.pack("<Q", header)
        if wide:
            wide = struct.pack("<HH", 1, len(wide)) + wide
        first = header + 30 + len(encoded) + len(wide) + 4
        padding = -first % self.alignment
        extra = wide + b"FB" + struct.pack("<H", padding) + b"Z" * padding
        flags = 0x0808 if size else 0x0800
        self._put(
            _LOCAL
            + struct.pack("<HHHIIIIHH", 0, flags, _STORED, 0, 0, 0, 0, len(encoded), len(extra))
            + encoded
            + extra
        )
        if size:
            for part in parts:
                self._put(part)
            self._put(_DESCRIPTOR + struct.pack("<I", crc) + _fields(bool(wide), size, size))
        self._entries.append((encoded, crc, size, header))

    def close(self) -> None:
        """Write the directory."""
        start = self._place
        for name, crc, size, header in self._entries:
            wide = [n for n in (size, size, header) if n >= _FULL]
            extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
            flags = 0x0808 if size else 0x0800
            short = min(size, _FULL)
            self._put(
                _CENTRAL
                + struct.pack("<HHHHIIII", 0, 0, flags, _STORED, 0, crc, short, short)
                + struct.pack("<HHHHHII", len(name), len(extra), 0, 0, 0, 0, min(header, _FULL))
                + name
                + extra
            )
        count, end = len(self._entries), self._place
        size = end - start
        self._put(
            _END64
            + struct.pack("<QHHIIQQQQ", 44, 0x031E, 45, 0, 0, count, count, size, start)
            + _LOCATOR
            + struct.pack("<IQI", 0, end, 1)
            + _END
            + struct.pack("<HHHH", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF))
            + struct.pack("<IIH", min(size, _FULL), min(start, _FULL), 0)
        )

    def _put(self, data: Any) -> None:
        self._write(data)
        self._place += len(data)


def _fields(wide: bool, *numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}{'Q' if wide else 'I'}", *numbers)


__all__ = ["Record", "ZipReader", "ZipWriter", "is_zip"]
