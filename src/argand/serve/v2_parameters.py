"""What the parameters of the v2 protocol may be, over REST and gRPC alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from argand.serve.errors import invalid

Parameters = Mapping[str, Any]

_MOST: Final = 1 << 53  # JSON has integers up to there


def integer_of(parameters: Parameters, name: str) -> int:
    """A parameter that is an integer; 0 where it isn't given."""
    value = parameters.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= _MOST:
        raise invalid(f"the parameter {name!r} is an integer, got {value!r:.40}", name)
    return value


def timeout_of(parameters: Parameters, given: float | None = None) -> float | None:
    """The seconds that a request may take: the parameter `timeout`, which counts microseconds, or
    those `given` otherwise where they are fewer. None, and 0 of the parameter, are no limit."""
    microseconds = integer_of(parameters, "timeout")
    if microseconds < 0:
        raise invalid("the parameter 'timeout' is a number of microseconds", "timeout")
    if not microseconds:
        return given
    seconds = microseconds / 1e6
    return seconds if given is None else min(seconds, given)


def signature_name_of(parameters: Parameters) -> str | None:
    """The parameter `signature_name`; None for the default signature."""
    name = parameters.get("signature_name")
    if name is not None and not isinstance(name, str):
        raise invalid(
            f"the parameter 'signature_name' is a string, got {name!r:.40}", "signature_name"
        )
    return name


__all__ = ["Parameters", "integer_of", "signature_name_of", "timeout_of"]
