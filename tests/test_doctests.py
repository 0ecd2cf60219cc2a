"""The examples in the docstrings run, with `ag`, `nn`, `F`, `optim` and `np` at hand."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F
from argand import nn, optim
from public import FACADES, LIBRARY, public, public_docstrings

AT_HAND = {"ag": ag, "nn": nn, "F": F, "optim": optim, "np": np}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _modules() -> list[str]:
    root = Path(ag.__file__).parent
    found = pkgutil.walk_packages([str(root)], "argand.")
    return ["argand", *sorted(m.name for m in found if not m.name.endswith("__main__"))]


@pytest.mark.parametrize("name", _modules())
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs=AT_HAND, optionflags=FLAGS)
    assert result.failed == 0


@pytest.mark.parametrize("name", public_docstrings())
def test_public_examples(name: str) -> None:
    """Those of functions that are made from a table, too, which no module's walk finds."""
    text = public_docstrings()[name]
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(doctest.DocTestParser().get_doctest(text, dict(AT_HAND), name, None, None))
    assert runner.summarize().failed == 0


# Python's own, for code that was written for TorchScript.
FOREIGN = {"argand.jit.Final"}


def test_everything_public_says_what_it_does_and_shows_it() -> None:
    silent = []
    for name, value in public(*FACADES, *LIBRARY).items():
        told, example, _ = (value.__doc__ or "").partition(">>> ")
        if name not in FOREIGN and not (example and len(told.split()) > 3):
            silent.append(name)
    assert not silent
