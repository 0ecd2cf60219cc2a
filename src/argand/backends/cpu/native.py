"""Machine code of a segment: loaded from the object cache or made, and called from Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from argand.backends.cpu.store import NOT_KEPT
from argand.base.settings import settings
from argand.codegen.llvm.emit import RUNTIME, emit_module, symbol
from argand.codegen.llvm.objects import (
    cached_object,
    keep_object,
    load_object,
    text_to_object,
)
from argand.codegen.llvm.pool import runtime_symbols
from argand.nest.builder import NestModule
from argand.nest.target import Target
from argand.runtime.kernels import LIBRARY

ENTRY = "entry"


def load_entry(key: str, make: Callable[[], NestModule], target: Target) -> int:
    """The address of a segment's entry; `make` lowers it when no cache has its object."""

    def load() -> tuple[int, object]:
        code = load_object(_object(key, make, target), [ENTRY], _imports())
        return code.address(ENTRY), code

    return LIBRARY.address(key, load)


def _object(key: str, make: Callable[[], NestModule], target: Target) -> bytes:
    kept = settings.cache and not key.startswith(NOT_KEPT)
    folder = Path(settings.cache_dir) / "objects" if kept else None
    if folder is not None:
        found = cached_object(folder, key)
        if found is not None:
            return found
    module = make()
    data = text_to_object(emit_module(module, target), target, symbol(module.entry.name))
    if folder is not None:
        keep_object(folder, key, data)
    return data


def _imports() -> dict[str, int]:
    symbols = runtime_symbols()
    return {name: symbols[name] for name in RUNTIME}
