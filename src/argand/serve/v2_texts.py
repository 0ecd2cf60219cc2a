"""Texts by the v2 protocol, as Triton's back ends for language models take and give them.

The inputs are `text_input` and `sampling_parameters` (JSON), the output is `text_output`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from argand.serve.errors import invalid
from argand.serve.generation import Generation, begin
from argand.serve.handlers.strings import texts
from argand.serve.http.generating import fields_of, sampling_of
from argand.serve.v2_parameters import integer_of, timeout_of
from argand.serve.version import ModelVersion

PROMPT, HOW, TEXT = "text_input", "sampling_parameters", "text_output"
INPUTS = ((PROMPT, "BYTES"), ("stream", "BOOL"), (HOW, "BYTES"))


def begun(
    version: ModelVersion,
    inputs: Mapping[str, np.ndarray[Any, Any]],
    parameters: Mapping[str, Any],
    timeout: float | None,
) -> Generation:
    """The text of a request, which is computed from now on, within `timeout` seconds at most."""
    known = {name for name, _ in INPUTS}
    for name in inputs:
        if name not in known:
            raise invalid(f"a language model has no input {name!r}, but {PROMPT} and {HOW}", name)
    prompt = _string(inputs, PROMPT)
    if prompt is None:
        raise invalid(f"{PROMPT} is missing", PROMPT)
    how = _string(inputs, HOW)
    fields = {**({} if not how else fields_of(how.encode())), **parameters}
    return begin(
        version,
        prompt,
        sampling=sampling_of(fields, logprobs=None),
        priority=integer_of(fields, "priority"),
        timeout=timeout_of(fields, timeout),
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


__all__ = ["INPUTS", "TEXT", "begun", "whole"]
