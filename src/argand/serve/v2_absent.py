"""What Triton's version of the v2 protocol has, and this server has not: regions of shared memory,
and settings of traces and logs. REST and gRPC answer alike: what is asked for is told, what is to
be changed is refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from argand.serve.errors import ServeError, Status, not_found

TRACE: dict[str, Any] = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_file": "",
    "trace_mode": "opentelemetry",
}
"""The settings of traces: ids are followed by OpenTelemetry's headers, and nothing is written."""

LOG: dict[str, Any] = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}
"""The settings of the log."""


def no_region(name: str) -> None:
    """Raises NOT_FOUND for a region of shared memory; for all of them, there are none."""
    if name:
        raise not_found(f"there is no region of shared memory {name!r}")


def no_shared_memory(name: str, field: str = "name") -> ServeError:
    """The error of a request that gives or wants a tensor in shared memory."""
    return ServeError(
        Status.UNIMPLEMENTED,
        f"{name}: shared memory is not served; send tensors in the request",
        field=field,
    )


def loaded_as_it_is(parameters: Iterable[str]) -> ServeError:
    """The error of a request that would load a model in another way than its folder has it."""
    return ServeError(
        Status.UNIMPLEMENTED,
        f"a model is loaded as its folder has it, without {', '.join(parameters)[:200]}",
        field="parameters",
    )


def unchangeable(settings: str) -> ServeError:
    """The error of a request that changes settings."""
    return ServeError(
        Status.UNIMPLEMENTED,
        f"the settings of {settings} are set where the server is started",
        field="settings",
    )


__all__ = ["LOG", "TRACE", "loaded_as_it_is", "no_region", "no_shared_memory", "unchangeable"]
