"""Nested containers as a flat list and a structure.

Containers are lists, tuples, dicts and their subclasses (named tuples, OrderedDict, defaultdict,
...), and the objects of dataclasses, of attrs classes and SimpleNamespace. They are taken apart and
put together attribute by attribute; no `__init__`, `__post_init__` or `__new__` of the user's runs
again.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from enum import Enum
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

from argand.base.stateful import is_stateful


class LeafSpec:
    """The place of one leaf in a structure."""

    def __repr__(self) -> str:
        return "*"


LEAF_SPEC = LeafSpec()
Structure = Any
Part = tuple[bool, Any, Any]  # whether it is an attribute; its key or name; the part
_HEAP_TYPE = 1 << 9  # CPython's flag of classes that a class statement made


class _Object(NamedTuple):
    """What an object's structure knows beside its parts: the parts are the items of the list, tuple
    or dict that it is, then the attributes, then the slots."""

    items: int
    keys: tuple[Any, ...] | None  # of a dict
    attributes: tuple[str, ...]
    slots: tuple[str, ...]
    factory: _Factory | None = None  # of a defaultdict


class _Factory:
    """The function that gives a defaultdict its values; the same lambda made anew is equal."""

    __slots__ = ("function", "key")

    def __init__(self, function: Any) -> None:
        self.function = function
        plain = isinstance(function, FunctionType) and function.__closure__ is None
        self.key = function.__code__ if plain else function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Factory) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class _Cycle(Exception):  # noqa: N818  # a signal, never seen by users
    """An object contains itself."""


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of `tree`, left to right, and the hashable structure that `unflatten` takes.

    >>> flatten({"a": [1, 2], "b": 3})[0]
    [1, 2, 3]

    Raises:
        ValueError: if a list, tuple or dict in it contains itself.
    """
    leaves: list[Any] = []
    try:
        return leaves, _flatten(tree, leaves, ())
    except RecursionError:
        raise ValueError(
            "a list, tuple or dictionary contains itself, or is nested too deeply, and so can't be "
            "taken apart into its leaves; put it into an object of your own"
        ) from None


def _flatten(tree: Any, leaves: list[Any], around: tuple[int, ...]) -> Structure:
    """The structure of `tree`; `around` are the ids of the objects that contain it."""
    kind = type(tree)
    if kind is dict:
        parts = tuple([_flatten(v, leaves, around) for v in tree.values()])
        return (kind, tuple(tree), parts)
    if kind is list or kind is tuple:
        return (kind, None, tuple([_flatten(v, leaves, around) for v in tree]))
    if isinstance(tree, dict | list | tuple) or is_record(kind):
        return _flatten_object(tree, leaves, around)
    if is_composed(kind):
        about, parts = _Composed(tree.composed_like()), tree.composed_of()
        return (kind, about, tuple([_flatten(part, leaves, around) for part in parts.values()]))
    leaves.append(tree)
    return LEAF_SPEC


def is_composed(kind: type) -> bool:
    """Whether the tensors of a class are made of plain ones, as sparse tensors are.

    They have `composed_of()`, these by the names of their attributes, `composed_like()`, whatever
    else they are made of, which can be hashed, and `composed_again(like, parts)`.
    """
    return getattr(kind, "is_composed", False)


class _Composed(NamedTuple):
    """What a composed tensor's structure knows beside its parts."""

    like: Any


