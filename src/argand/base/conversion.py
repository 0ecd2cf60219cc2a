"""Elements in another dtype: the one place where NumPy's arrays change theirs.

NumPy's own conversions hold but for the 8-bit floats, which follow PyTorch: every conversion goes
through float32 and is rounded to the nearest, ties to even. What is too large for float8_e4m3fn,
infinities too, becomes its largest number, for float8_e5m2 an infinity, for the others NaN; a
float8_e8m0fnu, a power of two, has no sign and no zero: the sign is dropped, 0 becomes its least.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from argand.base.dtype import DType, float8_e4m3fn, float8_e5m2, float8_e8m0fnu, has_numpy


def plain(array: Any) -> Any:
    """The elements in a dtype of NumPy's own: those of ml_dtypes as float32, exactly."""
    return array if has_numpy(array.dtype) else array.astype(np.float32)


def converted(array: Any, dtype: DType) -> Any:
    """The elements in another dtype; of complex ones the real part unless that is bool."""
    x = np.asarray(array)
    if x.dtype == dtype.numpy:
        return x
    if np.iscomplexobj(x) and dtype.kind not in "cb":
        x = x.real
    with np.errstate(all="ignore"):
        if dtype.kind == "s":
            return _stored(x.astype(np.float32, copy=False), dtype)
        return plain(x).astype(dtype.numpy, copy=False)


@cache
def limits(dtype: DType) -> tuple[Any, Any]:
    """The least and the largest number of an integer dtype, or the finite ones of a float."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype.numpy)
        return int(info.min), int(info.max)
    top = float(ml_dtypes.finfo(dtype.numpy).max)  # type: ignore[no-untyped-call]  # untyped
    return (0.0 if dtype is float8_e8m0fnu else -top), top


def number(value: Any, dtype: DType) -> Any:
    """A number as NumPy's scalar of a dtype; an infinity where it is too large for a float."""
    if dtype.kind == "s":
        return converted(value, dtype)[()]
    with np.errstate(over="ignore"):
        return dtype.numpy.type(value)


def _stored(x: Any, dtype: DType) -> Any:
    """float32 as 8-bit floats."""
    if dtype is float8_e4m3fn:
        return np.clip(x, -448, 448).astype(dtype.numpy)
    if dtype is float8_e8m0fnu:
        return np.maximum(np.abs(x), np.float32(2.0**-127)).astype(dtype.numpy)
    y = np.asarray(x.astype(dtype.numpy))
    if dtype is float8_e5m2:  # of its NaNs, the one that PyTorch has
        bits = y.view(np.uint8)
        bits[np.isnan(x)] |= 3
    return y
