"""Elements of pooling on demand: a window's taps are operands like any other.

The gradients ask the other way round: an image's element takes from the windows that cover it, so
nothing is scattered and no two threads write to one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from argand.base.dim import Extent
from argand.base.dtype import DType, bool_, compute_dtype, int32, int64
from argand.ir import scalar
from argand.ir.program import Node
from argand.ir.scalar import Expr
from argand.lowering.affine import (
    AFFINE,
    Affine,
    Condition,
    add,
    affine_of,
    always,
    both,
    div,
    linearised,
    scaled,
)
from argand.lowering.identities import extreme_value
from argand.lowering.points import Point, Points
from argand.ops.pooling import AvgPool2d, AvgPool2dGrad, MaxPool2d, MaxPool2dGrad

__all__ = ["POOLING_RULES"]

B = scalar.BUILDER


def _range(affine: Affine, size: Extent) -> Condition | None:
    """0 <= affine < size; None when that is so for sure."""
    found: Condition | None = None
    for c in (AFFINE.le(0, affine), AFFINE.lt(affine, size)):
        found = found if always(c) else both(found, c)
    return found


def _inputs(*dtypes: DType) -> list[Expr]:
    return [scalar.scalar_input(i, d) for i, d in enumerate(dtypes)]


# windows over an image ----------------------------------------------------------------------------


def _taps(
    index: Sequence[Affine], size: Sequence[Extent], params: dict[str, Any]
) -> Iterator[tuple[tuple[int, int], list[Affine], Condition | None]]:
    """(tap, place in the image, when that is inside) of an output's window, in row-major order."""
    dilation = params.get("dilation", (1, 1))
    for p in range(params["kernel_size"][0]):
        for q in range(params["kernel_size"][1]):
            place, valid = list(index[:2]), None
            for d, tap in enumerate((p, q)):
                start = scaled(index[2 + d], params["stride"][d])
                affine = add(start, affine_of(tap * dilation[d] - params["padding"][d]))
                valid = both(valid, _range(affine, size[d]))
                place.append(affine)
            yield (p, q), place, valid


def _max_pool(demand: Points, node: Node, point: Point) -> None:
    (x,) = node.values
    dtype, width = x.dtype, x.shape[3]
    dilation = node.params["dilation"]
    best = offset = have = None
    for (p, q), place, valid in _taps(point.index, x.shape[2:], node.params):
        value = demand.point(x, place, both(point.guard, valid))
        inside = demand.truth(valid)
        away = linearised((affine_of(p * dilation[0]), affine_of(q * dilation[1])), (0, width))
        here = demand.position(away, int32)
        if best is None or offset is None or have is None:
            best, offset, have = value, here, inside
            best = demand.select(
                valid, value, demand.const(extreme_value(dtype, lowest=True), dtype)
            )
            continue
        v, b, i, h = _inputs(dtype, dtype, bool_, bool_)
        wins = ~(v <= b) & B.eq(b, b)
        if valid is not None:
            wins = i & (wins | ~h)
        take = demand.computed(wins, value, best, inside, have)
        t, yes, no = _inputs(bool_, dtype, dtype)
        best = demand.computed(B.where(t, yes, no), take, value, best)
        t, yes, no = _inputs(bool_, int32, int32)
        offset = demand.computed(B.where(t, yes, no), take, here, offset)
        either, other = _inputs(bool_, bool_)
        have = demand.computed(either | other, have, inside)
    assert best is not None and offset is not None
    if point.value is node.outputs[0]:
        point.settle("same", (best,))
        return
    corner = [
        add(
            scaled(point.index[2 + d], node.params["stride"][d]),
            affine_of(-node.params["padding"][d]),
        )
        for d in range(2)
    ]
    start = demand.position(linearised(corner, (0, width)), int64)
    far, begin = _inputs(int32, int64)
    total = demand.computed(B.cast(far, int64) + begin, offset, start)
    point.settle("same", (total,))


def _counts(demand: Points, node: Node, index: Sequence[Affine], size: Sequence[Extent]) -> Point:
    """By how much the sum of a window is divided, as a float."""
    params, dtype = node.params, compute_dtype(node.outputs[0].dtype)
    sides: list[Point] = []
    for d in range(2):
        total = demand.const(0.0, dtype)
        fixed = 0
        for tap in range(params["kernel_size"][d]):
            start = scaled(index[2 + d], params["stride"][d])
            affine = add(start, affine_of(tap - params["padding"][d]))
            if params["count_include_pad"]:
                bound = AFFINE.lt(affine, size[d] + params["padding"][d])
                valid = None if always(bound) else bound
            else:
                valid = _range(affine, size[d])
            if valid is None:
                fixed += 1
                continue
            one = demand.select(valid, demand.const(1.0, dtype), demand.const(0.0, dtype))
            x, y = _inputs(dtype, dtype)
            total = demand.computed(x + y, total, one)
        (x,) = _inputs(dtype)
        sides.append(demand.computed(x + float(fixed), total))
    x, y = _inputs(dtype, dtype)
    return demand.computed(x * y, *sides)


