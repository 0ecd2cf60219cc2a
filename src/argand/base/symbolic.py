"""Python's arithmetic under the names that PyTorch's programs use for symbolic sizes, which are
ints here."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable
from typing import Any

__all__ = [
    "sym_float",
    "sym_int",
    "sym_ite",
    "sym_max",
    "sym_min",
    "sym_not",
    "sym_sqrt",
    "sym_sum",
]


def sym_int(a: Any) -> int:
    """A number rounded towards 0, as an int.

    >>> ag.sym_int(-3.7)
    -3
    """
    return int(a)


def sym_float(a: Any) -> float:
    """A number as a float.

    >>> ag.sym_float(3)
    3.0
    """
    return float(a)


def sym_max(a: Any, b: Any) -> Any:
    """The larger of two numbers; a float if one of them is.

    >>> ag.sym_max(3, 1.0)
    3.0
    """
    return _as_both(builtins.max(a, b), a, b)


def sym_min(a: Any, b: Any) -> Any:
    """The smaller of two numbers; a float if one of them is.

    >>> ag.sym_min(3, 5)
    3
    """
    return _as_both(builtins.min(a, b), a, b)


def _as_both(found: Any, a: Any, b: Any) -> Any:
    return float(found) if isinstance(a, float) or isinstance(b, float) else found


def sym_not(a: Any) -> bool:
    """Whether something is false.

    >>> ag.sym_not(True)
    False
    """
    return not a


def sym_ite(b: bool, t: Any, f: Any) -> Any:
    """`t` where `b`, else `f`. Raises TypeError unless both are of one type.

    >>> ag.sym_ite(2 > 1, 10, 20)
    10
    """
    if type(t) is not type(f):
        raise TypeError(f"sym_ite: {t!r} and {f!r} must be of one type")
    return t if b else f


def sym_sum(args: Iterable[Any]) -> Any:
    """The sum of numbers.

    >>> ag.sym_sum([1, 2, 3])
    6
    """
    return builtins.sum(args)


def sym_sqrt(a: Any) -> float:
    """The square root of a number, a float.

    >>> ag.sym_sqrt(4)
    2.0
    """
    return math.sqrt(a)
