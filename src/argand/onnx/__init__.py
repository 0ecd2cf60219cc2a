"""`argand.onnx`: models of ONNX files; and what libraries ask of `torch.onnx` when imported."""

from __future__ import annotations

from typing import Any

from argand.base.errors import unknown_name


def __getattr__(name: str) -> Any:
    """`load`, whose rules are read when it is first used."""
    if name == "load":
        from argand.onnx.loading import load

        globals()[name] = load
        return load
    raise unknown_name(__name__, name, __all__)


def is_in_onnx_export() -> bool:
    """False: nothing is exported.

    >>> ag.onnx.is_in_onnx_export()
    False
    """
    return False


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Nothing is kept: there is no export that would use it.

    >>> ag.onnx.register_custom_op_symbolic("doc::f", len, 11)
    """


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Nothing was kept.

    >>> ag.onnx.unregister_custom_op_symbolic("doc::f", 11)
    """


__all__ = [
    "is_in_onnx_export",
    "load",
    "register_custom_op_symbolic",
    "unregister_custom_op_symbolic",
]
