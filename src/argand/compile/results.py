"""What a call returns, and what it leaves in Python objects: rebound attributes, items, variables.

A result says how each call makes it, of what the program computes and of what is there. An effect
is a slot and the result that it holds after the call. Containers that were there before the call
stay the same objects and are filled anew; others are made by each call, as the function does.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from argand.base import epoch
from argand.base.dim import Dim
from argand.base.tree import LEAF_SPEC, Structure, shallow, unflatten
from argand.compile.integers import Sources, sizes_of
from argand.compile.places import Place
from argand.compile.slots import Item, Slot, namespace_of, refill
from argand.ir.interpret import concrete
from argand.ir.op import Op
from argand.tensor.core import Tensor
from argand.tensor.views import follow
from argand.transform.mode import no_grad
from argand.transform.tape import LEAF

Path = tuple[tuple[bool, Any], ...]


class Result(Protocol):
    """How a call makes one thing."""

    def make(self, maker: Maker) -> Any:
        """The object for a call, or what is there already."""


class Maker:
    """Makes what one call returns and leaves, each once.

    `tensors` are the program's outputs; `leaves` those of the arguments `given`; `before` all the
    places of containers in what is made, which are looked up first.
    """

    __slots__ = ("_made", "leaves", "tensors")

    def __init__(
        self, tensors: Sequence[Tensor], leaves: Sequence[Any], given: Any, before: Sequence[Found]
    ) -> None:
        self.tensors, self.leaves = tensors, leaves
        self._made: dict[int, Any] = {}
        for found in before:
            self._made[id(found)] = found.now(given)

    def __call__(self, result: Result) -> Any:
        """The object that a result describes."""
        made = self._made.get(id(result), self)  # which is never made
        if made is self:
            made = self._made[id(result)] = result.make(self)
        return made


# -- tensors and numbers ---------------------------------------------------------------------------


class ProgramOutput(NamedTuple):
    """A tensor that the program computes."""

    number: int
    kind: type[Tensor] = Tensor
    leaf: bool = False  # wants a gradient, as a Parameter does

    def make(self, maker: Maker) -> Tensor:
        """A tensor of the class that the function made, which wants a gradient where that did."""
        tensor = maker.tensors[self.number]
        if self.kind is not Tensor:
            plain, tensor = tensor, object.__new__(self.kind)
            tensor._array, tensor._node = plain._array, plain._node
            tensor._view, tensor._cold = plain._view, plain._cold
            tensor._index = plain._index if plain._node is not None else 0
        if self.leaf:
            tensor._node, tensor._index = LEAF, 0
        return tensor


class Number(NamedTuple):
    """A Python number, not a tensor, that the program computes."""

    number: int

    def make(self, maker: Maker) -> Any:
        """The number."""
        return maker.tensors[self.number]._array.item()


class Measured(NamedTuple):
    """An int computed from sizes and int arguments."""

    dim: Dim
    sources: Sources

    def make(self, maker: Maker) -> int:
        """The int."""
        return self.dim.evaluate(sizes_of(self.sources, maker.leaves))


class Moves(NamedTuple):
    """The moves that lead from a tensor to a view of it."""

    chain: tuple[tuple[Op, dict[str, Any]], ...]
    detached: bool
    sources: Sources = ()  # of the symbols in the chain

    def follow(self, tensor: Tensor, leaves: Sequence[Any]) -> Tensor:
        """The view, as eager code makes it."""
        chain = self.chain
        if self.sources:
            sizes = sizes_of(self.sources, leaves)
            chain = tuple(
                (op, {k: concrete(v, sizes) for k, v in params.items()}) for op, params in chain
            )
        found: Tensor
        if not self.detached:
            found = follow(tensor, chain)
        else:
            with no_grad():
                found = follow(tensor.detach(), chain)
        return found


class Alias(NamedTuple):
    """A tensor from outside, or a view of one."""

    place: Place
    moves: Moves

    def make(self, maker: Maker) -> Tensor:
        """The tensor or the view."""
        return self.moves.follow(self.place.find(maker.leaves), maker.leaves)


class View(NamedTuple):
    """A view of another tensor that the program computes."""

    root: ProgramOutput
    moves: Moves

    def make(self, maker: Maker) -> Tensor:
        """The view."""
        return self.moves.follow(maker(self.root), maker.leaves)


class Constant(NamedTuple):
    """The same Python object at every call."""

    value: Any

    def make(self, maker: Maker) -> Any:
        """The object."""
        return self.value


class Copied(NamedTuple):
    """A set, say, that the function made: each call gives one of its own."""

    value: Any

    def make(self, maker: Maker) -> Any:
        """A copy."""
        return copy.copy(self.value)


# -- containers ------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A container that is there before the call, in a slot or an argument."""

    slot: Slot
    path: Path

    def now(self, given: Any) -> Any:
        """The container, given the arguments of the call."""
        root = given if isinstance(self.slot, Arguments) else self.slot.get()
        for is_attribute, key in self.path:
            if is_attribute:
                root = object.__getattribute__(root, key)
            else:
                root = dict.__getitem__(root, key) if isinstance(root, dict) else root[key]
        return root

    def make(self, maker: Maker) -> Any:
        """Nothing: it is there."""
        raise AssertionError("containers that are there are looked up first")


class Same(NamedTuple):
    """A container that is there before the call, filled anew."""

    place: Found
    keys: tuple[tuple[bool, Any], ...]  # of each part: whether it is an attribute, and its key
    parts: tuple[Result, ...]

    def make(self, maker: Maker) -> Any:
        """The container, with these parts and no others."""
        container, parts = maker(self.place), list(map(maker, self.parts))
        pairs = [(key, part) for (_, key), part in zip(self.keys, parts, strict=True)]
        names = {key for is_attribute, key in self.keys if is_attribute}
        count = [is_attribute for is_attribute, _ in self.keys].count(False)  # items come first
        if isinstance(container, dict):
            refill(container, dict(pairs[:count]))
        elif isinstance(container, list):
            refill(container, parts[:count])
        for name in list(namespace_of(container) or ()):
            if name not in names:
                object.__delattr__(container, name)
        for name, part in pairs[count:]:
            object.__setattr__(container, name, part)
        return container


class Made(NamedTuple):
    """A container that every call makes; see `base/tree`."""

    structure: Structure
    parts: tuple[Result, ...]

    def make(self, maker: Maker) -> Any:
        """A new container."""
        return unflatten(self.structure, list(map(maker, self.parts)))


class MadeObject(NamedTuple):
    """An object of the user's that every call makes, without running its `__init__`."""

    kind: type
    parts: dict[str, Result]

    def make(self, maker: Maker) -> Any:
        """A new object."""
        made: Any = object.__new__(self.kind)
        for name, part in self.parts.items():
            object.__setattr__(made, name, maker(part))
        return made


# -- effects ---------------------------------------------------------------------------------------


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
    value: Result

    @property
    def moves_modules(self) -> bool:
        """Whether it sets an attribute of a module, which other programs may have looked at."""
        return isinstance(self.slot, Item) and self.slot.of_module


def apply(effects: Sequence[Effect], maker: Maker) -> None:
    """Write the effects of a call."""
    values = [maker(effect.value) for effect in effects]
    for effect, value in zip(effects, values, strict=True):
        if isinstance(effect.slot, Arguments):
            continue  # the containers in it were filled where they are
        before = effect.slot.get()
        effect.slot.set(value)
        if isinstance(before, Tensor):
            epoch.changed(before)
    if any(effect.moves_modules for effect in effects):
        epoch.bump()


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
