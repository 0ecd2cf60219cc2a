"""Contractions as kernels of regions: `matmul`, `einsum` and the convolutions with their epilogue.

Views of the operands become strides, dimensions that a reshape joins become axes of their own, and
what follows the contraction is evaluated on each finished vector, while it is in registers: bias,
activation, residual, or the optimizer's update of the weight whose gradient is computed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from argand.base.dim import same
from argand.ir.contract import Contract
from argand.ir.families import Convolution
from argand.ir.program import Node
from argand.kernels.contraction import convolution as conv
from argand.kernels.contraction.blocked import contraction, contractions
from argand.kernels.contraction.layout import (
    Layout,
    contraction_of,
    convolution_layout,
    label_sizes,
    labels_of,
    operands_of,
    product_layout,
)
from argand.kernels.contraction.panels import stored_for_unit
from argand.kernels.contraction.spec import Contraction, ContractionAxis, Operand, accumulator
from argand.kernels.cost import CHEAP_FLOPS, flops_of, worth_a_loop
from argand.kernels.plan import Cost, Plan, described, types_text
from argand.lowering.affine import Axis
from argand.lowering.context import LoweringContext, StridedBuffer
from argand.lowering.emitter import Emitter
from argand.lowering.order import Access, Order, loads_of
from argand.lowering.points import Point
from argand.lowering.region import Region
from argand.lowering.space import load_stride, stride_along
from argand.nest.builder import NestBuilder, Reg

__all__ = ["ConvolutionPlan", "ProductPlan", "match_convolution", "match_product"]


class _ContractionPlan(Plan):
    """A region of one contraction and an epilogue on its result.

    `parted` says whether a reshape of an operand parts one of its dimensions.
    """

    kind = "contract"

    def __init__(self, region: Region, node: Node, layout: Layout, parted: bool = False) -> None:
        super().__init__(region)
        self.node, self.layout, self.parted = node, layout, parted

    @functools.cached_property
    def cost(self) -> Cost:
        """The epilogue should compute each element once, and nothing dear: the chains of few
        elements hardly overlap where a contraction ends."""
        return Cost(losses=tuple(self._losses()))

    def _losses(self) -> Iterator[str]:
        if self.parted:
            yield "an operand is read in parts"
        if not self.layout.whole:
            yield "results are written in parts"
        for n in self.region.nodes:
            if n.outputs[0] not in self.layout.located:
                if flops_of(n) > CHEAP_FLOPS:
                    yield f"{n.op.name} is repeated"
            elif n is not self.node and worth_a_loop(n):
                yield f"{n.op.name} is computed by few elements at a time"

    @functools.cached_property
    def orders(self) -> list[Order]:
        """The operands of the product are read at any time; the epilogue reads what it needs for a
        finished vector, then stores the results' elements."""
        layout = self.layout
        loads = [Access(a.value, None) for a in loads_of(layout.operands)]
        loads += loads_of([p for _, _, p in layout.outputs])
        stores = [Access(v, index) for v, index, _ in layout.outputs]
        return [Order(tuple(loads), tuple(stores))]

    def __str__(self) -> str:
        at = self.region.nodes.index(self.node)
        before, after = self.region.nodes[:at], self.region.nodes[at + 1 :]
        text = f"contraction: {self.node.op.name} of {types_text(operands_of(self.node))}"
        text += f" through {described(before)}" if before else ""
        return f"{text}, then {described(after)}" if after else text


class ProductPlan(_ContractionPlan):
    """A matrix product or einsum."""

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        _Product(self, b, context).run()


class ConvolutionPlan(_ContractionPlan):
    """A convolution or one of its gradients."""

    def emit(self, b: NestBuilder, context: LoweringContext) -> None:
        _Convolution(self, b, context).run()

    def emit_image(self, b: NestBuilder, context: LoweringContext, image: Reg) -> None:
        """Write the nest that computes one image of the result alone."""
        _Convolution(self, b, context, image).run()


def match_product(region: Region) -> ProductPlan | None:
    """The plan of a region of one matrix product."""
    node = contraction_of(region, Contract)
    if node is None:
        return None
    layout, parted = product_layout(region, node)
    return None if layout is None else ProductPlan(region, node, layout, parted)


def match_convolution(region: Region) -> ConvolutionPlan | None:
    """The plan of a region of one convolution."""
    node = contraction_of(region, Convolution)
    if node is None:
        return None
    layout = convolution_layout(region, node)
    return None if layout is None else ConvolutionPlan(region, node, layout)


# emission -----------------------------------------------------------------------------------------


