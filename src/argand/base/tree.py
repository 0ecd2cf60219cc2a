"""Nested containers as a flat list and a structure: lists, tuples, dicts and named tuples."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any


class Leaf:
    """The place of one leaf in a structure."""

    def __repr__(self) -> str:
        return "*"


LEAF = Leaf()
Structure = Any


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """The leaves of `tree`, left to right, and the hashable structure that `unflatten` takes.

    >>> flatten({"a": [1, 2], "b": 3})[0]
    [1, 2, 3]
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list[Any]) -> Structure:
    if isinstance(tree, dict):
        return (type(tree), tuple(tree), tuple([_flatten(v, leaves) for v in tree.values()]))
    if isinstance(tree, list | tuple):
        return (type(tree), None, tuple([_flatten(v, leaves) for v in tree]))
    leaves.append(tree)
    return LEAF


def unflatten(structure: Structure, leaves: list[Any]) -> Any:
    """The tree that `flatten` took apart, with other leaves."""
    return _unflatten(structure, iter(leaves))


def _unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure is LEAF:
        return next(leaves)
    kind, keys, parts = structure
    values = [_unflatten(p, leaves) for p in parts]
    if keys is not None:
        pairs = zip(keys, values, strict=True)
        return kind(pairs) if kind in (dict, OrderedDict) else dict(pairs)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return kind(*values)
    return kind(values)


def tree_map(f: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `f` applied to every leaf.

    >>> tree_map(lambda x: x + 1, {"a": (1, 2)})
    {'a': (2, 3)}
    """
    leaves, structure = flatten(tree)
    return unflatten(structure, [f(x) for x in leaves])
