"""The file of a checkpoint: a safetensors file that says what it is, and whether it is whole.

The tensors and the tree are those of `archive`. Beside them the metadata have the form's version,
facts that are read without the tensors, and a checksum (SHA-256) of everything else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.errors import FormatError
from argand.io.archive import as_file, of_file
from argand.io.safetensors import array_of, bytes_of, load_metadata, read, save_file
from argand.version import __version__

FORM = 1
_KEY = "argand.checkpoint"


class OtherFormError(FormatError):
    """A checkpoint of another version of Argand, which is not read here."""


def write_checkpoint(tree: Any, facts: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all. `facts` are plain values.

    Raises TypeError, with the place in the tree, for what is no data.
    """
    tensors, metadata = as_file(tree)
    arrays = {name: array_of(name, t) for name, t in tensors.items()}
    said = {"form": FORM, "argand": __version__, **facts}
    metadata[_KEY] = json.dumps({**said, "sha256": _checksum(arrays, metadata, said)})
    save_file(arrays, path, metadata)


def read_facts(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself; its tensors are not looked at."""
    return _facts(path, load_metadata(path))


def read_checkpoint(path: Path) -> tuple[Any, dict[str, Any]]:
    """The tree and the facts.

    Raises FormatError for a file that is not what was written, OtherFormError for one of a form
    that is not known.
    """
    tensors, metadata = read(path)
    facts = _facts(path, metadata)
    arrays = {name: t.numpy_array() for name, t in tensors.items()}
    wanted = facts.pop("sha256", None)
    rest = {name: text for name, text in metadata.items() if name != _KEY}
    if _checksum(arrays, rest, facts) != wanted:
        raise FormatError(f"{path}: damaged: its contents are not those of its checksum")
    return of_file(path, tensors, metadata), facts


def _facts(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise FormatError(f"{path}: a safetensors file, but not a checkpoint")
    try:
        facts = json.loads(metadata[_KEY])
        form = facts["form"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(f"{path}: damaged: what it says of itself can't be read") from None
    if form != FORM:
        raise OtherFormError(
            f"{path}: written by Argand {facts.get('argand')} in form {form!r:.20} of checkpoints; "
            f"this is Argand {__version__}, which reads form {FORM}"
        )
    return dict(facts)


def _checksum(
    arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], facts: Mapping[str, Any]
) -> str:
    """Of every name, dtype, shape and element, and of all texts."""
    found = hashlib.sha256(json.dumps([metadata, facts], sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        found.update(bytes_of(array))
    return found.hexdigest()


__all__ = ["FORM", "OtherFormError", "read_checkpoint", "read_facts", "write_checkpoint"]
