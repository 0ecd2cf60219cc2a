"""Request ids, and the headers of W3C Trace Context, which OpenTelemetry sends; the log has both
with what fails, in the workers too."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from contextvars import ContextVar
from itertools import count
from typing import NamedTuple

from argand.serve.errors import ServeError, Status, as_serve_error

_log = logging.getLogger("argand.serve")

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ID = re.compile(r"[\x21-\x7e]{1,128}")


class Trace(NamedTuple):
    """The span of a request: the trace that it belongs to, and the span that asked."""

    trace: str
    span: str
    parent: str
    flags: str
    state: str

    @property
    def header(self) -> str:
        """`traceparent` for what is asked in this span."""
        return f"00-{self.trace}-{self.span}-{self.flags}"


def trace_of(parent: str | None, state: str | None = None) -> Trace | None:
    """The span of a request with these headers; None where `traceparent` is none or malformed."""
    match = _PARENT.fullmatch(parent) if parent else None
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not (int(trace, 16) and int(span, 16)):
        return None
    return Trace(trace, os.urandom(8).hex(), span, flags, state or "")


_start = os.urandom(6).hex()
_numbers = count(1)


def request_id(given: str | None) -> str:
    """The client's id of a request, or a new one."""
    if given is not None and _ID.fullmatch(given):
        return given
    return f"{_start}-{next(_numbers):x}"


class Asker(NamedTuple):
    """What a request is called in logs: its id, and its trace where it has one."""

    request: str
    trace: str = ""

    def __str__(self) -> str:
        return f"request {self.request}" + (f", trace {self.trace}" if self.trace else "")


asking: ContextVar[Asker | None] = ContextVar("asking", default=None)
"""The request that is answered now: what is computed for it is logged with its names."""


def asker(number: str, trace: Trace | None) -> Asker:
    """The names of a request."""
    return Asker(number, "" if trace is None else trace.trace)


_NAMED = 16  # requests of a batch that a line of the log names


def named(askers: Sequence[Asker]) -> str:
    """Who asks for a call, for a line of the log."""
    more = len(askers) - _NAMED
    texts = [*map(str, askers[:_NAMED]), *([f"{more} more requests"] if more > 0 else [])]
    return "; ".join(texts) or "no request"


def told_of(error: BaseException, asked: str, number: str, trace: Trace | None) -> ServeError:
    """The error that a client is told. Where it is a fault of the server's, the log has it with the
    request's id and its trace; and with the traceback, unless a worker has logged that."""
    told = as_serve_error(error)
    if told.status is Status.INTERNAL:
        cause = error if told is not error else error.__cause__
        _log.error("%s failed (%s): %s", asked, asker(number, trace), told, exc_info=cause)
    return told


__all__ = ["Asker", "Trace", "asker", "asking", "named", "request_id", "told_of", "trace_of"]
