"""Argand's names of `torch.nn` against PyTorch's.

    python tests/compatibility/modules.py --write            # the list, and the one in docs/

It needs an interpreter with torch 2.13 (CPU) and Argand. A name counts where PyTorch documents it
in a namespace: it is public, is no module and comes from torch. That a class is there says nothing
about its results: `tests/nn/test_against_torch.py` compares these.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

import torch
from page import names_table, table_command

NAMESPACES = (
    "nn",
    "nn.functional",
    "nn.init",
    "nn.parallel",
    "nn.utils",
    "nn.utils.parametrizations",
    "nn.utils.parametrize",
    "nn.utils.prune",
    "nn.utils.rnn",
    "nn.utils.stateless",
)


def public(name: str) -> list[str]:
    """The names of a namespace of PyTorch."""
    module = importlib.import_module(f"torch.{name}")
    listed = getattr(module, "__all__", None) or [n for n in dir(module) if n[0] != "_"]
    return sorted(n for n in listed if _is_own(getattr(module, n)))


def _is_own(value: Any) -> bool:
    """Whether a value is a function or class of PyTorch's."""
    origin = getattr(value, "__module__", None) or "torch"
    return callable(value) and not inspect.ismodule(value) and origin.startswith("torch")


def missing(name: str) -> list[str]:
    """Those that Argand does not have."""
    try:
        ours = importlib.import_module(f"argand.{name}")
    except ImportError:
        return public(name)
    return [n for n in public(name) if n not in getattr(ours, "__all__", dir(ours))]


def table() -> str:
    """How many names of each namespace are there, and the missing ones, in Markdown."""
    return names_table("namespace", NAMESPACES, public, missing)


def text() -> str:
    """The table, and of which PyTorch it is."""
    return f"Names of torch {torch.__version__.partition('+')[0]}.\n\n{table()}"


if __name__ == "__main__":
    sys.exit(table_command("modules", __doc__, text))
