"""Argand's optimizers and schedules against PyTorch's: which are there, with which arguments.

    python tests/compatibility/optimizers.py --write         # the tables, and those in docs/

It needs an interpreter with torch 2.13 (CPU) and Argand. `tests/optim/test_against_torch.py` and
`test_schedules.py` compare the steps and the state dicts.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

import torch
from page import table_command

NAMESPACES = ("optim", "optim.lr_scheduler", "optim.swa_utils", "amp")


def arguments(value: Any) -> list[str]:
    """The names of a callable's arguments."""
    return [p for p in inspect.signature(value).parameters if p != "self"]


def row(namespace: str, name: str) -> str:
    """One line of the table: whether the name is there, and the arguments that it lacks."""
    theirs = getattr(importlib.import_module(f"torch.{namespace}"), name)
    ours = getattr(importlib.import_module(f"argand.{namespace}"), name, None)
    if ours is None:
        return f"| `{namespace}.{name}` | no | |"
    has = arguments(ours)
    takes_all = {"options", "kwargs"} & set(has)
    lacks = [] if takes_all else [f"`{a}`" for a in arguments(theirs) if a not in has]
    return f"| `{namespace}.{name}` | yes | {', '.join(lacks)} |"


def table() -> str:
    """All public classes and functions, in Markdown."""
    lines = ["| name | present | arguments that are missing |", "|---|---|---|"]
    for namespace in NAMESPACES:
        module = importlib.import_module(f"torch.{namespace}")
        public = [n for n in module.__all__ if not inspect.ismodule(getattr(module, n))]
        lines += [row(namespace, name) for name in sorted(public)]
    return "\n".join(lines)


def text() -> str:
    """The table, and of which PyTorch it is."""
    return f"Names of torch {torch.__version__.partition('+')[0]}.\n\n{table()}"


if __name__ == "__main__":
    sys.exit(table_command("optimizers", __doc__, text))
