"""Objects to memory without LLVM: what ELF objects for x86-64 need so that their code can run.

Loading LLVM takes longer than many a first call. Objects that a cache has need nothing of it but a
link, and LLVM leaves few kinds of relocations in them: offsets between places of the object, calls
of what it imports, and addresses of that in a table. Anything else is `None` here, and LLVM's.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

__all__ = ["LinkedObject", "can_link", "link"]

_HEAD: Final = b"\x7fELF\x02\x01\x01"  # 64 bits, little endian
_X86_64: Final = 62
_RELOCATABLE: Final = 1

_SECTION: Final = np.dtype("u4,u4,u8,u8,u8,u8,u4,u4,u8,u8")
_SECTION.names = (
    *("name", "kind", "flags", "address", "place"),
    *("size", "link", "info", "align", "entry"),
)
_SYMBOL: Final = np.dtype("u4,u1,u1,u2,u8,u8")
_SYMBOL.names = ("name", "info", "other", "section", "value", "size")
_RELOCATION: Final = np.dtype("u8,u4,u4,i8")
_RELOCATION.names = ("place", "kind", "symbol", "addend")
_SYMBOLS, _RELOCATIONS, _NO_BITS = 2, 4, 8  # kinds of sections
_WRITE, _ALLOCATED, _EXECUTED, _THREAD = 1, 2, 4, 1 << 10  # flags of sections

# Kinds of relocations: a whole address, an offset from the place, the same of a function, and
# offsets of a word in the table of addresses.
_WORD, _OFFSET, _CALL = 1, 2, 4
_TABLE: Final = (9, 41, 42)

_JUMP: Final = b"\xff\x25\x02\x00\x00\x00\x66\x90"  # jmp [rip + 2]: to the address behind it
_SLOT: Final = len(_JUMP) + 8
"""Bytes that an imported name takes: a jump to its address, which is also the table's word."""


@functools.cache
def can_link() -> bool:
    """Whether this process runs such objects."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 1 << 32


class LinkedObject:
    """Code in memory of its own, which goes when this object does."""

    def __init__(self, memory: mmap.mmap, addresses: Mapping[str, int]) -> None:
        self._memory = memory
        self.addresses = dict(addresses)


def link(data: bytes, exported: list[str], imported: Mapping[str, int]) -> LinkedObject | None:
    """The code of an object, ready to be called, with the addresses of some of its names.

    Imported names are looked for in `imported`, then in what the process has loaded. None where
    the object needs what isn't known here.
    """
    if not can_link():
        return None
    try:
        return _Link(data, imported).linked(exported)
    except (_UnknownError, ValueError, IndexError, OSError):
        return None


class _UnknownError(Exception):
    """The object needs what isn't known here."""


