"""`argand.export.exported_program`: the class of exported programs, under PyTorch's address."""

from argand.export.graph_signature import ExportGraphSignature
from argand.export.program import ExportedProgram

__all__ = ["ExportGraphSignature", "ExportedProgram"]
