"""`torch.sparse.FloatTensor` and the like: PyTorch's old constructors of sparse tensors."""

from __future__ import annotations

from typing import Any

from argand.base import dtype as dtypes
from argand.base.dtype import DType
from argand.base.errors import DTypeError
from argand.sparse.coo import SparseCooTensor, empty, sparse_coo_tensor
from argand.tensor.core import Size, Tensor


class _Typed(type):
    """A name for the sparse tensors of one dtype: makes them, and tells what is one."""

    dtype: DType

    def __call__(cls, *given: Any, device: Any = None) -> Any:
        if len(given) > 1 and isinstance(given[0], Tensor):
            indices, values, *size = given
            if values.dtype is not cls.dtype:
                raise DTypeError(
                    f"sparse.{cls.__name__}: expected values of {cls.dtype.name}, got "
                    f"{values.dtype.name}"
                )
            return sparse_coo_tensor(indices, values, *size, device=device)
        if len(given) == 1 and isinstance(given[0], Size | tuple | list):
            (given,) = given
        return empty(given or (0,), cls.dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, SparseCooTensor) and instance.dtype is cls.dtype


def _named(title: str, dtype: DType) -> Any:
    doc = f"""Sparse {dtype.name} tensors: ``{title}Tensor(indices, values, size)``, or of sizes.

    PyTorch's old form of `ag.sparse_coo_tensor`; `isinstance` tells whether something is one.

    >>> ag.sparse.{title}Tensor(2, 3).shape
    argand.Size([2, 3])
    """
    name = f"{title}Tensor"
    return _Typed(name, (), {"dtype": dtype, "__doc__": doc, "__module__": "argand.sparse"})


BFloat16Tensor = _named("BFloat16", dtypes.bfloat16)
ByteTensor = _named("Byte", dtypes.uint8)
CharTensor = _named("Char", dtypes.int8)
DoubleTensor = _named("Double", dtypes.float64)
FloatTensor = _named("Float", dtypes.float32)
HalfTensor = _named("Half", dtypes.float16)
IntTensor = _named("Int", dtypes.int32)
LongTensor = _named("Long", dtypes.int64)
ShortTensor = _named("Short", dtypes.int16)
