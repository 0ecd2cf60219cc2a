"""What is more lenient under the alias: `torch.compile`, whose functions run eagerly where they
can't be traced, and decorators of what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.notices import no_effect
from argand.compile import api

_COMPILED = ("inductor", "cudagraphs", "onnxrt", "openxla", "tvm", "cpu")
_EAGER = ("eager", "eager_noexcept", "eager_debugmode")


def compile(  # PyTorch's name
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
    **more: Any,
) -> Any:
    """`ag.compile` with PyTorch's arguments: a function that can't be traced whole runs eagerly,
    which a warning says, unless `fullgraph`.

    A `backend` of PyTorch's compiles; "eager" and its like don't; a function is not called.
    """
    no_effect("torch.compile", "there is one way to compile", options=(options, None))
    if callable(backend) or backend.startswith("aot_"):
        no_effect("torch.compile", "there is one way to compile", backend=(backend, "inductor"))
        backend = "inductor"
    return api.compile(
        model,
        fullgraph=fullgraph,
        dynamic=dynamic,
        mode=mode,
        backend="cpu" if backend in _COMPILED else backend,
        disable=disable or backend in _EAGER,
        **more,
    )


def functional_datapipe(name: str, enable_df_api_tracing: bool = False) -> Callable[..., Any]:
    """The class itself: a data pipe would become a method of others, but there are no data pipes;
    to make one raises an error that says so."""
    return lambda cls: cls
