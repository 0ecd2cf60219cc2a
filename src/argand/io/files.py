"""`save` and `load`: files of tensors and plain containers, told apart by their first bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from argand.base.errors import ArgumentError
from argand.io.archive import load_tree, save_tree
from argand.io.keras import (
    config_of_hdf5,
    config_of_keras,
    is_hdf5,
    is_keras,
    load_hdf5,
    load_keras,
)
from argand.io.numpy_files import is_npy, is_npz, load_npy, load_npz, save_npy, save_npz
from argand.io.opcodes import RefusedError
from argand.io.places import check_place, placer
from argand.io.replacing import replacing
from argand.io.sharded import load_sharded
from argand.io.source import Source, opened
from argand.io.torch_files import is_pickled, is_torch_zip, load_legacy, load_zip
from argand.io.torch_tar import is_tar, load_tar
from argand.io.torch_writer import write_torch
from argand.io.zipped import ZipReader, is_zip

_SUFFIXES = {
    **dict.fromkeys((".pt", ".pth", ".bin", ".ckpt", ".tar"), "torch"),
    ".npz": "npz",
    ".npy": "npy",
}
_WRITERS = {"torch": write_torch, "npz": save_npz, "npy": save_npy}
_FORMATS = ("safetensors", *_WRITERS)
_ENCODINGS = ("utf-8", "ascii", "latin1", "bytes")


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    *,
    format: str | None = None,
) -> None:
    """Write a tree of dicts, lists, tuples, tensors, numbers and strings to a file; as "torch"
    objects of ordinary classes too (dataclasses, enums, `argparse.Namespace`, arrays of NumPy).

    `f` is a path, or a binary file that is open. `format` is "safetensors", from which any
    safetensors reader gets the tensors, or "torch": what ``torch.load(weights_only=True)`` reads,
    where tensors that share memory share it in the file too; or "npz" (arrays by their names) and
    "npy" (one array), NumPy's. Without it names that end in .pt, .pth, .bin, .ckpt or .tar, and
    files that are open, are written as "torch", .npz and .npy as NumPy's, others as "safetensors".

    A file of a path appears whole or not at all. Raises TypeError, with the place in the tree, for
    anything else (a model, a lambda, an open file). Follows `torch.save`, whose arguments about
    pickles must be left at their defaults. Objects are written as the names of their classes and
    their attributes; to read them the program registers the classes, here and with PyTorch's
    ``weights_only=True``. Subclasses of containers and numbers are written as these.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "training.pt")
    >>> ag.save({"epoch": 3, "weights": [ag.ones(2)]}, path)
    >>> ag.load(path)
    {'epoch': 3, 'weights': [tensor([1., 1.])]}
    """
    if pickle_module is not None or pickle_protocol != 2 or not _use_new_zipfile_serialization:
        raise ArgumentError(
            "save writes PyTorch's zip form with protocol 2 and uses no pickle module: leave "
            "pickle_module, pickle_protocol and _use_new_zipfile_serialization at their defaults"
        )
    is_open = hasattr(f, "write")
    if format is None:
        format = "torch" if is_open else _SUFFIXES.get(Path(f).suffix.lower(), "safetensors")
    if format not in _FORMATS:
        raise ArgumentError(f"format must be one of {', '.join(_FORMATS)}, got {format!r}")
    if format == "safetensors":
        if is_open:
            raise TypeError("save(format='safetensors') takes a path, not an open file")
        save_tree(obj, Path(f))
    elif is_open:
        _WRITERS[format](obj, f.write)
    else:
        with replacing(Path(f)) as temporary, open(temporary, "wb") as file:
            _WRITERS[format](obj, file.write)


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    encoding: str = "utf-8",
) -> Any:
    """The object in a file: what `save` or PyTorch's `torch.save` wrote, or the tensors of a
    safetensors file, of several with their index (*.index.json), of NumPy's .npz or .npy, or of
    Keras's .keras or .h5 (with the extra `keras`), by their paths in it.

    `f` is a path, or a binary file that is open; its first bytes tell what it is. Nothing in a file
    is ever run: of PyTorch's files tensors, parameters, numbers, strings, dtypes and plain
    containers are built, and objects of classes that the program has registered
    (`ag.serialization.add_safe_globals`). Anything else is refused by name, whatever `weights_only`
    says.

    `map_location` is the device that tensors go to; a dictionary from the devices in the file; or
    a function of a storage and its device that returns the storage. Tensors that were saved on
    another device than the CPU need one. `mmap=True` maps the file of a path into memory: its pages
    are read when they are used, and written to without changing the file. `encoding` ("utf-8",
    "ascii", "latin1" or "bytes") is that of texts that Python 2 wrote.

    Raises FormatError, which names the file and what is wrong, for anything that is not whole and
    well-formed; nothing of it is used. Follows `torch.load`.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.pt")
    >>> model = nn.Linear(2, 1)
    >>> ag.save(model.state_dict(), path)
    >>> model.load_state_dict(ag.load(path))
    <All keys matched successfully>
    """
    if pickle_module is not None:
        raise ArgumentError("load uses no pickle module; leave pickle_module=None")
    if encoding not in _ENCODINGS:
        raise ArgumentError(f"encoding must be one of {', '.join(_ENCODINGS)}, got {encoding!r}")
    if isinstance(f, str | os.PathLike) and os.fspath(f).endswith(".index.json"):
        return load_sharded(
            Path(f), lambda path: load(path, map_location, mmap=mmap, encoding=encoding)
        )
    with opened(f, bool(mmap)) as source:
        return _load(source, f, map_location, bool(mmap), encoding)


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names of classes and functions that a file asks for and `load` refuses: those that the
    program would have to register.

    >>> import argparse, io
    >>> file = io.BytesIO()
    >>> ag.save(argparse.Namespace(lr=0.1), file)
    >>> ag.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(file.getvalue()))
    ['argparse.Namespace']
    """
    try:
        load(f, map_location="cpu")
    except RefusedError as e:
        return e.names
    return []


