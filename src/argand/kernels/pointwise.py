"""Kernels of the kind "loop": results whose elements don't depend on each other.

Each result is evaluated at its own index, down to loads; results that share a space share a nest
and the elements that they have in common.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from argand.base.dim import same
from argand.base.shape import numel
from argand.ir.program import Node, Value
from argand.kernels.cost import CHEAP_FLOPS, flops_of
from argand.kernels.plan import Cost, Plan, described
from argand.kernels.transposed_reads import transposed_reads
from argand.lowering.affine import Axis, LoadedIndex
from argand.lowering.context import LoweringContext, StridedBuffer
from argand.lowering.element import Demand, rule_for
from argand.lowering.emitter import Emitter, lanes_for
from argand.lowering.order import Access, Order, loads_of
from argand.lowering.parallel import ns_per_element, open_loops, sweep, vector_lanes, vectors
from argand.lowering.points import Point, reachable
from argand.lowering.region import Region
from argand.lowering.space import (
    MAX_SPLITS,
    ElementIndex,
    Space,
    by_strides,
    connected,
    covers,
    fold,
    locate,
)
from argand.nest.builder import NestBuilder, Reg, Ty

__all__ = ["LoopPlan", "check_point", "check_values", "emit_stores", "match_loop"]


class LoopPlan(Plan):
    """A region without reductions: a nest for each space, one after the other."""

    kind = "loop"

    def __init__(self, region: Region, nests: list[Nest]) -> None:
        super().__init__(region)
        self.nests = nests

    @functools.cached_property
    def cost(self) -> Cost:
        """All results should have an element for each point of one space, and nothing dear should
        be computed for several points again."""
        nest, size = self.nests[0], numel(self.region.outputs[0].shape)
        again = [
            n
            for n in self.region.nodes
            if n.outputs[0] not in nest.located
            and not same(numel(n.outputs[0].shape), size)
            and flops_of(n) > CHEAP_FLOPS
        ]
        losses = (f"{described(again)} is repeated",) if again else ()
        return Cost(1 + nest.apart, losses)

    @functools.cached_property
    def orders(self) -> list[Order]:
        loads: list[Access] = []
        stores: list[Access] = []
        for phase, nest in enumerate(self.nests):
            loads += loads_of(nest.points, phase)
            stores += [Access(v, index, phase) for v, index in nest.results]
        return [Order(tuple(loads), tuple(stores))]

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        region = self.region
        check_values(Emitter(b, context, region.places(context)), region)
        for nest in self.nests:
            _emit(Emitter(b, context, region.places(context)), region, context, nest)

    def __str__(self) -> str:
        spaces = " then ".join(str(nest.space) for nest in self.nests)
        return f"loop: {described(self.region.nodes)} over {spaces}"


Results = list[tuple[Value, ElementIndex]]


class Nest(NamedTuple):
    """A space, the results that have an element for each of its points, and these elements.

    Before any axis of the space was split, `located` were the values that had an index in it, and
    `apart` results were left for other nests.
    """

    space: Space
    results: Results
    points: list[Point]
    located: frozenset[Value]
    apart: int


def match_loop(region: Region) -> LoopPlan | None:
    """The plan of a region whose elements don't depend on each other."""
    if any(rule_for(node) is None for node in region.nodes):
        return None
    return LoopPlan(region, _nests(region))


def _nests(region: Region) -> list[Nest]:
    """The nests, in order."""
    nests: list[Nest] = []
    waiting = list(region.outputs)
    parts = connected(region.nodes)
    while waiting:
        nest = _next_nest(region, waiting, parts.get(waiting[0], []))
        nests.append(nest)
        stored = [v for v, _ in nest.results]
        waiting = [v for v in waiting if v not in stored]
    return nests


def _next_nest(region: Region, waiting: Sequence[Value], nodes: Sequence[Node]) -> Nest:
    """The nest of the first waiting result, with all results that its space covers; `nodes` are
    those that it is connected with.

    The space is fine enough that reshapes of its axes come out even.
    """
    anchor = waiting[0]
    space = Space(anchor.shape)
    located, apart = frozenset[Value](), -1
    for _ in range(MAX_SPLITS):
        found = locate(nodes, anchor, space.index)
        results = [
            (v, found[v])
            for v in waiting
            if v is anchor or (v in found and covers(found[v], v, space))
        ]
        if apart < 0:
            located, apart = frozenset(found), len(waiting) - len(results)
        demand = Demand(region.inputs)
        points = [demand.point(v, index) for v, index in results]
        if not space.refine(reachable(points)):
            break
    return Nest(space, results, points, located, apart)


def _emit(emitter: Emitter, region: Region, context: LoweringContext, nest: Nest) -> None:
    targets = [region.targets(context, v) for v, _ in nest.results]
    stores = [(t, at) for found, (_, at) in zip(targets, nest.results, strict=True) for t in found]
    values = [root for found, root in zip(targets, nest.points, strict=True) for _ in found]
    emit_stores(emitter, nest.space, stores, values)


