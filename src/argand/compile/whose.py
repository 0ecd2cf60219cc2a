"""Whose code it is: a user's, an installed package's, or Python's, NumPy's and our own."""

from __future__ import annotations

import enum
import functools
import itertools
import os
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from argand.base.errors import PACKAGE

# Of the standard library, only these classes hold what a user put there.
_PLAIN_MODULES = frozenset(("types", "argparse", "collections", "builtins", "abc", "typing"))
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


def is_library_function(value: Any) -> bool:
    """Whether a value is a function of Argand's, Python's or NumPy's."""
    return isinstance(value, FunctionType) and is_library_code(value.__code__)


@functools.lru_cache(maxsize=4096)
def is_library_code(code: CodeType) -> bool:
    """Whether code belongs to Argand, to Python or to NumPy."""
    file = code.co_filename
    if is_third_party_code(code):
        return f"site-packages{os.sep}numpy{os.sep}" in file
    return file.startswith((PACKAGE, _STDLIB, "<frozen"))


def is_third_party_code(code: CodeType) -> bool:
    """Whether code was installed: what it reads off objects counts, its globals don't change."""
    return "site-packages" in code.co_filename and not code.co_filename.startswith(PACKAGE)


def is_library_module(module: ModuleType) -> bool:
    """Whether a module is Python's, Argand's or of an installed package."""
    top = module.__name__.partition(".")[0]
    file = getattr(module, "__file__", None) or ""
    known = top in sys.stdlib_module_names or top == "argand"
    return known or "site-packages" in file or file.startswith(PACKAGE)


def is_library_class(cls: type) -> bool:
    """Whether a class is Python's, Argand's or NumPy's."""
    module = cls.__module__
    if not isinstance(module, str):
        return True  # a metaclass of C may have none
    if module == "__main__":
        return False
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in ("argand", "numpy", "builtins")


def is_library(module: str | None) -> bool:
    """Whether a module of code is Argand's, NumPy's or llvmlite's."""
    return (module or "").partition(".")[0] in ("argand", "numpy", "llvmlite")


def is_opaque(kind: type) -> bool:
    """Whether objects of a class hold nothing that a user put there."""
    if issubclass(kind, enum.Enum | np.generic | itertools.count):
        return True
    top = kind.__module__.partition(".")[0]
    if is_library(top):
        return True
    return top in sys.stdlib_module_names and kind.__module__ not in _PLAIN_MODULES
