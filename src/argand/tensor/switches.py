"""PyTorch's process-wide switches, as far as they mean something here."""

from __future__ import annotations

from typing import Any

from argand.base import dtype as dtypes
from argand.base.dtype import SCALAR, TENSOR, ZERO_DIM, DType, as_dtype, of_scalar
from argand.base.dtype import result_type as common_type
from argand.base.errors import ArgumentError
from argand.base.preferences import preferences
from argand.tensor.core import Tensor
from argand.tensor.device import default_device, make_default


def get_default_device() -> Any:
    """The device of new tensors in this thread: the CPU.

    >>> ag.get_default_device()
    device(type='cpu')
    """
    return default_device()


def set_default_device(device: Any) -> None:
    """Set the device of new tensors in this thread; only "cpu" is there, DeviceError for others.

    >>> ag.set_default_device("cpu")
    """
    make_default(device)


def set_float32_matmul_precision(precision: str) -> None:
    """Kept and answered: products of float32 are always computed in float32.

    Raises ArgumentError unless it is "highest", "high" or "medium".

    >>> ag.set_float32_matmul_precision("highest")
    """
    preferences.set_float32_matmul(precision)


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given last.

    >>> ag.get_float32_matmul_precision()
    'highest'
    """
    return preferences.float32_matmul


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Kept and answered: all algorithms are deterministic, on any number of threads.

    >>> ag.use_deterministic_algorithms(False)
    """
    for name, value in (("mode", mode), ("warn_only", warn_only)):
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, got {value!r}")
    preferences.deterministic = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms` was given True last; they are in any case.

    >>> ag.are_deterministic_algorithms_enabled()
    False
    """
    return preferences.deterministic > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether `use_deterministic_algorithms` was told to warn only; there is nothing to warn of.

    >>> ag.is_deterministic_algorithms_warn_only_enabled()
    False
    """
    return preferences.deterministic == 1


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """0 or "default", 1 or "warn", 2 or "error": `use_deterministic_algorithms` by another name.

    >>> ag.set_deterministic_debug_mode("default")
    """
    number = _DEBUG_MODES.get(debug_mode, debug_mode) if isinstance(debug_mode, str) else debug_mode
    if isinstance(number, bool) or number not in _DEBUG_MODES.values():
        raise ArgumentError(
            f"set_deterministic_debug_mode takes 0, 1 or 2, or {', '.join(_DEBUG_MODES)}, got "
            f"{debug_mode!r}"
        )
    preferences.deterministic = int(number)


_DEBUG_MODES = {"default": 0, "warn": 1, "error": 2}


def get_deterministic_debug_mode() -> int:
    """What `set_deterministic_debug_mode` was given last, as a number.

    >>> ag.get_deterministic_debug_mode()
    0
    """
    return preferences.deterministic


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
