"""Where in the user's code an operation was called, by what call, and inside which module.

All of it is read off Python's stack when it is needed (an error, a trace), so that running code
pays nothing for it. What users call - ops, functions, modules - is known by its code: each kind
registers the code that all its calls run through, and how a call is read off such a frame.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FrameType
from typing import Any, NamedTuple

from argand.base.errors import PACKAGE

_RUNNERS = tuple(
    os.path.join(os.path.dirname(os.__file__), name)
    for name in ("threading.py", f"asyncio{os.sep}", f"concurrent{os.sep}")
)
"""The standard library's code that calls functions in threads and event loops."""


class Location(NamedTuple):
    """A line of the user's code, and the name of what it called there."""

    file: str
    line: int
    call: str = ""

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"


Place = tuple[CodeType, int]
"""A code object, and how far its execution has come."""


class UserCall(NamedTuple):
    """A call of an op, a function or a module: what, by which name, and with what."""

    target: Any
    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


_calls: dict[CodeType, Callable[[Mapping[str, Any]], UserCall]] = {}
_passing: set[CodeType] = set()

# The code of the function that calls a module's forward (its `self` is the module), and how a
# module names a descendant; set by nn/.
_module_call: CodeType | None = None
_path_between: Callable[[Any, Any], str] | None = None


def register_call(function: Any, read: Callable[[Mapping[str, Any]], UserCall]) -> None:
    """Tell how a call is read off the local variables of a frame that runs `function`."""
    _calls[function.__code__] = read


def register_passing(function: Any) -> None:
    """Tell that a function calls what users call, with their arguments as they are."""
    _passing.add(function.__code__)


def is_call(code: CodeType) -> bool:
    """Whether all that a code does is a call of what users call."""
    return code in _calls or code in _passing


def register_module_call(code: CodeType, path_between: Callable[[Any, Any], str]) -> None:
    """Tell which function on the stack runs a module, and how to name a module's descendant."""
    global _module_call, _path_between
    _module_call, _path_between = code, path_between


def user_location(skip: int = 1) -> Location | None:
    """The innermost frame that is not in the package; None when there is none, and when a thread
    or an event loop calls the package by itself, as a server's do."""
    return location_of(user_place(skip + 1))


def user_place(skip: int = 1) -> Place | None:
    """Where the innermost frame that is not in the package is: what `location_of` makes a line of,
    for those who seldom want one."""
    frame: FrameType | None = sys._getframe(skip)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(PACKAGE):
            return None if file.startswith(_RUNNERS) else (frame.f_code, frame.f_lasti)
        frame = frame.f_back
    return None


def location_of(place: Place | None) -> Location | None:
    """The line of a place."""
    if place is None:
        return None
    code, at = place
    for start, end, line in code.co_lines():
        if start <= at < end and line is not None:
            return Location(code.co_filename, line)
    return Location(code.co_filename, code.co_firstlineno)


def user_call() -> UserCall | None:
    """What the user's code called of the package, of all that runs now for it.

    A module of the package is what its own forward calls, so that of a model's layers the one at
    fault is found.
    """
    found: FrameType | None = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_code in _calls:
            found = frame
        if frame.f_code is _module_call:
            break
        frame = frame.f_back
    return None if found is None else _calls[found.f_code](found.f_locals)


def call_location() -> Location | None:
    """The user's line, with the name of what it called."""
    location, call = user_location(2), user_call()
    return location if location is None or call is None else location._replace(call=call.name)


def module_path() -> str:
    """The path of the module being run (``encoder.layers.3``), from the outermost one; or ""."""
    if _module_call is None or _path_between is None:
        return ""
    inner: Any = None
    outer: Any = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _module_call:
            outer = frame.f_locals["self"]
            inner = outer if inner is None else inner
        frame = frame.f_back
    return "" if outer is None or outer is inner else _path_between(outer, inner)


def asked_by_library(frame: FrameType) -> bool:
    """Whether a frame runs the library's own code: what passes for a number in the user's code is
    seen as it is here."""
    return str(frame.f_globals.get("__name__")).startswith("argand.")
