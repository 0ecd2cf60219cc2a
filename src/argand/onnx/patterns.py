"""Nodes that ONNX says in fewer words than their ops' rules would, one by one."""

from __future__ import annotations

from typing import Any

from argand.base.dim import same
from argand.base.shape import same_shape
from argand.ir.op import Literal
from argand.ir.program import Node, Value
from argand.onnx.refs import Expanded
from argand.ops.arithmetic import Add
from argand.ops.contract import Matmul
from argand.ops.move import Expand, Permute, Reshape
from argand.ops.window import Conv2d, onnx_geometry


def translated(g: Any, node: Node) -> Any:
    """A node in the graph: by the first pattern that fits, or by its op's own rule."""
    for pattern in (_stacked_product, _affine, _biased, _expanded):
        found = pattern(g, node)
        if found is not None:
            return found
    return g.translated(node)


def _made_by(operand: Any, kind: type) -> Node | None:
    """The node that made an operand, if its op is of a class."""
    node = operand.node if isinstance(operand, Value) else None
    return node if node is not None and type(node.op) is kind else None


def _stacked_product(g: Any, node: Node) -> Any:
    """A stack of matrices times one, which programs fold into a single product of its rows."""
    if type(node.op) is not Reshape:
        return None
    product = _made_by(node.inputs[0], Matmul)
    folded = None if product is None else _made_by(product.inputs[0], Reshape)
    if product is None or folded is None:
        return None
    x, shape = folded.inputs[0], node.outputs[0].shape
    kept = (
        isinstance(x, Value)
        and len(product.outputs[0].shape) == 2
        and len(x.shape) == len(shape)
        and same_shape(x.shape[:-1], shape[:-1])
        and same(x.shape[-1], folded.outputs[0].shape[-1])
        and same(product.outputs[0].shape[-1], shape[-1])
    )
    if not kept:
        return None
    return g.op("MatMul", g.ref(g.value(x)), g.ref(g.value(product.inputs[1])))


def _affine(g: Any, node: Node) -> Any:
    """x @ W.T + b of matrices: Gemm, which reads W as it is stored."""
    if type(node.op) is not Add or node.outputs[0].dtype.name not in _GEMM:
        return None
    product, bias = _made_by(node.inputs[0], Matmul), _made_by(node.inputs[1], Expand)
    if product is None or bias is None or len(node.outputs[0].shape) != 2:
        return None
    b = bias.inputs[0]
    if len(product.inputs[0].shape) != 2 or isinstance(b, Literal) or len(b.shape) > 2:
        return None
    transposed = _made_by(product.inputs[1], Permute)
    if transposed is None or transposed.params["dims"] != (1, 0):
        return None
    operands = (product.inputs[0], transposed.inputs[0], b)
    return g.op("Gemm", *(g.ref(g.value(o)) for o in operands), transB=1)


def _biased(g: Any, node: Node) -> Any:
    """A convolution and a number for each of its channels, which programs add to it: one Conv."""
    if type(node.op) is not Add:
        return None
    conv, added = _made_by(node.inputs[0], Conv2d), _made_by(node.inputs[1], Expand)
    shaped = None if added is None else _made_by(added.inputs[0], Reshape)
    if conv is None or shaped is None:
        return None
    bias = shaped.inputs[0]
    if not isinstance(bias, Value) or len(bias.shape) != 1:
        return None
    if not same_shape(shaped.outputs[0].shape, (conv.outputs[0].shape[1], 1, 1)):
        return None
    operands = [g.ref(g.value(o)) for o in (*conv.inputs, bias)]
    return g.op("Conv", *operands, **onnx_geometry(conv.params))


_GEMM = ("float16", "bfloat16", "float32", "float64")


def _expanded(g: Any, node: Node) -> Any:
    """An expansion is written out only for operators that don't broadcast themselves."""
    if type(node.op) is not Expand:
        return None
    found = g.value(node.inputs[0])
    source = found.source if isinstance(found, Expanded) else g.ref(found)
    return Expanded(source, node.outputs[0].shape)


__all__ = ["translated"]
