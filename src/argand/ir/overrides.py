"""Overrides: calls that an argument's class, or a mode, takes over by `__torch_function__`.

Every public function looks at its arguments here, on the general way only: a call that has a plan
has operands of known classes. So tensors of those pay nothing, and no plan can be used for another
class. What takes a call over is given the function, as the user names it, and its arguments.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import EllipsisType, NoneType
from typing import Any, TypeVar

import numpy as np

from argand.base.dtype import DType
from argand.base.errors import TraceError
from argand.base.misuse import FAILURES, explain
from argand.base.naming import full_name, naming
from argand.base.tree import is_composed
from argand.base.userstack import UserCall, register_call, register_passing
from argand.ir import bind as crossroads

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
T = TypeVar("T", bound=type)


class _State(threading.local):
    """What a thread's calls may be taken over by."""

    def __init__(self) -> None:
        self.by_classes = True
        self.modes: list[Any] = []


state = _State()
# Classes whose values never take a call over, so that nothing needs to be asked of them.
_plain: set[type] = {
    *(int, float, bool, complex, str, bytes, slice, range, NoneType, EllipsisType),
    *(DType, np.ndarray, np.dtype),
}
# How many classes of tensors take calls over; while there are none, the tape needs no care.
tensor_classes = 0


class NoOverrideError(TypeError):
    """Nothing that could have taken a call over did: a TypeError, as in PyTorch."""

    argand_annotated = True  # it says all, and asking the arguments for more would call them


