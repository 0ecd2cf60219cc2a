"""Errors of calls with arguments that nobody foresaw: the call explains itself instead of Python,
or NumPy, from somewhere inside.

Functions check what they can say something particular about. What is left (a list where a number
is wanted, a string where a tensor is) surfaces as an exception of some inner line; here it becomes
one of the call. Nothing is paid for that until a call fails. Exceptions that our own code raises on
purpose, and those of the user's callbacks, pass untouched.
"""

from __future__ import annotations

import dis
import functools
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from argand.base.errors import ArgandError, CallError, OutOfMemoryError, did_you_mean
from argand.base.shape import shape_text
from argand.base.userstack import annotate

F = TypeVar("F", bound=Callable[..., Any])

# What Python and NumPy raise for arguments of a wrong kind, and for sizes without memory.
RAW = (
    TypeError,
    AttributeError,
    ValueError,
    IndexError,
    KeyError,
    OverflowError,
    ZeroDivisionError,
    MemoryError,
)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NUMPY = f"{os.sep}numpy{os.sep}"
# What goes wrong in there is a defect of the compiler, whatever the arguments.
_COMPILER = tuple(
    f"{_PACKAGE}{room}{os.sep}"
    for room in ("passes", "loops", "kernels", "codegen", "backends", "runtime")
)
# What says that a name is unknown: asked by our own code, the name means nothing to the user.
_LOOKUPS = ("__getattr__", "_missing")
_RAISE = dis.opmap["RAISE_VARARGS"]


def explained(function: F) -> F:
    """The function, whose calls explain themselves when they fail."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ArgandError as error:
            annotate(error)
            raise
        except RAW as error:
            explain(error, function.__name__, args, kwargs, function)
            raise

    return call  # type: ignore[return-value]


def explained_class(cls: type) -> None:
    """Let the construction of a class explain itself when it fails."""
    construct = cls.__init__  # type: ignore[misc]

    @functools.wraps(construct)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            construct(self, *args, **kwargs)
        except ArgandError as error:
            annotate(error)
            raise
        except RAW as error:
            explain(error, cls.__name__, args, kwargs, cls)
            raise

    cls.__init__ = init  # type: ignore[misc]


def explain(
    error: Exception,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    function: Callable[..., Any] | None = None,
) -> None:
    """Raise the error of the call instead of `error`, when that came up unforeseen inside it.

    >>> explain(TypeError("this one was raised on purpose"), "f", (), {})
    """
    if isinstance(error, TypeError) and function is not None:
        _suggest(error, function)
    if isinstance(error, ArgandError) or not _unforeseen(error, error.__traceback__):
        return
    given = [_shown(x) for x in args] + [f"{k}={_shown(v)}" for k, v in kwargs.items()]
    came = f"{name}({', '.join(given)})"
    if isinstance(error, MemoryError):
        found: ArgandError = OutOfMemoryError(f"{came} needs more memory than there is")
    else:
        takes = f"; it takes {name}{_signature(function)}" if function is not None else ""
        found = CallError(f"{came}: {name} can't work with these arguments{takes}")
    annotate(found)
    raise found from error


def _suggest(error: TypeError, function: Callable[..., Any]) -> None:
    """Name the nearest argument in Python's message about one that is unknown."""
    unknown = re.search(r"unexpected keyword argument '(\w+)'$", str(error))
    if unknown:
        known = inspect.signature(function).parameters
        error.args = (f"{error.args[0]}{did_you_mean(unknown[1], known)}",)


def _unforeseen(error: Exception, trace: TracebackType | None) -> bool:
    """Whether an exception came out of our code or NumPy's without a `raise` of ours."""
    if trace is None or (trace.tb_next is None and "() " in str(error)):
        return False  # a missing or an unknown argument, of which Python speaks clearly
    while trace.tb_next is not None:
        trace = trace.tb_next
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(_COMPILER):
            return False
        if not file.startswith(_PACKAGE) and _NUMPY not in file and not file.startswith("<"):
            return False
    code = trace.tb_frame.f_code
    raised = code.co_code[trace.tb_lasti] == _RAISE and code.co_filename.startswith(_PACKAGE)
    return not raised or code.co_name in _LOOKUPS


def _shown(value: Any) -> str:
    """An argument in a few characters."""
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"{getattr(dtype, 'short', dtype)}{shape_text(shape)}"
    text = repr(value)
    if "\n" in text:
        return f"{type(value).__name__}(...)"
    return text if len(text) <= 40 else f"{text[:36]} ..."


def _signature(function: Callable[..., Any]) -> str:
    """The parameters and defaults, without annotations."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return "(...)"
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
    return str(inspect.Signature(bare))
