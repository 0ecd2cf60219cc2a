"""`settings.debug`: a compiled function's program run node by node, and its trace checked.

The function is traced a second time and the two programs compared, which shows functions whose
trace depends on something that nothing guards. Then the nodes run one by one in Python, so
breakpoints work, and the first NaN or infinity made of finite operands is reported with its line.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base.errors import TraceError
from argand.ir.interpret import bind_sizes, run_node
from argand.ir.op import Literal
from argand.ir.program import Node, Program, Value


class DebugProgram:
    """A program that runs node by node, with the interface of a compiled one."""

    direct = None

    def __init__(self, program: Program) -> None:
        self.program = program

    def run(self, inputs: Sequence[Any], state: Sequence[Any]) -> list[Any]:
        """The outputs; written state is changed in place when everything has run."""
        program = self.program
        operands = [*program.inputs, *program.state]
        arrays = [np.asarray(a) for a in (*inputs, *state)]
        sizes = bind_sizes(operands, arrays)
        env: dict[Value, Any] = dict(zip(operands, arrays, strict=True))
        for node in program.nodes:
            run_node(node, env, sizes, False)
            _check_finite(node, env)
        results = [_value(o, env) for o in program.results]
        split = len(program.outputs)
        written = [np.array(r) for r in results[split:]]
        for i, new in zip(sorted(program.writes), written, strict=True):
            state[i][...] = new
        return [np.array(r) for r in results[:split]]

    def guard_entry(self, records: list[Any]) -> None:
        """Nothing is native, guards neither."""

    def match_entry(self, cls: type, expected: Sequence[Any]) -> None:
        """Nothing is native."""

    def explain(self) -> list[str]:
        """One line: nothing is native."""
        return [f"segment 0: host: {len(self.program.nodes)} nodes, one by one (settings.debug)"]


def _value(operand: Any, env: dict[Value, Any]) -> Any:
    return operand.dtype.numpy.type(operand.value) if type(operand) is Literal else env[operand]


def _check_finite(node: Node, env: dict[Value, Any]) -> None:
    bad = [o for o in node.outputs if not _is_finite(env[o])]
    if not bad or any(not _is_finite(env[v]) for v in node.values):
        return
    kind = "NaN" if np.isnan(env[bad[0]]).any() else "infinity"
    where = f" at {node.location}" if node.location else ""
    module = f", module {node.module}" if node.module else ""
    raise FloatingPointError(f"{node.op.name}{where}{module} made the first {kind}: {node!r}")


def _is_finite(array: Any) -> bool:
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def check_same(name: str, first: Program, second: Program) -> None:
    """Raise TraceError when two traces of a function gave different programs."""
    a, b = str(first).splitlines(), str(second).splitlines()
    if a == b:
        return
    changed = [
        line
        for line in difflib.unified_diff(a, b, "first trace", "second trace", lineterm="", n=0)
        if not line.startswith("@@")
    ]
    shown = "\n".join(changed[:12])
    raise TraceError(
        f"{name}: tracing twice gave two different programs; the function depends on something "
        f"that changes between calls:\n{shown}"
    )
