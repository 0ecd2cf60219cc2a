"""Guards: the Python values that a trace read, each held against what is there now at every call.

One compare a value: its identity, in a flat list of (namespace, key, value). Only where another
object is found are the two compared by type and value, so that a number computed anew is no change.
"""

from __future__ import annotations

from collections.abc import Collection
from types import CellType
from typing import Any

import numpy as np

from argand.compile.reach import SCALARS
from argand.compile.slots import MISSING, cell_value, contents_of
from argand.tensor.core import Tensor


class ValueGuards:
    """What a program takes for given of the Python objects behind its function."""

    def __init__(self) -> None:
        # [namespace or list, key, value, name, the slot's identity]; an equal value takes its place
        self.items: list[list[Any]] = []
        self.absent: list[tuple[Any, str, str]] = []  # (namespace, key, name): not there
        self.cells: list[list[Any]] = []  # [cell, value, name]
        self.attributes: list[list[Any]] = []  # [object, attribute, value, name]
        self.lengths: list[tuple[Any, int, str]] = []  # (container, length, name)
        self.orders: list[tuple[Any, Any, str]] = []  # (dictionary, its keys in order, name)
        self.sets: list[tuple[Any, Any, str]] = []  # (container, contents, name)
        self.arrays: list[tuple[Any, Any, str]] = []  # (NumPy array, copy of it, name)
        self._known: set[Any] = set()

    def __len__(self) -> int:
        lists: tuple[list[Any], ...] = (self.items, self.absent, self.cells, self.attributes)
        return sum(
            len(guards) for guards in (*lists, self.lengths, self.orders, self.sets, self.arrays)
        )

    # -- making --------------------------------------------------------------------------------

    def _is_new(self, *key: Any) -> bool:
        if key in self._known:
            return False
        self._known.add(key)
        return True

    def add_item(self, space: Any, key: Any, name: str) -> None:
        """A value in a dictionary, a class's namespace or a list."""
        if self._is_new("item", id(space), key):
            if isinstance(space, list) or key in space:
                self.items.append([space, key, space[key], name, (id(space), key)])
            else:
                self.absent.append((space, key, name))

    def add_class_item(self, cls: type, key: str, name: str) -> None:
        """An attribute that a class itself defines."""
        if self._is_new("class", id(cls), key):
            space = vars(cls)
            if key in space:
                self.items.append([space, key, space[key], name, (id(cls), key)])
            else:
                self.absent.append((space, key, name))

    def add_cell(self, cell: CellType, name: str) -> None:
        """A variable of an enclosing function."""
        if self._is_new("cell", id(cell)):
            self.cells.append([cell, cell_value(cell), name])

    def add_attribute(self, owner: Any, attribute: str, name: str) -> None:
        """An attribute that no namespace holds: of a class with `__slots__`, of a function."""
        if self._is_new("attribute", id(owner), attribute):
            value = getattr(owner, attribute, MISSING)
            self.attributes.append([owner, attribute, value, name])

    def add_contents(self, container: Any, name: str) -> None:
        """All that a container holds, and how much."""
        if not self._is_new("contents", id(container)):
            return
        if isinstance(container, dict | list):
            self.lengths.append((container, len(container), name))
            keys = list(container) if isinstance(container, dict) else range(len(container))
            if isinstance(container, dict) and len(keys) > 1:
                self.orders.append((container, keys, name))
            for key in keys:
                self.add_item(container, key, f"{name}[{key!r}]")
        else:
            self.sets.append((container, contents_of(container), name))

    def add_array(self, array: Any, name: str) -> None:
        """The elements of a NumPy array that Python read."""
        if self._is_new("array", id(array)):
            self.arrays.append((array, array.copy(), name))

    def without(self, slots: set[tuple[int, Any]], containers: Collection[int]) -> None:
        """Drop what is looked at in another way: the slots whose values are inputs, and the
        `containers` (their ids) in these values."""
        self.items = [i for i in self.items if i[4] not in slots and i[4][0] not in containers]
        self.absent = [a for a in self.absent if (id(a[0]), a[1]) not in slots]
        self.cells = [c for c in self.cells if (id(c[0]), None) not in slots]
        self.attributes = [a for a in self.attributes if (id(a[0]), a[1]) not in slots]
        gone = {owner for owner, key in slots if key is None} | set(containers)
        self.lengths = [c for c in self.lengths if id(c[0]) not in gone]
        self.orders = [c for c in self.orders if id(c[0]) not in gone]
        self.sets = [c for c in self.sets if id(c[0]) not in gone]

    # -- holding -------------------------------------------------------------------------------

    def hold(self) -> bool:
        """Whether everything is what the program was made for."""
        try:
            for guard in self.items:
                if guard[0][guard[1]] is not guard[2] and not _is_equal_now(guard):
                    return False
        except (KeyError, IndexError):
            return False
        for cell, value, _ in self.cells:
            now = cell_value(cell)
            if now is not value and not same_value(now, value):
                return False
        for container, length, _ in self.lengths:
            if len(container) != length:
                return False
        for container, keys, _ in self.orders:
            if list(container) != keys:
                return False
        return not (self.absent or self.attributes or self.sets or self.arrays) or self._rest()

    def _rest(self) -> bool:
        return (
            all(key not in space for space, key, _ in self.absent)
            and all(
                (now := getattr(owner, name, MISSING)) is value or same_value(now, value)
                for owner, name, value, _ in self.attributes
            )
            and all(_same_contents(contents_of(c), before) for c, before, _ in self.sets)
            and all(_same_array(array, before) for array, before, _ in self.arrays)
        )

    def changed_numbers(self) -> list[list[Any]]:
        """The guards on numbers in namespaces that have others now."""
        return [
            guard
            for guard in self.items
            if type(guard[2]) in (int, float)
            and isinstance(guard[0], dict)
            and not same_value(_item(guard[0], guard[1]), guard[2])
        ]

    def changes(self) -> list[str]:
        """What became of the values that differ, for messages."""
        found = []
        for space, key, value, name, _ in self.items:
            now = _item(space, key)
            if now is not value and not same_value(now, value):
                found.append(_change(name, value, now))
        for space, key, name in self.absent:
            if key in space:
                found.append(_change(name, MISSING, space[key]))
        for cell, value, name in self.cells:
            now = cell_value(cell)
            if now is not value and not same_value(now, value):
                found.append(_change(name, value, now))
        for owner, attribute, value, name in self.attributes:
            now = getattr(owner, attribute, MISSING)
            if now is not value and not same_value(now, value):
                found.append(_change(name, value, now))
        for container, length, name in self.lengths:
            if len(container) != length:
                found.append(f"{name}: {length} items became {len(container)}")
        found += [f"{name}: other keys" for c, keys, name in self.orders if list(c) != keys]
        for container, before, name in self.sets:
            if not _same_contents(contents_of(container), before):
                found.append(f"{name} holds something else")
        found += [f"{n} holds other numbers" for a, b, n in self.arrays if not _same_array(a, b)]
        return found


