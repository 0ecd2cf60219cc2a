"""`argand.onnx`: models of ONNX files, and models as ONNX files. Needs the extra `argand[onnx]`."""

from __future__ import annotations

import importlib
from typing import Any

from argand.base.errors import unknown_name
from argand.onnx import errors
from argand.onnx.state import is_in_onnx_export
from argand.ops.kept import symbolics

# Where names are that load more than their module, when they are first used.
_LAZY = {
    "ONNXProgram": "argand.onnx.written",
    "OnnxExporterError": "argand.onnx.errors",
    "OperatorExportTypes": "argand.onnx.exporter",
    "TrainingMode": "argand.onnx.exporter",
    "export": "argand.onnx.exporter",
    "load": "argand.onnx.loading",
    "select_model_mode_for_export": "argand.onnx.exporter",
}


def __getattr__(name: str) -> Any:
    """A name that is loaded when it is first used."""
    if name not in _LAZY:
        raise unknown_name(__name__, name, __all__)
    found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return found


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Let an op of `torch.library` be exported by ``symbolic_fn(g, *args)`` instead of by what its
    function does, at any opset.

    Tensors among the arguments are values of the graph; `g.op("Add", x, y)` adds an operator,
    `g.op("mine::Op", x, alpha_f=0.5)` one of another domain, with attributes named as PyTorch's
    symbolic functions name them. Follows `torch.onnx.register_custom_op_symbolic`.

    >>> def clipped(g, x):
    ...     return g.op("Relu", x)
    >>> ag.onnx.register_custom_op_symbolic("doc::f", clipped, 11)
    >>> ag.onnx.unregister_custom_op_symbolic("doc::f", 11)
    """
    if "::" not in symbolic_name:
        raise ValueError(
            f"register_custom_op_symbolic: expected a name such as mine::op, got {symbolic_name!r}"
        )
    symbolics[symbolic_name] = symbolic_fn


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Forget what `register_custom_op_symbolic` was told.

    >>> ag.onnx.unregister_custom_op_symbolic("doc::f", 11)
    """
    symbolics.pop(symbolic_name, None)


__all__ = [
    "ONNXProgram",
    "OnnxExporterError",
    "OperatorExportTypes",
    "TrainingMode",
    "errors",
    "export",
    "is_in_onnx_export",
    "load",
    "register_custom_op_symbolic",
    "select_model_mode_for_export",
    "unregister_custom_op_symbolic",
]
