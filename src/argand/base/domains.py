"""Checks that arguments are in their domains; the messages name the argument, the domain, and what
came instead.
"""

from __future__ import annotations

from typing import Any

from argand.base.errors import CallError


def check_numbers(interval: str, /, **values: Any) -> None:
    """Refuse what is not a real number of an interval, written as in mathematics.

    >>> check_numbers("[0, 1)", momentum=0.9)
    >>> check_numbers("[0, 1)", momentum=1)
    Traceback (most recent call last):
    ...
    argand.base.errors.CallError: momentum must be a number in [0, 1), got 1
    """
    low, high = map(float, interval[1:-1].split(","))
    for name, value in values.items():
        fits = hasattr(value, "__float__") and (low <= value <= high)
        ends = (interval[0] == "(" and value == low) or (interval[-1] == ")" and value == high)
        if not fits or ends:
            raise CallError(f"{name} must be a number in {interval}, got {value!r}")


def check_counts(least: int, /, **values: Any) -> None:
    """Refuse what is not a whole number of at least `least`.

    >>> check_counts(1, epochs=3, batch_size=0)
    Traceback (most recent call last):
    ...
    argand.base.errors.CallError: batch_size must be a whole number of at least 1, got 0
    """
    for name, value in values.items():
        whole = hasattr(value, "__index__") and not isinstance(value, bool)
        if not whole or value < least:
            raise CallError(f"{name} must be a whole number of at least {least}, got {value!r}")
