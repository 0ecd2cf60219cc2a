"""Safetensors files.

They are checked by the safetensors package, and written here: a file appears whole or not at all,
and a file that is not what it should be is refused with its name and the reason.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from argand.base.dtype import ALL, as_dtype
from argand.base.errors import FormatError
from argand.base.shape import contiguous_strides
from argand.io.replacing import replacing
from argand.io.source import Source, opened
from argand.io.storages import Storage
from argand.io.torch_files import is_pickled
from argand.io.zipped import is_zip
from argand.tensor.core import Tensor
from argand.tensor.device import check_device
from argand.tensor.meta import values

# The format's names of dtypes; those that Argand lacks are refused. In a file the widest come
# first, so that all are aligned: in this order, as the safetensors package writes them.
_CODES = {
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
    "C64": "complex64",
    "F32": "float32",
    "U32": "uint32",
    "I32": "int32",
    "BF16": "bfloat16",
    "F16": "float16",
    "U16": "uint16",
    "I16": "int16",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
_DTYPES = {code: dtype for code, name in _CODES.items() for dtype in ALL if dtype.name == name}
_CODE_OF = {dtype.name: code for code, dtype in _DTYPES.items()}
_ORDER = list(_CODES)
_LONGEST_HEADER = 100_000_000  # bytes, as in the library

# What the library says, and the reason that we give before its words; the first that fits counts.
_REASONS = {
    "header too small": "not a safetensors file, or truncated",
    "header too large": "not a safetensors file",
    "invalid header length": "truncated: the file is shorter than its header",
    "unknown variant": "bad header: unknown or unsupported dtype",
    "in header": "bad header",
    "header start": "bad header",
    "invalid shape, data type, or offset": "shape and dtype don't take the bytes of data_offsets",
    "invalid offset": "its data overlap another tensor's or leave a hole",
    "overflow": "bad header: a shape is too large",
}


def save_file(
    tensors: Mapping[str, Any], path: Any, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors (or arrays) by name, and strings of metadata; the file appears whole or not.

    Raises TypeError for elements that the format lacks (complex128, objects).

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "x.safetensors")
    >>> ag.io.save_file({"x": ag.ones(2)}, path, metadata={"made": "here"})
    >>> ag.io.load_file(path)
    {'x': tensor([1., 1.])}
    """
    arrays = {name: array_of(name, t) for name, t in tensors.items()}
    strings = None if metadata is None else _checked_metadata(metadata)
    with replacing(Path(path)) as temporary, open(temporary, "wb") as file:
        _write(file, arrays, strings)


def load_file(path: Any, device: Any = "cpu", *, mmap: bool = False) -> dict[str, Tensor]:
    """The tensors of a file by name, each with memory of its own.

    `mmap=True` maps the file into memory: its pages are read when they are used, and written to
    without changing the file.

    Raises FormatError, which names the file and what is wrong, and FileNotFoundError.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "x.safetensors")
    >>> ag.io.save_file({"x": ag.ones(2)}, path)
    >>> ag.io.load_file(path)["x"]
    tensor([1., 1.])
    """
    check_device(device)
    return read(path, mmap)[0]


def load_metadata(path: Any) -> dict[str, str]:
    """The strings that were saved beside the tensors.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "x.safetensors")
    >>> ag.io.save_file({"x": ag.ones(2)}, path, metadata={"made": "here"})
    >>> ag.io.load_metadata(path)
    {'made': 'here'}
    """
    with _opened(Path(path)) as file:
        return dict(file.metadata() or {})


