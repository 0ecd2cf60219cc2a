"""Texts by the v2 protocol's gRPC, as Triton's back ends for language models take and give them.

The inputs are `text_input` and `sampling_parameters` (JSON), the output is `text_output`; a stream
gives an answer for each piece, the last with the parameter `triton_final_response`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import numpy as np

from argand.serve.errors import invalid
from argand.serve.generation import Generation, begin
from argand.serve.grpc.calls import Call
from argand.serve.handlers.strings import objects, texts
from argand.serve.http.generating import fields_of, sampling_of
from argand.serve.version import ModelVersion
from argand_client.datatypes import to_bytes

PROMPT, HOW, TEXT = "text_input", "sampling_parameters", "text_output"
INPUTS = ((PROMPT, "BYTES"), ("stream", "BOOL"), (HOW, "BYTES"))
FINAL = "triton_final_response"


def begun(
    version: ModelVersion,
    inputs: Mapping[str, np.ndarray[Any, Any]],
    parameters: Mapping[str, Any],
    call: Call,
) -> Generation:
    """The text of a request, which is computed from now on."""
    known = {name for name, _ in INPUTS}
    for name in inputs:
        if name not in known:
            raise invalid(f"a language model has no input {name!r}, but {PROMPT} and {HOW}", name)
    prompt = _string(inputs, PROMPT)
    if prompt is None:
        raise invalid(f"{PROMPT} is missing", PROMPT)
    how = _string(inputs, HOW)
    fields = {**({} if not how else fields_of(how.encode())), **parameters}
    priority = fields.get("priority", 0)
    if not isinstance(priority, int):
        raise invalid(f"priority must be an int, got {priority!r:.40}", "priority")
    return begin(
        version,
        prompt,
        sampling=sampling_of(fields, logprobs=None),
        priority=priority,
        timeout=version.options.timeout if call.timeout is None else call.timeout,
    )


def _string(inputs: Mapping[str, np.ndarray[Any, Any]], name: str) -> str | None:
    array = inputs.get(name)
    if array is None:
        return None
    if array.dtype.kind != "O" or array.size != 1:
        raise invalid(f"{name} is one string, got {array.dtype} of {array.size} elements", name)
    return str(texts(array, name).ravel()[0])


async def whole(generation: Generation) -> tuple[str, str]:
    """The text, and why it ended."""
    (answer,) = await generation.answers()
    return answer.text, answer.finish


def ends_empty(parameters: Mapping[str, Any]) -> bool:
    """Whether a client wants an answer without outputs behind the last piece of a text."""
    return parameters.get("triton_enable_empty_final_response") is True


async def pieces(generation: Generation) -> AsyncIterator[tuple[str, str | None]]:
    """The text as it comes; with the last piece why it ended."""
    async with aclosing(aiter(generation)) as found:
        async for piece in found:
            if piece.text or piece.finish:
                yield piece.text, piece.finish


def write(answer: Any, text: str, finish: str | None, *, final: bool | None = None) -> Any:
    """Fill a ModelInferResponse; `final` says whether it is the last, else the reason does."""
    answer.outputs.add(name=TEXT, datatype="BYTES", shape=[1])
    answer.raw_output_contents.append(to_bytes(objects([text])))
    if finish is not None:
        answer.parameters["finish_reason"].string_param = finish
    answer.parameters[FINAL].bool_param = finish is not None if final is None else final
    return answer


__all__ = ["FINAL", "INPUTS", "TEXT", "begun", "ends_empty", "pieces", "whole", "write"]
