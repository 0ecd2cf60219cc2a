"""TorchServe's management: models are listed, described, loaded, unloaded and scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from argand.serve.engine import Model
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.host import Host
from argand.serve.http.asking import find
from argand.serve.http.message import Request, Response
from argand.serve.http.values import decoded_object, encoded
from argand.serve.options import ModelOptions
from argand.serve.version import ModelVersion

_PAGE = 100
_MOST = 10**9
_FLAGS = {"true": True, "false": False}
_FIRST_WORKER = 9000  # TorchServe numbers workers by their ports, of which this is the first


class Management:
    """Answers the requests."""

    def __init__(self, host: Host) -> None:
        self.engine: Any = host.engine

    # -- what there is -------------------------------------------------------------------------

    async def models(self, request: Request) -> Response:
        """The models, a page of `limit` from `next_page_token` on."""
        query = request.query
        start = _number(query, "next_page_token", 0)
        limit = _number(query, "limit", _PAGE)
        limit = limit if 0 < limit <= _PAGE else _PAGE
        named = sorted(self.engine.models.items())
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
            take_version(request)
            versions = [find(self.engine, request)]
        customized = _flag(request.query, "customized")
        return Response(encoded([_description(v, customized) for v in versions]))

    # -- what is changed -----------------------------------------------------------------------

    async def register(self, request: Request) -> Response:
        """`?url=NAME`: load a model of the folders that the server was started with. Parameters
        may be JSON too."""
        asked = request.query
        if request.content_type == "application/json" and request.body:
            asked = {n: _text(v) for n, v in decoded_object(request.body).items()}
        url = asked.get("url")
        if not url:
            raise invalid("Parameter url is required.", "url")
        if "/" in url or url.startswith("."):
            raise invalid(
                "url must be the name of a model in the server's folders: nothing is fetched",
                "url",
            )
        name = asked.get("model_name") or url.rpartition(".")[0] or url
        workers, waits = _number(asked, "initial_workers", 0), _flag(asked, "synchronous")
        number = await self._load(name, _changed(self._options(name), asked))
        if workers:
            self.engine.find(name).scale(workers)
            if not waits:
                return _accepted()
        return _said(
            f'Model "{name}" Version: {number}.0 registered with {workers or 1} initial workers'
        )

    def _options(self, name: str) -> ModelOptions:
        found: ModelOptions = self.engine.options.get(name, self.engine.default)
        return found

    async def _load(self, name: str, options: ModelOptions) -> int:
        """Load what the folders have of a model, with these options; its version."""
        model = self.engine.models.get(name)
        before = [] if model is None else model.available
        if not before:
            self.engine.options[name] = options
            if model is not None:
                model.options = options
        await self.engine.load(name)
        model = self.engine.models[name]
        if before and model.available == before:
            raise ServeError(
                Status.ALREADY_EXISTS,
                f"Model version {before[-1]}.0 is already registered for model {name}",
                field="url",
            )
        return int(self.engine.find(name).number)

    async def unregister(self, request: Request) -> Response:
        """Unload a model, or a version of it."""
        take_version(request)
        name = request.params["model"]
        number = None
        if "version" in request.params:
            number = find(self.engine, request).number
        await self.engine.unload(name, number)
        return _said(f'Model "{name}" unregistered')

    async def set_default(self, request: Request) -> Response:
        """Let a version answer requests that name none."""
        take_version(request)
        found = find(self.engine, request)
        self.engine.set_label(found.model, "default", found.number)
        self.engine.set_weights(found.model, {"default": 1.0})
        return _said(
            f'Default version successfully updated for model "{found.model}" to "{found.number}.0"'
        )

    async def scale(self, request: Request) -> Response:
        """`?min_worker=N`: compute so many calls of a version at once."""
        take_version(request)
        query = request.query
        found = find(self.engine, request)
        least = _number(query, "min_worker", 1)
        most = _number(query, "max_worker", least)
        waits = _flag(query, "synchronous")
        if most < least:
            raise invalid("max_worker cannot be less than min_worker.", "max_worker")
        found.scale(least)
        if not waits:
            return _accepted()
        said = f"Workers scaled to {least} for model: {found.model}"
        if "version" in request.params:
            said += f", version: {found.number}.0"
        return _said(said)


def take_version(request: Request) -> None:
    """TorchServe's versions are texts, `1.0`; ours are numbers."""
    text = request.params.get("version")
    if text is not None and text.endswith(".0"):
        request.params["version"] = text[:-2]


def _said(status: str) -> Response:
    return Response(encoded({"status": status}))


def _accepted() -> Response:
    return Response(encoded({"status": "Processing worker updates..."}), status=202)


# -- parameters ------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    """A field of JSON as the parameter of a URL has it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or int(text[:20]) > _MOST:
        raise invalid(f"{name} must be a number, got {text[:40]!r}", name)
    return int(text)


def _flag(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "false").lower()
    if text not in _FLAGS:
        raise invalid(f"{name} must be true or false, got {text[:40]!r}", name)
    return _FLAGS[text]


def _changed(options: ModelOptions, asked: Mapping[str, str]) -> ModelOptions:
    """The options of a model with `batch_size`, `max_batch_delay` (milliseconds) and
    `response_timeout` (seconds) as they are asked for."""
    batching = options.batching
    rows = _number(asked, "batch_size", batching.max_rows)
    delay = _number(asked, "max_batch_delay", int(batching.max_delay * 1000))
    timeout = _number(asked, "response_timeout", 0)
    if not rows:
        raise invalid("batch_size must be 1 or more", "batch_size")
    if "max_batch_delay" in asked or "batch_size" in asked:
        batching = replace(batching, max_rows=rows, max_delay=delay / 1000)
    return replace(options, batching=batching, timeout=timeout or options.timeout)


# -- descriptions ----------------------------------------------------------------------------------


def _latest(model: Model) -> ModelVersion | None:
    numbers = model.available or sorted(model.versions)
    return model.versions[numbers[-1]] if numbers else None


def _url(version: ModelVersion | None) -> str:
    return "" if version is None or version.path is None else version.path.name


def _description(version: ModelVersion, customized: bool) -> dict[str, Any]:
    batching = version.options.batching
    found: dict[str, Any] = {
        "modelName": version.model,
        "modelVersion": f"{version.number}.0",
        "modelUrl": _url(version),
        "engine": "Argand",
        "runtime": "argand",
        "minWorkers": version.workers,
        "maxWorkers": version.workers,
        "batchSize": batching.max_rows,
        "maxBatchDelay": int(batching.max_delay * 1000),
        "loadedAtStartup": True,
        "workers": [_worker(version, i) for i in range(version.workers)],
        "jobQueueStatus": {
            "remainingCapacity": max(batching.max_queued_rows - version.in_flight, 0),
            "pendingRequests": version.in_flight,
        },
    }
    if version.options.timeout is not None:
        found["responseTimeout"] = int(version.options.timeout)
    if customized:
        signatures = {n: repr(s.signature) for n, s in version.signatures.items()}
        told = {"card": version.metadata, "signatures": signatures}
        found["customizedMetadata"] = msgspec.json.encode(told).decode()
    return found


def _worker(version: ModelVersion, number: int) -> dict[str, Any]:
    started = datetime.fromtimestamp(version.history[0][1], UTC)
    return {
        "id": str(_FIRST_WORKER + number),
        "startTime": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": "READY" if version.is_available else "UNLOADING",
        "memoryUsage": 0,
        "gpu": False,
        "gpuUsage": "N/A",
    }


__all__ = ["Management", "take_version"]
