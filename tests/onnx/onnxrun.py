"""Runs exported models in ONNX Runtime, or in ONNX's own reference where that lacks a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

NO_KERNEL = ("NOT_IMPLEMENTED", "INVALID_GRAPH", "Type Error", "Unsupported", "opset", "Numpy type")


def session(model: Any) -> Any:
    """An ONNX Runtime session of a model, on one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(model: Any, arrays: Sequence[Any]) -> list[Any] | None:
    """The outputs of a model; None where no runtime here can compute it.

    The reference fails where it doesn't know a form that ONNX allows; what it gives, it gives
    right.
    """
    feeds = dict(zip([x.name for x in model.graph.input], arrays, strict=True))
    if all(a.dtype.isbuiltin == 1 for a in arrays):
        try:
            found: list[Any] = session(model).run(None, feeds)
            return found
        except Exception as error:
            if not any(text in str(error) for text in NO_KERNEL):
                raise
    from onnx.reference import ReferenceEvaluator

    try:
        with np.errstate(all="ignore"):
            return list(ReferenceEvaluator(model).run(None, feeds))
    except Exception:
        return None
