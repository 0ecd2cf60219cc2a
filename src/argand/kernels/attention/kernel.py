"""Attention as a kernel of regions: the op by itself, its operands wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from argand.base.dim import same
from argand.base.shape import same_shape
from argand.ir.program import Node, Value
from argand.kernels.attention.backward import backward
from argand.kernels.attention.forward import forward
from argand.kernels.attention.operands import Attention, Gradients
from argand.kernels.attention.tiling import gradient_tiling, tiling
from argand.kernels.contraction.spec import ContractionAxis, Operand
from argand.kernels.plan import Plan, types_text
from argand.lowering.context import LoweringContext, StridedBuffer
from argand.lowering.region import Region
from argand.nest.builder import IntOrReg, NestBuilder
from argand.ops.attention import ScaledDotProductAttention, ScaledDotProductAttentionGrad

__all__ = ["AttentionPlan", "GradientPlan", "match_attention"]


class _AttentionPlan(Plan):
    """A region of one node; it promises no order."""

    text: ClassVar[str]

    def __init__(self, region: Region, node: Node) -> None:
        super().__init__(region)
        self.node = node

    def __str__(self) -> str:
        causal = ", causal" if self.node.params["is_causal"] else ""
        return f"{self.text} of {types_text(self.node.values)}{causal}"


class AttentionPlan(_AttentionPlan):
    """Attention by itself."""

    text = "attention:"

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        places = _Places(b, self.node.values[:3], self.region, context)
        y, stats = self.node.outputs
        spec = places.attention(
            self.node,
            self.node.values[3:],
            tuple(places.result(y, (*places.batch, places.row, places.column))),
            tuple(places.result(stats, (*places.batch, places.row))),
        )
        forward(b, spec, tiling(spec, context.target))


class GradientPlan(_AttentionPlan):
    """The gradients of attention by themselves."""

    text = "attention: gradients"

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        g, q, k, v, y, stats, *mask = self.node.values
        places = _Places(b, (q, k, v), self.region, context)
        batch, row, key = places.batch, places.row, places.key
        inner, column = places.inner, places.column
        gq, gk, gv = (
            places.result(out, (*batch, *axes))[0]
            for out, axes in zip(
                self.node.outputs, ((row, inner), (key, inner), (key, column)), strict=True
            )
        )
        spec = Gradients(
            places.attention(self.node, mask, (), ()),
            places.operand(g, (*batch, row, column)),
            places.operand(y, (*batch, row, column)),
            places.operand(stats, (*batch, row)),
            gq,
            gk,
            gv,
        )
        backward(b, spec, gradient_tiling(spec, context.target))


def match_attention(region: Region) -> Plan | None:
    """The plan of attention of floats of 32 or 64 bits, where the sizes of heads are known, or of
    its gradients."""
    if len(region.nodes) != 1:
        return None
    (node,) = region.nodes
    if isinstance(node.op, ScaledDotProductAttention) and _fits(node.values[:3]):
        return AttentionPlan(region, node)
    if isinstance(node.op, ScaledDotProductAttentionGrad) and _fits(node.values[1:4]):
        return GradientPlan(region, node)
    return None


def _fits(operands: Sequence[Value]) -> bool:
    q, _, v = operands
    known = all(isinstance(n, int) and n > 0 for n in (q.shape[-1], v.shape[-1]))
    alike = all(same_shape(x.shape[:-2], q.shape[:-2]) for x in operands)
    return known and alike and q.dtype.name in ("float32", "float64")


class _Places:
    """The axes of a node, and where its operands and results are."""

    def __init__(
        self, b: NestBuilder, operands: Sequence[Value], region: Region, context: LoweringContext
    ) -> None:
        self._region, self._context = region, context
        self._stored = region.places(context)
        self._operands = operands
        q, k, v = operands

        def axis(name: str, value: Value, d: int) -> ContractionAxis:
            return ContractionAxis(name, context.size(b, value.shape[d]))

        self.batch = tuple(axis(f"batch{d}", q, d) for d in range(len(q.shape) - 2))
        self.row, self.key = axis("row", q, -2), axis("key", k, -2)
        self.inner, self.column = axis("inner", q, -1), axis("column", v, -1)

    def operand(self, value: Value, axes: Sequence[ContractionAxis]) -> Operand:
        return _operand(self._stored[value], value, axes)

    def result(self, value: Value, axes: Sequence[ContractionAxis]) -> list[Operand]:
        """Where a result goes."""
        targets = self._region.targets(self._context, value)
        return [_operand(target, value, axes) for target in targets]

    def attention(
        self,
        node: Node,
        masks: Sequence[Value],
        y: tuple[Operand, ...],
        stats: tuple[Operand, ...],
    ) -> Attention:
        q, k, v = self._operands
        batch = self.batch
        return Attention(
            batch,
            self.row,
            self.key,
            self.inner,
            self.column,
            self.operand(q, (*batch, self.row, self.inner)),
            self.operand(k, (*batch, self.key, self.inner)),
            self.operand(v, (*batch, self.key, self.column)),
            self.operand(masks[0], (*batch, self.row, self.key)) if masks else None,
            y,
            stats,
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
