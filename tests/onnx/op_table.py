"""The table of docs/operators.md: what every op of the registry can do.

PYTHONPATH=src:tests:tests/conformance python tests/onnx/op_table.py    # writes it anew
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calls import ALL_OPS, Call, calls_of

from argand.backends.cpu.compiler import optimise
from argand.base.errors import ArgandError
from argand.ir.op import Op, family_of
from argand.kernels.match import plan_of
from argand.onnx.exporting import OnnxExporterError, program_to_model

PAGE = Path(__file__).parent.parent.parent / "docs" / "operators.md"
SHOWN = 5  # operators of ONNX in a row
BEGIN = "<!-- the table: made by tests/onnx/op_table.py -->\n"


def rows() -> list[str]:
    """The table's lines."""
    head = ["| op | family | eager | gradient | compiled | ONNX |", "|---|---|---|---|---|---|"]
    return head + [_row(op) for op in ALL_OPS]


def _row(op: Op) -> str:
    dtype = op.dtypes[0]
    call = next(c for c in calls_of(op) if _is_usual(c))
    cells = (f"`{op.name}`", family_of(type(op)).lstrip("_"), "yes", _gradient(op))
    return f"| {' | '.join((*cells, _compiled(call, dtype), _onnx(call, dtype)))} |"


def _is_usual(call: Call) -> bool:
    return all(0 not in t.shape for t in call.tensors)


def _gradient(op: Op) -> str:
    return "yes" if op.differentiable and "bool" not in op.dtypes[:1] else "–"


def _compiled(call: Call, dtype: str) -> str:
    """Whether machine code computes it, or the host between two parts of it."""
    nodes = optimise(call.program(dtype)).program.nodes
    plans = [plan_of(node) for node in nodes]
    return "native" if all(p is not None for p in plans) else "on the host"


def _onnx(call: Call, dtype: str) -> str:
    """The operators of ONNX that it becomes, at the oldest opset that has them."""
    for opset in (17, 18, 20):
        try:
            model = program_to_model(call.program(dtype), {}, opset=opset)
        except (OnnxExporterError, ArgandError):
            continue
        kinds = list(dict.fromkeys(n.op_type for n in _nodes(model.graph)))
        shown = ", ".join(kinds[:SHOWN]) + (", ..." if len(kinds) > SHOWN else "")
        return shown + (f" (opset {opset})" if opset > 17 else "")
    return "–"


def _nodes(graph: Any) -> list[Any]:
    kept = [n for n in graph.node if n.op_type not in ("Identity", "Constant")]
    return kept or list(graph.node)


def page() -> str:
    """The whole page, with the table as it is now."""
    text = PAGE.read_text()
    return text[: text.index(BEGIN)] + BEGIN + "\n" + "\n".join(rows()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
