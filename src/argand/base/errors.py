"""The errors that users see.

Each is a subclass of the Python type that PyTorch or NumPy raises in the same place, so existing
`except` clauses keep working, and each message says what was asked, what came and what to do.
"""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Noted(threading.local):
    def __init__(self) -> None:
        self.errors: list[Exception] | None = None


_noted = _Noted()


@contextmanager
def noting_errors() -> Iterator[list[Exception]]:
    """Collects the errors of our own that are made inside, by this thread."""
    before, found = _noted.errors, list[Exception]()
    _noted.errors = found
    try:
        yield found
    finally:
        _noted.errors = before


def note(error: Exception) -> None:
    """Let an error be found by who collects them."""
    if _noted.errors is not None:
        _noted.errors.append(error)


def was_caught_by_user(error: Exception) -> bool:
    """Whether an error was raised, and code that isn't ours has caught it."""
    trace = error.__traceback__
    return trace is not None and not trace.tb_frame.f_code.co_filename.startswith(PACKAGE)


class ArgandError(Exception):
    """Base of all errors that are Argand's own.

    Each is also of the type that PyTorch or NumPy raises in its place (RuntimeError, ValueError,
    TypeError, IndexError, ...), so either way of catching it works.

    >>> try:
    ...     ag.ones(2) + ag.ones(3)
    ... except ag.ArgandError as error:
    ...     print(isinstance(error, RuntimeError))
    True
    """

    node: Any = None
    """The node of a program that can't be computed with the values that it met."""

    sources: tuple[int, ...] = ()
    """The numbers of the compiled program's inputs that those values come from."""

    inputs: tuple[str, ...] = ()
    """The names of the exported program's inputs that they come from."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        note(self)


class ShapeError(ArgandError, RuntimeError, ValueError):
    """Shapes that don't fit the operation."""


class EmptyError(ShapeError, IndexError):
    """No elements where the operation has no value for nothing."""


class ArgumentError(ArgandError, RuntimeError, ValueError):
    """An argument whose value the operation does not take."""


class DeviceError(ArgumentError, AssertionError, NotImplementedError):
    """A device that is not there was to be used; of all the types that PyTorch raises for one."""


class DTypeError(ArgandError, RuntimeError, TypeError):
    """A dtype that the operation does not take."""


class StorageError(DTypeError, NotImplementedError):
    """An operation that computes, on a dtype that is only stored."""


class CallError(ArgandError, TypeError, ValueError):
    """Arguments of a kind, or with a value, that a function does not take."""


class OutOfMemoryError(ArgandError, RuntimeError, MemoryError):
    """More memory was asked for than there is."""


class LinAlgError(ArgandError, RuntimeError):
    """A matrix that a decomposition or a solution doesn't exist for."""


class AutogradError(ArgandError, RuntimeError):
    """A gradient that can't be computed as asked."""


class TraceError(ArgandError, RuntimeError):
    """Something that a compiled function can't do, with the line and the remedy."""


class CompileError(ArgandError, RuntimeError):
    """The compiler failed; a defect of Argand, not of the program."""


class LoopLimitError(ArgandError, RuntimeError):
    """A loop that runs on and on."""


class ProgramError(ArgandError, ValueError):
    """A Program, or its text, that is not valid."""


class FormatError(ArgandError, ValueError):
    """A file that is not what it should be; nothing of it was used."""


class MissingExtraError(ArgandError, ImportError):
    """An optional package that this feature needs is not installed."""


class DivisionByZeroError(ArgandError, RuntimeError, ZeroDivisionError):
    """An integer was divided by 0; RuntimeError as in PyTorch, and ZeroDivisionError."""


class IndexRangeError(ArgandError, RuntimeError, IndexError):
    """An index or a dimension outside its range; PyTorch raises RuntimeError for those of `gather`
    and its kin, else IndexError."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest known names, or nothing.

    >>> did_you_mean("flaot32", ["float32", "int8"])
    '; did you mean float32?'
    """
    close = difflib.get_close_matches(name, list(known), n=2)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def unknown_name(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error of a module for a name that it doesn't have.

    >>> unknown_name("argand.nn", "Linaer", ["Linear", "ReLU"])
    AttributeError("module 'argand.nn' has no attribute 'Linaer'; did you mean Linear?")
    """
    return _UnknownNameError(module, name, known)


class _UnknownNameError(AttributeError):
    """Looks for a hint when it is read: `hasattr` asks often and reads never."""

    def __init__(self, module: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"module {module!r} has no attribute {name!r}", name=name)
        self._asked, self._known = name, list(known)

    def __str__(self) -> str:
        hint = "" if self._asked.startswith("__") else did_you_mean(self._asked, self._known)
        return f"{self.args[0]}{hint}"

    def __repr__(self) -> str:
        return f"AttributeError({str(self)!r})"

    def __reduce__(self) -> tuple[type[AttributeError], tuple[str]]:
        return AttributeError, (str(self),)


def missing_extra(package: str, extra: str, why: str) -> MissingExtraError:
    """The error for a missing optional package: names it and the command that installs it."""
    return MissingExtraError(
        f"{why} needs the package {package}: install it with  pip install 'argand[{extra}]'"
    )
