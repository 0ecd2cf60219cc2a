"""Arrays as the bodies that SageMaker's and NumPy's users send: `.npy` files and CSV."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np

from argand.serve.errors import invalid

NPY = "application/x-npy"
CSV = "text/csv"
_MAGIC = b"\x93NUMPY"
_LENGTHS = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}  # bytes of the header's length
_HEADER = re.compile(
    rb"\{'descr': '([<>|=][?a-z]\d{0,2})', 'fortran_order': (True|False), "
    rb"'shape': \((\d{0,18}(?:, ?\d{1,18}){0,63},?)\),? *\}\s*"
)
Array = np.ndarray[Any, Any]


def array_of_npy(body: bytes) -> Array:
    """The array of a `.npy` file as NumPy writes it; the memory is the body's. Objects, which are
    pickled, are refused."""
    start = 8 + _LENGTHS.get(body[6:8], 0)
    end = start + int.from_bytes(body[8:start], "little")
    header = _HEADER.fullmatch(body[start:end])
    if body[:6] != _MAGIC or start == 8 or header is None:
        raise invalid("the body is no .npy file of numbers", "body")
    kind, is_fortran, sizes = header.groups()
    shape = tuple(int(size) for size in sizes.split(b",") if size.strip())
    try:
        dtype = np.dtype(kind.decode())
    except TypeError as error:
        raise invalid(f"the body is no .npy file: {error}", "body") from None
    count, rest = math.prod(shape), len(body) - end
    if dtype.kind not in "biufc" or count * dtype.itemsize != rest:
        raise invalid(
            f"a .npy file of {dtype} and the shape {shape} has {count * dtype.itemsize} bytes of "
            f"numbers, got {rest}",
            "body",
        )
    flat = np.frombuffer(body, dtype, count, end)
    return flat.reshape(shape[::-1]).T if is_fortran == b"True" else flat.reshape(shape)


def rows_of_csv(body: bytes) -> list[list[float]]:
    """Lines of numbers with commas between."""
    try:
        lines = [line for line in body.decode().splitlines() if line.strip()]
        found = [[float(value) for value in line.split(",")] for line in lines]
    except ValueError as error:
        raise invalid(f"the body is no CSV of numbers: {str(error)[:200]}", "body") from None
    if not found:
        raise invalid("the body has no line of CSV", "body")
    return found


def npy_of(array: Array) -> bytes:
    """A `.npy` file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return file.getvalue()


def csv_of(array: Array) -> bytes:
    """A line for each row."""
    rows = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    return "".join(",".join(map(repr, row)) + "\n" for row in rows.tolist()).encode()


__all__ = ["CSV", "NPY", "array_of_npy", "csv_of", "npy_of", "rows_of_csv"]
