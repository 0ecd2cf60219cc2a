"""Where a contraction's operands and results are stored, as forms over loops' axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from argand.base.dim import Extent, same
from argand.base.shape import numel
from argand.ir.contract import Contract
from argand.ir.elementwise import Elementwise
from argand.ir.families import Convolution, Move, View
from argand.ir.op import Op
from argand.ir.program import Node, Value
from argand.lowering.affine import Axis
from argand.lowering.element import Demand
from argand.lowering.points import Point, reachable
from argand.lowering.region import Region
from argand.lowering.space import MAX_SPLITS, ElementIndex, Space, locate

__all__ = [
    "Layout",
    "contraction_of",
    "convolution_layout",
    "label_sizes",
    "labels_of",
    "operands_of",
    "product_layout",
]


class Layout:
    """The elements of a region's contraction, the digits of its axes being what reshapes ask for.

    `spaces` are the axes: one space for all labels of a product; for a convolution one for each
    operand and one for the result. `fits` says whether the loops can express all elements, `whole`
    whether all results have an element for each of the contraction's. `located` are the values that
    have one index for each element of the contraction's result.
    """

    def __init__(
        self,
        region: Region,
        node: Node,
        spaces: Sequence[Space],
        operands: Sequence[Point],
        index: ElementIndex,
    ) -> None:
        self.spaces, self.operands = spaces, operands
        value = node.outputs[0]
        demand = Demand(region.inputs, [value])
        at = locate(region.nodes, value, index)
        self.located = frozenset(at)
        self.result = demand.point(value, index)
        self.outputs = [(v, at[v], demand.point(v, at[v])) for v in region.outputs if v in at]
        self.points = reachable([p for _, _, p in self.outputs])
        linear = all(f.linear() for _, at, _ in self.outputs for f in at)
        self.fits = (
            linear
            and len(self.outputs) == len(region.outputs)
            and all(p is self.result for p in self.points if p.kind == "known")
        )
        axes = _axes(index)
        self.whole = linear and all(_axes(at) == axes for _, at, _ in self.outputs)

    def refine(self) -> bool:
        """Split an axis that a reshape asks for in parts."""
        wanted = list(self.points)
        for _, index, _ in self.outputs:
            wanted += [Point(self.result.value, (f,), None, "") for f in index]
        for p in wanted:
            p.kind = p.kind or "load"
        return any(space.refine(wanted) for space in self.spaces)


def _axes(index: ElementIndex) -> frozenset[Axis]:
    return frozenset().union(*(f.axes for f in index))


Indices = Callable[[], Sequence[ElementIndex]]


def contraction_of(region: Region, family: type[Op]) -> Node | None:
    """The one contraction of a region, where it is of this family, its operands are read through
    views alone, the other nodes are such as can be computed on a finished vector, and the results
    have as many elements as the contraction's."""
    found = [n for n in region.nodes if n.op.is_contraction]
    if len(found) != 1 or not isinstance(found[0].op, family):
        return None
    (node,) = found
    size = numel(node.outputs[0].shape)
    if not all(n is node or _in_epilogue(n) for n in region.nodes):
        return None
    if not all(same(numel(o.shape), size) for o in region.outputs):
        return None
    made = {o: n for n in region.nodes for o in n.outputs}
    for operand in node.values:
        while operand in made:
            maker = made[operand]
            if not isinstance(maker.op, View):
                return None
            operand = maker.values[0]
    return node


def _in_epilogue(node: Node) -> bool:
    return isinstance(node.op, Elementwise | Move) or node.op.constant(node.params) is not None


