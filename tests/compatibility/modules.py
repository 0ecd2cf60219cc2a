"""Argand's names of `torch.nn` against PyTorch's.

    python tests/compatibility/modules.py --write            # the list, and the one in docs/

It needs an interpreter with torch 2.13 (CPU) and Argand. A name counts where PyTorch documents it
in a namespace: it is public, is no module and comes from torch. That a class is there says nothing
about its results: `tests/nn/test_against_torch.py` compares these.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve()
PAGE = HERE.parents[2] / "docs" / "compatibility.md"
BEGIN, END = "<!-- modules: begin -->", "<!-- modules: end -->"
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
    lines = ["| namespace | names | present | missing |", "|---|---:|---:|---|"]
    for name in NAMESPACES:
        names, absent = public(name), missing(name)
        text = ", ".join(f"`{n}`" for n in absent)
        lines.append(f"| `{name}` | {len(names)} | {len(names) - len(absent)} | {text} |")
    return "\n".join(lines)


def main() -> None:
    """Print the list, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    write = parser.parse_args().write
    text = f"Names of torch {torch.__version__.partition('+')[0]}.\n\n{table()}"
    print(text)
    if write:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
