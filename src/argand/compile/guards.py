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
_EPOCH = 3  # where the epoch is in the records


class ValueGuards:
    """What a program takes for given of the Python objects behind its function."""

    def __init__(self) -> None:
        # [namespace or list, key, value, name, the slot's identity]; in these and the next two
        # kinds an equal value takes the value's place
        self.items: list[list[Any]] = []
        self.cells: list[list[Any]] = []  # [cell, None, value, name]
        self.attributes: list[list[Any]] = []  # [object, attribute, value, name]
        self.absent: list[tuple[Any, str, str]] = []  # (namespace, key, name): not there
        # (object, class, namespace, name): that the namespace is still this object's
        self.namespaces: list[tuple[Any, type, Any, str]] = []
        self.lengths: list[tuple[Any, int, str]] = []  # (container, length, name)
        self.orders: list[tuple[Any, Any, str]] = []  # (dictionary, its keys in order, name)
        self.sets: list[tuple[Any, Any, str]] = []  # (container, contents, name)
        self.arrays: list[tuple[Any, Any, str]] = []  # (NumPy array, copy of it, name)
        self.variables: list[list[Any]] = []  # [context variable, None, value, name]
        self._known: set[Any] = set()
        self._native: Check | None = None
        self._records: list[Any] = []  # what the native check compares
        self._stored: list[tuple[int, list[Any]]] = []  # where values of guards are in the records

    def __len__(self) -> int:
        return sum(map(len, self._lists()))

    def _lists(self) -> tuple[list[Any], ...]:
        return (
            self.items,
            self.cells,
            self.attributes,
            self.absent,
            self.namespaces,
            self.lengths,
            self.orders,
            self.sets,
            self.arrays,
            self.variables,
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
            self.cells.append([cell, None, cell_value(cell), name])

    def add_attribute(self, owner: Any, attribute: str, name: str) -> None:
        """An attribute that no namespace holds: of a class with `__slots__`, of a function."""
        if self._is_new("attribute", id(owner), attribute):
            value = getattr(owner, attribute, MISSING)
            self.attributes.append([owner, attribute, value, name])

    def add_namespace(self, owner: Any, name: str) -> None:
        """The class of an object, and the dictionary that holds its attributes."""
        if self._is_new("namespace", id(owner)):
            space = namespace_of(owner)
            if namespace_of(owner) is space:  # else it is made anew whenever it is looked up
                self.namespaces.append((owner, type(owner), space, name))

    def add_contents(self, container: Any, name: str) -> None:
        """All that a container holds, and how much."""
        if not self._is_new("contents", id(container)):
            return
        if isinstance(container, dict | list | MappingProxyType):
            self.lengths.append((container, len(container), name))
            keys = list(container) if isinstance(container, dict) else range(len(container))
            if isinstance(container, dict) and len(keys) > 1:
                self.orders.append((container, keys, name))
            for key in keys:
                self.add_item(container, key, f"{name}[{key!r}]")
        else:
            if isinstance(container, BUFFERS) and memoryview(container).nbytes > MOST_BYTES:
                raise TraceError(
                    f"{name} ({memoryview(container).nbytes} bytes) is read by a compiled "
                    "function, which would compare it at every call; make a tensor of it outside "
                    "by ag.frombuffer, or pass it as an argument"
                )
            self.sets.append((container, contents_of(container), name))

    def add_view(self, view: Any, name: str) -> None:
        """All that a view of a dictionary gives, or a dictionary of weak references."""
        if self._is_new("contents", id(view)):
            self.sets.append((view, contents_of(view), name))

    def add_array(self, array: Any, name: str) -> None:
        """The elements of a NumPy array that Python read."""
        if self._is_new("array", id(array)):
            self.arrays.append((array, array.copy(), name))

    def add_variable(self, variable: ContextVar[Any], name: str) -> None:
        """What a context variable holds."""
        if self._is_new("variable", id(variable)):
            self.variables.append([variable, None, variable_value(variable), name])

    def without(self, slots: set[tuple[int, Any]], containers: Collection[int]) -> None:
        """Drop what is looked at in another way: the slots whose values are inputs, and the
        `containers` (their ids) in these values."""
        self.items = [i for i in self.items if i[4] not in slots and i[4][0] not in containers]
        self.absent = [a for a in self.absent if (id(a[0]), a[1]) not in slots]
        self.cells = [c for c in self.cells if (id(c[0]), None) not in slots]
        self.attributes = [a for a in self.attributes if (id(a[0]), a[1]) not in slots]
        self.namespaces = [n for n in self.namespaces if id(n[2]) not in containers]
        gone = {owner for owner, key in slots if key is None} | set(containers)
        self.lengths = [c for c in self.lengths if id(c[0]) not in gone]
        self.orders = [c for c in self.orders if id(c[0]) not in gone]
        self.sets = [c for c in self.sets if id(c[0]) not in gone]

    # -- holding -------------------------------------------------------------------------------

    def hold(self) -> bool:
        """Whether everything is what the program was made for."""
        return (self._native is not None and self._native()) or self._hold_strictly()

    def _hold_strictly(self) -> bool:
        """The same in Python, where values are compared too."""
        try:
            for guard in self.items:
                space, key, value, _, _ = guard
                if space[key] is not value and not _is_equal_now(guard, space[key]):
                    return False
        except (KeyError, IndexError):
            return False
        for guard in self.cells:
            cell, _, value, _ = guard
            now = cell_value(cell)
            if now is not value and not _is_equal_now(guard, now):
                return False
        for owner, kind, space, _ in self.namespaces:
            if type(owner) is not kind or namespace_of(owner) is not space:
                return False
        for container, length, _ in self.lengths:
            if len(container) != length:
                return False
        for container, keys, _ in self.orders:
            if list(container) != keys:
                return False
        rest = self.absent or self.attributes or self.sets or self.arrays or self.variables
        if rest and not self._rest_holds():
            return False
        for place, guard in self._stored:
            self._records[place] = guard[2]  # the native check finds it from now on
        return True

    def _rest_holds(self) -> bool:
        return (
            all(key not in space for space, key, _ in self.absent)
            and all(_holds(a, getattr(a[0], a[1], MISSING)) for a in self.attributes)
            and all(_same_contents(contents_of(c), before) for c, before, _ in self.sets)
            and all(_same_array(array, before) for array, before, _ in self.arrays)
            and all(_holds(v, variable_value(v[0])) for v in self.variables)
        )

    # -- natively ------------------------------------------------------------------------------

    def compile(self, make: MakeCheck, process: Sequence[Sequence[Any]]) -> Check | None:
        """Let native code check the guards, the epoch and the records of the `process`. `make`
        gives it for a list of records, as `codegen.llvm.guardcall` describes; None where it gives
        None, and everything stays in Python."""
        if not self._hold_strictly():
            return None
        records, stored, left = [MISSING], [], ValueGuards()
        wanted: list[tuple[int, Any]] = []  # of the process, whatever there is now
        for container, key, value in ([vars(epoch), "current", epoch.current], *process):
            wanted.append((len(records) + 2, value))
            now = container[key] if isinstance(container, dict) else getattr(container, key)
            records += container, key, now
        for kind in ("items", "cells", "attributes"):
            for guard in getattr(self, kind):
                container = _plain_container(guard[0], guard[1])
                if container is None:
                    getattr(left, kind).append(guard)
                else:
                    stored.append((len(records) + 2, guard))
                    records += container, guard[1], guard[2]
        for absent in self.absent:
            container = _plain_container(absent[0], absent[1])
            if container is None:
                left.absent.append(absent)
            else:
                records += container, absent[1], MISSING
        for owner, cls, space, _ in self.namespaces:
            records += owner, cls, space
        for length in self.lengths:
            if type(length[0]) is list:
                records += length[0], None, length[1]
            elif type(length[0]) is dict:
                records += length[0], None, list(length[0])
            else:
                left.lengths.append(length)
        left.orders = [order for order in self.orders if type(order[0]) is not dict]
        left.sets, left.arrays, left.variables = self.sets, self.arrays, self.variables
        check = make(records)
        if check is None or not check():
            return None  # some object keeps its namespace in its own way
        for number, value in wanted:
            records[number] = value
        self._records, self._stored = records, stored
        if not len(left):
            self._native = check
            return check
        self._native = lambda: check() and left.hold()
        return self._native

    def expect_epoch(self, now: int) -> None:
        """Have the native check find that everything was looked at when the epoch was `now`."""
        if self._records:
            self._records[_EPOCH] = now

    # -- telling -------------------------------------------------------------------------------

    def changed_values(self) -> list[list[Any]]:
        """The guards on numbers, lists and dictionaries in namespaces that have others now."""
        return [
            guard
            for guard in self.items
            if type(guard[2]) in (int, float, list, dict)
            and isinstance(guard[0], dict)
            and (now := _item(guard[0], guard[1])) is not guard[2]
            and not same_value(now, guard[2])
        ]

    def changes(self) -> list[str]:
        """What became of the values that differ, for messages."""
        looked_up = [(g, _item(g[0], g[1])) for g in self.items]
        looked_up += [(g, cell_value(g[0])) for g in self.cells]
        looked_up += [(g, getattr(g[0], g[1], MISSING)) for g in self.attributes]
        looked_up += [(g, variable_value(g[0])) for g in self.variables]
        found = [
            _change(name, value, now)
            for (_, _, value, name, *_), now in looked_up
            if now is not value and not same_value(now, value)
        ]
        found += [_change(n, MISSING, s[key]) for s, key, n in self.absent if key in s]
        for owner, kind, space, name in self.namespaces:
            if type(owner) is not kind:
                found.append(_change(f"the class of {name}", kind, type(owner)))
            elif namespace_of(owner) is not space:
                found.append(f"{name}.__dict__ is another dictionary")
        for container, length, name in self.lengths:
            if len(container) != length:
                found.append(f"{name}: {length} items became {len(container)}")
        found += [f"{name}: other keys" for c, keys, name in self.orders if list(c) != keys]
        for container, before, name in self.sets:
            if not _same_contents(contents_of(container), before):
                found.append(f"{name} holds something else")
        found += [f"{n} holds other numbers" for a, b, n in self.arrays if not _same_array(a, b)]
        return found


def _holds(guard: list[Any], now: Any) -> bool:
    return now is guard[2] or _is_equal_now(guard, now)


def _is_equal_now(guard: list[Any], now: Any) -> bool:
    if not same_value(now, guard[2]):
        return False
    guard[2] = now  # identical from now on
    return True


def _plain_container(container: Any, key: Any) -> Any:
    """What native code can look a key up in, as Python would; None for classes that may look up in
    a way of their own."""
    if type(container) is MappingProxyType:  # of a class: the dictionary behind it
        (container,) = gc.get_referents(container)
        return container if type(container) is dict and type(key) is str else None
    if isinstance(container, dict):
        return container if type(container) is dict and type(key) in (str, int, bytes) else None
    if isinstance(container, list):
        return container if type(container) is list and type(key) is int else None
    return container  # a cell, or an object and the name of an attribute


def variable_value(variable: ContextVar[Any]) -> Any:
    """What a context variable holds, or its default; MISSING where there is neither."""
    try:
        return variable.get()
    except LookupError:
        return MISSING


def _item(space: Any, key: Any) -> Any:
    try:
        return space[key]
    except (KeyError, IndexError):
        return MISSING


def _same_contents(now: Any, before: Any) -> bool:
    if isinstance(before, frozenset | bytes):
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
