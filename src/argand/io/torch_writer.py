"""Writes what `torch.load(weights_only=True)` reads: pickled data and storages in an archive."""

from __future__ import annotations

import copyreg
import secrets
import struct
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable
from enum import Enum
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from argand.base import late
from argand.base.dtype import DType
from argand.base.layout import layout, sparse_coo, strided
from argand.base.naming import naming
from argand.base.stateful import is_stateful
from argand.io.skipping import is_skipping
from argand.io.torch_names import OLD_NAMES
from argand.io.zipped import ZipWriter
from argand.tensor.core import Size, Tensor
from argand.tensor.device import device
from argand.tensor.meta import values

_DEEPEST = 100
_REMEDY = (
    "save(format='torch') takes tensors, numbers, strings, bytes, plain containers and objects "
    "made of these; for a model save its state_dict()"
)


def write_torch(obj: Any, write: Callable[[Any], Any], folder: str = "archive") -> None:
    """Write an object by a file's `write`; TypeError, before the first byte, where it can't be."""
    writer = _Pickled()
    data = writer.whole(obj)
    archive = ZipWriter(write)
    archive.add(f"{folder}/data.pkl", data)
    archive.add(f"{folder}/.format_version", b"1")
    archive.add(f"{folder}/.storage_alignment", str(archive.alignment).encode())
    archive.add(f"{folder}/byteorder", sys.byteorder.encode())
    for key, memory in enumerate(writer.storages.memory):
        archive.add(f"{folder}/data/{key}", np.zeros_like(memory) if is_skipping() else memory)
    archive.add(f"{folder}/version", b"3\n")
    identity = "".join(str(secrets.randbelow(10)) for _ in range(40))
    archive.add(f"{folder}/.data/serialization_id", identity.encode())
    archive.close()


class _Place(NamedTuple):
    """Where a tensor is in a storage, counted in elements."""

    key: int
    size: int
    offset: int
    stride: tuple[int, ...]


