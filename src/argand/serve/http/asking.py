"""What all HTTP protocols do between a request's arrays and its outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from argand.serve import handlers
from argand.serve.engine import Engine
from argand.serve.errors import invalid
from argand.serve.http.long_arrays import LARGE, decoded_in_pieces
from argand.serve.http.message import Request
from argand.serve.http.values import checked_object, decoded
from argand.serve.signature import ServedSignature
from argand.serve.version import ModelVersion, version_number

_TIMEOUT = b"x-request-timeout"


def find(engine: Engine, request: Request) -> ModelVersion:
    """The version that a path names by `model`, and by `version` or `label`."""
    params = request.params
    number = version_number(params.get("version"))
    found = engine.find(params["model"], number, params.get("label"))
    request.version = found
    return found


async def object_of(request: Request) -> dict[str, Any]:
    """The value of a body that must be a JSON object. A large one is read beside the loop; its long
    arrays are NumPy's."""
    if request.value is None:
        if len(request.body) > LARGE:
            request.value = await asyncio.to_thread(decoded_in_pieces, request.body)
        else:
            request.value = decoded(request.body)
    return checked_object(request.value)


async def outputs_of(
    request: Request,
    version: ModelVersion,
    signature: ServedSignature,
    inputs: Mapping[str, Any],
    *,
    timeout: float | None = None,
    priority: int = 0,
) -> list[Any]:
    """The outputs in order. Strings for inputs that the model's card describes are made arrays
    first."""
    if handlers.has_strings(inputs):
        inputs = await handlers.settled(version, signature, inputs)
    seconds = seconds_of(request) if _TIMEOUT in request.headers else None
    if seconds is not None:
        timeout = seconds if timeout is None else min(timeout, seconds)
    return await version.submit(
        signature, inputs, timeout=timeout, priority=priority, at_once=request.is_alone
    )


def seconds_of(request: Request) -> float | None:
    """The header `x-request-timeout`: the seconds after which the answer is of no use."""
    text = request.header(_TIMEOUT)
    if text is None:
        return None
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found < 1e6:
        raise invalid(
            f"x-request-timeout is a number of seconds above 0, got {text[:40]!r}",
            "x-request-timeout",
        )
    return found


__all__ = ["LARGE", "find", "object_of", "outputs_of", "seconds_of"]
