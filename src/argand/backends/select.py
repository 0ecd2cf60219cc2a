"""Choosing a backend by name."""

from __future__ import annotations

import importlib
from typing import Any

from argand.backends.interface import CompiledProgram
from argand.base.dtype import DType
from argand.base.errors import did_you_mean
from argand.ir.program import Program

# The CPU backend brings LLVM with it, so it is loaded by the first program that is compiled.
BACKENDS = {"cpu": "argand.backends.cpu", "reference": "argand.backends.reference"}


def compile_program(program: Program, backend: str = "cpu") -> CompiledProgram:
    """A program made ready to run by the backend of a name."""
    compiled: CompiledProgram = load_backend(backend).compile_program(program)
    return compiled


def load_backend(name: str) -> Any:
    """The package of a backend."""
    if name not in BACKENDS:
        raise ValueError(f"no backend {name!r}{did_you_mean(name, BACKENDS)}")
    return importlib.import_module(BACKENDS[name])


def panel_width(columns: int, dtype: DType, backend: str, *, for_unit: int = 0) -> int | None:
    """How many columns the panels have that the backend likes a product's second operand in; those
    of as many elements `for_unit`, a matrix unit, may be others."""
    if backend != "cpu":
        return None
    from argand.backends.cpu.values import panel_width

    return panel_width(columns, dtype, for_unit=for_unit)


def kept_values(program: Program, contents: str, backend: str) -> list[Any] | None:
    """What a program without inputs gives for state of these contents, where a process has kept it
    on disk: read-only arrays. Only the CPU backend keeps any."""
    if backend != "cpu":
        return None
    from argand.backends.cpu.values import kept

    return kept(program, contents)


def keep_values(program: Program, contents: str, arrays: list[Any], backend: str) -> list[Any]:
    """Keep what a program without inputs gave for state of these contents: the arrays to use."""
    if backend != "cpu":
        return arrays
    from argand.backends.cpu.values import keep

    return keep(program, contents, arrays)
