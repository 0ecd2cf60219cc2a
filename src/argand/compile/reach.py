"""The mutable Python objects that a function can reach, what they held before a trace, and after.

A trace runs the user's function, which may rebind attributes, items and variables. What it changed
becomes an effect of every call; the objects themselves are put back when the trace ends, so that
the program starts from what the function started from, and a failed trace leaves nothing behind.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import weakref
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from types import (
    BuiltinMethodType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.stateful import ModuleState, OptimizerState, state_of
from argand.base.tree import is_composed, is_record
from argand.compile.results import Path, containers_in
from argand.compile.slots import (
    BUFFERS,
    Contents,
    Element,
    Item,
    Member,
    Slot,
    Tail,
    namespace_of,
    refill,
)
from argand.compile.standins import is_iterator
from argand.compile.values import SCALARS
from argand.compile.whose import is_library, is_opaque
from argand.tensor.core import Tensor

_CODE = (type, ModuleType, FunctionType, MethodType, MappingProxyType)
_Cached: Any = type(functools.lru_cache(len))
_MOST_OBJECTS = 200_000


@dataclasses.dataclass(slots=True, eq=False)
class _Noted:
    """A place and what it held: an attribute, or all contents of a container."""

    place: Slot
    through: Slot | None  # the slot that counts as changed with it; None for each item by itself
    before: Any  # the trace
    started: Any = None  # what it held when the function began, stand-ins among it
    is_namespace: bool = False
    by_library: bool = False  # filled by the library itself: an optimizer's moments
    module: Any = None  # the neural network's module whose attributes it has

    @property
    def has_changed(self) -> bool:
        """Whether it holds something else than when the function began."""
        return not self.place.holds(self.started)


class Reach:
    """Everything mutable behind some slots and values, with its contents as they are now."""

    def __init__(self) -> None:
        self.holders: dict[int, list[Slot | None]] = {}  # of each tensor: where it is found
        self.tensors: dict[int, Tensor] = {}
        self.arrays: list[Slot] = []  # the slots that hold NumPy arrays
        self.iterators: list[Slot] = []
        self.tables_of_modules: set[int] = set()  # ids of the dictionaries of submodules
        self._members: list[_Noted] = []  # variables and attributes
        self._containers: dict[int, _Noted] = {}  # by the ids of their owners
        self._generators: list[tuple[str, Any, Any]] = []
        self._classes: list[tuple[Any, type]] = []  # of modules
        self._caches: list[tuple[Any, int]] = []  # of `functools.lru_cache`, with their misses
        self._kept_alive: list[Any] = []
        self.append_only: set[int] = set()  # ids of the lists that are appended to, and never read
        self._seen: set[int] = set()
        self._waiting: deque[tuple[Any, Slot | None, Slot | None, str]] = deque()
        self.inside: list[tuple[Slot, dict[Path, Any]]] = []  # containers in slots at the start
        self._note_generators()

    # -- looking -------------------------------------------------------------------------------

    def add_slot(self, slot: Slot) -> None:
        """Look at a variable, an attribute of a class, or another place by itself."""
        self._members.append(_Noted(slot, slot, slot.get()))
        self.add(slot.get(), slot, slot.name)

    def add(self, value: Any, root: Slot | None, name: str) -> None:
        """Look at a value and all behind it."""
        self._waiting.append((value, root, root, name))
        while self._waiting and len(self._seen) < _MOST_OBJECTS:
            self._look(*self._waiting.popleft())

    def _look(self, value: Any, root: Slot | None, slot: Slot | None, name: str) -> None:
        if isinstance(value, BuiltinMethodType | MethodType):
            value = value.__self__  # of `rng.random`, say
        if isinstance(value, weakref.ref):
            value = value()
        if isinstance(value, _Cached):
            self._caches.append((value, value.cache_info().misses))
            return
        if isinstance(value, FunctionType) and not is_library(value.__module__):
            self._look_at_namespace(vars(value), name)
        if isinstance(value, (*SCALARS, *_CODE)):
            return
        if is_composed(type(value)):
            self._look_at_namespace(vars(value), name)
            return
        if isinstance(value, Tensor):
            self._found(value, root)
            return
        if isinstance(value, np.ndarray):
            self._kept_alive.append(value)
            if slot is not None:
                self.arrays.append(slot)
            return
        if is_iterator(value):
            self._kept_alive.append(value)
            if slot is not None:
                self.iterators.append(slot)
            return
        if id(value) in self._seen:
            self._reached_again(value, root)
            return
        self._seen.add(id(value))
        self._kept_alive.append(value)
        if isinstance(value, BUFFERS):
            contents = Contents(value, name)
            self._note_contents(contents, contents)
        elif isinstance(value, dict | list | set | deque):
            self._look_at_data(value, root, name)
        elif isinstance(value, tuple | frozenset):
            for i, item in enumerate(value):
                self._waiting.append((item, root, None, f"{name}[{i}]"))
        elif is_record(type(value)):
            self._look_at_record(value, root, name)
        elif isinstance(state := state_of(value), ModuleState):
            self._look_at_module(value, state, name)
        elif isinstance(state, OptimizerState):
            self._look_at_optimizer(state)
        elif isinstance(value, random.Random | np.random.Generator | np.random.RandomState):
            self._generators.append((name, value, _state_of(value)))
        elif not is_opaque(type(value)):
            self._look_at_object(value, name)

    def _note_contents(self, place: Contents, through: Slot | None, **about: Any) -> None:
        self._containers[id(place.owner)] = _Noted(place, through, place.get(), **about)

    def _found(self, tensor: Tensor, root: Slot | None) -> None:
        self.tensors[id(tensor)] = tensor
        self.holders.setdefault(id(tensor), []).append(root)

    def _reached_again(self, value: Any, root: Slot | None) -> None:
        """Data that two slots share belongs to neither."""
        found = self._containers.get(id(value))
        if found is not None and found.through is not None and not _same_slot(found.through, root):
            found.through = None
        if isinstance(value, list | tuple | dict):
            for item in value.values() if isinstance(value, dict) else value:
                if isinstance(item, Tensor):
                    self._found(item, root)

    def _look_at_data(self, value: Any, root: Slot | None, name: str) -> None:
        contents = Contents(value, name)
        inner = contents if isinstance(value, set | deque) else root
        self._note_contents(contents, inner)
        space = namespace_of(value)  # of a user's subclass
        if space is not None and not is_record(type(value)):
            self._look_at_namespace(space, name)
        if isinstance(value, dict):
            for key, item in dict.items(value):
                label = f"{name}[{key!r}]"
                self._waiting.append((item, inner, Item(value, key, label), label))
                if not isinstance(key, SCALARS):
                    self._waiting.append((key, None, None, "a key"))
        else:
            for i, item in enumerate(value):
                label = f"{name}[{i}]"
                place = Element(value, i, label) if isinstance(value, list) else None
                self._waiting.append((item, inner, place, label))

    def _look_at_record(self, value: Any, root: Slot | None, name: str) -> None:
        """A dataclass's object is data, like a dictionary of its attributes."""
        space = namespace_of(value)
        if space is not None:
            self._seen.add(id(space))
            self._look_at_data(space, root, name)
        self._look_at_members(value, root, name)

    def _look_at_members(self, value: Any, root: Slot | None, name: str) -> None:
        for slot in member_slots(value, name):
            through, held = root or slot, slot.get()
            self._members.append(_Noted(slot, through, held))
            self._waiting.append((held, through, slot, slot.name))

    def _look_at_namespace(
        self,
        space: dict[str, Any],
        name: str,
        skip: Collection[str] = (),
        module: Any = None,
    ) -> None:
        if id(space) in self._containers:
            return
        self._note_contents(Contents(space, name), None, is_namespace=True, module=module)
        for key, item in dict.items(space):
            if key not in skip:
                label = f"{name}.{key}" if name else str(key)
                slot = Item(space, key, label, module is not None)
                self._waiting.append((item, slot, slot, label))

    def _look_at_module(self, module: Any, state: ModuleState, name: str) -> None:
        self._classes.append((module, type(module)))
        self._look_at_namespace(state.attributes, name, state.bookkeeping, module)
        for registry in (*state.tensors, state.modules):
            self._look_at_namespace(registry, name, frozenset(), module)
        self.tables_of_modules.add(id(state.modules))

    def _look_at_optimizer(self, optimizer: OptimizerState) -> None:
        for space in (optimizer.state, *optimizer.state.values()):
            place = Contents(space, "state")
            self._note_contents(place, None, is_namespace=True, by_library=True)
        for values in optimizer.state.values():
            for item in values.values():
                if isinstance(item, Tensor):
                    self._found(item, None)
        for group in optimizer.groups:
            for parameter in group.parameters:
                self._found(parameter, None)

    def _look_at_object(self, value: Any, name: str) -> None:
        space = namespace_of(value)
        if space is not None:
            self._look_at_namespace(space, name)
        self._look_at_members(value, None, name)

    def _note_generators(self) -> None:
        """Python's and NumPy's own generators of random numbers."""
        for name, found in (("random", random), ("numpy.random", np.random)):
            self._generators.append((name, found, _state_of(found)))

    # -- comparing -----------------------------------------------------------------------------

    def start(self, slots: Sequence[Slot] = ()) -> None:
        """Note what everything holds now, as the function begins, to compare with at its end.
        `slots` are those whose values are inputs already."""
        self.inside = [(slot, containers_in(slot.get())) for slot in slots]
        for noted in self._noted():
            noted.started = noted.place.get()

    def _noted(self) -> list[_Noted]:
        return [*self._members, *self._containers.values()]

    def changed(self) -> list[Slot]:
        """The slots that hold something else than at the start, each once; data as a whole where
        one slot alone leads to it."""
        for container in self._containers.values():
            owner = container.place.owner
            if isinstance(owner, dict) and len(owner) > len(container.started):
                fill_with_plain_keys(owner)
        found: dict[tuple[Any, ...], Slot] = {}
        for slot in self._changed():
            found.setdefault(slot.identity, slot)
        return list(found.values())

    def _changed(self) -> Iterator[Slot]:
        for noted in self._noted():
            if noted.by_library or not noted.has_changed:
                continue
            owner = noted.place.owner
            if id(owner) in self.append_only and _is_longer(owner, noted.started):
                yield Tail(owner, len(noted.started), noted.place.name)
            elif noted.through is not None:
                yield noted.through
            else:
                yield from _changed_items(noted)

    def holds_container(self, value: Any) -> bool:
        """Whether a list, a dictionary, a dataclass's object or the like was in reach before the
        trace."""
        if is_record(type(value)):
            return id(value) in self._seen
        found = self._containers.get(id(value))
        return found is not None and not found.is_namespace

    def is_unchanged(self, value: Any) -> bool:
        """Whether a container that was in reach, and those in it, hold what they held at the
        start."""
        return all(map(self._is_as_started, containers_in(value).values()))

    def _is_as_started(self, value: Any) -> bool:
        if not self.holds_container(value):
            return False
        space = namespace_of(value) if is_record(type(value)) else value
        found = [member for member in self._members if member.place.owner is value]
        found += [self._containers[id(space)]] if id(space) in self._containers else []
        return not any(noted.has_changed for noted in found)

    def knows(self, value: Any) -> bool:
        """Whether an object was in reach before the trace."""
        return id(value) in self._seen

    def knows_array(self, value: Any) -> bool:
        """Whether a NumPy array was in reach before the trace."""
        return any(value is kept for kept in self._kept_alive)

    def shared(self, apart: set[tuple[int, Any]]) -> dict[int, Tensor]:
        """The tensors that some slot outside of `apart` leads to, by id."""
        return {
            i: self.tensors[i]
            for i, roots in self.holders.items()
            if any(r is None or r.identity not in apart for r in roots)
        }

    def drawn(self) -> list[str]:
        """The generators of random numbers, outside of this library, that have moved."""
        return [
            n for n, found, before in self._generators if repr(_state_of(found)) != repr(before)
        ]

    # -- putting back --------------------------------------------------------------------------

    def restore(self, *, failed: bool) -> None:
        """Put back what everything held. What the library made for good (an optimizer's moments,
        the parameters of a lazy layer) stays, unless the trace `failed`."""
        for noted in self._noted():
            if (failed or not noted.by_library) and not noted.place.holds(noted.before):
                noted.place.set(noted.before)
        for _, found, before in self._generators if failed else ():
            _set_state(found, before)
        for module, cls in self._classes if failed else ():
            if type(module) is not cls:  # a lazy layer has become what it is lazy of
                object.__setattr__(module, "__class__", cls)
        for cached, misses in self._caches:
            if cached.cache_info().misses != misses:
                cached.cache_clear()  # it may keep tensors of the trace, which have no values

    def is_of_layer(self, slot: Slot) -> bool:
        """Whether a slot is an attribute of a layer of the library's."""
        container = self._containers.get(id(slot.owner))
        return container is not None and type(container.module).__module__.startswith("argand.")

    def keep(self, slot: Slot) -> None:
        """Let an attribute hold what it holds now when all else is put back."""
        Item(self._containers[id(slot.owner)].before, slot.key, slot.name).set(slot.get())


