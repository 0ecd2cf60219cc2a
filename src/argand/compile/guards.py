"""Guards: the Python values that a trace read, each held against what is there now at every call.

One compare a value: its identity, by native code where the backend brings some. Only where another
object is found are the two compared by type and value, so that a number computed anew is no change.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from types import CellType, MappingProxyType
from typing import Any

from argand.base import epoch
from argand.base.errors import TraceError
from argand.compile.slots import BUFFERS, MISSING, cell_value, contents_of, namespace_of
from argand.compile.values import same_value
from argand.tensor.core import Tensor

MOST_BYTES = 1 << 20  # of an array that Python reads: compared at every call
Check = Callable[[], bool]
MakeCheck = Callable[[list[Any]], Check | None]
Record = tuple[Any, Any, Any]  # as `codegen.llvm.guardcall` describes it
_EPOCH = 3  # where the epoch is in the records


class Guard:
    """A value that a program takes for given: that of a key in a container, say."""

    __slots__ = ("container", "key", "name", "value")

    def __init__(self, container: Any, key: Any, name: str) -> None:
        self.container, self.key, self.name = container, key, name
        self.value = self.now()

    def now(self) -> Any:
        """The value that is there."""
        raise NotImplementedError

    def is_same(self, now: Any) -> bool:
        """Whether another object is as good as the value."""
        return same_value(now, self.value)

    def holds(self) -> bool:
        """Whether the value is there still; an equal one takes its place."""
        now = self.now()
        if now is not self.value:
            if not self.is_same(now):
                return False
            self.value = now
        return True

    def record(self) -> Record | None:
        """What native code compares; None for what it can't look at."""
        return None

    def is_apart(self, slots: Collection[tuple[int, Any]], containers: Collection[int]) -> bool:
        """Whether it is looked at in another way: its place is one of the slots, whose values are
        inputs, or it is in one of the containers (their ids) in these values."""
        return (id(self.container), self.key) in slots

    def change(self) -> str:
        """What became of the value, for messages."""
        return f"{self.name}: {_short(self.value)} became {_short(self.now())}"


class ItemGuard(Guard):
    """A value in a dictionary, a class's namespace or a list; MISSING where there is none."""

    __slots__ = ()

    def now(self) -> Any:
        space, key = self.container, self.key
        there = key < len(space) if isinstance(space, list) else key in space
        return space[key] if there else MISSING

    def record(self) -> Record | None:
        container, key = self.container, self.key
        if type(container) is MappingProxyType:  # of a class: the dictionary behind it
            (container,) = gc.get_referents(container)
        # classes of their own may look up in a way of their own
        plain = type(container) is dict and type(key) in (str, int, bytes)
        plain = plain or (type(container) is list and type(key) is int)
        return (container, key, self.value) if plain else None

    def is_apart(self, slots: Collection[tuple[int, Any]], containers: Collection[int]) -> bool:
        return super().is_apart(slots, containers) or id(self.container) in containers


class CellGuard(Guard):
    """A variable of an enclosing function."""

    __slots__ = ()

    def now(self) -> Any:
        return cell_value(self.container)

    def record(self) -> Record:
        return self.container, None, self.value


class AttributeGuard(Guard):
    """An attribute that no namespace holds: of a class with `__slots__`, of a function."""

    __slots__ = ()

    def now(self) -> Any:
        return getattr(self.container, self.key, MISSING)

    def record(self) -> Record:
        return self.container, self.key, self.value


class NamespaceGuard(Guard):
    """The class of an object (the key), and the dictionary that holds its attributes."""

    __slots__ = ()

    def now(self) -> Any:
        return namespace_of(self.container) if type(self.container) is self.key else MISSING

    def is_same(self, now: Any) -> bool:
        return False

    def record(self) -> Record:
        return self.container, self.key, self.value

    def is_apart(self, slots: Collection[tuple[int, Any]], containers: Collection[int]) -> bool:
        return id(self.value) in containers

    def change(self) -> str:
        kind = type(self.container)
        if kind is self.key:
            return f"{self.name}.__dict__ is another dictionary"
        return f"the class of {self.name}: {_short(self.key)} became {_short(kind)}"


