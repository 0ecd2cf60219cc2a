"""What a call leaves in Python objects: rebound attributes, items and variables.

An effect is a slot and a tree of what it holds after the call. Containers that were there before
the call stay the same objects and are filled anew; others are made by each call, as the function
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from argand.base import epoch
from argand.base.tree import LEAF_SPEC, Structure, shallow, unflatten
from argand.compile.slots import Slot, namespace_of, refill
from argand.tensor.core import Tensor

Path = tuple[tuple[bool, Any], ...]


class Found(NamedTuple):
    """A container that is there before the call, in a slot or an argument."""

    slot: Slot
    path: Path


class Same(NamedTuple):
    """A container that is there before the call, filled anew."""

    place: Found
    keys: tuple[tuple[bool, Any], ...]  # of each part: whether it is an attribute, and its key
    parts: tuple[Any, ...]


class Made(NamedTuple):
    """A container that every call makes; see `base/tree`. One `number` is one object."""

    structure: Structure
    parts: tuple[Any, ...]
    number: int


class MadeObject(NamedTuple):
    """An object of the user's that every call makes, without running its `__init__`."""

    kind: type
    names: tuple[str, ...]
    parts: tuple[Any, ...]
    number: int


Container = Found | Same | Made | MadeObject


class Arguments(Slot):
    """The arguments of a call: what a function changes in lists and dictionaries among them."""

    __slots__ = ()

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(None, "arguments", "arguments")
        self.key = (args, kwargs)

    def get(self) -> Any:
        return self.key

    def set(self, value: Any) -> None:
        """Nothing: the containers in it were filled where they are."""

    @property
    def identity(self) -> tuple[int, Any]:
        return (0, "arguments")


class Effect(NamedTuple):
    """What a slot holds after a call."""

    slot: Slot
    value: Any  # a result, or a Container


class Maker:
    """Makes what one call returns and leaves: containers here, everything else by `make`.

    `before` are all the places of containers in what is made, which are looked up first; `given`
    are the arguments of the call.
    """

    def __init__(self, make: Callable[[Any], Any], before: Sequence[Found], given: Any) -> None:
        self._make = make
        self._before = {id(f): _found_at(f.slot, given, f.path) for f in before}
        self._made: dict[int, Any] = {}

    def __call__(self, node: Any) -> Any:
        """The object that a result or a Container describes."""
        if isinstance(node, Found):
            return self._before[id(node)]
        if not isinstance(node, Same | Made | MadeObject):
            return self._make(node)
        number = id(node.place) if isinstance(node, Same) else node.number
        if number in self._made:
            return self._made[number]
        parts = [self(part) for part in node.parts]
        if isinstance(node, Same):
            made = self._before[number]
            _fill(made, node.keys, parts)
        elif isinstance(node, Made):
            made = unflatten(node.structure, parts)
        else:
            made = object.__new__(node.kind)
            for name, part in zip(node.names, parts, strict=True):
                object.__setattr__(made, name, part)
        self._made[number] = made
        return made


def apply(effects: Sequence[Effect], make: Maker, in_modules: bool) -> None:
    """Write the effects of a call; `in_modules` tells whether some of the slots are attributes of
    modules, whose change others must notice."""
    values = [make(effect.value) for effect in effects]
    for effect, value in zip(effects, values, strict=True):
        if isinstance(effect.slot, Arguments):
            continue  # the containers in it were filled where they are
        before = effect.slot.get()
        effect.slot.set(value)
        if isinstance(before, Tensor):
            epoch.changed(before)
    if in_modules:
        epoch.bump()


def places_in(node: Any) -> Iterator[Found]:
    """The places of the containers in a result or a Container."""
    if isinstance(node, Found):
        yield node
    elif isinstance(node, Same | Made | MadeObject):
        if isinstance(node, Same):
            yield node.place
        for part in node.parts:
            yield from places_in(part)


def _found_at(slot: Slot, given: Any, path: Path) -> Any:
    return at(given if isinstance(slot, Arguments) else slot.get(), path)


def at(root: Any, path: Path) -> Any:
    """What a path of keys and attributes leads to."""
    for is_attribute, key in path:
        if is_attribute:
            root = object.__getattribute__(root, key)
        else:
            root = dict.__getitem__(root, key) if isinstance(root, dict) else root[key]
    return root


def _fill(container: Any, keys: Sequence[tuple[bool, Any]], parts: Sequence[Any]) -> None:
    """Let a container hold these parts, and no others."""
    pairs = [(key, part) for (_, key), part in zip(keys, parts, strict=True)]
    items = [pair for (is_attribute, _), pair in zip(keys, pairs, strict=True) if not is_attribute]
    names = {key for is_attribute, key in keys if is_attribute}
    if isinstance(container, dict):
        refill(container, dict(items))
    elif isinstance(container, list):
        refill(container, [part for _, part in items])
    for name in list(namespace_of(container) or ()):
        if name not in names:
            object.__delattr__(container, name)
    for key, part in pairs[len(items) :]:
        object.__setattr__(container, key, part)


# -- stand-ins while a function is traced ----------------------------------------------------------


def filled(value: Any, structure: Structure, leaves: Iterator[Any]) -> Any:
    """A value with other leaves: all containers but tuples stay the same objects."""
    found = None if structure is LEAF_SPEC else shallow(value)
    if found is None:
        return next(leaves)
    head, parts = found
    new = [
        filled(part, inner, leaves) for (*_, part), inner in zip(parts, structure[2], strict=True)
    ]
    if isinstance(value, tuple):
        same = all(a is b for a, (*_, b) in zip(new, parts, strict=True))
        return value if same else unflatten(head, new)
    for (is_attribute, key, _), part in zip(parts, new, strict=True):
        if is_attribute:
            object.__setattr__(value, key, part)
        elif isinstance(value, dict):
            dict.__setitem__(value, key, part)
        else:
            list.__setitem__(value, key, part)
    return value


def count_leaves(structure: Structure) -> int:
    """How many leaves a structure has."""
    return 1 if structure is LEAF_SPEC else sum(map(count_leaves, structure[2]))


def containers_in(value: Any) -> dict[Path, Any]:
    """The containers in a value that can be filled anew, by the paths that lead to them."""
    found: dict[Path, Any] = {}
    seen: set[int] = set()
    waiting: list[tuple[Any, Path]] = [(value, ())]
    while waiting:
        item, path = waiting.pop()
        inside = shallow(item)
        if inside is None or id(item) in seen:
            continue
        seen.add(id(item))
        if not isinstance(item, tuple):
            found[path] = item
        waiting += [(part, (*path, (is_attribute, key))) for is_attribute, key, part in inside[1]]
    return found
