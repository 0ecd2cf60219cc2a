"""What every file and every public name owes the reader."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import argand

PACKAGE = Path(argand.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(p.relative_to(PACKAGE)) for p in FILES]
LIMIT = 600


@pytest.mark.parametrize("name", NAMES)
def test_files_are_short(name: str) -> None:
    assert len((PACKAGE / name).read_text().splitlines()) <= LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_public_things_have_docstrings(name: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text())
    assert ast.get_docstring(tree), f"{name} has no docstring"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert not bare, f"{name}: no docstring on {', '.join(bare)}"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_executed_from_data(name: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text())
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not forbidden & {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert str(node.module).split(".")[0] not in forbidden
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec", "__import__")


@pytest.mark.parametrize("name", NAMES)
def test_the_environment_is_read_in_one_place(name: str) -> None:
    text = (PACKAGE / name).read_text()
    if name not in ("base/settings.py", "compile/environment.py"):  # that one watches it
        assert not re.search(r"os\.(environ|getenv)", text)


def test_no_star_imports() -> None:
    for path in FILES:
        assert not re.search(r"^\s*from \S+ import \*", path.read_text(), re.M), path
