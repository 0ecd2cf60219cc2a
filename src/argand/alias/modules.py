"""A module of `torch`: Argand's names under PyTorch's path."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import argand
from argand.alias.names import UNSAID, listed, names_of
from argand.alias.overlay import OVERLAY
from argand.alias.standins import stand_in
from argand.base.errors import unknown_name

_ABSENT: Any = object()
_FLAGS = (type(None), bool, int, float, str)
_HOMES = {"DataLoader": "torch.utils.data.dataloader", "Dataset": "torch.utils.data.dataset"}
"""Classes that libraries (Keras) recognise by the name of their module, without an import."""
_own: Callable[[ModuleType], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__
"""The dict of a module, with the names that were asked for."""


class AliasModule(ModuleType):
    """A module of PyTorch's path. A name is, in this order: what is different under the alias, what
    Argand's module of that path has, what one around it has (`torch.nn.modules.conv.Conv2d` is
    `argand.nn.Conv2d`), a module of its own, or a stand-in.

    What is set on it is set on Argand's module too, so that both see one function.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, f"`{name}`, as Argand has it.")
        self.__path__: list[str] = []
        self.__file__ = argand.__file__

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """All names: libraries look for classes there; `_own` is what has been asked for."""
        for name in names_of(self.__name__):
            getattr(self, name, None)
        return _own(self)

    def __getattr__(self, name: str) -> Any:
        value = self._find(name)
        if value is _ABSENT:
            raise unknown_name(self.__name__, name, dir(self))
        if type(value) not in _FLAGS:  # a flag may be set later
            _own(self)[name] = value
        if name in _HOMES and self.__name__.startswith("torch.utils.data"):
            value.__module__ = _HOMES[name]
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if not isinstance(value, ModuleType) and not name.startswith("__"):
            target = target_of(self.__name__)
            if target is not None and name in vars(target):
                setattr(target, name, value)
        _own(self)[name] = value

    def __dir__(self) -> list[str]:
        return sorted({*names_of(self.__name__), *OVERLAY.get(self.__name__, ())})

    def _find(self, name: str) -> Any:
        path = self.__name__
        if name == "__all__":
            return [name for name in dir(self) if not name.startswith("_")]
        found = OVERLAY.get(path, {}).get(name, _ABSENT)
        if found is not _ABSENT:
            where, _, attribute = found.partition(":")
            return getattr(importlib.import_module(where), attribute)
        child, names = f"{path}.{name}", names_of(path)
        if child in listed() and name not in names:
            return importlib.import_module(child)
        if name.startswith("__"):
            return _ABSENT
        found = _of_argand(path, name, around=name in names)
        if found is not _ABSENT or name not in names:
            return found
        return names[name] if names[name] is not UNSAID else stand_in(child, _known(path))


def target_of(path: str) -> ModuleType | None:
    """Argand's module of a path of PyTorch's, if there is one."""
    name = f"argand{path.removeprefix('torch')}"
    if name not in sys.modules:
        try:
            if importlib.util.find_spec(name) is None:
                return None
        except ModuleNotFoundError:
            return None
        importlib.import_module(name)
    return sys.modules[name]


def _of_argand(path: str, name: str, around: bool) -> Any:
    """What Argand's module of a path has under a name, or the nearest one `around` it."""
    while path:
        target = target_of(path)
        value = _ABSENT if target is None else getattr(target, name, _ABSENT)
        if value is not _ABSENT and not isinstance(value, ModuleType):
            return value
        path = path.rpartition(".")[0] if around else ""
    return _ABSENT


def _known(path: str) -> list[str]:
    target = target_of(path)
    return [] if target is None else [name for name in dir(target) if not name.startswith("_")]
