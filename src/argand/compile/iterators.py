"""Iterators behind a traced function: C code holds how far they have come.

A program can't advance one, so every call would get the item of the trace. The stand-in
of an iterator refuses to be advanced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from argand.base.errors import TraceError
from argand.base.userstack import user_location

_MODULES = ("builtins", "itertools")


def is_iterator(value: Any) -> bool:
    """Whether a value is a generator or an iterator of Python's own, such as `iter([1, 2])`."""
    return type(value).__module__ in _MODULES and isinstance(value, Iterator)


class IteratorStandIn:
    """Stands for an iterator while a function is traced."""

    def __init__(self, name: str, iterator: Any) -> None:
        self._name = name
        self.iterator = iterator

    def __iter__(self) -> IteratorStandIn:
        return self

    def __next__(self) -> NoReturn:
        self._refuse()

    def send(self, value: Any) -> NoReturn:
        """Refuse to go on."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TraceError(
            f"the iterator {self._name} is advanced at {user_location(3)}, inside a compiled "
            "function, whose calls would not do it; call next() outside and pass what it gives, or "
            "keep a list and a position"
        )
