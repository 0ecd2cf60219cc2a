"""Where a pipeline's cache keeps elements: in memory, or in a file."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from argand.base.dtype import as_dtype
from argand.base.errors import FormatError
from argand.data import worker_info
from argand.tensor.core import Tensor, wrap

_KIND, _PART = "argand.cache", "argand.cache part"


class Store(Protocol):
    """Elements by number; the context in which what comes before the cache is read, and how many
    elements that has, once its end has been seen."""

    context: Any
    count: int | None
    is_complete: bool


class MemoryStore:
    """Elements in memory."""

    def __init__(self) -> None:
        self.context: Any = None
        self.count: int | None = None
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

    def settle(self) -> None:
        """A pass is over."""
        self.is_complete = len(self._elements) == self.count


class FileStore:
    """Elements in a file: their arrays, one after the other, then an index as JSON and where that
    begins. A temporary name is given to it until all elements are there.

    Of a loader's workers each has a file with a part of the elements, and an index of those when a
    pass ends; whoever sees that the parts are the whole puts them together.
    """

    def __init__(self, path: Any) -> None:
        self.context: Any = None
        self.count: int | None = None
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
            self._give_up()
            self.is_complete = True

    def __contains__(self, number: int) -> bool:
        return number in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, number: int) -> Any:
        """An element that is kept."""
        if self._memory is None:
            self._file.flush()
            data: np.ndarray = np.memmap(self._file.name, np.uint8, "r")
        else:
            data = self._memory
        return _decoded(self._places[number], data)

    def put(self, number: int, element: Any) -> Any:
        """Write an element, and return it."""
        if self._file is None:
            self._file = self._new_file("part")
            if worker_info.this is not None:  # whose objects are not deleted when it ends
                from multiprocessing.util import Finalize

                Finalize(self, _remove, (self._file.name,), exitpriority=0)
        self._places[number] = _encoded(element, self._write)
        return element

    def settle(self) -> None:
        """A pass is over: give the file its name, if every element is in it."""
        count = self.count
        if self.is_complete or self._file is None or count is None:
            return
        if len(self._places) == count:
            self._finish(self._file, [self._places[i] for i in range(count)])
        elif worker_info.this is not None:
            self._write_index(self._file, [[i, code] for i, code in self._places.items()], _PART)
            self._join(count)

    def _join(self, count: int) -> None:
        """Put the workers' parts together, if they are the whole."""
        found: dict[int, tuple[Any, np.ndarray]] = {}
        start, end = f".{self._path.name}.{worker_info.crew}.", ".part"
        names = [name for name in os.listdir(self._path.parent) if name.startswith(start)]
        try:
            for name in names:
                if name.endswith(end):
                    data, elements = _read(self._path.with_name(name), _PART)
                    found |= {i: (code, data) for i, code in elements}
        except (FormatError, FileNotFoundError):
            return  # another worker is not at the end yet, or has done this
        if len(found) == count:
            whole = self._new_file("whole")
            write = functools.partial(_write, whole)
            elements = [_encoded(_decoded(*found[i]), write) for i in range(count)]
            self._finish(whole, elements)

    def _finish(self, file: Any, elements: list[Any]) -> None:
        self._write_index(file, elements, _KIND)
        os.fsync(file.fileno())
        file.close()
        os.replace(file.name, self._path)
        self._memory, elements = _read(self._path)
        self._places = dict(enumerate(elements))
        self._give_up()
        self.is_complete = True

    def _write_index(self, file: Any, elements: list[Any], kind: str) -> None:
        index = json.dumps({"kind": kind, "version": 1, "elements": elements}).encode()
        file.write(np.array(_write(file, index), "<i8").tobytes())
        file.flush()

    def _write(self, data: bytes) -> list[int]:
        return _write(self._file, data)

    def _new_file(self, what: str) -> Any:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        name = f".{self._path.name}.{worker_info.crew}.{os.getpid()}.{what}"
        return open(self._path.with_name(name), "wb")

    def _give_up(self) -> None:
        """Do without the file that was begun."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk has no room for the rest of it
                self._file.close()
            _remove(self._file.name)
            self._file = None

    def __del__(self) -> None:
        self._give_up()


def _write(file: Any, data: bytes) -> list[int]:
    """Write bytes; where they begin, and how many there are."""
    file.write(bytes(-file.tell() % 64))
    at = file.tell()
    file.write(data)
    return [at, len(data)]


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _read(path: Path, kind: str = _KIND) -> tuple[np.ndarray, list[Any]]:
    """A file's bytes, and its index."""
    try:
        data: np.ndarray = np.memmap(path, np.uint8, "r")
        at, size = data[-16:].view("<i8").tolist()
        if not 0 <= at <= at + size == len(data) - 16:
            raise ValueError("its index isn't where it should be")
        index = json.loads(data[at : at + size].tobytes())
        if index["kind"] != kind or index["version"] != 1:
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
