"""Fold: what is known now is computed now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.base.conversion import number
from argand.base.dim import Dim
from argand.ir.elementwise import Elementwise
from argand.ir.families import Move
from argand.ir.op import Literal, ops
from argand.ir.program import Node, Operand, Program, Value
from argand.ir.rewrite import Rewriter


def fold(program: Program) -> Program:
    """Constants are computed, moved and passed on as literals; what has no elements is constant.

    %0 = full() {shape=(3,), value=2.0}
    %1 = exp(%0)                          →    %0 = mul(x, 7.389…)
    %2 = mul(x, %1)
    """
    return _Fold(program).run()


def _is_empty(v: Value) -> bool:
    return any(isinstance(size, int) and size == 0 for size in v.shape)


class _Fold(Rewriter):
    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        op = node.op
        if node.inputs and not op.can_fail and all(_is_empty(o) for o in node.outputs):
            return [ops.full(o.shape, 0, dtype=o.dtype) for o in node.outputs]
        known = [constant(i) for i in inputs]
        if isinstance(op, Move) and not op.several and not op.fills and known[0] is not None:
            return (self._full(node, known[0].value),)
        if not isinstance(op, Elementwise) or not any(known):
            return self.copy(node, inputs)
        if all(known):
            numbers = [_number(k) for k in known if k is not None]
            return (self._full(node, op.run(*numbers, **node.params)),)
        literals = [i if k is None else k for i, k in zip(inputs, known, strict=True)]
        return self.copy(node, literals)

    def _full(self, node: Node, value: Any) -> Value:
        out = node.outputs[0]
        rounded = number(value, out.dtype).item()  # 16-bit floats were computed in float32
        result: Value = ops.full(out.shape, _python(rounded, out.dtype.kind), dtype=out.dtype)
        return result


def constant(operand: Operand) -> Literal | None:
    """The literal that every element of an operand equals, if it is known."""
    if isinstance(operand, Literal):
        return operand
    value = operand.node.op.constant(operand.node.params) if operand.node is not None else None
    if value is None or isinstance(value, Dim):
        return None  # a symbolic size is known when the program runs
    return Literal(operand.dtype, value)


def _number(literal: Literal) -> Any:
    return number(literal.value, literal.dtype)


def _python(value: Any, kind: str) -> Any:
    return {"b": bool, "i": int, "u": int, "f": float, "s": float, "c": complex}[kind](value)
