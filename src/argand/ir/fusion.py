"""The `fusion` op: nodes that one kernel computes together, as a node with one region.

The region is a Program over the node's inputs, so a fused program still prints, parses, verifies
and interprets; its meaning is that of its region.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.base.shape import same_shape
from argand.ir.families import Control
from argand.ir.interpret import interpret
from argand.ir.op import TensorType, describe, registry
from argand.ir.program import Node, Operand, Program, Value, copied_nodes


class Fusion(Control):
    """The results of the region, computed by one kernel.

    `kind` says which one, as its plan does (`kernels/plan.py`): ``"loop"`` evaluates all results
    over one iteration space, ``"rows"`` runs in parallel over outer dimensions with reductions
    inside, ``"contract"`` is a contraction with its elementwise epilogue.
    """

    samples = ()
    differentiable = False
    is_fusion = True

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        (region,) = params["regions"]
        if len(inputs) != len(region.inputs) or not all(
            t.dtype is v.dtype and same_shape(t.shape, v.shape)
            for t, v in zip(inputs, region.inputs, strict=True)
        ):
            raise TypeError(f"fusion: the region {region.name} doesn't take {describe(*inputs)}")
        return tuple(TensorType(o.dtype, o.shape) for o in region.outputs)

    def run(self, *arrays: Any, **params: Any) -> Any:
        (region,) = params["regions"]
        return tuple(interpret(region, arrays))


def fusion_node(
    kind: str, nodes: Sequence[Node], outputs: Sequence[Value], name: str = ""
) -> tuple[Node, list[Value]]:
    """A fusion of `nodes` (in order), whose results are `outputs`, values of those nodes.

    Returns the node and what it reads, in the order of the region's inputs; the caller puts the
    node's outputs in the place of `outputs`. The nodes are copied into the region; each keeps its
    line and module, and the fusion has those of the last one.
    """
    inside = {o for node in nodes for o in node.outputs}
    reads = list(dict.fromkeys(v for n in nodes for v in n.values if v not in inside))
    region = Program(name or kind, [v.copy(f"x{i}") for i, v in enumerate(reads)])
    env: dict[Value, Operand] = dict(zip(reads, region.inputs, strict=True))
    region.nodes = copied_nodes(nodes, env)
    region.outputs = [env[o] for o in outputs]
    last = nodes[-1]
    types = [o.type for o in outputs]
    params = {"kind": kind}
    fused = Node(
        registry.get("fusion"), reads, params, types, last.location, last.module, (region,)
    )
    for new, old in zip(fused.outputs, outputs, strict=True):
        new.layout = old.layout
    return fused, reads