def _load(source: Source, f: Any, map_location: Any, mmap: bool, encoding: str) -> Any:
    place = placer(map_location, source.name)
    if is_zip(source):
        archive = ZipReader(source)
        if is_torch_zip(archive):
            return load_zip(archive, place, encoding)
        check_place(map_location, source.name)
        if is_npz(archive):
            return load_npz(archive)
        if is_keras(archive):
            _check_unmapped(source)
            return load_keras(archive)
        raise source.error("a zip archive, but none that PyTorch or Argand writes")
    for recognised, loader in ((is_pickled, load_legacy), (is_tar, load_tar)):
        if recognised(source):
            _check_unmapped(source)
            return loader(source, place, encoding)
    check_place(map_location, source.name)
    if is_npy(source):
        return load_npy(source)
    if is_hdf5(source):
        _check_unmapped(source)
        return load_hdf5(source)
    if not isinstance(f, str | os.PathLike):
        raise source.error("not a PyTorch file; safetensors are loaded by their path")
    return load_tree(Path(f), mmap)


def _check_unmapped(source: Source) -> None:
    if source.map is not None:
        raise source.error(
            "mmap=True takes safetensors, NumPy's files and the zip form of PyTorch 1.6 and later"
        )


def load_keras_config(f: Any) -> Any:
    """The config of the model in a file of Keras (.keras, or .h5 of a whole model), as plain data.

    Nothing is built from it, and nothing in it is run: the code of a Lambda layer is a string.
    Raises FormatError where there is none.

    >>> import os, tempfile, zipfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.keras")
    >>> with zipfile.ZipFile(path, "w") as file:
    ...     file.writestr("config.json", '{"class_name": "Sequential"}')
    ...     file.writestr("model.weights.h5", b"")
    >>> ag.io.load_keras_config(path)
    {'class_name': 'Sequential'}
    """
    with opened(f) as source:
        if is_hdf5(source):
            return config_of_hdf5(source)
        if is_zip(source):
            archive = ZipReader(source)
            if is_keras(archive):
                return config_of_keras(archive)
        raise source.error("not a file of Keras")


__all__ = ["load", "load_keras_config", "save"]
