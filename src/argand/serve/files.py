"""A version's file, held so that whatever happens to it in its folder changes nothing here.

Weights are mapped into memory. If the file itself were mapped, one that is copied over it would
change the weights of a version that is served, and one that is shorter would end the process. So an
archive is copied into memory once, which all processes map; a file of ONNX, which may have weights
in files beside it, is copied with these.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.errors import FormatError
from argand.base.unnamed import unnamed_file
from argand.export.archive import load, save
from argand.export.program import ExportedProgram
from argand.onnx.loading import program_of
from argand.onnx.model import Model, Node, ValueType
from argand.onnx.reading import read_model
from argand.serve.folders import SUFFIXES, is_onnx


class HeldFile:
    """A copy of a model's file; `close` gives it up, and what was mapped stays mapped."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.file: int | None = None
        self.folder: Path | None = None
        try:
            if is_onnx(path):
                self._copy_folder(path)
            else:
                self._copy_file(path)
        except BaseException:
            self.close()
            raise

    @classmethod
    def of_program(cls, program: ExportedProgram, name: str) -> HeldFile:
        """The archive of a program that comes from no file."""
        held = cls.__new__(cls)
        held.name, held.file, held.folder = name, None, None
        held.file = unnamed_file()
        with open(held.file, "wb", closefd=False) as copy:
            save(program, copy)
        return held

    def _copy_file(self, path: Path) -> None:
        self.file = unnamed_file()
        with open(path, "rb") as source, open(self.file, "wb", closefd=False) as copy:
            shutil.copyfileobj(source, copy, 1 << 20)

    def _copy_folder(self, path: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="argand-serve-"))
        shutil.copyfile(path, self.folder / path.name)
        for beside in path.resolve().parent.iterdir():
            if beside.is_file() and beside.suffix.lower() not in SUFFIXES:
                shutil.copyfile(beside, self.folder / beside.name)

    @property
    def path(self) -> str:
        """Where the copy is, for this process."""
        return self.path_of(self.file)

    def path_of(self, file: int | None) -> str:
        """Where the copy is for a process that has it open as `file`."""
        if self.folder is not None:
            return str(self.folder / Path(self.name).name)
        return f"/dev/fd/{file}"

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Give up the copy."""
        if self.file is not None:
            os.close(self.file)
            self.file = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


def without_maps(model: Model) -> Model:
    """A model that gives the scores of classes as a tensor where it gave them as a list of maps,
    as scikit-learn's converter writes classifiers: no protocol has maps."""
    outputs = {v.name for v in model.graph.outputs}
    maps = {
        n.outputs[0]: n
        for n in model.graph.nodes
        if (n.domain, n.op) == ("ai.onnx.ml", "ZipMap") and n.outputs[0] in outputs
    }
    read = {x for n in model.graph.nodes for x in n.inputs}
    maps = {name: n for name, n in maps.items() if name not in read}
    if not maps:
        return model
    graph = replace(
        model.graph,
        nodes=tuple(_same(n) if n in maps.values() else n for n in model.graph.nodes),
        outputs=tuple(
            replace(v, type=_scores_of(maps[v.name])) if v.name in maps else v
            for v in model.graph.outputs
        ),
    )
    return replace(model, graph=graph)


def _same(node: Node) -> Node:
    """A node that gives what it takes."""
    return replace(node, domain="", op="Identity", attributes={})


def _scores_of(node: Node) -> ValueType:
    """The type of what a ZipMap makes maps of."""
    labels = next(iter(node.attributes.values()), ())
    return ValueType("tensor", np.dtype(np.float32), (None, len(labels) or None))


def read_program(path: Any, name: str | None = None) -> ExportedProgram:
    """The program of an .argand or .onnx file; errors say `name` in place of its path."""
    try:
        if is_onnx(Path(path)):
            return program_of(without_maps(read_model(path)))
        return load(path)
    except FormatError as error:
        if name is None:
            raise
        raise FormatError(str(error).replace(str(path), name)) from None


__all__ = ["HeldFile", "read_program"]
