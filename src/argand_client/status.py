"""Why a request failed, as each protocol says it."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """Why a request failed: gRPC's number, and HTTP's."""

    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    ALREADY_EXISTS = (6, 409)
    PERMISSION_DENIED = (7, 403)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 412)
    CANCELLED = (1, 499)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)
    UNAUTHENTICATED = (16, 401)
    TOO_LARGE = (8, 413)
    """A body or a tensor above a limit; gRPC calls it RESOURCE_EXHAUSTED too."""

    NO_SPACE = (8, 507)
    """A model that there is no memory for; gRPC calls it RESOURCE_EXHAUSTED."""

    UNSUPPORTED_TYPE = (3, 415)
    """A body in a form that is not read; gRPC calls it INVALID_ARGUMENT."""

    WRONG_METHOD = (12, 405)
    """A path that takes other methods; gRPC calls it UNIMPLEMENTED."""

    @property
    def grpc(self) -> int:
        """The number of gRPC's status code."""
        return self.value[0]

    @property
    def http(self) -> int:
        """The number of HTTP's status."""
        return self.value[1]


__all__ = ["Status"]
