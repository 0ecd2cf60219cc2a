"""Argand's names of `vision` against torchvision's.

    python tests/compatibility/vision.py --write            # the table in docs/

It needs an interpreter with torch 2.13 (CPU), torchvision 0.28 and Argand. A name counts where
torchvision's module lists it, or where it lists none, is public and a function or class of its own.
That a name is there says nothing about its results: `tests/vision/test_*_against_torchvision.py`
compare these.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torchvision
from page import names_table, table_command

NAMESPACES = (
    "datasets",
    "io",
    "ops",
    "transforms",
    "transforms.functional",
    "transforms.v2",
    "transforms.v2.functional",
    "tv_tensors",
    "utils",
)


def public(name: str) -> list[str]:
    """The names of a module of torchvision."""
    module = importlib.import_module(f"torchvision.{name}")
    listed = getattr(module, "__all__", None) or dir(module)
    return sorted(n for n in listed if n[0] != "_" and _is_own(getattr(module, n)))


def _is_own(value: Any) -> bool:
    """Whether a value is a function or class of torchvision's."""
    origin = getattr(value, "__module__", None) or ""
    return callable(value) and origin.startswith("torchvision")


def missing(name: str) -> list[str]:
    """Those that Argand does not have."""
    ours = importlib.import_module(f"argand.vision.{name}")
    return [n for n in public(name) if n not in ours.__all__]


def table() -> str:
    """How many names of each module are there, and the missing ones, in Markdown."""
    return names_table("module", NAMESPACES, public, missing)


def text() -> str:
    """The table, and of which torchvision it is."""
    return f"Names of torchvision {torchvision.__version__.partition('+')[0]}.\n\n{table()}"


if __name__ == "__main__":
    sys.exit(table_command("vision", __doc__, text))
