"""The access log: a line of JSON for each request."""

from __future__ import annotations

import time
from typing import Any, BinaryIO

import msgspec

from argand.serve.http.message import Request, Response, StreamResponse

_encode = msgspec.json.Encoder().encode


def line_of(request: Request, response: Response, seconds: float) -> bytes:
    """What is logged of a request, without an end of the line."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    said: dict[str, Any] = {
        "time": f"{stamp}.{int(now * 1e6) % 1_000_000:06d}Z",
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


class AccessLog:
    """Writes a line for each request."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def __call__(self, request: Request, response: Response, seconds: float) -> None:
        """Write the line of a request."""
        self._stream.write(line_of(request, response, seconds) + b"\n")
        self._stream.flush()


__all__ = ["AccessLog", "line_of"]
