"""A server with routes that say what they were asked, and clients of bare sockets."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

from argand.serve import Limits, ServeError, Server, Status
from argand.serve.http.app import plain_errors
from argand.serve.http.message import Request, Response, StreamResponse
from argand.serve.http.routes import Route

LIMITS = Limits(
    body=10_000,
    header=2000,
    connections=20,
    header_seconds=0.3,
    body_seconds=0.3,
    write_seconds=0.3,
)


class Asked(Server):
    """A server with routes that say what they were asked."""

    cancelled: threading.Event

    def make_app(self) -> Any:
        app = super().make_app()
        for route in self.routes():
            app.table._add(route)
            app.table.routes.append(route)
        return app

    def routes(self) -> list[Route]:
        self.cancelled = threading.Event()

        async def echo(request: Request) -> Response:
            said = {"method": request.method, "path": request.path, "query": request.query}
            return Response(json.dumps(said | {"body": request.body.decode()}).encode())

        async def slow(request: Request) -> Response:
            try:
                await asyncio.sleep(float(request.query["seconds"]))
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return Response(b'"done"')

        async def stream(request: Request) -> Response:
            async def chunks() -> AsyncIterator[bytes]:
                for i in range(int(request.query["count"])):
                    yield b"data: %d\n\n" % i
                    await asyncio.sleep(0)

            return StreamResponse(chunks())

        async def large(request: Request) -> Response:
            return Response(b"x" * (64 << 20))

        async def fails(request: Request) -> Response:
            raise ServeError(Status.RESOURCE_EXHAUSTED, "too much")

        async def broken(request: Request) -> Response:
            raise KeyError("a fault of the handler")

        found = [("GET", "/slow", slow), ("GET", "/stream", stream), ("GET", "/large", large)]
        found += [(m, "/echo/{name}", echo) for m in ("GET", "POST")]
        found += [("GET", "/fails", fails), ("GET", "/broken", broken)]
        return [Route(m, p, h, "test", plain_errors, "open") for m, p, h in found]


def sent(server: Server, data: bytes, *, shut: bool = False) -> bytes:
    """All that comes back for some bytes, until the server closes or nothing comes for a while."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=3) as s:
        s.sendall(data)
        if shut:
            s.shutdown(socket.SHUT_WR)
        found = b""
        try:
            while part := s.recv(65536):
                found += part
        except TimeoutError:
            pass
        return found


def asked(server: Server, method: str, path: str, body: Any = None, **headers: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


__all__ = ["LIMITS", "Asked", "asked", "sent"]
