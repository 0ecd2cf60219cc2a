"""What the commands on exported programs share: files, signatures, tables."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from argand import onnx
from argand.base.dtype import float32
from argand.base.errors import ArgumentError, did_you_mean
from argand.export.archive import load
from argand.export.program import AnySignature, ExportedProgram
from argand.export.signature import Signature
from argand.tensor.core import wrap
from argand.transform.mode import no_grad

_TRACED = 4  # for a size that isn't told
_NARROWEST = 120  # columns of what is written to a file or a pipe


def read_model(path: str) -> ExportedProgram:
    """The program of an .argand file, or of an .onnx file."""
    if path.lower().endswith(".onnx"):
        made: ExportedProgram = onnx.load(path)
        return made
    return load(path)


def signature_of(program: ExportedProgram, name: str | None, path: str) -> AnySignature:
    """The signature of a name, or the default one."""
    if name is None:
        return program.default
    if name not in program.signatures:
        known = ", ".join(program.signatures)
        hint = did_you_mean(name, program.signatures)
        raise ArgumentError(f"{path}: there is no signature {name!r}{hint}; there are {known}")
    return program.signatures[name]


def settled(signature: AnySignature, sizes: Mapping[str, int]) -> Signature:
    """The signature with its program; that of an ONNX file is traced for zeros of the sizes."""
    if isinstance(signature, Signature):
        return signature
    zeros = []
    for x in signature.inputs:
        shape = [s if isinstance(s, int) else sizes.get(str(s), _TRACED) for s in x.shape or ()]
        zeros.append(None if x.optional else wrap(np.zeros(shape, (x.dtype or float32).numpy)))
    with no_grad():
        signature.flat(zeros)
    return signature.settled


def print_table(heads: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A table on the terminal; numbers stand right."""
    from rich import box, console, table, text  # only where a table is shown

    rows = [[f"{x:,}" if isinstance(x, int) else str(x) for x in row] for row in rows]
    made = table.Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD)
    for i, head in enumerate(heads):
        numeric = bool(rows) and all(row[i][:1].isdigit() or row[i] == "" for row in rows)
        made.add_column(head, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(text.Text(x) for x in row))  # whose brackets are no markup
    width = shutil.get_terminal_size().columns
    wide = width if sys.stdout.isatty() else max(width, _NARROWEST)
    console.Console(width=wide, highlight=False).print(made)
