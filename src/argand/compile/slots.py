"""Places in Python objects that hold a value: to read it, compare it, and write it back.

A slot is what a traced function may read and rebind. Its value is guarded where a program takes it
for given (`guards`), noted and put back around a trace (`reach`), and written by every call where
the function changes it (`results`).
"""

from __future__ import annotations

import gc
from array import array
from collections import OrderedDict, deque
from collections.abc import Mapping
from contextvars import ContextVar
from types import CellType
from typing import Any

from argand.compile.values import same_value
from argand.tensor.core import Tensor


class _Missing:
    """What a slot holds that is not there: a deleted attribute, an empty cell."""

    def __repr__(self) -> str:
        return "nothing"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
BUFFERS = (bytearray, array)  # of Python's own: plain numbers, compared as bytes
Record = tuple[Any, Any, Any]  # as `codegen.llvm.guardcall` describes it
_PLAIN_KEYS = (str, int, bytes)


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

    def holds(self, value: Any) -> bool:
        """Whether it holds this very object."""
        return self.get() is value

    def is_same(self, now: Any, before: Any) -> bool:
        """Whether another object is as good as the value before."""
        return same_value(now, before)

    def record(self, value: Any) -> Record | None:
        """What native code compares; None for what it can't look at."""
        return None

    def change(self, before: Any) -> str:
        """What became of the value, for messages."""
        return f"{self.name}: {_short(before)} became {_short(self.get())}"

    @property
    def identity(self) -> tuple[int, Any]:
        """The same for all slots of one place; keys that aren't plain count by their ids."""
        key = self.key
        plain = key is None or type(key) in _PLAIN_KEYS
        return (id(self.owner), key if plain else ("id", id(key)))

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

    def record(self, value: Any) -> Record | None:
        # classes of their own may look up in a way of their own
        plain = type(self.owner) is dict and type(self.key) in _PLAIN_KEYS
        return (self.owner, self.key, value) if plain else None


class Element(Slot):
    """An element of a list."""

    __slots__ = ()

    def get(self) -> Any:
        return list.__getitem__(self.owner, self.key) if self.key < len(self.owner) else MISSING

    def set(self, value: Any) -> None:
        list.__setitem__(self.owner, self.key, value)

    def record(self, value: Any) -> Record | None:
        return (self.owner, self.key, value) if type(self.owner) is list else None


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

    def record(self, value: Any) -> Record:
        return self.owner, None, value


class Attribute(Slot):
    """An attribute that no namespace holds: of a class with `__slots__`, of a function."""

    __slots__ = ()

    def get(self) -> Any:
        return getattr(self.owner, self.key, MISSING)

    def record(self, value: Any) -> Record:
        return self.owner, self.key, value


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
    """An attribute that a class itself defines."""

    __slots__ = ()

    def get(self) -> Any:
        return vars(self.owner).get(self.key, MISSING)

    def set(self, value: Any) -> None:
        if value is MISSING:
            type.__delattr__(self.owner, self.key)
        else:
            type.__setattr__(self.owner, self.key, value)

    def record(self, value: Any) -> Record:
        (space,) = gc.get_referents(vars(self.owner))  # the dictionary behind the view
        return space, self.key, value


class Namespace(Slot):
    """The class of an object (the key), and the dictionary that holds its attributes."""

    __slots__ = ()

    def __init__(self, owner: Any, name: str) -> None:
        super().__init__(owner, type(owner), name)

    def get(self) -> Any:
        return namespace_of(self.owner) if type(self.owner) is self.key else MISSING

    def is_same(self, now: Any, before: Any) -> bool:
        return False

    def record(self, value: Any) -> Record:
        return self.owner, self.key, value

    def change(self, before: Any) -> str:
        kind = type(self.owner)
        if kind is self.key:
            return f"{self.name}.__dict__ is another dictionary"
        return f"the class of {self.name}: {_short(self.key)} became {_short(kind)}"


class Contents(Slot):
    """All that a container holds, as one value: a list, a set, a view of a dictionary, a buffer."""

    __slots__ = ()

    def __init__(self, owner: Any, name: str) -> None:
        super().__init__(owner, None, name)

    def get(self) -> Any:
        return contents_of(self.owner)

    def set(self, value: Any) -> None:
        refill(self.owner, value)

    def holds(self, value: Any) -> bool:
        """Whether it holds these very objects, in this order."""
        owner = self.owner
        if isinstance(owner, BUFFERS):
            return bool(bytes(owner) == value)
        if len(owner) != len(value):
            return False
        if isinstance(owner, dict):
            kind = _kind(owner)
            return all(
                a is c and b is d
                for (a, b), (c, d) in zip(kind.items(owner), value.items(), strict=True)
            )
        if isinstance(owner, set):
            return bool(owner == value)
        return all(a is b for a, b in zip(owner, value, strict=True))

    def is_same(self, now: Any, before: Any) -> bool:
        if isinstance(before, frozenset | bytes):
            return bool(now == before)
        return len(now) == len(before) and all(
            a is b or same_value(a, b) for a, b in zip(now, before, strict=True)
        )

    def change(self, before: Any) -> str:
        return f"{self.name} holds something else"


class Length(Contents):
    """How much a list holds; its elements have slots of their own."""

    __slots__ = ()

    def get(self) -> Any:
        return len(self.owner)

    def is_same(self, now: Any, before: Any) -> bool:
        return bool(now == before)

    def record(self, value: Any) -> Record | None:
        return (self.owner, None, value) if type(self.owner) is list else None

    def change(self, before: Any) -> str:
        return f"{self.name}: {before} items became {len(self.owner)}"


class Keys(Length):
    """The keys of a dictionary, in order; its items have slots of their own."""

    __slots__ = ()

    def get(self) -> Any:
        return list(self.owner)

    def record(self, value: Any) -> Record | None:
        return (self.owner, None, value) if type(self.owner) is dict else None

    def change(self, before: Any) -> str:
        if len(before) == len(self.owner):
            return f"{self.name}: other keys"
        return super().change(len(before))


class Numbers(Contents):
    """The elements of a NumPy array."""

    __slots__ = ()

    def get(self) -> Any:
        return self.owner.copy()

    def is_same(self, now: Any, before: Any) -> bool:
        same = now.shape == before.shape and now.dtype == before.dtype
        return bool(same and now.tobytes() == before.tobytes())

    def change(self, before: Any) -> str:
        return f"{self.name} holds other numbers"


class Variable(Slot):
    """What a context variable holds."""

    __slots__ = ()

    def __init__(self, owner: ContextVar[Any], name: str) -> None:
        super().__init__(owner, None, name)

    def get(self) -> Any:
        return variable_value(self.owner)


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


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return "another tensor"
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"


def _kind(owner: dict[Any, Any]) -> Any:
    """The built-in class whose methods go through a dictionary and change it: an ordered one has an
    order of its own."""
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


def variable_value(variable: ContextVar[Any]) -> Any:
    """What a context variable holds, or its default; MISSING where there is neither."""
    try:
        return variable.get()
    except LookupError:
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


def parts_of(value: Any) -> list[tuple[bool, Any, Any]]:
    """What a container or an object consists of: whether it is an attribute, its key, the part."""
    if isinstance(value, dict):
        return [(False, key, part) for key, part in dict.items(value)]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [(False, i, part) for i, part in enumerate(value)]
    return [(True, name, part) for name, part in (namespace_of(value) or {}).items()]
