"""The element types of the v2 inference protocol, and how their values lie in binary tensors."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""NumPy's dtypes by the protocol's names, without BF16, which takes the package ml_dtypes."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_MOST_DIMENSIONS = 64  # of a NumPy array


def dtype_of(name: str) -> np.dtype[Any]:
    """NumPy's dtype of a name; ValueError where the protocol has no such name."""
    found = DTYPES.get(name)
    if found is None and name == "BF16":
        import ml_dtypes

        found = np.dtype(ml_dtypes.bfloat16)
    if found is not None:
        return found
    raise ValueError(f"{name[:40]!r} is no data type; there are {', '.join(DTYPES)} and BF16")


def name_of(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a dtype; ValueError where it has none."""
    if dtype.kind in "SU":
        return "BYTES"
    found = _NAMES.get(dtype) or _NAMES.get(dtype.newbyteorder("="))
    if found is None and dtype.name == "bfloat16":
        return "BF16"
    if found is None:
        raise ValueError(f"the protocol has no data type for {dtype}")
    return found


def element_count(shape: Sequence[int]) -> int:
    """How many elements a shape has; ValueError where it is none."""
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"{len(shape)} dimensions are more than {_MOST_DIMENSIONS}")
    if shape and min(shape) < 0:
        raise ValueError(f"the shape {list(shape)} has a negative size")
    return math.prod(shape)


def from_bytes(data: Any, name: str, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """The array of a binary tensor, over the same memory; strings are an array of `bytes`.

    Raises ValueError where the bytes are not as many as the shape says.
    """
    dtype, count = dtype_of(name), element_count(shape)
    if name == "BYTES":
        return _strings(memoryview(data), count, shape)
    if len(data) != count * dtype.itemsize:
        raise ValueError(
            f"{name} of the shape {list(shape)} has {count * dtype.itemsize} bytes, got {len(data)}"
        )
    found = np.frombuffer(data, dtype, count)
    if name == "BOOL" and count and found.view(np.uint8).max() > 1:
        raise ValueError("BOOL has a byte that is neither 0 nor 1")
    return found.reshape(shape)


def _strings(data: memoryview, count: int, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    if 4 * count > len(data):
        raise ValueError(f"BYTES of the shape {list(shape)} has {count} lengths, more than fit")
    found = np.empty(count, object)
    place = 0
    for i in range(count):
        if place + 4 > len(data):
            raise ValueError(f"BYTES ends before its element {i}")
        (size,) = struct.unpack_from("<I", data, place)
        place += 4
        if place + size > len(data):
            raise ValueError(f"BYTES: element {i} of {size} bytes ends after the data")
        found[i] = bytes(data[place : place + size])
        place += size
    if place != len(data):
        raise ValueError(f"BYTES has {len(data) - place} bytes after its last element")
    return found.reshape(shape)


def to_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """An array as a binary tensor: row-major, little-endian; strings with their lengths."""
    if array.dtype.kind in "OSU":
        parts: list[bytes] = []
        for value in array.ravel().tolist():
            text = as_bytes(value)
            parts += (struct.pack("<I", len(text)), text)
        return b"".join(parts)
    if array.dtype.byteorder == ">" or sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return array.tobytes()


def as_bytes(value: Any) -> bytes:
    """A string of a tensor as UTF-8; TypeError for what is no string."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise TypeError(f"expected a string, got {type(value).__name__}")


__all__ = ["DTYPES", "as_bytes", "dtype_of", "element_count", "from_bytes", "name_of", "to_bytes"]