class _Link:
    """One object on its way into memory: read-only parts and jumps first, then what is written."""

    def __init__(self, data: bytes, imported: Mapping[str, int]) -> None:
        head = np.frombuffer(data, "<u2", 32)
        if data[: len(_HEAD)] != _HEAD or head[8] != _RELOCATABLE or head[9] != _X86_64:
            raise _UnknownError("no such object")
        self.data = data
        self.imported = imported
        place = int.from_bytes(data[40:48], "little")
        self.sections = np.frombuffer(data, _SECTION, int(head[30]), place)
        (table,) = np.flatnonzero(self.sections["kind"] == _SYMBOLS)
        self.symbols = self._entries(int(table), _SYMBOL)
        self.names = self._bytes(int(self.sections["link"][table]))
        self.starts = np.zeros(len(self.sections), np.uint64)  # of the sections in memory
        self.outside = [
            int(i) for i in np.flatnonzero(self.symbols["section"] == 0) if self._name(int(i))
        ]
        self.written, self.size = self._lay_out()

    # -- reading -------------------------------------------------------------------------------

    def _bytes(self, i: int) -> bytes:
        section = self.sections[i]
        begin, size = int(section["place"]), int(section["size"])
        return self.data[begin : begin + size]

    def _entries(self, i: int, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        return np.frombuffer(self._bytes(i), dtype)

    def _name(self, symbol: int) -> str:
        begin = int(self.symbols["name"][symbol])
        return self.names[begin : self.names.index(b"\0", begin)].decode()

    # -- places --------------------------------------------------------------------------------

    def _lay_out(self) -> tuple[int, int]:
        """Give every section its place; where the pages that are written begin, and the end."""
        at = 0
        for writes in (False, True):
            for i, section in enumerate(self.sections):
                flags = int(section["flags"])
                if not flags & _ALLOCATED or bool(flags & _WRITE) is not writes:
                    continue
                if flags & _THREAD or (writes and flags & _EXECUTED):
                    raise _UnknownError("a section of another kind")
                at = _up(at, max(int(section["align"]), 1))
                self.starts[i] = at
                at += int(section["size"])
            if not writes:
                self.jumps = _up(at, _SLOT)
                at = written = _up(self.jumps + _SLOT * len(self.outside), mmap.PAGESIZE)
        return written, _up(at, mmap.PAGESIZE)

    # -- linking -------------------------------------------------------------------------------

    def linked(self, exported: list[str]) -> LinkedObject:
        memory = mmap.mmap(-1, self.size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        bytes_there = np.frombuffer(memory, np.uint8)
        base = bytes_there.ctypes.data
        for i, section in enumerate(self.sections):
            if int(section["flags"]) & _ALLOCATED and section["kind"] != _NO_BITS:
                start = int(self.starts[i])
                content = np.frombuffer(self._bytes(i), np.uint8)
                bytes_there[start : start + len(content)] = content
        targets = self._targets(base, bytes_there)
        for number in np.flatnonzero(self.sections["kind"] == _RELOCATIONS):
            patched = int(self.sections["info"][number])
            if int(self.sections["flags"][patched]) & _ALLOCATED:
                entries = self._entries(int(number), _RELOCATION)
                self._patch(bytes_there, base, patched, entries, targets)
        _close(base, self.written)
        found = {self._name(i): int(targets[i]) for i in self._defined()}
        return LinkedObject(memory, {name: _named(found, name) for name in exported})

    def _defined(self) -> list[int]:
        public = self.symbols["info"] >> 4 != 0
        return [int(i) for i in np.flatnonzero(public & (self.symbols["section"] != 0))]

    def _targets(self, base: int, there: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The address of every symbol; of an imported one, that of its jump."""
        numbers = self.symbols["section"]
        if (numbers >= len(self.sections)).any():  # common or absolute ones
            special = self.symbols["info"][numbers >= len(self.sections)] & 15
            if (special != 4).any():  # all but names of files
                raise _UnknownError("a symbol of another kind")
        inside = np.where(numbers < len(self.sections), numbers, 0)
        targets: np.ndarray[Any, Any] = base + self.starts[inside] + self.symbols["value"]
        for k, i in enumerate(self.outside):
            at = self.jumps + _SLOT * k
            address = self._imported(self._name(i))
            code = _JUMP + address.to_bytes(8, "little")
            there[at : at + _SLOT] = np.frombuffer(code, np.uint8)
            targets[i] = base + at
        return targets

    def _imported(self, name: str) -> int:
        found = self.imported.get(name)
        if found is None:
            function = getattr(_process(), name, None)
            found = ctypes.cast(function, ctypes.c_void_p).value if function else None
        if not found:
            raise _UnknownError(f"{name} is nowhere")
        return found

    def _patch(
        self,
        there: np.ndarray[Any, Any],
        base: int,
        section: int,
        relocations: np.ndarray[Any, Any],
        targets: np.ndarray[Any, Any],
    ) -> None:
        """Write what the relocations of a section ask for."""
        kinds, numbers = relocations["kind"], relocations["symbol"]
        table = np.isin(kinds, _TABLE)
        imported = np.isin(numbers, self.outside)
        near = (kinds == _CALL) | ((kinds == _OFFSET) & ~imported) | (table & imported)
        words = (kinds == _WORD) & ~imported
        if not (near | words).all():
            raise _UnknownError("a relocation of another kind")
        places = self.starts[section] + relocations["place"]
        values = (targets[numbers] + relocations["addend"].view(np.uint64)).view(np.int64)
        offsets = values - (places + base).view(np.int64) + np.where(table, len(_JUMP), 0)
        for chosen, given, size in ((near, offsets, 4), (words, values, 8)):
            at = places[chosen].astype(np.int64)[:, None] + np.arange(size)
            if len(at) and at.max() >= self.size:
                raise _UnknownError("a place outside")
            wide = np.ascontiguousarray(given[chosen]).view(np.uint8).reshape(-1, 8)
            there[at] = wide[:, :size]
        if len(offsets) and np.abs(offsets[near], dtype=np.int64).max(initial=0) >= 1 << 31:
            raise _UnknownError("an offset too far")


def _up(n: int, unit: int) -> int:
    return -(-n // unit) * unit


def _named(found: Mapping[str, int], name: str) -> int:
    if name not in found:
        raise _UnknownError(f"{name} is not in the object")
    return found[name]


@functools.cache
def _process() -> ctypes.CDLL:
    """All that the process has loaded."""
    return ctypes.CDLL(None, use_errno=True)


def _close(base: int, size: int) -> None:
    """Let the pages be read and executed, and no longer written."""
    if size and _process().mprotect(
        ctypes.c_void_p(base), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_EXEC
    ):
        raise OSError(ctypes.get_errno(), "the pages could not be made executable")
