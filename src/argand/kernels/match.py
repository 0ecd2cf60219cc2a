"""Which kernel computes a region: the ordered list of kernels, and the one question to it.

    plan = match(region)      # None: no kernel computes it, NumPy does
    print(plan)               # contract: matmul of f32[16, 64], f32[64, 32], then add relu
    plan.emit(b, context)

A new kernel is a file of its own and a line in `KERNELS`. Fusion asks about nodes that it might
fuse, the back end about each node of the final program, the memory plan about the order in which a
node reads and writes; they get the same answer, since nothing else decides.
"""

from __future__ import annotations

import functools

from argand.base.errors import ArgandError, CompileError
from argand.ir.program import Node, Value
from argand.kernels.attention.kernel import match_attention
from argand.kernels.contraction.kernel import match_convolution, match_product
from argand.kernels.contraction.unless import match_unless
from argand.kernels.contraction.winograd import match_winograd
from argand.kernels.plan import Kernel, Plan
from argand.kernels.pointwise import match_loop
from argand.kernels.ranking import match_ranking
from argand.kernels.reduction.kernel import match_rows
from argand.kernels.scan import match_scan
from argand.kernels.scatter import match_scatter
from argand.lowering.context import LoweringContext
from argand.lowering.region import Region, region_of
from argand.nest.builder import NestBuilder
from argand.nest.types import ELEMS

__all__ = ["KERNELS", "has_registers", "lower_node", "match", "may_overwrite", "plan_of"]

KERNELS: list[Kernel] = [
    match_attention,
    match_product,
    match_convolution,
    match_unless,
    match_winograd,
    match_scatter,
    match_scan,
    match_ranking,
    match_rows,
    match_loop,
]
"""The first that gives a plan computes the region: special ones before general ones."""


def match(region: Region) -> Plan | None:
    """The plan of the first kernel that computes the region; None where there is none."""
    if not all(map(has_registers, region.nodes)):
        return None
    for kernel in KERNELS:
        try:
            plan = kernel(region)
        except ArgandError:  # an index that loops can't express, or too many elements
            continue
        if plan is not None:
            return plan
    return None


def has_registers(node: Node) -> bool:
    """Whether there is machine code for what a node reads, gives and computes: registers hold no
    complex numbers, and the host has functions of its own."""
    if node.op.on_host(node.inputs, node.params):
        return False
    return ELEMS.keys() >= {v.dtype.name for v in (*node.values, *node.outputs)}


@functools.lru_cache(maxsize=256)  # the back end asks, then the memory plan, then the lowering
def plan_of(node: Node) -> Plan | None:
    """The plan of a node: a fusion, or an op by itself. None: it runs in NumPy."""
    try:
        return match(region_of(node))
    except ArgandError:  # a fusion with a result that none of its nodes computes
        return None


def may_overwrite(node: Node, operand: Value, result: Value) -> bool:
    """Whether the node's kernel may store a result exactly where an operand is stored: it reads
    each element before it writes the one that takes its memory, whatever else it computes."""
    plan = plan_of(node)
    if plan is None:
        return False
    inner = [x for x, v in plan.region.outside.items() if v is operand]
    out = next(o for o, stored in plan.region.stored.items() if result in stored)
    orders = plan.orders
    return bool(orders) and all(order.allows(x, out) for order in orders for x in inner)


def lower_node(b: NestBuilder, node: Node, context: LoweringContext) -> None:
    """Emit the nest that computes the node."""
    plan = plan_of(node)
    if plan is None:
        raise CompileError(f"there is no kernel for {node.op.name}")
    plan.emit(b, context)
