"""What a call's arguments look like: the part of them that a program depends on.

Tensors are described by dtype, shape, whether they want a gradient, and whether they share memory;
floats are inputs (0-d float64 tensors); every other Python value is a constant of the program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim, Shape, Symbol
from argand.base.dtype import DType, float64
from argand.base.shape import shape_text
from argand.base.tree import Structure, flatten
from argand.tensor.core import Tensor, wrap

_CONSTANTS = (bool, int, str, bytes, type(None), complex)


class TensorSpec(NamedTuple):
    """One tensor argument."""

    dtype: DType
    shape: Shape
    requires_grad: bool

    def __str__(self) -> str:
        grad = ", requires_grad" if self.requires_grad else ""
        return f"{self.dtype.short}{shape_text(self.shape)}{grad}"


class FloatSpec(NamedTuple):
    """A float argument: an input of the program."""

    def __str__(self) -> str:
        return "a float"


class ConstantSpec(NamedTuple):
    """A Python value that the program was made for."""

    kind: type
    value: Any

    def __str__(self) -> str:
        return repr(self.value)


Spec = TensorSpec | FloatSpec | ConstantSpec


class Signature(NamedTuple):
    """The description of a whole call."""

    structure: Structure
    specs: tuple[Spec, ...]
    aliases: tuple[int, ...]  # for each tensor argument: the first one that shares its memory
    grad_enabled: bool


def describe_call(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    constant_floats: frozenset[int],
    grad_enabled: bool,
) -> tuple[Signature, list[Any]]:
    """The signature of a call and its leaves."""
    leaves, structure = flatten((args, kwargs)) if kwargs else flatten((args, {}))
    specs = tuple([_spec(x, i in constant_floats) for i, x in enumerate(leaves)])
    return Signature(structure, specs, _aliases(leaves), grad_enabled), leaves


def _spec(x: Any, constant_float: bool) -> Spec:
    if isinstance(x, Tensor):
        return TensorSpec(x.dtype, tuple(x.shape), x.requires_grad)
    if type(x) is float and not constant_float:
        return FloatSpec()
    try:
        hash(x)
    except TypeError:
        return ConstantSpec(type(x), Identity(x))
    return ConstantSpec(type(x), x)


class Identity:
    """An unhashable Python object among the arguments: the same object means the same program."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def __repr__(self) -> str:
        return f"this {type(self.value).__name__}"


def _aliases(leaves: Sequence[Any]) -> tuple[int, ...]:
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    if len(tensors) < 2:
        return tuple(range(len(tensors)))
    first: dict[int, int] = {}
    return tuple(first.setdefault(id(t._root()), i) for i, t in enumerate(tensors))


def as_input(spec: Spec, leaf: Any) -> Tensor | None:
    """The tensor that is an input of the program for this argument; None for a constant."""
    if isinstance(spec, TensorSpec):
        return leaf  # type: ignore[no-any-return]  # a TensorSpec describes a Tensor
    if isinstance(spec, FloatSpec):
        return wrap(np.array(leaf, float64.numpy))
    return None


def generalise(
    shape: Shape, seen: Sequence[Shape], names: dict[int, Dim], declared: Mapping[int, Dim]
) -> Shape:
    """A shape whose varying sizes have become symbols.

    `seen` are the shapes that came at this place before; `names` maps a size at hand to its symbol,
    so that equal varying sizes share one; `declared` are the dims that the user named.
    """
    result: list[Any] = []
    for i, size in enumerate(shape):
        if i in declared:
            result.append(_declared(declared[i], size, names))
        elif isinstance(size, int) and size >= 2 and any(_differs(s, i, size) for s in seen):
            if size not in names:
                names[size] = Dim.symbol(f"s{len(names)}", hint=size)
            result.append(names[size])
        else:
            result.append(size)
    return tuple(result)


def _differs(shape: Shape, i: int, size: int) -> bool:
    return isinstance(shape[i], Dim) or (shape[i] != size and shape[i] >= 2)


def _declared(dim: Dim, size: Any, names: dict[int, Dim]) -> Dim:
    (name,) = dim.symbols()
    for known in names.values():
        if str(known) == name:
            return known
    fresh = Dim({(Symbol(name, hint=size, declared=True),): 1})
    names[-1 - len(names)] = fresh  # a key that no size has: declared dims are shared by name only
    return fresh


def difference(old: Signature, new: Signature) -> list[str]:
    """What differs between two calls, one line an argument."""
    if old.structure != new.structure:
        return ["the arguments are nested differently"]
    lines = [
        f"argument {i}: {a} became {b}"
        for i, (a, b) in enumerate(zip(old.specs, new.specs, strict=True))
        if a != b
    ]
    if old.aliases != new.aliases:
        lines.append("other arguments share memory")
    if old.grad_enabled != new.grad_enabled:
        lines.append(f"grad mode: {old.grad_enabled} became {new.grad_enabled}")
    return lines or ["the state behind the function changed"]
