"""Nested arguments and results as JSON: lists, tuples and dictionaries around leaves.

A leaf is ``"*"``; ``{"tuple": [...]}``, ``{"list": [...]}`` and ``{"dict": [[key, ...], ...]}``
have structures in them. Objects become dictionaries of their attributes, and subclasses the plain
containers: a file knows no classes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from argand.base.errors import FormatError
from argand.base.tree import LEAF_SPEC, Structure, unflatten

_DEEPEST = 100


def encoded(structure: Structure) -> tuple[Any, list[int]]:
    """A structure as JSON, and the numbers of the leaves that it keeps.

    >>> from argand.base.tree import flatten
    >>> encoded(flatten({"a": [1, 2]})[1])
    ({'dict': [['a', {'list': ['*', '*']}]]}, [0, 1])
    """
    numbered = unflatten(structure, [_Leaf(i) for i in range(count_leaves(structure))])
    kept: list[int] = []
    return _encode(numbered, kept), kept


class _Leaf:
    def __init__(self, number: int) -> None:
        self.number = number


def _encode(value: Any, kept: list[int]) -> Any:
    if isinstance(value, _Leaf):
        kept.append(value.number)
        return "*"
    if isinstance(value, dict):
        pairs = []
        for key, part in value.items():
            if not isinstance(key, str | int | bool | None):
                raise TypeError(
                    f"a dictionary with the key {key!r} can't be written to a file: keys must be "
                    "strings or ints"
                )
            pairs.append([key, _encode(part, kept)])
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_encode(part, kept) for part in value]}
    attributes = getattr(value, "__dict__", None)
    if attributes is None:
        attributes = {name: getattr(value, name) for name in getattr(value, "__slots__", ())}
    return _encode(dict(attributes), kept)


def plain(value: Any) -> Any:
    """Nested arguments in the containers that a file knows: named tuples as tuples, dataclasses as
    dictionaries of their fields.

    >>> from collections import namedtuple
    >>> plain([namedtuple("P", "a b")(1, 2)])
    [(1, 2)]
    """
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [plain(part) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


def decoded(spec: Any, depth: int = 0) -> Structure:
    """The structure that JSON describes; FormatError for anything else.

    >>> decoded({"tuple": ["*", "*"]})
    (<class 'tuple'>, None, (*, *))
    """
    if spec == "*":
        return LEAF_SPEC
    if depth > _DEEPEST:
        raise FormatError("arguments or results are nested too deeply")
    if isinstance(spec, dict) and len(spec) == 1:
        ((kind, parts),) = spec.items()
        if isinstance(parts, list) and kind in ("tuple", "list"):
            found = tuple([decoded(part, depth + 1) for part in parts])
            return (tuple if kind == "tuple" else list, None, found)
        if isinstance(parts, list) and kind == "dict" and all(map(_is_pair, parts)):
            keys = tuple([key for key, _ in parts])
            if len(set(keys)) == len(keys):
                return (dict, keys, tuple([decoded(part, depth + 1) for _, part in parts]))
    raise FormatError(f"{spec!r:.100} describes no nested lists, tuples and dictionaries")


def _is_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str | int | None)


def count_leaves(structure: Structure) -> int:
    """How many leaves a structure has."""
    if structure is LEAF_SPEC:
        return 1
    return sum(map(count_leaves, structure[2]))


__all__ = ["count_leaves", "decoded", "encoded", "plain"]
