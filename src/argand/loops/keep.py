"""What a kernel of rows keeps beside a row, in cache, instead of computing it in every stage."""

from __future__ import annotations

from collections.abc import Sequence

from argand.ir import scalar
from argand.loops.element import Point, reachable
from argand.loops.index import Axis
from argand.loops.rowplan import RowPlan

__all__ = ["dear_points"]

KEEP_FLOPS = 8.0
"""What costs more than this to compute again is kept."""


def dear_points(plan: RowPlan) -> list[Point]:
    """The points that more than one stage needs, and that cost more than a load."""
    row = frozenset(plan.row)
    found: list[Point] = []
    seen: set[Point] = set()
    for stage in range(plan.stages):
        roots = [r.operand for r in plan.reductions if r.kind != "batch" and r.level == stage]
        roots += [o.point for o in plan.outputs if o.kind == "full" and o.level == stage]
        for p in _frontier(roots, seen):
            if p not in found and row and row <= p.axes and _cost(p, row) > KEEP_FLOPS:
                found.append(p)
        seen.update(reachable(roots))
    return found


def _frontier(roots: Sequence[Point], seen: set[Point]) -> list[Point]:
    """The first points below the roots that were needed before."""
    found: list[Point] = []
    visited: set[Point] = set()
    stack = list(roots)
    while stack:
        p = stack.pop()
        if p in visited:
            continue
        visited.add(p)
        if p in seen and p.kind == "expr":
            found.append(p)
        else:
            stack.extend(p.args)
    return found


def _cost(point: Point, row: frozenset[Axis]) -> float:
    """Multiply-adds to compute a point again from memory."""
    return sum(
        scalar.flops(p.payload) for p in reachable([point]) if p.kind == "expr" and p.axes & row
    )