def _avg_pool(demand: Points, node: Node, point: Point) -> None:
    (x,) = node.values
    dtype = compute_dtype(x.dtype)
    total: Point | None = None
    for _, place, valid in _taps(point.index, x.shape[2:], node.params):
        value = demand.point(x, place, both(point.guard, valid))
        value = demand.select(valid, value, demand.const(0.0, x.dtype))
        total = _added(demand, total, value, x.dtype, dtype)
    assert total is not None
    count = _counts(demand, node, point.index, x.shape[2:])
    t, c = _inputs(dtype, dtype)
    point.settle("same", (demand.computed(B.cast(t / c, x.dtype), total, count),))


def _added(demand: Points, total: Point | None, value: Point, dtype: DType, wide: DType) -> Point:
    (v,) = _inputs(dtype)
    widened = demand.computed(B.cast(v, wide), value)
    if total is None:
        return widened
    x, y = _inputs(wide, wide)
    return demand.computed(x + y, total, widened)


# windows that cover a pixel -----------------------------------------------------------------------


def _covering(
    index: Sequence[Affine], out: Sequence[Extent], params: dict[str, Any]
) -> Iterator[tuple[list[Affine], Condition | None]]:
    """(output place, when it exists) of the windows that may cover a pixel."""
    dilation = params.get("dilation", (1, 1))
    reach = [
        (dilation[d] * (params["kernel_size"][d] - 1)) // params["stride"][d] + 1 for d in range(2)
    ]
    for p in range(reach[0] - 1, -1, -1):
        for q in range(reach[1] - 1, -1, -1):
            place, valid = list(index[:2]), None
            for d, back in enumerate((p, q)):
                pixel = add(index[2 + d], affine_of(params["padding"][d]))
                affine = add(div(pixel, params["stride"][d]), affine_of(-back))
                valid = both(valid, _range(affine, out[d]))
                place.append(affine)
            yield place, valid


def _max_pool_grad(demand: Points, node: Node, point: Point) -> None:
    g, chosen = node.values
    dtype = g.dtype
    width = node.params["size"][1]
    here = demand.position(linearised(point.index[2:], (0, width)), int64)
    total: Point | None = None
    for place, valid in _covering(point.index, g.shape[2:], node.params):
        guard = both(point.guard, valid)
        at, value = demand.point(chosen, place, guard), demand.point(g, place, guard)
        a, h, v = _inputs(int64, int64, dtype)
        part = demand.computed(B.where(B.eq(a, h), v, 0.0), at, here, value)
        part = demand.select(valid, part, demand.const(0.0, dtype))
        total = _added(demand, total, part, dtype, dtype)
    assert total is not None
    point.settle("same", (total,))


def _avg_pool_grad(demand: Points, node: Node, point: Point) -> None:
    (g,), params = node.values, node.params
    dtype = compute_dtype(g.dtype)
    total: Point | None = None
    for place, valid in _covering(point.index, g.shape[2:], params):
        inside = valid
        for d in range(2):
            pixel = add(point.index[2 + d], affine_of(params["padding"][d]))
            tap = add(pixel, scaled(place[2 + d], params["stride"][d]), -1)
            bound = AFFINE.lt(tap, params["kernel_size"][d])
            inside = inside if always(bound) else both(inside, bound)
        value = demand.point(g, place, both(point.guard, inside))
        count = _counts(demand, node, place, params["size"])
        v, c = _inputs(g.dtype, dtype)
        part = demand.computed(B.cast(v, dtype) / c, value, count)
        part = demand.select(inside, part, demand.const(0.0, dtype))
        total = _added(demand, total, part, dtype, dtype)
    assert total is not None
    (t,) = _inputs(dtype)
    point.settle("same", (demand.computed(B.cast(t, g.dtype), total),))


POOLING_RULES = (
    (MaxPool2d, _max_pool),
    (MaxPool2dGrad, _max_pool_grad),
    (AvgPool2d, _avg_pool),
    (AvgPool2dGrad, _avg_pool_grad),
)
"""How each op's elements are computed; see `lowering/element.py`."""
