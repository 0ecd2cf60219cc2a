"""What PyTorch's modules have, as `names.txt` lists it.

`tests/compatibility/namespace.py` writes the list.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

UNSAID: Any = object()
"""The value of a name that is no constant."""


@functools.cache
def listed() -> Mapping[str, str]:
    """The modules of PyTorch, with the text of their names."""
    text = (Path(__file__).parent / "names.txt").read_text()
    modules: dict[str, list[str]] = {}
    names: list[str] = []
    for line in text.splitlines():
        if line.startswith(" "):
            names.append(line.strip())
        else:
            names = modules[line] = []
    return {module: " ".join(lines) for module, lines in modules.items()}


@functools.cache
def names_of(module: str) -> Mapping[str, Any]:
    """The names of a module, with the values of its constants, UNSAID for others."""
    found = {}
    for entry in listed()[module].split():
        name, equals, value = entry.partition("=")
        found[name] = _constant(value) if equals else UNSAID
    return found


def _constant(text: str) -> Any:
    return float(text) if text in ("inf", "nan", "-inf") else ast.literal_eval(text)
