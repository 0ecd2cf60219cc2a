"""What a compiled function must not return: objects that would hold tensors of the ended trace."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

from argand.base.errors import TraceError
from argand.base.stateful import is_stateful
from argand.compile.slots import cell_value, parts_of
from argand.compile.values import SCALARS
from argand.tensor.core import Tensor

_SCALARS = (*SCALARS, type, ModuleType)
_DEPTH = 6


def check_returned(x: Any, name: str) -> None:
    """Refuse a result that is no tensor but would be drawn from, or read, after the trace."""
    if isinstance(x, _SCALARS):
        return
    if isinstance(x, Iterator | AsyncIterator | Awaitable):
        if inspect.iscoroutine(x):
            x.close()  # it is never awaited
        raise _lazy(x, name)
    found = _dead_tensor(x, set(), _DEPTH)
    if found is not None:
        raise TraceError(
            f"{name} returns a {_kind(x)} that holds a traced tensor in {found}, which has no "
            "value once the function has ended; return tensors in tuples, lists, dicts, named "
            f"tuples or dataclasses, and build the {_kind(x)} outside"
        )


def check_function(function: Any, name: str) -> None:
    """Refuse generator functions and async functions, whose bodies a call doesn't run."""
    kind = type(function)
    method = getattr(kind, "forward", None) or vars(kind).get("__call__")
    for f in (function, method):
        if inspect.isgeneratorfunction(f):
            raise TraceError(
                f"{name} is a generator function (it has a yield), which can't be compiled: its "
                "items would be computed one by one, after the trace. Collect them in a list and "
                "return that, or compile the function that computes one item"
            )
        if inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f):
            raise TraceError(
                f"{name} is an async function, which can't be compiled: it would run after its "
                "trace. Compile a plain function, and call that from the async one"
            )


def _lazy(x: Any, name: str) -> TraceError:
    if isinstance(x, Awaitable | AsyncIterator):
        return TraceError(
            f"{name} returns a {_kind(x)}: an async function can't be compiled, as it would run "
            "after its trace; compile a plain function, and call that from the async one"
        )
    return TraceError(
        f"{name} returns a {_kind(x)}, whose items would be computed after the trace, one by one; "
        "a compiled function is one program: return a list or a tuple of them (list(...) around "
        "it, or collect what a generator yields and return that)"
    )


def _kind(x: Any) -> str:
    return type(x).__name__


def _dead_tensor(x: Any, seen: set[int], depth: int) -> str | None:
    """The path from an object to a tensor without memory; None when there is none."""
    if isinstance(x, Tensor):
        return "" if x._array is None else None
    if isinstance(x, _SCALARS) or depth == 0 or id(x) in seen or is_stateful(type(x)):
        return None
    seen.add(id(x))
    for step, part in _parts(x):
        found = _dead_tensor(part, seen, depth - 1)
        if found is not None:
            return step + found
    return None


def _parts(x: Any) -> list[tuple[str, Any]]:
    if isinstance(x, FunctionType):
        names, cells = x.__code__.co_freevars, x.__closure__ or ()
        closed = [(f".{n}", cell_value(c)) for n, c in zip(names, cells, strict=True)]
        return [*closed, *((".__defaults__", v) for v in x.__defaults__ or ())]
    if isinstance(x, MethodType):
        return [(".__self__", x.__self__)]
    if isinstance(x, functools.partial):
        return [(".args", x.args), (".keywords", x.keywords)]
    found = [(f".{k}" if named else f"[{k!r}]", part) for named, k, part in parts_of(x)]
    for kind in type(x).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        found += [(f".{n}", getattr(x, n, None)) for n in names if n[:2] != "__"]
    return found
