"""Plans of the kind "rows": which axes are rows, what each reduction is, and in which stage.

The axes of the space are parted into batch axes and row axes. A reduction of a full value over the
row axes gives a value a row ("row"); over the batch axes, one a column ("col"); over all, one
("full"); a value a row reduced over the batch axes is a "batch" reduction. A row is passed over in
stages: a stage needs what the reductions of earlier stages gave.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from argand.base.dim import Extent, same
from argand.base.errors import ArgandError
from argand.base.shape import numel
from argand.ir.families import Reduce
from argand.ir.program import Node, Value
from argand.lowering.affine import Axis
from argand.lowering.element import Demand
from argand.lowering.order import Access, Order, loads_of
from argand.lowering.points import Point, operands, reachable
from argand.lowering.region import Region
from argand.lowering.space import MAX_SPLITS, ElementIndex, Space, locate, same_index

__all__ = ["Reduction", "RowOutput", "RowPlan", "is_reduction", "row_plans"]

COMBINES = frozenset(("add", "mul", "max", "min", "or", "and"))
"""The primitives by which kernels combine elements."""

LATE = 1 << 20
"""The level of what needs a result of the whole batch."""


def is_reduction(node: Node) -> bool:
    """Whether a node is a reduction by one primitive."""
    op = node.op
    if not isinstance(op, Reduce) or op.finds_position or op.primitive not in COMBINES:
        return False
    shape = node.values[0].shape
    return any(not same(shape[d], 1) for d in node.params["dim"])


def within_rows(node: Node) -> bool:
    """Whether a batch, even of one row, leads what is added up: then each row is added up by
    itself, so that the order, and with it the bits, does not depend on the batch's size."""
    return cast(Reduce, node.op).primitive in ("add", "mul") and min(node.params["dim"]) > 0


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Reduction:
    """One reduction: its kind, the element that it takes, and where its result is asked for.
    `level` is the stage in which its operand can be computed."""

    node: Node
    kind: str
    operand: Point
    result: Point
    level: int

    @property
    def prim(self) -> str:
        return cast(Reduce, self.node.op).primitive


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class RowOutput:
    """A result: its element, its index, and whether it has a value a point ("full"), a row, a
    column ("col") or one in all ("one")."""

    value: Value
    index: ElementIndex
    point: Point
    kind: str
    level: int


@dataclasses.dataclass(frozen=True, slots=True)
class RowPlan:
    """A way to run a region of reductions."""

    space: Space
    batch: tuple[Axis, ...]
    row: tuple[Axis, ...]
    reductions: tuple[Reduction, ...]
    outputs: tuple[RowOutput, ...]

    def __str__(self) -> str:
        batch, row = (" x ".join(str(a.extent) for a in axes) for axes in (self.batch, self.row))
        rows = f"{batch} rows" if batch else "one row"
        passes = "one pass" if self.stages == 1 else f"{self.stages} passes"
        return f"{rows} of {row or 1} in {passes}"

    @property
    def computed(self) -> list[Point]:
        """What reductions take, and the results."""
        return [r.operand for r in self.reductions] + [o.point for o in self.outputs]

    @property
    def stages(self) -> int:
        """The number of passes along a row."""
        levels = [r.level for r in self.reductions if r.kind != "batch"]
        levels += [o.level for o in self.outputs if o.kind == "full"]
        return max((level for level in levels if level < LATE), default=-1) + 1

    def roots(self, stage: int) -> list[Point]:
        """What the pass of a stage computes."""
        found = [r.operand for r in self.reductions if r.kind != "batch" and r.level == stage]
        return found + [o.point for o in self.outputs if o.kind == "full" and o.level == stage]

    @property
    def order(self) -> Order:
        """In which order the rows' kernel reads and writes: rows are a phase, and what depends on
        the whole batch is another. A row alternates between what has one value a row (steps 0, 2,
        …) and passes along it (1, 3, …)."""
        loads, stores = [], []
        for r in self.reductions:
            in_row = r.kind != "batch"
            loads += loads_of([r.operand], 0, 2 * r.level + in_row)
        for o in self.outputs:
            if o.kind in ("col", "one"):
                phase, step, first = 1, int(o.kind == "col"), int(o.kind == "col")
            elif o.kind == "row":
                phase, step, first = 0, 2 * o.level, 2 * o.level
            else:
                # its memory may hold what earlier passes cached of the row
                phase, step, first = 0, 2 * o.level + 1, 1
            loads += loads_of([o.point], phase, step)
            stores.append(Access(o.value, o.index, phase, first))
        return Order(tuple(loads), tuple(stores))

    @property
    def reduces_batch(self) -> bool:
        """Whether something is reduced over the batch."""
        return any(r.kind != "row" for r in self.reductions)

    @property
    def is_whole(self) -> bool:
        """Whether all reductions are of everything, and no result has more than one value."""
        return (
            not self.batch
            and self.stages == 1
            and all(r.kind in ("row", "full") and not within_rows(r.node) for r in self.reductions)
            and all(o.kind in ("row", "one") for o in self.outputs)
        )


