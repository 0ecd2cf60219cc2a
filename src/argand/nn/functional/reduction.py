"""How the losses of elements become one."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError, CallError, did_you_mean
from argand.base.notices import notice
from argand.ir.op import ops

_REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str, extra: tuple[str, ...] = ()) -> str:
    """The reduction itself; an error that lists the choices otherwise."""
    if reduction not in (*_REDUCTIONS, *extra):
        choices = ", ".join((*_REDUCTIONS, *extra))
        near = did_you_mean(str(reduction), (*_REDUCTIONS, *extra))
        raise ArgumentError(f"reduction must be one of {choices}; got {reduction!r}{near}")
    return reduction


def reduction_of(
    reduction: str, size_average: Any, reduce: Any, extra: tuple[str, ...] = ()
) -> str:
    """The reduction, which PyTorch's older `size_average` and `reduce` override, with a warning."""
    if size_average is None and reduce is None:
        return check_reduction(reduction, extra)
    if isinstance(size_average, str):
        raise CallError(f"size_average= takes True or False; write reduction={size_average!r}")
    averaged, reduced = (given is None or bool(given) for given in (size_average, reduce))
    meant = ("mean" if averaged else "sum") if reduced else "none"
    notice(f"size_average= and reduce= are PyTorch's older form; write reduction={meant!r}")
    return meant


def reduced(losses: Any, reduction: str) -> Any:
    """The losses, their mean or their sum."""
    if reduction == "none":
        return losses
    return ops.mean(losses) if reduction == "mean" else ops.sum(losses)
