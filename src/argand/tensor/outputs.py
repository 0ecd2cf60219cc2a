"""`out=`: results written into tensors that are there already."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from argand.base.dtype import can_cast
from argand.base.errors import ArgumentError, AutogradError, CallError, DTypeError
from argand.base.shape import same_shape, shape_text
from argand.ir import bind as crossroads
from argand.tensor.core import Tensor
from argand.transform.mode import mode


def written(out: Any, result: Any) -> Any:
    """`result`, or each part of it, in the memory of `out`, which is returned.

    A tensor of another shape gets that of the result, with a warning unless it was empty. Raises
    DTypeError where the dtype can't hold the result, AutogradError where a gradient is wanted.
    """
    if isinstance(result, tuple):
        if not isinstance(out, tuple | list) or len(out) != len(result):
            raise CallError(f"out= takes {len(result)} tensors, got {type(out).__name__}")
        parts = [written(o, r) for o, r in zip(out, result, strict=True)]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    if not isinstance(out, Tensor):
        raise CallError(f"out= takes a Tensor, got {type(out).__name__}")
    _check(out, result)
    shape = tuple(result.shape)
    if not same_shape(tuple(out.shape), shape):
        if out.numel():
            warnings.warn(
                f"out= has the shape {shape_text(tuple(out.shape))}, the result "
                f"{shape_text(shape)}: it gets that one; give an empty tensor, ag.empty(0), to "
                "have it sized",
                stacklevel=2,
            )
        out.resize_(shape)
    return out.copy_(result)


def _check(out: Tensor, result: Any) -> None:
    if mode.enabled and (out.requires_grad or result.requires_grad):
        raise AutogradError("out= records no gradient; call it under ag.no_grad(), or without out=")
    if not can_cast(result.dtype, out.dtype):
        raise DTypeError(
            f"out=: a {result.dtype.name} result can't be stored in a {out.dtype.name} tensor"
        )


def check_apart(name: str, out: Any, operands: Iterable[Any]) -> None:
    """That `out`, or each part of it, shares no memory with an operand."""
    if crossroads.tracing():
        return
    parts = out if isinstance(out, tuple | list) else (out,)
    arrays = [x.numpy_array() for x in operands if isinstance(x, Tensor)]
    if any(np.may_share_memory(o.numpy_array(), a) for o in parts for a in arrays):
        raise ArgumentError(f"{name}: out shares memory with an operand; clone() that first")
