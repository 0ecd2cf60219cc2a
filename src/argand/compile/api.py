"""`ag.compile` itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from argand.compile.function import CompiledFunction


def compile(  # PyTorch's name
    function: Callable[..., Any] | None = None,
    *,
    backend: str = "cpu",
    dynamic: Mapping[int | str, Any] | bool | None = None,
    name: str | None = None,
) -> Any:
    """Make a function (or a module) run as a static native program; use it as a decorator.

    The function is traced at the first call with new argument types. State that it touches
    (parameters, buffers, optimizer moments) is captured, so a training step compiles as it stands.

    Args:
        function: what to compile; None gives a decorator.
        backend: ``"cpu"`` or ``"reference"`` (the NumPy interpreter).
        dynamic: `{0: {0: ag.Dim("batch")}}` declares sizes that vary: argument 0's dimension 0 here.
            Undeclared sizes become symbolic when a second one is seen; False specialises each.
        name: the program's name; the function's by default.

    >>> import argand as ag
    >>> @ag.compile
    ... def f(x):
    ...     return (x * 2 + 1).sum()
    >>> f(ag.tensor([1.0, 2.0]))
    tensor(8.)
    """
    if function is None:
        return lambda f: compile(f, backend=backend, dynamic=dynamic, name=name)
    if not callable(function):
        raise TypeError(f"compile takes a function or a module, got {type(function).__name__}")
    return CompiledFunction(function, backend=backend, dynamic=dynamic, name=name)
