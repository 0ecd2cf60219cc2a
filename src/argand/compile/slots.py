"""Slots: the places in Python objects that hold a value, to read it again and to write it back."""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Mapping
from types import CellType
from typing import Any


class _Missing:
    """What a slot holds that is not there: a deleted attribute, an empty cell."""

    def __repr__(self) -> str:
        return "nothing"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
BUFFERS = (bytearray, array)  # of Python's own: plain numbers, kept as bytes


class Slot:
    """A place that holds one Python value, by its owner and the key in it."""

    __slots__ = ("key", "name", "owner")

    def __init__(self, owner: Any, key: Any, name: str) -> None:
        self.owner = owner
        self.key = key
        self.name = name  # for messages and for the inputs of programs

    def get(self) -> Any:
        """The value that is there now; MISSING when there is none."""
        raise NotImplementedError

    def set(self, value: Any) -> None:
        """Put a value there; MISSING deletes what is there."""
        raise NotImplementedError

    @property
    def identity(self) -> tuple[int, Any]:
        """The same for all slots of one place; keys that aren't plain count by their ids."""
        key = self.key
        return (id(self.owner), key if key is None or type(key) in (str, int) else ("id", id(key)))

    def __repr__(self) -> str:
        return f"<slot {self.name}>"


class Item(Slot):
    """An item of a dictionary: of a namespace (globals, an object's attributes) or of data."""

    __slots__ = ("of_module",)

    def __init__(self, owner: Any, key: Any, name: str, of_module: bool = False) -> None:
        super().__init__(owner, key, name)
        self.of_module = of_module  # an attribute of a neural network's module

    def get(self) -> Any:
        return dict.get(self.owner, self.key, MISSING)

    def set(self, value: Any) -> None:
        if value is MISSING:
            _kind(self.owner).pop(self.owner, self.key, None)
        else:
            _kind(self.owner).__setitem__(self.owner, self.key, value)


class Element(Slot):
    """An element of a list."""

    __slots__ = ()

    def get(self) -> Any:
        return list.__getitem__(self.owner, self.key) if self.key < len(self.owner) else MISSING

    def set(self, value: Any) -> None:
        list.__setitem__(self.owner, self.key, value)


class Cell(Slot):
    """A variable of an enclosing function."""

    __slots__ = ()

    def __init__(self, owner: CellType, name: str) -> None:
        super().__init__(owner, None, name)

    def get(self) -> Any:
        return cell_value(self.owner)

    def set(self, value: Any) -> None:
        if value is MISSING:
            del self.owner.cell_contents
        else:
            self.owner.cell_contents = value


class Member(Slot):
    """An attribute of an object whose class has `__slots__`, by its descriptor."""

    __slots__ = ("descriptor",)

    def __init__(self, owner: Any, descriptor: Any, name: str) -> None:
        super().__init__(owner, descriptor.__name__, name)
        self.descriptor = descriptor

    def get(self) -> Any:
        try:
            return self.descriptor.__get__(self.owner)
        except AttributeError:
            return MISSING

    def set(self, value: Any) -> None:
        if value is MISSING:
            self.descriptor.__delete__(self.owner)
        else:
            self.descriptor.__set__(self.owner, value)


class ClassAttribute(Slot):
    """An attribute of a class."""

    __slots__ = ()

    def get(self) -> Any:
        return vars(self.owner).get(self.key, MISSING)

    def set(self, value: Any) -> None:
        if value is MISSING:
            type.__delattr__(self.owner, self.key)
        else:
            type.__setattr__(self.owner, self.key, value)


class Contents(Slot):
    """All that a list, a dictionary, a set, a deque or an array holds, as one value."""

    __slots__ = ()

    def __init__(self, owner: Any, name: str) -> None:
        super().__init__(owner, None, name)

    def get(self) -> Any:
        return contents_of(self.owner)

    def set(self, value: Any) -> None:
        refill(self.owner, value)


class Tail(Slot):
    """What a call appends to a list that the function does nothing else with, such as a log."""

    __slots__ = ("start",)

    def __init__(self, owner: list[Any], start: int, name: str) -> None:
        super().__init__(owner, "tail", name)
        self.start = start

    def get(self) -> Any:
        return list(self.owner[self.start :])

    def set(self, value: Any) -> None:
        list.extend(self.owner, value)


def _kind(owner: dict[Any, Any]) -> Any:
    """The built-in class whose methods change a dictionary: an ordered one has a list beside."""
    return OrderedDict if isinstance(owner, OrderedDict) else dict


def namespace_of(value: Any) -> dict[str, Any] | None:
    """The attributes that an object holds itself, running none of the user's code."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    return found if type(found) is dict else None


def cell_value(cell: CellType) -> Any:
    """What a cell holds; MISSING for an empty one."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def contents_of(container: Any) -> Any:
    """A plain copy of what a container holds: a dict, a frozenset, a list, or bytes."""
    if isinstance(container, dict):
        return dict(container)
    if isinstance(container, Mapping):
        return [part for pair in list(container.items()) for part in pair]
    if isinstance(container, BUFFERS):
        return bytes(container)
    return frozenset(container) if isinstance(container, set) else list(container)


def refill(container: Any, contents: Any) -> None:
    """Replace what a container holds; it stays the same object."""
    if isinstance(container, dict):
        kind = _kind(container)
        kind.clear(container)
        for key, value in contents.items():
            kind.__setitem__(container, key, value)
    elif isinstance(container, list):
        list.__setitem__(container, slice(None), contents)
    elif isinstance(container, bytearray):
        container[:] = contents
    elif isinstance(container, array):
        container[:] = array(container.typecode, contents)
    elif isinstance(container, set):
        set.clear(container)
        set.update(container, contents)
    else:
        assert isinstance(container, deque)
        deque.clear(container)
        deque.extend(container, contents)
