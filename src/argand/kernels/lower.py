"""From a node to its nest: the entrance of this room.

    if can_lower(node):
        lower_node(b, node, env)

A node is a fusion, or an op by itself; `env` tells where its operands and results lie.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from argand.base.errors import ArgandError, CompileError
from argand.ir.program import Node, Value
from argand.kernels.pointwise import loop_order, lower_loop
from argand.kernels.reduction.plan import row_plans
from argand.kernels.reduction.rows import lower_rows
from argand.kernels.registry import find_kernel, register
from argand.kernels.scan import WALKS, lower_walk
from argand.kernels.scatter import SCATTERS, lower_scatter
from argand.lowering.buffers import Env
from argand.lowering.element import rule_for
from argand.lowering.order import Order
from argand.lowering.pooling import POOLS
from argand.lowering.region import Region, region_of
from argand.nest.builder import NestBuilder
from argand.nest.types import ELEMS

__all__ = ["POOLS", "SINGLE", "can_lower", "lower_node", "may_overwrite"]

Emit = Callable[[NestBuilder, Region, Env], None]

SINGLE = SCATTERS | WALKS
"""Ops that take operands on demand, but whose results are stored."""


class _Loop:
    """Regions whose elements don't depend on each other."""

    name = "loop"

    def takes(self, region: Region) -> bool:
        return all(rule_for(node) is not None for node in region.nodes) and not any(
            v.node is not None and v not in region.inputs and rule_for(v.node) is None
            for v in region.outputs
        )

    def emit(self, b: NestBuilder, region: Region, env: Env) -> None:
        lower_loop(b, region, env)

    def orders(self, region: Region) -> list[Order]:
        return [loop_order(region)]


class _Rows:
    """Regions with reductions."""

    name = "rows"

    def takes(self, region: Region) -> bool:
        return bool(row_plans(region))

    def emit(self, b: NestBuilder, region: Region, env: Env) -> None:
        lower_rows(b, region, env, row_plans(region))

    def orders(self, region: Region) -> list[Order]:
        return [plan.order for plan in row_plans(region)]


class _Single:
    """Regions of one op that computes all by itself, its operands on demand."""

    def __init__(self, name: str, ops: frozenset[str], emit: Emit) -> None:
        self.name, self._ops, self._emit = name, ops, emit

    def takes(self, region: Region) -> bool:
        found = [n for n in region.nodes if n.op.name in self._ops]
        others = [n for n in region.nodes if n.op.name not in self._ops]
        return (
            len(found) == 1
            and all(rule_for(n) is not None for n in others)
            and region.outputs == found[0].outputs
        )

    def emit(self, b: NestBuilder, region: Region, env: Env) -> None:
        self._emit(b, region, env)

    def orders(self, region: Region) -> list[Order]:
        return []


register(_Single("scatter", SCATTERS, lower_scatter))
register(_Single("walk", WALKS, lower_walk))
register(_Rows())
register(_Loop())


def can_lower(node: Node) -> bool:
    """Whether there is a kernel for the node."""
    values = [*node.values, *node.outputs]
    if any(v.dtype.name not in ELEMS for v in values):
        return False
    try:
        return find_kernel(region_of(node)) is not None
    except ArgandError:
        return False


def may_overwrite(node: Node, operand: Value, result: Value) -> bool:
    """Whether the node's kernel may store a result exactly where an operand lies: it reads each
    element before it writes the one that takes its memory, whatever else it computes."""
    region, orders = _orders_of(node)
    inner = [x for x, v in region.outside.items() if v is operand]
    out = next(o for o, stored in region.stored.items() if result in stored)
    return bool(orders) and all(order.allows(x, out) for order in orders for x in inner)


@functools.lru_cache(maxsize=64)  # each result of a node is asked about each operand
def _orders_of(node: Node) -> tuple[Region, list[Order]]:
    region = region_of(node)
    try:
        kernel = find_kernel(region)
        return region, kernel.orders(region) if kernel is not None else []
    except ArgandError:
        return region, []


def lower_node(b: NestBuilder, node: Node, env: Env) -> None:
    """Emit the nest that computes the node."""
    region = region_of(node)
    kernel = find_kernel(region)
    if kernel is None:
        raise CompileError(f"there is no kernel for {node.op.name}")
    kernel.emit(b, region, env)
