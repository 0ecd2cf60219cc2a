"""Imports have no rings, those for type checkers and those in functions included."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import argand

PACKAGE = Path(argand.__file__).parent


def module_of(path: Path) -> str:
    """The module that a file is."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def needs(name: str) -> set[str]:
    """The files of the package that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= modules
            if len(modules) < len(node.names):
                found.add(str(node.module))
    return (found & MODULES.keys()) - {name}


def rings(graph: Mapping[str, set[str]]) -> set[tuple[str, ...]]:
    """The largest sets of nodes each of which leads to all others."""
    reach = {name: set(targets) for name, targets in graph.items()}
    for middle in graph:
        for targets in reach.values():
            if middle in targets:
                targets |= reach[middle]
    return {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in graph
        if name in reach[name]
    }


def test_rings_are_found() -> None:
    assert rings({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == {("a", "b", "c")}
    assert rings({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == set()


def test_imports_have_no_rings() -> None:
    assert rings({name: needs(name) for name in MODULES}) == set()
