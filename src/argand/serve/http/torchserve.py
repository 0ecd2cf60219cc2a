"""TorchServe's inference and management protocol; its handlers are what a model's card says."""

from __future__ import annotations

import asyncio
from typing import Any

from argand.serve import handlers
from argand.serve.engine import Engine, Model
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.host import Host
from argand.serve.http.asking import find, outputs_of
from argand.serve.http.message import Request, Response
from argand.serve.http.routes import Route
from argand.serve.http.values import encoded
from argand.serve.version import ModelVersion, State

_LARGE = 1 << 16  # bytes of a body that is decoded on a thread
_PAGE = 100


def errors(error: ServeError) -> Response:
    """`{"code": 404, "type": "ModelNotFoundException", "message": ...}`."""
    status = error.status.http
    kind = _TYPES.get(error.status, "InternalServerException")
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
}


def routes(host: Host) -> list[Route]:
    """`/ping`, `/predictions`, `/explanations`, `/models`."""
    served = TorchServe(host)
    found: list[tuple[str, str, Any, Any]] = [("GET", "/ping", served.ping, "open")]
    for at in ("", "/{version}"):
        found += [
            ("POST", "/predictions/{model}" + at, served.predict, "model"),
            ("PUT", "/predictions/{model}" + at, served.predict, "model"),
            ("POST", "/explanations/{model}" + at, served.explain, "model"),
            ("GET", "/models/{model}" + at, served.describe, "manage"),
            ("DELETE", "/models/{model}" + at, served.unregister, "manage"),
            ("PUT", "/models/{model}" + at, served.scale, "manage"),
        ]
    found += [
        ("GET", "/models", served.models, "manage"),
        ("POST", "/models", served.register, "manage"),
        ("PUT", "/models/{model}/{version}/set-default", served.set_default, "manage"),
    ]
    return [Route(m, p, h, "torchserve", errors, scope) for m, p, h, scope in found]


async def answer_to(engine: Engine, request: Request) -> Response:
    """What a model's handler makes of a body: an image, a text, a form, or JSON."""
    version = find(engine, request)
    signature = version.signature(request.query.get("signature_name"))
    body = request.body
    kind = request.header(b"content-type") or ""
    if len(body) > _LARGE or request.content_type.startswith(("image/", "multipart/")):
        inputs = await asyncio.to_thread(handlers.inputs_of, version, signature, body, kind)
    else:
        inputs = handlers.inputs_of(version, signature, body, kind)
    outputs = await outputs_of(request, version, signature, inputs)
    answer = handlers.answer_of(version, signature, outputs)
    if isinstance(answer, str):
        return Response(answer.encode(), type=b"text/plain; charset=utf-8")
    return Response(encoded(answer, [o for o in outputs if o.dtype.kind == "f"]))


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

    async def predict(self, request: Request) -> Response:
        """The model's answer to a body."""
        _take_version(request)
        return await answer_to(self.engine, request)

    async def explain(self, request: Request) -> Response:
        """No model has explanations."""
        raise ServeError(Status.UNIMPLEMENTED, "explanations are not served; ask /predictions")

    # -- management ----------------------------------------------------------------------------

    async def models(self, request: Request) -> Response:
        """The models, a page of `limit` from `next_page_token` on."""
        query = request.query
        start, limit = (
            _number(query, name, default)
            for name, default in (("next_page_token", 0), ("limit", _PAGE))
        )
        named = list(self.engine.models.items())
        page = named[start : start + limit]
        found: dict[str, Any] = {
            "models": [{"modelName": n, "modelUrl": _url(_latest(m))} for n, m in page]
        }
        if start + limit < len(named):
            found["nextPageToken"] = str(start + limit)
        return Response(encoded(found))

    async def describe(self, request: Request) -> Response:
        """A model's default version, the one asked for, or `all`."""
        model = self.engine.models.get(request.params["model"])
        if model is not None and request.params.get("version") == "all":
            versions = [v for _, v in sorted(model.versions.items())]
        else:
            _take_version(request)
            versions = [find(self.engine, request)]
        return Response(encoded([_description(v) for v in versions]))

    async def register(self, request: Request) -> Response:
        """`?url=NAME`: load a model of the folders that the server was started with."""
        query = request.query
        url = query.get("url")
        if not url:
            raise invalid("Parameter url is required.", "url")
        if "/" in url or url.startswith("."):
            raise invalid(
                "url must be the name of a model in the server's folders: nothing is fetched",
                "url",
            )
        name = query.get("model_name") or url.rpartition(".")[0] or url
        await self.engine.load(name)
        number = self.engine.find(name).number
        said = f'Model "{name}" Version: {number}.0 registered with 1 initial workers'
        return Response(encoded({"status": said}))

    async def unregister(self, request: Request) -> Response:
        """Unload a model, or a version of it."""
        _take_version(request)
        name, version = request.params["model"], request.params.get("version")
        await self.engine.unload(name, None if version is None else int(version))
        return Response(encoded({"status": f'Model "{name}" unregistered'}))

    async def set_default(self, request: Request) -> Response:
        """Let a version answer requests that name none."""
        _take_version(request)
        found = find(self.engine, request)
        self.engine.set_label(found.model, "default", found.number)
        self.engine.set_weights(found.model, {"default": 1.0})
        said = (
            f'Default version successfully updated for model "{found.model}" to "{found.number}.0"'
        )
        return Response(encoded({"status": said}))

    async def scale(self, request: Request) -> Response:
        """The processes that compute are the server's, not a model's."""
        find(self.engine, request) if "version" not in request.params else None
        raise ServeError(
            Status.UNIMPLEMENTED, "models have no workers of their own; start with --workers"
        )


def _take_version(request: Request) -> None:
    """TorchServe's versions are texts, `1.0`; ours are numbers."""
    text = request.params.get("version")
    if text is not None and text.endswith(".0"):
        request.params["version"] = text[:-2]


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise invalid(f"{name} must be a number, got {text[:40]!r}", name)
    return int(text)


def _latest(model: Model) -> ModelVersion | None:
    numbers = model.available or sorted(model.versions)
    return model.versions[numbers[-1]] if numbers else None


def _url(version: ModelVersion | None) -> str:
    return "" if version is None or version.path is None else version.path.name


def _description(version: ModelVersion) -> dict[str, Any]:
    batching = version.options.batching
    is_ready = version.state is State.AVAILABLE
    return {
        "modelName": version.model,
        "modelVersion": f"{version.number}.0",
        "modelUrl": _url(version),
        "runtime": "argand",
        "minWorkers": 1,
        "maxWorkers": 1,
        "batchSize": batching.max_rows,
        "maxBatchDelay": int(batching.max_delay * 1000),
        "loadedAtStartup": True,
        "workers": [{"id": "0", "status": "READY" if is_ready else "UNLOADING", "gpu": False}],
        "jobQueueStatus": {
            "remainingCapacity": batching.max_queued_rows,
            "pendingRequests": version.in_flight,
        },
    }


__all__ = ["TorchServe", "answer_to", "errors", "routes"]
