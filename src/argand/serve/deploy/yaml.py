"""YAML of dicts, lists, strings, numbers and booleans."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}  # that YAML reads otherwise


class Tagged:
    """A value with a tag in front: `Tagged("!Ref", "Image")`."""

    def __init__(self, tag: str, value: str) -> None:
        self.tag = tag
        self.value = value


def dump(value: Any, comment: str = "") -> str:
    """A document; the comment stands above it."""
    head = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*head, *_lines(value)]) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entry(f"{_scalar(key)}:", item, "  ")
    else:
        for item in value:
            nested = list(_lines(item)) if _is_nested(item) else [_scalar(item)]
            yield f"- {nested[0]}"
            yield from (f"  {line}" for line in nested[1:])


def _entry(key: str, item: Any, indent: str) -> Iterator[str]:
    if _is_nested(item):
        yield key
        yield from (indent + line for line in _lines(item))
    else:
        yield f"{key} {_scalar(item)}"


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _scalar(value: Any) -> str:
    """A value on one line; a string as JSON has it where YAML could read it as something else."""
    if isinstance(value, Tagged):
        return f"{value.tag} {_scalar(value.value)}"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value)


__all__ = ["Tagged", "dump"]
