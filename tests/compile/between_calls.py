"""Functions with changes between their calls, run eagerly and compiled on objects made alike."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import argand as ag
from argand import nn

Case = tuple[Callable[[Any], Any], list[Callable[[], Any]]]
Cases = dict[str, Callable[[], Case]]


def vector(*values: float) -> Any:
    return ag.tensor([float(v) for v in values])


def leaves(x: Any) -> Any:
    if isinstance(x, ag.Tensor):
        return (str(x.dtype), x.requires_grad, x.detach().numpy().tolist())
    if isinstance(x, dict):
        return {k: leaves(v) for k, v in x.items()}
    if isinstance(x, list | tuple | collections.deque):
        return [type(x).__name__, *map(leaves, x)]
    return x


def outcome(function: Callable[[Any], Any], changes: list[Callable[[], Any]]) -> list[Any]:
    """What every call gives, and what every change and look between calls gives."""
    found = []
    for i, change in enumerate([lambda: None, lambda: None, *changes, lambda: None]):
        found.append(leaves(change()))
        x = ag.tensor([1.0, 2.0, 3.0 + i], dtype=ag.float32)  # whatever the default dtype is
        found.append(leaves(function(x)))
    return found


def setter(owner: Any, name: str, *values: Any) -> list[Callable[[], Any]]:
    """Changes that set an attribute to one value after another."""
    return [functools.partial(setattr, owner, name, v) for v in values]


def putter(owner: Any, key: Any, *values: Any) -> list[Callable[[], Any]]:
    """Changes that set an item."""
    return [functools.partial(owner.__setitem__, key, v) for v in values]


class Plain:
    """An object with attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Net(nn.Module):
    """A module that computes with a function given to it; it has a parameter and a buffer."""

    def __init__(self, compute: Callable[[Any, Any], Any], **attributes: Any) -> None:
        super().__init__()
        self.scale = nn.Parameter(ag.ones(3))
        self.register_buffer("count", ag.zeros(3))
        self.compute = compute
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x: Any) -> Any:
        return self.compute(self, x)


CLOSE = 1e-6  # for what has more than one rounding; exact where the programs are


def close(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(close, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(close(a[k], b[k]) for k in a)
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=CLOSE, atol=CLOSE, equal_nan=True))
    return type(a) is type(b) and bool(a == b)


def check_case(make: Callable[[], Case], backend: str) -> None:
    """Run a case eagerly and compiled; every result and every look between calls must agree."""
    dtype = ag.get_default_dtype()
    try:
        want = outcome(*make())
        ag.set_default_dtype(dtype)
        ag.set_grad_enabled(True)
        function, changes = make()
        got = outcome(ag.compile(function, backend=backend), changes)
    finally:
        ag.set_default_dtype(dtype)
        ag.set_grad_enabled(True)
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        assert close(a, b), f"{'call' if i % 2 else 'change'} {i // 2}: {a}, eagerly {b}"
