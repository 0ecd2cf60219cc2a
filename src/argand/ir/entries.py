"""What public calls go through first: an entry of native code, once there is one.

A call begins with an entry, which is the function itself until `install` gives what makes native
entries; these run a call's plan where it has one, and the function otherwise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from argand.base.misuse import FAILURES, explain
from argand.base.userstack import UserCall, register_call
from argand.ir import bind as crossroads
from argand.ir import overrides

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)

_make: Callable[[Function], Function] | None = None
_waiting: list[Callable[[], None]] = []


def made(function: Function) -> Function:
    """The entry of a function, as things are now."""
    return function if _make is None else _make(function)


def installed() -> bool:
    """Whether calls begin with native entries."""
    return _make is not None


def when_installed(renew: Callable[[], None]) -> None:
    """Have `renew` called when native entries can be made; at once if they can."""
    if _make is None:
        _waiting.append(renew)
    else:
        renew()


def planned(function: F, public: Callable[[], Any] | None = None) -> F:
    """The function, whose calls begin with an entry, and explain themselves when they fail.

    A mode or the class of an argument may take them over: as calls of `public()` where it is given.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            if crossroads.pushed:
                if overrides.state.modes:
                    return overrides.taken(told(), args, kwargs)
                return crossroads.called(function, entry, args, kwargs)
            return entry(*args, **kwargs)
        except FAILURES as error:
            explain(error)
            raise

    told = public or (lambda: call)
    general = overrides.open_to_classes(function, told)
    entry: Function = general

    def renew() -> None:
        nonlocal entry
        entry = made(general)

    when_installed(renew)
    call.is_overridable = call.is_planned = True  # type: ignore[attr-defined]  # a mark on a function
    register_call(call, _planned_call)
    return call  # type: ignore[return-value]  # it takes and gives what `function` does


def _planned_call(local: Mapping[str, Any]) -> UserCall:
    function = local["function"]
    return UserCall(function, function.__qualname__, local["args"], local["kwargs"])


def install(make: Callable[[Function], Function]) -> None:
    """Give what makes native entries; once."""
    global _make
    _make = make
    for renew in _waiting:
        renew()
    _waiting.clear()
