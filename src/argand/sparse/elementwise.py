"""Functions of the values that are held: casts, copies, and what maps 0 to 0."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import as_dtype
from argand.ir.op import ops
from argand.sparse.arithmetic import assigned
from argand.sparse.coo import SparseCooTensor, empty
from argand.sparse.core import Meaning, Meanings, SparseTensor
from argand.sparse.csr import CompressedTensor, compress
from argand.tensor.core import Tensor
from argand.tensor.surface import functions

_CASTS = """bfloat16 bool byte cdouble cfloat char cpu cuda double float half int long pin_memory
share_memory_ short to type_as xpu"""

# They map 0 to 0; the linear ones need no coalesced tensor.
_LINEAR = "conj conj_physical deg2rad neg negative positive rad2deg real"
_KEEPING_ZERO = """abs absolute angle arcsin arcsinh arctan arctanh asin asinh atan atanh ceil erf
erfinv expm1 fix floor frac isinf isnan isneginf isposinf leaky_relu log1p nan_to_num relu round sgn
sign signbit sin sinh sqrt square tan tanh threshold trunc"""


def _of_values(name: str) -> Meaning:
    """A method of Tensor, as one of the values."""

    def meaning(input: SparseTensor, *args: Any, **kwargs: Any) -> Any:
        args = tuple(x._elements if isinstance(x, SparseTensor) else x for x in args)
        found = getattr(Tensor, name)(input._elements, *args, **kwargs)
        return input if found is input._elements else input._with(found)

    return meaning


def _of_sums(name: str) -> Meaning:
    """A function, of the values of the coalesced tensor."""

    def meaning(input: SparseTensor, *args: Any, **kwargs: Any) -> Any:
        held = input.coalesce() if isinstance(input, SparseCooTensor) else input
        return held._with(functions[name](held._elements, *args, **kwargs))

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


def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Overwrite a sparse tensor with another."""
    if type(self) is not type(src):
        raise TypeError("copy_() between dense and sparse tensors is not there; use to_dense()")
    found = src._with(ops.cast(src._elements, self.dtype))
    vars(self).update(vars(clone(found.detach() if self.is_leaf else found)))
    return self


def zeros_like(input: Any, *, dtype: Any = None, **options: Any) -> Any:
    """A sparse tensor of the shape that holds nothing."""
    wanted = input.dtype if dtype is None else as_dtype(dtype)
    found: Any = empty(input.shape, wanted, sparse_dim=input.sparse_dim())
    if isinstance(input, CompressedTensor):
        found = compress(found, type(input))
    return found.requires_grad_() if options.get("requires_grad") else found


def zero_(self: Any) -> Any:
    """Forget all values."""
    vars(self).update(vars(zeros_like(self)))
    return self


def _cast(input: SparseTensor, dtype: Any) -> Any:
    return input._with(ops.cast(input._elements, dtype))


COMMON: Meanings = {name: _of_values(name) for name in _CASTS.split()}
COMMON |= {"cast": _cast, "clone": clone, "copy_": copy_, "type": type_}
COMMON |= {name: _of_sums(name) for name in _KEEPING_ZERO.split() if name in functions}
COMMON |= {name: _of_values(name) for name in _LINEAR.split() if hasattr(Tensor, name)}
for _name in ("neg", *_KEEPING_ZERO.split()):
    if _name in COMMON and hasattr(Tensor, f"{_name}_"):
        COMMON[f"{_name}_"] = assigned(COMMON[_name])


def equal(input: Any, other: Any) -> bool:
    """Whether two sparse tensors of one layout hold the same values in the same places."""
    if type(input) is not type(other) or tuple(input.shape) != tuple(other.shape):
        return False
    a, b = (x.to_sparse_coo().coalesce() for x in (input, other))
    same = functions["equal"]
    return bool(same(a._places, b._places) and same(a._elements, b._elements))


COMMON |= {
    "equal": equal,
    "is_floating_point": lambda x: x.dtype.is_floating_point,
    "is_complex": lambda x: x.dtype.is_complex,
    "is_signed": lambda x: x.dtype.kind not in "bu",
    "is_same_size": lambda x, y: tuple(x.shape) == tuple(y.shape),
    "numel": lambda x: x.numel(),
    "get_device": lambda x: -1,
    "element_size": lambda x: x.itemsize,
    "retain_grad": lambda x: x._elements.retain_grad(),
    "is_tensor": lambda x: True,
    "detach": lambda x: x.detach(),
    "empty_like": zeros_like,
    "zeros_like": zeros_like,
    "zero_": zero_,
    # what `is_cuda` and the like are, and `is_cpu`
    "never": lambda x: False,
    "always": lambda x: True,
    "is_conj": lambda x: False,
    "is_neg": lambda x: False,
    "is_contiguous": lambda x, memory_format=None: False,
    "nbytes": lambda x: sum(part.nbytes for part in x._parts().values()),
}
SparseCooTensor.meanings.update(COMMON)
CompressedTensor.meanings.update(COMMON)
