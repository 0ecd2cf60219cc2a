"""Folders of models: which versions of which models are there, and whether they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".argand", ".onnx")


class Found(NamedTuple):
    """A version's file; `stamp` changes when the file does."""

    model: str
    number: int
    path: Path
    stamp: tuple[int, int]


def found_at(root: Path) -> dict[str, dict[int, Found]]:
    """The versions by model under a folder, or of one file.

    A model is a folder; its versions are folders with numbers for names, in each a file `.argand`
    or `.onnx`. A model's folder with such a file and no numbers has version 1, and so has a file
    in the root itself, whose model has the file's name.
    """
    if root.is_file():
        return {root.stem: {1: _found(root.stem, 1, root)}}
    models: dict[str, dict[int, Found]] = {}
    for entry in sorted(root.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            versions = _versions(entry)
            if versions:
                models[entry.name] = versions
        elif entry.suffix.lower() in SUFFIXES:
            models.setdefault(entry.stem, {1: _found(entry.stem, 1, entry)})
    return models


def _versions(folder: Path) -> dict[int, Found]:
    found: dict[int, Found] = {}
    numbered = [e for e in folder.iterdir() if e.is_dir() and e.name.isdecimal()]
    for entry in numbered:
        file = _file(entry)
        if file is not None:
            found[int(entry.name)] = _found(folder.name, int(entry.name), file)
    if not numbered:
        file = _file(folder)
        if file is not None:
            found[1] = _found(folder.name, 1, file)
    return found


def _file(folder: Path) -> Path | None:
    """The one file of a model in a folder; `model.argand` or `model.onnx` where there are more."""
    files = sorted(
        e for e in folder.iterdir() if e.suffix.lower() in SUFFIXES and not e.name.startswith(".")
    )
    named = [e for e in files if e.stem == "model"]
    return named[0] if named else files[0] if len(files) == 1 else None


def _found(model: str, number: int, path: Path) -> Found:
    state = path.stat()
    return Found(model, number, path, (state.st_size, state.st_mtime_ns))


__all__ = ["SUFFIXES", "Found", "found_at"]
