"""Liveness and readiness, apart (a server that drains is alive and not ready), and metrics."""

from __future__ import annotations

from argand.serve.errors import ServeError, Status
from argand.serve.host import Host
from argand.serve.http.app import plain_errors
from argand.serve.http.message import Request, Response
from argand.serve.http.routes import Route


def routes(host: Host) -> list[Route]:
    """`/livez` and `/readyz`, as Kubernetes names them, `/health`, and `/metrics`."""

    async def live(request: Request) -> Response:
        return Response(b'{"status":"ok"}')

    async def ready(request: Request) -> Response:
        if not host.is_ready:
            raise ServeError(Status.UNAVAILABLE, "the server is not ready")
        return Response(b'{"status":"ok"}')

    async def metrics(request: Request) -> Response:
        text, kind = host.metrics.text()
        return Response(text, type=kind.encode())

    found = [
        Route("GET", path, handler, "health", plain_errors, "open")
        for path, handler in (("/livez", live), ("/readyz", ready), ("/health", ready))
    ]
    return [*found, Route("GET", "/metrics", metrics, "health", plain_errors, "read")]


__all__ = ["routes"]
