"""The facts about symbolic sizes that a trace relied on, and where they are collected."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from argand.base.polynomial import Polynomial, Symbol


class Guards:
    """Collects the facts about symbols that a trace relied on.

    With `doubts` they are of a program from outside: sizes that traces put in order themselves are
    compared too.
    """

    def __init__(self, doubts: bool = False) -> None:
        self.doubts = doubts
        self.facts: list[tuple[Polynomial, str, bool]] = []
        # What bounds decided, which take symbols for at least 2, by polynomial and operator.
        self.decided: dict[tuple[Any, str], tuple[Polynomial, str, bool]] = {}
        self.tests: list[Callable[[Any], bool]] = []  # of the arguments of a call
        self.tested: dict[str, Symbol] = {}  # by those tests
        self.tested_floats: set[int] = set()
        self.read: set[str] = set()  # symbols of int arguments whose values Python wanted

    def hold(self, sizes: Mapping[str, int]) -> bool:
        """Whether the facts are true for these sizes."""
        return all(holds(fact, sizes) for fact in self.facts)


_local = threading.local()


@contextmanager
def collecting_guards(guards: Guards) -> Iterator[Guards]:
    """Undecidable comparisons inside the block become facts of `guards`."""
    before = current_guards()
    _local.guards = guards
    try:
        yield guards
    finally:
        _local.guards = before


def current_guards() -> Guards | None:
    """What collects the facts of this thread's trace; None where nothing is traced."""
    found: Guards | None = getattr(_local, "guards", None)
    return found


def relied_on() -> int:
    """How much this thread's trace relies on so far; what grows in between holds for its call."""
    guards = current_guards()
    return 0 if guards is None else len(guards.facts) + len(guards.tests)


def reads(names: set[str]) -> None:
    """Note that Python wanted the values of symbols, whatever becomes of the error."""
    guards = current_guards()
    if guards is not None:
        guards.read |= names


def remember(
    test: Callable[[Any], bool], symbols: Mapping[str, Symbol], floats: Collection[int]
) -> None:
    """Have a trace's program serve only the calls whose arguments pass a test, which is of sizes
    with these symbols and of float arguments of these numbers."""
    guards = current_guards()
    assert guards is not None
    guards.tests.append(test)
    guards.tested |= symbols
    guards.tested_floats |= set(floats)


@contextmanager
def unnoted() -> Iterator[None]:
    """What bounds decide inside the block is no fact of the trace: it is decided anew for sizes
    that are out of them."""
    guards = current_guards()
    before = None if guards is None else dict(guards.decided)
    try:
        yield
    finally:
        if guards is not None and before is not None:
            guards.decided = before


def holds(fact: tuple[Polynomial, str, bool], sizes: Mapping[str, int]) -> bool:
    """Whether a comparison comes out as stated for these sizes; not where they divide by 0."""
    polynomial, op, outcome = fact
    try:
        return compare(polynomial.evaluate(sizes), op) == outcome
    except ZeroDivisionError:
        return False


def compare(value: int, op: str) -> bool:
    """The truth of `value == 0` or `value > 0`."""
    return value == 0 if op == "==" else value > 0
