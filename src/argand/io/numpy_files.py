"""NumPy's files: `.npy` of one array, `.npz` of several. Arrays of objects are never read."""

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from argand.base.dtype import DType, from_numpy, has_numpy
from argand.base.errors import DTypeError
from argand.base.shape import contiguous_strides
from argand.io.source import Source
from argand.io.storages import Storage
from argand.io.zipped import ZipReader, ZipWriter
from argand.tensor.core import Tensor
from argand.tensor.meta import values

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    r"\{'descr': ?(?P<descr>'[^']*'|.*), ?'fortran_order': ?(?P<columns>True|False), ?"
    r"'shape': ?\((?P<shape>[\d, ]*)\),? ?\}\s*"
)
_NUMBERS = re.compile(r"'([<>|=])([biufc]\d+)'")


def is_npy(source: Source) -> bool:
    """Whether a source begins as one array."""
    return source.size >= 10 and source.read(0, 6) == _MAGIC


def is_npz(archive: ZipReader) -> bool:
    """Whether an archive has arrays and nothing else."""
    return bool(archive.records) and all(name.endswith(".npy") for name in archive.records)


def load_npy(source: Source) -> Tensor:
    """The array of a file."""
    return _tensor(source, "the array", source.array(0, source.size))


def load_npz(archive: ZipReader) -> dict[str, Tensor]:
    """The arrays of a file by their names."""
    return {
        name.removesuffix(".npy"): _tensor(archive.source, f"{name!r}", archive.array(name))
        for name in archive.records
    }


def save_npy(obj: Any, write: Callable[[Any], Any]) -> None:
    """Write a tensor or an array."""
    array = _array("the tensor", obj)
    write(_header(array))
    write(array.reshape(-1).view(np.uint8))


def save_npz(obj: Any, write: Callable[[Any], Any]) -> None:
    """Write tensors or arrays by their names, without compression."""
    if not isinstance(obj, Mapping) or not all(type(name) is str for name in obj):
        raise TypeError(f"an .npz file has arrays by their names, got {type(obj).__name__}")
    arrays = {name: _array(name, value) for name, value in obj.items()}
    writer = ZipWriter(write)
    for name, array in arrays.items():
        writer.add(f"{name}.npy", _header(array) + array.tobytes())
    writer.close()


def _array(name: str, value: Any) -> np.ndarray:
    if not isinstance(value, Tensor | np.ndarray):
        raise TypeError(f"{name}: NumPy's files have arrays, got {type(value).__name__}")
    array = values(value) if isinstance(value, Tensor) else value
    if array.dtype.kind not in "biufc" or not has_numpy(array.dtype):
        raise DTypeError(
            f"{name}: NumPy's files have no elements of type {array.dtype}; convert them first, "
            "or save another format"
        )
    return np.ascontiguousarray(array).reshape(array.shape)


def _header(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, np.lib.format.header_data_from_array_1_0(array))
    return out.getvalue()


def _tensor(source: Source, name: str, data: np.ndarray) -> Tensor:
    """The tensor of an array's bytes, which it shares."""
    head = data[:12].tobytes()
    wide = head[6:7] in (b"\2", b"\3")
    start = 12 if wide else 10
    if head[:6] != _MAGIC or head[6:7] not in (b"\1", b"\2", b"\3") or len(head) < start:
        raise source.error(f"{name} is not an array of NumPy")
    length = int.from_bytes(head[8:start], "little")
    if length > min(10_000, data.size - start):
        raise source.error(f"{name}: truncated, or a header that is too long")
    dtype, swapped, columns, shape = _described(
        source, name, data[start : start + length].tobytes().decode("latin1")
    )
    data = data[start + length :]
    if math.prod(shape) * dtype.itemsize != data.size:
        raise source.error(
            f"{name}: {dtype.name} of shape {shape} takes {math.prod(shape) * dtype.itemsize} "
            f"bytes, the file has {data.size}"
        )
    strides = contiguous_strides(shape[::-1] if columns else shape)
    storage = Storage(dtype, data.size, lambda: data, swapped)
    try:
        return storage.tensor(dtype, 0, shape, tuple(strides)[:: -1 if columns else 1])
    except (ValueError, ArithmeticError) as e:
        raise source.error(f"{name}: {e}") from None


def _described(source: Source, name: str, text: str) -> tuple[DType, bool, bool, tuple[int, ...]]:
    """What a header says: the dtype, whether its bytes are swapped, the order, the shape."""
    header = _HEADER.fullmatch(text)
    if header is None:
        raise source.error(f"{name}: a header that NumPy does not write")
    descr = _NUMBERS.fullmatch(header["descr"])
    try:
        order, code = ("", "") if descr is None else descr.groups()
        dtype = from_numpy(np.dtype(code))
    except TypeError:
        dtype = None
    if descr is None or dtype is None:
        raise source.error(
            f"{name}: elements of type {header['descr']:.60} are none that Argand has; objects are "
            "never read"
        )
    swapped = order == (">" if sys.byteorder == "little" else "<") and dtype.itemsize > 1
    parts = [part.strip() for part in header["shape"].split(",")]
    if not parts[-1]:
        parts.pop()
    if not all(part.isdigit() and len(part) < 20 for part in parts) or len(parts) > 64:
        raise source.error(f"{name}: a shape that no array has")
    return dtype, swapped, header["columns"] == "True", tuple(map(int, parts))


__all__ = ["is_npy", "is_npz", "load_npy", "load_npz", "save_npy", "save_npz"]
