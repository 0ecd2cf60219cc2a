"""Where in the user's code an operation was called, and inside which module of the model.

Both are read off Python's stack when they are needed (an error, a trace), so that running code pays
nothing for them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, NamedTuple

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

# The code of the function that calls a module's forward (its `self` is the module), and how a
# module names a descendant; set by nn/.
_module_call: CodeType | None = None
_path_between: Callable[[Any, Any], str] | None = None


class Location(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"


def register_module_call(code: CodeType, path_between: Callable[[Any, Any], str]) -> None:
    """Tell which function on the stack runs a module, and how to name a module's descendant."""
    global _module_call, _path_between
    _module_call, _path_between = code, path_between


def user_location(skip: int = 1) -> Location | None:
    """The innermost frame that is not in the package; None when there is none."""
    frame: FrameType | None = sys._getframe(skip)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE):
            return Location(file, frame.f_lineno)
        frame = frame.f_back
    return None


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


def annotate(error: BaseException, at: tuple[Location | None, str] | None = None) -> None:
    """Add the user's line and the module path to an error's message, once; `at` when they are not
    those of the running code."""
    if getattr(error, "argand_annotated", False) or not error.args:
        return
    location, path = at or (user_location(2), module_path())
    parts = [f"in {location}" if location else "", f"module {path}" if path else ""]
    where = ", ".join(p for p in parts if p)
    if where:
        error.args = (f"{error.args[0]}  [{where}]", *error.args[1:])
    error.argand_annotated = True  # type: ignore[attr-defined]
