"""TorchServe's protocol; its handlers are what a model's card says."""

from __future__ import annotations

from typing import Any

from argand.serve import handlers
from argand.serve.engine import Engine
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.generation import begin, is_language_model
from argand.serve.handlers import tables
from argand.serve.handlers.bodies import string_of
from argand.serve.host import Host
from argand.serve.http.asking import LARGE, find, outputs_of, seconds_of
from argand.serve.http.generating import sampling_of
from argand.serve.http.long_arrays import Writing
from argand.serve.http.management import Management, take_version
from argand.serve.http.message import Request, Response
from argand.serve.http.openapi import document_of
from argand.serve.http.routes import Route
from argand.serve.http.values import decoded, encoded
from argand.serve.signature import ServedSignature
from argand.serve.version import ModelVersion


def errors(error: ServeError) -> Response:
    """`{"code": 404, "type": "ModelNotFoundException", "message": ...}`."""
    status = error.status.http
    kind = _TYPES.get(error.status, "InternalServerException")
    if error.status is Status.NOT_FOUND and error.field == "version":
        kind = "ModelVersionNotFoundException"
    return Response(encoded({"code": status, "type": kind, "message": str(error)}), status=status)


_TYPES = {
    Status.INVALID_ARGUMENT: "BadRequestException",
    Status.NOT_FOUND: "ModelNotFoundException",
    Status.ALREADY_EXISTS: "ConflictStatusException",
    Status.PERMISSION_DENIED: "InvalidKeyException",
    Status.UNAUTHENTICATED: "InvalidKeyException",
    Status.RESOURCE_EXHAUSTED: "ServiceUnavailableException",
    Status.UNAVAILABLE: "ServiceUnavailableException",
    Status.TOO_LARGE: "RequestEntityTooLargeException",
    Status.UNIMPLEMENTED: "MethodNotAllowedException",
    Status.WRONG_METHOD: "MethodNotAllowedException",
}


def routes(host: Host) -> list[Route]:
    """`/ping`, `/predictions`, `/explanations`, `/models`."""
    served, manages = TorchServe(host), Management(host)
    found: list[tuple[str, str, Any, Any]] = [
        ("GET", "/ping", served.ping, "open"),
        ("OPTIONS", "/", served.description, "read"),
        ("GET", "/api-description", served.description, "read"),
    ]
    for at in ("", "/{version}"):
        found += [
            ("POST", "/predictions/{model}" + at, served.predict, "model"),
            ("PUT", "/predictions/{model}" + at, served.predict, "model"),
            ("OPTIONS", "/predictions/{model}" + at, served.description, "model"),
            ("POST", "/explanations/{model}" + at, served.explain, "model"),
            ("GET", "/models/{model}" + at, manages.describe, "manage"),
            ("DELETE", "/models/{model}" + at, manages.unregister, "manage"),
            ("PUT", "/models/{model}" + at, manages.scale, "manage"),
        ]
    found += [
        ("GET", "/models", manages.models, "manage"),
        ("POST", "/models", manages.register, "manage"),
        ("PUT", "/models/{model}/{version}/set-default", manages.set_default, "manage"),
    ]
    return [Route(m, p, h, "torchserve", errors, scope) for m, p, h, scope in found]


async def answer_to(engine: Engine, request: Request) -> Response:
    """What a model's handler makes of a body: an image, a text, a form, or JSON."""
    version = find(engine, request)
    name = request.query.get("signature_name")
    if name is None and is_language_model(version):
        return await _text(request, version)
    signature = version.signature(name)
    body = request.body
    kind = request.header(b"content-type") or ""
    if len(body) > LARGE or request.content_type.startswith(("image/", "multipart/")):
        inputs = await version.beside(handlers.inputs_of, version, signature, body, kind)
    else:
        inputs = handlers.inputs_of(version, signature, body, kind)
    outputs = await outputs_of(request, version, signature, inputs)
    if sum(o.nbytes for o in outputs) > LARGE:
        return await version.beside(_answer, request, version, signature, outputs, True)
    return _answer(request, version, signature, outputs)


def _answer(
    request: Request,
    version: ModelVersion,
    signature: ServedSignature,
    outputs: list[Any],
    in_pieces: bool = False,
) -> Response:
    """The response: a table where the client wants one, or what the card makes of the outputs."""
    table = _table(request, outputs)
    if table is not None:
        return table
    if in_pieces and not handlers.is_described(version, signature):
        writing = Writing()
        shown = {x.name: writing(o) for x, o in zip(signature.outputs, outputs, strict=True)}
        return Response(writing.text(shown if len(shown) > 1 else next(iter(shown.values()))))
    answer = handlers.answer_of(version, signature, outputs)
    if isinstance(answer, str):
        return Response(answer.encode(), type=b"text/plain; charset=utf-8")
    return Response(encoded(answer, [o for o in outputs if o.dtype.kind == "f"]))


async def _text(request: Request, version: ModelVersion) -> Response:
    """The text that goes on from a body: a prompt, or JSON with a `prompt` (or `data`, `body`) and
    how tokens are drawn."""
    fields: dict[str, Any] = {}
    if request.content_type == "application/json":
        found = decoded(request.body)
        fields = found if isinstance(found, dict) else {"prompt": found}
        prompt = next((fields[n] for n in ("prompt", "data", "body") if n in fields), None)
    else:
        prompt = string_of(request.body, "prompt")
    if not isinstance(prompt, str):
        raise invalid("the body is a text, or JSON with a text as 'prompt'", "prompt")
    made = begin(
        version,
        prompt,
        sampling=sampling_of(fields, logprobs=None),
        timeout=seconds_of(request),
    )
    (answer,) = await made.answers()
    return Response(answer.text.encode(), type=b"text/plain; charset=utf-8")


def _table(request: Request, outputs: list[Any]) -> Response | None:
    """The one output in a form that the client wants before JSON."""
    wanted = (request.header(b"accept") or "").partition(",")[0].partition(";")[0].strip().lower()
    if wanted not in _TABLES or len(outputs) != 1 or outputs[0].dtype.kind not in "biuf":
        return None
    return Response(_TABLES[wanted](outputs[0]), type=wanted.encode())


_TABLES = {tables.NPY: tables.npy_of, tables.CSV: tables.csv_of}


class TorchServe:
    """Answers the protocol's requests."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.engine = host.engine

    # -- inference -----------------------------------------------------------------------------

    async def ping(self, request: Request) -> Response:
        """Whether the server is healthy."""
        if self.host.is_ready:
            return Response(b'{"status":"Healthy"}')
        return Response(b'{"status":"Unhealthy"}', status=503)

    async def description(self, request: Request) -> Response:
        """The OpenAPI document, of all models or of one."""
        name = request.params.get("model")
        if name is not None:
            take_version(request)
            find(self.engine, request)
        return Response(encoded(document_of(self.host, name)))

    async def predict(self, request: Request) -> Response:
        """The model's answer to a body."""
        take_version(request)
        return await answer_to(self.engine, request)

    async def explain(self, request: Request) -> Response:
        """No model has explanations."""
        raise ServeError(Status.UNIMPLEMENTED, "explanations are not served; ask /predictions")


__all__ = ["TorchServe", "answer_to", "errors", "routes"]