def row_plans(region: Region) -> list[RowPlan]:
    """The ways to run a region of reductions, by how its axes can be parted; none if it is no such
    region."""
    reductions = [n for n in region.nodes if is_reduction(n)]
    if not reductions:
        return []
    anchor = max((n.values[0] for n in reductions), key=_rank)
    space = Space(anchor.shape)
    for _ in range(MAX_SPLITS):
        layout = _Layout(region, anchor, space, reductions)
        if not layout.fits or not space.refine(layout.points):
            break
    if not layout.fits:
        return []
    plans = []
    for batch, row in layout.partitions():
        plan = layout.plan(batch, row)
        if plan is not None:
            plans.append(plan)
    return plans


def _rank(v: Value) -> tuple[int, int]:
    size = numel(v.shape)
    return len(v.shape), size if isinstance(size, int) else 1 << 40


class _Layout:
    """The indices of a region's values in a space, and what is asked for."""

    def __init__(
        self, region: Region, anchor: Value, space: Space, reductions: Sequence[Node]
    ) -> None:
        self.region, self.space, self.nodes = region, space, reductions
        self.at = locate(region.nodes, anchor, space.index)
        self.results = [n.outputs[0] for n in reductions]
        self.fits = all(v in self.at for v in [*self.results, *region.outputs])
        self.fits &= all(n.values[0] in self.at for n in reductions)
        self.fits &= all(self._once(v) for v in [n.values[0] for n in reductions] if v in self.at)
        self.fits &= all(self._once(v) for v in region.outputs if v in self.at)
        self.points: list[Point] = []
        if not self.fits:
            return
        demand = Demand(region.inputs, self.results)
        try:
            self.operands = {n: demand.point(n.values[0], self.at[n.values[0]]) for n in reductions}
            self.known = {v: demand.point(v, self.at[v]) for v in self.results}
            self.roots = {v: demand.point(v, self.at[v]) for v in region.outputs}
        except ArgandError:
            self.fits = False
            return
        every = [*self.operands.values(), *self.known.values(), *self.roots.values()]
        self.points = reachable(every)
        self.fits = all(
            same_index(p.index, self.at[p.value])
            for p in self.points
            if p.kind == "known" and isinstance(p.value, Value)
        )

    def _once(self, v: Value) -> bool:
        """Whether loops over a value's axes visit each of its elements once; of a value that was
        expanded and then reshaped it meets some again, so there is nothing to add up."""
        return same(numel(a.extent for a in self.axes(v)), numel(v.shape))

    def axes(self, v: Value) -> frozenset[Axis]:
        """The axes that a value has elements along."""
        return frozenset().union(*(f.axes for f in self.at[v]))

    def reduced(self, node: Node) -> frozenset[Axis]:
        """The axes that a reduction sums over."""
        return self.axes(node.values[0]) - self.axes(node.outputs[0])

    def partitions(self) -> Iterator[tuple[tuple[Axis, ...], tuple[Axis, ...]]]:
        """(batch axes, row axes) that may be tried."""
        every = self.space.axes
        tried: set[frozenset[Axis]] = set()
        for node in self.nodes:
            reduced = self.reduced(node)
            kept = self.axes(node.values[0]) - reduced
            for row in (reduced, kept):
                if row and row not in tried:
                    tried.add(row)
                    yield (
                        tuple(a for a in every if a not in row),
                        tuple(a for a in every if a in row),
                    )
        if not tried:
            yield tuple(every), ()
        for axis in every:
            if frozenset((axis,)) not in tried:
                yield tuple(a for a in every if a != axis), (axis,)

    def plan(self, batch: tuple[Axis, ...], row: tuple[Axis, ...]) -> RowPlan | None:
        """The plan for a partition, or None."""
        kinds = {}
        for node in self.nodes:
            kind = self._kind(node, frozenset(batch), frozenset(row))
            if kind is None:
                return None
            kinds[node] = kind
        levels = _Levels(
            {self.known[n.outputs[0]]: (kinds[n], self.operands[n]) for n in self.nodes}
        )
        reductions = [
            Reduction(
                n, kinds[n], self.operands[n], self.known[n.outputs[0]], levels.of(self.operands[n])
            )
            for n in self.nodes
        ]
        if any(r.level >= LATE for r in reductions):
            return None
        outputs = [
            self._output(v, frozenset(batch), frozenset(row), levels) for v in self.region.outputs
        ]
        found = [o for o in outputs if o is not None]
        if len(found) < len(outputs):
            return None
        return RowPlan(self.space, batch, row, tuple(reductions), tuple(found))

    def _kind(self, node: Node, batch: frozenset[Axis], row: frozenset[Axis]) -> str | None:
        over, reduced = self.axes(node.values[0]), self.reduced(node)
        if over == batch | row:
            if reduced == row:
                return "row"
            if within_rows(node):
                return None
            if reduced == over:
                return "full"
            return "col" if reduced == batch else None
        return "batch" if over == batch and reduced == batch else None

    def _output(
        self, v: Value, batch: frozenset[Axis], row: frozenset[Axis], levels: _Levels
    ) -> RowOutput | None:
        axes, point = self.axes(v), self.roots[v]
        level = levels.of(point)
        if axes == batch | row and row:
            kind = "full"
        elif axes == batch:
            kind = "row"
        else:
            kind = "col" if axes == row else "one" if not axes else ""
        if level >= LATE:
            # a result of the whole batch is looked at once the batch is done
            if kind == "row" and not batch:
                kind = "one"
            if kind == "full" and not batch:
                kind = "col"
            return RowOutput(v, self.at[v], point, kind, level) if kind in ("col", "one") else None
        if kind in ("col", "one"):
            # it has nothing to do with the rows, unless there is just one
            if batch:
                return None
            kind = "row" if kind == "one" else "full"
        return RowOutput(v, self.at[v], point, kind, level) if kind else None


