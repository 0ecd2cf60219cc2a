"""Errors of calls with arguments that nobody foresaw: the call explains itself instead of Python,
or NumPy, from somewhere inside.

Functions check what they can say something particular about. What is left (a list where a number
is wanted, a string where a tensor is) surfaces as an exception of some inner line; here it becomes
one of the call. Errors that our own code raises on purpose are told what the user called and where;
those of the user's callbacks pass untouched. Nothing is paid for any of it until a call fails.
"""

from __future__ import annotations

import dis
import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from argand.base.dim import in_call
from argand.base.errors import PACKAGE, ArgandError, CallError, OutOfMemoryError, did_you_mean
from argand.base.shape import shape_text
from argand.base.userstack import (
    Location,
    UserCall,
    is_call,
    module_path,
    register_call,
    user_call,
    user_location,
)

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
# All that the calls of ops, functions and modules catch, to explain themselves; RuntimeErrors are
# those that our own code raises.
FAILURES = (RuntimeError, *RAW)
# How many elements of a list are shown.
_FEW = 8
_NUMPY = f"{os.sep}numpy{os.sep}"
# What goes wrong in there is a defect of the compiler, whatever the arguments.
_COMPILER = tuple(
    f"{PACKAGE}{room}{os.sep}"
    for room in ("passes", "nest", "lowering", "kernels", "codegen", "backends", "runtime")
)
# What says that a name is unknown: asked by our own code, the name means nothing to the user.
_LOOKUPS = ("__getattr__", "_missing")
_RAISE = dis.opmap["RAISE_VARARGS"]
_UNKNOWN = re.compile(
    r"(?P<message>.* unexpected keyword argument '(?P<name>\w+)')"
    r"(?P<suggestion>(?:\. Did you mean '\w+'\?)?)"
)


def explained(function: F) -> F:
    """The function, whose calls explain themselves when they fail."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except FAILURES as error:
            explain(error)
            raise

    register_call(call, _explained_call)
    return call  # type: ignore[return-value]  # it takes and gives what `function` does


def explained_classes(names: Mapping[str, Any], public: Iterable[str]) -> None:
    """Let the construction of a module's public classes explain itself when it fails."""
    for cls in (names[name] for name in public):
        if isinstance(cls, type) and cls.__init__ is not object.__init__:  # type: ignore[misc]  # read only
            cls.__init__ = explained(cls.__init__)  # type: ignore[misc]  # wrapped on purpose


def _explained_call(local: Mapping[str, Any]) -> UserCall:
    function, args, kwargs = local["function"], local["args"], local["kwargs"]
    if function.__name__ != "__init__":
        return UserCall(function, function.__qualname__, args, kwargs)
    inits = ((c, c.__dict__.get("__init__")) for c in type(args[0]).__mro__)
    cls = next(c for c, init in inits if getattr(init, "__wrapped__", None) is function)
    return UserCall(cls, cls.__name__, args[1:], kwargs)


def explain(error: Exception) -> None:
    """Let an error tell of the call that the user made, the line and the module.

    An exception that nobody raised on purpose is replaced by an error of the call, raised here.
    """
    call = user_call()
    if isinstance(error, TypeError) and call is not None:
        _suggest(error, call)
    origin = _origin(error)
    if origin == "purpose":
        annotate(error)
    if origin != "accident" or call is None or not isinstance(error, RAW):
        return
    if isinstance(error, MemoryError):
        found: ArgandError = OutOfMemoryError(f"{call_text(call)} needs more memory than there is")
    else:
        reason = f"{call.name} can't work with these arguments{_takes(call)}"
        found = CallError(f"{call_text(call)}: {reason}")
    annotate(found)
    raise found from error


def annotate(error: BaseException, node: tuple[Location | None, str] | None = None) -> None:
    """Add to an error's message, once, what the user called, on which line, in which module.

    That is what runs now, or, for an error of a program's `node`, its location and module.
    """
    if getattr(error, "argand_annotated", False) or not error.args:
        return
    text = str(error.args[0])
    if node is None:
        location, path, call = user_location(2), module_path(), user_call()
        text = text if call is None else _told(text, call)
    else:
        location, path = node
        name = "" if location is None else location.call
        text = text if not name or text.startswith(f"{name}: ") else f"{name}: {text}"
    parts = [f"in {location}" if location else "", f"module {path}" if path else ""]
    where = ", ".join(p for p in parts if p)
    error.args = (f"{text}  [{where}]" if where else text, *error.args[1:])
    error.argand_annotated = True  # type: ignore[attr-defined]  # a mark on any exception


