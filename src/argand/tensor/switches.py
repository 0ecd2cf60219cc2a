"""PyTorch's process-wide switches, as far as they mean something here."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import SCALAR, TENSOR, ZERO_DIM, DType, as_dtype, of_scalar
from argand.base.dtype import result_type as common_type
from argand.base.errors import ArgumentError
from argand.tensor.core import Tensor
from argand.tensor.device import check_device, cpu

_KINDS = "buifc"


def get_default_device() -> Any:
    """The device of new tensors: the CPU."""
    return cpu()


def set_default_device(device: Any) -> None:
    """Set the device of new tensors; only the CPU is there."""
    check_device(device)


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted for PyTorch's sake: products of float32 are always computed in float32."""
    if precision not in ("highest", "high", "medium"):
        raise ArgumentError(f"set_float32_matmul_precision: unknown precision {precision!r}")


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted for PyTorch's sake: all algorithms are deterministic."""


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype that an operation on two tensors or numbers gives."""
    return common_type(_category(tensor1), _category(tensor2))


def _category(x: Any) -> tuple[DType, int]:
    if isinstance(x, Tensor):
        return x.dtype, TENSOR if x.ndim else ZERO_DIM
    return of_scalar(x), SCALAR


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a result of one dtype can be written in place into a tensor of another."""
    source, target = as_dtype(from_), as_dtype(to)
    if target.kind == "b":
        return source.kind == "b"
    rank = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
    if target.kind == "u" and source.kind == "i":
        return False
    return rank[source.kind] <= rank[target.kind]
