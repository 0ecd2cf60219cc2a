"""Tensors in several files, with an index that names the file of each: `*.index.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from argand.base.errors import ArgumentError, FormatError
from argand.io.replacing import replacing
from argand.io.safetensors import save_file
from argand.tensor.core import Tensor

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20}
_UNITS["GIB"] = 1 << 30


def load_sharded(path: Path, load: Callable[[Path], Any]) -> dict[str, Tensor]:
    """The tensors that an index names, of the files beside it, each read by `load`."""
    files = _index(path)
    shards: dict[str, Any] = {}
    for file in dict.fromkeys(files.values()):
        if not (path.parent / file).is_file():
            raise FormatError(f"{path}: its file {file!r} is missing")
        shards[file] = load(path.parent / file)
        if not isinstance(shards[file], Mapping):
            raise FormatError(f"{path}: its file {file!r} has no tensors by their names")
    found: dict[str, Tensor] = {}
    for name, file in files.items():
        if not isinstance(shards[file].get(name), Tensor):
            raise FormatError(f"{path}: its file {file!r} has no tensor {name!r}")
        found[name] = shards[file][name]
    return found


def save_sharded(
    tensors: Mapping[str, Any],
    path: Any,
    max_shard_size: int | str = "5GB",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors by name to safetensors files of at most a size, and their index.

    ``model.safetensors`` gives ``model-00001-of-00002.safetensors`` and so on, and
    ``model.safetensors.index.json``, which `ag.load` takes; what fits into one file is that file
    alone. A tensor over the size has a file of its own. Sizes are bytes, or strings such as "2GB".

    >>> import os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> path = os.path.join(folder, "model.safetensors")
    >>> ag.io.save_sharded({"a": ag.ones(2), "b": ag.zeros(2)}, path, max_shard_size=8)
    >>> sorted(os.listdir(folder))[-1], sorted(ag.load(path + ".index.json"))
    ('model.safetensors.index.json', ['a', 'b'])
    """
    path = Path(path)
    shards = _parted(tensors, _size(max_shard_size))
    if len(shards) < 2:
        return save_file(tensors, path, metadata)
    names = [
        f"{path.stem}-{i:05}-of-{len(shards):05}{path.suffix}" for i in range(1, len(shards) + 1)
    ]
    for name, shard in zip(names, shards, strict=True):
        save_file(shard, path.parent / name, metadata)
    index = {
        "metadata": {"total_size": sum(_bytes(t) for t in tensors.values())},
        "weight_map": {k: n for n, shard in zip(names, shards, strict=True) for k in shard},
    }
    with replacing(path.parent / f"{path.name}.index.json") as temporary:
        Path(temporary).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _index(path: Path) -> dict[str, str]:
    try:
        index = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as e:
        raise FormatError(f"{path}: not a valid index: {e}") from None
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict):
        raise FormatError(f"{path}: an index without a weight_map")
    for name, file in files.items():
        if not isinstance(file, str) or not re.fullmatch(r"\w[\w.+-]*", file):
            raise FormatError(f"{path}: {name!r} is in {file!r:.100}, which is no file beside it")
        if file.endswith(".json"):
            raise FormatError(f"{path}: {name!r} is in another index")
    return files


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _size(size: int | str) -> int:
    if isinstance(size, int):
        return size
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMG]?i?B)", size, re.IGNORECASE)
    if match is None:
        raise ArgumentError(f"max_shard_size must be bytes or as '5GB', got {size!r}")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _bytes(t: Any) -> int:
    return int((t.numpy_array() if isinstance(t, Tensor) else t).nbytes)


def _parted(tensors: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """The tensors in their order, in groups of at most a size."""
    shards: list[dict[str, Any]] = [{}]
    used = 0
    for name, t in tensors.items():
        if shards[-1] and used + _bytes(t) > most:
            shards.append({})
            used = 0
        shards[-1][name] = t
        used += _bytes(t)
    return shards


__all__ = ["load_sharded", "save_sharded"]
