"""Strings of requests as what inputs take, without holding up an event loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argand.serve.handlers.handler import converted
from argand.serve.handlers.strings import texts
from argand.serve.signature import ServedSignature
from argand.serve.version import ModelVersion


def has_strings(inputs: Mapping[str, Any]) -> bool:
    """Whether there is anything to settle."""
    return True in [array.dtype.kind == "O" for array in inputs.values()]


async def settled(
    version: ModelVersion, signature: ServedSignature, inputs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Strings as text where an input takes text; else what the card says of them, an image or
    tokens, which is made on a thread."""
    given = [name for name, array in inputs.items() if array.dtype.kind == "O"]
    found = dict(inputs)
    described = False
    for name in given:
        spec = signature.by_name.get(name)
        if spec is not None and spec.takes_text:
            found[name] = texts(found[name], name)
        else:
            described = described or spec is not None
    if not described:
        return found
    return await version.beside(converted, version, signature, found)


__all__ = ["has_strings", "settled"]
