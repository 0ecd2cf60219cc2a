"""What a traced function reads and sets of the process: variables and modes.

The variables of the environment that are read, by whatever code, are guarded one by one. Context
variables behind the function are guarded by their values. Neither can be set by a program, so a
function that sets one is refused, and so is one that changes a setting. Where it leaves another
grad mode or default dtype behind, every call does.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import get_ident
from typing import Any

from argand.base.dtype import default_dtype_setter, get_default_dtype, set_default_dtype
from argand.base.errors import TraceError
from argand.base.settings import setters, settings
from argand.base.userstack import user_location
from argand.compile.guards import ValueGuards
from argand.compile.slots import Item, variable_value
from argand.runtime.threads import set_num_threads
from argand.transform.mode import mode, set_grad_enabled

_Environment: Any = type(os.environ)


@contextmanager
def watched_environment(guards: ValueGuards) -> Iterator[None]:
    """Guard the environment variables that this thread reads in the block."""
    kind = _watching(guards, get_ident())
    found = [os.environ, getattr(os, "environb", None)]
    watched: list[Any] = [e for e in found if type(e) is _Environment]  # nobody's replacement
    for environment in watched:
        environment.__class__ = kind
    try:
        yield
    finally:
        for environment in watched:
            environment.__class__ = _Environment


def _watching(guards: ValueGuards, thread: int) -> Any:
    """The class of an environment that notes what one thread reads of it."""

    def mine() -> bool:
        return get_ident() == thread

    def whole(environment: Any) -> None:
        if mine():
            guards.add_contents(environment._data, "os.environ")

    def refuse(key: str) -> None:
        if mine():
            raise TraceError(
                f"the environment variable {key} is set at {user_location(3)}, inside a compiled "
                "function, whose calls would not do it; set it outside"
            )

    class Watching(_Environment):  # type: ignore[misc]  # Python's class has no public name
        """`os.environ` while a function is traced."""

        def __getitem__(self, key: str) -> Any:
            if mine():
                guards.add(Item(self._data, self.encodekey(key), f"os.environ[{key!r}]"))
            return super().__getitem__(key)

        def __iter__(self) -> Any:
            whole(self)
            return super().__iter__()

        def __repr__(self) -> Any:
            whole(self)
            return super().__repr__()

        def __len__(self) -> Any:
            whole(self)
            return super().__len__()

        def __setitem__(self, key: str, value: str) -> None:
            refuse(key)
            super().__setitem__(key, value)

        def __delitem__(self, key: str) -> None:
            refuse(key)
            super().__delitem__(key)

    return Watching


def run_apart(variables: Sequence[ContextVar[Any]], function: Callable[[], Any], name: str) -> Any:
    """Run a function in a copy of the context, so that what it sets there is gone after it; an
    error when one of the `variables` would be left with another value."""
    if not variables:
        return function()
    context = copy_context()
    result = context.run(function)
    for variable in variables:
        if context.run(variable_value, variable) is not variable_value(variable):
            raise TraceError(
                f"{name} sets the context variable {variable.name!r}, which calls of a compiled "
                "function would not do; return the value, and set the variable outside"
            )
    return result


class Modes:
    """The grad mode, the default dtype and the settings, as they are when a trace begins.

    The last two are the process's: what other threads set meanwhile is no concern of the trace.
    """

    def __init__(self) -> None:
        self._enabled, self._dtype = mode.enabled, get_default_dtype()
        self._settings = dict(vars(settings))

    def changes(self, name: str) -> list[Callable[[], Any]]:
        """What sets the modes to what the traced function left them at."""
        for setting in self._changed_settings():
            raise TraceError(
                f"{name} sets settings.{setting}, which calls of a compiled function would not "
                "do; set it outside"
            )
        found: list[Callable[[], Any]] = []
        if mode.enabled is not self._enabled:
            found.append(functools.partial(set_grad_enabled, mode.enabled))
        if self._dtype_changed():
            found.append(functools.partial(set_default_dtype, get_default_dtype()))
        return found

    def restore(self) -> None:
        """Set everything as it was."""
        mode.enabled = self._enabled
        if self._dtype_changed():
            set_default_dtype(self._dtype)
        for setting in self._changed_settings():
            if setting == "threads":
                set_num_threads(self._settings[setting])
            else:
                setattr(settings, setting, self._settings[setting])

    def _dtype_changed(self) -> bool:
        return get_default_dtype() is not self._dtype and default_dtype_setter() == get_ident()

    def _changed_settings(self) -> list[str]:
        return [
            name
            for name, before in self._settings.items()
            if vars(settings)[name] != before and setters.get(name) == get_ident()
        ]
