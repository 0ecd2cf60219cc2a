"""Guards: the Python values that a trace read, each held against what is there now at every call.

One compare a value: its identity, by native code where the backend brings some. Only where another
object is found are the two compared by type and value, so that a number computed anew is no change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from typing import Any

from argand.base import epoch
from argand.base.errors import TraceError
from argand.compile.slots import (
    BUFFERS,
    MISSING,
    Contents,
    Element,
    Item,
    Keys,
    Length,
    Namespace,
    Record,
    Slot,
    Variable,
    namespace_of,
)

MOST_BYTES = 1 << 20  # of an array that Python reads: compared at every call
Check = Callable[[], bool]
MakeCheck = Callable[[list[Any]], Check | None]
_EPOCH = 3  # where the epoch is in the records


class Guard:
    """A value that a program takes for given, and the slot that holds it."""

    __slots__ = ("slot", "value")

    def __init__(self, slot: Slot) -> None:
        self.slot, self.value = slot, slot.get()

    def holds(self) -> bool:
        """Whether the value is there still; an equal one takes its place."""
        now = self.slot.get()
        if now is not self.value:
            if not self.slot.is_same(now, self.value):
                return False
            self.value = now
        return True


class ValueGuards:
    """What a program takes for given of the Python objects behind its function."""

    def __init__(self) -> None:
        self._guards: dict[tuple[Any, ...], Guard] = {}
        self._native: Check | None = None
        self._records: list[Any] = []  # what the native check compares
        self._stored: list[tuple[int, Guard]] = []  # where values of guards are in the records

    # -- making --------------------------------------------------------------------------------

    def add(self, slot: Slot) -> None:
        """Guard what a slot holds."""
        number = (type(slot), *slot.identity)
        if number not in self._guards:
            self._guards[number] = Guard(slot)

    def add_namespace(self, owner: Any, name: str) -> None:
        """The class of an object, and the dictionary that holds its attributes."""
        if namespace_of(owner) is namespace_of(owner):  # else it is made anew at each look-up
            self.add(Namespace(owner, name))

    def add_contents(self, container: Any, name: str) -> None:
        """All that a container holds, and how much."""
        if isinstance(container, dict):
            self.add(Keys(container, name))
            for key in list(container):
                self.add(Item(container, key, f"{name}[{key!r}]"))
        elif isinstance(container, list):
            self.add(Length(container, name))
            for i in range(len(container)):
                self.add(Element(container, i, f"{name}[{i}]"))
        elif isinstance(container, BUFFERS) and memoryview(container).nbytes > MOST_BYTES:
            raise TraceError(
                f"{name} ({memoryview(container).nbytes} bytes) is read by a compiled "
                "function, which would compare it at every call; make a tensor of it outside "
                "by ag.frombuffer, or pass it as an argument"
            )
        else:
            self.add(Contents(container, name))

    def without(self, slots: set[tuple[int, Any]], containers: Collection[int]) -> None:
        """Drop what is looked at in another way: the values of `slots`, which are inputs, and what
        the `containers` (their ids) in these values hold."""
        self._guards = {
            number: guard
            for number, guard in self._guards.items()
            if guard.slot.identity not in slots and id(guard.slot.owner) not in containers
        }

    @property
    def variables(self) -> list[ContextVar[Any]]:
        """The context variables that are guarded."""
        slots = [guard.slot for guard in self._guards.values()]
        return [slot.owner for slot in slots if isinstance(slot, Variable)]

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
            record = guard.slot.record(guard.value)
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

    def changed_values(self) -> list[tuple[Slot, Any]]:
        """Numbers, lists and dictionaries in dictionaries that hold others now: where, and what
        was there."""
        return [
            (guard.slot, guard.value)
            for guard in self._guards.values()
            if isinstance(guard.slot, Item)
            and type(guard.value) in (int, float, list, dict)
            and (now := guard.slot.get()) is not guard.value
            and not guard.slot.is_same(now, guard.value)
        ]

    def changes(self) -> list[str]:
        """What became of the values that differ, for messages."""
        return [g.slot.change(g.value) for g in self._guards.values() if not g.holds()]


def looked_up(container: Any, key: str) -> Any:
    """An item of a dictionary, or an attribute of another object."""
    return container[key] if isinstance(container, dict) else getattr(container, key)
