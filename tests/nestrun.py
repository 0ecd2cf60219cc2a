"""Compile nests without a cache and call them: shared by tests of codegen and of the kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from argand.codegen.llvm.emit import emit_module
from argand.codegen.llvm.objects import LoadedObject, load_object, text_to_object
from argand.codegen.llvm.pool import runtime_symbols
from argand.codegen.llvm.target import host_target
from argand.codegen.llvm.text import RUNTIME, symbol
from argand.nest.builder import NestFunction, NestModule
from argand.nest.target import Target

Run = Callable[..., None]


def object_of(module: NestModule, target: Target | None = None) -> bytes:
    """The object bytes of a module for a target, the host by default."""
    machine = target or host_target()
    return text_to_object(emit_module(module, machine), machine, module.entry.name)


def load(module: NestModule, target: Target | None = None) -> LoadedObject:
    """The machine code of a module, linked into this process."""
    symbols = runtime_symbols()
    imports = {name: symbols[name] for name in RUNTIME}
    return load_object(object_of(module, target), [symbol(module.entry.name)], imports)


def assembly(module: NestModule, target: Target) -> str:
    """The machine code of a module in the target's assembly language."""
    object_of(module, target)  # starts LLVM, and raises the error of a text that is not valid
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="small"
    )
    text: str = machine.emit_assembly(llvm.parse_assembly(emit_module(module, target)))
    return text


def call_of(code: LoadedObject, function: NestFunction) -> Callable[..., int]:
    """The loaded function, which returns its status; arrays and addresses are pointers."""
    native = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(code.address(function.name))
    kinds = [
        ctypes.c_double if p.ty.elem.startswith("float") else ctypes.c_int64
        for p in function.params
    ]

    def call(*args: Any, _code: LoadedObject = code) -> int:  # the code lives as long as the call
        slots = (ctypes.c_int64 * max(1, len(kinds)))()
        for index, (kind, value) in enumerate(zip(kinds, args, strict=True)):
            given = value.ctypes.data if isinstance(value, np.ndarray) else value
            slots[index] = ctypes.c_int64.from_buffer(kind(given)).value
        status: int = native(ctypes.addressof(slots))
        return status

    return call


def entry(function: NestFunction, target: Target | None = None) -> Callable[..., int]:
    """The function, compiled for a target; see `call_of`."""
    return call_of(load(NestModule((function,)), target), function)


def compiled(function: NestFunction, target: Target | None = None) -> Run:
    """The same as a callable that asserts the status to be 0."""
    call = entry(function, target)

    def run(*args: np.ndarray | int) -> None:
        status = call(*args)
        assert status == 0, f"status {status}"

    return run
