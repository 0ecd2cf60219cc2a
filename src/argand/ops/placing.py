"""Slices of values in graphs of ONNX, and what takes their place."""

from __future__ import annotations

from typing import Any

from argand.base.dim import Extent, Shape, same


def cut_dims(shape: Shape, params: dict[str, Any]) -> list[int]:
    """The dimensions that a slice doesn't take whole."""
    limits = zip(params["start"], params["stop"], params["step"], shape, strict=True)
    whole = [same(lo, 0) and same(hi, size) and by == 1 for lo, hi, by, size in limits]
    return [d for d, taken in enumerate(whole) if not taken]


def placed(g: Any, x: Any, src: Any, params: dict[str, Any], dims: list[int]) -> Any:
    """x with `src` in the place of its slice along `dims`, one of them after the other."""
    if not dims:
        return src
    d, *rest = dims
    start, stop, step = (params[n][d] for n in ("start", "stop", "step"))
    axis, size = g.sizes((d,)), x.shape[d]

    def part(lo: Extent, hi: Extent, by: int = 1) -> Any:
        return g.op("Slice", x, g.sizes((lo,)), g.sizes((hi,)), axis, g.sizes((by,)))

    shape = tuple((stop - start + step - 1) // step if i == d else s for i, s in enumerate(x.shape))
    inner = placed(g, part(start, stop, step)._replace(shape=shape), src, params, rest)
    if step == 1:
        found = g.op("Concat", part(0, start), inner, part(stop, size), axis=d)
    else:
        count = g.op("Range", g.size(start), g.size(stop), g.size(step))
        lined = tuple(shape[d] if i == d else 1 for i in range(len(shape)))
        index = g.op("Expand", g.reshape(count, lined), g.sizes(shape))
        found = g.op("ScatterElements", x, index, inner, axis=d)
    return found._replace(shape=x.shape)
