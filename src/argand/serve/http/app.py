"""The application: finds the route of a request, lets its handler answer, and tells of it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from argand.serve.access import Access
from argand.serve.errors import NEVER, ServeError, Status
from argand.serve.http.encoding import unpacked
from argand.serve.http.message import Request, Response, StreamResponse, clean
from argand.serve.http.routes import Handler, Route, Table
from argand.serve.limits import Limits
from argand.serve.tracing import asker, asking, request_id, told_of, trace_of

_log = logging.getLogger("argand.serve")

Observer = Callable[[Request, Response, float], None]
"""Is told a request, its response, and the seconds that it took."""


def plain_errors(error: ServeError) -> Response:
    """`{"error": message}`, where no protocol says otherwise."""
    return Response(msgspec.json.encode({"error": str(error)}), status=error.status.http)


class App:
    """Routes and what all protocols share: tokens, ids, traces, errors, observers.

    `handle` answers a `Request`, for the server's own connections. An App is an ASGI application
    as well, to be mounted in another or run by any ASGI server.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        access: Access | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.table = Table(routes)
        self.access = access or Access()
        self.limits = limits or Limits()
        self.observers: list[Observer] = []

    async def handle(self, request: Request) -> Response:
        """The response to a request; errors are made responses in the protocol's way."""
        _identify(request)
        try:
            handler = self._routed(request)
            if b"content-encoding" in request.headers:
                encoding = request.header(b"content-encoding") or "identity"
                request.body = await unpacked(request.body, encoding, self.limits.body)
            response = await handler(request)
        except asyncio.CancelledError:
            self._observe(request, Response(status=Status.CANCELLED.http))
            raise
        except Exception as error:
            response = self._failed(request, error)
        return self._finished(request, response)

    def refuse(self, request: Request, error: ServeError, status: int | None = None) -> Response:
        """The response to a request that did not come whole."""
        self._name(request)
        response = self._failed(request, error)
        response.status = status or response.status
        return self._finished(request, response)

    def abandon(self, request: Request) -> None:
        """Tell of a request whose client has gone before it was begun."""
        self._name(request)
        self._observe(request, Response(status=Status.CANCELLED.http))

    def _name(self, request: Request) -> None:
        """The ids of a request, and the protocol of one that is not routed."""
        _identify(request)
        found = self.table.find(request.path)
        route = None if found is None else found.by_method.get(request.method)
        if route is not None:
            request.protocol, request.errors = route.protocol, route.errors

    def _routed(self, request: Request) -> Handler:
        """What answers a request that may be asked."""
        found = self.table.find(request.path)
        if found is None:
            raise ServeError(Status.NOT_FOUND, f"there is nothing at {request.path}")
        route = found.by_method.get(request.method)
        if route is None:
            return partial(_wrong_method, found.by_method)
        request.protocol, request.errors = route.protocol, route.errors
        params = request.params = dict(found.params)
        if route.model is not None:
            params.setdefault("model", route.model)
        self.access.check(route.scope, params.get("model"), request.header(b"authorization"))
        return route.handler

    def _failed(self, request: Request, error: Exception) -> Response:
        """The response of an error; of one that is not ours the log has all, the client little."""
        asked = f"{request.method} {request.path}"
        found = told_of(error, asked, request.id, request.trace)
        response = (request.errors or self._errors_near(request.path))(found)
        extra = _HEADERS.get(found.status)
        if extra:
            response.headers = [*response.headers, extra]
        if found.status in _LATER and found.retry_after != NEVER:
            seconds = b"%d" % max(1, math.ceil(found.retry_after or 0))
            response.headers = [*response.headers, (b"retry-after", seconds)]
        if found.field:
            named = quote(found.field[:200]).encode()
            response.headers = [*response.headers, (b"x-error-field", named)]
        return response

    def _errors_near(self, path: str) -> Callable[[ServeError], Response]:
        """How the protocol says errors whose paths begin as an unknown one does."""
        parts = path.split("/")[1:]
        found: Callable[[ServeError], Response] = plain_errors
        most = 0
        for route in self.table.routes:
            pairs = zip(parts, route.path.split("/")[1:], strict=False)
            same = itertools.takewhile(lambda pair: pair[0] == pair[1] or "{" in pair[1], pairs)
            count = sum(1 for _ in same)
            if count > most:
                found, most = route.errors, count
        return found

    def _finished(self, request: Request, response: Response) -> Response:
        response.headers = [*response.headers, (b"x-request-id", clean(request.id))]
        if request.trace is not None:
            response.headers.append((b"traceparent", request.trace.header.encode()))
            if request.trace.state:
                response.headers.append((b"tracestate", clean(request.trace.state)))
        if isinstance(response, StreamResponse):
            response.chunks = self._told(request, response, response.chunks)
        else:
            seconds = time.perf_counter() - request.started
            # once the answer is sent
            asyncio.get_running_loop().call_soon(self._tell, request, response, seconds)
        return response

    async def _told(
        self, request: Request, response: StreamResponse, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """The chunks of a stream, which is told of when it ends."""
        whole, response.status = response.status, Status.CANCELLED.http
        try:
            async for chunk in chunks:
                response.sent += len(chunk)
                yield chunk
            response.status = whole
        except Exception:
            response.status = Status.INTERNAL.http
            raise
        finally:
            self._observe(request, response)
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    def _observe(self, request: Request, response: Response) -> None:
        self._tell(request, response, time.perf_counter() - request.started)

    def _tell(self, request: Request, response: Response, seconds: float) -> None:
        for observer in self.observers:
            try:
                observer(request, response, seconds)
            except Exception:  # an answer does not fail for a log
                _log.exception("an observer failed")

    # -- as an ASGI application ----------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI: one request."""
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] != "http":
            return
        client = scope.get("client")
        request = Request(
            scope["method"],
            (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0],
            scope["query_string"].decode("latin-1"),
            dict(scope["headers"]),
            client=client[0] if client else "",
        )
        body: list[bytes] = []
        too_large = False
        more, size = True, 0
        while more and not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body.append(message.get("body", b""))
            size += len(body[-1])
            more, too_large = message.get("more_body", False), size > self.limits.body
        request.body = b"".join(body)
        if too_large:
            error = ServeError(
                Status.TOO_LARGE,
                f"the body is larger than {self.limits.body:,} bytes",
                field="body",
            )
            response = self.refuse(request, error)
        else:
            response = await self.handle(request)
        await _send_asgi(request, response, send)


