"""The errors of a server: each protocol has its own way to say the same few things."""

from __future__ import annotations

from enum import Enum

from argand.base.errors import ArgandError


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

    @property
    def grpc(self) -> int:
        """The number of gRPC's status code."""
        return self.value[0]

    @property
    def http(self) -> int:
        """The number of HTTP's status."""
        return self.value[1]


class ServeError(ArgandError, RuntimeError):
    """A request that was not answered: why, the field of the request that is at fault, and after
    how many seconds it is worth asking again."""

    def __init__(
        self,
        status: Status,
        message: str,
        *,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.retry_after = retry_after


def invalid(message: str, field: str | None = None) -> ServeError:
    """A request that is not as it should be."""
    return ServeError(Status.INVALID_ARGUMENT, message, field=field)


def not_found(message: str) -> ServeError:
    """A model, a version or a signature that is not there."""
    return ServeError(Status.NOT_FOUND, message)


def as_serve_error(error: BaseException) -> ServeError:
    """An error as one that a protocol can tell."""
    if isinstance(error, ServeError):
        return error
    if isinstance(error, IndexError) or (
        isinstance(error, ArgandError) and isinstance(error, ValueError)
    ):
        return ServeError(Status.INVALID_ARGUMENT, str(error))
    if isinstance(error, MemoryError):
        return ServeError(Status.RESOURCE_EXHAUSTED, f"not enough memory: {error}")
    return ServeError(Status.INTERNAL, f"{type(error).__name__}: {error}")


__all__ = ["ServeError", "Status", "as_serve_error", "invalid", "not_found"]
