"""Warnings at the user's line: old spellings, and keywords that have no effect here."""

from __future__ import annotations

import warnings
from typing import Any

from argand.base.userstack import user_location

_seen: dict[Any, Any] = {}
_said: set[tuple[str, str]] = set()


def notice(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code that is running; once for each line, unless filtered."""
    at = user_location()
    file, line = ("<unknown>", 1) if at is None else (at.file, at.line)
    warnings.warn_explicit(message, category, file, line, registry=_seen)


def no_effect(function: str, reason: str, /, **given: tuple[Any, Any]) -> None:
    """Say once for each keyword, given as (value, default), that it has no effect here."""
    for name, (value, default) in given.items():
        if value is default or value == default or (function, name) in _said:
            continue
        _said.add((function, name))
        notice(f"{function}: {name}={value!r} has no effect here: {reason}")
