"""What PyTorch's own code asks of tensors inside transforms (`torch._C._functorch`)."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from argand.func.calls import value_of
from argand.tensor.core import Tensor
from argand.transform.tape import GradientNode, Primal

__all__ = [
    "TransformGetItemToIndex",
    "get_unwrapped",
    "is_batchedtensor",
    "is_functionaltensor",
    "is_functorch_wrapped_tensor",
    "is_gradtrackingtensor",
    "is_legacy_batchedtensor",
    "maybe_get_level",
]


def is_batchedtensor(x: Any) -> bool:
    """Whether it is a tensor that a function inside `vmap` sees, with a value for each example."""
    value = value_of(x) if isinstance(x, Tensor) else None
    return value is not None and value.operand.many


def is_legacy_batchedtensor(x: Any) -> bool:
    """Whether it is one of an older `vmap`: there is none."""
    return False


def is_functionaltensor(x: Any) -> bool:
    """Whether it is one of `functionalize`, which needs none."""
    return False


def is_gradtrackingtensor(x: Any) -> bool:
    """Whether it is an argument by which a transform differentiates."""
    node = x._node if isinstance(x, Tensor) else None
    return type(node) is GradientNode and type(node.op) is Primal and node.op.active


def is_functorch_wrapped_tensor(x: Any) -> bool:
    """Whether a transform has put it in the place of another tensor."""
    return is_batchedtensor(x) or is_gradtrackingtensor(x)


def get_unwrapped(x: Any) -> Any:
    """The tensor around, of all examples; itself where it is not one inside `vmap`."""
    value = value_of(x)
    return x if value is None else value.level.read(x).value


def maybe_get_level(x: Any) -> int:
    """How many maps a tensor is inside of; -1 for one that is in none."""
    value, count = value_of(x), 0
    while value is not None:
        count, value = count + 1, value_of(value.operand.value)
    return count or -1


class TransformGetItemToIndex(nullcontext[None]):
    """A block in which tensors without dimensions may be indices inside `vmap`: they always may."""
