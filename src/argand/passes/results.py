"""Results: each gets memory of its own."""

from __future__ import annotations

from argand.ir.bind import interpreting
from argand.ir.families import View
from argand.ir.op import Literal, ops
from argand.ir.program import Operand, Program, Value
from argand.ir.rewrite import Rewriter


def own_results(program: Program) -> Program:
    """Every result is computed by a node into memory of its own.

        return x, %0, %0        →       %1 = contiguous(x)
                                        %2 = contiguous(%0)
                                        return %1, %0, %2

    A result that is an input, a literal, a view, or there twice is copied, because a caller may
    write to a result without changing anything else. A state that is written with itself is not
    written.
    """
    return _OwnResults(program).run()


class _OwnResults(Rewriter):
    def run(self) -> Program:
        program = super().run()
        program.writes = {i: o for i, o in program.writes.items() if o is not program.state[i]}
        taken: set[Value] = set()
        with interpreting(self.recorder):
            for i in sorted(program.writes):
                program.writes[i] = self._own(program.writes[i], taken)
            program.outputs = [self._own(o, taken) for o in program.outputs]
        return program

    def _own(self, operand: Operand, taken: set[Value]) -> Value:
        maker = operand.node if isinstance(operand, Value) else None
        self.recorder.location = maker.location if maker is not None else None
        module = maker.module if maker is not None else ""
        self.recorder.module = lambda: module
        own: Value
        if isinstance(operand, Literal):
            own = ops.full((), operand.value, dtype=operand.dtype)
        elif maker is None or operand in taken or isinstance(maker.op, View):
            own = ops.contiguous(operand)
        else:
            own = operand
        taken.add(own)
        return own
