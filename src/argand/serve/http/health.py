"""Liveness and readiness, apart: a server that drains is alive and not ready."""

from __future__ import annotations

from argand.serve.errors import ServeError, Status
from argand.serve.host import Host
from argand.serve.http.app import plain_errors
from argand.serve.http.message import Request, Response
from argand.serve.http.routes import Route


def routes(host: Host) -> list[Route]:
    """`/livez` and `/readyz`, as Kubernetes names them, and `/health`."""

    async def live(request: Request) -> Response:
        return Response(b'{"status":"ok"}')

    async def ready(request: Request) -> Response:
        if not host.is_ready:
            raise ServeError(Status.UNAVAILABLE, "the server is not ready")
        return Response(b'{"status":"ok"}')

    return [
        Route("GET", path, handler, "health", plain_errors, "open")
        for path, handler in (("/livez", live), ("/readyz", ready), ("/health", ready))
    ]


__all__ = ["routes"]
