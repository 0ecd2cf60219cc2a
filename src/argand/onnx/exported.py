"""Exported programs (`ag.export`, `ag.onnx.load`) as what `onnx.export` is called with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ArgumentError
from argand.export.program import ExportedProgram
from argand.tensor.core import wrap


class Facts(NamedTuple):
    """What a program knows of its calls: examples, which sizes vary, and names."""

    args: tuple[Any, ...]
    sizes: tuple[Any, ...]
    inputs: list[str]
    outputs: list[str]


def facts_of(model: Any) -> Facts | None:
    """The facts of an exported program; None of anything else."""
    if not isinstance(model, ExportedProgram):
        return None
    signature = model.default
    inputs = [x for x in signature.inputs if not getattr(x, "optional", False)]
    return Facts(
        _examples(inputs),
        tuple([_varying(x) for x in inputs]),
        [x.name for x in inputs],
        [x.name for x in signature.outputs],
    )


def _varying(x: Any) -> dict[int, Any]:
    """The sizes that are no numbers; those without a name get one."""
    found: dict[int, Any] = {}
    for d, size in enumerate(x.shape or ()):
        if isinstance(size, int):
            continue
        unknown = size is None or str(size) == "?"
        name = f"{x.name}_{d}" if unknown else size
        found[d] = Dim.symbol(name, declared=True) if isinstance(name, str) else name
    return found


def _examples(inputs: Any) -> tuple[Any, ...]:
    """Arguments of the inputs' dtypes and shapes; what is in them doesn't matter to a trace."""
    sizes: dict[str, int] = {}
    found = []
    for x in inputs:
        if x.shape is None:
            raise ArgumentError(f"onnx.export: the rank of {x.name} is not known; give args")
        shape = [_number(size, d, sizes) for d, size in enumerate(x.shape)]
        dtype = np.float32 if x.dtype is None else x.dtype.numpy
        found.append(wrap(np.ones(shape, dtype)))
    return tuple(found)


_FIRST, _OTHER = 3, 320  # a few samples, of a size that networks halve several times


def _number(size: Any, d: int, sizes: dict[str, int]) -> int:
    """A size, or one that a symbol may have."""
    if isinstance(size, int):
        return size
    usual = _OTHER if d else _FIRST
    if isinstance(size, Dim):
        for name in size.symbols():
            sizes.setdefault(name, usual)
        return size.evaluate(sizes)
    return usual if size in (None, "?") else sizes.setdefault(str(size), usual)


def tensor_names(model: Any) -> dict[int, str]:
    """The names that an exported program has for its tensors, by id."""
    if not isinstance(model, ExportedProgram):
        return {}
    return {id(tensor): name for name, tensor in model.state.items()}


__all__ = ["Facts", "facts_of", "tensor_names"]
