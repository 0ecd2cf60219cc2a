"""Modules as functions of their parameters: `torch.nn.utils.stateless`, `torch.func`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from argand.base import epoch
from argand.base.errors import ArgumentError, CallError, did_you_mean
from argand.nn.module import Module

__all__ = ["functional_call"]

_Place = tuple[dict[str, Any], str]


def functional_call(
    module: Module,
    parameters_and_buffers: Any,
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with other tensors in place of the parameters and buffers that
    are named; the module has its own ones again afterwards.

    Names of one tensor get one value with `tie_weights`. With `strict` every tensor of the module
    has to be named. Several dictionaries count as one.

    >>> layer = nn.Linear(1, 1)
    >>> given = {"weight": ag.tensor([[2.0]]), "bias": ag.tensor([1.0])}
    >>> nn.utils.stateless.functional_call(layer, given, ag.tensor([[3.0]]))
    tensor([[7.]])
    """
    given = _joined(parameters_and_buffers)
    places = _places(module)
    unknown = [name for name in given if name not in places]
    if unknown:
        near = did_you_mean(unknown[0], list(places))
        raise ArgumentError(f"{type(module).__name__} has no tensor {unknown[0]!r}{near}")
    named = _tied(given, places) if tie_weights else dict(given)
    missing = [name for name in places if name not in named]
    if strict and missing:
        raise RuntimeError(f"missing key(s): {', '.join(map(repr, missing))}")
    positional = args if isinstance(args, tuple) else () if args is None else (args,)
    with _replaced({name: places[name] for name in named}, named):
        return module(*positional, **dict(kwargs or {}))


def _joined(given: Any) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    if not isinstance(given, tuple | list) or not all(isinstance(d, Mapping) for d in given):
        raise CallError(f"functional_call takes dictionaries, got {type(given).__name__}")
    names = [name for d in given for name in d]
    if len(set(names)) < len(names):
        raise ArgumentError("functional_call: a name is in two of the dictionaries")
    return {name: value for d in given for name, value in d.items()}


def _places(module: Module) -> dict[str, _Place]:
    """Where each parameter and buffer is kept, by dotted name."""
    found: dict[str, _Place] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for registry in (part._parameters, part._buffers):
            for name, tensor in registry.items():
                if tensor is not None:
                    found[f"{path}.{name}" if path else name] = (registry, name)
    return found


def _tied(given: Mapping[str, Any], places: Mapping[str, _Place]) -> dict[str, Any]:
    values: dict[int, Any] = {}
    for name, value in given.items():
        registry, own = places[name]
        before = values.setdefault(id(registry[own]), value)
        if before is not value:
            raise ArgumentError(f"{name!r} is one tensor with another name that is given too")
    named = dict(given)
    for name, (registry, own) in places.items():
        if id(registry[own]) in values:
            named[name] = values[id(registry[own])]
    return named


@contextmanager
def _replaced(places: Mapping[str, _Place], values: Mapping[str, Any]) -> Iterator[None]:
    before = {name: registry[own] for name, (registry, own) in places.items()}
    try:
        _put(places, values)
        yield
    finally:
        _put(places, before)


def _put(places: Mapping[str, _Place], values: Mapping[str, Any]) -> None:
    for name, (registry, own) in places.items():
        registry[own] = values[name]
    epoch.bump()
