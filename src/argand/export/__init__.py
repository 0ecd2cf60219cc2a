"""`argand.export`: programs that leave the script that made them."""

from argand.base.dim import Dim
from argand.export import card
from argand.export.archive import load, save
from argand.export.dynamic_shapes import AdditionalInputs, ShapesCollection
from argand.export.graph_signature import ExportGraphSignature
from argand.export.modules import unflatten
from argand.export.named import (
    default_decompositions,
    dims,
    draft_export,
    export_for_training,
    register_dataclass,
)
from argand.export.program import DEFAULT, ExportedProgram, ModuleCallEntry, export
from argand.export.samples import check_samples
from argand.export.signature import Signature

__all__ = [
    "DEFAULT",
    "AdditionalInputs",
    "Dim",
    "ExportGraphSignature",
    "ExportedProgram",
    "ModuleCallEntry",
    "ShapesCollection",
    "Signature",
    "card",
    "check_samples",
    "default_decompositions",
    "dims",
    "draft_export",
    "export",
    "export_for_training",
    "load",
    "register_dataclass",
    "save",
    "unflatten",
]
