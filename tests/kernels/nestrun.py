"""Compile a nest function and call it on arrays: shared by the kernel tests and measurements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from argand.codegen.llvm.fastcall import slow_entry
from argand.codegen.llvm.objects import load
from argand.codegen.llvm.pool import runtime_symbols
from argand.nest.builder import NestFunction, NestModule
from argand.nest.target import Target

Run = Callable[..., None]


def compiled(function: NestFunction, target: Target | None = None) -> Run:
    """A callable for the function: arrays give their address, integers themselves."""
    loaded = load(NestModule((function,)), target, runtime=runtime_symbols())
    kinds = "".join("p" if p.ty.elem == "ptr" else "i" for p in function.params)
    entry = slow_entry(loaded.address(function.name), kinds, owner=loaded)

    def run(*args: np.ndarray | int) -> None:
        given = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in args]
        status = entry(*given)
        assert status == 0, f"status {status}"

    return run
