"""Creating arrays, and what is known of dtypes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from argand.base.dtype import SCALAR, TENSOR, DType, as_dtype, of_scalar
from argand.base.dtype import can_cast as kind_allows
from argand.base.dtype import result_type as common_type
from argand.base.errors import ArgumentError
from argand.ir.elementwise import is_number
from argand.ir.op import ops
from argand.tensor import convert, formulas
from argand.tensor import creation as made
from argand.tensor.core import Tensor
from argand.tensor.device import check_device
from argand.tensor.elementary import finfo as limits_of_floats
from argand.tensor.elementary import iinfo as limits_of_integers
from argand.tensor.joining import stack


def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None
) -> Any:
    """The numbers from `start` (0 where only one bound is given) to before `stop`, by `step`.

    >>> ag.array_api.arange(3), ag.array_api.arange(5, 0, -2)
    (tensor([0, 1, 2]), tensor([5, 3, 1]))
    """
    check_device(device)
    if stop is None:
        start, stop = 0, start
    if (stop - start) / step <= 0:
        whole = all(isinstance(v, int) for v in (start, stop, step))
        return made.zeros(0, dtype=dtype if dtype or not whole else "int64")
    return formulas.arange(start, stop, step, dtype=dtype)


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor of numbers, nested lists, arrays or what gives its memory by DLPack or buffers.

    `copy` True copies, False refuses to (ValueError), None copies only where it must.

    >>> ag.array_api.asarray([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    if isinstance(obj, list | tuple) and _holds_tensors(obj):
        obj = stack([asarray(part, dtype=dtype) for part in obj])
    return made.asarray(obj, dtype=dtype, copy=copy, device=device)


def _holds_tensors(parts: Any) -> bool:
    return any(
        isinstance(p, Tensor) or (isinstance(p, list | tuple) and _holds_tensors(p)) for p in parts
    )


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of a shape, a number or a tuple, whose elements are not set.

    >>> ag.array_api.empty((2, 3)).shape
    argand.Size([2, 3])
    """
    return made.empty(shape, dtype=dtype, device=device)


def empty_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor like x whose elements are not set.

    >>> ag.array_api.empty_like(ag.ones(2)).shape
    argand.Size([2])
    """
    return made.empty_like(x, dtype=dtype, device=device)


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None
) -> Any:
    """Ones on diagonal `k`, zeros elsewhere.

    >>> ag.array_api.eye(2, 3, k=1)
    tensor([[0., 1., 0.],
            [0., 0., 1.]])
    """
    check_device(device)
    columns = n_rows if n_cols is None else n_cols
    rows, places = ops.arange(0, 1, n_rows, "int64"), ops.arange(0, 1, columns, "int64")
    on = ops.eq(ops.add(ops.reshape(rows, (n_rows, 1)), k), ops.reshape(places, (1, columns)))
    return ops.cast(on, made.zeros(0, dtype=dtype).dtype)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor that shares the memory of another library's, through DLPack; a copy if asked for.

    >>> ag.array_api.from_dlpack(np.ones(2))
    tensor([1., 1.], dtype=argand.float64)
    """
    if device is not None and not isinstance(device, tuple):
        check_device(device)
    found = convert.from_dlpack(x)
    return ops.contiguous(found) if copy else found


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of one value.

    >>> ag.array_api.full(2, 7)
    tensor([7, 7])
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return made.full(shape, fill_value, dtype=dtype, device=device)


