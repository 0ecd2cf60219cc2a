"""`ag.install_as_torch`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from argand.alias.linked import explain_linked_modules
from argand.alias.modules import AliasModule
from argand.alias.names import listed
from argand.base.errors import ArgandError
from argand.base.naming import naming
from argand.base.settings import settings

MARK = "Made by `argand as-torch`"
"""What the first line of an alias package has."""

SITE = str(Path(__file__).parent / "site")
"""The folder of the alias package."""


class RealTorchError(ArgandError, ImportError):
    """PyTorch itself is here, and keeps its name."""


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of `torch`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name in listed() else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return AliasModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: its names are found when they are asked for."""


def install_as_torch() -> None:
    """From here on `import torch` finds Argand, in this process.

    `torch.nn`, `torch.utils.data` and so on, to any depth, have Argand's functions and classes
    (``torch.Tensor is ag.Tensor``); what PyTorch has and Argand lacks can be imported, and raises
    an error that says so when it is used. dtypes and sizes are printed as PyTorch prints them, and
    after `torch.manual_seed` PyTorch's random numbers are drawn (`settings.generator`).
    Raises ImportError where PyTorch itself is imported or installed.
    """
    loaded = sys.modules.get("torch")
    if isinstance(loaded, AliasModule):
        return
    if loaded is not None and not is_alias(getattr(loaded, "__file__", None)):
        where = getattr(loaded, "__file__", "memory")
        raise RealTorchError(
            f"PyTorch is imported, from {where}: it keeps its name; "
            "write `import argand as torch`, or run the program where PyTorch isn't imported"
        )
    found = real_torch()
    if found is not None:
        raise RealTorchError(
            f"PyTorch is installed, at {found}: it keeps its name; use an environment without it, "
            "or write `import argand as torch`"
        )
    sys.meta_path.insert(0, _Finder())
    explain_linked_modules()
    naming.package = "torch"
    settings.generator = "mt19937"
    sys.modules["torch"] = _root()
    if SITE not in sys.path:
        sys.path.append(SITE)  # its metadata, by which libraries tell whether PyTorch is there


def _root() -> AliasModule:
    finder = sys.meta_path[0]
    assert isinstance(finder, _Finder)
    spec = ModuleSpec("torch", finder, is_package=True)
    module = AliasModule("torch")
    module.__spec__, module.__loader__, module.__package__ = spec, finder, "torch"
    module.torch = module  # PyTorch's has it, and annotations say torch.torch.Tensor
    return module


def real_torch() -> str | None:
    """Where PyTorch is installed, if it is."""
    spec = PathFinder.find_spec("torch")
    if spec is None or spec.origin is None or is_alias(spec.origin):
        return None
    return spec.origin


def is_alias(file: str | None) -> bool:
    """Whether a file is the `__init__.py` of an alias package."""
    if not file or not Path(file).is_file():
        return False
    with open(file, errors="replace") as opened:
        return MARK in opened.readline()
