"""What a graph is made of, as ops' rules see it."""

from __future__ import annotations

from typing import Any, NamedTuple

from argand.base.dim import Shape
from argand.base.dtype import DType


class Ref(NamedTuple):
    """A value of the graph. `shape` is that of the program's value, None where nobody asks."""

    name: str
    dtype: DType
    shape: Any = None


class Source(NamedTuple):
    """Where a symbol's value is: (size d of a value - plus) / times."""

    value: Ref
    d: int
    times: int
    plus: int


class Place(NamedTuple):
    """Whose rule is at work: the op's name, the module's path and the user's line."""

    op: str = ""
    module: str = ""
    location: Any = None

    @property
    def note(self) -> str:
        """The line and the module, as printed programs show them."""
        return " · ".join(str(x) for x in (self.location, self.module) if x)


class Failure(NamedTuple):
    """An op without translation, and where it was asked for."""

    place: Place
    reason: str


class Expanded(NamedTuple):
    """A value that is only written out in full for operators that don't broadcast."""

    source: Ref
    shape: Shape


__all__ = ["Expanded", "Failure", "Place", "Ref", "Source"]
