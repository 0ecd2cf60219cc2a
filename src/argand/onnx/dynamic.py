"""Which sizes of the inputs vary: `dynamic_shapes` and `dynamic_axes`, in PyTorch's forms."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ArgumentError, did_you_mean
from argand.base.tree import flatten
from argand.tensor.core import Tensor, wrap

Dims = dict[int, Dim]


def declared(
    function: Callable[..., Any],
    given: tuple[tuple[Any, ...], dict[str, Any]],
    tensors: Sequence[int],
    labels: Sequence[str],
    shapes: Any,
    axes: Any,
    input_names: Sequence[str],
) -> list[Dims]:
    """For each tensor among the arguments, the dimensions that vary and the symbols of their sizes.

    `tensors` are the numbers of the tensors among the leaves of the arguments.
    """
    leaves = flatten(given)[0]
    ranks = [
        np.ndim(leaves[i]) if not isinstance(leaves[i], Tensor) else leaves[i].ndim for i in tensors
    ]
    fresh = _Fresh()
    if shapes is not None and axes is not None:
        raise ArgumentError("onnx.export: give dynamic_shapes or dynamic_axes, not both")
    if axes is not None:
        return _by_axes(axes, labels, input_names, ranks, fresh)
    if shapes is None:
        return [{} for _ in tensors]
    found = _by_leaf(function, given, shapes, input_names, labels)
    return [_dims(found.get(i), rank, fresh) for i, rank in zip(tensors, ranks, strict=True)]


class _Fresh:
    """Names for sizes that the user didn't name."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Dim:
        self.count += 1
        return Dim(f"s{self.count - 1}")


def _by_axes(
    axes: Any, labels: Sequence[str], names: Sequence[str], ranks: Sequence[int], fresh: _Fresh
) -> list[Dims]:
    """`dynamic_axes`: by the names of inputs, and of outputs, which follow."""
    if not isinstance(axes, Mapping):
        raise ArgumentError(f"onnx.export: dynamic_axes must be a dict, got {type(axes).__name__}")
    shown = [*names, *labels[len(names) :]]
    found = []
    for label, shown_label, rank in zip(labels, shown, ranks, strict=False):
        spec = axes.get(shown_label, axes.get(label))
        if spec is not None and not isinstance(spec, Mapping):
            spec = {d: f"{shown_label}_dim_{d}" for d in spec}
        found.append(_dims(spec, rank, fresh))
    return found


def _by_leaf(
    function: Callable[..., Any],
    given: tuple[tuple[Any, ...], dict[str, Any]],
    shapes: Any,
    input_names: Sequence[str],
    labels: Sequence[str],
) -> dict[int, Any]:
    """`dynamic_shapes`: nested as the arguments are, by position or by name."""
    args, kwargs = given
    names = _parameters(function)
    named = [(names[i] if i < len(names) else f"arg{i}", x) for i, x in enumerate(args)]
    named += list(kwargs.items())
    if isinstance(shapes, list | tuple):
        if len(shapes) > len(named):
            raise ArgumentError(
                f"onnx.export: {len(shapes)} dynamic_shapes for {len(named)} arguments"
            )
        by_name = dict(zip([n for n, _ in named], shapes, strict=False))
    elif isinstance(shapes, Mapping):
        by_name = _known_names(shapes, [n for n, _ in named], input_names)
    else:
        raise ArgumentError(
            f"onnx.export: dynamic_shapes must be a dict or a tuple, got {type(shapes).__name__}"
        )
    found: dict[int, Any] = {}
    at = 0
    for name, value in named:
        at = _walk(value, by_name.get(name), at, found)
    return found


def _known_names(
    shapes: Mapping[Any, Any], names: Sequence[str], input_names: Sequence[str]
) -> dict[str, Any]:
    """The specifications by the parameters' names; positions and input_names stand for them."""
    other = dict(zip(input_names, names, strict=False)) | dict(enumerate(names))
    found = {}
    for key, spec in shapes.items():
        name = key if key in names else other.get(key)
        if name is None:
            raise ArgumentError(
                f"onnx.export: dynamic_shapes names {key!r}, which is no argument "
                f"({', '.join(names)}){did_you_mean(str(key), names)}"
            )
        found[name] = spec
    return found


def _walk(value: Any, spec: Any, at: int, found: dict[int, Any]) -> int:
    """Give each leaf of an argument its specification; the number of the next leaf."""
    if isinstance(value, Tensor | np.ndarray):
        found[at] = spec
        return at + 1
    if isinstance(value, Mapping) and isinstance(spec, Mapping):
        for key, part in value.items():
            at = _walk(part, spec.get(key), at, found)
        return at
    if isinstance(value, list | tuple) and isinstance(spec, list | tuple):
        for i, part in enumerate(value):
            at = _walk(part, spec[i] if i < len(spec) else None, at, found)
        return at
    return at + len(flatten(value)[0])


def _parameters(function: Callable[..., Any]) -> list[str]:
    target = getattr(function, "forward", function)
    try:
        found = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in found if p.kind in kinds]


def _dims(spec: Any, rank: int, fresh: _Fresh) -> Dims:
    """One tensor's dimensions that vary."""
    if spec is None:
        return {}
    pairs = spec.items() if isinstance(spec, Mapping) else enumerate(spec)
    found: Dims = {}
    for d, size in pairs:
        if not isinstance(d, int) or not -rank <= d < rank:
            raise ArgumentError(f"onnx.export: dimension {d!r} of a tensor of {rank} dimensions")
        dim = _dim(size, fresh)
        if dim is not None:
            found[d % rank] = dim
    return found


def _dim(size: Any, fresh: _Fresh) -> Dim | None:
    """A size that varies; None for one that doesn't."""
    if size is None or isinstance(size, Dim):
        return size
    if isinstance(size, str):
        return Dim(size)
    kind = getattr(size, "name", getattr(size, "__name__", None))
    if isinstance(kind, str):
        if kind == "STATIC":
            return None
        return fresh() if kind in ("AUTO", "DYNAMIC") else Dim(kind)
    if isinstance(size, int):
        return None  # a size that is given as a number stays
    raise ArgumentError(f"onnx.export: a size that varies is a Dim or a name, got {size!r}")


def enlarged(tensors: list[Any], dims: Sequence[Dims]) -> list[Any]:
    """The tensors with at least two elements where sizes vary: 0 and 1 are programs of their own.

    A trace looks at sizes, not at values, so elements may be repeated.
    """
    wanted: dict[str, int] = {}
    for x, found in zip(tensors, dims, strict=True):
        for d, dim in found.items():
            wanted[str(dim)] = max(wanted.get(str(dim), 2), x.shape[d])
    result = []
    for x, found in zip(tensors, dims, strict=True):
        short = {d: wanted[str(dim)] for d, dim in found.items() if x.shape[d] != wanted[str(dim)]}
        if any(x.shape[d] > 1 for d in short):
            result.append(x)
            continue
        array = x._array
        for d, size in short.items():
            shape = (*array.shape[:d], size, *array.shape[d + 1 :])
            array = (
                np.broadcast_to(array, shape).copy()
                if array.shape[d]
                else np.ones(shape, array.dtype)
            )
        result.append(wrap(array) if short else x)
    return result


__all__ = ["declared", "enlarged"]
