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
from argand.ir.op import Literal
from argand.ir.program import Node
from argand.ir.scalar import Expr
from argand.lowering.affine import (
    FORMS,
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
from argand.lowering.element import RULES, Demand, Point

__all__ = ["POOLS"]

B = scalar.BUILDER


def _least(dtype: DType) -> Any:
    if dtype.kind == "f":
        return float("-inf")
    return 0 if dtype.kind in "ub" else -(1 << (8 * dtype.itemsize - 1))


def _range(form: Affine, size: Extent) -> Condition | None:
    """0 <= form < size; None when that is so for sure."""
    found: Condition | None = None
    for c in (FORMS.le(0, form), FORMS.lt(form, size)):
        found = found if always(c) else both(found, c)
    return found


def _compute(demand: Demand, expression: Expr, *args: Point) -> Point:
    """A point computed from others, which is no value of the program."""
    key = f"{{{expression} of {','.join(a.key for a in args)}}}"
    found = demand.points.get((-3, key))
    if found is None:
        found = Point(Literal(expression.dtype, 0), (), None, key)
        demand.points[-3, key] = found
        found.settle("expr", args, expression)
    return found


def _choose(demand: Demand, dtype: DType, valid: Condition, yes: Point, no: Point) -> Point:
    """`yes` where the condition holds."""
    key = f"({valid.key}?{yes.key}:{no.key})"
    found = demand.points.get((-1, key))
    if found is None:
        found = demand.points[-1, key] = Point(Literal(dtype, 0), (), None, key)
        found.settle("select", (yes, no), valid)
    return found


def _const(demand: Demand, value: Any, dtype: DType) -> Point:
    return demand.point(Literal(dtype, value), ())


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
                form = add(start, affine_of(tap * dilation[d] - params["padding"][d]))
                valid = both(valid, _range(form, size[d]))
                place.append(form)
            yield (p, q), place, valid


def _max_pool(demand: Demand, node: Node, point: Point) -> None:
    (x,) = node.values
    dtype, width = x.dtype, x.shape[3]
    dilation = node.params["dilation"]
    best = offset = have = None
    for (p, q), place, valid in _taps(point.index, x.shape[2:], node.params):
        value = demand.point(x, place, both(point.guard, valid))
        inside = _const(demand, True, bool_)
        if valid is not None:
            inside = _choose(demand, bool_, valid, inside, _const(demand, False, bool_))
        away = linearised((affine_of(p * dilation[0]), affine_of(q * dilation[1])), (0, width))
        here = demand.position(away, int32)
        if best is None or offset is None or have is None:
            best, offset, have = value, here, inside
            if valid is not None:
                best = _choose(demand, dtype, valid, value, _const(demand, _least(dtype), dtype))
            continue
        v, b, i, h = _inputs(dtype, dtype, bool_, bool_)
        wins = ~(v <= b) & B.eq(b, b)
        if valid is not None:
            wins = i & (wins | ~h)
        take = _compute(demand, wins, value, best, inside, have)
        t, yes, no = _inputs(bool_, dtype, dtype)
        best = _compute(demand, B.where(t, yes, no), take, value, best)
        t, yes, no = _inputs(bool_, int32, int32)
        offset = _compute(demand, B.where(t, yes, no), take, here, offset)
        either, other = _inputs(bool_, bool_)
        have = _compute(demand, either | other, have, inside)
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
    total = _compute(demand, B.cast(far, int64) + begin, offset, start)
    point.settle("same", (total,))


def _counts(demand: Demand, node: Node, index: Sequence[Affine], size: Sequence[Extent]) -> Point:
    """By how much the sum of a window is divided, as a float."""
    params, dtype = node.params, compute_dtype(node.outputs[0].dtype)
    sides: list[Point] = []
    for d in range(2):
        total = _const(demand, 0.0, dtype)
        fixed = 0
        for tap in range(params["kernel_size"][d]):
            start = scaled(index[2 + d], params["stride"][d])
            form = add(start, affine_of(tap - params["padding"][d]))
            if params["count_include_pad"]:
                bound = FORMS.lt(form, size[d] + params["padding"][d])
                valid = None if always(bound) else bound
            else:
                valid = _range(form, size[d])
            if valid is None:
                fixed += 1
                continue
            one = _choose(
                demand, dtype, valid, _const(demand, 1.0, dtype), _const(demand, 0.0, dtype)
            )
            x, y = _inputs(dtype, dtype)
            total = _compute(demand, x + y, total, one)
        (x,) = _inputs(dtype)
        sides.append(_compute(demand, x + float(fixed), total))
    x, y = _inputs(dtype, dtype)
    return _compute(demand, x * y, *sides)


def _avg_pool(demand: Demand, node: Node, point: Point) -> None:
    (x,) = node.values
    dtype = compute_dtype(x.dtype)
    total: Point | None = None
    for _, place, valid in _taps(point.index, x.shape[2:], node.params):
        value = demand.point(x, place, both(point.guard, valid))
        if valid is not None:
            value = _choose(demand, x.dtype, valid, value, _const(demand, 0.0, x.dtype))
        total = _added(demand, total, value, x.dtype, dtype)
    assert total is not None
    count = _counts(demand, node, point.index, x.shape[2:])
    t, c = _inputs(dtype, dtype)
    point.settle("same", (_compute(demand, B.cast(t / c, x.dtype), total, count),))


def _added(demand: Demand, total: Point | None, value: Point, dtype: DType, wide: DType) -> Point:
    (v,) = _inputs(dtype)
    widened = _compute(demand, B.cast(v, wide), value)
    if total is None:
        return widened
    x, y = _inputs(wide, wide)
    return _compute(demand, x + y, total, widened)


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
                form = add(div(pixel, params["stride"][d]), affine_of(-back))
                valid = both(valid, _range(form, out[d]))
                place.append(form)
            yield place, valid


def _max_pool_grad(demand: Demand, node: Node, point: Point) -> None:
    g, chosen = node.values
    dtype = g.dtype
    width = node.params["size"][1]
    here = demand.position(linearised(point.index[2:], (0, width)), int64)
    total: Point | None = None
    for place, valid in _covering(point.index, g.shape[2:], node.params):
        guard = both(point.guard, valid)
        at, value = demand.point(chosen, place, guard), demand.point(g, place, guard)
        a, h, v = _inputs(int64, int64, dtype)
        part = _compute(demand, B.where(B.eq(a, h), v, 0.0), at, here, value)
        if valid is not None:
            part = _choose(demand, dtype, valid, part, _const(demand, 0.0, dtype))
        total = _added(demand, total, part, dtype, dtype)
    assert total is not None
    point.settle("same", (total,))


def _avg_pool_grad(demand: Demand, node: Node, point: Point) -> None:
    (g,), params = node.values, node.params
    dtype = compute_dtype(g.dtype)
    total: Point | None = None
    for place, valid in _covering(point.index, g.shape[2:], params):
        inside = valid
        for d in range(2):
            pixel = add(point.index[2 + d], affine_of(params["padding"][d]))
            tap = add(pixel, scaled(place[2 + d], params["stride"][d]), -1)
            bound = FORMS.lt(tap, params["kernel_size"][d])
            inside = inside if always(bound) else both(inside, bound)
        value = demand.point(g, place, both(point.guard, inside))
        count = _counts(demand, node, place, params["size"])
        v, c = _inputs(g.dtype, dtype)
        part = _compute(demand, B.cast(v, dtype) / c, value, count)
        if inside is not None:
            part = _choose(demand, dtype, inside, part, _const(demand, 0.0, dtype))
        total = _added(demand, total, part, dtype, dtype)
    assert total is not None
    (t,) = _inputs(dtype)
    point.settle("same", (_compute(demand, B.cast(t, g.dtype), total),))


POOLS = {
    "max_pool2d": _max_pool,
    "max_pool2d_grad": _max_pool_grad,
    "avg_pool2d": _avg_pool,
    "avg_pool2d_grad": _avg_pool_grad,
}
RULES.update(POOLS)
