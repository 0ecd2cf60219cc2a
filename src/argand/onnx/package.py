"""The package `onnx`, which is optional."""

from __future__ import annotations

import functools
from typing import Any

from argand.base.errors import missing_extra


@functools.cache
def onnx() -> Any:
    """The package; MissingExtraError where it is not installed."""
    try:
        import onnx as found
        import onnx.checker
        import onnx.defs
        import onnx.helper
        import onnx.numpy_helper
        import onnx.printer
        import onnx.shape_inference
    except ImportError as e:
        raise missing_extra("onnx", "onnx", "argand.onnx") from e
    return found


__all__ = ["onnx"]
