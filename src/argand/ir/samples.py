"""Test data that an op carries: what to call it with, and what it must refuse.

Nothing here computes; the conformance test makes arrays of these descriptions with a fixed seed.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Uniform(NamedTuple):
    """The domain of an elementwise op's operands: uniform in [low, high]."""

    low: float
    high: float
    integers: bool = False


class T(NamedTuple):
    """An array operand: its shape, the domain of its values, and its dtype.

    `dtype` None is the dtype under test.
    """

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None
    distinct: bool = False  # no two values closer than 1e-2, for ops that choose
    definite: bool = False  # symmetric positive definite matrices


class Sample:
    """One call of an op: operands and keyword arguments."""

    __slots__ = ("args", "kwargs")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs

    def __repr__(self) -> str:
        shown = [repr(a.shape) if isinstance(a, T) else repr(a) for a in self.args]
        return ", ".join(shown + [f"{k}={v!r}" for k, v in self.kwargs.items()])


class ErrorSample:
    """A call that must fail, the error's type, and a part of its message."""

    __slots__ = ("args", "error", "kwargs", "match")

    def __init__(self, error: type[Exception], match: str, *args: Any, **kwargs: Any) -> None:
        self.error = error
        self.match = match
        self.args = args
        self.kwargs = kwargs
