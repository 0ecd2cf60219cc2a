"""`argand.onnx`: models of ONNX files, and models as ONNX files. Needs the extra `argand[onnx]`."""

from __future__ import annotations

import importlib
from typing import Any

from argand.base.errors import unknown_name
from argand.onnx.state import is_in_onnx_export

# Where names are that load more than their module, when they are first used.
_LAZY = {
    "ONNXProgram": "argand.onnx.written",
    "OnnxExporterError": "argand.onnx.exporting",
    "TrainingMode": "argand.onnx.exporter",
    "export": "argand.onnx.exporter",
    "load": "argand.onnx.loading",
}


def __getattr__(name: str) -> Any:
    """A name that is loaded when it is first used."""
    if name not in _LAZY:
        raise unknown_name(__name__, name, __all__)
    found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return found


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Nothing is kept: there is no export that would use it.

    >>> ag.onnx.register_custom_op_symbolic("doc::f", len, 11)
    """


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Nothing was kept.

    >>> ag.onnx.unregister_custom_op_symbolic("doc::f", 11)
    """


__all__ = [
    "ONNXProgram",
    "OnnxExporterError",
    "TrainingMode",
    "export",
    "is_in_onnx_export",
    "load",
    "register_custom_op_symbolic",
    "unregister_custom_op_symbolic",
]
