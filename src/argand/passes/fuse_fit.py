"""What fits into one kernel: which nodes may be fused, and whether a set of them is a kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

from argand.base.dim import same
from argand.base.dtype import DType
from argand.base.errors import ArgandError
from argand.base.shape import numel
from argand.ir.elementwise import Elementwise
from argand.ir.families import Move, Pool, Random, Reduce, Scan, Scatter
from argand.ir.program import Node, Value, operand_text, params_text, type_text
from argand.kernels.cost import flops_of, worth_a_loop
from argand.kernels.reduction.plan import is_reduction, plan_quality, row_plans
from argand.lowering.element import Demand, rule_for
from argand.lowering.region import Region
from argand.lowering.space import MAX_SPLITS, Space, covers, locate
from argand.nest.types import ELEMS
from argand.passes.views import VIEWS

__all__ = [
    "CONTRACTIONS",
    "FREE",
    "LOOP",
    "Fits",
    "Role",
    "batch_dims",
    "classify",
    "fits",
    "region_for",
    "view_to_store",
]

CONTRACTIONS = frozenset(("matmul", "einsum", "conv2d", "conv2d_input_grad", "conv2d_weight_grad"))
"""Ops that the contraction skeleton computes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Role:
    """How a node takes part in fusion."""

    kind: str
    joins: bool = True
    pointwise: bool = False
    starts_only: bool = False


FREE = Role("free", joins=False)
_ALONE = Role("alone", joins=False)
LOOP = Role("loop", pointwise=True)
_DRAW = Role("loop")
_ROWS = Role("rows")
_SINGLE = Role("loop", starts_only=True)
_CONTRACT = Role("contract", starts_only=True)


def classify(node: Node) -> Role:
    """The part that a node plays."""
    if not all(_has_registers(v.dtype) for v in (*node.values, *node.outputs)):
        return _ALONE
    if node.op.name in VIEWS or node.op.name == "full":
        return FREE
    if node.op.name in CONTRACTIONS:
        return _CONTRACT
    if is_reduction(node):
        return _ROWS
    if isinstance(node.op, Random):
        return _DRAW
    if is_single(node):
        return _SINGLE
    if isinstance(node.op, Pool):
        return _DRAW  # dear to compute again
    return LOOP if rule_for(node) is not None else _ALONE


def is_single(node: Node) -> bool:
    """Whether a node's result is stored, whatever reads it."""
    op = node.op
    return isinstance(op, Scatter | Scan) or (isinstance(op, Reduce) and op.finds_position)


def _has_registers(dtype: DType) -> bool:
    return dtype.name in ELEMS


def region_for(nodes: Sequence[Node], outputs: Sequence[Value]) -> Region:
    """A region of nodes where they stand, to ask what a kernel could do."""
    inside = {o for n in nodes for o in n.outputs}
    inputs = tuple(dict.fromkeys(v for n in nodes for v in n.values if v not in inside))
    return Region("", tuple(nodes), inputs, tuple(outputs), {v: v for v in inputs}, {})


def fits(nodes: Sequence[Node], outputs: Sequence[Value]) -> str | None:
    """The kind of kernel that computes `outputs` by these nodes, or None."""
    if not outputs:
        return None
    contractions = [n for n in nodes if n.op.name in CONTRACTIONS]
    try:
        if any(is_single(n) for n in nodes):
            return None
        if contractions:
            return "contract" if _is_contraction(nodes, outputs, contractions) else None
        if any(is_reduction(n) for n in nodes):
            return "rows" if _is_rows(nodes, outputs) else None
        return "loop" if _is_loop(nodes, outputs) else None
    except ArgandError:  # an index that the loops can't express
        return None


class Fits:
    """`fits`, asked once about all sets of nodes that look alike, as the layers of a network do."""

    def __init__(self) -> None:
        self._known: dict[Hashable, str | None] = {}
        self._looks: dict[Node, str] = {}

    def __call__(self, nodes: Sequence[Node], outputs: Sequence[Value]) -> str | None:
        key = self._likeness(nodes, outputs)
        if key not in self._known:
            self._known[key] = fits(nodes, outputs)
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


def _is_loop(nodes: Sequence[Node], outputs: Sequence[Value]) -> bool:
    """All results have an element for each point of one space, and nothing dear is repeated."""
    anchor = outputs[0]
    space = Space(anchor.shape)
    found = locate(nodes, anchor, space.index)
    if not all(o in found and covers(found[o], o, space) for o in outputs):
        return False
    count = numel(anchor.shape)
    for node in nodes:
        out = node.outputs[0]
        if out not in found and not same(numel(out.shape), count) and flops_of(node) > 2:
            return False
    return True


def _is_rows(nodes: Sequence[Node], outputs: Sequence[Value]) -> bool:
    plans = row_plans(region_for(nodes, outputs))
    if not plans:
        return False
    compute = [n for n in nodes if n.op.name not in VIEWS]
    return len(compute) == 1 or min(plan_quality(p) for p in plans) < 3


def _is_contraction(
    nodes: Sequence[Node], outputs: Sequence[Value], contractions: Sequence[Node]
) -> bool:
    """A contraction of what lies in memory, and elementwise ops on its results."""
    if len(contractions) > 1:
        return False
    (node,) = contractions
    made = {o: n for n in nodes for o in n.outputs}
    for operand in node.values:
        while operand in made:
            maker = made[operand]
            if maker.op.name not in VIEWS:
                return False
            operand = maker.values[0]
    result = node.outputs[0]
    space = Space(result.shape)
    found = locate(nodes, result, space.index)
    if not all(o in found and covers(found[o], o, space) for o in outputs):
        return False
    return all(_in_epilogue(n, node, found) for n in nodes)


def view_to_store(value: Value, batch: int) -> Node | None:
    """The reshape that keeps an operand from being read with one stride a dimension; it is to be
    stored. None when the view is fine; its first `batch` dimensions may fall into parts."""
    chain: list[Node] = []
    root = value
    while root.node is not None and root.node.op.name in VIEWS:
        chain.append(root.node)
        root = root.node.values[0]
    space = Space(value.shape)
    try:
        for _ in range(MAX_SPLITS):
            point = Demand([root]).point(value, space.index)
            while point.kind == "same":
                (point,) = point.args
            if not space.refine([point]):
                break
        plain = all(form.linear() for form in point.index)
    except ArgandError:
        plain = False
    if plain and all(len(digits) == 1 for digits in space.digits[batch:]):
        return None
    return next((n for n in chain if n.op.name == "reshape"), None)


def batch_dims(node: Node) -> int:
    """How many leading dimensions of a contraction's operands are batch dimensions."""
    return len(node.values[0].shape) - 2 if node.op.name == "matmul" else 0


def _in_epilogue(node: Node, contraction: Node, found: dict) -> bool:  # type: ignore[type-arg]
    if node is contraction or node.op.name in VIEWS or node.op.name == "full":
        return True
    if not isinstance(node.op, Elementwise | Move | Random) or isinstance(node.op, Random):
        return False
    if node.outputs[0] not in found:
        return flops_of(node) <= 2
    return not worth_a_loop(node)
