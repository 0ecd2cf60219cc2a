"""LLVM IR text to object bytes, to memory; and the cache of objects on disk.

The caller names an object by all that decides it, so nothing stale is ever loaded. A damaged entry
counts as missing; a cache folder that can't be written to only costs time.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import llvmlite.binding as llvm

from argand.base.errors import CompileError
from argand.base.forks import lock_held_over_forks
from argand.codegen.llvm.emit import symbol
from argand.codegen.llvm.target import host_target
from argand.nest.target import Target

_T = TypeVar("_T")

_MAGIC: Final = b"argand-object-1\n"
_LOCK: Final = lock_held_over_forks("objects")


class LoadedObject:
    """Machine code in memory; it is there as long as this object is."""

    def __init__(self, tracker: Any, addresses: Mapping[str, int]) -> None:
        self._tracker = tracker
        self.addresses = dict(addresses)

    def address(self, name: str) -> int:
        """Where an exported function begins."""
        return self.addresses[symbol(name)]


# text to object -----------------------------------------------------------------------------------


@functools.cache
def _start() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def _machine(target: Target) -> Any:
    _start()
    try:
        found = llvm.Target.from_triple(target.triple)
        return found.create_target_machine(
            cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="small"
        )
    except RuntimeError as error:
        raise CompileError(f"no code can be made for the target {target.name}: {error}") from error


def text_to_object(text: str, target: Target, name: str, *, optimised: bool = False) -> bytes:
    """Object bytes of an LLVM module; raises CompileError with the kernel's name.

    Kernels come as they are to be; with `optimised` LLVM improves the text first.
    """
    with _LOCK:
        module = _parsed(text, target, name)
        if optimised:
            options = llvm.create_pipeline_tuning_options(speed_level=2)
            builder = llvm.create_pass_builder(_machine(target), options)
            builder.getModulePassManager().run(module, builder)
        data: bytes = _machine(target).emit_object(module)
        return data


def _parsed(text: str, target: Target, name: str) -> Any:
    _start()
    _machine(target)
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()
        raise CompileError(
            f"kernel {name}: the code generated for it is not valid"
            f" ({reason[0] if reason else 'no reason given'}); this is a defect of Argand"
        ) from error
    return module


# object to memory ---------------------------------------------------------------------------------


@functools.cache
def _jit() -> Any:
    _start()
    host = host_target()
    machine = llvm.Target.from_triple(host.triple).create_target_machine(
        cpu=host.cpu, features=host.features, opt=2, reloc="pic", codemodel="small", jit=True
    )
    return llvm.create_lljit_compiler(machine, use_jit_link=True)


_serial = 0


def load_object(data: bytes, exported: Iterable[str], imported: Mapping[str, int]) -> LoadedObject:
    """Link an object into this process and find its exported functions."""
    global _serial
    with _LOCK:
        _serial += 1
        builder = llvm.JITLibraryBuilder().add_object_img(data).add_current_process()
        for name, address in imported.items():
            builder.import_symbol(name, address)
        names = list(exported)
        for name in names:
            builder.export_symbol(name)
        try:
            tracker = builder.link(_jit(), f"argand{_serial}")
        except RuntimeError as error:
            raise CompileError(f"kernel {names[0]} could not be linked") from error
        return LoadedObject(tracker, {name: tracker[name] for name in names})


def immortal(thing: _T) -> _T:
    """Keep an object alive through interpreter exit, when modules are torn down."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing


# the cache ----------------------------------------------------------------------------------------


def cached_object(folder: Path, key: str) -> bytes | None:
    """The object of that name, or None when it is missing or damaged."""
    try:
        content = _path(folder, key).read_bytes()
    except OSError:
        return None
    head, body = content[: len(_MAGIC) + 32], content[len(_MAGIC) + 32 :]
    return body if head == _MAGIC + _digest(key, body) else None


def keep_object(folder: Path, key: str, data: bytes) -> bool:
    """Write an object into the cache, whole or not at all; False where that is not possible."""
    path = _path(folder, key)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _digest(key, data) + data)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        return False
    return True


def _digest(key: str, data: bytes) -> bytes:
    """Of an object and its name, so that one under another's name is refused too."""
    return hashlib.sha256(key.encode() + data).digest()


def _path(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key[2:]}.o"
