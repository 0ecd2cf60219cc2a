"""Regions with reductions: softmax, norms, losses and their gradients; sums over any axes."""

from __future__ import annotations

import functools

from argand.ir.families import View
from argand.kernels.plan import Cost, Plan, described
from argand.kernels.reduction.plan import RowPlan, is_reduction, plan_quality, row_plans
from argand.kernels.reduction.rows import lower_rows
from argand.lowering.context import LoweringContext
from argand.lowering.element import rule_for
from argand.lowering.order import Order
from argand.lowering.region import Region
from argand.nest.builder import NestBuilder

__all__ = ["RowsPlan", "match_rows"]

SLOW = 3
"""The quality of a plan that reads across memory."""


class RowsPlan(Plan):
    """A region of reductions, in each of the `ways` that its axes can be parted into rows; which
    one is best depends on the strides."""

    kind = "rows"

    def __init__(self, region: Region, ways: list[RowPlan]) -> None:
        super().__init__(region)
        self.ways = ways

    @functools.cached_property
    def cost(self) -> Cost:
        compute = [n for n in self.region.nodes if not isinstance(n.op, View)]
        if len(compute) > 1 and min(plan_quality(way) for way in self.ways) >= SLOW:
            return Cost(losses=("rows are read across memory",))
        return Cost()

    @functools.cached_property
    def orders(self) -> list[Order]:
        return [way.order for way in self.ways]

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        lower_rows(b, self.region, context, self.ways)

    def __str__(self) -> str:
        return f"rows: {described(self.region.nodes)}, by {' or '.join(map(str, self.ways))}"


def match_rows(region: Region) -> RowsPlan | None:
    """The plan of a region with reductions."""
    if not all(is_reduction(n) or rule_for(n) is not None for n in region.nodes):
        return None
    ways = row_plans(region)
    return RowsPlan(region, ways) if ways else None
