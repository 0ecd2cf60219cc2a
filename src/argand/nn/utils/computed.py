"""Attributes of one module that are computed from its parameters at each use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base import epoch
from argand.nn.module import Module


def compute(
    module: Module,
    name: str,
    function: Callable[[Any], Any] | None,
    title: str = "",
    setter: Callable[[Any, Any], None] | None = None,
) -> None:
    """Let ``module.<name>`` be ``function(module)``, or a plain attribute again without one.

    A value that is assigned goes to ``setter(module, value)``. The module gets a class of its own
    with a property, named `title` and its class, and its own class back where nothing is computed
    any more.
    """
    cls: Any = type(module)
    plain, known = getattr(cls, "_plain_class", cls), dict(getattr(cls, "_computed", {}))
    known.pop(name, None)
    if function is not None:
        known[name] = function, setter
    properties: dict[str, Any] = {n: property(*both) for n, both in known.items()}
    space = {**properties, "_plain_class": plain, "_computed": known, "__doc__": plain.__doc__}
    module.__class__ = type(f"{title}{plain.__name__}", (plain,), space) if known else plain
    epoch.bump()
