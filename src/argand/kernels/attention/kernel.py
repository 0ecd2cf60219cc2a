"""Attention as a kernel of regions: the op by itself, its operands wherever they are."""

from __future__ import annotations

from collections.abc import Sequence

from argand.base.dim import same
from argand.ir.program import Node, Value
from argand.kernels.attention.forward import forward
from argand.kernels.attention.operands import Attention
from argand.kernels.attention.tiling import tiling
from argand.kernels.contraction.spec import ContractionAxis, IntOrReg, Operand
from argand.kernels.plan import Plan, types_text
from argand.lowering.buffers import Env, StridedBuffer
from argand.lowering.region import Region
from argand.nest.builder import NestBuilder
from argand.ops.attention import ScaledDotProductAttention

__all__ = ["AttentionPlan", "match_attention"]


class AttentionPlan(Plan):
    """Attention by itself; it promises no order."""

    kind = "attention"

    def __init__(self, region: Region, node: Node) -> None:
        super().__init__(region)
        self.node = node

    def emit(self, b: NestBuilder, env: Env) -> None:
        spec = _attention(b, self.node, self.region, env)
        forward(b, spec, tiling(spec, env.target))

    def __str__(self) -> str:
        causal = ", causal" if self.node.params["is_causal"] else ""
        return f"attention: of {types_text(self.node.values)}{causal}"


def match_attention(region: Region) -> AttentionPlan | None:
    """The plan of attention of floats of 32 or 64 bits, where the sizes of heads are known."""
    if len(region.nodes) != 1 or not isinstance(region.nodes[0].op, ScaledDotProductAttention):
        return None
    (node,) = region.nodes
    q, _, v, *_ = node.values
    known = all(isinstance(n, int) and n > 0 for n in (q.shape[-1], v.shape[-1]))
    computes = q.dtype.name in ("float32", "float64")
    return AttentionPlan(region, node) if known and computes else None


def _attention(b: NestBuilder, node: Node, region: Region, env: Env) -> Attention:
    q, k, v, *mask = (x for x in node.inputs if isinstance(x, Value))
    places = region.places(env)

    def axis(name: str, value: Value, d: int) -> ContractionAxis:
        return ContractionAxis(name, env.size(b, value.shape[d]))

    batch = tuple(axis(f"batch{d}", q, d) for d in range(len(q.shape) - 2))
    row, key = axis("row", q, -2), axis("key", k, -2)
    inner, column = axis("inner", q, -1), axis("column", v, -1)

    def operand(value: Value, axes: Sequence[ContractionAxis]) -> Operand:
        return _operand(places[value], value, (*batch, *axes))

    y, stats = node.outputs
    return Attention(
        batch,
        row,
        key,
        inner,
        column,
        operand(q, (row, inner)),
        operand(k, (key, inner)),
        operand(v, (key, column)),
        operand(mask[0], (row, key)) if mask else None,
        tuple(_operand(t, y, (*batch, row, column)) for t in region.targets(env, y)),
        tuple(_operand(t, stats, (*batch, row)) for t in region.targets(env, stats)),
        bool(node.params["is_causal"]),
        float(node.params["scale"]),
        q.dtype.name,
    )


def _operand(buffer: StridedBuffer, value: Value, axes: Sequence[ContractionAxis]) -> Operand:
    """A value over the last of the axes; where it has a size of 1 it repeats."""
    own = axes[len(axes) - len(value.shape) :]
    strides: dict[ContractionAxis, IntOrReg] = {
        axis: 0 if same(size, 1) else stride
        for axis, size, stride in zip(own, value.shape, buffer.strides, strict=True)
    }
    return Operand(buffer.pointer, buffer.dtype.name, strides)
