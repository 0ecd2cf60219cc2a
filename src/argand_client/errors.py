"""What a client raises."""

from __future__ import annotations

from typing import Any

from argand_client.status import Status


class ServeError(RuntimeError):
    """A request that was not answered: `status` says why, `field` names what is at fault in it, and
    `retry_after` says after how many seconds it is worth asking again.

    In a process that has loaded `argand.serve`, errors are of its `ServeError`, which is one too.
    """

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


_raised: type[Any] = ServeError


def raise_as(kind: type[Any]) -> None:
    """Let errors be of a class that is derived from this one."""
    global _raised
    _raised = kind


def failed(status: Status, message: str, **details: Any) -> Any:
    """An error to raise."""
    return _raised(status, message, **details)


def invalid(message: str, field: str | None = None) -> Any:
    """The error of arguments that don't fit."""
    return failed(Status.INVALID_ARGUMENT, message, field=field)


__all__ = ["ServeError", "failed", "invalid", "raise_as"]