def _identify(request: Request) -> None:
    """Give a request its id and its trace, also for what is logged while it is answered."""
    request.id = request_id(request.header(b"x-request-id"))
    if b"traceparent" in request.headers:
        request.trace = trace_of(request.header(b"traceparent"), request.header(b"tracestate"))
    asking.set(asker(request.id, request.trace))


async def _wrong_method(routes: dict[str, Route], request: Request) -> Response:
    """Answers methods that a path doesn't take."""
    allowed = ", ".join(sorted(routes))
    error = ServeError(Status.WRONG_METHOD, f"{request.path} takes {allowed}, not {request.method}")
    response = next(iter(routes.values())).errors(error)
    response.headers = [*response.headers, (b"allow", allowed.encode())]
    return response


async def _send_asgi(request: Request, response: Response, send: Any) -> None:
    headers = [(b"content-type", response.type), *response.headers]
    streams = isinstance(response, StreamResponse)
    if not streams:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(response, StreamResponse):
        async for chunk in response.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    body = b"" if streams or request.method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})


_LATER = {Status.RESOURCE_EXHAUSTED, Status.UNAVAILABLE}
_HEADERS = {
    Status.UNAUTHENTICATED: (b"www-authenticate", b'Bearer realm="argand"'),
}


__all__ = ["App", "Observer", "plain_errors"]
