"""What a kernel of rows caches of a row, instead of computing it in every stage."""

from __future__ import annotations

from collections.abc import Sequence

from argand.ir import scalar
from argand.kernels.reduction.plan import RowOutput, RowPlan
from argand.lowering.affine import Axis
from argand.lowering.points import Point, reachable

__all__ = ["kept_points"]

KEEP_FLOPS = 8.0
"""What costs more than this to compute again is kept."""


def kept_points(plan: RowPlan) -> dict[Point, RowOutput | None]:
    """The points that more than one stage needs and that cost more than a load, each with the
    result whose row may hold it until the last stage stores the result itself.

    The memory of the result is then fetched under the arithmetic of the earlier stage.
    """
    points = _dear_points(plan)
    last = plan.stages - 1
    free = [o for o in plan.outputs if o.kind == "full" and o.level == last]
    found: dict[Point, RowOutput | None] = {}
    for point in points:
        fitting = [o for o in free if o.value.dtype is point.value.dtype]
        found[point] = fitting[0] if fitting and _alone(plan, point, points) else None
        free = [o for o in free if o is not found[point]]
    return found


def _dear_points(plan: RowPlan) -> list[Point]:
    row = frozenset(plan.row)
    found: list[Point] = []
    seen: set[Point] = set()
    for stage in range(plan.stages):
        roots = plan.roots(stage)
        for p in _frontier(roots, seen):
            if p not in found and row and row <= p.axes and _cost(p, row) > KEEP_FLOPS:
                found.append(p)
        seen.update(reachable(roots))
    return found


def _alone(plan: RowPlan, point: Point, kept: Sequence[Point]) -> bool:
    """Whether no operand is read element by element once the point is kept: a result may be
    stored over such an operand."""
    first = next(s for s in range(plan.stages) if point in reachable(plan.roots(s)))
    later = [root for s in range(first + 1, plan.stages) for root in plan.roots(s)]
    every = frozenset(plan.space.axes)
    read = reachable(later, kept.__contains__)
    return not any(p.kind == "load" and p.axes == every for p in read)


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
