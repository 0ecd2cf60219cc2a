"""What is lowered as one kernel: the nodes of a fusion, or a node alone, over its operands."""

from __future__ import annotations

import dataclasses

from argand.base.errors import CompileError
from argand.ir.program import Node, Value
from argand.lowering.context import LoweringContext, StridedBuffer


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """`nodes` compute `outputs` from `inputs`; `outside` gives the value of the enclosing program
    for each input, and for each output those that it is stored to."""

    kind: str
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    outside: dict[Value, Value]
    stored: dict[Value, tuple[Value, ...]]

    def places(self, context: LoweringContext) -> dict[Value, StridedBuffer]:
        """Where the inputs are stored."""
        return {inner: context.buffers[outer] for inner, outer in self.outside.items()}

    def targets(self, context: LoweringContext, output: Value) -> list[StridedBuffer]:
        """Where an output goes."""
        return [context.buffers[v] for v in self.stored[output]]


def region_of(node: Node) -> Region:
    """The region of a fusion node, or the one that a plain node makes by itself."""
    if not node.op.is_fusion:
        values = tuple(dict.fromkeys(node.values))
        return Region(
            kind=node.op.name,
            nodes=(node,),
            inputs=values,
            outputs=node.outputs,
            outside={v: v for v in values},
            stored={o: (o,) for o in node.outputs},
        )
    (program,) = node.regions
    outside = dict(zip(program.inputs, node.values, strict=True))
    stored: dict[Value, tuple[Value, ...]] = {}
    for inner, outer in zip(program.outputs, node.outputs, strict=True):
        if not isinstance(inner, Value) or inner.node is None:
            raise CompileError(f"a fusion gives {inner}, which none of its nodes computes")
        stored[inner] = (*stored.get(inner, ()), outer)
    return Region(
        kind=str(node.params["kind"]),
        nodes=tuple(program.nodes),
        inputs=tuple(program.inputs),
        outputs=tuple(stored),
        outside=outside,
        stored=stored,
    )
