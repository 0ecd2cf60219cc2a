"""The name that the package is printed by, and the place where its public functions are found."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any


class Naming:
    """The package that a dtype or a Size is printed as a part of: `torch` after
    `ag.install_as_torch`."""

    package = "argand"


naming = Naming()


def published(module: str, found: Mapping[str, Any], owner: str = "") -> None:
    """Say of functions that they are attributes of a module, or of its class `owner`: so they can
    be pickled, by name, in whatever file they are written."""
    for name, value in found.items():
        if isinstance(value, FunctionType):
            value.__module__, value.__qualname__ = module, f"{owner}{name}"


def full_name(function: Any) -> str:
    """A function's name with the place where it is found: ``torch.nn.functional.relu``."""
    name = getattr(function, "__qualname__", "") or getattr(function, "__name__", "")
    module = getattr(function, "__module__", None) or ""
    within = module.removeprefix("argand") if module.startswith("argand") else ""
    return f"{naming.package}{within}.{name}" if name else repr(function)
