"""The paths that clouds ask of a container: Vertex AI, SageMaker, Azure ML, KServe."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from argand.serve.errors import ServeError, Status, invalid
from argand.serve.folders import SUFFIXES
from argand.serve.host import Host
from argand.serve.http import openai, page, v2
from argand.serve.http.app import plain_errors
from argand.serve.http.asking import find, object_of
from argand.serve.http.message import Request, Response
from argand.serve.http.openapi import document_of
from argand.serve.http.routes import Route
from argand.serve.http.tensorflow import TensorFlow
from argand.serve.http.torchserve import answer_to
from argand.serve.http.values import decoded_object, encoded


def routes(host: Host) -> list[Route]:
    """The paths of the server's profile; none without one."""
    profile = host.options.profile
    return [] if profile is None else _PROFILES[profile](Clouds(host))


class Clouds:
    """Answers the clouds' requests."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.engine: Any = host.engine
        self.rows = TensorFlow(host)

    def name(self) -> str:
        """The model that paths without a name ask."""
        name, models = self.host.options.model, self.engine.models
        if name is not None:
            return name
        if len(models) != 1:
            raise ServeError(
                Status.FAILED_PRECONDITION,
                f"there are {len(models)} models ({', '.join(models)}); the server must be "
                "started with --model NAME",
            )
        return str(next(iter(models)))

    async def health(self, request: Request) -> Response:
        """Whether requests should come."""
        if not self.host.is_ready:
            raise ServeError(Status.UNAVAILABLE, "the server is not ready")
        return Response(b"{}")

    async def live(self, request: Request) -> Response:
        """That the server answers."""
        return Response(b"{}")

    async def description(self, request: Request) -> Response:
        """The OpenAPI document."""
        self.host.access.check("read", None, request.header(b"authorization"))
        return Response(encoded(document_of(self.host)))

    async def rows_of_model(self, request: Request) -> Response:
        """`{"instances": rows}` to `{"predictions": rows}`, of the one model."""
        self._take(request)
        return await self.rows.predict(request)

    async def body_of_model(self, request: Request) -> Response:
        """Whatever the body is: rows or columns as TensorFlow Serving takes them, tensors as the
        v2 protocol does, or an image, a text, a form for the model's handler."""
        self._take(request)
        if _is_json(request):
            named = await object_of(request)
            if "instances" in named or _is_columns(named):
                return await self.rows.predict(request)
            if "inputs" in named:
                return await v2.V2(self.host).infer(request)
        return await answer_to(self.engine, request)

    def _take(self, request: Request) -> None:
        name = request.params.setdefault("model", self.name())
        self.host.access.check("model", name, request.header(b"authorization"))

    async def vertex(self, request: Request) -> Response:
        """Vertex: `{"instances": rows, "parameters": ...}`; a raw prediction may have any body
        that is no such JSON."""
        if request.content_type not in ("", "application/json") and not _is_json(request):
            return await self.body_of_model(request)
        body = await object_of(request)
        if "inputs" in body and "instances" not in body:
            return await self.body_of_model(request)
        if not isinstance(body.get("instances"), list | np.ndarray):
            raise invalid("the body must have a list 'instances'", "instances")
        parameters = body.get("parameters")
        if isinstance(parameters, Mapping) and "signature_name" in parameters:
            body["signature_name"] = parameters["signature_name"]
        return await self.rows_of_model(request)

    # -- SageMaker -----------------------------------------------------------------------------

    async def endpoint(self, request: Request) -> Response:
        """What SageMaker's own client asks, where this server is its `endpoint_url`; several models
        are told apart by the header of the target."""
        target = request.header(b"x-amzn-sagemaker-target-model")
        if target is not None:
            request.params["model"] = target.removesuffix(".tar.gz").removesuffix(".argand")
        response = await self.body_of_model(request)
        variant = (b"x-amzn-invoked-production-variant", b"AllTraffic")
        response.headers = [*response.headers, variant]
        return response

    async def list_models(self, request: Request) -> Response:
        """The models that are loaded."""
        found = [
            {"modelName": name, "modelUrl": _url(model)}
            for name, model in self.engine.models.items()
        ]
        return Response(encoded({"models": found}))

    async def load_model(self, request: Request) -> Response:
        """`{"model_name": name, "url": path}`: serve what lies in a folder or file."""
        body = decoded_object(request.body)
        name, url = body.get("model_name"), body.get("url")
        if not isinstance(name, str) or not isinstance(url, str):
            raise invalid("the body must have the strings 'model_name' and 'url'", "model_name")
        if name in self.engine.models:
            raise ServeError(Status.ALREADY_EXISTS, f"{name} is loaded")
        try:
            await self.engine.add(name, await asyncio.to_thread(_file_at, url))
        except ServeError as error:
            if error.status is not Status.RESOURCE_EXHAUSTED:
                raise
            raise ServeError(Status.NO_SPACE, str(error)) from None  # SageMaker unloads others
        return Response(encoded({"status": f"{name} is loaded"}))

    async def describe_model(self, request: Request) -> Response:
        """One model."""
        model = self.engine.models.get(request.params["model"])
        if model is None:
            find(self.engine, request)
        return Response(encoded({"modelName": model.name, "modelUrl": _url(model)}))

    async def unload_model(self, request: Request) -> Response:
        """Unload one."""
        await self.engine.unload(request.params["model"])
        return Response(encoded({"status": "unloaded"}))

    # -- KServe's first protocol ---------------------------------------------------------------

    async def alive(self, request: Request) -> Response:
        """That the server lives; a browser, which asks for HTML, gets the page."""
        if "text/html" in (request.header(b"accept") or ""):
            return page.front()
        return Response(b'{"status":"alive"}')

    async def names(self, request: Request) -> Response:
        """The names of the models."""
        self.host.access.check("read", None, request.header(b"authorization"))
        return Response(encoded({"models": list(self.engine.models)}))

    async def is_model_ready(self, request: Request) -> Response:
        """Whether a model takes requests."""
        name = request.params["model"]
        if name not in self.engine.models:
            find(self.engine, request)
        model = self.engine.models[name]
        ready = bool(model.available)
        said = {"name": name, "ready": ready, **openai.described(model)}
        return Response(encoded(said), status=200 if ready else 503)


