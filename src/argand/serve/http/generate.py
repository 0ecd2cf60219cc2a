"""Text by the v2 protocol: the extension `generate` of Triton and KServe."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from argand.serve.errors import ServeError, invalid
from argand.serve.generation import Generation, Sampling, begin
from argand.serve.host import Host
from argand.serve.http.app import plain_errors
from argand.serve.http.asking import find, seconds_of
from argand.serve.http.generating import Fields, event, field, fields_of, sampling_of, with_errors
from argand.serve.http.message import Request, Response, StreamResponse
from argand.serve.http.routes import Route
from argand.serve.v2_parameters import integer_of, timeout_of
from argand.serve.version import ModelVersion


def routes(host: Host) -> list[Route]:
    """`/v2/models/{model}/generate` and `/generate_stream`, of a version too."""
    served = Generate(host)
    found = []
    for at in ("", "/versions/{version}"):
        path = "/v2/models/{model}" + at
        found += [
            Route("POST", path + "/generate", served.whole, "v2", plain_errors),
            Route("POST", path + "/generate_stream", served.stream, "v2", plain_errors),
        ]
    return found


class Generate:
    """Answers the extension's requests.

    `{"text_input": prompt, "parameters": {...}}`; parameters are the fields of `Sampling`, and may
    stand beside the prompt.
    """

    def __init__(self, host: Host) -> None:
        self.host = host

    async def whole(self, request: Request) -> Response:
        """The whole answer: `{"model_name", "model_version", "text_output"}`."""
        version, generation = self._begun(request)
        (answer,) = await generation.answers()
        told = _told(version, answer.text) | {"finish_reason": answer.finish}
        return Response(msgspec.json.encode(told))

    async def stream(self, request: Request) -> Response:
        """An event for each piece of text."""
        version, generation = self._begun(request)
        return StreamResponse(with_errors(_events(version, generation), _shown))

    def _begun(self, request: Request) -> tuple[ModelVersion, Generation]:
        fields = fields_of(request.body)
        version = find(self.host.engine, request)
        prompt = field(fields, "text_input", str)
        if prompt is None:
            raise invalid("text_input is missing", "text_input")
        parameters: Fields = {**fields, **field(fields, "parameters", dict, {})}
        sampling: Sampling = sampling_of(parameters, logprobs=None)
        return version, begin(
            version,
            prompt,
            sampling=sampling,
            priority=integer_of(parameters, "priority"),
            timeout=timeout_of(parameters, seconds_of(request)),
        )


def _told(version: ModelVersion, text: str) -> dict[str, Any]:
    return {
        "model_name": version.model,
        "model_version": str(version.number),
        "text_output": text,
    }


def _shown(error: ServeError) -> dict[str, str]:
    return {"error": str(error)}


async def _events(version: ModelVersion, generation: Generation) -> AsyncGenerator[bytes, None]:
    async with aclosing(aiter(generation)) as pieces:
        async for piece in pieces:
            if piece.text or piece.finish:
                reason = {"finish_reason": piece.finish} if piece.finish else {}
                yield event(_told(version, piece.text) | reason)


__all__ = ["Generate", "routes"]
