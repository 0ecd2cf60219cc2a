"""Weights of Keras: HDF5 files (`.h5`, `.weights.h5`) and `.keras` archives.

A model's config is data here and is never built from: a Lambda layer's code is a string in it, that
nothing decodes. HDF5 is read by the package h5py, and only links and datasets inside the file.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from argand.base.dtype import from_numpy
from argand.base.errors import FormatError, missing_extra
from argand.io.source import Source
from argand.io.zipped import ZipReader
from argand.tensor.core import Tensor, wrap

_MAGIC = b"\x89HDF\r\n\x1a\n"
_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"
_DEEPEST = 100
_FILTERS = (1, 2, 3)  # deflate, shuffle, fletcher32: the others could be libraries of anybody
_WRONG = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def is_hdf5(source: Source) -> bool:
    """Whether a source begins as an HDF5 file."""
    return source.size >= 8 and source.read(0, 8) == _MAGIC


def is_keras(archive: ZipReader) -> bool:
    """Whether an archive is a model of Keras."""
    return _CONFIG in archive.records and _WEIGHTS in archive.records


def load_hdf5(source: Source) -> dict[str, Tensor]:
    """The datasets of a file by their paths in it."""
    return _weights(source, source.read(0, source.size))


def load_keras(archive: ZipReader) -> dict[str, Tensor]:
    """The weights in an archive by their paths in its HDF5 file."""
    return _weights(archive.source, archive.read(_WEIGHTS))


def config_of_hdf5(source: Source) -> Any:
    """The config of the model in a file, as plain data."""
    with _opened(source, source.read(0, source.size)) as (_, file):
        text = file.attrs.get("model_config")
        if isinstance(text, bytes):
            text = text.decode()
        if not isinstance(text, str):
            raise source.error("weights without the config of a model")
    return _json(source, text)


def config_of_keras(archive: ZipReader) -> Any:
    """The config of the model in an archive, as plain data."""
    try:
        text = archive.read(_CONFIG).decode()
    except UnicodeDecodeError:
        raise archive.source.error("its config is not UTF-8") from None
    return _json(archive.source, text)


def _json(source: Source, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise source.error(f"its config is not valid JSON: {e}") from None


@contextlib.contextmanager
def _opened(source: Source, data: bytes) -> Iterator[tuple[types.ModuleType, Any]]:
    """The package, and a file from its bytes; the errors of the package become FormatErrors."""
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "keras", "reading an HDF5 file of Keras") from None
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            yield h5py, file
    except FormatError:
        raise
    except _WRONG as e:
        raise source.error(f"damaged: its HDF5 can't be read: {e}") from None


def _weights(source: Source, data: bytes) -> dict[str, Tensor]:
    with _opened(source, data) as (h5py, file):
        datasets = sorted(_datasets(source, h5py, file), key=lambda d: _natural(d.name))
        total = sum(_size(source, dataset) for dataset in datasets)
        source.check_growth(total)
        return {dataset.name.lstrip("/"): _tensor(source, dataset) for dataset in datasets}


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that orders numbers in names by their values."""
    return [
        (part.isdigit(), int(part[:18]) if part.isdigit() else 0, part)
        for part in re.split(r"([0-9]+)", name)
    ]


def _datasets(source: Source, h5py: Any, file: Any) -> Iterator[Any]:
    """The datasets of a file; FormatError for what leads out of it, or around in it."""
    seen: set[Any] = set()
    waiting: list[tuple[Any, int]] = [(file, 0)]
    while waiting:
        group, depth = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if depth > _DEEPEST or address in seen:
            raise source.error(f"its group {group.name!r:.100} is inside itself, or too deep")
        seen.add(address)
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise source.error(f"{name!r:.100} is a link to somewhere else")
            child = group[name]
            if isinstance(child, h5py.Dataset):
                yield child
            elif isinstance(child, h5py.Group):
                waiting.append((child, depth + 1))


def _size(source: Source, dataset: Any) -> int:
    """The bytes that a dataset takes; FormatError for one that is not in the file by itself."""
    name, plan = dataset.name, dataset.id.get_create_plist()
    if dataset.is_virtual or plan.get_external_count():
        raise source.error(f"{name!r:.100} has its elements in another file")
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    if not set(filters) <= set(_FILTERS):
        raise source.error(f"{name!r:.100} is compressed in a way not known here")
    try:
        dtype = from_numpy(dataset.dtype.newbyteorder("="))
    except TypeError:
        raise source.error(
            f"{name!r:.100} has elements of type {dataset.dtype!s:.60}, which Argand lacks"
        ) from None
    count = 1
    for extent in dataset.shape if dataset.shape is not None else (0,):
        count *= int(extent)
    return int(count * dtype.itemsize)


def _tensor(source: Source, dataset: Any) -> Tensor:
    if dataset.shape is None:
        raise source.error(f"{dataset.name!r:.100} has no elements and no shape")
    array = np.asarray(dataset[()])
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return wrap(np.ascontiguousarray(native).reshape(array.shape))


__all__ = [
    "config_of_hdf5",
    "config_of_keras",
    "is_hdf5",
    "is_keras",
    "load_hdf5",
    "load_keras",
]
