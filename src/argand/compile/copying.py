"""Copies and pickles of compiled functions: the function and its options, never programs.

A decorated function that its module (or class) offers under its own name is pickled by that name,
as Python pickles functions; a compiled method by its object and name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any


def reduced(compiled: Any, options: dict[str, Any]) -> str | tuple[Any, ...]:
    """What `__reduce__` of a compiled function gives."""
    function, kind = compiled.function, type(compiled)
    if isinstance(function, MethodType):
        name = _name_of_method(function, kind)
        if name is not None:
            return (getattr, (function.__self__, name))
    elif isinstance(function, FunctionType):
        found = _offered(function)
        if found is compiled:
            return str(function.__qualname__)
        if isinstance(found, kind) and found.function is function:
            return (_made_of_decorated, (kind, found, options))
    return (_made, (kind, function, options))


def _name_of_method(method: MethodType, kind: type) -> str | None:
    """The name under which the object's class (or the class itself) offers the method, compiled."""
    owner: Any = method.__self__
    for base in (owner if isinstance(owner, type) else type(owner)).__mro__:
        name: str
        for name, value in vars(base).items():
            value = value.__func__ if isinstance(value, classmethod) else value
            if isinstance(value, kind) and getattr(value, "function", None) is method.__func__:
                return name
    return None


def _offered(function: FunctionType) -> Any:
    """What a function's module has under its qualified name."""
    found: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


def _made(kind: Any, function: Callable[..., Any], options: dict[str, Any]) -> Any:
    return kind(function, **options)


def _made_of_decorated(kind: Any, decorated: Any, options: dict[str, Any]) -> Any:
    return kind(decorated.function, **options)


def stored_method(instance: Any, key: str) -> Any:
    """The compiled method that an object (a class, below `classmethod`) has under a key."""
    return getattr(instance, "__dict__", {}).get(key)


def store_method(instance: Any, key: str, compiled: Any) -> None:
    """Store an object's compiled method in its `__dict__`."""
    if isinstance(instance, type):
        type.__setattr__(instance, key, compiled)
        return
    try:
        instance.__dict__[key] = compiled
    except AttributeError:
        raise TypeError(
            f"{type(instance).__name__} has no place for its {key!r}: add '__dict__' to its "
            "__slots__, or compile a plain function that takes the object"
        ) from None
