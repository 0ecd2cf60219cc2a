"""A file that says how to serve: the fields of the options classes, as TOML or JSON."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from argand.base.errors import ArgumentError, FormatError, did_you_mean
from argand.serve.options import ModelOptions
from argand.serve.settings import ServerOptions


class Config(NamedTuple):
    """What a file says: of the server (by the names of its fields), of models, of the others."""

    server: dict[str, Any]
    models: dict[str, ModelOptions]
    default: ModelOptions


def read_config(path: str | Path) -> Config:
    """The options in a file with the tables `server`, `models.NAME` and `default`.

    Raises FormatError where it is no TOML or JSON; ArgumentError with the field's place where
    there is no such field, or its value is of another type.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        found = json.loads(data) if path.suffix == ".json" else tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: neither TOML nor JSON: {error}") from None
    _check_names(path, "", found, ("server", "models", "default"))
    named = _table(path, "models", found.get("models", {}))
    server = _table(path, "server", found.get("server", {}))
    made = _options(path, "server", ServerOptions, server)
    return Config(
        {name: getattr(made, name) for name in server},
        {n: _options(path, f"models.{n}", ModelOptions, x) for n, x in named.items()},
        _options(path, "default", ModelOptions, found.get("default", {})),
    )


def _table(path: Path, place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ArgumentError(f"{path}: {place} must be a table, got {value!r:.60}")
    return value


def _check_names(path: Path, place: str, given: Any, known: Any) -> None:
    for name in _table(path, place or "the file", given):
        if name not in known:
            at = f"{place}.{name}" if place else name
            raise ArgumentError(
                f"{path}: there is no {at}{did_you_mean(name, known)}; there are {', '.join(known)}"
            )


def _options(path: Path, place: str, kind: Any, given: Any) -> Any:
    """An object of a class of options from a table."""
    hints = typing.get_type_hints(kind)
    _check_names(path, place, given, [f.name for f in dataclasses.fields(kind)])
    values = {n: _value(path, f"{place}.{n}", hints[n], x) for n, x in given.items()}
    try:
        return kind(**values)
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {place}: {error}") from None


def _value(path: Path, place: str, hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return _options(path, place, hint, value)
    if not _fits(hint, value):
        shown = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        raise ArgumentError(f"{path}: {place} must be {shown}, got {value!r:.60}")
    return tuple(value) if typing.get_origin(hint) is tuple else value


def _fits(hint: Any, value: Any) -> bool:
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(h, value) for h in of)
    if origin is typing.Literal:
        return value in of
    if origin is tuple:
        return isinstance(value, list) and all(_fits(of[0], x) for x in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(_fits(of[1], x) for x in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


__all__ = ["Config", "read_config"]
