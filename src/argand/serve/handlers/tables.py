"""Arrays as the bodies that SageMaker's and NumPy's users send: `.npy` files and CSV."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from argand.serve.errors import invalid

NPY = "application/x-npy"
CSV = "text/csv"
_VERSIONS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
Array = np.ndarray[Any, Any]


def array_of_npy(body: bytes) -> Array:
    """The array of a `.npy` file; the memory is the body's. Objects, which are pickled, are
    refused."""
    file = io.BytesIO(body)
    try:
        read = _VERSIONS[np.lib.format.read_magic(file)]
        shape, is_fortran, dtype = read(file)
    except (ValueError, KeyError, SyntaxError, TypeError, RecursionError) as error:
        raise invalid(f"the body is no .npy file: {str(error)[:200]}", "body") from None
    if dtype.kind not in "biufc" or min(shape, default=0) < 0:
        raise invalid(f"a .npy file of {dtype} and the shape {shape} is not read", "body")
    count, rest = 1, len(body) - file.tell()
    for size in shape:
        count *= size
    if count * dtype.itemsize != rest:
        raise invalid(
            f"a .npy file of {dtype} and the shape {shape} has {count * dtype.itemsize} bytes, "
            f"got {rest}",
            "body",
        )
    flat = np.frombuffer(body, dtype, count, file.tell())
    return flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)


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
