"""What a client may take of the server's memory and time."""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass, fields
from typing import Final

from argand.serve.options import hold_above_zero


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on requests and connections; sizes are bytes, times are seconds.

    Args:
        body: the largest body of a request, packed and unpacked.
        bodies: the bodies of all requests that are read or answered at a time.
        header: the largest request line and headers.
        elements: the most elements of a tensor in a request.
        connections: how many may be open at once.
        header_seconds: in which the headers must have come, and before them TLS's handshake.
        body_seconds: in which the body must have come.
        write_seconds: for which a client may leave an answer unread; one that reads slowly, but at
            least 64 KiB in that time, gets all of it.
        idle_seconds: after which a connection without a request is closed.
    """

    body: int = 64 << 20
    bodies: int = 1 << 30
    header: int = 32 << 10
    elements: int = 1 << 26
    connections: int = 4096
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    write_seconds: float = 30.0
    idle_seconds: float = 75.0

    def __post_init__(self) -> None:
        hold_above_zero(self, *(field.name for field in fields(self)))


LAST_CALL: Final = 0.1
"""Seconds for which a server that ends takes requests over connections that are open: a client that
has just sent one can't know."""

_OTHERS = 1024  # files besides connections: of models, workers and the libraries
_log = logging.getLogger("argand.serve")


def allow_files(connections: int) -> None:
    """Let this process have files open for so many connections, as far as the system lets it: the
    usual 1024 are fewer than the connections that a server takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHERS
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        said = "%d connections may need more than the %d files that this process may open"
        _log.warning(said, connections, most)


__all__ = ["LAST_CALL", "Limits", "allow_files"]