def _is_json(request: Request) -> bool:
    """Whether a body is an object of JSON; curl says of all bodies that they are forms."""
    kinds = ("", "application/json", "application/x-www-form-urlencoded")
    return request.content_type in kinds and request.body.lstrip()[:1] == b"{"


def _is_columns(body: Mapping[str, Any]) -> bool:
    """Whether `inputs` are TensorFlow's columns, and not a list of the v2 protocol's tensors."""
    given = body.get("inputs")
    first = given[0] if isinstance(given, list) and given else None
    return "inputs" in body and not (isinstance(first, dict) and "datatype" in first)


def _url(model: Any) -> str:
    paths = [str(v.path.parent) for v in model.versions.values() if v.path is not None]
    return paths[-1] if paths else ""


def _file_at(url: str) -> Path:
    """The file of a model at a path, or the only one in a folder that was unpacked."""
    path = Path(url)
    if path.is_file():
        return path
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
    if len(found) != 1:
        listed = ", ".join(p.name for p in found) or "none"
        raise ServeError(
            Status.NOT_FOUND if not found else Status.FAILED_PRECONDITION,
            f"{url} must have one {' or '.join(SUFFIXES)} file; there is {listed}",
        )
    return found[0]


# -- the paths of each cloud -----------------------------------------------------------------------


def _vertex(served: Clouds) -> list[Route]:
    options = served.host.options
    health, predict = options.health_path or "/health", options.predict_path or "/predict"
    return _routes(
        "vertex", plain_errors, ("GET", health, served.health), ("POST", predict, served.vertex)
    )


def _sagemaker(served: Clouds) -> list[Route]:
    found = _routes(
        "sagemaker",
        plain_errors,
        ("GET", "/ping", served.health),
        ("POST", "/invocations", served.body_of_model),
    ) + _routes(
        "sagemaker",
        _endpoint_errors,
        ("POST", "/endpoints/{endpoint}/invocations", served.endpoint),
    )
    if not served.host.options.multi_model:
        return found
    return found + _routes(
        "sagemaker",
        plain_errors,
        ("GET", "/models", served.list_models),
        ("POST", "/models", served.load_model),
        ("GET", "/models/{model}", served.describe_model),
        ("DELETE", "/models/{model}", served.unload_model),
        ("POST", "/models/{model}/invoke", served.body_of_model),
    )


def _endpoint_errors(error: ServeError) -> Response:
    """How SageMaker tells its clients of a container's error."""
    status, said = error.status.http, str(error)
    kind = "client" if status < 500 else "server"
    found = {
        "ErrorCode": f"{kind.upper()}_ERROR_FROM_MODEL",
        "Message": f'Received {kind} error ({status}) from primary with message "{said}"',
        "OriginalMessage": said,
        "OriginalStatusCode": status,
        "LogStreamArn": "",
    }
    headers = [(b"x-amzn-errortype", b"ModelError")]
    return Response(encoded(found), status=424, headers=headers)


def _azure(served: Clouds) -> list[Route]:
    return _routes(
        "azure",
        plain_errors,
        ("GET", "/liveness", served.live),
        ("GET", "/readiness", served.health),
        ("POST", "/score", served.body_of_model),
        ("GET", "/swagger.json", served.description),
    )


def _kserve(served: Clouds) -> list[Route]:
    return _routes(
        "kserve",
        plain_errors,
        ("GET", "/", served.alive),
        ("GET", "/v1/models", served.names),
        ("GET", "/v1/models/{model}", served.is_model_ready),
    )


def _routes(protocol: str, errors: Any, *paths: tuple[str, str, Any]) -> list[Route]:
    return [Route(m, p, handler, protocol, errors, "open") for m, p, handler in paths]


_PROFILES = {"vertex": _vertex, "sagemaker": _sagemaker, "azure": _azure, "kserve": _kserve}


__all__ = ["Clouds", "routes"]