def is_record(kind: type) -> bool:
    """Whether a class is for values with attributes: dataclasses, attrs, SimpleNamespace."""
    if not (hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__attrs_attrs__")):
        return kind is SimpleNamespace
    # A module, an optimizer or a member of an enumeration is not a value to be made again.
    return not (
        issubclass(kind, Enum | BaseException) or is_stateful(kind) or not _is_plain_object(kind)
    )


def _is_plain_object(kind: type) -> bool:
    """Whether `object.__new__` makes objects of this class: it derives from no built-in type."""
    return all(base is object or base.__flags__ & _HEAP_TYPE for base in kind.__mro__)


def _flatten_object(tree: Any, leaves: list[Any], around: tuple[int, ...]) -> Structure:
    if id(tree) in around:
        raise _Cycle
    inside, first = (*around, id(tree)), len(leaves)
    about, found = _take_apart(tree)
    try:
        parts = tuple([_flatten(v, leaves, inside) for _, _, v in found])
    except _Cycle:
        if around:
            raise
        del leaves[first:]
        leaves.append(tree)  # one that contains itself is taken as a whole
        return LEAF_SPEC
    return (type(tree), about, parts)


def _take_apart(tree: Any) -> tuple[_Object, list[Part]]:
    """What an object is made of: its items, then its attributes, then its slots."""
    space = getattr(tree, "__dict__", {})
    keys = tuple(tree) if isinstance(tree, dict) else None
    items: list[Part] = []
    if isinstance(tree, list | tuple | dict):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        items = [(False, key, item) for key, item in pairs]
    slots = tuple(_filled_slots(tree))
    attributes = [(True, name, value) for name, value in space.items()]
    attributes += [(True, name, object.__getattribute__(tree, name)) for name in slots]
    factory = _Factory(tree.default_factory) if isinstance(tree, defaultdict) else None
    return _Object(len(items), keys, tuple(space), slots, factory), [*items, *attributes]


def _filled_slots(tree: Any) -> Iterator[str]:
    for kind in type(tree).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{kind.__name__.lstrip('_')}{name}"
            if name not in ("__dict__", "__weakref__") and _has_slot(tree, name):
                yield name


def _has_slot(tree: Any, name: str) -> bool:
    try:
        object.__getattribute__(tree, name)
    except AttributeError:
        return False
    return True


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """The tree that `flatten` took apart, with other leaves."""
    return _unflatten(structure, iter(leaves))


def _unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure is LEAF_SPEC:
        return next(leaves)
    kind, keys, parts = structure
    values = [_unflatten(p, leaves) for p in parts]
    if type(keys) is _Object:
        return _made_again(kind, keys, values)
    if type(keys) is _Composed:
        return kind.composed_again(keys.like, values)
    return kind(values) if keys is None else dict(zip(keys, values, strict=True))


def _made_again(kind: Any, about: _Object, values: list[Any]) -> Any:
    items, rest = values[: about.items], values[about.items :]
    made = _filled(kind, about, items)
    if about.attributes:
        made.__dict__.update(zip(about.attributes, rest, strict=False))
    for name, value in zip(about.slots, rest[len(about.attributes) :], strict=True):
        object.__setattr__(made, name, value)
    return made


def _filled(kind: Any, about: _Object, items: list[Any]) -> Any:
    """A new list, tuple, dict or object of a class, with its items."""
    if issubclass(kind, tuple):
        try:
            return tuple.__new__(kind, items)
        except TypeError:  # a struct sequence such as time.struct_time
            return kind(items)
    if issubclass(kind, list):
        made = list.__new__(kind)
        list.extend(made, items)
        return made
    if about.keys is None:
        return kind() if kind is SimpleNamespace else object.__new__(kind)
    base: Any = OrderedDict if issubclass(kind, OrderedDict) else dict
    filled = base.__new__(kind)
    for key, value in zip(about.keys, items, strict=True):
        base.__setitem__(filled, key, value)
    if issubclass(kind, defaultdict):
        filled.default_factory = about.factory.function if about.factory is not None else None
    return filled


def shallow(tree: Any) -> tuple[Structure, list[Part]] | None:
    """A container's structure, with leaves for its parts, and the parts; None for a leaf.

    >>> shallow({"a": [1, 2]})[1]
    [(False, 'a', [1, 2])]
    """
    kind = type(tree)
    if kind is dict:
        about: Any = tuple(tree)
        parts: list[Part] = [(False, key, item) for key, item in tree.items()]
    elif kind is list or kind is tuple:
        about, parts = None, [(False, i, item) for i, item in enumerate(tree)]
    elif isinstance(tree, dict | list | tuple) or is_record(kind):
        about, parts = _take_apart(tree)
    elif is_composed(kind):
        about = _Composed(tree.composed_like())
        parts = [(True, name, part) for name, part in tree.composed_of().items()]
    else:
        return None
    return (kind, about, (LEAF_SPEC,) * len(parts)), parts


def tree_map(f: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `f` applied to every leaf.

    >>> tree_map(lambda x: x + 1, {"a": (1, 2)})
    {'a': (2, 3)}
    """
    leaves, structure = flatten(tree)
    return unflatten(structure, [f(x) for x in leaves])
