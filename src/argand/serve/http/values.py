"""JSON and arrays: what a body says, checked against what a signature takes."""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from argand.serve.errors import ServeError, Status, invalid
from argand.serve.signature import TensorSpec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_LARGEST = 3.4e38  # is less than float32's
_BEYOND = 10**400
_PART = 4096  # rows that are made an array at once: other threads wait for that
_SHOWN = 60  # characters of a value in an error


def decoded(body: bytes) -> Any:
    """The value of a JSON body. `NaN`, `Infinity` and `-Infinity` are numbers, as Python and
    TensorFlow write them."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found = str(error)
    except RecursionError:
        raise invalid("the body is nested too deeply", "body") from None
    if b"NaN" not in body and b"Infinity" not in body and "out of range" not in found:
        raise invalid(f"the body is no JSON: {found}", "body")
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is no JSON: {error}", "body") from None


def loads(body: bytes | str) -> Any:
    """The value of JSON with `NaN` and infinities, of which only those are infinite that say so."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return json.loads(body, parse_float=_finite)


def _finite(text: str) -> float | int:
    """A number of JSON; one beyond float64 as an integer that no dtype has, so that the input is
    named which it is for."""
    found = float(text)
    if not math.isinf(found):
        return found
    return _BEYOND if found > 0 else -_BEYOND


class _Floats(msgspec.Struct, forbid_unknown_fields=True):
    """A body that is nothing but rows of numbers, of rank 1."""

    instances: list[float]


class _Vectors(_Floats):
    """Of rank 2."""

    instances: list[list[float]]  # type: ignore[assignment]


class _Images(_Floats):
    """Of rank 4."""

    instances: list[list[list[list[float]]]]  # type: ignore[assignment]


_BY_RANK = {1: _Floats, 2: _Vectors, 4: _Images}
_ROWS = {rank: msgspec.json.Decoder(kind).decode for rank, kind in _BY_RANK.items()}


def rows_of_floats(body: bytes, spec: TensorSpec, most: int) -> np.ndarray | None:
    """The input of a body `{"instances": rows}` of numbers, for an input of floats, in a third of
    the time; None for any other body, also for one that is wrong."""
    rank = len(spec.shape or ())
    decode = _ROWS.get(rank)
    if decode is None or spec.dtype is None or not spec.dtype.is_floating_point:
        return None
    try:
        rows: Any = decode(body).instances
        parts = [
            _packed(rows[i : i + _PART], rank, spec.dtype.numpy) for i in range(0, len(rows), _PART)
        ]
        found = parts[0] if len(parts) == 1 else np.concatenate(parts)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not 0 < found.size <= most or not np.isfinite(found).all():
        return None
    return _as_float(found, spec.dtype.numpy, spec)


def _packed(rows: Any, rank: int, wanted: Any) -> np.ndarray:
    """Nested lists of floats as an array of float32 if that is wanted, or else of float64, by
    `struct`, which takes a third of `numpy.array`'s time for a row; ValueError where they are
    ragged."""
    kind = "f" if wanted == np.float32 else "d"
    shape = [len(rows)]
    for _ in range(rank - 1):
        (size,) = set(map(len, rows))
        shape.append(size)
        rows = rows[0] if len(rows) == 1 else list(chain.from_iterable(rows))
    return np.frombuffer(struct.pack(f"{len(rows)}{kind}", *rows), kind).reshape(shape)


def decoded_object(body: bytes) -> dict[str, Any]:
    """The value of a JSON body that must be an object."""
    return checked_object(decoded(body))


def checked_object(value: Any) -> dict[str, Any]:
    """The value of a body, which must be an object."""
    if not isinstance(value, dict):
        raise invalid(f"the body must be a JSON object, got {kind_of(value)}", "body")
    return value


def encoded(value: Any, arrays: Iterable[Any] = ()) -> bytes:
    """A value as JSON. Where one of the arrays that it is made of has NaN or infinities, they are
    written `NaN`, `Infinity` and `-Infinity`; any other JSON is strict."""
    if all(_is_finite(a) for a in arrays):
        return _encode(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _is_finite(array: Any) -> bool:
    return array.dtype.kind not in "fV" or bool(np.isfinite(array).all())


def kind_of(value: Any) -> str:
    """What JSON calls the kind of a value."""
    return _KINDS.get(type(value), type(value).__name__)


_KINDS: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
    np.ndarray: "an array",
}


def array_of(value: Any, spec: TensorSpec, most: int) -> np.ndarray:
    """Nested lists as an array of an input's dtype; strings and `{"b64": ...}` as an array of
    objects, str and bytes.

    Raises ServeError with the input's name where they are ragged, of another kind, or out of the
    range of the dtype.
    """
    try:
        found = _as_array(value)
    except (ValueError, OverflowError):
        raise invalid(f"{spec.name}: the lists have different lengths", spec.name) from None
    if found.size > most:
        raise ServeError(
            Status.TOO_LARGE,
            f"{spec.name} has {found.size:,} elements, more than {most:,}",
            field=spec.name,
        )
    is_list = not isinstance(value, np.ndarray)
    if is_list and spec.dtype is not None and _has_large(found, spec.dtype.numpy):
        found = _of_large(value, found, spec.dtype.numpy, spec)
    kind = found.dtype.kind
    if kind in "OSU":
        return _strings(value, found, spec)
    if spec.dtype is None:
        return found
    wanted = spec.dtype.numpy
    if kind == "f":
        if spec.dtype.is_floating_point:
            return _as_float(found, wanted, spec)
    elif kind == "b":
        if wanted.kind == "b":
            return found
    elif spec.dtype.is_floating_point:
        return _as_float(found.astype(np.float64), wanted, spec)
    elif wanted.kind in "iu":
        return _as_integer(found, wanted, spec)
    if not found.size:
        return found.astype(wanted)
    raise _wrong_kind(_first_wrong(value, wanted.kind), spec)


