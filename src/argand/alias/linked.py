"""Extension modules that are linked against PyTorch's C++ library, which isn't there: to import one
says so."""

from __future__ import annotations

import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import ModuleType

from argand.base.errors import ArgandError

# What the linker names: PyTorch's libraries, and symbols of its namespaces.
_PARTS = ("libtorch", "libc10", "_ZN3c10", "_ZN2at", "_ZN5torch", "_ZNK3c10", "_ZNK2at")


class LinkedError(ArgandError, ImportError):
    """An extension module needs PyTorch's C++ library."""


class _Loader(ExtensionFileLoader):
    """Loads extension modules."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        try:
            return super().create_module(spec)
        except ImportError as error:
            if not any(part in str(error) for part in _PARTS):
                raise
            package = spec.name.partition(".")[0]
            raise LinkedError(
                f"{spec.name} is compiled against PyTorch's C++ library, which isn't here: torch "
                f"is Argand. Use what {package} has in Python alone, or a release of it without "
                f"extension modules ({error})"
            ) from None


def explain_linked_modules() -> None:
    """From here on the error of such an import says why it can't work."""
    loaders = (
        (_Loader, EXTENSION_SUFFIXES),
        (SourceFileLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )
    sys.path_hooks.insert(0, FileFinder.path_hook(*loaders))
    sys.path_importer_cache.clear()