class ContentsGuard(Guard):
    """What a container holds, as a whole: a set, a view of a dictionary, the bytes of a buffer."""

    __slots__ = ()

    def now(self) -> Any:
        return contents_of(self.container)

    def is_same(self, now: Any) -> bool:
        before = self.value
        if isinstance(before, frozenset | bytes):
            return bool(now == before)
        return len(now) == len(before) and all(
            a is b or same_value(a, b) for a, b in zip(now, before, strict=True)
        )

    def is_apart(self, slots: Collection[tuple[int, Any]], containers: Collection[int]) -> bool:
        return super().is_apart(slots, containers) or id(self.container) in containers

    def change(self) -> str:
        return f"{self.name} holds something else"


class LengthGuard(ContentsGuard):
    """How much a list holds, or a view of a class's namespace; the items have guards."""

    __slots__ = ()

    def now(self) -> Any:
        return len(self.container)

    def is_same(self, now: Any) -> bool:
        return bool(now == self.value)

    def record(self) -> Record | None:
        return (self.container, None, self.value) if type(self.container) is list else None

    def change(self) -> str:
        return f"{self.name}: {self.value} items became {len(self.container)}"


class KeysGuard(ContentsGuard):
    """The keys of a dictionary, in order; the items have guards."""

    __slots__ = ()

    def now(self) -> Any:
        return list(self.container)

    def is_same(self, now: Any) -> bool:
        return bool(now == self.value)

    def record(self) -> Record | None:
        return (self.container, None, self.value) if type(self.container) is dict else None

    def change(self) -> str:
        before, now = len(self.value), len(self.container)
        return f"{self.name}: " + (
            "other keys" if before == now else f"{before} items became {now}"
        )


class ArrayGuard(Guard):
    """The elements of a NumPy array that Python read."""

    __slots__ = ()

    def now(self) -> Any:
        return self.container.copy()

    def is_same(self, now: Any) -> bool:
        same = now.shape == self.value.shape and now.dtype == self.value.dtype
        return bool(same and now.tobytes() == self.value.tobytes())

    def is_apart(self, slots: Collection[tuple[int, Any]], containers: Collection[int]) -> bool:
        return False

    def change(self) -> str:
        return f"{self.name} holds other numbers"


class VariableGuard(Guard):
    """What a context variable holds."""

    __slots__ = ()

    def now(self) -> Any:
        return variable_value(self.container)


