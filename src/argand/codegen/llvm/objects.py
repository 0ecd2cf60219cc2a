"""LLVM IR text to object bytes, to memory.

LLVM itself is loaded when the first text becomes an object, or the first object asks for more than
`linking` knows.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from argand.base.errors import CompileError
from argand.base.forks import lock_held_over_forks
from argand.codegen.llvm.linking import link
from argand.codegen.llvm.objectfile import OPTIMISED, machine, object_of, start
from argand.codegen.llvm.target import host_target
from argand.codegen.llvm.text import symbol
from argand.nest.target import Target

_T = TypeVar("_T")

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


def text_to_object(
    text: str, target: Target, name: str, *, passes: bool = False, level: int = OPTIMISED
) -> bytes:
    """Object bytes of an LLVM module; raises CompileError with the kernel's name.

    Kernels come as they are to be; with `passes` LLVM improves the text first.
    """
    with _LOCK:
        known = _machine(target, level)
        try:
            return object_of(text, known, passes)
        except RuntimeError as error:
            raise invalid(name, str(error)) from error


def invalid(name: str, reason: str) -> CompileError:
    """The error of a text that LLVM refuses."""
    lines = reason.strip().splitlines()
    return CompileError(
        f"kernel {name}: the code generated for it is not valid"
        f" ({lines[0] if lines else 'no reason given'}); this is a defect of Argand"
    )


def _machine(target: Target, level: int) -> Any:
    try:
        return machine(target.triple, target.cpu, target.features, level)
    except RuntimeError as error:
        raise CompileError(f"no code can be made for the target {target.name}: {error}") from error


# object to memory ---------------------------------------------------------------------------------


@functools.cache
def _jit() -> Any:
    import llvmlite.binding as llvm

    start()
    host = host_target()
    known = llvm.Target.from_triple(host.triple).create_target_machine(
        cpu=host.cpu, features=host.features, opt=2, reloc="pic", codemodel="small", jit=True
    )
    return llvm.create_lljit_compiler(known, use_jit_link=True)


_serial = 0


def load_object(data: bytes, exported: Iterable[str], imported: Mapping[str, int]) -> LoadedObject:
    """Link an object into this process and find its exported functions."""
    names = list(exported)
    linked = link(data, names, imported)
    if linked is not None:
        return LoadedObject(linked, linked.addresses)
    return load_by_llvm(data, names, imported)


def load_by_llvm(data: bytes, names: list[str], imported: Mapping[str, int]) -> LoadedObject:
    """The same by LLVM's linker, which knows all kinds of objects."""
    import llvmlite.binding as llvm

    global _serial
    with _LOCK:
        _serial += 1
        builder = llvm.JITLibraryBuilder().add_object_img(data).add_current_process()
        for name, address in imported.items():
            builder.import_symbol(name, address)
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