class _Emitter:
    """Emits a contraction; what follows it is evaluated on each finished vector."""

    def __init__(self, plan: _ContractionPlan, b: NestBuilder, context: LoweringContext) -> None:
        region, node, layout = plan.region, plan.node, plan.layout
        self.b, self.context, self.node, self.layout = b, context, node, layout
        self.emitter = Emitter(b, context, region.places(context))
        self.elem = operands_of(node)[0].dtype.name
        self.stores = [
            (buffer, index, point)
            for v, index, point in layout.outputs
            for buffer in region.targets(context, v)
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
        found = load_stride(self.emitter, axis, point)
        assert found is not None
        return found

    def place(self, point: Point, axes: Sequence[Axis]) -> tuple[StridedBuffer, Reg]:
        """An operand's buffer, and the offset of its first element."""
        buffer = self.emitter.buffer(point)
        with self.emitter.scope():
            self.emitter.at.update({a: self.b.i64(0) for a in axes})
            return buffer, self.emitter.offset(buffer, point.index)


class _Product(_Emitter):
    """A matrix product or einsum."""

    def run(self) -> None:
        (space,) = self.layout.spaces
        digits = dict(zip(label_sizes(self.node), space.digits, strict=True))
        left, right, result = labels_of(self.node)
        unit = self._unit_label(result, digits)
        every = [a for found in digits.values() for a in found]
        self.sides = {a: ContractionAxis(a.key, self.emitter.size(a.extent)) for a in every}
        lhs, rhs = (self._operand(p, every) for p in self.layout.operands)
        spec = self._spec((left, lhs), (right, rhs), unit, digits)
        turned = unit in left and unit not in right
        if turned and not stored_for_unit(spec, self.context.target):
            spec = self._spec((right, rhs), (left, lhs), unit, digits)
        last = [a for a in every if self.sides[a] in spec.n[-1:]]
        self.along = last[-1] if last else None
        contraction(self.b, spec, self.context.target)

    def _spec(
        self,
        a: tuple[str, Operand],
        b: tuple[str, Operand],
        unit: str,
        digits: Mapping[str, Sequence[Axis]],
    ) -> Contraction:
        """The contraction whose rows are labels of `a` and whose columns are of `b`; `unit` last,
        where it is a column."""
        (left, lhs), (right, rhs), result = a, b, labels_of(self.node)[-1]
        batch = [c for c in result if c in left and c in right]
        rows = [c for c in result if c not in batch and c in left]
        columns = [c for c in result if c not in batch and c in right]
        if unit in columns:
            columns.remove(unit)
            columns.append(unit)
        summed = [c for c in left if c not in result]
        deep = all(
            x.stride(self.sides[digits[c][-1]]) != 1 for x in (lhs, rhs) for c in summed[-1:]
        )
        batches, ms, ns, ks = (
            tuple(self.sides[a] for c in labels for a in digits[c])
            for labels in (batch, rows, columns, summed)
        )
        acc = accumulator(self.elem)
        return Contraction(lhs, rhs, batches, ms, ns, ks, self._epilogue, acc, long_k=deep)

    def _unit_label(self, result: str, digits: Mapping[str, Sequence[Axis]]) -> str:
        """The label along which the results are contiguous in memory."""
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
    """A convolution or one of its gradients; with `image`, that one of a convolution's images."""

    def __init__(
        self,
        plan: _ContractionPlan,
        b: NestBuilder,
        context: LoweringContext,
        image: Reg | None = None,
    ) -> None:
        super().__init__(plan, b, context)
        self.image = image

    def run(self) -> None:
        roles, p = cast(Convolution, self.node.op).roles, self.node.params
        assert roles is not None
        values = dict(zip(roles, (*operands_of(self.node), self.node.outputs[0]), strict=True))
        x, w, y = (values[role] for role in ("image", "weight", "result"))
        size = self.emitter.size
        window = conv.ConvolutionWindow(
            images=size(x.shape[0]) if self.image is None else 1,
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
        given = {role: self._tensor(i) for i, role in enumerate(roles[:2])}
        b, acc = self.b, accumulator(self.elem)
        if roles[2] == "result":
            image, weight = given["image"], given["weight"]
            specs = [conv.forward(b, window, image, weight, acc, self._image)]
        elif roles[2] == "image":
            result, weight = given["result"], given["weight"]
            specs = conv.input_gradient(b, window, result, weight, acc, self._image)
        else:
            image, result = given["image"], given["result"]
            specs = [conv.weight_gradient(b, window, image, result, acc, self._weight)]
        contractions(self.b, specs, self.context.target)

    def _tensor(self, i: int) -> conv.Tensor4:
        point, space = self.layout.operands[i], self.layout.spaces[i]
        axes = [digits[-1] for digits in space.digits]
        every = [a for digits in space.digits for a in digits]
        buffer, start = self.place(point, every)
        used = {a for f in point.index for a in f.axes}
        first = space.digits[0]
        panels = (int(first[1].extent), self.stride(point, first[0])) if len(first) > 1 else None
        # along an axis that the operand doesn't have it was expanded: the same element again
        n, c, h, w = (self.stride(point, a) if a in used else int(same(a.extent, 1)) for a in axes)
        if self.image is not None and i == 0:
            start = self.b.add(start, self.b.mul(self.image, n))
        pointer = self.b.offset(buffer.pointer, start, buffer.dtype.name)
        return conv.Tensor4(pointer, buffer.dtype.name, (n, c, h, w), panels)

    def _image(self, b: NestBuilder, at: Mapping[str, Reg], value: Reg, mask: Reg | None) -> None:
        axes = [digits[-1] for digits in self.layout.spaces[-1].digits]
        n, *others = (at[name] for name in "nchw")
        n = n if self.image is None else self.image
        self.finish(dict(zip(axes, (n, *others), strict=True)), axes[1], value, mask)

    def _weight(self, b: NestBuilder, at: Mapping[str, Reg], value: Reg, mask: Reg | None) -> None:
        axes = [digits[-1] for digits in self.layout.spaces[-1].digits]
        index = dict(zip(axes, (at[n] for n in ("o", "i", "kh", "kw")), strict=True))
        self.finish(index, axes[0], value, mask)
