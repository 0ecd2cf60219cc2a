"""`make_fx`: a function traced to the ops that it computes, as a graph."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from argand.base.dim import Dim, DimHint
from argand.export import export
from argand.fx.graph_module import GraphModule
from argand.fx.programs import whole
from argand.tensor.core import Tensor


def make_fx(
    f: Callable[..., Any],
    decomposition_table: Any = None,
    tracing_mode: str = "real",
    **options: Any,
) -> Callable[..., GraphModule]:
    """A function that, called with the arguments of `f`, gives the graph of the ops that `f`
    computes with them, those of gradients too; the graph takes the tensors and returns what `f`
    does.

    With the `tracing_mode` "symbolic" sizes may be others in calls of the graph.

    >>> from argand.fx.experimental.proxy_tensor import make_fx
    >>> gm = make_fx(lambda x: x.relu() + 1)(ag.ones(2))
    >>> [str(node.target) for node in gm.graph.nodes if node.op == "call_function"]
    ['<op aten::relu>', '<op aten::add.Tensor>']
    >>> gm(ag.tensor([-1.0, 2.0]))
    tensor([1., 3.])
    """
    if tracing_mode not in ("real", "fake", "symbolic"):
        raise ValueError(
            f'expected tracing_mode "real", "fake" or "symbolic", got {tracing_mode!r}'
        )

    def trace(*args: Any) -> GraphModule:
        shapes = None
        if tracing_mode == "symbolic":
            shapes = [_all_sizes(x) for x in args]
        return whole(export(f, args, dynamic_shapes=shapes))

    return trace


def _all_sizes(value: Any) -> Any:
    if isinstance(value, Tensor):
        return dict.fromkeys(range(value.ndim), DimHint.AUTO)
    if isinstance(value, dict):
        return {k: _all_sizes(v) for k, v in value.items()}
    return [_all_sizes(v) for v in value] if isinstance(value, list | tuple) else None


def get_proxy_mode() -> None:
    """None: traces need no mode.

    >>> from argand.fx.experimental.proxy_tensor import get_proxy_mode
    >>> get_proxy_mode() is None
    True
    """
    return


get_innermost_proxy_mode = get_proxy_mode


@contextmanager
def maybe_disable_thunkify() -> Any:
    """A block that runs as it is."""
    yield


maybe_enable_thunkify = maybe_disable_thunkify
py_sym_types = (Dim,)

__all__ = [
    "get_innermost_proxy_mode",
    "get_proxy_mode",
    "make_fx",
    "maybe_disable_thunkify",
    "maybe_enable_thunkify",
    "py_sym_types",
]
