"""The masks of scores, read beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from argand.kernels.attention.operands import Attention
from argand.kernels.attention.softmax import LOG2E
from argand.kernels.attention.tiles import base_of
from argand.kernels.contraction.spec import ContractionAxis, take
from argand.nest.builder import NestBuilder, Reg, Ty, static

__all__ = ["limited", "masked"]


def masked(
    b: NestBuilder, spec: Attention, x: Reg, index: Mapping[ContractionAxis, Reg], left: Reg
) -> Reg:
    """A vector of scores along the keys with the mask; `left` are the keys that exist."""
    operand, lanes = spec.mask, x.ty.lanes
    assert operand is not None
    base = base_of(b, operand, index)
    ty, step = Ty(operand.elem, lanes), operand.stride(spec.key)
    if static(step) == 0:
        mask = b.splat(b.load(base, 0, ty.with_lanes(1)), lanes)
    else:
        mask = take(b, base, 0, step, ty, left)
    if operand.elem == "bool":
        return b.where(mask, x, -math.inf)
    return b.fma(b.cast(mask, x.ty), b.const(x.ty, LOG2E), x)


def limited(b: NestBuilder, x: Reg, key: Reg, limit: Reg) -> Reg:
    """A vector of scores from `key` on, those from the key `limit` on being hidden."""
    return b.where(b.tail_mask(key, limit, x.ty.lanes, x.ty.elem), x, -math.inf)
