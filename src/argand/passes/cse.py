"""Common subexpressions: equal nodes become one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from argand.ir.op import Literal
from argand.ir.program import Node, Operand, Program, param_text
from argand.ir.rewrite import Rewriter, without_dead_code


def cse(program: Program) -> Program:
    """Equal ops on equal operands are computed once; random draws never merge.

    %0 = exp(x)                  %0 = exp(x)
    %1 = exp(x)             →
    %2 = add(%0, %1)             %1 = add(%0, %0)
    """
    return _Cse(program).run()


class _Cse(Rewriter):
    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.seen: dict[Hashable, Sequence[Operand]] = {}

    def visit(self, node: Node, inputs: list[Operand]) -> Sequence[Operand]:
        if not node.op.merges or node.regions:
            return self.copy(node, inputs)
        params = ", ".join(f"{k}={param_text(v)}" for k, v in sorted(node.params.items()))
        key = (node.op.name, params, tuple(map(_operand_key, inputs)))
        if key not in self.seen:
            self.seen[key] = self.copy(node, inputs)
        return self.seen[key]


def _operand_key(operand: Operand) -> Hashable:
    if isinstance(operand, Literal):
        return operand.dtype.name, repr(operand.value)
    return id(operand)


def dead_code(program: Program) -> Program:
    """Nodes whose results nobody reads go away.

    %0 = exp(x)
    %1 = sin(x)             →    %0 = exp(x)
    return %0                    return %0
    """
    return without_dead_code(program)
