"""Arrays of a file: tensors as bytes or numbers, in the file or beside it, lengths checked."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from argand.base.errors import FormatError

Array = np.ndarray[Any, Any]
Folder = Path | Mapping[str, Path] | None
"""Where files are that a model names: in a folder, or each where it is said to be."""

DTYPES: dict[int, Any] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    8: object,  # strings
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    12: np.uint32,
    13: np.uint64,
    14: np.complex64,
    15: np.complex128,
    16: ml_dtypes.bfloat16,
    17: ml_dtypes.float8_e4m3fn,
    18: ml_dtypes.float8_e4m3fnuz,
    19: ml_dtypes.float8_e5m2,
    20: ml_dtypes.float8_e5m2fnuz,
    21: ml_dtypes.uint4,
    22: ml_dtypes.int4,
    23: ml_dtypes.float4_e2m1fn,
    24: ml_dtypes.float8_e8m0fnu,
    25: ml_dtypes.uint2,
    26: ml_dtypes.int2,
}
"""The dtypes of ONNX by their numbers (`TensorProto.DataType`)."""

_BITS = {21: 4, 22: 4, 23: 4, 25: 2, 26: 2}
"""The dtypes that share bytes, the first element in the lowest bits."""

_FIELDS = {1: "float_data", 7: "int64_data", 8: "string_data", 11: "double_data"} | {
    **dict.fromkeys((2, 3, 4, 5, 6, 9, 10, *range(16, 27)), "int32_data"),
    **dict.fromkeys((12, 13), "uint64_data"),
    14: "float_data",
    15: "double_data",
}
_AS_BITS = {10: np.uint16, 16: np.uint16, **dict.fromkeys((17, 18, 19, 20, 24), np.uint8)}
"""The dtypes whose numbers are stored as the integers of the same bits."""

LIMIT = 1 << 40
"""Elements that a tensor of a file may have, whatever it says."""


def numpy_dtype(number: int, what: str) -> np.dtype[Any]:
    """The NumPy dtype of an element type; strings are objects."""
    if number not in DTYPES:
        raise FormatError(f"{what}: no element type has the number {number}")
    dtype: np.dtype[Any] = np.dtype(DTYPES[number])
    return dtype


def array_of(proto: Any, what: str, folder: Folder = None) -> Array:
    """The array of a TensorProto; `what` names it in errors."""
    dims = tuple(proto.dims)
    kind = proto.data_type
    dtype = numpy_dtype(kind, what)
    if any(d < 0 for d in dims):
        raise FormatError(f"{what}: its sizes {list(dims)} are negative")
    count = math.prod(dims)
    if count > LIMIT or any(d > LIMIT for d in dims):
        raise FormatError(f"{what}: its sizes {list(dims)} make more than {LIMIT} elements")
    if proto.data_location == 1:
        return _from_bytes(external(proto, what, folder), kind, dtype, dims, what)
    if proto.HasField("raw_data"):
        return _from_bytes(proto.raw_data, kind, dtype, dims, what)
    return _from_numbers(proto, kind, dtype, dims, what)


def _from_bytes(
    data: Any, kind: int, dtype: np.dtype[Any], dims: tuple[int, ...], what: str
) -> Array:
    if kind == 8:
        raise FormatError(f"{what}: strings can't be stored as raw_data")
    count = math.prod(dims)
    bits = _BITS.get(kind)
    needed = -(-count * bits // 8) if bits else count * dtype.itemsize
    if len(data) != needed:
        raise FormatError(
            f"{what}: its shape {list(dims)} of {dtype} needs {needed} bytes, it has {len(data)}"
        )
    if bits:
        return unpacked(np.frombuffer(data, np.uint8), bits, dtype, count).reshape(dims)
    little = dtype.newbyteorder("<") if dtype.isbuiltin == 1 else dtype
    return np.frombuffer(data, little).astype(dtype, copy=False).reshape(dims)


def unpacked(data: Array, bits: int, dtype: np.dtype[Any], count: int) -> Array:
    """Elements of 2 or 4 bits, one a byte."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = ((data[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1)[:count]
    if np.dtype(dtype) == ml_dtypes.float4_e2m1fn:
        return codes.astype(np.uint8).view(dtype)
    if np.dtype(dtype).name.startswith("int"):
        top = 1 << (bits - 1)
        return ((codes.astype(np.int8) ^ top) - top).astype(dtype)
    return codes.astype(dtype)


