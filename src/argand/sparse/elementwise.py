"""Functions of the values that are held: casts, copies, and what maps 0 to 0."""

from __future__ import annotations

from typing import Any

from argand.ir.op import ops
from argand.sparse.coo import SparseCooTensor
from argand.sparse.core import Meaning, SparseTensor
from argand.tensor.core import Tensor

_CASTS = """bfloat16 bool byte cdouble cfloat char cpu cuda double float half int long pin_memory
share_memory_ short to type_as xpu"""


def _of_values(name: str) -> Meaning:
    """A method of Tensor, as one of the values."""

    def meaning(input: SparseTensor, *args: Any, **kwargs: Any) -> Any:
        found = getattr(Tensor, name)(input._elements, *args, **kwargs)
        return input if found is input._elements else input._with(found)

    return meaning


def type_(input: SparseTensor, dtype: Any = None, **ignored: Any) -> Any:
    """With another dtype, or the name of the tensor's type."""
    if dtype is None:
        package, _, name = input._elements.type().rpartition(".")
        return f"{package}.sparse.{name}"
    if isinstance(dtype, str):
        dtype = dtype.replace("sparse.", "")
    return input._with(input._elements.type(dtype))


def clone(input: SparseTensor, *, memory_format: Any = None) -> Any:
    """A copy with places and values of its own."""
    return input._each(lambda part: part.clone())


def _cast(input: SparseTensor, dtype: Any) -> Any:
    return input._with(ops.cast(input._elements, dtype))


COMMON = {name: _of_values(name) for name in _CASTS.split()}
COMMON |= {"cast": _cast, "clone": clone, "type": type_}
SparseCooTensor.meanings.update(COMMON)
