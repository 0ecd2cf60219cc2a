"""Which sizes of the inputs vary: `dynamic_shapes` and `dynamic_axes`, in PyTorch's forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from argand.base.dim import Dim, DimHint
from argand.base.errors import ArgumentError
from argand.base.tree import flatten
from argand.compile.signature import argument_labels, parameter_names
from argand.export.declared import Dims, Shapes, leaf_shapes
from argand.tensor.core import Tensor

Given = tuple[tuple[Any, ...], dict[str, Any]]


def declared(
    function: Callable[..., Any],
    given: Given,
    shapes: Any,
    axes: Any,
    input_names: Sequence[str],
) -> Shapes:
    """For each leaf of the arguments the dimensions that vary, and what their sizes are."""
    if shapes is not None and axes is not None:
        raise ArgumentError("onnx.export: give dynamic_shapes or dynamic_axes, not both")
    if axes is not None:
        found: Shapes = _by_axes(function, given, axes, input_names)
    else:
        found = leaf_shapes(function, given, _by_parameter(function, given, shapes, input_names))
    return [_unchecked(dims) for dims in found]


def _by_axes(
    function: Callable[..., Any], given: Given, axes: Any, input_names: Sequence[str]
) -> list[Dims | None]:
    """`dynamic_axes`: by the names of inputs, and of outputs, which follow."""
    if not isinstance(axes, Mapping):
        raise ArgumentError(f"onnx.export: dynamic_axes must be a dict, got {type(axes).__name__}")
    names = iter(input_names)
    found: list[Dims | None] = []
    for leaf, label in zip(flatten(given)[0], argument_labels(function, given), strict=True):
        if not isinstance(leaf, Tensor):
            found.append(None)
            continue
        shown = next(names, label)
        spec = axes.get(shown, axes.get(label))
        if spec is not None and not isinstance(spec, Mapping):
            spec = {d: f"{shown}_dim_{d}" for d in spec}
        wrong = [d for d in spec or () if not -leaf.ndim <= d < leaf.ndim]
        if wrong:
            raise ArgumentError(
                f"onnx.export: dynamic_axes: {shown} has {leaf.ndim} dimension(s), and {wrong[0]} "
                "is none of them"
            )
        found.append({d % leaf.ndim: dim for d, dim in (spec or {}).items()})
    return found


def _by_parameter(
    function: Callable[..., Any], given: Given, shapes: Any, input_names: Sequence[str]
) -> Any:
    """`dynamic_shapes` by the names of parameters: positions and input_names stand for them too,
    and what a tuple lacks at its end doesn't vary."""
    names = parameter_names(function)
    args, kwargs = given
    if isinstance(shapes, list | tuple):
        return (*shapes, *[None] * (len(args) + len(kwargs) - len(shapes)))
    if not isinstance(shapes, Mapping):
        return shapes
    names = [names[i] if i < len(names) else f"arg{i}" for i in range(len(args))]
    other = dict(zip(input_names, names, strict=False)) | dict(enumerate(names))
    known = {*names, *kwargs}
    return {key if key in known else other.get(key, key): dims for key, dims in shapes.items()}


def _unchecked(dims: Dims | None) -> Dims | None:
    """Sizes as PyTorch's names for them are meant: a name's decisions are those of the example, a
    Dim is checked."""
    if dims is None:
        return None
    found: dict[int, Dim | DimHint] = {}
    for d, dim in dims.items():
        found[d] = Dim.symbol(dim) if isinstance(dim, str) else dim
    return found


__all__ = ["Given", "declared"]
