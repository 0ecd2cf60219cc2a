"""Nested dictionaries, lists and tuples of tensors, numbers and strings in safetensors files.

The file is a safetensors file: the tensors by their path, and the tree as JSON in the metadata. So
any safetensors reader can read the tensors, and loading can never run code.
"""

from __future__ import annotations

import base64
import json
import math
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.dtype import DType, as_dtype
from argand.base.errors import FormatError
from argand.io.safetensors import read, save_file
from argand.tensor.core import Size, Tensor, wrap

_KEY = "argand.tree"
_TENSOR, _ARRAY = "tensor", "array"
_MAPPINGS = {"ordered": OrderedDict, "counter": Counter, "dict": dict}


def save_tree(obj: Any, path: Path) -> None:
    """Write an object; a plain dictionary of tensors gives a plain safetensors file.

    Raises TypeError, with the path in the tree, for anything that is no data.
    """
    tensors, metadata = as_file(obj)
    save_file(tensors, path, metadata)


def as_file(obj: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of an object by name, and the metadata that has its tree."""
    tensors: dict[str, Any] = {}
    tree = _encode(obj, "", tensors)
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False)
    return tensors, {"format": "pt", _KEY: text}


def load_tree(path: Path, mapped: bool = False) -> Any:
    """What `save_tree` wrote; a foreign safetensors file gives its dictionary of tensors."""
    return of_file(path, *read(path, mapped))


def of_file(path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> Any:
    """The object whose tensors and metadata a file has."""
    text = metadata.get(_KEY)
    if text is None:
        return tensors
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise FormatError(f"{path}: its tree is not valid JSON: {e}") from None
    try:
        return _decode(tree, tensors)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as e:
        raise FormatError(f"{path}: its tree is not one that save writes ({e})") from None


# A number, string, bool or None stands for itself; everything else is a list [kind, ...].


def _encode(x: Any, path: str, tensors: dict[str, Any]) -> Any:
    if isinstance(x, Tensor | np.ndarray):
        return _encode_elements(x, path, tensors)
    if x is None or isinstance(x, bool | str):
        return x
    if isinstance(x, np.generic):
        return _encode(x.item(), path, tensors)
    if isinstance(x, int):
        return int(x)
    if isinstance(x, float):
        return float(x) if math.isfinite(x) else ["float", repr(x)]
    if isinstance(x, complex):
        return ["complex", repr(x.real), repr(x.imag)]
    if isinstance(x, bytes | bytearray):
        return ["bytes", base64.b64encode(x).decode()]
    if isinstance(x, DType):
        return ["dtype", x.name]
    if isinstance(x, Mapping):
        return _encode_mapping(x, path, tensors)
    if isinstance(x, list | tuple | set | frozenset):
        kind = "size" if isinstance(x, Size) else _kind_of(x)
        items = sorted(x) if isinstance(x, set | frozenset) else x
        return [kind, *(_encode(v, f"{path}.{i}", tensors) for i, v in enumerate(items))]
    raise TypeError(
        f"can't save a {type(x).__name__} (at {path.lstrip('.') or 'the top'}): save takes dicts, "
        "lists, tuples, tensors, arrays, numbers and strings; for a model save its state_dict()"
    )


def _encode_elements(x: Any, path: str, tensors: dict[str, Any]) -> Any:
    name = _free_name(path, tensors)
    is_tensor = isinstance(x, Tensor)
    array = x.detach().numpy_array() if is_tensor else x
    if array.dtype == np.complex128:  # which the format lacks: pairs of float64
        tensors[name] = np.ascontiguousarray(array).reshape(-1).view(np.float64)
        return ["pairs", name, is_tensor, list(array.shape)]
    tensors[name] = x
    return [_TENSOR, name, x.requires_grad and x.is_leaf] if is_tensor else [_ARRAY, name]


def _kind_of(x: Any) -> str:
    return next(kind.__name__ for kind in (list, tuple, set, frozenset) if isinstance(x, kind))


def _encode_mapping(x: Mapping[Any, Any], path: str, tensors: dict[str, Any]) -> Any:
    kind = next((name for name, cls in _MAPPINGS.items() if isinstance(x, cls)), "dict")
    pairs = []
    for key, value in x.items():
        if not isinstance(key, str | int | float | bool | type(None)):
            raise TypeError(
                f"can't save a dictionary key of type {type(key).__name__} (at {path or 'the top'})"
            )
        pairs.append([key, _encode(value, f"{path}.{key}", tensors)])
    return [kind, *pairs]


def _free_name(path: str, tensors: dict[str, Any]) -> str:
    name = path.lstrip(".") or "tensor"
    while name in tensors or name == "__metadata__":
        name += "_"
    return name


def _decode(x: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(x, list):
        if isinstance(x, dict):
            raise ValueError("an object where none is written")
        return x
    kind, *parts = x
    if kind == _TENSOR:
        return _tensor(tensors[parts[0]], parts[1])
    if kind == _ARRAY:
        return tensors[parts[0]].numpy_array()
    if kind == "float":
        return float(parts[0])
    if kind == "complex":
        return complex(float(parts[0]), float(parts[1]))
    if kind == "bytes":
        return base64.b64decode(parts[0], validate=True)
    if kind == "dtype":
        return as_dtype(parts[0])
    if kind == "pairs":
        array = tensors[parts[0]].numpy_array().view(np.complex128).reshape(parts[2])
        return wrap(array) if parts[1] else array
    if kind in _MAPPINGS:
        return _MAPPINGS[kind]({k: _decode(v, tensors) for k, v in parts})
    made = [_decode(v, tensors) for v in parts]
    return _SEQUENCES[kind](made)


_SEQUENCES: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "size": Size,
    "set": set,
    "frozenset": frozenset,
}


def _tensor(t: Tensor, requires_grad: bool) -> Tensor:
    twin = wrap(t.numpy_array())
    return twin.requires_grad_() if requires_grad else twin


__all__ = ["as_file", "load_tree", "of_file", "save_tree"]