def disabled(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The `__torch_function__` of classes that take no call over."""
    return func(*args, **(kwargs or {}))


def plain(kind: T) -> T:
    """Note that the values of a class take no call over."""
    _plain.add(kind)
    return kind


def note_tensor_class() -> None:
    """Note that there is a class of tensors that takes calls over."""
    global tensor_classes
    tensor_classes += 1


def takes_over(kind: type) -> bool:
    """Whether the values of a class take over the calls that they are given to."""
    if kind in _plain:
        return False
    method = getattr(kind, "__torch_function__", None)
    return method is not None and method is not disabled


def overriding(args: Iterable[Any], kwargs: Mapping[str, Any] | None = None) -> list[Any]:
    """The arguments that may take a call over, one of each class: subclasses before their bases,
    else from left to right. Lists and tuples are looked into, a few levels deep."""
    found: list[Any] = []
    if state.by_classes:
        for x in args:
            _collect(x, found)
        for x in (kwargs or {}).values():
            _collect(x, found)
    return found


def _collect(x: Any, found: list[Any], depth: int = 3) -> None:
    kind = type(x)
    if kind in _plain:
        return
    if kind is tuple or kind is list:
        for item in x if depth else ():
            _collect(item, found, depth - 1)
    elif takes_over(kind) and all(type(y) is not kind for y in found):
        bases = (i for i, y in enumerate(found) if issubclass(kind, type(y)))
        found.insert(next(bases, len(found)), x)


def is_taken(args: Iterable[Any], kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether a mode, or the class of an argument, takes a call over."""
    return bool(state.modes) or bool(overriding(args, kwargs))


def dispatch(function: Any, found: Sequence[Any], args: Any, kwargs: Mapping[str, Any]) -> Any:
    """What the modes, or the first argument that doesn't decline, make of a call."""
    # the `__torch_function__` of composed tensors calls functions of plain ones, which are recorded
    if crossroads.tracing() and (state.modes or not all(is_composed(type(x)) for x in found)):
        raise TraceError(f"{name_of(function)}: {_untraced((*state.modes[-1:], *found))}")
    types = tuple([type(x) for x in found])
    if state.modes:
        with _below() as mode:
            result = mode.__torch_function__(function, types, args, dict(kwargs))
        if result is not NotImplemented:
            return result
    for x in found:
        result = x.__torch_function__(function, types, args, dict(kwargs))
        if result is not NotImplemented:
            return result
    names = [*(f"mode object {m!r}" for m in state.modes[-1:])]
    names += [f"tensor subclass {kind}" for kind in types]
    lines = "\n".join(f"  - {name}" for name in names)
    raise NoOverrideError(
        f"Multiple dispatch failed for '{name_of(function)}'; all __torch_function__ handlers "
        f"returned NotImplemented:\n\n{lines}"
    )


def name_of(function: Any) -> str:
    """A function's name, as errors give it."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, property) and owner.fget is not None:
        return f"{naming.package}.Tensor.{owner.fget.__name__}.{function.__name__}"
    return full_name(function)


def check_untaken(argument: Any) -> None:
    """Refuse an argument of a compiled function that would take its calls over."""
    found = overriding((argument,)) if tensor_classes else ()
    if found:
        raise TraceError(_untraced(found))


def _untraced(found: Iterable[Any]) -> str:
    kinds = ", ".join(type(x).__name__ for x in found)
    return (
        f"compiled code doesn't call __torch_function__, which {kinds} defines; call the function "
        "that is compiled itself, or give it plain tensors: x.as_subclass(ag.Tensor)"
    )


# -- what public functions go through --------------------------------------------------------------

UNTAKEN = object()


def taken(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What a mode or an argument makes of a call; UNTAKEN where none takes it over."""
    found = overriding(args, kwargs)
    return dispatch(function, found, args, kwargs) if found or state.modes else UNTAKEN


_NUMPYS = {
    "axis": "dim",
    "keepdims": "keepdim",
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
}


def _in_torchs_names(function: Function, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments, NumPy's names among them as PyTorch's where the function has only those:
    PyTorch takes both in all functions of its C++ library."""
    if _NUMPYS.keys().isdisjoint(kwargs):
        return kwargs
    taken = _parameters(function)
    ours = {a: b for a, b in _NUMPYS.items() if a not in taken and b in taken}
    return {ours.get(name, name): x for name, x in kwargs.items()}


@functools.cache
def _parameters(function: Function) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def open_to_classes(function: Function, public: Callable[[], Any]) -> Function:
    """The function, whose calls an argument's class may take over; `public` gives the function as
    the user names it."""

    @functools.wraps(function)
    def general(*args: Any, **kwargs: Any) -> Any:
        for x in args:
            if type(x) not in _plain:
                break
        else:
            if not kwargs:
                return function(*args)
        found = overriding(args, kwargs)
        if found:
            return dispatch(public(), found, args, kwargs)
        return function(*args, **_in_torchs_names(function, kwargs))

    register_passing(general)
    return general


def open_to_all(function: F) -> F:
    """The function, whose calls a mode or an argument's class may take over; they explain
    themselves when they fail."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            for x in args:
                if type(x) not in _plain:
                    break
            else:
                if not kwargs and not crossroads.pushed:
                    return function(*args)
            found = taken(call, args, kwargs)
            if found is not UNTAKEN:
                return found
            return function(*args, **_in_torchs_names(function, kwargs))
        except FAILURES as error:
            explain(error)
            raise

    call.is_overridable = True  # type: ignore[attr-defined]  # a mark on a function
    register_call(call, _open_call)
    return call  # type: ignore[return-value]  # it takes and gives what `function` does


def open_to_modes(function: F) -> F:
    """The function, whose calls a mode may take over, but no class; they explain themselves when
    they fail."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            if crossroads.pushed and state.modes:
                return dispatch(call, (), args, kwargs)
            if tensor_classes and args and takes_over(type(args[0])):
                with without_classes():
                    return function(*args, **kwargs)
            return function(*args, **kwargs)
        except FAILURES as error:
            explain(error)
            raise

    call.is_overridable = True  # type: ignore[attr-defined]  # a mark on a function
    register_call(call, _open_call)
    return call  # type: ignore[return-value]  # it takes and gives what `function` does


def _open_call(local: Mapping[str, Any]) -> UserCall:
    function = local["function"]
    return UserCall(function, function.__qualname__, local["args"], local["kwargs"])


# -- who may take over -----------------------------------------------------------------------------


@contextmanager
def without_classes() -> Iterator[None]:
    """Let no class take a call of this thread over inside the block; modes do."""
    before, state.by_classes = state.by_classes, False
    try:
        yield
    finally:
        state.by_classes = before


@contextmanager
def without_any() -> Iterator[None]:
    """Let neither classes nor modes take a call of this thread over inside the block."""
    before, state.modes = state.modes, []
    with crossroads.watching(-len(before)), without_classes():
        try:
            yield
        finally:
            state.modes = before


def enter(mode: Any) -> None:
    """Let a mode take all calls of this thread over."""
    state.modes.append(mode)
    crossroads.watch(1)


def leave() -> None:
    """End what `enter` began."""
    state.modes.pop()
    crossroads.watch(-1)


@contextmanager
def _below() -> Iterator[Any]:
    """The innermost mode, which is off inside the block, so that it can call functions itself."""
    mode = state.modes.pop()
    try:
        with crossroads.watching(-1):
            yield mode
    finally:
        state.modes.append(mode)
