"""`argand.export`: programs that leave the script that made them."""

from argand.base.dim import Dim
from argand.export.archive import load, save
from argand.export.program import DEFAULT, ExportedProgram, export
from argand.export.samples import check_samples
from argand.export.signature import Signature

__all__ = [
    "DEFAULT",
    "Dim",
    "ExportedProgram",
    "Signature",
    "check_samples",
    "export",
    "load",
    "save",
]
