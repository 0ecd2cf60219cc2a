"""Composites: a kernel is placed for those that have one; the rest become their bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.ir.families import Composite
from argand.ir.op import Literal, ops
from argand.ir.program import Node, Operand, Program, Value
from argand.ir.record import record_body, replay
from argand.ir.rewrite import Rewriter
from argand.kernels.match import plan_of


def has_kernel(node: Node) -> bool:
    """Whether a kernel computes the node."""
    return plan_of(node) is not None


def inline_composites(program: Program) -> Program:
    """Composites become their bodies, but those that a kernel computes.

                                                %0 = amax(x) {dim=(1,), keepdim=True}
        %0 = softmax(x) {dim=1}       →         %1 = expand(%0) {shape=(2, 3)}
                                                %2 = sub(x, %1)
                                                %3 = exp(%2)
                                                …

    The new nodes keep the line and the module of the composite.
    """
    return _Inline(program).run()


class _Inline(Rewriter):
    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        if not isinstance(node.op, Composite) or has_kernel(node):
            return self.copy(node, inputs)
        return self._body(node, inputs)

    def _body(self, node: Node, inputs: Sequence[Any]) -> Sequence[Operand]:
        values = [_value(i) for i in inputs]
        body = record_body(node.op, [v.type for v in values], node.params)
        return replay(body, values, self._nested)

    def _nested(self, node: Node, inputs: list[Any]) -> Any:
        """What replaces a node of a body: a composite inside it is inlined too."""
        if isinstance(node.op, Composite) and not has_kernel(node):
            return self._body(node, inputs)
        return None


def _value(operand: Operand) -> Value:
    if isinstance(operand, Literal):
        value: Value = ops.full((), operand.value, dtype=operand.dtype)
        return value
    return operand
