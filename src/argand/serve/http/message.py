"""Requests and responses, as handlers see them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from argand.serve.errors import ServeError
from argand.serve.tracing import Trace

if TYPE_CHECKING:
    from argand.serve.version import ModelVersion

Headers = Sequence[tuple[bytes, bytes]]
JSON = b"application/json"


class Request:
    """A request whose body has come.

    `path` is as it was sent, still quoted; `params` are what the route's template names in it.
    `version` is set by the handler, for the log and the metrics; `errors` makes a response of an
    error as the protocol says it. `closes`: the client takes no answer after this one. `is_alone`:
    nothing else waits to be answered now.
    """

    __slots__ = (
        "body",
        "client",
        "closes",
        "errors",
        "headers",
        "http",
        "id",
        "is_alone",
        "method",
        "params",
        "path",
        "protocol",
        "query_string",
        "started",
        "trace",
        "value",
        "version",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query_string: str = "",
        headers: Mapping[bytes, bytes] | None = None,
        body: bytes = b"",
        client: str = "",
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers or {}
        self.body = body
        self.value: Any = None  # of JSON, where the body has been read already
        self.client = client
        self.closes = False
        self.is_alone = False
        self.http = "1.1"
        self.params: dict[str, str] = {}
        self.protocol = ""
        self.errors: Callable[[ServeError], Response] | None = None
        self.version: ModelVersion | None = None
        self.id = ""
        self.trace: Trace | None = None
        self.started = time.perf_counter()

    def header(self, name: bytes) -> str | None:
        """A header's text; `name` is in small letters."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    @property
    def query(self) -> dict[str, str]:
        """The parameters behind the question mark; of equal ones the last."""
        found = parse_qs(self.query_string, keep_blank_values=True, max_num_fields=100)
        return {name: values[-1] for name, values in found.items()}

    @property
    def content_type(self) -> str:
        """The media type of the body in small letters, without parameters."""
        return (self.header(b"content-type") or "").partition(";")[0].strip().lower()


class Response:
    """What is sent back: a status, a body, and headers besides those that all responses have."""

    __slots__ = ("body", "headers", "status", "type")

    def __init__(
        self,
        body: bytes = b"",
        *,
        status: int = 200,
        type: bytes = JSON,
        headers: Headers = (),
    ) -> None:
        self.body = body
        self.status = status
        self.type = type
        self.headers = headers


class StreamResponse(Response):
    """A body that is sent as it is made, `sent` bytes of it so far. Where the client goes, the
    iterator is closed."""

    __slots__ = ("chunks", "sent")

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        *,
        status: int = 200,
        type: bytes = b"text/event-stream",
        headers: Headers = ((b"cache-control", b"no-store"),),
    ) -> None:
        super().__init__(status=status, type=type, headers=headers)
        self.chunks = chunks
        self.sent = 0


def status_line(status: int) -> bytes:
    """The first line of a response."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = _PHRASES.get(status, "")
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


_PHRASES = {499: "Client Closed Request"}


def head(response: Response, more: bytes = b"", *, in_chunks: bool = True) -> bytes:
    """The lines before a response's body, the empty one included; `more` are some of them. A stream
    comes in chunks, or ends with the connection, as HTTP/1.0 has it."""
    line = _LINES.get(response.status) or _LINES.setdefault(
        response.status, status_line(response.status)
    )
    if not isinstance(response, StreamResponse):
        length = b"content-length: %d\r\n" % len(response.body)
    else:
        length = b"transfer-encoding: chunked\r\n" if in_chunks else b""
    own = b"".join([b"%b: %b\r\n" % pair for pair in response.headers])
    return b"%bcontent-type: %b\r\n%b%b%b\r\n" % (line, response.type, length, own, more)


_LINES: dict[int, bytes] = {}


def clean(text: Any) -> bytes:
    """A text as the value of a header: no control characters, nothing outside latin-1."""
    kept = str(text)
    if not kept.isprintable():
        kept = "".join(c if c.isprintable() else " " for c in kept)
    return kept.encode("latin-1", "replace")[:1000]


__all__ = [
    "JSON",
    "Headers",
    "Request",
    "Response",
    "StreamResponse",
    "clean",
    "head",
    "status_line",
]
