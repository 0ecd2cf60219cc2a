"""The classes and functions that the running program lets files ask for; none by itself.

Nothing is imported for a file: a name in it leads to an object that the program has registered
under that name, or to none.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_BLOCKED = frozenset(("code", "ctypes", "importlib", "io", "multiprocessing", "nt"))
_BLOCKED |= {"os", "pickle", "posix", "pty", "runpy", "shutil", "socket", "subprocess", "sys"}
_BLOCKED |= {"imp", "posixsubprocess", "winapi"}
"""Modules, also those of the same names with an underscore before (`_io` has `open`)."""

_PLAIN = frozenset(
    (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, object, set, str, tuple)
)

_registered: list[Any] = []


def add_safe_globals(safe_globals: Sequence[Any]) -> None:
    """Let `load` build objects of these classes, and call these functions, where a file asks.

    Each is a class or a function, which files name by its module and name; or a pair of one and the
    name that files have for it. What its constructor, `__setstate__` and so on do with data of a
    file is then the program's own affair. No file gets what modules have that start programs or
    import (`os`, `subprocess`, ...), or functions among Python's builtins (`getattr`, `eval`), even
    if they are registered. Follows `torch.serialization.add_safe_globals`.

    >>> import argparse, io
    >>> file = io.BytesIO()
    >>> ag.save(argparse.Namespace(lr=0.1), file)
    >>> with ag.serialization.safe_globals([argparse.Namespace]):
    ...     ag.load(io.BytesIO(file.getvalue()))
    Namespace(lr=0.1)
    """
    found = [_checked(item) for item in safe_globals]
    _registered.extend(item for item in found if item not in _registered)


def clear_safe_globals() -> None:
    """Forget what was registered.

    >>> ag.serialization.clear_safe_globals()
    """
    _registered.clear()


def get_safe_globals() -> list[Any]:
    """The classes and functions that are registered, in order.

    >>> ag.serialization.get_safe_globals()
    []
    """
    return list(_registered)


@contextmanager
def safe_globals(safe_globals: Sequence[Any]) -> Iterator[None]:
    """Classes and functions that are registered within the block only.

    >>> import pathlib
    >>> with ag.serialization.safe_globals([pathlib.PosixPath]):
    ...     len(ag.serialization.get_safe_globals())
    1
    """
    before = list(_registered)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _registered[:] = before


def _checked(item: Any) -> Any:
    value, name = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
    if not callable(value) or not isinstance(name, str | None):
        raise TypeError(
            f"add_safe_globals takes classes, functions, and pairs (one of them, its full name), "
            f"got {item!r:.80}"
        )
    return item


def is_dangerous(path: str) -> bool:
    """Whether a name is refused whatever the program says."""
    module, _, name = path.rpartition(".")
    if module.partition(".")[0].removeprefix("_") in _BLOCKED:
        return True
    plain = getattr(builtins, name, None) in _PLAIN
    return module in ("builtins", "__builtin__") and not plain


def _path(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"


def by_name() -> dict[str, Any]:
    """The registered objects by the names that files have for them, but what no file gets."""
    found = {}
    for item in _registered:
        value, name = item if isinstance(item, tuple) else (item, _path(item))
        if not is_dangerous(name) and not is_dangerous(_path(value)):
            found[name] = value
    return found


# -- how registered classes are built --------------------------------------------------------------


class Registry:
    """The registered objects while one file is read."""

    def __init__(self) -> None:
        self.names = by_name()
        self._ids = {id(value) for value in self.names.values()}

    def has(self, value: Any) -> bool:
        """Whether a value is a registered class or function."""
        return bool(self._ids) and id(value) in self._ids

    def has_instance(self, value: Any) -> bool:
        """Whether a value was built from a registered class."""
        return bool(self._ids) and id(type(value)) in self._ids


def new(kind: Any, args: tuple[Any, ...]) -> Any:
    """An object of a registered class, before it has its state."""
    if not isinstance(kind, type):
        raise ValueError("a function is asked for an object as a class is")
    make: Callable[..., Any] = kind.__new__
    return make(kind, *args)


def set_state(target: Any, state: Any) -> None:
    """Give an object of a registered class the state that a file has for it, as pickle does."""
    own = getattr(type(target), "__setstate__", None)
    if own is not None:
        own(target, state)
        return
    slots = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    for names in (state, slots):
        for name in _names(names):
            if name.startswith("__"):
                raise ValueError(f"it can't be given the attribute {name!r:.50}")
    if state:
        vars(target).update(state)
    for name, value in (slots or {}).items():
        setattr(target, name, value)


def _names(state: Any) -> list[str]:
    if state is None:
        return []
    if type(state) is not dict or not all(type(name) is str for name in state):
        raise ValueError("a state that is no dictionary of attributes")
    return list(state)
