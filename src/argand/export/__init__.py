"""`argand.export`: programs that leave the script that made them."""

from argand.base.dim import Dim
from argand.export import card
from argand.export.archive import load, save
from argand.export.graph_signature import ExportGraphSignature
from argand.export.named import dims, draft_export, register_dataclass
from argand.export.program import DEFAULT, ExportedProgram, export
from argand.export.samples import check_samples
from argand.export.signature import Signature

__all__ = [
    "DEFAULT",
    "Dim",
    "ExportGraphSignature",
    "ExportedProgram",
    "Signature",
    "card",
    "check_samples",
    "dims",
    "draft_export",
    "export",
    "load",
    "register_dataclass",
    "save",
]
