"""Guards on Python values: every change is seen by the very next call, after a bound call."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import argand as ag
from argand.compile.guards import ValueGuards
from argand.compile.slots import Item


class Plain:
    """An object with attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Single:
    """An object whose class has an attribute."""

    scale = 1.0


class Slotted:
    """An object whose attributes lie in slots."""

    __slots__ = ("v",)


def warm(function: Any, *tensors: Any) -> Any:
    """The guards of a compiled function that has been called until it is bound."""
    for _ in range(3):
        function(*tensors)
    assert function._bound is not None
    calls, programs = function.specialisations[-1].calls, len(function.specialisations)
    function(*tensors)
    assert (function.specialisations[-1].calls, len(function.specialisations)) == (
        calls + 1,
        programs,
    )
    return function.specialisations[-1].surroundings.guards


def same(a: Any, b: Any) -> bool:
    """Whether two results can't be told apart, signs of zeros included."""
    x, y = a.numpy(), b.numpy()
    return x.dtype == y.dtype and x.tobytes() == y.tobytes()


def describe(x: Any, value: Any) -> Any:
    """A function of a Python value that tells types, zeros' signs and NaN apart."""
    kind = float(["int", "float", "bool", "str"].index(type(value).__name__))
    if isinstance(value, str):
        return x * 0 + kind + len(value)
    return x * 0 + kind * 100 + (math.copysign(1, value) if value == 0 or value != value else value)


VALUES = [1.0, 1, True, 2.0, 0.0, -0.0, math.nan, -math.nan, "one", float("1.5"), 1.5]


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_every_value_is_told_apart(compiled: Callable[..., Any], inputs: int) -> None:
    owner = Plain(v=1.0)

    def plain(*tensors: Any) -> Any:
        return describe(sum(tensors), owner.v)

    def one(x: Any) -> Any:
        return plain(x)

    def two(x: Any, y: Any) -> Any:
        return plain(x, y)

    def three(x: Any, y: Any, z: Any) -> Any:
        return plain(x, y, z)

    eager = (one, two, three)[inputs - 1]
    tensors = [ag.tensor([1.0, 2.0])] * 1 + [ag.ones(2) for _ in range(inputs - 1)]
    function = compiled(eager)
    for value in VALUES:
        owner.v = value
        assert same(function(*tensors), eager(*tensors)), value
        warm(function, *tensors)
        assert same(function(*tensors), eager(*tensors)), value


def changes() -> dict[str, tuple[Callable[[Any], Any], Callable[[], None]]]:
    """Functions with a change that each must see."""
    there, gone, replaced, cls = Plain(v=2.0), Plain(v=2.0), Plain(v=2.0), Single()
    space, slotted, by_class = SimpleNamespace(v=2.0), Slotted(), type("K", (), {"v": 2.0})
    items, table, hidden = [2.0, 3.0], {"a": 2.0, "b": 3.0}, type("K", (), {"v": 2.0})()
    slotted.v = 2.0
    cell = 2.0

    class Tripled(Single):
        scale = 3.0

    def set_cell() -> None:
        nonlocal cell
        cell = 5.0

    def reorder() -> None:
        ordered["a"] = ordered.pop("a")

    ordered, shorter = {"a": 2.0, "b": 3.0}, {"a": 2.0, "b": 3.0}
    return {
        "another value": (lambda x: x * there.v, lambda: setattr(there, "v", 5.0)),
        "a deleted attribute": (
            lambda x: x * getattr(gone, "v", 7.0),
            lambda: delattr(gone, "v"),
        ),
        "another namespace": (
            lambda x: x * replaced.v,
            lambda: setattr(replaced, "__dict__", {"v": 5.0}),
        ),
        "another class": (lambda x: x * cls.scale, lambda: setattr(cls, "__class__", Tripled)),
        "a namespace's attribute": (lambda x: x * space.v, lambda: setattr(space, "v", 5.0)),
        "a slot": (lambda x: x * slotted.v, lambda: setattr(slotted, "v", 5.0)),
        "a class's attribute": (lambda x: x * by_class.v, lambda: setattr(by_class, "v", 5.0)),
        "a hidden attribute": (lambda x: x * hidden.v, lambda: setattr(hidden, "v", 5.0)),
        "an element": (lambda x: x * items[1], lambda: items.__setitem__(1, 5.0)),
        "an item": (lambda x: x * table["b"], lambda: table.__setitem__("b", 5.0)),
        "one more item": (lambda x: x * len(table), lambda: table.__setitem__("c", 5.0)),
        "the last item": (lambda x: x * len(shorter), lambda: shorter.popitem() and None),
        "another order": (lambda x: x * next(iter(ordered.values())), reorder),
        "a closure": (lambda x: x * cell, set_cell),
    }


@pytest.mark.parametrize("name", list(changes()))
def test_every_kind_of_change_is_seen(compiled: Callable[..., Any], name: str) -> None:
    eager, change = changes()[name]
    function, x = compiled(eager), ag.tensor([1.0, 2.0])
    warm(function, x)
    before = function(x)
    change()
    assert same(function(x), eager(x))
    assert not same(function(x), before)
    warm(function, x)
    assert same(function(x), eager(x))


