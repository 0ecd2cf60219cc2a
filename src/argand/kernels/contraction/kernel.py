"""Contractions as kernels of regions: `matmul`, `einsum` and the convolutions with their epilogue.

Views of the operands become strides, dimensions that a reshape joins become axes of their own, and
what follows the contraction is evaluated on each finished vector, while it is in registers: bias,
activation, residual, or the optimizer's update of the weight whose gradient is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from argand.base.dim import Extent, same
from argand.base.errors import ArgandError
from argand.base.shape import numel
from argand.ir.program import Node, Value
from argand.kernels.contraction import convolution as conv
from argand.kernels.contraction.blocked import contraction
from argand.kernels.contraction.matmul import accumulator
from argand.kernels.contraction.spec import Contraction, ContractionAxis, Operand
from argand.kernels.registry import register
from argand.lowering.affine import Axis
from argand.lowering.buffers import Env, StridedBuffer
from argand.lowering.element import Demand, Point, reachable
from argand.lowering.emitter import Emitter
from argand.lowering.order import Access, Order, loads_of
from argand.lowering.region import Region
from argand.lowering.space import MAX_SPLITS, ElementIndex, Space, locate, stride_along
from argand.nest.builder import NestBuilder, Reg

__all__ = ["ContractionKernel"]

PRODUCTS = frozenset(("matmul", "einsum"))
CONVOLUTIONS = frozenset(("conv2d", "conv2d_input_grad", "conv2d_weight_grad"))


class ContractionKernel:
    """Regions of one contraction and elementwise ops on its result."""

    name = "contraction"

    def takes(self, region: Region) -> bool:
        found = _contractions(region)
        if len(found) != 1:
            return False
        try:
            return _layout(region, found[0]).fits
        except ArgandError:  # an index that the loops can't express
            return False

    def emit(self, b: NestBuilder, region: Region, env: Env) -> None:
        (node,) = _contractions(region)
        emitter = _Convolution if node.op.name in CONVOLUTIONS else _Product
        emitter(b, region, env, node, _layout(region, node)).run()

    def orders(self, region: Region) -> list[Order]:
        """The operands of the product are read at any time; the epilogue reads what it needs for a
        finished vector, then stores the results' elements."""
        (node,) = _contractions(region)
        layout = _layout(region, node)
        loads = [Access(a.value, None) for a in loads_of(layout.operands)]
        loads += loads_of([p for _, _, p in layout.outputs])
        stores = [Access(v, index) for v, index, _ in layout.outputs]
        return [Order(tuple(loads), tuple(stores))]


register(ContractionKernel(), first=True)


def _contractions(region: Region) -> list[Node]:
    return [n for n in region.nodes if n.op.name in PRODUCTS | CONVOLUTIONS]


class _Layout:
    """Where the operands and results of a region's contraction lie.

    `spaces` are the axes: one space for all labels of a product; for a convolution one for each
    operand and one for the result.
    """

    def __init__(
        self, region: Region, node: Node, spaces: Sequence[Space], indices: Sequence[ElementIndex]
    ) -> None:
        self.spaces = spaces
        *operands, result = indices
        value = node.outputs[0]
        demand = Demand(region.inputs, [value])
        at = locate(region.nodes, value, result)
        self.operands = [
            _through_views(demand.point(v, index))
            for v, index in zip(_operands(node), operands, strict=True)
        ]
        self.result = demand.point(value, result)
        self.outputs = [
            (v, at[v], demand.point(v, at[v]))
            for v in region.outputs
            if v in at and same(numel(v.shape), numel(value.shape))
        ]
        self.points = reachable([p for _, _, p in self.outputs])
        self.fits = (
            len(self.outputs) == len(region.outputs)
            and all(p is self.result for p in self.points if p.kind == "known")
            and all(p.kind == "load" and all(f.linear() for f in p.index) for p in self.operands)
            and all(f.linear() for _, index, _ in self.outputs for f in index)
        )

    def refine(self) -> bool:
        """Split an axis that a reshape asks for in parts."""
        wanted = [*self.points, *reachable(self.operands)]
        for _, index, _ in self.outputs:
            wanted += [Point(self.result.value, (f,), None, "") for f in index]
        for p in wanted:
            p.kind = p.kind or "load"
        return any(space.refine(wanted) for space in self.spaces)


def _through_views(point: Point) -> Point:
    while point.kind == "same":
        (point,) = point.args
    return point