class ValueGuards:
    """What a program takes for given of the Python objects behind its function."""

    def __init__(self) -> None:
        self._guards: dict[tuple[Any, ...], Guard] = {}
        self._native: Check | None = None
        self._records: list[Any] = []  # what the native check compares
        self._stored: list[tuple[int, Guard]] = []  # where values of guards are in the records

    # -- making --------------------------------------------------------------------------------

    def _add(self, kind: type[Guard], container: Any, key: Any, name: str) -> None:
        number = (kind, id(container), key)
        if number not in self._guards:
            self._guards[number] = kind(container, key, name)

    def add_item(self, space: Any, key: Any, name: str) -> None:
        """A value in a dictionary, a class's namespace or a list."""
        self._add(ItemGuard, space, key, name)

    def add_class_item(self, cls: type, key: str, name: str) -> None:
        """An attribute that a class itself defines."""
        number = (type, id(cls), key)  # its `__dict__` is another object each time
        if number not in self._guards:
            self._guards[number] = ItemGuard(vars(cls), key, name)

    def add_cell(self, cell: CellType, name: str) -> None:
        """A variable of an enclosing function."""
        self._add(CellGuard, cell, None, name)

    def add_attribute(self, owner: Any, attribute: str, name: str) -> None:
        """An attribute that no namespace holds: of a class with `__slots__`, of a function."""
        self._add(AttributeGuard, owner, attribute, name)

    def add_namespace(self, owner: Any, name: str) -> None:
        """The class of an object, and the dictionary that holds its attributes."""
        if namespace_of(owner) is namespace_of(owner):  # else it is made anew at each look-up
            self._add(NamespaceGuard, owner, type(owner), name)

    def add_contents(self, container: Any, name: str) -> None:
        """All that a container holds, and how much."""
        if isinstance(container, dict | list | MappingProxyType):
            is_dict = isinstance(container, dict)
            self._add(KeysGuard if is_dict else LengthGuard, container, None, name)
            for key in list(container) if is_dict else range(len(container)):
                self.add_item(container, key, f"{name}[{key!r}]")
            return
        if isinstance(container, BUFFERS) and memoryview(container).nbytes > MOST_BYTES:
            raise TraceError(
                f"{name} ({memoryview(container).nbytes} bytes) is read by a compiled "
                "function, which would compare it at every call; make a tensor of it outside "
                "by ag.frombuffer, or pass it as an argument"
            )
        self.add_view(container, name)

    def add_view(self, view: Any, name: str) -> None:
        """All that a view of a dictionary gives, or a dictionary of weak references."""
        self._add(ContentsGuard, view, None, name)

    def add_array(self, array: Any, name: str) -> None:
        """The elements of a NumPy array that Python read."""
        self._add(ArrayGuard, array, None, name)

    def add_variable(self, variable: ContextVar[Any], name: str) -> None:
        """What a context variable holds."""
        self._add(VariableGuard, variable, None, name)

    def without(self, slots: set[tuple[int, Any]], containers: Collection[int]) -> None:
        """Drop what is looked at in another way; see `Guard.is_apart`."""
        kept = {n: g for n, g in self._guards.items() if not g.is_apart(slots, containers)}
        self._guards = kept

    @property
    def variables(self) -> list[ContextVar[Any]]:
        """The context variables that are guarded."""
        return [g.container for g in self._guards.values() if isinstance(g, VariableGuard)]

    # -- holding -------------------------------------------------------------------------------

    def hold(self) -> bool:
        """Whether everything is what the program was made for."""
        return (self._native is not None and self._native()) or self.hold_strictly()

    def hold_strictly(self) -> bool:
        """The same in Python, where values are compared too."""
        for guard in self._guards.values():
            if not guard.holds():
                return False
        for place, guard in self._stored:
            self._records[place] = guard.value  # the native check finds it from now on
        return True

    # -- natively ------------------------------------------------------------------------------

    def compile(self, make: MakeCheck, process: Sequence[Record]) -> Check | None:
        """Let native code check the guards, the epoch and the records of the `process`. `make`
        gives it for a list of records, as `codegen.llvm.guardcall` describes; None where it gives
        None, and everything stays in Python."""
        if not self.hold_strictly():
            return None
        records, stored, left = [MISSING], [], []
        wanted: list[tuple[int, Any]] = []  # of the process, whatever there is now
        for container, key, value in ((vars(epoch), "current", epoch.current), *process):
            wanted.append((len(records) + 2, value))
            records += container, key, looked_up(container, key)
        for guard in self._guards.values():
            record = guard.record()
            if record is None:
                left.append(guard)
            else:
                stored.append((len(records) + 2, guard))
                records += record
        check = make(records)
        if check is None or not check():
            return None  # some object has its namespace elsewhere
        for number, value in wanted:
            records[number] = value
        self._records, self._stored = records, stored
        self._native = check if not left else lambda: check() and all(g.holds() for g in left)
        return self._native

    def expect_epoch(self, now: int) -> None:
        """Have the native check find that everything was looked at when the epoch was `now`."""
        if self._records:
            self._records[_EPOCH] = now

    # -- telling -------------------------------------------------------------------------------

    def changed_values(self) -> list[Guard]:
        """The guards on numbers, lists and dictionaries in namespaces that have others now."""
        return [
            guard
            for guard in self._guards.values()
            if isinstance(guard, ItemGuard)
            and type(guard.value) in (int, float, list, dict)
            and isinstance(guard.container, dict)
            and (now := guard.now()) is not guard.value
            and not guard.is_same(now)
        ]

    def changes(self) -> list[str]:
        """What became of the values that differ, for messages."""
        return [guard.change() for guard in self._guards.values() if not guard.holds()]


def looked_up(container: Any, key: str) -> Any:
    """An item of a dictionary, or an attribute of another object."""
    return container[key] if isinstance(container, dict) else getattr(container, key)


def variable_value(variable: ContextVar[Any]) -> Any:
    """What a context variable holds, or its default; MISSING where there is neither."""
    try:
        return variable.get()
    except LookupError:
        return MISSING


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return "another tensor"
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"
