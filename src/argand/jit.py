"""`argand.jit`: what programs written with TorchScript in mind ask for; functions are compiled by
`argand.compile`, from the Python that runs, so nothing of this changes anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final


def is_scripting() -> bool:
    """False: there is no second language to compile, functions are traced by `ag.compile`.

    >>> ag.jit.is_scripting()
    False
    """
    return False


def is_tracing() -> bool:
    """False: traced code need not behave differently.

    >>> ag.jit.is_tracing()
    False
    """
    return False


def ignore(function: Any = None, **options: Any) -> Callable[..., Any]:
    """The function itself, as a decorator with or without options.

    >>> @ag.jit.ignore
    ... def f(x):
    ...     return x + 1
    >>> f(1)
    2
    """
    return function if callable(function) else lambda decorated: decorated


def unused(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, as a decorator.

    >>> @ag.jit.unused
    ... def f(x):
    ...     return x + 1
    >>> f(1)
    2
    """
    return function


def export(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, as a decorator.

    >>> @ag.jit.export
    ... def f(x):
    ...     return x + 1
    >>> f(1)
    2
    """
    return function


__all__ = ["Final", "export", "ignore", "is_scripting", "is_tracing", "unused"]
