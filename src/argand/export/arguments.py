"""What calls of all signatures share: values by order and by name, and arrays beside tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from argand.base.errors import CallError, did_you_mean
from argand.tensor.core import Tensor
from argand.transform.mode import no_grad


class Named(Protocol):
    """An input: it has a name, and says in a message what it is."""

    @property
    def name(self) -> str:
        """The name."""


def by_order_and_name(
    signature: str,
    inputs: Sequence[Named],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    optional: Collection[str] = (),
) -> list[Any]:
    """The value of each input of a call that gives them one by one; None for one left out."""
    names = [x.name for x in inputs]
    listed = "(" + ", ".join(map(str, inputs)) + ")"
    if len(args) > len(names):
        raise CallError(f"{signature} takes {len(names)} input(s), {listed}; got {len(args)}")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            raise CallError(
                f"{signature} has no input {name!r}{did_you_mean(name, names)}; its inputs are "
                f"{listed}"
            )
        if name in given:
            raise CallError(f"{signature}: the input {name!r} was given twice")
        given[name] = value
    missing = [name for name in names if name not in given and name not in optional]
    if missing:
        raise CallError(f"{signature} lacks {', '.join(missing)}; its inputs are {listed}")
    return [given.get(name) for name in names]


def recording(leaves: Sequence[Any]) -> contextlib.AbstractContextManager[Any]:
    """The block of a call: gradients are not recorded where no argument is a tensor."""
    if not leaves or any(isinstance(x, Tensor) for x in leaves):
        return contextlib.nullcontext()
    return no_grad()


__all__ = ["by_order_and_name", "recording"]
