"""PyTorch's process-wide switches, as far as they mean something here."""

from __future__ import annotations

from typing import Any

from argand.base import dtype as dtypes
from argand.base.dtype import SCALAR, TENSOR, ZERO_DIM, DType, as_dtype, of_scalar
from argand.base.dtype import result_type as common_type
from argand.base.errors import ArgumentError
from argand.tensor.core import Tensor
from argand.tensor.device import check_device, cpu


def get_default_device() -> Any:
    """The device of new tensors: the CPU.

    >>> ag.get_default_device()
    device(type='cpu')
    """
    return cpu()


def set_default_device(device: Any) -> None:
    """Set the device of new tensors; only "cpu" is there, ArgumentError for others.

    >>> ag.set_default_device("cpu")
    """
    check_device(device)


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted for PyTorch's sake: products of float32 are always computed in float32.

    Raises ArgumentError unless it is "highest", "high" or "medium".

    >>> ag.set_float32_matmul_precision("high")
    """
    if precision not in ("highest", "high", "medium"):
        raise ArgumentError(f"set_float32_matmul_precision: unknown precision {precision!r}")


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted for PyTorch's sake: all algorithms are deterministic, on any number of threads.

    >>> ag.use_deterministic_algorithms(True)
    """


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype that an operation on two tensors or numbers gives.

    Tensors with dimensions come first, then 0-d tensors, then numbers: a later one changes the
    result only if its kind is higher, in the order bool < integer < float < complex. Follows
    `torch.result_type`.

    >>> ag.result_type(ag.tensor([1, 2]), 1.5)
    argand.float32
    >>> ag.result_type(ag.ones(2), ag.tensor(1.0, dtype=ag.float64))
    argand.float32
    """
    return common_type(_category(tensor1), _category(tensor2))


def _category(x: Any) -> tuple[DType, int]:
    if isinstance(x, Tensor):
        return x.dtype, TENSOR if x.ndim else ZERO_DIM
    return of_scalar(x), SCALAR


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a result of one dtype can be written in place into a tensor of another.

    In the order bool < integer < float < complex the kind must not fall; sizes don't matter.
    Follows `torch.can_cast`.

    >>> ag.can_cast(ag.float64, ag.float32), ag.can_cast(ag.float32, ag.int64)
    (True, False)
    """
    return dtypes.can_cast(as_dtype(from_), as_dtype(to))
