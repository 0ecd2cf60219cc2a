"""`torch.onnx.utils`: the export and its parts by their older address."""

from __future__ import annotations

from argand.onnx import register_custom_op_symbolic, unregister_custom_op_symbolic
from argand.onnx.exporter import export, select_model_mode_for_export
from argand.onnx.state import is_in_onnx_export

__all__ = [
    "export",
    "is_in_onnx_export",
    "register_custom_op_symbolic",
    "select_model_mode_for_export",
    "unregister_custom_op_symbolic",
]
