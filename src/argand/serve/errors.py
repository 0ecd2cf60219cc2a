"""The errors of a server: each protocol has its own way to say the same few things."""

from __future__ import annotations

import math
from typing import Final

from argand.base.errors import ArgandError, LinAlgError
from argand_client import errors
from argand_client.status import Status


class ServeError(errors.ServeError, ArgandError):
    """A request that was not answered: why, the field of the request that is at fault, and after
    how many seconds it is worth asking again. Clients in this process raise it too."""


errors.raise_as(ServeError)

SOON: Final = 1.0
NEVER: Final = math.inf
"""For `retry_after`: when to ask for a model again that is being loaded, and for one of which
nothing is to be expected."""


class HungError(ServeError):
    """A call that was cut off, since it took longer than calls may."""


def invalid(message: str, field: str | None = None) -> ServeError:
    """A request that is not as it should be."""
    return ServeError(Status.INVALID_ARGUMENT, message, field=field)


def not_found(message: str, field: str | None = None) -> ServeError:
    """A model, a version or a signature that is not there; `field` names what said so."""
    return ServeError(Status.NOT_FOUND, message, field=field)


def as_serve_error(error: BaseException) -> ServeError:
    """An error as one that a protocol can tell."""
    if isinstance(error, ServeError):
        return error
    if isinstance(error, IndexError | LinAlgError) or (
        isinstance(error, ArgandError) and isinstance(error, ValueError)
    ):
        return ServeError(Status.INVALID_ARGUMENT, str(error))
    if isinstance(error, RecursionError):
        return ServeError(Status.INVALID_ARGUMENT, "the request is nested too deeply")
    if isinstance(error, MemoryError):
        return ServeError(Status.RESOURCE_EXHAUSTED, f"not enough memory: {error}")
    return ServeError(Status.INTERNAL, f"{type(error).__name__}: {error}")


__all__ = [
    "NEVER",
    "SOON",
    "HungError",
    "ServeError",
    "Status",
    "as_serve_error",
    "invalid",
    "not_found",
]
