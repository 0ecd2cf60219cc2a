"""`argand.jit`: what programs written with TorchScript in mind ask for.

Functions are compiled by `argand.compile`, from the Python that runs, so nothing of this changes
anything: what is "scripted" or "traced" runs as it is.
"""

from __future__ import annotations

import builtins
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from argand.nn.module import Module


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


def interface(obj: Any) -> Any:
    """The class itself, as a decorator: any object with its methods will do.

    >>> @ag.jit.interface
    ... class Scaled:
    ...     pass
    """
    return obj


def script(obj: Any, *args: Any, **options: Any) -> Any:
    """The function, class or module itself: it is Python, and runs as it is.

    >>> @ag.jit.script
    ... def f(x):
    ...     return x + 1
    >>> f(1)
    2
    """
    return obj


def script_if_tracing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, which runs as it is.

    >>> ag.jit.script_if_tracing(len) is len
    True
    """
    return fn


def trace(func: Any, example_inputs: Any = None, *args: Any, **options: Any) -> Any:
    """The function or module itself: it isn't recorded for these inputs, but runs as it is.

    >>> ag.jit.trace(len, ([1],)) is len
    True
    """
    return func


def freeze(mod: Any, *args: Any, **options: Any) -> Any:
    """The module itself, which isn't changed.

    >>> layer = nn.Linear(1, 1)
    >>> ag.jit.freeze(layer) is layer
    True
    """
    return mod


def optimize_for_inference(mod: Any, *args: Any) -> Any:
    """The module itself; `ag.compile(model, freeze=True)` is faster.

    >>> layer = nn.Linear(1, 1)
    >>> ag.jit.optimize_for_inference(layer) is layer
    True
    """
    return mod


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value itself: classes are checked by no compiler.

    >>> ag.jit.annotate(int, 3)
    3
    """
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:  # PyTorch's name
    """Whether an object is of a class.

    >>> ag.jit.isinstance(3, int)
    True
    """
    return builtins.isinstance(obj, typing.get_origin(target_type) or target_type)


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the function returns; it has run when this returns.

    >>> ag.jit.wait(ag.jit.fork(len, [1, 2]))
    2
    """
    return func(*args, **kwargs)


def wait(future: Any) -> Any:
    """What `fork` gave, which is complete.

    >>> ag.jit.wait(3)
    3
    """
    return future


@contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """A block that runs as it is.

    >>> with ag.jit.optimized_execution(True):
    ...     print(1)
    1
    """
    yield


def set_fusion_strategy(strategy: Any) -> list[Any]:
    """Nothing changes: compiled functions fuse what they can.

    >>> ag.jit.set_fusion_strategy([("STATIC", 2)])
    []
    """
    return []


class ScriptModule(Module):
    """A module like any other; none is a ScriptModule unless its class says so.

    >>> isinstance(nn.Linear(1, 1), ag.jit.ScriptModule)
    False
    """


class ScriptFunction:
    """The class of functions in TorchScript, which no function is.

    >>> isinstance(ag.jit.script(len), ag.jit.ScriptFunction)
    False
    """


_script_if_tracing = script_if_tracing
_overload = _overload_method = unused


def script_method(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The method itself, as a decorator.

    >>> ag.jit.script_method(len) is len
    True
    """
    return fn


__all__ = [
    "Final",
    "ScriptFunction",
    "ScriptModule",
    "annotate",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "optimize_for_inference",
    "optimized_execution",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "trace",
    "unused",
    "wait",
]
