"""Which sizes of the arguments vary: `dynamic_shapes`, in PyTorch's forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.dim import Dim, DimHint
from argand.base.errors import ArgumentError, ShapeError
from argand.base.tree import flatten
from argand.compile.signature import parameter_names
from argand.tensor.core import Tensor

Dims = Mapping[int, Any]
Shapes = Sequence[Dims | None]
"""For each leaf of the arguments the dimensions that vary: a Dim, a name or a DimHint each."""


def leaf_shapes(function: Any, given: Any, dynamic_shapes: Any) -> Shapes:
    """For each leaf of the arguments the dims that vary, from PyTorch's `dynamic_shapes`: by the
    names of the arguments or in their order, nested as the arguments are."""
    leaves = flatten(given)[0]
    if dynamic_shapes is None:
        return [None] * len(leaves)
    args, kwargs = given
    if hasattr(dynamic_shapes, "dynamic_shapes"):  # a collection of shapes, or further arguments
        dynamic_shapes = dynamic_shapes.dynamic_shapes(function, args, kwargs)
    names = parameter_names(function)
    by_name = {names[i] if i < len(names) else f"arg{i}": a for i, a in enumerate(args)}
    by_name |= kwargs
    if isinstance(dynamic_shapes, Mapping):
        unknown = [n for n in dynamic_shapes if n not in by_name]
        if unknown:
            raise ArgumentError(
                f"dynamic_shapes names {unknown[0]!r}, which is no argument; there are "
                f"{', '.join(by_name)}"
            )
        specs = [dynamic_shapes.get(name) for name in by_name]
    elif isinstance(dynamic_shapes, list | tuple):
        if len(dynamic_shapes) != len(by_name):
            raise ArgumentError(
                f"dynamic_shapes has {len(dynamic_shapes)} entries, the call has {len(by_name)} "
                "arguments"
            )
        specs = list(dynamic_shapes)
    else:
        raise TypeError(
            "dynamic_shapes is a dictionary by the names of arguments, or a tuple in their order, "
            f"got {type(dynamic_shapes).__name__}"
        )
    found: list[Dims | None] = []
    for (name, value), spec in zip(by_name.items(), specs, strict=True):
        found += _of_argument(name, value, spec)
    return found


def _of_argument(name: str, value: Any, spec: Any) -> list[Dims | None]:
    if isinstance(value, Tensor | np.ndarray):
        return [_dims(name, value, spec)]
    if spec is None:
        return [None] * len(flatten(value)[0])
    parts: list[tuple[str, Any, Any]]
    if isinstance(value, dict):
        parts = [(f"{name}[{k!r}]", v, _part(name, spec, k)) for k, v in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{name}[{i}]", v, _part(name, spec, i)) for i, v in enumerate(value)]
    else:
        raise ArgumentError(f"dynamic_shapes: {name} is a {type(value).__name__}, no tensor")
    return [found for part in parts for found in _of_argument(*part)]


def _part(name: str, spec: Any, key: Any) -> Any:
    if isinstance(spec, Mapping):
        return spec.get(key)
    if isinstance(spec, list | tuple) and isinstance(key, int) and key < len(spec):
        return spec[key]
    raise ArgumentError(f"dynamic_shapes: what is given for {name} is not nested as {name} is")


def _dims(name: str, value: Any, spec: Any) -> dict[int, Any]:
    """The dims that vary of one tensor."""
    rank = len(value.shape)
    if spec is None:
        return {}
    pairs = spec.items() if isinstance(spec, Mapping) else enumerate(spec)
    found: dict[int, Any] = {}
    for d, dim in pairs:
        if not isinstance(d, int) or not -rank <= d < rank:
            raise ShapeError(
                f"dynamic_shapes: {name} has {rank} dimension(s), and {d!r} is none of them"
            )
        if isinstance(dim, int) and not isinstance(dim, Dim):
            if dim != value.shape[d]:
                raise ShapeError(
                    f"dynamic_shapes: dimension {d} of {name} is {value.shape[d]}, not {dim}"
                )
            continue
        if dim is not None and not isinstance(dim, Dim | DimHint | str):
            raise TypeError(f"dynamic_shapes: {name}: expected a Dim or a name, got {dim!r}")
        if dim is not None and dim is not DimHint.STATIC:
            found[d % rank] = dim
    return found


__all__ = ["Dims", "Shapes", "leaf_shapes"]
