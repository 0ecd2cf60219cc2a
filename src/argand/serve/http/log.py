"""The access log: a line of JSON for each request."""

from __future__ import annotations

import time
from typing import Any, BinaryIO

import msgspec

from argand.serve.http.message import Request, Response, StreamResponse
from argand.serve.tracing import trace_of

_encode = msgspec.json.Encoder().encode


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
        "bytes_out": None if isinstance(response, StreamResponse) else len(response.body),
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
        "client": record.peer,
        "request_id": record.request_id or "",
    }
    if record.model is not None:
        said |= {"model": record.model, "version": record.version}
    trace = trace_of(record.traceparent)
    if trace is not None:
        said |= {"trace_id": trace.trace, "span_id": trace.span, "parent_id": trace.parent}
    return _encode(said)


def _now() -> str:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{stamp}.{int(now * 1e6) % 1_000_000:06d}Z"


class AccessLog:
    """Writes a line for each request."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __call__(self, request: Request, response: Response, seconds: float) -> None:
        """Write the line of a request."""
        self._write(line_of(request, response, seconds))

    def of_call(self, record: Any) -> None:
        """Write the line of a call of gRPC."""
        self._write(line_of_call(record))

    def _write(self, line: bytes) -> None:
        self._stream.write(line + b"\n")
        self._stream.flush()


__all__ = ["AccessLog", "line_of", "line_of_call"]
