"""TensorFlow's tensors: TensorProto to arrays and back, and what says a tensor's type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from argand.serve.errors import ServeError, Status, invalid
from argand.serve.handlers.strings import objects
from argand.serve.signature import TensorSpec
from argand_client.datatypes import as_bytes, element_count

_TYPES: dict[int, tuple[Any, str]] = {
    1: (np.float32, "float_val"),
    2: (np.float64, "double_val"),
    3: (np.int32, "int_val"),
    4: (np.uint8, "int_val"),
    5: (np.int16, "int_val"),
    6: (np.int8, "int_val"),
    7: (np.object_, "string_val"),
    8: (np.complex64, "scomplex_val"),
    9: (np.int64, "int64_val"),
    10: (np.bool_, "bool_val"),
    14: (ml_dtypes.bfloat16, "half_val"),
    17: (np.uint16, "int_val"),
    18: (np.complex128, "dcomplex_val"),
    19: (np.float16, "half_val"),
    22: (np.uint32, "uint32_val"),
    23: (np.uint64, "uint64_val"),
    24: (ml_dtypes.float8_e5m2, "float8_val"),
    25: (ml_dtypes.float8_e4m3fn, "float8_val"),
}
"""The dtype, and the field of its values, by the number of DataType."""

STRING = 7
_NUMBERS = {np.dtype(dtype): number for number, (dtype, _) in _TYPES.items()}
_RAW = {"float_val": 5, "double_val": 6, "scomplex_val": 9, "dcomplex_val": 12}
"""Fields whose packed values are their bytes, with their numbers: they are written at once."""


def number_of(dtype: np.dtype[Any]) -> int:
    """The number of DataType for a dtype."""
    found = STRING if dtype.kind in "OSU" else _NUMBERS.get(dtype)
    if found is None:
        raise ServeError(Status.UNIMPLEMENTED, f"TensorFlow has no data type for {dtype}")
    return found


def described(spec: TensorSpec) -> tuple[int, list[int] | None]:
    """DataType and sizes of an input or an output: -1 for what varies, None for any rank."""
    number = STRING if spec.dtype is None else number_of(spec.dtype.numpy)
    if spec.shape is None:
        return number, None
    return number, [size if isinstance(size, int) else -1 for size in spec.shape]


def to_array(tensor: Any, name: str, most: int) -> np.ndarray[Any, Any]:
    """The array of a TensorProto, of at most `most` elements; strings are `bytes`. Where there are
    fewer values than elements the last one is repeated, and none at all are zeros (empty strings),
    as of `tf.make_ndarray`. `name` is the input that errors name.

    Raises ServeError where values, type and shape don't fit each other.
    """
    found = _TYPES.get(tensor.dtype)
    if found is None:
        raise invalid(f"{name}: {tensor.dtype} is no data type that is served", name)
    dtype, field = np.dtype(found[0]), found[1]
    if tensor.tensor_shape.unknown_rank:
        raise invalid(f"{name}: a tensor in a request must have a shape", name)
    shape = [d.size for d in tensor.tensor_shape.dim]
    try:
        count = element_count(shape)
    except ValueError as error:
        raise invalid(f"{name}: {error}", name) from None
    if count > most:
        raise ServeError(
            Status.TOO_LARGE, f"{name}: {count} elements are more than {most}", field=name
        )
    if tensor.tensor_content:
        return _from_content(tensor.tensor_content, dtype, shape, name)
    values = getattr(tensor, field)
    parts = 2 if dtype.kind == "c" else 1
    if len(values) > count * parts:
        raise invalid(
            f"{name}: the shape {shape} has {count} elements, {field} has "
            f"{len(values) // parts} values",
            name,
        )
    if len(values) % parts:
        raise invalid(f"{name}: {field} lacks the imaginary part of its last value", name)
    if count and not values:
        _check_no_other_values(tensor, dtype, field, name)
    return _filled(_from_values(values, dtype, name), count).reshape(shape)


def _check_no_other_values(tensor: Any, dtype: np.dtype[Any], field: str, name: str) -> None:
    """Refuse values in the field of another type, which would be zeros else."""
    for other, _ in tensor.ListFields():
        if other.name.endswith("_val"):
            raise invalid(
                f"{name}: the values of {_called(dtype)} are in {field}, got some in {other.name}",
                name,
            )


def _called(dtype: np.dtype[Any]) -> str:
    return "strings" if dtype.kind == "O" else dtype.name


def _filled(values: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """So many values: the last one stands for those that are left out, zero where there is none."""
    missing = count - len(values)
    if not missing:
        return values
    if len(values):
        last = values[-1:]
    else:
        last = objects([b""]) if values.dtype.kind == "O" else np.zeros(1, values.dtype)
    return np.concatenate([values, np.repeat(last, missing)])


def _from_content(
    content: bytes, dtype: np.dtype[Any], shape: Sequence[int], name: str
) -> np.ndarray[Any, Any]:
    if dtype.kind == "O":
        raise invalid(f"{name}: strings are given in string_val, not in tensor_content", name)
    expected = element_count(shape) * dtype.itemsize
    if len(content) != expected:
        raise invalid(
            f"{name}: {dtype} of the shape {list(shape)} has {expected} bytes, tensor_content has "
            f"{len(content)}",
            name,
        )
    if dtype.kind == "b" and np.frombuffer(content, np.uint8).max() > 1:
        raise invalid(f"{name}: a bool has a byte that is neither 0 nor 1", name)
    return np.frombuffer(content, dtype).reshape(shape)


def _from_values(values: Any, dtype: np.dtype[Any], name: str) -> np.ndarray[Any, Any]:
    """The elements of a typed field, which must hold what the type says."""
    if dtype.kind == "O":
        return objects(values)
    if isinstance(values, bytes):
        return np.frombuffer(values, dtype)
    if dtype.kind == "c":
        real = np.float32 if dtype.itemsize == 8 else np.float64
        return np.fromiter(values, real, len(values)).view(dtype)
    stored = np.dtype(np.uint16) if dtype.itemsize == 2 and dtype.kind not in "iu" else dtype
    try:
        return np.fromiter(values, stored, len(values)).view(dtype)
    except OverflowError:
        raise invalid(f"{name}: a value is out of the range of {dtype}", name) from None


def fill(tensor: Any, array: np.ndarray[Any, Any]) -> None:
    """Write an array into a TensorProto, in the field of its type, as TensorFlow Serving does."""
    number = number_of(array.dtype)
    tensor.dtype = number
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    dtype, field = _TYPES[number]
    flat = np.ascontiguousarray(array).ravel()
    if field in _RAW:
        data = flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()
        if data:
            tensor.MergeFromString(bytes([_RAW[field] << 3 | 2]) + _varint(len(data)) + data)
    elif number == STRING:
        tensor.string_val.extend(map(as_bytes, flat.tolist()))
    elif field == "float8_val":
        tensor.float8_val = flat.tobytes()
    elif field == "half_val":
        tensor.half_val.extend(flat.view(np.uint16).tolist())
    else:
        getattr(tensor, field).extend(flat.astype(dtype, copy=False).tolist())


def _varint(number: int) -> bytes:
    """A length as protobuf writes it: seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


__all__ = ["STRING", "described", "fill", "number_of", "to_array"]
