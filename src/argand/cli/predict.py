"""`argand predict`: an exported program on arrays and images from files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, FormatError
from argand.cli.models import read_model, signature_of
from argand.export.card import names_of_classes
from argand.export.program import AnySignature, ExportedProgram
from argand.export.signature import tensor_of
from argand.export.traced import Declared
from argand.io.replacing import replacing
from argand.serve.handlers.images import array_of_image, image_of_input
from argand.transform.mode import no_grad

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_CLASSES = ("classes.txt", "classes.json", "classes", "labels.txt", "labels.json", "labels")
_SHOWN = 5


def run(options: argparse.Namespace) -> int:
    """Call the signature; print what it gives, or keep it."""
    program = read_model(options.file)
    signature = signature_of(program, options.signature, options.file)
    if options.output and Path(options.output).suffix not in _WRITERS:
        raise ArgumentError(f"{options.output}: --output writes {', '.join(_WRITERS)}")
    inputs = _inputs(signature, options.input, program.card)
    names = [x.name for x in signature.inputs]
    given = [tensor_of(inputs[name]) if name in inputs else None for name in names]
    with no_grad():
        arrays = [x.numpy_array() for x in signature.flat(given)]
    outputs = dict(zip([x.name for x in signature.outputs], arrays, strict=True))
    if options.output:
        _write(options.output, outputs)
    if options.json:
        print(json.dumps({name: array.tolist() for name, array in outputs.items()}, default=str))
    elif not options.output:
        for name, array in outputs.items():
            print(f"{name}: {array.dtype.name}{list(array.shape)}\n{np.array2string(array)}")
        _tell_classes(outputs, class_names(program))
    return 0


# -- inputs ----------------------------------------------------------------------------------------


def _inputs(
    signature: AnySignature, given: Sequence[str], card: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """An array for each input of a signature, by name."""
    infos = {
        x.name: x if isinstance(x, Declared) else Declared(x.name, x.dtype, x.shape)
        for x in signature.inputs
    }
    found: dict[str, np.ndarray] = {}
    for text in given:
        name, path = _split(text, infos)
        free = [n for n in infos if n not in found]
        if path.lower().endswith(".npz") and not name:
            found |= _of_npz(path, infos)
            continue
        if not name and not free:
            raise ArgumentError(f"--input {text}: {signature.name} has {len(infos)} input(s)")
        info = infos[name or free[0]]
        found[info.name] = _fitted(path, info, _array(path, info, card))
    missing = [str(x) for name, x in infos.items() if name not in found and not x.optional]
    if missing:
        raise ArgumentError(f"{signature.name} lacks {', '.join(missing)}; give --input NAME=FILE")
    return found


def _split(text: str, infos: Mapping[str, Declared]) -> tuple[str, str]:
    name, sign, path = text.partition("=")
    if not sign or Path(text).exists():
        return "", text
    if name not in infos:
        raise ArgumentError(f"--input {text}: there is no input {name!r}; there are {_list(infos)}")
    return name, path


def _of_npz(path: str, infos: Mapping[str, Declared]) -> dict[str, np.ndarray]:
    """All arrays of a file, which are named as inputs are; a single one may have any name."""
    with _loaded(path) as file:
        arrays = {name: _member(path, file, name) for name in file.files}
    if len(arrays) == len(infos) == 1:
        arrays = dict(zip(infos, arrays.values(), strict=True))
    for name in arrays:
        if name not in infos:
            raise ArgumentError(f"{path}: {name}: there is no such input; there are {_list(infos)}")
    return {name: _fitted(path, infos[name], array) for name, array in arrays.items()}


def _member(path: str, file: Any, name: str) -> np.ndarray:
    try:
        found: np.ndarray = file[name]
    except Exception as e:  # zipfile and NumPy raise many kinds
        raise FormatError(f"{path}: {name}: {e}") from None
    return found


def _list(names: Any) -> str:
    return ", ".join(names)


def _loaded(path: str) -> Any:
    """What NumPy reads; pickled objects are refused."""
    try:
        return np.load(path, allow_pickle=False)
    except OSError:
        raise
    except Exception as e:  # zipfile and NumPy raise many kinds
        raise FormatError(f"{path}: no arrays that can be read: {e}") from None


def _array(path: str, info: Declared, card: Mapping[str, Any]) -> np.ndarray:
    """The array of a file for one input."""
    suffix = Path(path).suffix.lower()
    if suffix in _IMAGES:
        return image_array(path, info, card)
    if suffix == ".json":
        try:
            return np.asarray(json.loads(Path(path).read_text()))
        except ValueError as e:
            raise FormatError(f"{path}: no nested lists of numbers: {e}") from None
    loaded = _loaded(path)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        if len(loaded.files) != 1:
            raise ArgumentError(f"{path}: it has the arrays {_list(loaded.files)}; give it alone")
        return _member(path, loaded, loaded.files[0])


def _fitted(path: str, info: Declared, array: np.ndarray) -> np.ndarray:
    """The array in the dtype of an input, where nothing but precision is lost."""
    if info.dtype is None or array.dtype == info.dtype.numpy:
        return array
    wanted = info.dtype.numpy
    to_float = array.dtype.kind in "biuf" and info.dtype.is_inexact
    if not to_float and not np.can_cast(array.dtype, wanted, "same_kind"):
        raise ArgumentError(f"{path}: {info.name} is {info.dtype.name}, got {array.dtype.name}")
    return array.astype(wanted)


def image_array(path: str, info: Declared, card: Mapping[str, Any]) -> np.ndarray:
    """An image as an input takes it, alone or in a batch (`ag.export.card.image`)."""
    data = Path(path).read_bytes()
    shape = info.shape or ()
    try:
        how = image_of_input(card, info.name, shape)
        found = array_of_image(data, how, shape, None if info.dtype is None else info.dtype.numpy)
    except (ArgumentError, FormatError) as error:
        raise type(error)(f"{path}: {error}") from None
    return found if len(shape) == 3 else found[None]


# -- outputs ---------------------------------------------------------------------------------------


def class_names(program: ExportedProgram) -> list[str]:
    """The names of the classes that a file has among its assets, if any."""
    for name in _CLASSES:
        data = program.assets.get(name)
        if data is None:
            continue
        try:
            return names_of_classes(name, data)
        except ValueError:
            continue
    return []


def _tell_classes(outputs: Mapping[str, np.ndarray], names: Sequence[str]) -> None:
    """The most probable classes of each row of the first output that has one score for each."""
    fitting = (a for a in outputs.values() if a.ndim and a.shape[-1] == len(names))
    scores = next(fitting, None) if names else None
    if scores is None or scores.dtype.kind in "bc":
        return
    for i, row in enumerate(scores.reshape(-1, len(names)).astype(np.float64)):
        shares = probabilities(row)
        best = np.argsort(-shares, kind="stable")[:_SHOWN]
        print(f"row {i}: " + ", ".join(f"{names[j]} {shares[j]:.1%}" for j in best))


def probabilities(row: np.ndarray) -> np.ndarray:
    """A row of probabilities as it is, else its softmax."""
    if row.min() >= 0 and abs(row.sum() - 1) < 1e-3:
        return row
    found = np.exp(row - row.max())
    return np.asarray(found / found.sum())


def _write(path: str, outputs: Mapping[str, np.ndarray]) -> None:
    with replacing(Path(path)) as temporary:
        _WRITERS[Path(path).suffix](temporary, path, outputs)


def _write_npy(temporary: Any, path: str, outputs: Mapping[str, np.ndarray]) -> None:
    if len(outputs) != 1:
        raise ArgumentError(f"{path}: there are {len(outputs)} outputs; write them as .npz")
    with open(temporary, "wb") as file:
        np.save(file, next(iter(outputs.values())))


def _write_npz(temporary: Any, path: str, outputs: Mapping[str, np.ndarray]) -> None:
    arrays: dict[str, Any] = dict(outputs)
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)


def _write_json(temporary: Any, path: str, outputs: Mapping[str, np.ndarray]) -> None:
    Path(temporary).write_text(json.dumps({n: a.tolist() for n, a in outputs.items()}, default=str))


_WRITERS = {".npy": _write_npy, ".npz": _write_npz, ".json": _write_json}
