"""`FloatTensor`, `LongTensor` and the like: PyTorch's old constructors, still used in hints."""

from __future__ import annotations

from typing import Any

from argand.base import dtype as dtypes
from argand.base.dtype import DType
from argand.tensor.core import Tensor
from argand.tensor.creation import tensor, zeros


class _Typed(type):
    """A name for the tensors of one dtype: makes them, and tells whether something is one."""

    dtype: DType

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not isinstance(args[0], int):
            return tensor(args[0], dtype=cls.dtype)
        return zeros(*args, dtype=cls.dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype


class FloatTensor(metaclass=_Typed):
    """float32 tensors: ``FloatTensor([1, 2])`` of data, ``FloatTensor(2, 3)`` of a shape."""

    dtype = dtypes.float32


class DoubleTensor(metaclass=_Typed):
    """float64 tensors."""

    dtype = dtypes.float64


class HalfTensor(metaclass=_Typed):
    """float16 tensors."""

    dtype = dtypes.float16


class BFloat16Tensor(metaclass=_Typed):
    """bfloat16 tensors."""

    dtype = dtypes.bfloat16


class LongTensor(metaclass=_Typed):
    """int64 tensors."""

    dtype = dtypes.int64


class IntTensor(metaclass=_Typed):
    """int32 tensors."""

    dtype = dtypes.int32


class ShortTensor(metaclass=_Typed):
    """int16 tensors."""

    dtype = dtypes.int16


class CharTensor(metaclass=_Typed):
    """int8 tensors."""

    dtype = dtypes.int8


class ByteTensor(metaclass=_Typed):
    """uint8 tensors."""

    dtype = dtypes.uint8


class BoolTensor(metaclass=_Typed):
    """Boolean tensors."""

    dtype = dtypes.bool_
