"""`ag.compile` itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import Any

from argand.backends.select import BACKENDS
from argand.base.errors import did_you_mean
from argand.compile.function import CompiledFunction, CompiledModule
from argand.ir.bind import current

_OPTIONS = ("backend", "dynamic", "name", "freeze", "fullgraph", "mode", "disable")


def compile(  # PyTorch's name
    function: Callable[..., Any] | None = None,
    *,
    backend: str = "cpu",
    dynamic: Mapping[int | str, Any] | bool | None = None,
    name: str | None = None,
    freeze: bool = False,
    fullgraph: bool = True,
    mode: str | None = None,
    disable: bool = False,
    **unknown: Any,
) -> Any:
    """Make a function (or a module) run as a static native program; use it as a decorator.

    The function is traced at the first call with new argument types. State that it touches
    (parameters, buffers, optimizer moments) is captured, so a training step compiles unchanged.

    Args:
        function: what to compile; None gives a decorator.
        backend: ``"cpu"`` or ``"reference"`` (the NumPy interpreter).
        dynamic: sizes that vary, by argument (position or name) and dimension:
            ``{"x": {0: ag.Dim("batch")}}``, or ``{"x": ("batch", None)}``. Undeclared sizes become
            symbolic when a second one is seen, and so do int arguments (bools are constants); True
            makes all symbolic at once, False none ever.
        name: the program's name; the function's by default.
        freeze: for inference: take parameters and buffers for constants, so that what depends on
            them alone (a weight laid out for its product) is computed once, and again when an
            in-place operation has written them. It costs memory, and time in training.
        fullgraph: PyTorch's switch. A function is always one program here; one that can't be traced
            raises TraceError, or, with False, runs eagerly from then on, which a warning says.
        mode: PyTorch's hint; there is one mode.
        disable: return the function as it is.

    >>> @ag.compile
    ... def f(x):
    ...     return (x * 2 + 1).sum()
    >>> f(ag.tensor([1.0, 2.0]))
    tensor(8.)
    """
    if unknown:
        name = next(iter(unknown))
        raise TypeError(f"compile has no option {name!r}{did_you_mean(name, _OPTIONS)}")
    options: dict[str, Any] = {
        "backend": backend,
        "dynamic": dynamic,
        "name": name,
        "freeze": freeze,
        "fullgraph": fullgraph,
    }
    if function is None:
        return lambda f: compile(f, **options, disable=disable)
    if isinstance(function, classmethod):
        raise TypeError("compile takes a function: put @classmethod above @compile, not below")
    if not callable(function):
        raise TypeError(f"compile takes a function or a module, got {type(function).__name__}")
    if disable:
        return function
    if backend not in BACKENDS:
        raise ValueError(f"no backend {backend!r}{did_you_mean(backend, BACKENDS)}")
    plain = isinstance(function, FunctionType | MethodType)
    kind = CompiledFunction if plain else CompiledModule
    return kind(function, **options)


def on_replay(callback: Callable[[], None]) -> bool:
    """Have `callback` called after each call of the compiled function that is being traced.

    For effects on Python objects (a counter, a schedule), which a program would lose. Returns False
    outside of a trace, where the caller acts itself.

    >>> on_replay(lambda: None)
    False
    """
    return current().after(callback)
