"""Unfuse: a fusion that no kernel takes becomes its nodes again."""

from __future__ import annotations

from collections.abc import Sequence

from argand.ir.fusion import is_fusion
from argand.ir.program import Node, Operand, Program, Value
from argand.ir.rewrite import Rewriter
from argand.kernels.match import plan_of


def unfuse(program: Program) -> Program:
    """Fusing decides by what kernels can do in general; this is where each has the last word.

        %0 = fusion(x) {kind="contract"} with          %0 = matmul(x, x)
          contract(x0) { %0 = matmul(x0, x0) … }   →   %1 = flip(%0)
        return %0                                      return %1

    Its nodes then get a kernel each, instead of all running in NumPy.
    """
    if all(plan_of(node) is not None for node in program.nodes if is_fusion(node.op)):
        return program
    return _Unfuse(program).run()


class _Unfuse(Rewriter):
    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        if not is_fusion(node.op) or plan_of(node) is not None:
            return self.copy(node, inputs)
        region = node.regions[0]
        env: dict[Value, Operand] = dict(zip(region.inputs, inputs, strict=True))
        for one in region.nodes:
            operands = [env[i] if isinstance(i, Value) else i for i in one.inputs]
            env.update(zip(one.outputs, self.copy(one, operands), strict=True))
        return [env[o] if isinstance(o, Value) else o for o in region.outputs]
