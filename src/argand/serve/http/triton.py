"""Triton's extensions of the v2 protocol that are told or refused: shared memory, traces, logs."""

from __future__ import annotations

from typing import Any

from argand.serve.host import Host
from argand.serve.http.app import plain_errors
from argand.serve.http.asking import find
from argand.serve.http.message import Request, Response
from argand.serve.http.routes import Route
from argand.serve.http.values import encoded
from argand.serve.v2_absent import LOG, TRACE, no_region, no_shared_memory, unchangeable


def routes(host: Host) -> list[Route]:
    """Its paths, below `/v2`."""
    served = Triton(host)
    found: list[tuple[str, str, Any]] = []
    for kind in ("system", "cuda"):
        path = f"/v2/{kind}sharedmemory"
        one = path + "/region/{region}"
        found += [
            *[("GET", at + "/status", served.regions) for at in (path, one)],
            *[("POST", at + "/unregister", served.unregister) for at in (path, one)],
            ("POST", one + "/register", served.register),
        ]
    for at in ("", "/models/{model}"):
        path = f"/v2{at}/trace/setting"
        found += [("GET", path, served.trace), ("POST", path, served.set_trace)]
    found += [("GET", "/v2/logging", served.log), ("POST", "/v2/logging", served.set_log)]
    return [
        Route(m, p, h, "v2", plain_errors, "model" if "{model}" in p else "read")
        for m, p, h in found
    ]


class Triton:
    """Answers the requests."""

    def __init__(self, host: Host) -> None:
        self.engine = host.engine

    async def regions(self, request: Request) -> Response:
        """The regions of shared memory: none."""
        no_region(request.params.get("region", ""))
        return Response(b"[]")

    async def register(self, request: Request) -> Response:
        """No region can be registered."""
        raise no_shared_memory(request.params["region"])

    async def unregister(self, request: Request) -> Response:
        """No region is registered: there is nothing to do."""
        return Response(b"")

    async def trace(self, request: Request) -> Response:
        """The settings of traces, of the server or a model."""
        if "model" in request.params:
            find(self.engine, request)
        return Response(encoded(TRACE))

    async def set_trace(self, request: Request) -> Response:
        """They can't be changed."""
        raise unchangeable("traces")

    async def log(self, request: Request) -> Response:
        """The settings of the log."""
        return Response(encoded(LOG))

    async def set_log(self, request: Request) -> Response:
        """They can't be changed."""
        raise unchangeable("the log")


__all__ = ["Triton", "routes"]
