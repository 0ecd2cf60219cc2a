"""Exported programs (`ag.export`, `ag.onnx.load`) as what `onnx.export` is called with."""

from __future__ import annotations

from collections.abc import Mapping
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
        tuple(map(_example, inputs)),
        tuple([_varying(x.shape) for x in inputs]),
        [x.name for x in inputs],
        [x.name for x in signature.outputs],
    )


def _varying(shape: Any) -> dict[int, Any]:
    """The sizes that are no numbers; those without a name get one."""
    found = {d: s for d, s in enumerate(shape or ()) if not isinstance(s, int)}
    return {d: Dim.symbol(f"size_{d}") if s is None else s for d, s in found.items()}


def _example(x: Any) -> Any:
    """An argument of an input's dtype and shape; what is in it doesn't matter to a trace."""
    if x.shape is None:
        raise ArgumentError(f"onnx.export: the rank of {x.name} is not known; give args")
    symbols: dict[str, int] = {}
    for size in x.shape:
        if isinstance(size, Dim):
            symbols |= dict.fromkeys(size.symbols(), 2)
    shape = [_number(s, symbols) for s in x.shape]
    dtype = np.float32 if x.dtype is None else x.dtype.numpy
    return wrap(np.ones(shape, dtype))


def _number(size: Any, symbols: Mapping[str, int]) -> int:
    if isinstance(size, Dim):
        return size.evaluate(symbols)
    return size if isinstance(size, int) else 2


def tensor_names(model: Any) -> dict[int, str]:
    """The names that an exported program has for its tensors, by id."""
    if not isinstance(model, ExportedProgram):
        return {}
    return {id(tensor): name for name, tensor in model.state.items()}


__all__ = ["Facts", "facts_of", "tensor_names"]
