"""Questions about sizes that may be symbolic, by PyTorch's names: a comparison of declared sizes is
decided by their ranges, or becomes a fact that calls of the program are checked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import ArgandError


def guard_int(a: Any) -> int:
    """A size as an int: the program is for this one.

    >>> from argand.fx.experimental.symbolic_shapes import guard_int
    >>> guard_int(3)
    3
    """
    return int(a)


def guard_float(a: Any) -> float:
    """A number as a float."""
    return float(a)


def guard_bool(a: Any) -> bool:
    """A comparison as a bool."""
    return bool(a)


def guard_scalar(a: Any) -> Any:
    """A number as what it is: a bool, an int or a float."""
    return guard_bool(a) if isinstance(a, bool) else guard_int(a) if isinstance(a, int) else a


def guard_size_oblivious(expr: Any) -> bool:
    """A comparison as a bool."""
    return bool(expr)


def guard_or_false(a: Any) -> bool:
    """A comparison as a bool; False where it can't be told.

    >>> from argand.fx.experimental.symbolic_shapes import guard_or_false
    >>> guard_or_false(2 > 1)
    True
    """
    return _decided(a, False)


def guard_or_true(a: Any) -> bool:
    """A comparison as a bool; True where it can't be told."""
    return _decided(a, True)


statically_known_true: Callable[[Any], bool] = guard_or_false


def statically_known_false(x: Any) -> bool:
    """Whether a comparison is known to be false."""
    return not guard_or_true(x)


def _decided(a: Any, otherwise: bool) -> bool:
    try:
        return bool(a)
    except ArgandError:
        return otherwise


def sym_eq(x: Any, y: Any) -> Any:
    """Whether two sizes, or two shapes, are equal.

    >>> from argand.fx.experimental.symbolic_shapes import sym_eq
    >>> sym_eq((2, 3), (2, 3)), sym_eq([2], [2, 3])
    (True, False)
    """
    if isinstance(x, tuple | list) and isinstance(y, tuple | list):
        return len(x) == len(y) and all(a == b for a, b in zip(x, y, strict=True))
    return x == y


def sym_and(x: Any, *others: Any) -> Any:
    """Whether all are true."""
    return all((x, *others))


def sym_or(x: Any, *others: Any) -> Any:
    """Whether one is true."""
    return any((x, *others))


def is_concrete_int(a: Any) -> bool:
    """Whether a size is a number already.

    >>> from argand.fx.experimental.symbolic_shapes import is_concrete_int
    >>> is_concrete_int(3), is_concrete_int(ag.Dim("n"))
    (True, False)
    """
    return isinstance(a, int) and not isinstance(a, Dim)


def is_concrete_bool(a: Any) -> bool:
    """Whether a comparison is decided already."""
    return isinstance(a, bool)


def is_concrete_float(a: Any) -> bool:
    """Whether a number is a float already."""
    return isinstance(a, float)


def has_static_value(a: Any) -> bool:
    """Whether a size is a number already."""
    return not isinstance(a, Dim)


def free_symbols(val: Any) -> set[str]:
    """The names of the symbols in a size, a shape or a tensor's shape.

    >>> from argand.fx.experimental.symbolic_shapes import free_symbols
    >>> free_symbols((ag.Dim("n") * 2, 3))
    {'n'}
    """
    if isinstance(val, Dim):
        return set(val.symbols())
    if isinstance(val, tuple | list):
        return {name for x in val for name in free_symbols(x)}
    return free_symbols(tuple(val.shape)) if hasattr(val, "shape") else set()


def has_free_symbols(val: Any) -> bool:
    """Whether a size, a shape or a tensor's shape is symbolic."""
    return bool(free_symbols(val))


def has_symbolic_sizes_strides(elem: Any) -> bool:
    """Whether a tensor's shape is symbolic."""
    return has_free_symbols(elem)


def hint_int(a: Any, fallback: int | None = None) -> int:
    """The number that a size has in the example."""
    hint = a.hint if isinstance(a, Dim) else a
    return int(fallback or 0) if hint is None else int(hint)


__all__ = [
    "free_symbols",
    "guard_bool",
    "guard_float",
    "guard_int",
    "guard_or_false",
    "guard_or_true",
    "guard_scalar",
    "guard_size_oblivious",
    "has_free_symbols",
    "has_static_value",
    "has_symbolic_sizes_strides",
    "hint_int",
    "is_concrete_bool",
    "is_concrete_float",
    "is_concrete_int",
    "statically_known_false",
    "statically_known_true",
    "sym_and",
    "sym_eq",
    "sym_or",
]