def _layout(region: Region, node: Node) -> _Layout:
    """The layout, with axes split as far as reshapes ask for it."""
    convolution = node.op.name in CONVOLUTIONS
    if convolution:
        values = (*_operands(node), node.outputs[0])
        spaces = [Space(v.shape, name) for v, name in zip(values, "abc", strict=True)]
    else:
        sizes = _label_sizes(node)
        spaces = [Space(list(sizes.values()))]
    for _ in range(MAX_SPLITS):
        if convolution:
            indices = [space.index for space in spaces]
        else:
            at = dict(zip(sizes, spaces[0].index, strict=True))
            indices = [tuple(at[c] for c in text) for text in _labels(node)]
        layout = _Layout(region, node, spaces, indices)
        if not layout.refine():
            break
    if convolution:  # it walks an axis for each dimension, and no parts of one
        layout.fits &= all(len(parts) == 1 for space in spaces for parts in space.digits)
    return layout


def _operands(node: Node) -> tuple[Value, Value]:
    lhs, rhs = node.inputs
    assert isinstance(lhs, Value) and isinstance(rhs, Value)
    return lhs, rhs


def _labels(node: Node) -> tuple[str, str, str]:
    """The labels of both operands and of the result."""
    op: Any = type(node.op)
    lhs, rhs = _operands(node)
    left, right, result = op.labels(lhs.type, rhs.type, node.params)
    return left, right, result


def _label_sizes(node: Node) -> dict[str, Extent]:
    sizes: dict[str, Extent] = {}
    left, right, _ = _labels(node)
    for text, v in zip((left, right), _operands(node), strict=True):
        for label, size in zip(text, v.shape, strict=True):
            sizes.setdefault(label, size)
    return sizes


# emission -----------------------------------------------------------------------------------------


class _Emitter:
    """Emits a contraction; what follows it is evaluated on each finished vector."""

    def __init__(
        self, b: NestBuilder, region: Region, env: Env, node: Node, layout: _Layout
    ) -> None:
        self.b, self.env, self.node, self.layout = b, env, node, layout
        self.emitter = Emitter(b, env, region.places(env))
        self.elem = _operands(node)[0].dtype.name
        self.stores = [
            (buffer, index, point)
            for v, index, point in layout.outputs
            for buffer in region.targets(env, v)
        ]
        result = layout.spaces[-1]
        self.axes = frozenset(result.axes)
        self.emitter.hoist([p for _, _, p in self.stores], self.axes)

    def finish(
        self, at: Mapping[Axis, Reg], along: Axis | None, value: Reg, mask: Reg | None
    ) -> None:
        """The epilogue: compute the results from a finished vector, then store them."""
        emitter, b = self.emitter, self.b
        with emitter.scope():
            emitter.at.update(at)
            if along is not None and not same(along.extent, 1):
                emitter.along(along, value.ty.lanes, mask)
            elif value.ty.lanes > 1:
                value = b.extract(value, 0)
            emitter.remember(self.layout.result, b.cast(value, self.layout.result.elem))
            values = [emitter.emit(point) for _, _, point in self.stores]
            for (buffer, index, _), found in zip(self.stores, values, strict=True):
                emitter.store(buffer, index, found)

    def stride(self, point: Point, axis: Axis) -> int | Reg:
        """Elements that a step along the axis moves in an operand."""
        assert isinstance(point.value, Value)
        found = stride_along(self.emitter, axis, self.emitter.places[point.value], point.index)
        assert found is not None
        return found

    def place(self, point: Point, axes: Sequence[Axis]) -> tuple[StridedBuffer, Reg]:
        """An operand's buffer, and the offset of its first element."""
        assert isinstance(point.value, Value)
        buffer = self.emitter.places[point.value]
        b = self.b
        start = b.i64(0)
        with self.emitter.scope():
            self.emitter.at.update({a: b.i64(0) for a in axes})
            for form, stride in zip(point.index, buffer.strides, strict=True):
                start = b.add(start, b.mul(self.emitter.base(form), stride))
        return buffer, start


