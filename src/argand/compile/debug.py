"""`settings.debug`: a compiled function's program run node by node, and its trace checked.

The function is traced a second time and the two programs compared, which shows functions whose
trace depends on something that nothing guards. Then the nodes run one by one in Python, so
breakpoints work, and the first NaN or infinity made of finite operands is reported with its line.
"""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np

from argand.backends.reference import ReferenceProgram
from argand.base.errors import TraceError
from argand.ir.program import Node, Program, Value


class DebugProgram(ReferenceProgram):
    """A program that runs node by node and looks at what each gives."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, _check_finite)

    def explain(self) -> list[str]:
        """One line: nothing is native."""
        return [f"segment 0: host: {len(self.program.nodes)} nodes, one by one (settings.debug)"]


def _check_finite(node: Node, env: dict[Value, Any]) -> None:
    """Report a node that makes the first NaN or infinity."""
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
