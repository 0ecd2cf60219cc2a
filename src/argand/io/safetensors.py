"""The safetensors format: eight bytes of length, a JSON header, then the tensors' bytes.

Reading checks everything before a tensor is made: a file that is not what it should be is refused
with the reason. Writing goes to a temporary name that is renamed when the file is whole on disk.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.dtype import DType, as_dtype
from argand.base.errors import FormatError
from argand.tensor.core import Tensor, wrap

_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "C128": "complex128",
}
_CODES = {name: code for code, name in _NAMES.items()}
# The format's own limit on the header; what claims more is not a safetensors file.
_MOST_HEADER = 100_000_000


def save_file(
    tensors: Mapping[str, Any], path: Any, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors (or arrays) by name, and strings of metadata; the file appears whole or not."""
    arrays = {name: _array_of(name, t) for name, t in tensors.items()}
    header: dict[str, Any] = {}
    if metadata is not None:
        header["__metadata__"] = _checked_metadata(metadata)
    start = 0
    # Larger elements first, so that every tensor lies on a multiple of its element size.
    order = sorted(arrays, key=lambda n: (-arrays[n][0].dtype.itemsize, n))
    for name in order:
        array, dtype = arrays[name]
        stop = start + array.nbytes
        header[name] = {
            "dtype": _CODES[dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, stop],
        }
        start = stop
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with _replacing(Path(path)) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            file.write(_little_endian(arrays[name][0]).data)


def load_file(path: Any, device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a file by name, each with memory of its own.

    Raises FormatError, which names the file and what is wrong, and FileNotFoundError.
    """
    return _read(Path(path))[0]


def load_metadata(path: Any) -> dict[str, str]:
    """The strings that were saved beside the tensors."""
    header, _, _ = _read_header(Path(path))
    return dict(header.get("__metadata__") or {})


def read(path: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file and its metadata."""
    return _read(Path(path))


# -- writing ---------------------------------------------------------------------------------------


def _array_of(name: str, value: Any) -> tuple[np.ndarray, DType]:
    if not isinstance(name, str) or name == "__metadata__":
        raise ValueError(f"a tensor can't be saved under the name {name!r}")
    array = value.detach().numpy_array() if isinstance(value, Tensor) else np.asarray(value)
    try:
        dtype = as_dtype(array.dtype)
    except TypeError:
        raise TypeError(f"{name}: elements of type {array.dtype} can't be saved") from None
    return np.ascontiguousarray(array).reshape(array.shape), dtype


def _little_endian(array: np.ndarray) -> np.ndarray:
    flat = array.reshape(-1)
    if flat.dtype.byteorder == ">" or (flat.dtype.isnative and not np.little_endian):
        flat = flat.byteswap()
    return flat.view(np.uint8)


def _checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata must map strings to strings, got {key!r}: {value!r}")
    return dict(metadata)


class _replacing:  # noqa: N801  # reads as the context that it is
    """A file under a temporary name in the same folder; renamed when the block ends well."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Any:
        folder = self.path.parent
        handle, self.temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=folder)
        self.file = os.fdopen(handle, "wb")
        return self.file

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        try:
            if kind is None:
                self.file.flush()
                os.fsync(self.file.fileno())
            self.file.close()
            if kind is None:
                os.chmod(self.temporary, 0o666 & ~_umask())
                os.replace(self.temporary, self.path)
        finally:
            if os.path.exists(self.temporary):
                os.unlink(self.temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def replacing(path: Any) -> Any:
    """A binary file that takes the place of `path` when the ``with`` block ends well."""
    return _replacing(Path(path))


# -- reading ---------------------------------------------------------------------------------------


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    header, start, size = _read_header(path)
    metadata = _metadata_of(path, header)
    entries = {n: _entry(path, n, e) for n, e in header.items() if n != "__metadata__"}
    _check_layout(path, entries, size - start)
    tensors: dict[str, Tensor] = {}
    with path.open("rb") as file:
        for name, (dtype, shape, begin, _) in entries.items():
            array = np.empty(shape, dtype.numpy)
            file.seek(start + begin)
            flat = array.reshape(-1).view(np.uint8)
            if file.readinto(flat.data) != array.nbytes:
                raise FormatError(f"{path}: the file became shorter while it was read")
            _check_booleans(path, name, dtype, flat)
            tensors[name] = wrap(array if np.little_endian else array.byteswap())
    return {name: tensors[name] for name in entries}, metadata


def _read_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """The header, where the data start, and the file's size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        if first[:2] in (b"\x80\x02", b"\x80\x04", b"\x80\x05", b"PK"):
            raise FormatError(
                f"{path}: this is a pickle or zip file (PyTorch's .pt), which could run code when "
                "it is loaded; save the tensors as safetensors instead: "
                "safetensors.torch.save_file(state_dict, 'model.safetensors')"
            )
        if len(first) < 8:
            raise FormatError(f"{path}: not a safetensors file: it has only {size} bytes")
        length = int.from_bytes(first, "little")
        if length > _MOST_HEADER:
            raise FormatError(f"{path}: not a safetensors file: a header of {length} bytes")
        if length > size - 8:
            raise FormatError(
                f"{path}: truncated: the header takes {length} bytes, the file has {size - 8} left"
            )
        text = file.read(length)
    return _parse(path, text), 8 + length, size


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode(), object_pairs_hook=_without_repeats)
    except (UnicodeDecodeError, ValueError, RecursionError) as e:
        raise FormatError(f"{path}: the header is not valid JSON: {e}") from None
    if not isinstance(header, dict):
        raise FormatError(f"{path}: the header must be a JSON object")
    return header


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _metadata_of(path: Path, header: dict[str, Any]) -> dict[str, str]:
    metadata = header.get("__metadata__") or {}
    fits = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
    if not fits:
        raise FormatError(f"{path}: __metadata__ must map strings to strings")
    return dict(metadata)


