"""Options of PyTorch's optimizers that choose between its implementations; here there is one."""

from __future__ import annotations

import warnings
from typing import Any

_told: set[tuple[str, str]] = set()


def implementation_options(name: str, **options: Any) -> dict[str, Any]:
    """Options as a group stores them; one that asks for something says once that it has no effect.

    `differentiable` has an effect: the update is recorded.

    >>> implementation_options("SGD", foreach=None, fused=False)
    {'foreach': None, 'fused': False}
    """
    if options.get("fused") and options.get("foreach"):
        raise RuntimeError(f"{name}: fused and foreach can't both be True")
    if options.get("fused") and options.get("differentiable"):
        raise RuntimeError(f"{name}: fused doesn't support differentiable")
    for key, value in options.items():
        if value and key != "differentiable" and (name, key) not in _told:
            _told.add((name, key))
            warnings.warn(
                f"{name}({key}={value!r}) has no effect: there is one implementation of its "
                "update, which @ag.compile fuses",
                stacklevel=4,
            )
    return options
