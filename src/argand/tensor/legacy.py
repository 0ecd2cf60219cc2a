"""`FloatTensor`, `LongTensor` and the like: PyTorch's old constructors, still used in hints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.base import dtype as dtypes
from argand.base.dim import Dim
from argand.base.dtype import DType, get_default_dtype
from argand.base.errors import CallError, DTypeError
from argand.tensor.core import Size, Tensor
from argand.tensor.creation import tensor, zeros
from argand.tensor.device import check_device
from argand.tensor.subclass import as_class


def construct(cls: Any, *data: Any, device: Any = None) -> Any:
    """``Tensor(2, 3)``: zeros of a shape; ``Tensor([1, 2])``: of data, in the default float dtype;
    ``Tensor(x)``: the memory of a tensor of that dtype, without history."""
    check_device(device)
    dtype = get_default_dtype()
    if len(data) == 1 and isinstance(data[0], Tensor):
        if data[0].dtype is not dtype:
            raise DTypeError(
                f"Tensor(x): expected {dtype.name}, got {data[0].dtype.name}; use x.to(...)"
            )
        return as_class(data[0].detach(), cls)
    return as_class(_made("Tensor", data, dtype), cls)


def _made(name: str, given: Sequence[Any], dtype: DType) -> Any:
    """Zeros of the sizes given one by one or as a `Size`, or a tensor of a sequence of numbers."""
    if len(given) != 1 or isinstance(given[0], Size) or _is_size(given[0]):
        return zeros(*(given or (0,)), dtype=dtype)
    (data,) = given
    if np.ndim(data) == 0 and not isinstance(data, Tensor | np.ndarray):
        raise CallError(
            f"{name}: expected sizes or a sequence of numbers, got a {type(data).__name__}; "
            "write ag.tensor(...) for one number"
        )
    return tensor(data, dtype=dtype)


def _is_size(x: Any) -> bool:
    return isinstance(x, int | np.integer | Dim) and not isinstance(x, bool)


def new(self: Any, *data: Any, device: Any = None) -> Any:
    """Zeros of a shape, or a tensor of data, in the dtype of this one: an older `new_tensor`.

    >>> ag.tensor([1, 2]).new(1, 2), ag.tensor([1, 2]).new([3.7])
    (tensor([[0, 0]]), tensor([3]))
    """
    check_device(device)
    return _made("new", data, self.dtype)


class _Typed(type):
    """A name for the tensors of one dtype: makes them, and tells whether something is one."""

    dtype: DType

    def __call__(cls, *data: Any, device: Any = None) -> Any:
        check_device(device)
        return _made(cls.__name__, data, cls.dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


def set_default_tensor_type(t: Any) -> None:
    """Set the dtype of floats made from Python numbers, by a type of tensors or its name.

    `set_default_dtype` is the newer form. Raises TypeError for a type that holds no floats,
    DeviceError for one of another device. Follows `torch.set_default_tensor_type`.

    >>> ag.set_default_tensor_type(ag.DoubleTensor)
    >>> ag.get_default_dtype()
    argand.float64
    >>> ag.set_default_tensor_type("argand.FloatTensor")
    """
    name = t if isinstance(t, str) else getattr(t, "__name__", "")
    path = name.split(".")
    if len(path) == 3:
        check_device(path[1])
    kind = globals().get(path[-1])
    if not isinstance(kind, _Typed):
        raise TypeError(
            "set_default_tensor_type: expected a type of tensors such as FloatTensor, or its "
            f"name, got {t!r}"
        )
    dtypes.set_default_dtype(kind.dtype)


class FloatTensor(metaclass=_Typed):
    """float32 tensors: ``FloatTensor([1, 2])`` of data, ``FloatTensor(2, 3)`` zeros of a shape.

    `isinstance` tells whether something is one. PyTorch's old form of ``tensor(data, dtype=...)``.

    >>> ag.FloatTensor([1, 2]), isinstance(ag.ones(2), ag.FloatTensor)
    (tensor([1., 2.]), True)
    """

    dtype = dtypes.float32


class DoubleTensor(metaclass=_Typed):
    """float64 tensors, made as `FloatTensor`.

    >>> ag.DoubleTensor([1, 2])
    tensor([1., 2.], dtype=argand.float64)
    """

    dtype = dtypes.float64


class HalfTensor(metaclass=_Typed):
    """float16 tensors, made as `FloatTensor`.

    >>> ag.HalfTensor([1, 2])
    tensor([1., 2.], dtype=argand.float16)
    """

    dtype = dtypes.float16


class BFloat16Tensor(metaclass=_Typed):
    """bfloat16 tensors, made as `FloatTensor`.

    >>> ag.BFloat16Tensor([1, 2])
    tensor([1., 2.], dtype=argand.bfloat16)
    """

    dtype = dtypes.bfloat16


class LongTensor(metaclass=_Typed):
    """int64 tensors, made as `FloatTensor`.

    >>> ag.LongTensor([1, 2])
    tensor([1, 2])
    """

    dtype = dtypes.int64


class IntTensor(metaclass=_Typed):
    """int32 tensors, made as `FloatTensor`.

    >>> ag.IntTensor([1, 2])
    tensor([1, 2], dtype=argand.int32)
    """

    dtype = dtypes.int32


class ShortTensor(metaclass=_Typed):
    """int16 tensors, made as `FloatTensor`.

    >>> ag.ShortTensor([1, 2])
    tensor([1, 2], dtype=argand.int16)
    """

    dtype = dtypes.int16


class CharTensor(metaclass=_Typed):
    """int8 tensors, made as `FloatTensor`.

    >>> ag.CharTensor([1, 2])
    tensor([1, 2], dtype=argand.int8)
    """

    dtype = dtypes.int8


class ByteTensor(metaclass=_Typed):
    """uint8 tensors, made as `FloatTensor`.

    >>> ag.ByteTensor([1, 2])
    tensor([1, 2], dtype=argand.uint8)
    """

    dtype = dtypes.uint8


class BoolTensor(metaclass=_Typed):
    """Boolean tensors, made as `FloatTensor`.

    >>> ag.BoolTensor([True, False])
    tensor([ True, False])
    """

    dtype = dtypes.bool_
