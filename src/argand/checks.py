"""Assertions of PyTorch's programs and libraries: `torch._assert`, `torch._check` and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError
from argand.tensor.core import Tensor
from argand.tensor.creation import tensor


def _assert(condition: Any, message: Any) -> None:
    """AssertionError unless the condition holds."""
    kind: Any = type(condition)
    if not isinstance(condition, Tensor) and hasattr(kind, "__torch_function__"):
        kind.__torch_function__(_assert, (kind,), (condition, message))  # `fx` makes a node of it
    else:
        assert condition, message


def _check_with(error: type[Exception], cond: Any, message: Callable[[], str] | None) -> None:
    if not cond:
        raise error("Expected cond to be True" if message is None else str(message()))


def _check(cond: Any, message: Callable[[], str] | None = None) -> None:
    _check_with(ArgumentError, cond, message)


def _check_value(cond: Any, message: Callable[[], str] | None = None) -> None:
    _check_with(ValueError, cond, message)


def _check_type(cond: Any, message: Callable[[], str] | None = None) -> None:
    _check_with(TypeError, cond, message)


def _check_index(cond: Any, message: Callable[[], str] | None = None) -> None:
    _check_with(IndexError, cond, message)


def _check_is_size(i: int, message: Callable[[], str] | None = None, *, max: Any = None) -> None:
    _check(i >= 0 and (max is None or i <= max), message)


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """False: no tensor is made of other tensors."""
    return False


def _shape_as_tensor(x: Tensor) -> Tensor:
    return tensor(list(x.shape))
