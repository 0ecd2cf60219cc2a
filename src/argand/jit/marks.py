"""What code written with TorchScript in mind says of itself: marks on functions and values.

What is scripted runs as the Python that it is, so most of them change nothing.
"""

from __future__ import annotations

import builtins
import functools
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from argand.base.scripting import running, running_as


def is_scripting() -> bool:
    """Whether the code runs as part of what `script` gave.

    >>> @ag.jit.script
    ... def f(x):
    ...     return x + 1 if ag.jit.is_scripting() else x
    >>> f(ag.tensor(1.0)), ag.jit.is_scripting()
    (tensor(2.), False)
    """
    return running.scripts


def is_tracing() -> bool:
    """Whether the code runs to be recorded by `trace`.

    >>> def f(x):
    ...     return x + 1 if ag.jit.is_tracing() else x
    >>> ag.jit.trace(f, ag.tensor(1.0), check_trace=False)(ag.tensor(1.0))
    tensor(2.)
    """
    return running.traces


def ignore(function: Any = None, **options: Any) -> Callable[..., Any]:
    """The function, as a decorator with or without options: what is scripted calls it as Python,
    where `is_scripting` is False.

    >>> @ag.jit.ignore
    ... def f(x):
    ...     return x + 1
    >>> f(1)
    2
    """
    if not callable(function):
        return ignore

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        if not running.scripts:
            return function(*args, **kwargs)
        with running_as(traces=running.traces):
            return function(*args, **kwargs)

    return plain


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
    """The function itself, as a decorator: a method that a scripted module keeps beside `forward`,
    in its file too.

    >>> @ag.jit.export
    ... def f(x):
    ...     return x + 1
    >>> f(1)
    2
    """
    with suppress(AttributeError):  # of a builtin, which is no method
        function.__argand_exported__ = True  # type: ignore[attr-defined]  # a mark
    return function


def interface(obj: Any) -> Any:
    """The class itself, as a decorator: any object with its methods will do.

    >>> @ag.jit.interface
    ... class Scaled:
    ...     pass
    """
    return obj


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


def script_method(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The method itself, as a decorator.

    >>> ag.jit.script_method(len) is len
    True
    """
    return fn


@contextmanager
def strict_fusion() -> Iterator[None]:
    """A block that runs as it is.

    >>> with ag.jit.strict_fusion():
    ...     print(1)
    1
    """
    yield


def enable_onednn_fusion(enabled: bool) -> None:
    """Nothing changes: kernels are Argand's own.

    >>> ag.jit.enable_onednn_fusion(True)
    """


def onednn_fusion_enabled() -> bool:
    """False: kernels are Argand's own.

    >>> ag.jit.onednn_fusion_enabled()
    False
    """
    return False


def export_opnames(m: Any) -> list[str]:
    """The ops of a traced or scripted module's program, sorted.

    >>> ag.jit.export_opnames(ag.jit.trace(lambda x: (x * 2).exp(), ag.ones(2)))
    ['exp', 'mul']
    """
    return sorted({node.op.name for node in m.graph.nodes})


__all__ = [
    "Final",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "export_opnames",
    "fork",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "onednn_fusion_enabled",
    "optimized_execution",
    "script_method",
    "set_fusion_strategy",
    "strict_fusion",
    "unused",
    "wait",
]