def _as_array(value: Any) -> np.ndarray:
    """`np.asarray` of nested lists, some rows at a time."""
    if not isinstance(value, list) or len(value) <= _PART:
        return np.asarray(value)
    return np.concatenate([np.asarray(value[i : i + _PART]) for i in range(0, len(value), _PART)])


_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=repr).encode


def _first_wrong(value: Any, kind: str) -> Any:
    """The first value in nested lists of numbers that is no boolean, or no integer."""
    right = (bool,) if kind == "b" else (int, bool)
    if isinstance(value, np.ndarray):  # one of a long text, of numbers
        return value.flat[int(np.argmax(value != np.floor(value)))].item()
    flat = np.array(value, object).reshape(-1)
    return next((x for x in flat if type(x) not in right), value)


def _has_large(found: np.ndarray, wanted: Any) -> bool:
    """Whether there may be integers that NumPy makes floats or objects of: beyond 64 bits, or
    beyond 63 beside others."""
    return found.dtype.kind == "O" or (found.dtype.kind == "f" and wanted.kind in "iu")


def _of_large(value: Any, found: np.ndarray, wanted: Any, spec: TensorSpec) -> np.ndarray:
    """An array of nested lists of numbers, some integers of them large; `found` of any others."""
    array = np.array(value, object)
    kinds = {type(x) for x in array.flat}
    if wanted.kind in "iu":
        least, most = np.iinfo(wanted).min, np.iinfo(wanted).max
    else:
        wanted = np.dtype(np.float64)
        least, most = int(np.finfo(wanted).min), int(np.finfo(wanted).max)
        kinds -= {float}
    if not kinds <= {int}:
        return found
    for x in array.flat:
        if type(x) is int and not least <= x <= most:
            shown = (
                x if x.bit_length() < 128 else f"a number {'below -' if x < 0 else 'above '}1e38"
            )
            raise invalid(f"{spec.name}: {shown} is out of the range of {wanted}", spec.name)
    return array.astype(wanted)


def _as_float(found: np.ndarray, wanted: Any, spec: TensorSpec) -> np.ndarray:
    if found.dtype == wanted:
        return found
    if wanted == np.float32 and found.size and np.abs(found).max() < _LARGEST:
        return found.astype(wanted)
    with np.errstate(over="ignore"):
        made = found.astype(wanted)
    lost = np.isinf(made) & np.isfinite(found)
    if lost.any():
        raise invalid(
            f"{spec.name}: {found[lost].flat[0]} is out of the range of {wanted}", spec.name
        )
    return made


def _as_integer(found: np.ndarray, wanted: Any, spec: TensorSpec) -> np.ndarray:
    if found.size and found.dtype != wanted:
        limits = np.iinfo(wanted)
        least, largest = int(found.min()), int(found.max())
        if least < limits.min or largest > limits.max:
            wrong = least if least < limits.min else largest
            raise invalid(f"{spec.name}: {wrong} is out of the range of {wanted}", spec.name)
    return found.astype(wanted)


def _strings(value: Any, found: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """An array of the strings in nested lists; for a numeric input they are what a card describes
    (text, an image), so that is for who asks to find out."""
    array = np.array(value, dtype=object)
    flat = array.reshape(-1)
    others = [x for x in flat if not isinstance(x, str) and not _is_base64(x)]
    if others:
        strays = others if spec.dtype is None else [x for x in flat if type(x) not in _NUMBERS]
        raise _wrong_kind((strays or others)[0], spec)
    for i, x in enumerate(flat):
        if not isinstance(x, str):
            flat[i] = bytes_of_base64(x["b64"], spec.name)
    return flat.reshape(array.shape)


_NUMBERS = (int, float)


def _is_base64(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"b64"}


def bytes_of_base64(text: Any, name: str) -> bytes:
    """What `{"b64": text}` stands for."""
    if not isinstance(text, str):
        raise invalid(f"{name}: b64 must be a string, got {kind_of(text)}", name)
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"{name}: b64 is no base64: {error}", name) from None


def _wrong_kind(value: Any, spec: TensorSpec) -> ServeError:
    wanted = "strings" if spec.dtype is None else spec.dtype.name
    shown = "" if value is None else _compact(value)
    said = f"{spec.name} is {wanted}, got {kind_of(value)} {shown[:_SHOWN]}"
    return invalid(said.rstrip(), spec.name)


def listed(array: Any) -> Any:
    """An array as nested lists for JSON; bytes as `{"b64": ...}` where they are no UTF-8."""
    kind = array.dtype.kind
    if kind in "fiub":
        return array.tolist()
    if kind == "V":  # the small floats of ml_dtypes
        return array.astype(np.float32).tolist()
    if kind == "c":
        return np.stack([array.real, array.imag], -1).tolist()
    return _texts(array.tolist())


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(x) for x in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    return value


__all__ = [
    "array_of",
    "bytes_of_base64",
    "checked_object",
    "decoded",
    "decoded_object",
    "encoded",
    "kind_of",
    "listed",
    "loads",
    "rows_of_floats",
]
