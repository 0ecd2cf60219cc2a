"""Machine code of a segment: loaded from the object cache or made, and called from Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from argand.backends.cpu.store import NOT_KEPT
from argand.base.settings import settings
from argand.codegen.llvm.objectfile import cached_object
from argand.codegen.llvm.objects import load_object
from argand.codegen.llvm.pool import runtime_symbols
from argand.codegen.llvm.text import RUNTIME
from argand.nest.target import Target
from argand.nest.types import NestModule
from argand.runtime.kernels import LIBRARY

ENTRY = "entry"


def load_entry(
    key: str, make: Callable[[], NestModule], target: Target, *, tiered: bool = False
) -> int:
    """The address of a segment's entry; `make` lowers it when no cache has its object.

    With `tiered`, what is made runs at once, and optimised when that is done.
    """
    return LIBRARY.address(key, lambda: _load(key, make, target, tiered))


def settle_entry(key: str) -> None:
    """See to it that an entry which was loaded runs optimised from now on."""
    from argand.codegen.llvm.tiers import TieredCode

    code = LIBRARY.code(key)
    if isinstance(code, TieredCode):
        code.settle()


def _load(
    key: str, make: Callable[[], NestModule], target: Target, tiered: bool
) -> tuple[int, object]:
    kept = settings.cache and not key.startswith(NOT_KEPT)
    folder = Path(settings.cache_dir) / "objects" if kept else None
    data = None if folder is None else cached_object(folder, key)
    if data is None:
        return _made(make(), target, folder, key, tiered)
    return _linked(data)


def _made(
    module: NestModule, target: Target, folder: Path | None, key: str, tiered: bool
) -> tuple[int, object]:
    """The code of a module that no cache has."""
    from argand.codegen.llvm.emit import emit_module
    from argand.codegen.llvm.source import Source
    from argand.codegen.llvm.tiers import OPTIMISER, TieredCode

    source = Source(emit_module(module, target), ENTRY, target, folder, key)
    # The checks of these settings are for the code that runs on.
    if tiered and not settings.verify and not settings.guard_memory:
        code = TieredCode(source, _imports())
        if not OPTIMISER.submit(source, code.install):
            code.settle()
        return code.address, code
    return _linked(source.optimised())


def _linked(data: bytes) -> tuple[int, object]:
    loaded = load_object(data, [ENTRY], _imports())
    return loaded.address(ENTRY), loaded


def _imports() -> dict[str, int]:
    symbols = runtime_symbols()
    return {name: symbols[name] for name in RUNTIME}
