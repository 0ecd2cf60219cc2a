"""The names that PyTorch's files may use: what `ag.load` can build, and nothing else."""

from __future__ import annotations

import codecs
from collections import Counter, OrderedDict
from typing import Any

import numpy as np

from argand.base import late
from argand.base.dtype import ALL, WIDE_UNSIGNED, DType
from argand.base.errors import CallError
from argand.base.layout import layout
from argand.io.opcodes import Builder
from argand.io.storages import Inside, Storage, StorageType
from argand.tensor.core import Size, Tensor
from argand.tensor.device import device

# PyTorch's old classes of storages and tensors, by the dtype of their elements. Of newer dtypes the
# storage is untyped.
OLD_NAMES = {d.name: d.title for d in ALL if d.kind != "s" and d not in WIDE_UNSIGNED}
_ALIASES = {"half": "float16", "float": "float32", "double": "float64", "long": "int64"}

# -- tensors ---------------------------------------------------------------------------------------


def _tensor_v2(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    meta: Any = None,
) -> Tensor:
    return _finished(_of(storage, None, offset, size, stride), requires_grad, meta)


def _tensor_v3(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    meta: Any = None,
) -> Tensor:
    return _finished(_of(storage, dtype, offset, size, stride), requires_grad, meta)


def _tensor_v1(storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    return _of(storage, None, offset, size, stride)


def _of(storage: Any, dtype: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    if not isinstance(storage, Storage) or type(dtype) not in (DType, type(None)):
        raise ValueError("expected a storage and a dtype")
    dtype = storage.dtype if dtype is None else dtype
    if dtype is None:
        raise ValueError("memory whose dtype nothing says")
    return storage.tensor(dtype, offset, size, stride)


def _finished(t: Tensor, requires_grad: Any, meta: Any) -> Tensor:
    """The tensor as PyTorch marks it: with signs and conjugation that it has not carried out."""
    for mark in meta or ():
        if mark not in ("conj", "neg"):
            raise ValueError(f"a tensor that is marked {mark!r:.50}")
    if meta and meta.get("conj"):
        t = t.conj()
    if meta and meta.get("neg"):
        t = -t
    return t.requires_grad_() if requires_grad is True else t


def _marked_size(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, *rest: Any
) -> int:
    """The bytes of the copy that a marked tensor is."""
    if not rest or type(rest[-1]) is not dict:
        return 0
    return 16 * int(np.prod([int(n) for n in size], dtype=object))


def _parameter(data: Any, requires_grad: Any = True, hooks: Any = None) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError("a parameter is made of a tensor")
    made: Tensor = late.resolve("nn.parameter")(data, bool(requires_grad))
    return made


def _parameter_with_state(data: Any, requires_grad: Any, hooks: Any, state: Any) -> Tensor:
    return _with_attributes(_parameter(data, requires_grad), state)


def _typed(rebuild: Any, kind: Any, args: Any, state: Any) -> Tensor:
    """A tensor with attributes, made by another function of this list."""
    if type(rebuild) is not Builder or not rebuild.name.startswith("torch._utils."):
        raise ValueError("a tensor that no function of the list makes")
    if type(kind) is not TensorClass:
        raise ValueError("a tensor of a class that is not known")
    made = rebuild.make(*args)
    if not isinstance(made, Tensor):
        raise ValueError("a tensor that is none")
    return _with_attributes(made, state)


def _typed_size(rebuild: Any, kind: Any, args: Any, state: Any) -> int:
    return int(rebuild.cost(*args))


def _with_attributes(t: Tensor, state: Any) -> Tensor:
    if type(state) is tuple and len(state) == 2 and not state[1]:
        state = state[0]
    if type(state) is not dict:
        raise ValueError("attributes of a tensor that are no dictionary")
    for name, value in state.items():
        if type(name) is not str or name.startswith("__") or hasattr(type(t), name):
            raise ValueError(f"a tensor can't be given the attribute {name!r:.50}")
        t.__dict__[name] = value
    return t


def _cast(data: Any, dtype: Any, place: Any, requires_grad: Any) -> Tensor:
    """A tensor of a device without storages, which was saved by its values."""
    if not isinstance(data, Tensor) or type(dtype) is not DType:
        raise ValueError("expected a tensor and a dtype")
    return _finished(data.to(dtype), requires_grad, None)


def _sparse(kind: Any, data: Any) -> Tensor:
    """A sparse tensor of the tensors that it is made of."""
    if type(kind) is not layout or type(data) is not tuple:
        raise ValueError("a sparse tensor is a layout and tensors")
    made: Tensor = late.resolve("tensor.sparse").rebuilt(kind, data)
    return made


def _sparse_size(kind: Any, data: Any) -> int:
    """The bytes of what is worked out about the places of a sparse tensor."""
    return 64 * max((t.shape.numel() for t in data if isinstance(t, Tensor)), default=0)


class TensorClass(Inside):
    """A class of tensors, as a name."""

    def __init__(self, name: str) -> None:
        self.name = name


# -- plain values ----------------------------------------------------------------------------------


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes are written as latin1")
    return codecs.latin_1_encode(text)[0]


def _no_bytes() -> bytes:
    return b""


def _bytearray(data: Any = b"", encoding: Any = "latin1") -> bytearray:
    return bytearray(data if type(data) is bytes else _encoded(data, encoding))


def _items(kind: type) -> Any:
    def make(items: Any = ()) -> Any:
        if type(items) not in (list, tuple):
            raise ValueError("expected a list of items")
        for item in items:
            if type(item) not in (str, int, float, bool, type(None), bytes):
                raise ValueError(f"an item of type {type(item).__name__}")
        return kind(items)

    return make


def _size(numbers: Any) -> Size:
    if not all(type(n) is int for n in numbers):
        raise ValueError("sizes must be whole numbers")
    return Size(numbers)


def _ordered(pairs: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict((_plain(key), value) for key, value in pairs)


def _counter(counts: Any = ()) -> Counter[Any]:
    if counts and type(counts) is not dict:
        raise ValueError("expected a dictionary")
    return Counter(dict(counts))


def _plain(key: Any) -> Any:
    if type(key) not in (str, int):
        raise ValueError(f"a key of type {type(key).__name__}")
    return key


def _complex(real: Any, imaginary: Any) -> complex:
    return complex(float(real), float(imaginary))


def _device(kind: Any, index: Any = None) -> device:
    if type(kind) is not str or type(index) not in (int, type(None)):
        raise ValueError("a device is a name and a number")
    return device(kind, index)


def _layout(name: Any) -> layout:
    if type(name) is not str or not name.startswith("torch."):
        raise ValueError(f"the layout {name!r:.50} is not there")
    try:
        return layout(name.removeprefix("torch."))
    except CallError:
        raise ValueError(f"the layout {name!r:.50} is not there") from None


def _length(*args: Any) -> int:
    """The bytes of a copy of texts and bytes."""
    return sum(len(a) for a in args if type(a) in (str, bytes))


def _count(*args: Any) -> int:
    """As bytes, the items of a copy of containers, of which no file has one in less than two."""
    return 4 * sum(len(a) for a in args if hasattr(a, "__len__"))


def _annotate(target: OrderedDict[Any, Any], state: Any) -> None:
    """The versions that PyTorch's state dicts have beside their items."""
    if type(state) is not dict or set(state) - {"_metadata"}:
        raise ValueError("attributes that are not those of a state dict")
    target.__dict__.update(state)


# -- NumPy's arrays and numbers --------------------------------------------------------------------


class NumpyType(Inside):
    """A dtype of NumPy while it is read: its code, and the order of bytes."""

    name = "a dtype of NumPy"

    def __init__(self, code: Any, *flags: Any) -> None:
        if type(code) is not str or code[:1] not in tuple("biufc") or not code[1:].isdigit():
            raise ValueError(f"elements of type {code!r:.50}")
        self.code = code
        self.order = "="

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's own."""
        return np.dtype(self.order + self.code)

    def set_state(self, state: Any) -> None:
        """What follows the code in a file."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise ValueError("a dtype with fields")
        self.order = state[1]


def _empty_array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    if type(kind) is not TensorClass or kind.name != "numpy.ndarray":
        raise ValueError("an array of another class")
    return np.empty(0, np.int8)


def _fill_array(array: np.ndarray, state: Any) -> None:
    _, shape, kind, by_column, data = state
    if type(kind) is not NumpyType or type(data) is not bytes or not _size(shape) == tuple(shape):
        raise ValueError("an array of anything but numbers")
    # NumPy's own, which holds the array to be one of numbers of this size
    state = (1, tuple(shape), kind.dtype, bool(by_column), data)
    array.__setstate__(state)


def _scalar(kind: Any, data: Any) -> Any:
    if type(kind) is not NumpyType or type(data) is not bytes:
        raise ValueError("a number of NumPy is a dtype and bytes")
    (value,) = np.frombuffer(data, kind.dtype)
    return value


# -- the list --------------------------------------------------------------------------------------


def _builders() -> dict[str, Builder]:
    made = [
        Builder("torch._utils._rebuild_tensor", _tensor_v1),
        Builder("torch._utils._rebuild_tensor_v2", _tensor_v2, _marked_size),
        Builder("torch._utils._rebuild_tensor_v3", _tensor_v3, _marked_size),
        Builder("torch._utils._rebuild_parameter", _parameter),
        Builder("torch._utils._rebuild_parameter_with_state", _parameter_with_state),
        Builder("torch._utils._rebuild_device_tensor_from_cpu_tensor", _cast),
        Builder("torch._tensor._rebuild_from_type_v2", _typed, _typed_size),
        Builder("torch._utils._rebuild_sparse_tensor", _sparse, _sparse_size),
        Builder("torch.nn.parameter.Parameter", _parameter),
        Builder("torch.serialization._get_layout", _layout),
        Builder("torch.Size", _size, _count),
        Builder("torch.device", _device),
        Builder("collections.OrderedDict", _ordered, _count),
        Builder("collections.Counter", _counter, _count),
        Builder("_codecs.encode", _encoded, _length),
        Builder("builtins.bytes", _no_bytes),
        Builder("builtins.bytearray", _bytearray, _length),
        Builder("builtins.set", _items(set), _count),
        Builder("builtins.frozenset", _items(frozenset), _count),
        Builder("builtins.complex", _complex),
        Builder("numpy.dtype", NumpyType),
    ]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        made.append(Builder(f"{module}._reconstruct", _empty_array))
        made.append(Builder(f"{module}.scalar", _scalar))
    return {b.name: b for b in made}


def _values() -> dict[str, Any]:
    found: dict[str, Any] = {"torch.storage.UntypedStorage": StorageType("UntypedStorage", None)}
    for name in ("torch.Tensor", "torch.nn.parameter.Parameter", "numpy.ndarray"):
        found[name] = TensorClass(name)
    for dtype in ALL:
        found[f"torch.{dtype.name}"] = dtype
    for alias, name in _ALIASES.items():
        found[f"torch.{alias}"] = found[f"torch.{name}"]
    for name, old in OLD_NAMES.items():
        for module in ("torch", "torch.cuda"):
            kind = StorageType(f"{old}Storage", found[f"torch.{name}"])
            found[f"{module}.{old}Storage"] = kind
            found[f"{module}.{old}Tensor"] = TensorClass(f"{module}.{old}Tensor")
    return found


NAMES: dict[str, Any] = _values() | _builders()
STATES: dict[type, Any] = {
    OrderedDict: _annotate,
    np.ndarray: _fill_array,
    NumpyType: NumpyType.set_state,
}

__all__ = ["NAMES", "OLD_NAMES", "STATES"]