def same_value(a: Any, b: Any) -> bool:
    """Whether two Python values are of one type and equal, so that no code can tell them apart:
    -0.0 is not 0.0, and NaN is itself."""
    kind = type(a)
    if kind is not type(b):
        return False
    if kind in (float, complex):
        return repr(a) == repr(b)
    if kind in SCALARS:
        return bool(a == b)
    if kind is tuple and len(a) == len(b):
        return all(x is y or same_value(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.generic):
        return bool(a.tobytes() == b.tobytes())
    if kind in _BOUND:  # made anew whenever it is looked up
        return a.__self__ is b.__self__ and a.__name__ == b.__name__ and bool(a == b)
    return False


_BOUND: tuple[type, ...] = (type([].append), type(ValueGuards().hold))


def _is_equal_now(guard: list[Any]) -> bool:
    now = guard[0][guard[1]]
    if not same_value(now, guard[2]):
        return False
    guard[2] = now  # identical from now on
    return True


def _item(space: Any, key: Any) -> Any:
    try:
        return space[key]
    except (KeyError, IndexError):
        return MISSING


def _same_contents(now: Any, before: Any) -> bool:
    if isinstance(before, frozenset):
        return bool(now == before)
    return len(now) == len(before) and all(
        a is b or same_value(a, b) for a, b in zip(now, before, strict=True)
    )


def _same_array(now: Any, before: Any) -> bool:
    same = now.shape == before.shape and now.dtype == before.dtype
    return bool(same and now.tobytes() == before.tobytes())


def _change(name: str, before: Any, now: Any) -> str:
    return f"{name}: {_short(before)} became {_short(now)}"


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return "another tensor"
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"
