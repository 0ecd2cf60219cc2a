"""Folders of models: which versions of which models are there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SUFFIXES: Final = (".argand", ".onnx")

Stamp = tuple[tuple[str, int, int, int], ...]
"""The names, sizes, times and numbers of files; it changes when one of them does."""


class Found(NamedTuple):
    """A version's file; `stamp` changes when it, or a file beside it, does."""

    model: str
    number: int
    path: Path
    stamp: Stamp

    @property
    def changed(self) -> float:
        """When a file of it changed last, in seconds of the system's clock."""
        return max((ns for _, _, ns, _ in self.stamp), default=0) / 1e9


class Listing(NamedTuple):
    """The versions by model, and what is there that can't be served."""

    models: dict[str, dict[int, Found]]
    problems: list[str]
    empty: list[Path]  # the roots without a model
    is_whole: bool  # whether all folders could be read


_LOOKS: Final = 10  # at links that are switched all the time


def found_at(roots: list[Path]) -> Listing:
    """The versions by model under some folders, or of files.

    A model is a folder; its versions are folders with numbers for names, in each a file `.argand`
    or `.onnx`. A model's folder with such a file and no numbers has version 1, and so has a file
    in the root itself, whose model has the file's name. A root of nothing but numbered folders with
    such files is a model itself. Of two models of one name the first counts.

    A link that is switched to another folder meanwhile would show a part of each, or nothing; then
    all is looked at again.
    """
    for _ in range(_LOOKS):
        before = _links(roots)
        found = _listed(roots)
        if _links(roots) == before:
            break
    return found


def _links(roots: list[Path]) -> list[str]:
    """Where the links lead by which models are found: roots, models and versions."""
    models = [e for root in roots if root.is_dir() for e in _entries(root)]
    versions = [e for model in models if model.is_dir() for e in _entries(model)]
    links = [p for p in (*models, *versions) if p.is_symlink()]
    return [os.path.realpath(p) for p in (*roots, *links)]


def _listed(roots: list[Path]) -> Listing:
    found = Listing({}, [], [], all(root.exists() for root in roots))
    for root in roots:
        models = list(_models(root, found.problems))
        if not models:
            found.empty.append(root)
        for name, place, versions in models:
            first = found.models.get(name)
            if first is None:
                found.models[name] = versions
            else:
                there = next(iter(first.values())).path
                found.problems.append(
                    f"{place} is not served: {name} is the name of a model already, at {there}"
                )
    return found


def _models(root: Path, problems: list[str]) -> Iterator[tuple[str, Path, dict[int, Found]]]:
    if root.is_file():
        yield root.stem, root, _numbered(root.stem, {1: root}, None)
        return
    entries = sorted(_entries(root))
    if _is_model(entries):
        yield root.absolute().name, root, _versions(root, problems)
        return
    for entry in entries:
        if entry.is_dir():
            versions = _versions(entry, problems)
            if versions:
                yield entry.name, entry, versions
        elif entry.suffix.lower() in SUFFIXES:
            yield entry.stem, entry, _numbered(entry.stem, {1: entry}, None)


def _is_model(entries: list[Path]) -> bool:
    """Whether what is in a root are the versions of one model."""
    folders = [e for e in entries if e.is_dir()]
    if not all(_is_number(e.name) for e in folders) or len(folders) < len(entries):
        return False
    return any(_file(e, []) is not None for e in folders)


def _versions(folder: Path, problems: list[str]) -> dict[int, Found]:
    """The versions of a model's folder."""
    numbered = [e for e in sorted(_entries(folder)) if _is_number(e.name) and e.is_dir()]
    files: dict[int, Path] = {}
    for entry in numbered or [folder]:
        number = int(entry.name) if numbered else 1
        file = _file(entry, problems)
        if number in files:
            problems.append(f"{entry} is not served: there is a version {number} already")
        elif file is not None:
            files[number] = file
    if not files and not numbered:
        inner = [e for e in sorted(_entries(folder)) if e.is_dir() and _file(e, [])]
        if inner:
            problems.append(f"{inner[0]} is not served: versions are folders 1, 2, ...")
    return _numbered(folder.absolute().name, files, folder)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) < 20


def _file(folder: Path, problems: list[str]) -> Path | None:
    """The one file of a model in a folder; `model.argand` or `model.onnx` where there are more."""
    files = sorted(e for e in _entries(folder) if e.suffix.lower() in SUFFIXES and e.is_file())
    named = [e for e in files if e.stem == "model"] or files
    if len(named) > 1:
        names = ", ".join(e.name for e in named)
        problems.append(f"{folder} is not served: which of {names} is the model?")
    return named[0] if len(named) == 1 else None


def _entries(folder: Path) -> list[Path]:
    """What is in a folder but hidden files, which copying programs make."""
    try:
        return [e for e in folder.iterdir() if not e.name.startswith(".")]
    except FileNotFoundError:
        return []  # removed while we look


def _numbered(model: str, files: dict[int, Path], folder: Path | None) -> dict[int, Found]:
    found = {}
    for number, path in files.items():
        beside = [path] if folder is None else sorted(_entries(path.parent))
        found[number] = Found(model, number, path, _stamp(beside))
    return found


def _stamp(files: list[Path]) -> Stamp:
    found = []
    for file in files:
        try:
            state = os.stat(file)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(state.st_mode):
            found.append((file.name, state.st_size, state.st_mtime_ns, state.st_ino))
    return tuple(found)


def is_onnx(path: Path) -> bool:
    """Whether a file is one of ONNX, by its name."""
    return path.suffix.lower() == ".onnx"


__all__ = ["SUFFIXES", "Found", "Listing", "Stamp", "found_at", "is_onnx"]
