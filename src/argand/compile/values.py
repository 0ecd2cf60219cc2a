"""When one Python value is as good as another: nothing that code can do tells them apart.

Of values behind a function this is asked without running anything of the user's (`same_value`); of
arguments, which are looked up in dictionaries, by descriptions that hash (`ConstantSpec`).
"""

from __future__ import annotations

from types import BuiltinMethodType, MethodType
from typing import Any, NamedTuple

import numpy as np

from argand.base.integer import is_integer

SCALARS = (bool, int, float, complex, str, bytes, type(None))


def same_value(a: Any, b: Any) -> bool:
    """Whether two Python values are of one type and equal, so that no code can tell them apart:
    -0.0 is not 0.0, and NaN is itself."""
    kind = type(a)
    if kind is not type(b):
        return False
    if isinstance(a, np.generic) or kind in (float, complex):
        return Bits(a) == Bits(b)
    if kind in SCALARS:
        return bool(a == b)
    if kind is tuple and len(a) == len(b):
        return all(x is y or same_value(x, y) for x, y in zip(a, b, strict=True))
    if kind in _BOUND:  # made anew whenever it is looked up
        return a.__self__ is b.__self__ and a.__name__ == b.__name__ and bool(a == b)
    return False


_BOUND = (BuiltinMethodType, MethodType)


class ConstantSpec(NamedTuple):
    """A Python value that the program was made for."""

    kind: type
    value: Any

    def __str__(self) -> str:
        text = repr(self.value)
        return text if len(text) <= 40 else f"this {self.kind.__name__}"


def constant_spec(x: Any) -> ConstantSpec:
    """The description of a value that the program is made for."""
    kind = type(x)
    if kind in _PLAIN or is_integer(x) or kind.__eq__ is _BY_IDENTITY:
        return ConstantSpec(kind, x)
    try:
        hash(x)
    except TypeError:
        value = Exact(frozenset(x)) if kind is set else ById(x)
        return ConstantSpec(kind, value)
    if isinstance(x, float | complex | np.inexact):
        return ConstantSpec(kind, Bits(x))
    return ConstantSpec(kind, Exact(x))


def is_constant(x: Any, spec: ConstantSpec) -> bool:
    """Whether a value is as good as the one that a program was made for."""
    return x is spec.value or constant_spec(x) == spec


_PLAIN = frozenset((int, bool, str, bytes, type(None)))
_BY_IDENTITY: Any = object.__eq__


class _Wrapped:
    """A value that is compared in a way of its own."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


class Exact(_Wrapped):
    """A value whose `==` is not enough: another one is as good only if nothing tells them apart."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Exact):
            return False
        a, b = self.value, other.value
        if a is b:
            return True
        state = _state(a) if a == b else None
        return state is not None and state == _state(b)

    def __hash__(self) -> int:
        return hash(self.value)


def _state(x: Any) -> Any:
    """What tells equal values of a class apart; None where only the object itself is as good."""
    kind = type(x)
    if isinstance(x, frozenset):
        return kind, frozenset(map(constant_spec, x))
    if kind.__module__ in _STANDARD:  # their texts tell all: range, Decimal, datetime, Path, ...
        return kind, repr(x)
    slots = any("__slots__" in vars(base) for base in kind.__mro__ if base is not object)
    if slots or not hasattr(x, "__dict__"):
        return None
    base = next((b for b in kind.__mro__ if b.__module__ == "builtins"), object)
    text = repr(base(x)) if base in (int, str, bytes) else ""
    return kind, text, tuple([(name, constant_spec(v)) for name, v in vars(x).items()])


_STANDARD = frozenset(("builtins", "datetime", "decimal", "fractions", "pathlib", "uuid", "numpy"))


class Bits(_Wrapped):
    """A float or a complex number that the program was made for: -0.0 is not 0.0, NaN is itself."""

    __slots__ = ("bits",)

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.bits = np.asarray(value).tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bits) and self.bits == other.bits

    def __hash__(self) -> int:
        return hash(self.bits)


class ById(_Wrapped):
    """An unhashable Python object among the arguments: the same object means the same program."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ById) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def __repr__(self) -> str:
        return f"this {type(self.value).__name__}"
