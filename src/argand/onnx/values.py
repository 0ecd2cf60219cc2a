"""The values between nodes: tensors, host arrays, lists for sequences, None for what is left out.

A *host value* is a NumPy array whose elements are known: a constant, or sizes. While a function is
traced, sizes can be symbolic; such an array has dtype object and stands for int64. Other arrays of
dtype object hold texts.
"""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np

import argand
from argand.base.dim import Dim
from argand.base.dtype import DType, as_dtype
from argand.base.errors import TraceError
from argand.ir.bind import eagerly, tracing
from argand.tensor.core import Tensor

ag: Any = argand
"""Argand's public functions, as a user's program calls them."""
F: Any = argand.nn.functional

Host = np.ndarray[Any, Any]
"""An input that a rule takes as a host array."""

NARROW: dict[Any, Any] = {
    np.dtype(ml_dtypes.int4): np.int8,
    np.dtype(ml_dtypes.int2): np.int8,
    np.dtype(ml_dtypes.uint4): np.uint8,
    np.dtype(ml_dtypes.uint2): np.uint8,
    np.dtype(ml_dtypes.float4_e2m1fn): np.float32,
}
"""The dtypes that no tensor has, and those that hold their values; host arrays can have them."""


def has_dims(x: Any) -> bool:
    """Whether a host array holds symbolic sizes."""
    return x.dtype == object and any(isinstance(e, Dim) for e in x.flat)


def is_text(x: Any) -> bool:
    """Whether a value is an array of texts."""
    return isinstance(x, np.ndarray) and x.dtype == object and not has_dims(x)


def is_host(x: Any) -> bool:
    """Whether the elements of a value are known."""
    if isinstance(x, list):
        return all(is_host(e) for e in x)
    return x is None or isinstance(x, np.ndarray)


def sizes(values: Any) -> Host:
    """A host array of sizes, symbolic ones among them or not."""
    values = list(values)
    if any(isinstance(v, Dim) for v in values):
        made = np.empty(len(values), object)
        for i, value in enumerate(values):  # NumPy would ask for its number to fill a slice
            made[i] = value
        return made
    return np.array([int(v) for v in values], np.int64)


def settled(x: Host) -> Host:
    """An array of objects as int64, if no symbolic size is left in it."""
    x = np.asarray(x)
    if x.dtype == object and x.size and not any(isinstance(e, Dim | str | bytes) for e in x.flat):
        return x.astype(np.int64)
    return x


def tensor_of(x: Any) -> Any:
    """A tensor of a value."""
    if isinstance(x, Tensor) or x is None:
        return x
    if isinstance(x, list):
        return [tensor_of(e) for e in x]
    x = np.asarray(x)
    if has_dims(x):
        parts = [ag.full((), e, dtype=ag.int64) for e in x.flat]
        return ag.stack(parts).reshape(x.shape)
    if x.dtype == object:
        raise TypeError("a tensor was needed, got an array of texts")
    if x.dtype in NARROW:
        x = x.astype(NARROW[x.dtype])
    return ag.tensor(x)


def host_of(x: Any) -> Any:
    """The host array of a value; TraceError where it isn't known while a function is traced."""
    if x is None or isinstance(x, np.ndarray):
        return x
    if isinstance(x, list):
        return [host_of(e) for e in x]
    if tracing():
        raise TraceError(
            "a size or an option is computed from values of tensors, which are not known while "
            "the model is traced"
        )
    return x.detach().numpy()


def int_list(x: Any) -> list[Any]:
    """The sizes in a host value, as ints and Dims."""
    x = np.asarray(x)
    if x.dtype.kind == "f" and not (x == np.floor(x)).all():
        raise ValueError(f"sizes and axes are whole numbers, got {x.tolist()}")
    return [e if isinstance(e, Dim) else int(e) for e in x.reshape(-1)]


def scalar(x: Any) -> Any:
    """The only element of a host value, as a Python number or a Dim."""
    x = np.asarray(x)
    return x.reshape(-1)[0] if x.dtype == object else x.reshape(-1)[0].item()


@functools.cache
def dtype_of(number: int) -> DType | np.dtype[Any]:
    """The dtype that ONNX gives a number: Argand's, or NumPy's where no tensor has it."""
    from argand.onnx.arrays import numpy_dtype

    dtype = numpy_dtype(number, "attribute")
    return dtype if dtype in NARROW or dtype.kind == "O" else as_dtype(dtype)


def constant(x: Host) -> Tensor:
    """A tensor that is there before any trace, which a program then reads as its state."""
    with eagerly():
        made: Tensor = tensor_of(x)
    return made
