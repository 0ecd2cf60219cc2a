"""What fusion asks of kernels: `match`, once about all sets of nodes that look alike."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from argand.ir.program import Node, Value, operand_text, params_text, type_text
from argand.kernels.match import match
from argand.kernels.plan import Cost
from argand.lowering.region import Region

__all__ = ["Answer", "Matcher"]


class Answer(NamedTuple):
    """What a plan says that holds for all sets of nodes that look alike."""

    kind: str
    cost: Cost


class Matcher:
    """`match` for nodes of a program. The layers of a network look alike, so that most questions
    have been answered."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Answer | None] = {}
        self._looks: dict[Node, str] = {}

    def __call__(self, nodes: Sequence[Node], outputs: Sequence[Value]) -> Answer | None:
        """The kind and cost of the kernel that computes `outputs` by these nodes as a fusion; None:
        none does. A fusion of the nodes gets the same answer.
        """
        key = self._likeness(nodes, outputs)
        if key not in self._known:
            plan = match(_region_for(nodes, outputs)) if outputs else None
            if plan is None or plan.kind is None:
                self._known[key] = None
            else:
                self._known[key] = Answer(plan.kind, plan.cost)
        return self._known[key]

    def _likeness(self, nodes: Sequence[Node], outputs: Sequence[Value]) -> Hashable:
        """Everything about some nodes but which they are; operands are numbers in order."""
        number: dict[Value, int] = {}
        for node in nodes:
            for v in (*node.values, *node.outputs):
                number.setdefault(v, len(number))
        looks = tuple(
            (self._look(node), *(number[v] for v in (*node.values, *node.outputs)))
            for node in nodes
        )
        return looks, tuple(number[o] for o in outputs)

    def _look(self, node: Node) -> str:
        if node not in self._looks:
            self._looks[node] = _text_of(node)
        return self._looks[node]


def _text_of(node: Node) -> str:
    """What a node computes from what: all but the names."""
    operands = [
        type_text(o) if isinstance(o, Value) else operand_text(o, None) for o in node.inputs
    ]
    results = [type_text(o) for o in node.outputs]
    return f"{results} = {node.op.name}({operands}) {params_text(node.params)}"


def _region_for(nodes: Sequence[Node], outputs: Sequence[Value]) -> Region:
    """A region of nodes as they are in the program."""
    inside = {o for n in nodes for o in n.outputs}
    inputs = tuple(dict.fromkeys(v for n in nodes for v in n.values if v not in inside))
    return Region("", tuple(nodes), inputs, tuple(outputs), {v: v for v in inputs}, {})
