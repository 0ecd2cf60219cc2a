"""What a traced function reads of the process: environment variables and context variables.

The variables of the environment that are read, by whatever code, are guarded one by one. Context
variables behind the function are guarded by their values. Neither can be set by a program, so a
function that sets one is refused.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, NoReturn

from argand.base.errors import TraceError
from argand.base.userstack import user_location
from argand.compile.guards import ValueGuards, variable_value

_Environment: Any = type(os.environ)


@contextmanager
def watched_environment(guards: ValueGuards) -> Iterator[None]:
    """Guard the environment variables that this thread reads in the block."""
    environment: Any = os.environ
    if type(environment) is not _Environment:  # somebody's replacement, or another thread's trace
        yield
        return
    environment.__class__ = _watching(guards, threading.get_ident())
    try:
        yield
    finally:
        environment.__class__ = _Environment


def _watching(guards: ValueGuards, thread: int) -> Any:
    """The class of an environment that notes what one thread reads of it."""

    def mine() -> bool:
        return threading.get_ident() == thread

    def refuse(key: str) -> NoReturn:
        raise TraceError(
            f"the environment variable {key} is set at {user_location(3)}, inside a compiled "
            "function, whose calls would not do it; set it outside"
        )

    class Watching(_Environment):  # type: ignore[misc]
        """`os.environ` while a function is traced."""

        def __getitem__(self, key: str) -> str:
            if mine():
                guards.add_item(self._data, self.encodekey(key), f"os.environ[{key!r}]")
            return super().__getitem__(key)  # type: ignore[no-any-return]

        def __iter__(self) -> Iterator[str]:
            if mine():
                guards.add_contents(self._data, "os.environ")
            return super().__iter__()  # type: ignore[no-any-return]

        def __len__(self) -> int:
            if mine():
                guards.add_contents(self._data, "os.environ")
            return super().__len__()  # type: ignore[no-any-return]

        def __setitem__(self, key: str, value: str) -> None:
            if mine():
                refuse(key)
            super().__setitem__(key, value)

        def __delitem__(self, key: str) -> None:
            if mine():
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