def emit_stores(
    emitter: Emitter,
    space: Space,
    stores: Sequence[tuple[StridedBuffer, ElementIndex]],
    values: Sequence[Point],
) -> None:
    """Loop over a space and store the values, as fast as the places allow."""
    points = reachable(values)
    order = by_strides(emitter, space.axes, *stores[0])
    loops = fold(emitter, order, points, stores)
    if not loops:
        _store_all(emitter, stores, values)
        return
    inner, transposed = loops[-1], transposed_reads(emitter, loops, points)
    most = emitter.context.target.vector_registers if transposed else 0
    lanes = vector_lanes(emitter, points, inner, most)
    data = sum(Ty(buffer.dtype.name).bytes for buffer, _ in stores)
    ns = ns_per_element(points, lanes, data, inner)

    def body() -> None:
        _store_all(emitter, stores, values)

    if transposed is None:
        sweep(emitter, loops, lanes, ns, values, body)
    else:
        transposed.sweep(lanes, ns, values, body)


def _store_all(
    emitter: Emitter, stores: Sequence[tuple[StridedBuffer, ElementIndex]], values: Sequence[Point]
) -> None:
    """Everything is computed before anything is stored: results may be stored over operands."""
    regs = [emitter.emit(value) for value in values]
    for (buffer, index), reg in zip(stores, regs, strict=True):
        emitter.store(buffer, index, reg)


def check_values(emitter: Emitter, region: Region) -> None:
    """Leave with the node's status if an index is out of range or an element is refused, before any
    result is written. All that a node is given is looked at, whatever is read of its result; nodes
    come in order, so that an index by which another one is read has been looked at by then."""
    for node in region.nodes:
        if node.op.can_fail and rule_for(node) is not None:
            check_point(emitter, _whole(region, node.outputs[0]))


def _whole(region: Region, value: Value) -> Point:
    """The element of a value at any place; no index is made of what the region reduces."""
    space = Space(value.shape)
    known = [o for n in region.nodes if rule_for(n) is None for o in n.outputs]
    for _ in range(MAX_SPLITS):
        point = Demand(region.inputs, known).point(value, space.index)
        if not space.refine(reachable([point])):
            break
    return point


def check_point(emitter: Emitter, point: Point) -> None:
    """Leave with the node's status if what a point is made of is out of range or refused."""
    for loaded in point.looked:
        with emitter.scope():
            top = emitter.b.index(emitter.size(loaded.size))
            bottom = emitter.b.sub(0, top) if loaded.wraps else emitter.b.i64(0)
            outside = functools.partial(_outside, emitter, loaded, bottom, top)
            _fail_where(emitter, loaded.point, outside)
    if point.refused is not None:
        with emitter.scope():
            _fail_where(emitter, point.refused, functools.partial(emitter.emit, point.refused))


def _fail_where(emitter: Emitter, point: Point, is_bad: Callable[[], Reg]) -> None:
    """Leave with the node's status if `is_bad` holds for an element of the point."""
    b = emitter.b
    axes = sorted(point.axes, key=lambda a: a.key)
    if not axes:
        _fail_if(emitter, is_bad())
        return
    *outer, inner = _contiguous_last(emitter, point, axes)
    lanes = lanes_for(reachable([point]), emitter.context.target.vector_bytes, inner)
    bad = b.alloca(Ty("int64"))
    b.store(bad, 0, b.i64(0))
    with open_loops(emitter, outer):
        emitter.hoist([point], frozenset((inner,)))

        def body() -> None:
            outside = is_bad()
            if outside.ty.lanes > 1:
                if emitter.mask is not None:
                    outside = b.apply("and", outside, emitter.mask)
                outside = b.reduce("or", outside)
            before = b.load(bad, 0, Ty("int64"))
            b.store(bad, 0, b.apply("or", before, b.cast(outside, "int64")))

        vectors(emitter, inner, lanes, 0, emitter.size(inner.extent), body)
    found = b.load(bad, 0, Ty("int64"))
    _fail_if(emitter, b.apply("ne", found, 0))


def _outside(emitter: Emitter, loaded: LoadedIndex, bottom: Reg, top: Reg) -> Reg:
    b = emitter.b
    index = b.cast(emitter.emit(loaded.point), "int64")
    return b.apply("or", b.apply("lt", index, bottom), b.apply("ge", index, top))


def _fail_if(emitter: Emitter, bad: Reg) -> None:
    with emitter.b.if_(bad):
        emitter.b.fail(emitter.context.status)


def _contiguous_last(emitter: Emitter, point: Point, axes: list[Axis]) -> list[Axis]:
    """The axes with the one along which the indices are contiguous last."""
    if point.kind != "load":
        return axes
    return by_strides(emitter, axes, emitter.buffer(point), point.index)