class _Levels:
    """The stage in which a point can be computed: after those of the row reductions it reads."""

    def __init__(self, known: dict[Point, tuple[str, Point]]) -> None:
        self._known = known
        self._found: dict[Point, int] = {}

    def of(self, point: Point) -> int:
        for p in reachable([point]):
            if p not in self._found:
                self._found[p] = self._one(p)
        return self._found[point]

    def _one(self, point: Point) -> int:
        if point in self._known:
            kind, operand = self._known[point]
            level = self.of(operand)
            return level + 1 if kind == "row" and level < LATE else LATE
        return max((self._found[p] for p in operands(point)), default=0)


# which plan ---------------------------------------------------------------------------------------


def plan_quality(plan: RowPlan) -> int:
    """How good a plan is by the layouts of the values: 0 is best, 3 is slow."""
    return rank_of(plan, inner_axis(plan, _unit))


def inner_axis(plan: RowPlan, is_unit: Callable[[Axis, Point], bool]) -> Axis | None:
    """The axis along which most of what is read is contiguous, as `is_unit` says of each load."""
    votes: dict[Axis, int] = {}
    for point in reachable(plan.computed):
        for axis in point.axes if point.kind == "load" else ():
            if is_unit(axis, point):
                votes[axis] = votes.get(axis, 0) + 1 + len(point.axes)
    return max(votes, key=lambda a: (votes[a], a.key)) if votes else None


def _unit(axis: Axis, point: Point) -> bool:
    assert isinstance(point.value, Value)
    total: Extent = 0
    for form, stride in zip(point.index, point.value.strides, strict=True):
        c = form.coefficient(axis)
        if c is None:
            return False
        total = total + c * stride
    return same(total, 1)


def rank_of(plan: RowPlan, inner: Axis | None) -> int:
    """How good a plan is when memory is contiguous along `inner`: lanes along rows are best,
    unless there are column sums of huge rows; lanes across rows allow no sums over the batch."""
    along = inner is None or inner in plan.row
    if not along and plan.reduces_batch:
        return 3
    length = 1
    for axis in plan.row:
        length *= axis.extent if isinstance(axis.extent, int) else 256
    if any(r.kind == "col" for r in plan.reductions) and length > 1 << 15:
        return 2
    return 0 if along else 1
