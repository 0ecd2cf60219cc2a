"""What TensorFlow Serving's classify and regress make of outputs, for REST and gRPC alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.serve import handlers
from argand.serve.errors import invalid
from argand.serve.signature import ServedSignature
from argand.serve.version import ModelVersion

Classes = list[tuple[str, float]]
Array = np.ndarray[Any, Any]


def classes_of(
    version: ModelVersion, signature: ServedSignature, outputs: Sequence[Any]
) -> list[Classes]:
    """The classes of each example with their scores: those that the card describes; else the
    outputs `classes` and `scores`, or one output of scores, whose labels are the lines of the
    asset `classes.txt`, or the numbers of the columns."""
    if handlers.is_described(version, signature):
        answer = handlers.answer_of(version, signature, outputs)
        rows = answer if isinstance(answer, list) else [answer]
        if all(isinstance(row, dict) for row in rows):
            return [list(row.items()) for row in rows]
    named = signature.named(outputs)
    name, scores = _numbers(signature, named, "scores")
    if scores.ndim == 1:
        scores = scores[:, None]
    if scores.ndim != 2:
        raise invalid(
            f"scores of classes are (rows, classes), {signature.name} gives {scores.shape}",
            "signature_name",
        )
    labels = named.get("classes")
    if labels is None:
        count = scores.shape[1]
        names = handlers.class_names(version, signature, name, count)
        labels = np.array([str(i) for i in range(count)] if names is None else names, object)
    labels = np.broadcast_to(labels, scores.shape).tolist()
    pairs = zip(labels, scores.tolist(), strict=True)
    return [[(_text(x), s) for x, s in zip(*row, strict=True)] for row in pairs]


def regressions_of(signature: ServedSignature, outputs: Sequence[Any]) -> Array:
    """A number for each example: the output `outputs`, or the one of numbers."""
    _, found = _numbers(signature, signature.named(outputs), "outputs")
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise invalid(
            f"a regression is a number for each row, {signature.name} gives {found.shape}",
            "signature_name",
        )
    return found


def _numbers(signature: ServedSignature, named: dict[str, Array], name: str) -> tuple[str, Array]:
    """The output of that name, else the first of floats, or of numbers of any kind."""
    found = [(n, o) for n, o in named.items() if o.dtype.kind in "fiu"]
    if not found:
        raise invalid(
            f"{signature.name} has no output {name!r}, but {', '.join(named)}", "signature_name"
        )
    floats = [(n, o) for n, o in found if o.dtype.kind == "f"]
    return next((x for x in found if x[0] == name), (floats or found)[0])


def _text(label: Any) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)


__all__ = ["classes_of", "regressions_of"]