def test_a_bound_call_asks_native_code_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, x = Plain(v=2.0), ag.ones(2)
    functions = [
        (ag.compile(lambda x: x * owner.v), (x,)),
        (ag.compile(lambda x, y: x * owner.v + y), (x, ag.ones(2))),
        (ag.compile(lambda x: x * 2), (x,)),
        (ag.compile(ag.nn.Linear(2, 3)), (x,)),
    ]
    for function, tensors in functions:
        assert warm(function, *tensors)._native is not None
    monkeypatch.setattr(ValueGuards, "hold_strictly", lambda self: pytest.fail("in Python"))
    monkeypatch.setattr(ag.compile(x.sin).__class__, "_run", lambda *_: pytest.fail("described"))
    for function, tensors in functions:
        function(*tensors)


def test_the_reference_backend_stays_in_python() -> None:
    owner = Plain(v=2.0)
    function = ag.compile(lambda x: x * owner.v, backend="reference")
    guards = warm(function, ag.ones(2))
    assert guards._native is None and guards.hold()


def test_an_equal_value_takes_the_place_of_the_old_one() -> None:
    owner, text = Plain(v=1234.5, s="a text"), ["a", " text"]
    function, x = ag.compile(lambda x: x * owner.v + len(owner.s)), ag.ones(2)
    guards = warm(function, x)
    assert guards._native()
    owner.v, owner.s = float("1234.5"), "".join(text)
    assert not guards._native()
    function(x)
    assert guards._native()
    assert len(function.specialisations) == 1


def test_equality_is_never_asked(compiled: Callable[..., Any]) -> None:
    class Asked:
        def __init__(self, v: float) -> None:
            self.v = v

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        def __hash__(self) -> int:
            raise AssertionError("hashed")

    owner = Plain(inner=Asked(2.0))

    def eager(x: Any) -> Any:
        return x * owner.inner.v

    function, x = compiled(eager), ag.ones(2)
    warm(function, x)
    owner.inner = Asked(3.0)
    assert same(function(x), eager(x))


def test_containers_of_classes_of_their_own_look_up_in_their_own_way() -> None:
    class Doubled(dict):  # type: ignore[type-arg]
        def __getitem__(self, key: Any) -> Any:
            return 2 * super().__getitem__(key)

    table, owner = Doubled(a=1.5), Plain(v=1.0)

    def eager(x: Any) -> Any:
        return x * table["a"] * owner.v

    function, x = ag.compile(eager), ag.ones(2)
    guards = warm(function, x)
    assert guards._native is not None
    for change in (lambda: table.__setitem__("a", 4.0), lambda: setattr(owner, "v", 3.0)):
        change()
        assert same(function(x), eager(x))
        warm(function, x)


def test_a_namespace_kept_in_another_way_is_checked_in_python() -> None:
    class Elsewhere:
        def __init__(self) -> None:
            object.__setattr__(self, "kept", {"v": 2.0})

        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            return object.__getattribute__(self, "kept")

        def __getattr__(self, name: str) -> Any:
            return self.__dict__[name]

    guards, owner = ValueGuards(), Elsewhere()
    guards.add_namespace(owner, "owner")
    guards.add(Item(owner.__dict__, "v", "owner.v"))
    assert guards.compile(_entry(), ()) is None
    assert guards.hold()
    owner.__dict__["v"] = 3.0
    assert not guards.hold()
    assert guards.changes() == ["owner.v: 2.0 became 3.0"]


def _entry() -> Any:
    function = ag.compile(lambda x: x * 2)
    function(ag.ones(2))
    return function.specialisations[0].executable.compiled.guard_entry


def test_changes_are_told() -> None:
    owner, other = Plain(v=2.0), Plain(v=2.0)
    guards = ValueGuards()
    for name, value in (("owner", owner), ("other", other)):
        guards.add_namespace(value, name)
    assert guards.compile(_entry(), ()) is not None
    owner.__dict__ = {"v": 2.0}
    other.__class__ = type("Changed", (Plain,), {})
    assert not guards.hold()
    assert guards.changes()[0] == "owner.__dict__ is another dictionary"
    assert guards.changes()[1].startswith("the class of other: ")


@pytest.mark.parametrize("again", [False, True])
def test_references_are_left_alone(again: bool) -> None:
    """`again`: an equal value is put there before every call, which takes the strict way."""
    owner, x = Plain(v=1234.5), ag.ones(2)
    function = ag.compile(lambda x: x * owner.v)
    warm(function, x)
    watched: list[Any] = [owner, owner.__dict__, type(owner), x, True, False]
    owner.v = last = float("1234.5")  # the first one is held by the code that made it too
    function(x)
    before = [sys.getrefcount(w) for w in (*watched, last)]
    for _ in range(10_000):
        if again:
            owner.v = last = float("1234.5")
        function(x)
    after = [sys.getrefcount(w) for w in (*watched, last)]
    drift = [b - a for a, b in zip(before, after, strict=True)]
    assert max(map(abs, drift)) <= 2, drift
    assert len(function.specialisations) == 1
