"""`argand.compiler`: what programs ask of PyTorch's compiler, as `torch.compiler`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.scripting import running
from argand.ir import bind as crossroads


def is_compiling() -> bool:
    """Whether the code runs to be traced, for `ag.compile`.

    >>> import argand.compiler
    >>> argand.compiler.is_compiling()
    False
    """
    return crossroads.tracing()


def is_dynamo_compiling() -> bool:
    """As `is_compiling`.

    >>> import argand.compiler
    >>> argand.compiler.is_dynamo_compiling()
    False
    """
    return crossroads.tracing()


def is_exporting() -> bool:
    """Whether the code runs to be exported, by `ag.export.export`.

    >>> import argand.compiler
    >>> argand.compiler.is_exporting()
    False
    >>> f = lambda x: x + 1 if argand.compiler.is_exporting() else x
    >>> ag.export.export(f, (ag.zeros(()),))(ag.zeros(()))
    tensor(1.)
    """
    return running.exports


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function itself, as a decorator with or without arguments: inside a traced function it
    is traced, and where it can't be, the compiler says so.

    >>> import argand.compiler
    >>> @argand.compiler.disable
    ... def f(x):
    ...     return x + 1
    >>> f(1)
    2
    """
    return _itself(fn)


def allow_in_graph(fn: Any) -> Any:
    """The function itself: it is traced as any other.

    >>> import argand.compiler
    >>> argand.compiler.allow_in_graph(len) is len
    True
    """
    return fn


def assume_constant_result(fn: Any) -> Any:
    """The function itself.

    >>> import argand.compiler
    >>> argand.compiler.assume_constant_result(len) is len
    True
    """
    return fn


def reset() -> None:
    """Nothing: compiled functions own their programs."""


def cudagraph_mark_step_begin() -> None:
    """Nothing: there are no graphs of a GPU."""


def set_stance(stance: str = "default", **options: Any) -> Any:
    """Nothing changes: compiled functions decide at each call."""


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """The backends that `torch.compile` takes.

    >>> import argand.compiler
    >>> argand.compiler.list_backends()
    ['inductor']
    """
    return ["inductor"]


def mark_dynamic(t: Any, index: Any = None, **options: Any) -> None:
    """Nothing: a size is a symbol from its second value on.

    >>> import argand.compiler
    >>> argand.compiler.mark_dynamic(ag.ones(2), 0)
    """


def is_compile_supported(device_type: str) -> bool:
    """Whether functions of tensors on a device are compiled: on the CPU.

    >>> import argand.compiler
    >>> argand.compiler.is_compile_supported("cpu")
    True
    """
    return device_type == "cpu"


def _itself(function: Callable[..., Any] | None) -> Any:
    return function if callable(function) else lambda decorated: decorated


__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "reset",
    "set_stance",
]
