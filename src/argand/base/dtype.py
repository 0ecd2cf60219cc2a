"""Element types and the one promotion rule.

The promotion rule is PyTorch's: operands are tensors with dimensions, 0-d tensors or Python
scalars, in this order of weight; a lighter operand changes the result only when its *kind* (bool <
integer < float < complex) is higher than that of every heavier one.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from argand.base import epoch
from argand.base.errors import DTypeError, did_you_mean
from argand.base.events import emit
from argand.base.naming import naming


class DType:
    """An element type: ``ag.float32`` and its like, singletons that are compared by identity.

    Attributes: `name` ("float32"), `short` ("f32", used in program text), `numpy` (the NumPy
    dtype), `kind` (one of b, u, i, f, c, s: boolean, unsigned, signed, float, complex, and float
    that is stored but not computed with), `title` (the "Float" of `FloatTensor`), `itemsize` in
    bytes. Follows `torch.dtype`.

    >>> ag.float32, ag.float32.itemsize, ag.float32.is_floating_point
    (argand.float32, 4, True)
    """

    __slots__ = ("itemsize", "kind", "name", "numpy", "short", "title")

    def __init__(self, name: str, short: str, numpy_type: Any, kind: str, title: str) -> None:
        self.name = name
        self.short = short
        self.numpy = np.dtype(numpy_type)
        self.kind = kind
        self.title = title
        self.itemsize = self.numpy.itemsize

    @property
    def is_floating_point(self) -> bool:
        """Whether the type is a real floating-point type."""
        return self.kind in "fs"

    def to_real(self) -> DType:
        """The dtype of the real part: of complex64 float32, of complex128 float64; else itself."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> DType:
        """The complex dtype whose parts hold it: of float64 complex128, of other floats complex64.

        RuntimeError for other dtypes. PyTorch's of float16 is complex32, which isn't there.
        """
        if self.kind not in "fc":
            raise DTypeError(f"there is no complex dtype for {self.name}")
        return complex128 if self.name in ("float64", "complex128") else complex64

    @property
    def is_signed(self) -> bool:
        """Whether there are negative numbers: of integers with a sign, floats, complex numbers."""
        return self.kind not in "bu" and self.name != "float8_e8m0fnu"

    @property
    def is_index(self) -> bool:
        """Whether the values may say places: integers that int64 holds."""
        return self.kind in "iu" and self.name != "uint64"

    @property
    def is_complex(self) -> bool:
        """Whether the type is complex."""
        return self.kind == "c"

    @property
    def is_inexact(self) -> bool:
        """Whether gradients can flow through values of this type."""
        return self.kind in "fsc"

    def __repr__(self) -> str:
        return f"{naming.package}.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)


bool_ = DType("bool", "bool", np.bool_, "b", "Bool")
uint8 = DType("uint8", "u8", np.uint8, "u", "Byte")
int8 = DType("int8", "i8", np.int8, "i", "Char")
int16 = DType("int16", "i16", np.int16, "i", "Short")
int32 = DType("int32", "i32", np.int32, "i", "Int")
int64 = DType("int64", "i64", np.int64, "i", "Long")
float16 = DType("float16", "f16", np.float16, "f", "Half")
bfloat16 = DType("bfloat16", "bf16", ml_dtypes.bfloat16, "f", "BFloat16")
float32 = DType("float32", "f32", np.float32, "f", "Float")
float64 = DType("float64", "f64", np.float64, "f", "Double")
complex64 = DType("complex64", "c64", np.complex64, "c", "ComplexFloat")
complex128 = DType("complex128", "c128", np.complex128, "c", "ComplexDouble")
uint16 = DType("uint16", "u16", np.uint16, "u", "UInt16")
uint32 = DType("uint32", "u32", np.uint32, "u", "UInt32")
uint64 = DType("uint64", "u64", np.uint64, "u", "UInt64")


def _float8(form: str) -> DType:
    name = f"float8_{form}"
    return DType(name, f"f8{form}", getattr(ml_dtypes, name), "s", f"Float8_{form}")


float8_e4m3fn = _float8("e4m3fn")
float8_e4m3fnuz = _float8("e4m3fnuz")
float8_e5m2 = _float8("e5m2")
float8_e5m2fnuz = _float8("e5m2fnuz")
float8_e8m0fnu = _float8("e8m0fnu")

ALL = tuple(d for d in list(globals().values()) if type(d) is DType)
WIDE_UNSIGNED = (uint16, uint32, uint64)
"""The integers that other integers don't promote with: no dtype of PyTorch's rule holds both."""
_ALIASES = {"half": float16, "float": float32, "double": float64, "long": int64, "int": int32}
_BY_NAME = {d.name: d for d in ALL} | {d.short: d for d in ALL} | _ALIASES
_BY_NUMPY = {d.numpy: d for d in ALL}
_BY_PYTHON: dict[type, DType] = {bool: bool_, int: int64, float: float32, complex: complex64}
_KIND_RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "s": 2, "c": 3}

_default_float = float32
_set_by = 0  # the thread that set it last


def default_dtype_setter() -> int:
    """The thread that set the default dtype last; 0 for none."""
    return _set_by


def get_default_dtype() -> DType:
    """The dtype of floats made from Python numbers; float32 unless changed.

    >>> ag.get_default_dtype()
    argand.float32
    """
    return _default_float