def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor like x of one value.

    >>> ag.array_api.full_like(ag.ones(2), 7)
    tensor([7., 7.])
    """
    return made.full_like(x, fill_value, dtype=dtype, device=device)


def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: Any = None,
    endpoint: bool = True,
) -> Any:
    """`num` numbers at equal distances from `start` to `stop`, or to before it.

    >>> ag.array_api.linspace(0, 1, 4, endpoint=False)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    check_device(device)
    whole = num if endpoint else num + 1
    return ops.contiguous(formulas.linspace(start, stop, whole, dtype=dtype)[:num])


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Any]:
    """The coordinates of a grid, one tensor for each of the axes.

    >>> ag.array_api.meshgrid(ag.tensor([1, 2]), ag.tensor([3, 4]))[0]
    tensor([[1, 2],
            [1, 2]])
    """
    return list(formulas.meshgrid(*arrays, indexing=indexing))


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of ones.

    >>> ag.array_api.ones(2)
    tensor([1., 1.])
    """
    return made.ones(shape, dtype=dtype, device=device)


def ones_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor like x of ones.

    >>> ag.array_api.ones_like(ag.zeros(2))
    tensor([1., 1.])
    """
    return made.ones_like(x, dtype=dtype, device=device)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of zeros.

    >>> ag.array_api.zeros(2)
    tensor([0., 0.])
    """
    return made.zeros(shape, dtype=dtype, device=device)


def zeros_like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor like x of zeros.

    >>> ag.array_api.zeros_like(ag.ones(2))
    tensor([0., 0.])
    """
    return made.zeros_like(x, dtype=dtype, device=device)


def tril(x: Any, /, *, k: int = 0) -> Any:
    """x with zeros above diagonal `k`.

    >>> ag.array_api.tril(ag.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return x.tril(k)


def triu(x: Any, /, *, k: int = 0) -> Any:
    """x with zeros below diagonal `k`.

    >>> ag.array_api.triu(ag.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return x.triu(k)


# -- dtypes ----------------------------------------------------------------------------------------


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """x converted to a dtype: a copy, unless `copy` is False and it has that dtype already.

    >>> ag.array_api.astype(ag.tensor([1.5]), ag.int64)
    tensor([1])
    """
    check_device(device)
    target = as_dtype(dtype)
    if x.dtype.is_complex and not target.is_complex:
        raise ArgumentError(f"astype: complex numbers can't become {target.name}; take real(x)")
    return x.to(target, copy=copy)


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether a tensor or dtype converts to another by promotion.

    >>> ag.array_api.can_cast(ag.int32, ag.int64), ag.array_api.can_cast(ag.int64, ag.int32)
    (True, False)
    """
    source, target = _dtype_of(from_), as_dtype(to)
    return kind_allows(source, target) and result_type(source, target) is target


def _dtype_of(x: Any) -> DType:
    return x.dtype if isinstance(x, Tensor) else as_dtype(x)


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that tensors, dtypes and Python numbers are promoted to.

    >>> ag.array_api.result_type(ag.int32, ag.ones(2), 2)
    argand.float32
    """
    return common_type(
        *(
            (of_scalar(v), SCALAR) if is_number(v) else (_dtype_of(v), TENSOR)
            for v in arrays_and_dtypes
        )
    )


@dataclass(frozen=True)
class Limits:
    """The limits of a float dtype: what `finfo` returns.

    >>> ag.array_api.finfo(ag.float32).bits
    32
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True)
class IntegerLimits:
    """The limits of an integer dtype: what `iinfo` returns.

    >>> ag.array_api.iinfo(ag.int8).bits
    8
    """

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: Any, /) -> Limits:
    """The limits of a float dtype, or of a tensor's: of complex numbers those of the parts.

    >>> ag.array_api.finfo(ag.complex64).dtype
    argand.float32
    """
    dtype = _dtype_of(type).to_real()
    found = limits_of_floats(dtype)
    return Limits(
        found.bits,
        float(found.eps),
        float(found.max),
        float(found.min),
        float(found.smallest_normal),
        dtype,
    )


def iinfo(type: Any, /) -> IntegerLimits:
    """The limits of an integer dtype, or of a tensor's.

    >>> ag.array_api.iinfo(ag.uint8).max
    255
    """
    dtype = _dtype_of(type)
    found = limits_of_integers(dtype)
    return IntegerLimits(found.bits, int(found.max), int(found.min), dtype)


KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind: a dtype, a word such as "integral", or a tuple of these.

    >>> ag.array_api.isdtype(ag.uint8, ("real floating", "integral"))
    True
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, DType):
        return dtype is kind
    if kind not in KINDS:
        raise ArgumentError(f"isdtype: unknown kind {kind!r}; there are {', '.join(KINDS)}")
    return as_dtype(dtype).kind in KINDS[kind]


e, inf, nan, pi, newaxis = math.e, math.inf, math.nan, math.pi, None
