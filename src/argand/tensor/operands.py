"""Which operands of PyTorch's functions are tensors: as methods and operators the rest may be
numbers, as functions not the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import CallError
from argand.ir.elementwise import is_plain_number, rounded_once
from argand.ir.op import Op

__all__ = ["check_tensors", "of_tensors", "rounded_once"]


def check_tensors(name: str, *operands: Any) -> None:
    """CallError for a number where PyTorch's function `name` takes a tensor."""
    for place, v in enumerate(operands):
        if is_plain_number(v):
            raise CallError(
                f"{name}: operand {place + 1} must be a Tensor, got a {type(v).__name__}; "
                "write ag.tensor(...) around a number"
            )


def of_tensors(op: Op) -> Callable[..., Any]:
    """The call of an op with the operands that its function takes."""
    count = op.tensors
    if not count:
        return op

    def call(*args: Any, **kwargs: Any) -> Any:
        check_tensors(op.name, *args[:count])
        return op(*args, **kwargs)

    return call
