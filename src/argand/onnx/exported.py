"""Exported programs (`ag.export`, `ag.onnx.load`) as what `onnx.export` is called with."""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ArgumentError
from argand.export.program import AnySignature, ExportedProgram
from argand.tensor.core import wrap


def signature_of(model: Any) -> AnySignature | None:
    """The signature that is exported of a program, or is one; None of anything else."""
    if isinstance(model, ExportedProgram):
        return model.default
    return model if isinstance(model, AnySignature) else None


def varying(signature: AnySignature) -> tuple[Any, ...]:
    """The sizes of the inputs that are no numbers; those without a name get one."""
    return tuple([_varying(x) for x in required(signature)])


def required(signature: AnySignature) -> list[Any]:
    """The inputs that a call must give."""
    return [x for x in signature.inputs if not getattr(x, "optional", False)]


def _varying(x: Any) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for d, size in enumerate(x.shape or ()):
        if isinstance(size, int):
            continue
        unknown = size is None or str(size) == "?"
        name = f"{x.name}_{d}" if unknown else size
        found[d] = Dim.symbol(name, declared=True) if isinstance(name, str) else name
    return found


def examples(signature: AnySignature) -> tuple[Any, ...]:
    """Arguments of the inputs' dtypes and shapes; what is in them doesn't matter to a trace."""
    sizes: dict[str, int] = {}
    found = []
    for x in required(signature):
        if x.shape is None:
            raise ArgumentError(f"onnx.export: the rank of {x.name} is not known; give args")
        shape = [_number(size, d, sizes) for d, size in enumerate(x.shape)]
        dtype = np.float32 if x.dtype is None else x.dtype.numpy
        found.append(wrap(np.ones(shape, dtype)))
    return tuple(found)


_FIRST, _OTHER = 3, 320  # a few samples, of a size that networks halve several times


def _number(size: Any, d: int, sizes: dict[str, int]) -> int:
    """A size, or one that a symbol may have."""
    if isinstance(size, int) and not isinstance(size, Dim):
        return size
    usual = _OTHER if d else _FIRST
    if isinstance(size, Dim):
        for name in size.symbols():
            sizes.setdefault(name, usual)
        return size.evaluate(sizes)
    return usual if size in (None, "?") else sizes.setdefault(str(size), usual)


__all__ = ["examples", "required", "signature_of", "varying"]