def set_default_dtype(dtype: Any) -> None:
    """Set the dtype of floats made from Python numbers.

    Raises TypeError for a dtype that is not floating point. Follows `torch.set_default_dtype`.

    >>> ag.set_default_dtype(ag.float64)
    >>> ag.tensor([1.5]).dtype
    argand.float64
    >>> ag.set_default_dtype(ag.float32)
    """
    global _default_float, _set_by
    d = as_dtype(dtype)
    if d.kind != "f":
        raise TypeError(
            f"set_default_dtype takes a floating-point dtype that is computed with, got {d!r}"
        )
    _default_float, _set_by = d, threading.get_ident()
    epoch.bump()  # compiled functions look at what they were made for
    emit("default_dtype", dtype=d)
    result_type.cache_clear()


def as_dtype(value: Any) -> DType:
    """The DType meant by a DType, a name, a NumPy dtype or a Python type.

    >>> as_dtype("float32") is as_dtype(np.float32) is float32
    True
    """
    if type(value) is DType:
        return value
    if isinstance(value, str):
        found = _BY_NAME.get(value)
        if found is None:
            raise DTypeError(f"unknown dtype {value!r}{did_you_mean(value, _BY_NAME)}")
        return found
    if isinstance(value, type) and value in _BY_PYTHON:
        return _default_float if value is float else _BY_PYTHON[value]
    try:
        return _BY_NUMPY[np.dtype(value).newbyteorder("=")]
    except (KeyError, TypeError, ValueError):
        raise DTypeError(f"{value!r} is not a dtype that Argand has") from None


def from_numpy(dtype: np.dtype[Any]) -> DType:
    """The DType of a NumPy dtype; TypeError when there is none (strings, objects, dates ...)."""
    found = _BY_NUMPY.get(dtype)
    if found is None:
        names = ", ".join(d.name for d in ALL)
        raise TypeError(f"can't hold NumPy elements of type {dtype}; supported types are: {names}")
    return found


def has_numpy(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is NumPy's own, not one of ml_dtypes."""
    return dtype.isbuiltin != 2


def of_scalar(value: Any) -> DType:
    """The dtype that a Python number gets as a tensor of its own."""
    if isinstance(value, bool | np.bool_):
        return bool_
    if isinstance(value, int | np.integer):
        return int64
    if isinstance(value, float | np.floating):
        return _default_float
    if isinstance(value, complex | np.complexfloating):
        return complex128 if _default_float is float64 else complex64
    raise TypeError(f"expected a number, got {type(value).__name__}")


@cache
def promote_types(type1: DType, type2: DType) -> DType:
    """The smallest dtype that both convert to without losing their kind or range.

    Of one kind the larger; of different ones the higher in the order bool < integer < float <
    complex; uint8 with int8 gives int16, float16 with bfloat16 float32. uint16, uint32 and uint64
    promote with floats alone, 8-bit floats with nothing: DTypeError. Follows `torch.promote_types`.

    >>> ag.promote_types(ag.int32, ag.float16), ag.promote_types(ag.uint8, ag.int8)
    (argand.float16, argand.int16)
    """
    a, b = type1, type2
    if a is b:
        return a
    if _KIND_RANK[a.kind] > _KIND_RANK[b.kind]:
        a, b = b, a
    if "s" in (a.kind, b.kind):
        raise DTypeError(
            f"{a.name} and {b.name} have no common dtype: 8-bit floats don't promote; convert "
            "them first, with .float() or .to(...)"
        )
    if b.kind != "f" and (a in WIDE_UNSIGNED or b in WIDE_UNSIGNED):
        raise DTypeError(
            f"{a.name} and {b.name} have no common dtype: uint16, uint32 and uint64 promote with "
            "floats alone; convert one operand with .to(...)"
        )
    if _KIND_RANK[a.kind] < _KIND_RANK[b.kind]:
        if b.kind == "c" and a is float64:
            return complex128
        return b
    if a.kind != b.kind:
        signed = a if a.kind == "i" else b
        return signed if signed.itemsize > 1 else int16
    if {a, b} == {float16, bfloat16}:
        return float32
    return a if a.itemsize > b.itemsize else b


def can_cast(source: DType, target: DType) -> bool:
    """Whether a result of one dtype may be stored in a tensor of another, as `torch.can_cast`:
    in the order bool < integers < floats < complex the kind must not fall."""
    return _KIND_RANK[source.kind] <= _KIND_RANK[target.kind]


TENSOR, ZERO_DIM, SCALAR = 2, 1, 0


@cache
def result_type(*operands: tuple[DType, int]) -> DType:
    """The dtype of an operation on operands, each a (dtype, weight).

    The weights are TENSOR, ZERO_DIM and SCALAR.

    >>> result_type((float32, TENSOR), (float64, ZERO_DIM))
    argand.float32
    >>> result_type((int64, TENSOR), (float32, SCALAR))
    argand.float32
    """
    result: DType | None = None
    for weight in (TENSOR, ZERO_DIM, SCALAR):
        group: DType | None = None
        for dtype, w in operands:
            if w == weight:
                group = dtype if group is None else promote_types(group, dtype)
        if group is None:
            continue
        if result is None or _KIND_RANK[group.kind] > _KIND_RANK[result.kind]:
            result = group if result is None else _lift(result, group)
    if result is None:
        raise TypeError("result_type needs at least one operand")
    return result


def _lift(heavy: DType, light: DType) -> DType:
    """The result when a lighter operand has the higher kind: a float's complex numbers have its
    width, complex64 where there are none."""
    if light.kind == "c" and heavy.kind != "s":
        wide = {float64: complex128}.get(heavy, complex64)
        return wide if heavy.kind == "f" else light
    return promote_types(heavy, light)


def compute_dtype(dtype: DType) -> DType:
    """The dtype that arithmetic on `dtype` is done in: float32 for the 16-bit floats."""
    return float32 if dtype is float16 or dtype is bfloat16 else dtype
