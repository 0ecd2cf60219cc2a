"""Checking and copying state dicts, for `Module.load_state_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argand.base.errors import did_you_mean
from argand.base.shape import shape_text
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.inplace import assign


def shape_problems(own: Mapping[str, Tensor], state: Mapping[str, Any]) -> list[str]:
    """A line for every tensor of a state dict that does not fit the module's."""
    problems = []
    for name, target in own.items():
        if name not in state:
            continue
        given = state[name]
        shape = getattr(given, "shape", None)
        if shape is None:
            problems.append(f"{name}: expected a tensor, got {type(given).__name__}")
        elif tuple(shape) != tuple(target.shape):
            problems.append(
                f"size mismatch for {name}: shape {shape_text(shape)} in the state dict, "
                f"{shape_text(target.shape)} in the module"
            )
    return problems


def key_problems(missing: list[str], unexpected: list[str], own: Mapping[str, Any]) -> list[str]:
    """A line for the unexpected names, and one for the missing ones."""
    problems = []
    if unexpected:
        listed = ", ".join(f"{n!r}{did_you_mean(n, own)}" for n in unexpected)
        problems.append(f"unexpected key(s) in state_dict: {listed}")
    if missing:
        problems.append(f"missing key(s) in state_dict: {', '.join(map(repr, missing))}")
    return problems


def load(target: Tensor, given: Any, take: bool) -> None:
    """Copy `given` into a module's tensor, or let the tensor take over its memory."""
    source = given if isinstance(given, Tensor) else ops.contiguous(given)
    if take:
        target.data = source.detach()
        return
    source = source.detach()
    if source.dtype is not target.dtype:
        source = ops.cast(source, target.dtype)
    assign(target, source, "load_state_dict")
