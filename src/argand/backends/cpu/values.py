"""What programs without inputs give, kept on disk by what they are and the contents of their state.

A name covers all that decides the values: the program, the code that computes it, the target, and
the SHA-256 of what it reads.
"""

from __future__ import annotations

import hashlib
from typing import Any

from argand.backends.cpu.facts import canonical_text
from argand.backends.cpu.store import NOT_KEPT, Store
from argand.base.dtype import DType
from argand.base.settings import settings
from argand.codegen.llvm.target import named_target
from argand.ir.program import Program
from argand.kernels.contraction import tiles
from argand.runtime.packed import is_sharing, keep_packed, packed

__all__ = ["keep", "kept", "panel_width"]


def panel_width(columns: int, dtype: DType, *, for_unit: int = 0) -> int | None:
    """How many columns the panels have that contractions like their second operand in; `for_unit`
    are the elements of one that a matrix unit may multiply, where there is one."""
    target = named_target(settings.target)
    return tiles.panel_width(columns, dtype.name, target, for_unit=for_unit)


def kept(program: Program, contents: str) -> list[Any] | None:
    """The values, read-only; None where they aren't kept."""
    key = _key(program, contents)
    return None if key is None else packed(key)


def keep(program: Program, contents: str, arrays: list[Any]) -> list[Any]:
    """Keep the values, where that is possible; the values in the memory that processes share, where
    they do."""
    key = _key(program, contents)
    if key is not None and keep_packed(key, arrays) and is_sharing():
        return packed(key) or arrays
    return arrays


def _key(program: Program, contents: str) -> str | None:
    code = Store(named_target(settings.target)).key(canonical_text(program), program)
    if code.startswith(NOT_KEPT):
        return None
    return hashlib.sha256(f"{code}\0{contents}".encode()).hexdigest()