def _from_numbers(
    proto: Any, kind: int, dtype: np.dtype[Any], dims: tuple[int, ...], what: str
) -> Array:
    field = _FIELDS[kind]
    numbers = getattr(proto, field)
    count = math.prod(dims)
    bits = _BITS.get(kind)
    needed = -(-count * bits // 8) if bits else count * (2 if dtype.kind == "c" else 1)
    if len(numbers) != needed:
        raise FormatError(
            f"{what}: its shape {list(dims)} needs {needed} elements of {field}, "
            f"it has {len(numbers)}"
        )
    if kind == 8:
        return strings([s.decode("utf-8", "replace") for s in numbers], dims)
    if bits:
        return unpacked(np.array(numbers, np.uint8), bits, dtype, count).reshape(dims)
    if kind in _AS_BITS:
        return np.array(numbers, np.int64).astype(_AS_BITS[kind]).view(dtype).reshape(dims)
    if dtype.kind == "c":
        parts = np.array(numbers, np.float32 if kind == 14 else np.float64)
        return parts.view(dtype).reshape(dims)
    wide = np.array(numbers, np.uint64 if kind in (12, 13) else None)
    if dtype.kind in "iu" and wide.size:
        known = np.iinfo(dtype)
        if int(wide.min()) < known.min or int(wide.max()) > known.max:
            raise FormatError(f"{what}: a number in {field} is out of the range of {dtype}")
    return wide.astype(dtype).reshape(dims)


def strings(values: Any, shape: tuple[int, ...]) -> Array:
    """An object array of texts."""
    made = np.empty(math.prod(shape), object)
    made[:] = list(values)
    return made.reshape(shape)


def external(proto: Any, what: str, folder: Folder) -> Any:
    """The bytes of a tensor that are in another file of the model's folder, mapped; they can be
    written to, by this process for itself, where the files are given."""
    facts = {entry.key: entry.value for entry in proto.external_data}
    location = facts.get("location", "")
    if folder is None:
        raise FormatError(
            f"{what}: its data are in the file {location!r}; load the model from its path, "
            "so that files beside it are found"
        )
    given = isinstance(folder, Mapping)
    path = _inside(folder, location, what)
    size = path.stat().st_size
    offset = _number(facts, "offset", 0, what)
    length = _number(facts, "length", size - offset, what)
    if offset + length > size or length < 0:
        raise FormatError(
            f"{what}: external_data says bytes {offset} to {offset + length} of {location!r}, "
            f"which has {size}"
        )
    if length == 0:
        return b""
    return np.memmap(path, np.uint8, "c" if given else "r", offset, (length,)).view(np.ndarray)


def _number(facts: dict[str, str], key: str, default: int, what: str) -> int:
    text = facts.get(key)
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise FormatError(f"{what}: external_data has {key}={text!r}, which is no size")
    return int(text)


def _inside(folder: Path | Mapping[str, Path], location: str, what: str) -> Path:
    """The file at a relative path in a folder: no link, nothing outside."""
    if isinstance(folder, Mapping):
        if location not in folder:
            raise FormatError(f"{what}: external_data names no file that is given: {location!r}")
        return folder[location]
    parts = location.replace("\\", "/").split("/")
    if not location or location.startswith("/") or os.path.isabs(location) or ".." in parts:
        raise FormatError(
            f"{what}: external_data leads to {location!r}; only files in the model's own folder "
            "are read"
        )
    if "\0" in location or ":" in parts[0]:
        raise FormatError(f"{what}: external_data names no file: {location!r}")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise FormatError(f"{what}: external_data leads through the link {location!r}")
    if not path.is_file():
        raise FormatError(
            f"{what}: its data are in {location!r}, which is not a file in the model's folder; "
            "put it there"
        )
    return path
