"""The access log: a line of JSON for each request."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import select
import time
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from argand.serve.http.message import Request, Response, StreamResponse

_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("argand.serve")

MOST: Final = 1 << 20
"""Bytes of lines that are kept for a reader that is slow."""

_LAST = 500  # milliseconds that a reader has for the next piece of the last lines


def line_of(request: Request, response: Response, seconds: float) -> bytes:
    """What is logged of a request, without an end of the line."""
    said: dict[str, Any] = {
        "time": _now(),
        "method": request.method,
        "path": request.path,
        "protocol": request.protocol,
        "status": response.status,
        "seconds": round(seconds, 6),
        "bytes_in": len(request.body),
        "bytes_out": response.sent if isinstance(response, StreamResponse) else len(response.body),
        "client": request.client,
        "request_id": request.id,
    }
    if request.version is not None:
        said |= {"model": request.version.model, "version": request.version.number}
    if request.trace is not None:
        trace = request.trace
        said |= {"trace_id": trace.trace, "span_id": trace.span, "parent_id": trace.parent}
    return _encode(said)


def line_of_call(record: Any) -> bytes:
    """What is logged of a call of gRPC."""
    said = {
        "time": _now(),
        "method": record.method,
        "protocol": "grpc",
        "status": "OK" if record.status is None else record.status.name,
        "seconds": round(record.seconds, 6),
        "client": _address_of(record.peer),
        "request_id": record.request_id or "",
    }
    if record.model is not None:
        said |= {"model": record.model, "version": record.version}
    if record.trace is not None:
        trace = record.trace
        said |= {"trace_id": trace.trace, "span_id": trace.span, "parent_id": trace.parent}
    return _encode(said)


def _address_of(peer: str) -> str:
    """The client's address, of gRPC's `ipv4:1.2.3.4:5` and `ipv6:%5B::1%5D:5`."""
    kind, _, address = peer.partition(":")
    return unquote(address).rpartition(":")[0].strip("[]") if kind[:2] == "ip" else peer


def _now() -> str:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{stamp}.{int(now * 1e6) % 1_000_000:06d}Z"


class AccessLog:
    """Writes a line for each request, and never waits for who reads them: the server's loop would
    stand still. What a slow reader leaves in the pipe is kept, up to `MOST` bytes; lines above that
    are left out, and counted in a line of their own. A log that is closed ends, and is told once.
    """

    def __init__(self, stream: Any) -> None:
        stream = _AsBytes(stream) if isinstance(stream, io.TextIOBase) else stream
        self._stream: Any = stream
        self._poll = _poll_of(stream)
        self._waiting = bytearray()
        self._left_out = 0

    def __call__(self, request: Request, response: Response, seconds: float) -> None:
        """Write the line of a request."""
        self._write(line_of(request, response, seconds))

    def of_call(self, record: Any) -> None:
        """Write the line of a call of gRPC."""
        self._write(line_of_call(record))

    def _write(self, line: bytes) -> None:
        if self._stream is None:
            return
        try:
            self._drain(self._stream)
            if len(self._waiting) + len(line) >= MOST:
                self._left_out += 1
                return
            if self._left_out:
                said = {"time": _now(), "lines_left_out": self._left_out}
                self._waiting += _encode(said) + b"\n"
                self._left_out = 0
            self._waiting += line + b"\n"
            self._drain(self._stream)
        except (OSError, ValueError) as error:  # ValueError: the stream was closed here
            _log.warning("requests are not logged any more: %s", error)
            self._stream = None

    def close(self) -> None:
        """Write what is left, as long as somebody reads."""
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._drain(self._stream, _LAST)
        self._stream = None

    def _drain(self, stream: Any, wait: int = 0) -> None:
        """Write what can be written without waiting, or with so many milliseconds each time."""
        if self._poll is None:
            stream.write(self._waiting)
            stream.flush()
            self._waiting.clear()
            return
        while self._waiting and self._poll.poll(wait):
            written = os.write(stream.fileno(), self._waiting[: select.PIPE_BUF])
            del self._waiting[:written]


class _AsBytes:
    """A stream of text, such as a notebook's output, that takes bytes."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self.stream = stream

    def write(self, data: bytes) -> None:
        """Write lines."""
        self.stream.write(data.decode())

    def flush(self) -> None:
        """Show them."""
        self.stream.flush()


def _poll_of(stream: Any) -> Any:
    """What says whether `select.PIPE_BUF` bytes can be written without waiting; None for a stream
    that is no file of the system's."""
    try:
        stream.flush()
        found = select.poll()
        found.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError, AttributeError):
        return None
    return found


__all__ = ["MOST", "AccessLog", "line_of", "line_of_call"]