def read(path: Any, mapped: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file and its metadata."""
    path = Path(path)
    with _opened(path) as file, opened(path, mapped) as source:
        header = _header(path)
        names = [name for name in header if name != "__metadata__"]
        for name in names:
            _check_entry(path, name, header[name])
        start = 8 + int.from_bytes(source.read(0, 8), "little")
        tensors = {name: _tensor(source, name, start, header[name]) for name in names}
        return tensors, dict(file.metadata() or {})


def tensors_at(source: Source, place: int, size: int, part: str) -> dict[str, Tensor]:
    """The tensors of the safetensors file that lies in another one, under the name `part`.

    Its header is checked here, by the rules of the format: tensors one behind the other, without
    holes, that take all of it.
    """
    if size < 8:
        raise source.error(f"{part}: truncated")
    length = int.from_bytes(source.read(place, 8), "little")
    if not 2 <= length <= min(size - 8, _LONGEST_HEADER):
        raise source.error(f"{part}: its header can't have {length} bytes")
    header = _parsed_header(source.read(place + 8, length), f"{source.name}: {part}")
    header.pop("__metadata__", None)
    start, end = place + 8 + length, 0
    for name, entry in sorted(header.items(), key=lambda item: _begin(source, part, *item)):
        begin, stop = entry["data_offsets"]
        _check_entry(Path(source.name), f"{part}: {name}", entry)
        if begin != end or stop - begin != _bytes_of_entry(entry):
            raise source.error(f"{part}: {name}: its data_offsets don't fit its shape and place")
        end = stop
    if start + end != place + size:
        raise source.error(f"{part}: its tensors take {end} bytes, it has {size - 8 - length}")
    return {name: _tensor(source, name, start, entry) for name, entry in header.items()}


def _begin(source: Source, part: str, name: str, entry: Any) -> int:
    """Where the data of an entry begin; FormatError where the entry is none."""
    if isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}:
        shape, offsets = entry["shape"], entry["data_offsets"]
        lists = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
        numbers = [*shape, *offsets] if lists else [-1]
        known = isinstance(entry["dtype"], str)
        if known and all(type(n) is int and 0 <= n < 1 << 62 for n in numbers):
            return int(offsets[0])
    raise source.error(f"{part}: {name!r:.60} is described by no dtype, shape and data_offsets")


def _bytes_of_entry(entry: Mapping[str, Any]) -> int:
    count: int = math.prod(entry["shape"])
    return int(count * _DTYPES[entry["dtype"]].itemsize)


# -- writing ---------------------------------------------------------------------------------------


def _write(file: Any, arrays: dict[str, np.ndarray], strings: dict[str, str] | None) -> None:
    for part in _parts(arrays, strings):
        file.write(part)


def contents(tensors: Mapping[str, Any]) -> list[Any]:
    """The contents of a file of these tensors, as buffers one behind the other."""
    return _parts({name: array_of(name, t) for name, t in tensors.items()}, None)


def _parts(arrays: dict[str, np.ndarray], strings: dict[str, str] | None) -> list[Any]:
    """The length of the header, the header as JSON, and the elements of all arrays."""
    codes = {name: _CODE_OF[as_dtype(a.dtype).name] for name, a in arrays.items()}
    names = sorted(arrays, key=lambda name: (_ORDER.index(codes[name]), name))
    header: dict[str, Any] = {}
    if strings is not None:
        header["__metadata__"] = dict(sorted(strings.items()))
    place = 0
    for name in names:
        end = place + arrays[name].nbytes
        shape = list(arrays[name].shape)
        header[name] = {"dtype": codes[name], "shape": shape, "data_offsets": [place, end]}
        place = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *(bytes_of(arrays[n]) for n in names)]


def bytes_of(array: np.ndarray) -> memoryview:
    """The elements of a contiguous array as they are stored in a file."""
    if sys.byteorder == "big":
        array = array.byteswap()
    return array.reshape(-1).view(np.uint8).data


def array_of(name: str, value: Any) -> np.ndarray:
    """A tensor or an array as it is saved: of a dtype that the format has, and contiguous."""
    if not isinstance(name, str) or name == "__metadata__":
        raise ValueError(f"a tensor can't be saved under the name {name!r}")
    array = values(value) if isinstance(value, Tensor) else np.asarray(value)
    try:
        dtype = as_dtype(array.dtype)
    except TypeError:
        raise TypeError(f"{name}: elements of type {array.dtype} can't be saved") from None
    if dtype.name == "complex128":
        raise TypeError(
            f"{name}: elements of type complex128 can't be saved, safetensors has no such type; "
            "save the real and the imaginary part, or complex64"
        )
    return np.ascontiguousarray(array).reshape(array.shape)


def _checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata must map strings to strings, got {key!r}: {value!r}")
    return dict(metadata)


# -- reading ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, opened by the library; its errors become FormatErrors."""
    with opened(path) as source:
        if is_zip(source) or is_pickled(source):
            raise source.error("a zip archive or pickled data, such as a PyTorch file: use ag.load")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as e:
        raise FormatError(f"{path}: {_reason(path, str(e))}") from None


def _reason(path: Path, said: str) -> str:
    said = said.removeprefix("Error while deserializing header: ")
    if "not fully covered" in said:
        return _wrong_size(path)
    known = (ours for theirs, ours in _REASONS.items() if theirs in said)
    return f"{next(known, 'not a valid safetensors file')} ({said})"


def _wrong_size(path: Path) -> str:
    """The library says only that data and file differ in size; here which of them is longer."""
    header = _header(path)
    needed = max(
        (e["data_offsets"][1] for n, e in header.items() if n != "__metadata__"), default=0
    )
    with path.open("rb") as file:
        found = path.stat().st_size - 8 - int.from_bytes(file.read(8), "little")
    if found < needed:
        return f"truncated: the tensors take {needed} bytes, the file has {found} for them"
    return f"{found - needed} bytes after the last tensor belong to nothing"


def _header(path: Path) -> dict[str, Any]:
    """The header of a file that the library has accepted: it lets a name appear twice."""
    with path.open("rb") as file:
        text = file.read(int.from_bytes(file.read(8), "little"))
    return _parsed_header(text, str(path))


def _parsed_header(text: bytes, where: str) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as e:
        raise FormatError(f"{where}: bad header: {e}") from None
    if not isinstance(header, dict):
        raise FormatError(f"{where}: bad header: it is no object")
    return header


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _check_entry(path: Path, name: str, entry: dict[str, Any]) -> None:
    if entry["dtype"] not in _DTYPES:
        raise FormatError(f"{path}: {name}: unknown or unsupported dtype {entry['dtype']!r}")
    if len(entry["shape"]) > 64:
        raise FormatError(f"{path}: {name}: more dimensions than a tensor can have")


def _tensor(source: Source, name: str, start: int, entry: dict[str, Any]) -> Tensor:
    """A tensor of a header that the library has found to fit the file."""
    dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    storage = Storage(
        dtype, end - begin, lambda: source.array(start + begin, end - begin), sys.byteorder == "big"
    )
    try:
        return storage.tensor(dtype, 0, shape, contiguous_strides(shape))
    except ValueError as e:
        raise source.error(f"{name}: {e}") from None
