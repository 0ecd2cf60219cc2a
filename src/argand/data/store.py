"""Where a pipeline's cache keeps elements: in memory, or in a file."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from argand.base.dtype import as_dtype
from argand.base.errors import FormatError
from argand.tensor.core import Tensor, wrap

_KIND = "argand.cache"


class Store(Protocol):
    """Elements by number, and the context in which what comes before the cache is read."""

    context: Any
    is_complete: bool


class MemoryStore:
    """Elements in memory."""

    def __init__(self) -> None:
        self.context: Any = None
        self.is_complete = False
        self._elements: dict[int, Any] = {}

    def begin(self) -> None:
        """A pass begins."""

    def __contains__(self, number: int) -> bool:
        return number in self._elements

    def __len__(self) -> int:
        return len(self._elements)

    def get(self, number: int) -> Any:
        """An element that is kept."""
        return self._elements[number]

    def put(self, number: int, element: Any) -> Any:
        """Keep an element, and return it."""
        self._elements[number] = element
        return element

    def end(self, count: int) -> None:
        """The pass had so many elements."""
        self.is_complete = len(self._elements) == count


class FileStore:
    """Elements in a file: their arrays, one after the other, then an index as JSON and where that
    begins. A temporary name is given to it until all elements are there."""

    def __init__(self, path: Any) -> None:
        self.context: Any = None
        self._path = Path(path)
        self._places: dict[int, Any] = {}
        self._file: Any = None
        self._memory: Any = None
        self.is_complete = False

    def begin(self) -> None:
        """Read the file, if it has come into being."""
        if not self.is_complete and self._path.exists():
            self._memory, elements = _read(self._path)
            self._places = dict(enumerate(elements))
            self.is_complete = True

    def __contains__(self, number: int) -> bool:
        return number in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, number: int) -> Any:
        """An element that is kept."""
        if self._memory is None:
            self._file.flush()
            data: np.ndarray = np.memmap(self._temporary, np.uint8, "r")
        else:
            data = self._memory
        return _decoded(self._places[number], data)

    @property
    def _temporary(self) -> Path:
        return self._path.with_name(f".{self._path.name}.{os.getpid()}")

    def put(self, number: int, element: Any) -> Any:
        """Write an element, and return it."""
        if self._file is None:
            self._temporary.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._temporary, "wb")  # noqa: SIM115  # until the last element
        self._places[number] = _encoded(element, self._write)
        return element

    def _write(self, data: bytes) -> list[int]:
        self._file.write(bytes(-self._file.tell() % 64))
        at = self._file.tell()
        self._file.write(data)
        return [at, len(data)]

    def end(self, count: int) -> None:
        """Give the file its name, if every element is in it."""
        if self.is_complete or self._file is None or len(self._places) != count:
            return
        elements = [self._places[i] for i in range(count)]
        index = json.dumps({"kind": _KIND, "version": 1, "elements": elements}).encode()
        at, size = self._write(index)
        self._file.write(np.array([at, size], "<i8").tobytes())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._temporary, self._path)
        self._file, self._memory, self.is_complete = None, _read(self._path)[0], True

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()
            with contextlib.suppress(OSError):
                self._temporary.unlink()


def _read(path: Path) -> tuple[np.ndarray, list[Any]]:
    """A file's bytes, and its index."""
    try:
        data: np.ndarray = np.memmap(path, np.uint8, "r")
        at, size = data[-16:].view("<i8").tolist()
        if not 0 <= at <= at + size == len(data) - 16:
            raise ValueError("its index isn't where it should be")
        index = json.loads(data[at : at + size].tobytes())
        if index["kind"] != _KIND or index["version"] != 1:
            raise ValueError("it is of another kind")
        return data, index["elements"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise FormatError(f"{path} is no cache of a pipeline: {error}; remove it") from None


# -- elements as plain data ------------------------------------------------------------------------


def _encoded(value: Any, write: Callable[[bytes], list[int]]) -> Any:
    """An element as JSON has it: [kind, ...]."""
    if value is None or type(value) in (bool, int, str):
        return ["plain", value]
    if type(value) is float:
        return ["float", value.hex()]
    if type(value) is bytes:
        return ["bytes", base64.b64encode(value).decode("ascii")]
    if type(value) in (list, tuple):
        return [type(value).__name__, [_encoded(part, write) for part in value]]
    if type(value) is dict:
        pairs = [[_encoded(k, write), _encoded(v, write)] for k, v in value.items()]
        return ["dict", pairs]
    if type(value) is Tensor:
        array = np.ascontiguousarray(value.detach().numpy_array())
        return ["tensor", value.dtype.name, list(value.shape), write(array.tobytes())]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufcSUmM":
        kind = "array" if isinstance(value, np.ndarray) else "number"
        return [kind, value.dtype.str, list(value.shape), write(value.tobytes())]
    raise TypeError(
        f"cache: a {type(value).__name__} can't be kept in a file, only tensors, arrays, numbers, "
        "texts, bytes, None, lists, tuples and dicts"
    )


def _decoded(code: Any, data: np.ndarray) -> Any:
    kind, value, *rest = code
    if kind == "plain":
        return value
    if kind == "float":
        return float.fromhex(value)
    if kind == "bytes":
        return base64.b64decode(value)
    if kind in ("list", "tuple"):
        parts = [_decoded(part, data) for part in value]
        return parts if kind == "list" else tuple(parts)
    if kind == "dict":
        return {_decoded(k, data): _decoded(v, data) for k, v in value}
    shape, (at, size) = rest
    dtype = as_dtype(value).numpy if kind == "tensor" else np.dtype(value)
    array = np.array(data[at : at + size]).view(dtype).reshape(shape)
    if kind == "tensor":
        return wrap(array)
    return array if kind == "array" else array[()]
