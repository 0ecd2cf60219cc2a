"""Shapes and dtypes of a graph's values, from a run."""

from __future__ import annotations

from typing import Any, NamedTuple

from argand.fx.interpreter import Interpreter
from argand.fx.node import Node, map_aggregate
from argand.tensor.core import Tensor


class TensorMetadata(NamedTuple):
    """What is known of a tensor: `node.meta["tensor_meta"]`."""

    shape: Any
    dtype: Any
    requires_grad: bool
    stride: tuple[int, ...]
    memory_format: Any
    is_quantized: bool
    qparams: dict[str, Any]


def _extract_tensor_metadata(result: Tensor, include_contiguity: bool = True) -> TensorMetadata:
    stride = tuple(result.stride())
    return TensorMetadata(result.shape, result.dtype, result.requires_grad, stride, None, False, {})


class ShapeProp(Interpreter):
    """Runs a graph, and keeps the shape and dtype of each node's tensor in its `meta`."""

    def __init__(self, gm: Any, fake_mode: Any = None) -> None:
        super().__init__(gm)

    def run_node(self, n: Node) -> Any:
        """The node's value; what it is stands in its `meta` then."""
        result = super().run_node(n)
        tensors = []

        def described(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            tensors.append(x)
            return _extract_tensor_metadata(x)

        meta = map_aggregate(result, described)
        if tensors:
            n.meta["tensor_meta"] = meta
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args: Any) -> Any:
        """Run the graph with these arguments."""
        return super().run(*args)


__all__ = ["ShapeProp", "TensorMetadata"]
