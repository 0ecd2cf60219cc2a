"""The state of an optimizer: dictionaries that compiled steps notice changes of."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from argand.base import epoch


def _noticed(kind: Any, names: str) -> Any:
    """A class decorator: these methods of `kind` move the epoch too."""

    def decorate(cls: Any) -> Any:
        for name in names.split():
            setattr(cls, name, _moving(getattr(kind, name)))
        return cls

    return decorate


def _moving(method: Any) -> Any:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        epoch.bump()
        return method(self, *args, **kwargs)

    return call


_OF_DICTS = "__setitem__ __delitem__ __ior__ clear pop popitem setdefault update"


@_noticed(dict, _OF_DICTS)
class State(dict[str, Any]):
    """The state of one parameter: moments, the number of steps."""


@_noticed(defaultdict, _OF_DICTS)
class States(defaultdict[Any, State]):
    """The state of each parameter, empty where there is none yet."""


_OF_LISTS = "__setitem__ __delitem__ __iadd__ append clear extend insert pop remove reverse sort"


@_noticed(list, _OF_LISTS)
class Parameters(list[Any]):
    """The parameters of a group."""