def _told(text: str, call: UserCall) -> str:
    """A message that names the call and the shapes it was given: put in front unless it does."""
    own = text.startswith(f"{call.name}: ")
    if text.startswith(call_text(call)):
        return text
    if own and all(shape in text for shape in _shapes([*call.args, *call.kwargs.values()])):
        return text
    for name in (call.name, call.name.rpartition(".")[2]):  # linalg.norm knows itself as norm
        text = text.removeprefix(f"{name}: ")
    return f"{call_text(call)}: {text}"


def _shapes(values: Iterable[Any]) -> Iterator[str]:
    """The shapes of the tensors among arguments, as messages write them."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _shapes(value)
        elif _is_tensor(value):
            yield shape_text(value.shape)


def _suggest(error: TypeError, call: UserCall) -> None:
    """Name the nearest argument in Python's message about one that is unknown.

    From 3.13 on Python suggests one itself, of the function that failed; the call may know more.
    """
    unknown = _UNKNOWN.fullmatch(str(error))
    if unknown:
        nearest = did_you_mean(unknown["name"], _parameters(call))
        error.args = (f"{unknown['message']}{nearest or unknown['suggestion']}",)


def _origin(error: Exception) -> str:
    """Who raised an error: our code on "purpose", our code or NumPy's by "accident", or "others".

    Python speaks clearly of a missing or an unknown argument: that is left to it.
    """
    if isinstance(error, ArgandError):
        return "purpose"
    trace = error.__traceback__
    while trace is not None and trace.tb_next and is_call(trace.tb_next.tb_frame.f_code):
        trace = trace.tb_next  # a method that calls an op is one call
    if trace is None or (trace.tb_next is None and "() " in str(error)):
        return "others"
    while trace.tb_next is not None:
        trace = trace.tb_next
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(_COMPILER):
            return "others"
        if not file.startswith(PACKAGE) and _NUMPY not in file and not file.startswith("<"):
            return "others"
    code = trace.tb_frame.f_code
    raised = code.co_code[trace.tb_lasti] == _RAISE and code.co_filename.startswith(PACKAGE)
    return "purpose" if raised and code.co_name not in _LOOKUPS else "accident"


def call_text(call: UserCall) -> str:
    """A call as the user could have written it, with types in place of tensors."""
    given = [_shown(x) for x in call.args] + [f"{k}={_shown(v)}" for k, v in call.kwargs.items()]
    head = _shown(call.target, 80) if _is_module(call) else call.name  # a module as it was made
    return f"{head}({', '.join(given)})"


def _is_module(call: UserCall) -> bool:
    return not isinstance(call.target, type) and hasattr(call.target, "forward")


def _is_tensor(value: Any) -> bool:
    return isinstance(getattr(value, "shape", None), tuple) and hasattr(value, "dtype")


def _shown(value: Any, limit: int = 40) -> str:
    """An argument in a few characters."""
    if _is_tensor(value):
        return f"{getattr(value.dtype, 'short', value.dtype)}{shape_text(value.shape)}"
    if type(value) in (list, tuple):
        few = [_shown(v) for v in value[:_FEW]] + ["..."] * (len(value) > _FEW)
        closed = "[{}]" if type(value) is list else "({},)" if len(value) == 1 else "({})"
        return closed.format(", ".join(few))
    try:
        text = repr(in_call(value))
    except Exception:  # whatever a user's object does there must not hide the error told of
        text = "\n"
    if "\n" in text:
        return f"{type(value).__name__}(...)"
    return text if len(text) <= limit else f"{text[: limit - 4]} ..."


def _parameters(call: UserCall) -> Mapping[str, inspect.Parameter]:
    """The parameters of what was called."""
    target = call.target.forward if _is_module(call) else call.target
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return {}


def _takes(call: UserCall) -> str:
    """The parameters and their defaults, without annotations, where they are named."""
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in _parameters(call).values()]
    if all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in bare):
        return ""
    return f"; it takes {call.name}{inspect.Signature(bare)}"
