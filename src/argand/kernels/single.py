"""Regions of one op that computes all by itself, its operands on demand, its result stored."""

from __future__ import annotations

from collections.abc import Callable

from argand.ir.families import View
from argand.ir.program import Node
from argand.kernels.plan import Cost, described
from argand.lowering.element import rule_for
from argand.lowering.region import Region

__all__ = ["in_order_cost", "single_node"]


def single_node(region: Region, wanted: Callable[[Node], bool]) -> Node | None:
    """The one wanted node of a region whose results are this node's; all others have elements on
    demand. None for any other region."""
    found = [n for n in region.nodes if wanted(n)]
    if len(found) != 1 or region.outputs != found[0].outputs:
        return None
    others = (n for n in region.nodes if n is not found[0])
    return found[0] if all(rule_for(n) is not None for n in others) else None


def in_order_cost(region: Region, node: Node) -> Cost:
    """What is lost where a node that takes elements in order computes its operands as well: that
    they come in any order, and many at a time."""
    others = [
        n
        for n in region.nodes
        if not (n is node or isinstance(n.op, View) or n.op.constant(n.params) is not None)
    ]
    return Cost(losses=(f"{described(others)} is computed in order",) if others else ())
