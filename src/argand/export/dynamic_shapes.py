"""`argand.export.dynamic_shapes`: what says which sizes vary, under PyTorch's address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from argand.base.dim import Dim, DimHint
from argand.base.errors import ShapeError
from argand.base.tree import flatten, tree_map, unflatten
from argand.compile.signature import parameter_names
from argand.export.named import dims
from argand.tensor.core import Tensor


class ShapesCollection:
    """Which sizes vary, by the tensors themselves: for arguments that are nested deeply.

    >>> x, y = ag.ones(2, 3), ag.ones(2)
    >>> shapes = ag.export.ShapesCollection()
    >>> shapes[x] = {0: ag.Dim("n")}
    >>> shapes[y] = (ag.Dim("n"),)
    >>> f = lambda parts: parts["x"].sum(1) + parts["y"]
    >>> ag.export.export(f, ({"x": x, "y": y},), dynamic_shapes=shapes)({"x": x[:1], "y": y[:1]})
    tensor([4.])
    """

    def __init__(self) -> None:
        self._shapes: dict[int, tuple[Any, Any]] = {}

    def __setitem__(self, t: Any, shape: Any) -> None:
        known = self._shapes.get(id(t))
        if known is not None and known[1] != shape:
            raise ShapeError(
                f"dynamic_shapes: a tensor was given {known[1]} before, and is given {shape} now"
            )
        self._shapes[id(t)] = t, shape

    def __getitem__(self, t: Any) -> Any:
        return self._shapes.setdefault(id(t), (t, {}))[1]

    def __len__(self) -> int:
        return len(self._shapes)

    def dynamic_shapes(self, m: Any, args: Any, kwargs: Any = None) -> dict[str, Any]:
        """What `export` takes as `dynamic_shapes`, by the names of the arguments."""
        named = _by_name(m, args, kwargs)
        leaves = {id(x) for x in flatten(named)[0]}
        if not self._shapes.keys() <= leaves:
            raise ShapeError("dynamic_shapes: a tensor of the collection is among no arguments")
        return {
            name: tree_map(lambda x: self._shapes.get(id(x), (x, None))[1], value)
            for name, value in named.items()
        }


class AdditionalInputs:
    """Which sizes vary, by further arguments: sizes that differ among them do.

    >>> more = ag.export.AdditionalInputs()
    >>> more.add((ag.ones(5, 3),))
    >>> program = ag.export.export(lambda x: x * 2, (ag.ones(2, 3),), dynamic_shapes=more)
    >>> program(ag.ones(7, 3)).shape
    argand.Size([7, 3])
    """

    def __init__(self) -> None:
        self._examples: list[tuple[Sequence[Any], Mapping[str, Any]]] = []

    def add(self, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> None:
        """Add arguments that the program is to take."""
        if not isinstance(args, tuple | list):
            raise TypeError(f"arguments come in a tuple, got {type(args).__name__}")
        self._examples.append((args, kwargs or {}))

    def dynamic_shapes(self, m: Any, args: Any, kwargs: Any = None) -> dict[str, Any]:
        """What `export` takes as `dynamic_shapes`, by the names of the arguments."""
        named = _by_name(m, args, kwargs)
        leaves, structure = flatten(named)
        others = []
        for more, by_name in self._examples:
            found, other = flatten(_by_name(m, more, by_name))
            if other != structure:
                raise ShapeError("dynamic_shapes: additional inputs are nested in another way")
            others.append(found)
        specs = [_varying(x, [other[i] for other in others]) for i, x in enumerate(leaves)]
        found_specs: dict[str, Any] = unflatten(structure, specs)
        return found_specs

    def verify(self, ep: Any) -> None:
        """Call the program with each of the arguments' shapes, which raises where it takes none."""
        for args, kwargs in self._examples:
            ep.default.check(*args, **kwargs)


def _varying(leaf: Any, others: Sequence[Any]) -> Any:
    if not isinstance(leaf, Tensor):
        return None
    if any(len(other.shape) != len(leaf.shape) for other in others):
        raise ShapeError("dynamic_shapes: additional inputs have other numbers of dimensions")
    return {
        d: DimHint.DYNAMIC
        for d, n in enumerate(leaf.shape)
        if any(other.shape[d] != n for other in others)
    }


def _by_name(function: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    names = parameter_names(function)
    found = {names[i] if i < len(names) else f"arg{i}": a for i, a in enumerate(args)}
    return found | dict(kwargs or {})


__all__ = ["AdditionalInputs", "Dim", "ShapesCollection", "dims"]
