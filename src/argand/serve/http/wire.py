"""A connection: bytes to requests and responses to bytes, within limits of size and time.

The parser is httptools; what stands between it and a handler is a coroutine that becomes a task
only where it must wait. A general ASGI server takes more than three times as long. `App` can be run
by any ASGI server too.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections import deque
from email.utils import formatdate
from typing import Any

import httptools

from argand.serve.errors import ServeError, Status, invalid
from argand.serve.eventloop import EventLoop, begun
from argand.serve.http.app import App
from argand.serve.http.heads import END, Head, Heads
from argand.serve.http.message import Request, Response, StreamResponse, head
from argand.serve.limits import LAST_CALL, Limits

_log = logging.getLogger("argand.serve")
_OF_UPGRADES = (b"connection", b"http2-settings", b"upgrade")
_SWEEP = 0.5  # seconds between two looks at deadlines
_LINGER = 2.0  # seconds for which a refused body is read and thrown away
_TOGETHER = 1 << 16  # bytes of a body that are sent with the head, in one packet
_AHEAD = 16  # requests that a client may send ahead
_CLOSE = b"connection: close\r\n"
_BEGINNING = b"HTTP/1.1 "  # of all answers
_NO_CHUNK = b"0"  # before the size of a chunk, which may begin with zeros
_MEMORY = 1 << 18  # bytes that are read at once
_PACE = 1 << 16  # bytes that a client must read at least in the seconds for writing


class Connections:
    """All connections of a server, and the one timer that looks after their deadlines."""

    def __init__(self, app: App, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.open: set[Connection] = set()
        self.half_open: set[Connection] = set()  # whose clients send no more, and may have gone
        self.closing = False
        self.held = 0  # bytes of the bodies of all connections
        self.heads = Heads()
        self.memory = memoryview(bytearray(_MEMORY))  # what any connection has read now
        self.date = b""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._sweep()

    def __call__(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self)

    def _sweep(self) -> None:
        self.date = b"date: %b\r\n" % formatdate(usegmt=True).encode()
        now = self._loop.time()
        for connection in [c for c in self.open if c.deadline < now]:
            connection.expire()
        for connection in [c for c in self.half_open if c.has_gone]:
            connection.abort()
        self._timer = self._loop.call_later(_SWEEP, self._sweep)

    async def close(self, seconds: float) -> None:
        """Let requests that have begun end within some seconds, those too that are on their way
        over a connection that is open; then cut."""
        self.closing = True
        until = self._loop.time() + seconds
        await self._emptied(min(until, self._loop.time() + LAST_CALL))
        for connection in list(self.open):
            connection.finish()
        await self._emptied(until)
        self.abort()
        await asyncio.sleep(0)
        if self._timer is not None:
            self._timer.cancel()

    async def _emptied(self, until: float) -> None:
        """Wait until no connection is open, or for a time."""
        while self.open and self._loop.time() < until:
            await asyncio.sleep(0.01)

    def abort(self) -> None:
        """Cut all connections."""
        for connection in list(self.open):
            connection.abort()


class Connection(asyncio.BufferedProtocol):
    """One client. Requests that it sends ahead wait until the one before is answered."""

    def __init__(self, owner: Connections) -> None:
        self.owner = owner
        self.limits = owner.limits
        self.deadline = math.inf
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._client = ""
        self._waiting: deque[Request] = deque()
        self._request: Request | None = None  # that is read
        self._task: asyncio.Task[None] | None = None  # of the request that is answered
        self._harmless = b""  # what may be written now, whatever comes next
        self._ahead = b""  # the beginning of an answer that is written before the answer is known
        self._reading = False
        self._discards = False
        self._refusal: bytes | None = None  # waits until those before are answered
        self._keep = True
        self._expects = False  # to hear that its body may come
        self._head_bytes = 0
        self._named_bytes = 0
        self._body_bytes = 0
        self._held = 0  # bytes of the bodies that have come and are not answered yet
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._writable: asyncio.Event | None = None  # while the client does not read
        self._unread = 0  # bytes that it had not read when its deadline was set

    # -- of the transport ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self.owner.open.add(self)
        if len(self.owner.open) > self.limits.connections:
            self._refuse(ServeError(Status.UNAVAILABLE, "too many connections; try again later"))
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone: what is computed for it is of no use."""
        self.owner.open.discard(self)
        self.owner.half_open.discard(self)
        self._release(self._held)
        self._discards = True
        for request in (*self._waiting, self._request):
            if request is not None:
                self.owner.app.abandon(request)
        self._waiting.clear()
        if self._writable is not None:
            self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._writable = asyncio.Event()
        self._watch()

    def resume_writing(self) -> None:
        """The client has read."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None
        self._watch()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where bytes are read to, by one connection at a time."""
        return self.owner.memory

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of requests."""
        if self._discards:
            return
        data = bytes(self.owner.memory[:nbytes])
        if self._reading:
            self._parse(data)
        else:
            self._read(data)
        if self._waiting and self._task is None:
            self._begin(self._waiting.popleft())
        if self._waiting and (len(self._waiting) >= _AHEAD or self._held > self.limits.body):
            self._transport.pause_reading()  # which hides, too, that a client goes

    def _read(self, data: bytes) -> None:
        """The bytes of a request from its beginning. Where they are all of it, and its head is one
        that was read before, nothing is parsed."""
        text, end, body = data.partition(END)
        head = self.owner.heads.find(text) if self._keep else None
        if head is not None and end and head.length == len(body):
            self._take(Request(*head[:4], body, self._client))
            return
        self._reading = True
        if self._task is None:
            self._watch()
        before = len(self._waiting)
        self._parse(data)
        if len(self._waiting) == before + 1 and not self._reading and not self._discards:
            self._remember(text, self._waiting[-1], len(body))

    def _take(self, request: Request) -> None:
        """A request that has come at once."""
        self._request = request
        if self._hold(len(request.body)):
            self._request = None
            self._waiting.append(request)

    def _remember(self, text: bytes, request: Request, length: int) -> None:
        """Keep what a head has said, if no other bytes than its body followed."""
        said = request.headers.get(b"content-length", b"0")
        if request.http == "1.1" and not request.closes and said == b"%d" % length:
            head = Head(request.method, request.path, request.query_string, request.headers, length)
            self.owner.heads.keep(text, head)

    def _parse(self, data: bytes) -> None:
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[int(upgrade.args[0]) :])
        except httptools.HttpParserError as error:
            if not self._discards:
                self._refuse(invalid(f"no HTTP that can be read: {error}"))
            return
        if self._request is None and self._reading and self._head_bytes > self.limits.header:
            self._refuse_head()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read the request as one of HTTP/1.1, as a server may: Java's clients ask for HTTP/2 in
        each. The parser takes what follows the headers for another protocol."""
        method = self._parser.get_method()
        self._parser = httptools.HttpRequestParser(self)
        if method == b"CONNECT":
            self._refuse(invalid("this is no proxy"))
        if self._discards:
            return
        kept = {n: v for n, v in self._headers.items() if n not in _OF_UPGRADES}
        lines = [b"%b %b HTTP/1.1" % (method, self._url), *(b"%b: %b" % x for x in kept.items())]
        self._parse(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def eof_received(self) -> bool:
        """The client sends no more. It may have gone, or wait for its answers, which looks alike;
        so bytes are sent that come next anyway, which a client that has gone refuses."""
        if self._task is None or self._transport.get_extra_info("ssl_object") is not None:
            return False
        self.owner.half_open.add(self)
        self._ahead, self._harmless = self._harmless, b""
        self._transport.write(self._ahead)
        return True

    @property
    def has_gone(self) -> bool:
        """Whether a client that sends no more has refused what was sent."""
        found: Any = self._transport.get_extra_info("socket")
        return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    # -- of the parser -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._reading = True
        self._url, self._headers, self._body, self._body_bytes = b"", {}, [], 0
        self._head_bytes = 0  # of what comes later; what has come is counted when it is whole
        self._named_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        self._url += url
        self._named_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Those behind a body, trailers, are dropped: they were not there when the
        request was looked at."""
        name = name.lower()
        self._named_bytes += len(name) + len(value)
        if self._request is not None:
            if self._named_bytes > self.limits.header:
                self._refuse_head()
            return
        before = self._headers.get(name)
        self._headers[name] = value if before is None else before + b", " + value

    def on_headers_complete(self) -> None:
        """The request is known but for its body."""
        if self._discards or self._parser.should_upgrade():
            return
        path, _, query = self._url.decode("latin-1").partition("?")
        if not path.startswith("/"):
            path = "/" + path.partition("://")[2].partition("/")[2] if "://" in path else path
        method = self._parser.get_method().decode("latin-1")
        self._request = Request(method, path, query, self._headers, client=self._client)
        self._request.http = self._parser.get_http_version()
        self._keep = self._parser.should_keep_alive()
        if self._named_bytes > self.limits.header:
            self._refuse_head()
            return
        if self._task is None:
            self._watch()
        length = self._headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > self.limits.body:
            self._refuse_body()
        elif self._headers.get(b"expect", b"").lower() == b"100-continue":
            self._expects = True
            self._continue()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._discards:
            return
        self._body_bytes += len(body)
        if self._body_bytes > self.limits.body:
            self._refuse_body()
        elif self._hold(len(body)):
            self._body.append(body)

    def _hold(self, size: int) -> bool:
        """Count a part of a body; whether there is room for it."""
        self._held += size
        self.owner.held += size
        if self.owner.held <= self.limits.bodies:
            return True
        self._refuse(
            ServeError(
                Status.RESOURCE_EXHAUSTED,
                f"the bodies of all requests are larger than {self.limits.bodies:,} bytes; "
                "try again later",
            )
        )
        return False

    def on_message_complete(self) -> None:
        """The request is whole."""
        request, self._request = self._request, None
        self._reading = self._expects = False
        if request is None or self._discards:
            return
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request.closes = not self._keep
        self._waiting.append(request)

    # -- answering -----------------------------------------------------------------------------

    def _begin(self, request: Request) -> None:
        """Answer a request, at once as far as nothing else is to be done."""
        self.deadline = math.inf
        self._harmless = _BEGINNING
        answer = self._answer(request)
        if self._waiting or not (isinstance(self._loop, EventLoop) and self._loop.is_alone):
            self._task = self._loop.create_task(answer)
            return
        request.is_alone = True
        self._task = begun(answer)
        request.is_alone = False

    async def _answer(self, request: Request) -> None:
        response = await self.owner.app.handle(request)
        try:
            closes = True
            if not self._transport.is_closing():
                closes = self._send(request, response)
                if isinstance(response, StreamResponse):
                    await self._stream(response, request.http != "1.0")
            while self._writable is not None:  # answers to who does not read don't pile up
                await self._writable.wait()
            if closes:
                self._close()
        except Exception:  # of a stream that has begun: only its end can tell
            _log.exception("%s %s: the answer broke off", request.method, request.path)
            self._transport.abort()
        self._task = None
        self._release(len(request.body))
        if not self._transport.is_closing():
            self._go_on()

    def _go_on(self) -> None:
        """What comes behind a request that is answered."""
        if self._waiting:
            self._begin(self._waiting.popleft())
            return
        self._transport.resume_reading()
        if self._refusal is not None:
            self._end_with(self._refusal)
        elif self.owner.closing or self in self.owner.half_open:
            self._close()
        else:
            self._continue()
            self._watch()

    def _continue(self) -> None:
        """Ask for the body that a client holds back, once those before are answered."""
        if self._expects and self._is_idle:
            self._expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    @property
    def _is_idle(self) -> bool:
        """Whether all requests that have come are answered."""
        return self._task is None and not self._waiting

    def _send(self, request: Request, response: Response) -> bool:
        """Send an answer, of a stream the head; returns whether it is the last one."""
        closes = request.closes or (self.owner.closing and not self._waiting)
        more = self.owner.date
        in_chunks = True
        if request.http == "1.0":
            in_chunks = False
            closes = closes or isinstance(response, StreamResponse)
            more += _CLOSE if closes else b"connection: keep-alive\r\n"
        elif closes:
            more += _CLOSE
        first = head(response, more, in_chunks=in_chunks).removeprefix(self._ahead)
        self._harmless = self._ahead = b""
        if request.method == "HEAD" or isinstance(response, StreamResponse):
            self._transport.write(first)
        elif len(response.body) <= _TOGETHER:
            self._transport.write(first + response.body)
        else:
            self._transport.write(first)
            self._transport.write(response.body)
        return closes

    async def _stream(self, response: StreamResponse, in_chunks: bool) -> None:
        self._harmless = _NO_CHUNK if in_chunks else b""
        try:
            async for chunk in response.chunks:
                if self._writable is not None:
                    await self._writable.wait()
                if self._transport.is_closing():
                    return
                if chunk:
                    whole = b"%x\r\n%b\r\n" % (len(chunk), chunk) if in_chunks else chunk
                    self._transport.write(whole)
            self._harmless = b""
            if in_chunks:
                self._transport.write(b"0\r\n\r\n")
        finally:
            close = getattr(response.chunks, "aclose", None)
            if close is not None:
                await close()

    def _release(self, size: int) -> None:
        """Count a body no more, or what is left of all."""
        size = min(size, self._held)
        self._held -= size
        self.owner.held -= size

    # -- refusing and closing ------------------------------------------------------------------

    def _refuse_head(self) -> None:
        self._refuse(
            ServeError(
                Status.TOO_LARGE, f"the headers are larger than {self.limits.header:,} bytes"
            ),
            431,
        )

    def _refuse_body(self) -> None:
        self._refuse(
            ServeError(
                Status.TOO_LARGE,
                f"the body is larger than {self.limits.body:,} bytes",
                field="body",
            )
        )

    def _refuse(self, error: ServeError, status: int | None = None) -> None:
        """Answer what has not come whole, in its turn, and close."""
        if self._discards:
            return
        self._discards = True
        request = self._request or Request("GET", "/", client=self._client)
        self._request = None
        response = self.owner.app.refuse(request, error, status)
        first = head(response, self.owner.date + _CLOSE)
        if self._is_idle:
            self._end_with(first + response.body)
        else:
            self._refusal = first + response.body

    def _end_with(self, answer: bytes) -> None:
        """Send the last answer. What else comes is read for a while and thrown away, since a client
        that is still sending would never see the answer."""
        self._transport.write(answer)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._watch()

    def _close(self) -> None:
        """Close once what is written has been read."""
        self._transport.close()
        self._watch()

    def _watch(self) -> None:
        """Set the time by which the client must have done what is its turn to do."""
        limits = self.limits
        if self._writable is not None or self._transport.is_closing():
            self._unread = self._transport.get_write_buffer_size()
            seconds = limits.write_seconds
        elif self._task is not None:
            seconds = math.inf
        elif self._discards:
            seconds = _LINGER
        elif self._request is not None:
            seconds = limits.body_seconds
        else:
            seconds = limits.header_seconds if self._reading else limits.idle_seconds
        self.deadline = self._loop.time() + seconds

    def expire(self) -> None:
        """A deadline has passed."""
        if self._writable is not None or self._transport.is_closing():
            if self._transport.get_write_buffer_size() > self._unread - _PACE:
                self._transport.abort()
            else:
                self._watch()
        elif self._discards or not self._reading:
            self._close()
        else:
            what = "headers" if self._request is None else "body"
            error = ServeError(Status.DEADLINE_EXCEEDED, f"the request's {what} came too slowly")
            self._refuse(error, 408)

    def finish(self) -> None:
        """Close once the request that has begun is answered."""
        if self._task is None and not self._reading:
            self._close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


__all__ = ["Connection", "Connections"]