def _is_longer(now: list[Any], before: list[Any]) -> bool:
    """Whether a list has been appended to, and nothing else."""
    start = zip(now, before, strict=False)
    return len(now) > len(before) and all(a is b for a, b in start)


def _changed_items(noted: _Noted) -> Iterator[Slot]:
    """The items that differ; all contents as one where a list has another length."""
    owner, before, name = noted.place.owner, noted.started, noted.place.name
    if isinstance(owner, dict):
        for key in dict.fromkeys([*before, *owner]):
            if key not in before or key not in owner or owner[key] is not before[key]:
                text = f"{name}.{key}" if noted.is_namespace else f"{name}[{key!r}]"
                yield Item(owner, key, text, noted.module is not None)
    elif isinstance(owner, list) and len(owner) == len(before):
        for i, (a, b) in enumerate(zip(owner, before, strict=True)):
            if a is not b:
                yield Element(owner, i, f"{name}[{i}]")
    else:
        yield noted.place


def fill_with_plain_keys(container: dict[Any, Any]) -> None:
    """Let the sizes among the keys be the numbers that they were looked up as."""
    plain = {key: _plain(key) for key in container}
    if any(now is not key for key, now in plain.items()):
        refill(container, {plain[key]: value for key, value in container.items()})


def _plain(key: Any) -> Any:
    if isinstance(key, Dim):
        return int(key)
    if isinstance(key, tuple):
        parts = [_plain(part) for part in key]
        if any(now is not part for now, part in zip(parts, key, strict=True)):
            return tuple.__new__(type(key), parts)
    return key


def member_slots(value: Any, name: str) -> list[Slot]:
    """The attributes of an object whose class has `__slots__`."""
    return [
        Member(value, descriptor, f"{name}.{descriptor.__name__}")
        for cls in type(value).__mro__
        for descriptor in vars(cls).values()
        if isinstance(descriptor, MemberDescriptorType) and cls.__module__ != "builtins"
    ]


def _state_of(generator: Any) -> Any:
    if generator is random or isinstance(generator, random.Random):
        return generator.getstate()
    if generator is np.random or isinstance(generator, np.random.RandomState):
        state: Any = generator.get_state()
        return (state[0], bytes(state[1]), *state[2:])
    return generator.bit_generator.state


def _set_state(generator: Any, state: Any) -> None:
    if generator is random or isinstance(generator, random.Random):
        generator.setstate(state)
    elif generator is np.random or isinstance(generator, np.random.RandomState):
        kind, words, *rest = state
        generator.set_state((kind, np.frombuffer(words, np.uint32), *rest))
    else:
        generator.bit_generator.state = state


def _same_slot(a: Slot, b: Slot | None) -> bool:
    return b is not None and a.identity == b.identity