Entry = tuple[DType, tuple[int, ...], int, int]


def _entry(path: Path, name: str, entry: Any) -> Entry:
    """dtype, shape and byte range of one tensor, checked against each other."""
    wanted = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != wanted:
        raise FormatError(f"{path}: {name}: expected dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in _NAMES:
        raise FormatError(f"{path}: {name}: unknown or unsupported dtype {code!r}")
    dtype = as_dtype(_NAMES[code])
    if not _is_sizes(shape) or not _is_sizes(offsets) or len(offsets) != 2:
        raise FormatError(f"{path}: {name}: shape and data_offsets must be lists of sizes")
    begin, end = offsets
    nbytes = math.prod(shape) * dtype.itemsize
    if end - begin != nbytes:
        raise FormatError(
            f"{path}: {name}: {code} of shape {tuple(shape)} takes {nbytes} bytes, its "
            f"data_offsets {begin} to {end} hold {end - begin}"
        )
    if len(shape) > 64:
        raise FormatError(f"{path}: {name}: more dimensions than a tensor can have")
    return dtype, tuple(shape), begin, end


def _is_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 2**63 for v in value)


def _check_layout(path: Path, entries: dict[str, Entry], nbytes: int) -> None:
    """The tensors must cover the data exactly, without overlap."""
    at = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda e: (e[1][2], e[1][3])):
        if begin != at:
            what = "overlaps another tensor" if begin < at else "leaves a hole before it"
            raise FormatError(f"{path}: {name}: its data at byte {begin} {what}")
        at = end
    if at > nbytes:
        raise FormatError(
            f"{path}: truncated: the tensors take {at} bytes, the file has {nbytes} for them"
        )
    if at < nbytes:
        raise FormatError(f"{path}: {nbytes - at} bytes after the last tensor belong to nothing")


def _check_booleans(path: Path, name: str, dtype: DType, flat: np.ndarray) -> None:
    if dtype.name == "bool" and flat.size and flat.max() > 1:
        raise FormatError(f"{path}: {name}: a boolean must be 0 or 1, got {flat.max()}")


def names(path: Any) -> Iterator[str]:
    """The names of the tensors in a file."""
    header, _, _ = _read_header(Path(path))
    yield from (n for n in header if n != "__metadata__")
