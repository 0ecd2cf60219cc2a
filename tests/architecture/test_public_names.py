"""The public names are pinned: adding or losing one is a decision, seen in a diff of the lists."""

from __future__ import annotations

import inspect
from pathlib import Path

import argand as ag

HERE = Path(__file__).parent
PYTHON = {"__dict__", "__weakref__", "__slots__", "__module__", "__doc__"}


def pinned(name: str) -> list[str]:
    """The names of a list."""
    return (HERE / name).read_text().split()


def test_functions_are_pinned() -> None:
    assert sorted({*ag.__all__, *ag._LAZY}) == pinned("names_argand.txt")


def test_methods_are_pinned() -> None:
    names = sorted(n for n in dir(ag.Tensor) if not n.startswith("_"))
    assert names == pinned("names_tensor.txt")


def test_all_names_exist_and_are_documented() -> None:
    for name in ag.__all__:
        value = getattr(ag, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, name


def test_methods_are_documented() -> None:
    for name in pinned("names_tensor.txt"):
        value = inspect.getattr_static(ag.Tensor, name)
        if inspect.isfunction(value) or isinstance(value, property):
            assert value.__doc__, name