def product_layout(region: Region, node: Node) -> tuple[Layout | None, bool]:
    """The layout of a product, and whether a reshape of an operand parts one of its dimensions;
    those of a batch may be parted."""
    sizes = label_sizes(node)
    texts = labels_of(node)
    space = Space(list(sizes.values()))

    def indices() -> list[ElementIndex]:
        at = dict(zip(sizes, space.index, strict=True))
        return [tuple(at[c] for c in text) for text in texts]

    operands = _settled_operands(region, node, [space], indices)
    parted = any(
        len(digits) > 1
        and not all(label in text for text in texts)
        and not are_panels(operands[1], digits)
        for label, digits in zip(sizes, space.digits, strict=True)
    )
    return _settled(region, node, [space], indices, operands), parted


def convolution_layout(region: Region, node: Node) -> Layout | None:
    """The layout of a convolution: the loops take an axis for each dimension, and no parts; but
    the output channels of a weight may be in panels."""
    values = (*operands_of(node), node.outputs[0])
    spaces = [Space(v.shape, name) for v, name in zip(values, "abc", strict=True)]

    def indices() -> list[ElementIndex]:
        return [space.index for space in spaces]

    operands = _settled_operands(region, node, spaces, indices)
    layout = _settled(region, node, spaces, indices, operands)
    parts = [digits for space in spaces for digits in space.digits if len(digits) > 1]
    panels = [d for d in parts if d is spaces[1].digits[0] and are_panels(operands[1], d)]
    gives_result = cast(Convolution, node.op).roles == ("image", "weight", "result")
    return layout if not parts or (gives_result and parts == panels) else None


def are_panels(operand: Point, digits: Sequence[Axis]) -> bool:
    """Whether both parts of an axis are the panels that the operand is stored in, and the columns
    of one: its first dimension and its last."""
    if len(digits) != 2 or len(operand.index) < 3:
        return False
    first, last = operand.index[0], operand.index[-1]
    return first.key == digits[0].key and last.key == digits[1].key


def _settled_operands(
    region: Region, node: Node, spaces: Sequence[Space], indices: Indices
) -> list[Point]:
    """The operands' elements, with axes split as far as reshapes of the operands ask for it."""
    for _ in range(MAX_SPLITS):
        points = _operand_points(region, node, indices())
        if not any(space.refine(reachable(points)) for space in spaces):
            break
    return points


def _settled(
    region: Region,
    node: Node,
    spaces: Sequence[Space],
    indices: Indices,
    operands: Sequence[Point],
) -> Layout | None:
    """The layout, with axes split as far as all reshapes ask for it; None where the loops can't
    express an element."""
    if not all(p.kind == "load" and all(f.linear() for f in p.index) for p in operands):
        return None
    layout = first = Layout(region, node, spaces, operands, indices()[-1])
    for _ in range(MAX_SPLITS):
        if not layout.refine():
            break
        operands = _operand_points(region, node, indices())
        layout = Layout(region, node, spaces, operands, indices()[-1])
    layout.whole = first.whole
    return layout if layout.fits else None


def _operand_points(region: Region, node: Node, indices: Sequence[ElementIndex]) -> list[Point]:
    demand = Demand(region.inputs)
    found = []
    for v, index in zip(operands_of(node), indices[:2], strict=True):
        point = demand.point(v, index)
        while point.kind == "same":  # through views
            (point,) = point.args
        found.append(point)
    return found


def operands_of(node: Node) -> tuple[Value, Value]:
    """Both operands of a contraction."""
    lhs, rhs = node.inputs
    assert isinstance(lhs, Value) and isinstance(rhs, Value)
    return lhs, rhs


def labels_of(node: Node) -> tuple[str, str, str]:
    """The labels of both operands and of the result of a product."""
    lhs, rhs = operands_of(node)
    return cast(Contract, node.op).label_strings(lhs.type, rhs.type, node.params)


def label_sizes(node: Node) -> dict[str, Extent]:
    """The size of each label of a product."""
    sizes: dict[str, Extent] = {}
    left, right, _ = labels_of(node)
    for text, v in zip((left, right), operands_of(node), strict=True):
        for label, size in zip(text, v.shape, strict=True):
            sizes.setdefault(label, size)
    return sizes