class _Storages:
    """The memory that tensors share, once for all that do."""

    def __init__(self) -> None:
        self.memory: list[np.ndarray] = []
        self._keys: dict[tuple[int, int, str], int] = {}
        self._kept: list[np.ndarray] = []  # so that no address is used twice

    def place(self, t: Tensor) -> _Place:
        """The place of a tensor, in the storage of the tensor that owns its memory."""
        array, root = values(t), t._root().numpy_array()
        if not _is_dense(root) or not _is_inside(array, root):
            array = root = np.ascontiguousarray(array).reshape(array.shape)
        low, high = byte_bounds(root) if root.size else (0, 0)
        key = self._key(root, low, high, t.dtype)
        offset = (array.ctypes.data - low) // array.itemsize if array.size else 0
        stride = tuple(s // array.itemsize for s in array.strides)
        return _Place(key, (high - low) // array.itemsize, offset, stride)

    def _key(self, root: np.ndarray, low: int, high: int, dtype: DType) -> int:
        name = (low, high, dtype.name)
        if name not in self._keys or not root.size:
            self._keys[name] = len(self.memory)
            order = sorted(range(root.ndim), key=lambda d: -root.strides[d])
            flat = root.transpose(order).reshape(-1)
            self._kept.append(flat)
            self.memory.append(flat.view(np.uint8))
        return self._keys[name]


def _is_dense(array: np.ndarray) -> bool:
    """Whether the elements fill a stretch of memory, each place once."""
    expected = array.itemsize
    for stride, size in sorted(zip(array.strides, array.shape, strict=True)):
        if size != 1 and stride != expected:
            return not array.size
        expected *= size
    return True


def _is_inside(array: np.ndarray, root: np.ndarray) -> bool:
    if not array.size:
        return True
    (low, high), (first, last) = byte_bounds(root), byte_bounds(array)
    whole = all(s >= 0 and s % array.itemsize == 0 for s in array.strides)
    return whole and array.dtype == root.dtype and low <= first and last <= high


class _Pickled:
    """An object as pickled data of protocol 2; what is there twice is written once."""

    def __init__(self) -> None:
        self.storages = _Storages()
        self._out = bytearray(b"\x80\x02")
        self._memo: dict[Any, int] = {}
        self._count = 0
        self._kept: list[Any] = []  # so that no id is used twice
        self._path: list[str] = []

    def whole(self, obj: Any) -> bytes:
        """The data of an object."""
        self._write(obj)
        self._out += b"."
        return bytes(self._out)

    def _write(self, x: Any) -> None:
        if self._got(id(x)):
            return
        act = _WRITERS.get(type(x)) or self._other(x)
        if len(self._path) > _DEEPEST:
            raise ValueError(f"save takes containers nested at most {_DEEPEST} deep")
        act(self, x)

    def _other(self, x: Any) -> Any:
        """What writes an object whose type is not in the table."""
        if isinstance(x, Enum):
            return _Pickled._object
        for kind in (Tensor, np.generic, OrderedDict, dict, list, tuple, set, str, int, float):
            if isinstance(x, kind):
                return _WRITERS[kind]
        return _Pickled._global if _is_global(x) else _Pickled._object

    def _error(self, x: Any, reason: str = "") -> TypeError:
        where = ".".join(self._path) or "the top"
        return TypeError(f"can't save a {type(x).__name__} (at {where}): {reason or _REMEDY}")

    # -- what was written before -------------------------------------------------------------------

    def _got(self, name: Any) -> bool:
        """Whether an object was written before; then it is fetched."""
        place = self._memo.get(name)
        if place is None:
            return False
        self._out += b"h" + bytes([place]) if place < 256 else b"j" + struct.pack("<I", place)
        return True

    def _remember(self, name: Any = None, kept: Any = None) -> None:
        place = self._count
        self._count += 1
        self._out += b"q" + bytes([place]) if place < 256 else b"r" + struct.pack("<I", place)
        if name is not None:
            self._memo[name] = place
            self._kept.append(kept)

    # -- values ------------------------------------------------------------------------------------

    def _none(self, x: None) -> None:
        self._out += b"N"

    def _bool(self, x: bool) -> None:
        self._out += b"\x88" if x else b"\x89"

    def _int(self, x: int) -> None:
        x = int(x)
        if 0 <= x < 1 << 8:
            self._out += b"K" + bytes([x])
        elif 0 <= x < 1 << 16:
            self._out += b"M" + struct.pack("<H", x)
        elif -(1 << 31) <= x < 1 << 31:
            self._out += b"J" + struct.pack("<i", x)
        elif x.bit_length() < 2040:
            data = x.to_bytes(x.bit_length() // 8 + 1, "little", signed=True)
            self._out += b"\x8a" + bytes([len(data)]) + data
        else:
            raise ValueError("save(format='torch') takes integers of less than 2040 bits")

    def _float(self, x: float) -> None:
        self._out += b"G" + struct.pack(">d", x)

    def _complex(self, x: complex) -> None:
        self._name("__builtin__", "complex")
        self._float(x.real)
        self._float(x.imag)
        self._out += b"\x86R"

    def _str(self, x: str) -> None:
        if not self._got(("str", x)):
            data = x.encode("utf-8", "surrogatepass")
            self._out += b"X" + struct.pack("<I", len(data)) + data
            self._remember(("str", x))

    def _bytes(self, x: bytes) -> None:
        self._name("_codecs", "encode")
        self._str(x.decode("latin1"))
        self._str("latin1")
        self._out += b"\x86R"

    def _numpy_number(self, x: np.generic) -> None:
        value = x.item()
        if isinstance(value, np.generic | bytes):
            raise self._error(x)
        self._write(value)

    def _name(self, module: str, name: str) -> None:
        if not self._got(("name", module, name)):
            self._out += f"c{module}\n{name}\n".encode()
            self._remember(("name", module, name))

    def _dtype(self, x: DType) -> None:
        self._name("torch", x.name)

    def _device(self, x: device) -> None:
        self._name("torch", "device")
        self._str(x.type)
        if x.index is None:
            self._out += b"\x85R"
        else:
            self._int(x.index)
            self._out += b"\x86R"

    # -- containers --------------------------------------------------------------------------------

    def _inside(self, name: Any, x: Any) -> None:
        self._path.append(str(name))
        self._write(x)
        self._path.pop()

    def _list(self, x: list[Any]) -> None:
        self._out += b"]"
        self._remember(id(x), x)
        self._items(x)

    def _items(self, x: Any) -> None:
        if x:
            self._out += b"("
            for i, item in enumerate(x):
                self._inside(i, item)
            self._out += b"e"

    def _tuple(self, x: tuple[Any, ...]) -> None:
        if not x:
            self._out += b")"
            return
        self._out += b"("
        for i, item in enumerate(x):
            self._inside(i, item)
        self._out += b"t"
        self._remember(id(x), x)

    def _size(self, x: Size) -> None:
        self._name("torch", "Size")
        self._tuple(tuple(x))
        self._out += b"\x85R"

    def _set(self, x: set[Any]) -> None:
        self._name("__builtin__", "set")
        self._out += b"]"
        self._items(sorted(x, key=lambda item: (type(item).__name__, item)))
        self._out += b"\x85R"
        self._remember(id(x), x)

    def _dict(self, x: dict[Any, Any]) -> None:
        self._out += b"}"
        self._remember(id(x), x)
        self._pairs(x)

    def _counter(self, x: Counter[Any]) -> None:
        self._name("collections", "Counter")
        self._dict(dict(x))
        self._out += b"\x85R"
        self._remember(id(x), x)

    def _ordered(self, x: OrderedDict[Any, Any]) -> None:
        self._empty_ordered()
        self._remember(id(x), x)
        self._pairs(x)
        if "_metadata" in x.__dict__:
            self._write({"_metadata": x.__dict__["_metadata"]})
            self._out += b"b"

    def _empty_ordered(self) -> None:
        self._name("collections", "OrderedDict")
        self._out += b")R"

    def _pairs(self, x: Any) -> None:
        if not x:
            return
        self._out += b"("
        for key, value in x.items():
            if not isinstance(key, str | int | float | bool | type(None) | bytes | tuple):
                raise self._key_error(key)
            self._write(key)
            self._inside(key, value)
        self._out += b"u"

    def _key_error(self, key: Any) -> TypeError:
        where = ".".join(self._path) or "the top"
        return TypeError(f"can't save a dictionary key of type {type(key).__name__} (at {where})")

    # -- NumPy's arrays ----------------------------------------------------------------------------

    def _array(self, x: np.ndarray) -> None:
        """As NumPy's `__reduce__` has it, by the names that all versions know."""
        if x.dtype.kind not in "biufc" or x.dtype.names or type(x) is not np.ndarray:
            raise self._error(x)
        self._name("numpy._core.multiarray", "_reconstruct")
        self._name("numpy", "ndarray")
        self._numbers((0,))
        self._bytes(b"b")
        self._out += b"\x87R"
        self._remember(id(x), x)
        self._out += b"("
        self._int(1)
        self._numbers(x.shape)
        self._numpy_dtype(x.dtype)
        self._bool(False)
        self._bytes(np.ascontiguousarray(x).tobytes())
        self._out += b"tb"

    def _numpy_dtype(self, x: np.dtype[Any]) -> None:
        self._name("numpy", "dtype")
        self._str(f"{x.kind}{x.itemsize}")
        self._bool(False)
        self._bool(True)
        order = "|" if x.itemsize == 1 else "<" if x.newbyteorder("<") == x else ">"
        self._out += b"\x87R"
        self._out += b"("
        self._int(3)
        self._str(order)
        self._out += b"NNN"
        for number in (-1, -1, 0):
            self._int(number)
        self._out += b"tb"

    # -- objects of ordinary classes ---------------------------------------------------------------

    def _global(self, x: Any) -> None:
        """A class or a function, by its name."""
        module, name = x.__module__, x.__qualname__
        if "." in name or getattr(sys.modules.get(module), name, None) is not x:
            raise self._error(x, f"{module}.{name} is not found under that name")
        self._name(_OLD_MODULES.get(module, module), name)

    def _object(self, x: Any) -> None:
        """What makes an object again, as the object tells pickle: a class or function, its
        arguments, and what it holds."""
        # whole modules only for PyTorch's programs: their files depend on the code of the layers
        if type(x) is object or (is_stateful(type(x)) and naming.package != "torch"):
            raise self._error(x)
        try:
            told = x.__reduce_ex__(2)
        except Exception as e:
            raise self._error(x, str(e)) from None
        if isinstance(told, str) or not 2 <= len(told) <= 5:
            raise self._error(x)
        make, args, state, items, pairs = (*told, None, None, None)[:5]
        is_new = make is copyreg.__newobj__  # type: ignore[attr-defined]  # of pickle
        self._inside(type(x).__name__, args[0] if is_new else make)
        self._inside("arguments", tuple(args[1:] if is_new else args))
        self._out += b"\x81" if is_new else b"R"
        self._remember(id(x), x)
        if items is not None:
            self._items(list(items))
        if pairs is not None:
            self._pairs(dict(pairs))
        if state is not None:
            self._inside("state", state)
            self._out += b"b"

    # -- tensors -----------------------------------------------------------------------------------

    def _tensor(self, x: Tensor) -> None:
        if x.layout is not strided:
            self._sparse(x)
            return
        is_parameter = isinstance(x, late.resolve("nn.parameter"))
        if is_parameter:
            self._name("torch._utils", "_rebuild_parameter")
            self._elements(x, False)
            self._bool(x.requires_grad)
            self._empty_ordered()
            self._out += b"\x87R"
        else:
            self._elements(x, x.requires_grad)
        self._remember(id(x), x)

    def _sparse(self, x: Any) -> None:
        """A sparse tensor: its layout, and the tensors that it is made of."""
        self._name("torch._utils", "_rebuild_sparse_tensor")
        self._layout(x.layout)
        self._out += b"("
        for part in x.detach()._parts().values():
            self._write(part)
        self._size(x.shape)
        if x.layout is sparse_coo:
            self._bool(x.is_coalesced())
        self._out += b"t\x86R"
        self._remember(id(x), x)

    def _layout(self, x: layout) -> None:
        self._name("torch.serialization", "_get_layout")
        self._str(f"torch.{x.name}")
        self._out += b"\x85R"

    def _elements(self, x: Tensor, requires_grad: bool) -> None:
        old = OLD_NAMES.get(x.dtype.name)
        place = self.storages.place(x)
        self._name("torch._utils", "_rebuild_tensor_v2" if old else "_rebuild_tensor_v3")
        self._out += b"("
        self._storage(place, old, x.dtype)
        self._int(place.offset)
        self._numbers(x.numpy_array().shape)
        self._numbers(place.stride)
        self._bool(requires_grad)
        self._empty_ordered()
        if not old:
            self._dtype(x.dtype)
        self._out += b"tR"

    def _storage(self, place: _Place, old: str | None, dtype: DType) -> None:
        self._out += b"("
        self._str("storage")
        if old:
            self._name("torch", f"{old}Storage")
        else:
            self._name("torch.storage", "UntypedStorage")
        self._str(str(place.key))
        self._str("cpu")
        self._int(place.size if old else place.size * dtype.itemsize)
        self._out += b"tQ"

    def _numbers(self, numbers: tuple[int, ...]) -> None:
        self._out += b"("
        for n in numbers:
            self._int(n)
        self._out += b"t"


def _is_global(x: Any) -> bool:
    return isinstance(x, type | FunctionType | BuiltinFunctionType)


_OLD_MODULES = {"builtins": "__builtin__", "copyreg": "copy_reg"}  # the names of protocol 2

_WRITERS: dict[type, Callable[[_Pickled, Any], None]] = {
    type(None): _Pickled._none,
    bool: _Pickled._bool,
    int: _Pickled._int,
    float: _Pickled._float,
    complex: _Pickled._complex,
    str: _Pickled._str,
    bytes: _Pickled._bytes,
    list: _Pickled._list,
    tuple: _Pickled._tuple,
    Size: _Pickled._size,
    set: _Pickled._set,
    dict: _Pickled._dict,
    OrderedDict: _Pickled._ordered,
    Counter: _Pickled._counter,
    DType: _Pickled._dtype,
    device: _Pickled._device,
    layout: _Pickled._layout,
    Tensor: _Pickled._tensor,
    np.generic: _Pickled._numpy_number,
    np.ndarray: _Pickled._array,
}

__all__ = ["write_torch"]
