"""Compiled programs on disk: JSON beside the objects, read with suspicion.

A stale entry would be a wrong result, so its name covers all that decides code: the program, the
target, the content of every file that has a say, the formulas of ops defined outside the package,
and the versions of what compiles and computes constants.
"""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import ml_dtypes
import numpy as np

from argand.base.dtype import get_default_dtype
from argand.base.kept import keep_entry, kept_entry
from argand.base.settings import settings
from argand.base.sources import sources_digest
from argand.codegen.llvm.target import llvm_versions
from argand.ir.elementwise import DerivedElementwise, Elementwise
from argand.ir.op import Op
from argand.ir.program import Node, Program, Value
from argand.nest.target import Target

ROOMS: Final = (
    "base",
    "ir",
    "runtime",
    "ops",
    "transform",
    "nest",
    "lowering",
    "kernels",
    "passes",
    "codegen",
    "backends",
)
"""The rooms whose code decides what a program becomes: all that the backends build on."""

NOT_KEPT: Final = "process-"
"""How the names of entries begin that hold in this process alone and don't go to disk."""


class Store:
    """Entries of one target. A missing or read-only folder, or a damaged entry, is a miss."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.folder = Path(settings.cache_dir) / "programs" if settings.cache else None

    def key(self, text: str, program: Program) -> str:
        """The name of the entry of a program with this text."""
        formulas = foreign_formulas(program)
        facts = (repr(self.target), code_digest(), get_default_dtype().name, settings.guard_memory)
        parts = (text, *facts, *(formulas or ()))
        name = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return name if formulas is not None else NOT_KEPT + name

    def load(self, key: str) -> dict[str, Any] | None:
        """The entry, if it is there and whole."""
        if self.folder is None or key.startswith(NOT_KEPT):
            return None
        entry = kept_entry(self.folder, key)
        return entry if isinstance(entry, dict) else None

    def save(self, key: str, entry: dict[str, Any]) -> None:
        """Store an entry, atomically; without a writable folder nothing is stored."""
        if self.folder is None or key.startswith(NOT_KEPT):
            return
        keep_entry(self.folder, key, entry)


@functools.cache
def code_digest() -> str:
    """Changes whenever the compiler does, so no entry outlives the code that made it."""
    return hashlib.sha256("\0".join((sources_digest(ROOMS), *versions())).encode()).hexdigest()


def versions() -> tuple[str, ...]:
    """The versions of what Argand compiles with, and of what computes constants."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (python, *llvm_versions(), np.__version__, ml_dtypes.__version__)


def foreign_formulas(program: Program) -> list[str] | None:
    """The formulas of a program's ops that are defined outside the package; None where one has no
    formula to tell it by, only code."""
    found = []
    for node in _all_nodes(program):
        base = node.op
        while isinstance(base, DerivedElementwise):
            base = base.base
        if not _is_foreign(base):
            continue
        if not isinstance(node.op, Elementwise):
            return None
        types: list[Any] = [i.type if isinstance(i, Value) else i for i in node.inputs]
        found.append(f"{node.op.name} = {node.op.node_expression(types, node.params)}")
    return found


def _is_foreign(op: Op) -> bool:
    return type(op).__module__.partition(".")[0] != "argand"


def _all_nodes(program: Program) -> Iterator[Node]:
    for node in program.nodes:
        yield node
        for region in node.regions:
            yield from _all_nodes(region)