class _Product(_Emitter):
    """A matrix product or einsum."""

    def run(self) -> None:
        (space,) = self.layout.spaces
        digits = dict(zip(_label_sizes(self.node), space.digits, strict=True))
        left, right, result = _labels(self.node)
        unit = self._unit_label(result, digits)
        lhs, rhs = self.layout.operands
        if unit in left and unit not in right:
            left, right, lhs, rhs = right, left, rhs, lhs
        batch = [c for c in result if c in left and c in right]
        rows = [c for c in result if c not in batch and c in left]
        columns = [c for c in result if c not in batch and c in right]
        if unit in columns:
            columns.remove(unit)
            columns.append(unit)
        summed = [c for c in left if c not in result]
        every = [a for found in digits.values() for a in found]
        self.sides = {a: ContractionAxis(a.key, self.emitter.size(a.extent)) for a in every}
        groups = [
            tuple(self.sides[a] for c in labels for a in digits[c])
            for labels in (batch, rows, columns, summed)
        ]
        last = [a for c in columns for a in digits[c]]
        self.along = last[-1] if last else None
        a, b = self._operand(lhs, every), self._operand(rhs, every)
        deep = all(self.stride(p, digits[c][-1]) != 1 for p in (lhs, rhs) for c in summed[-1:])
        batches, ms, ns, ks = groups
        acc = accumulator(self.elem)
        spec = Contraction(a, b, batches, ms, ns, ks, self._epilogue, acc, long_k=deep)
        contraction(self.b, spec, self.env.target)

    def _unit_label(self, result: str, digits: Mapping[str, Sequence[Axis]]) -> str:
        """The label along which the results lie side by side in memory."""
        for label in result:
            axis = digits[label][-1]
            for buffer, index, _ in self.stores:
                if stride_along(self.emitter, axis, buffer, index) == 1:
                    return label
        return result[-1:]

    def _operand(self, point: Point, axes: Sequence[Axis]) -> Operand:
        buffer, start = self.place(point, axes)
        strides = {
            self.sides[a]: self.stride(point, a)
            for a in axes
            if any(a in f.axes for f in point.index)
        }
        return Operand(buffer.pointer, buffer.dtype.name, strides, start)

    def _epilogue(
        self, b: NestBuilder, index: Mapping[ContractionAxis, Reg], value: Reg, mask: Reg | None
    ) -> None:
        at = {a: index[side] for a, side in self.sides.items() if side in index}
        self.finish(at, self.along, value, mask)


class _Convolution(_Emitter):
    """A convolution or one of its gradients."""

    def run(self) -> None:
        name, p = self.node.op.name, self.node.params
        lhs, rhs = _operands(self.node)
        result = self.node.outputs[0]
        images = {"conv2d": (lhs, rhs, result), "conv2d_input_grad": (result, rhs, lhs)}
        x, w, y = images.get(name, (rhs, result, lhs))
        size = self.emitter.size
        window = conv.ConvolutionWindow(
            images=size(x.shape[0]),
            in_channels=size(w.shape[1]),
            in_size=(size(x.shape[2]), size(x.shape[3])),
            out_channels=size(w.shape[0] // p["groups"]),
            out_size=(size(y.shape[2]), size(y.shape[3])),
            kernel=(int(w.shape[2]), int(w.shape[3])),
            stride=p["stride"],
            padding=p["padding"],
            dilation=p["dilation"],
            groups=p["groups"],
        )
        first, second = (self._tensor(i) for i in range(2))
        acc = accumulator(self.elem)
        if name == "conv2d":
            specs = [conv.forward(self.b, window, first, second, acc, self._image)]
        elif name == "conv2d_input_grad":
            specs = conv.input_gradient(self.b, window, first, second, acc, self._image)
        else:
            specs = [conv.weight_gradient(self.b, window, second, first, acc, self._weight)]
        for spec in specs:
            contraction(self.b, spec, self.env.target)

    def _tensor(self, i: int) -> conv.Tensor4:
        point, space = self.layout.operands[i], self.layout.spaces[i]
        axes = [digits[-1] for digits in space.digits]
        buffer, start = self.place(point, axes)
        pointer = self.b.offset(buffer.pointer, start, buffer.dtype.name)
        used = {a for f in point.index for a in f.axes}
        # along an axis that the operand doesn't have it was expanded: the same element again
        n, c, h, w = (self.stride(point, a) if a in used else int(same(a.extent, 1)) for a in axes)
        return conv.Tensor4(pointer, buffer.dtype.name, (n, c, h, w))

    def _image(self, b: NestBuilder, at: Mapping[str, Reg], value: Reg, mask: Reg | None) -> None:
        axes = [digits[-1] for digits in self.layout.spaces[-1].digits]
        self.finish(dict(zip(axes, (at[n] for n in "nchw"), strict=True)), axes[1], value, mask)

    def _weight(self, b: NestBuilder, at: Mapping[str, Reg], value: Reg, mask: Reg | None) -> None:
        axes = [digits[-1] for digits in self.layout.spaces[-1].digits]
        index = dict(zip(axes, (at[n] for n in ("o", "i", "kh", "kw")), strict=True))
        self.finish(index, axes[0], value, mask)
