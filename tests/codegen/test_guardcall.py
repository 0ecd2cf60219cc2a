"""The native check of guards: what it finds changed, and what it leaves alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CellType, SimpleNamespace
from typing import Any

import pytest

from argand.codegen.llvm.cpython import layout_known
from argand.codegen.llvm.guardcall import guard_entry

MISSING = object()


def check_of(*records: tuple[Any, Any, Any]) -> Callable[[], bool]:
    made = guard_entry([MISSING, *(part for record in records for part in record)])
    assert made is not None
    return made


class Plain:
    """An object with a namespace."""


class Slotted:
    """An object without one."""

    __slots__ = ("value",)


def test_it_is_there() -> None:
    assert layout_known()
    assert check_of()() is True


def test_items() -> None:
    value = object()
    space = {"a": value, 7: value}
    check = check_of((space, "a", value), (space, 7, value), (space, "b", MISSING))
    assert check() is True
    space["b"] = value
    assert check() is False
    del space["b"]
    assert check() is True
    space[7] = object()
    assert check() is False
    space[7] = value
    del space["a"]
    assert check() is False


def test_every_record_is_looked_at() -> None:
    spaces = [{"a": object()} for _ in range(20)]
    check = check_of(*[(s, "a", s["a"]) for s in spaces])
    for space in spaces:
        before = space["a"]
        space["a"] = object()
        assert check() is False
        space["a"] = before
        assert check() is True


def test_keys_in_order() -> None:
    space = {"a": 1, "b": 2, "c": 3}
    check = check_of((space, None, list(space)))
    assert check() is True
    space["a"] = 5
    assert check() is True
    space["d"] = 4
    assert check() is False
    del space["d"]
    assert check() is True
    space["a"] = space.pop("a")
    assert check() is False
    space.clear()
    assert check() is False
    assert check_of(({}, None, []))() is True


def test_elements_and_length() -> None:
    items = [object(), object(), object()]
    first, last = items[0], items[2]
    length, elements = check_of((items, None, 3)), check_of((items, 0, first), (items, 2, last))
    assert length() is True and elements() is True
    items.pop()
    assert length() is False and elements() is False
    items.append(last)
    assert length() is True and elements() is True
    items[0] = last
    assert length() is True and elements() is False


def test_cells() -> None:
    value, cell, empty = object(), CellType(), CellType()
    check = check_of((cell, None, value), (empty, None, MISSING))
    assert check() is False
    cell.cell_contents = value
    assert check() is True
    empty.cell_contents = value
    assert check() is False


@pytest.mark.parametrize("kind", [Plain, SimpleNamespace, type("Listed", (list,), {})])
def test_namespaces(kind: Any) -> None:
    owner = kind()
    space = owner.__dict__
    check = check_of((owner, kind, space))
    assert check() is True
    owner.a = 1
    assert check() is True
    if kind is not SimpleNamespace:  # whose namespace nothing can replace
        owner.__dict__ = dict(space)
        assert check() is False
        owner.__dict__ = space
        assert check() is True
        owner.__class__ = type("Other", (kind,), {})
        assert check() is False


def test_attributes() -> None:
    owner, value = Slotted(), object()
    absent, there = check_of((owner, "value", MISSING)), check_of((owner, "value", value))
    assert absent() is True and there() is False
    owner.value = value
    assert absent() is False and there() is True
    del owner.value
    assert absent() is True and there() is False


def test_errors_are_cleared() -> None:
    class Broken:
        @property
        def value(self) -> Any:
            raise RuntimeError("no")

    assert check_of((Broken(), "value", MISSING))() is False
    assert check_of((object(), object, {}))() is False  # it has no namespace

    class Odd:
        def __hash__(self) -> int:
            return hash("a")

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

    space: dict[Any, Any] = {Odd(): 1}
    assert check_of((space, "a", MISSING))() is False


def test_equality_is_never_asked() -> None:
    class Asked:
        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        __hash__ = None  # type: ignore[assignment]

    value = Asked()
    space = {"a": value}
    check = check_of((space, "a", value))
    assert check() is True
    space["a"] = Asked()
    assert check() is False


def test_a_replaced_value_counts_from_then_on() -> None:
    value, other = object(), object()
    space = {"a": value}
    records = [MISSING, space, "a", value]
    check = guard_entry(records)
    assert check is not None
    space["a"] = other
    assert check() is False
    records[3] = other
    assert check() is True


def test_no_reference_is_lost_or_leaked() -> None:
    value, other = object(), object()
    plain, slotted, cell, items = Plain(), Slotted(), CellType(value), [value]
    plain.a = slotted.value = value  # type: ignore[attr-defined]
    space, keys = plain.__dict__, list(plain.__dict__)
    found = [
        (space, "a", value),
        (space, "b", MISSING),
        (space, None, keys),
        (items, 0, value),
        (items, None, 1),
        (cell, None, value),
        (plain, Plain, space),
        (slotted, "value", value),
        (slotted, "other", MISSING),
    ]
    wrong = [
        (space, "a", other),
        (space, None, []),
        (items, 0, other),
        (cell, None, other),
        (plain, Plain, {}),
        (slotted, "value", other),
        (slotted, "other", value),
    ]
    held, changed = check_of(*found), [check_of(*found, record) for record in wrong]
    own: list[Any] = [value, other, plain, slotted, cell, items, space, keys, held, *changed]
    watched = [*own, "a", MISSING, True, False, None, AttributeError]
    before = [sys.getrefcount(x) for x in watched]
    for _ in range(10_000):
        held()
    for check in changed:
        for _ in range(10_000):
            check()
    after = [sys.getrefcount(x) for x in watched]
    drift = [b - a for a, b in zip(before, after, strict=True)]
    assert max(map(abs, drift[: len(own)])) <= 2, drift
    # threads of the process have these too, but not so many of them as there were calls
    assert max(map(abs, drift[len(own) :])) < 1_000, drift
