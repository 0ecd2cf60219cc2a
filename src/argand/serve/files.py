"""A version's file, held so that whatever happens to it in its folder changes nothing here.

Weights are mapped into memory. If the file itself were mapped, one that is copied over it would
change the weights of a version that is served, and one that is shorter would end the process. So a
file is copied into memory once, which all processes map: an archive as it is, one of ONNX as its
graph, and its weights, whether they are in it or in files beside it. The copies have no names, so
nothing is left behind, however the process ends.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from argand.base.errors import FormatError
from argand.base.unnamed import unnamed_file
from argand.export.archive import load, save
from argand.export.program import ExportedProgram
from argand.onnx.parting import parted
from argand.serve.folders import is_onnx


class HeldFile:
    """A copy of a model's file; `close` gives it up, and what was mapped stays mapped."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.file: int | None = unnamed_file()
        self.weights: int | None = None  # of a file of ONNX
        try:
            with open(self.file, "wb", closefd=False) as copy:
                if is_onnx(path):
                    self.weights = unnamed_file()
                    with open(self.weights, "wb", closefd=False) as weights:
                        copy.write(parted(path, weights))
                else:
                    with open(path, "rb") as source:
                        shutil.copyfileobj(source, copy, 1 << 20)
        except BaseException:
            self.close()
            raise

    @classmethod
    def of_program(cls, program: ExportedProgram, name: str) -> HeldFile:
        """The archive of a program that comes from no file."""
        held = cls.__new__(cls)
        held.name, held.file, held.weights = name, unnamed_file(), None
        with open(held.file, "wb", closefd=False) as copy:
            save(program, copy)
        return held

    def read(self) -> ExportedProgram:
        """The program of the file."""
        assert self.file is not None
        return read_program(self.file, self.weights, self.name)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Give up the copy."""
        files, self.file, self.weights = (self.file, self.weights), None, None
        for file in files:
            if file is not None:
                os.close(file)


def read_program(file: int, weights: int | None, name: str) -> ExportedProgram:
    """The program of a file that was held, by its descriptors; errors say `name`."""
    path = f"/dev/fd/{file}"
    if weights is not None:
        from argand.serve.onnx_files import read_onnx  # takes long, and many have no such file

        return read_onnx(Path(path), Path(f"/dev/fd/{weights}"))
    try:
        return load(path)
    except FormatError as error:
        raise FormatError(str(error).replace(path, name)) from None


__all__ = ["HeldFile", "read_program"]
