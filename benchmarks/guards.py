"""What guards on Python values cost a call: a function that reads twenty, less one that reads none.

    python benchmarks/guards.py

Each line is the least time of many short repeats, in nanoseconds: of a call with guards, of one
without, and the difference. The first line times an empty function, to compare machines by.
"""

from __future__ import annotations

import timeit
import types
from collections.abc import Callable
from typing import Any

import argand as ag

VALUES = [float(i + 1) for i in range(20)]
COUNT = len(VALUES)


class Plain:
    """An object with attributes."""

    v: float


class Slotted:
    """An object whose attributes lie in slots."""

    __slots__ = tuple(f"a{i}" for i in range(COUNT))


def function(terms: list[str], names: dict[str, Any]) -> Callable[[Any], Any]:
    """x times the sum of some expressions."""
    exec(f"def f(x):\n    return x * ({' + '.join(terms)})\n", names)
    return names["f"]


def attributes_of(owner: Any) -> Callable[[Any], Any]:
    for i, value in enumerate(VALUES):
        setattr(owner, f"a{i}", value)
    return function([f"owner.a{i}" for i in range(COUNT)], {"owner": owner})


def one_of_each_object() -> Callable[[Any], Any]:
    owners = {f"o{i}": Plain() for i in range(COUNT)}
    for owner, value in zip(owners.values(), VALUES, strict=True):
        owner.v = value
    return function([f"{name}.v" for name in owners], dict(owners))


def closure() -> Callable[[Any], Any]:
    names = [f"c{i}" for i in range(COUNT)]
    made = f"def make({', '.join(names)}):\n    return lambda x: x * ({' + '.join(names)})\n"
    space: dict[str, Any] = {}
    exec(made, space)
    return space["make"](*VALUES)


def class_attributes() -> Callable[[Any], Any]:
    owner = type("Constants", (), {f"a{i}": value for i, value in enumerate(VALUES)})
    return function([f"owner.a{i}" for i in range(COUNT)], {"owner": owner})


def kinds() -> dict[str, Callable[[Any], Any]]:
    """Functions that read twenty values each."""
    table = {f"k{i}": value for i, value in enumerate(VALUES)}
    return {
        "20 attributes of one object": attributes_of(Plain()),
        "20 attributes of a namespace": attributes_of(types.SimpleNamespace()),
        "20 attributes in slots": attributes_of(Slotted()),
        "20 attributes of a class": class_attributes(),
        "20 globals": function(
            [f"g{i}" for i in range(COUNT)], {f"g{i}": value for i, value in enumerate(VALUES)}
        ),
        "20 variables of a closure": closure(),
        "20 items of a dictionary": function([f"t['{key}']" for key in table], {"t": table}),
        "20 elements of a list": function([f"t[{i}]" for i in range(COUNT)], {"t": [*VALUES]}),
        "an attribute of each of 20 objects": one_of_each_object(),
    }


def least(call: Callable[[], Any]) -> float:
    """The least time of a call in nanoseconds; a short repeat seldom meets an interruption."""
    return min(timeit.repeat(call, number=200, repeat=3000)) / 200 * 1e9


def main() -> None:
    x = ag.ones(4)
    plain = ag.compile(lambda x: x * 210.0)
    plain(x)
    print(f"{'an empty function':36} {least(lambda: None):6.0f}")
    print(f"{'':36} {'guards':>6} {'none':>6} {'differ':>6}")
    for name, made in kinds().items():
        compiled = ag.compile(made)
        compiled(x)
        without = least(lambda: plain(x))
        with_guards = least(lambda compiled=compiled: compiled(x))
        print(f"{name:36} {with_guards:6.0f} {without:6.0f} {with_guards - without:6.0f}")


if __name__ == "__main__":
    main()
